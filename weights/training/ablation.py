"""Ablation of the two halves of the network, and networks given facts that a map does not show.

Example::

    python weights/training/ablation.py ../shared/data/structures --part profile \\
        --train-maps 4800 --epochs 5
    python weights/training/ablation.py ../shared/data/structures --part profile \\
        --epochs 5 --given resolution mass

Prints the metrics on the validation maps after each epoch, for the table of the model card.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import package  # noqa: F401  (puts src on the path)
import torch
from decoder_maps import ENSEMBLES
from numpy.typing import NDArray
from simulate import BOX
from train import Maps, TrainParameters, load, map_files, train

from core.thresholds import features
from core.thresholds.network import FIELDS, WHOLE, compact_network

# rows of the profile to keep: shares above each level at 64^3, at 32^3 and on the original grid
KEPT_ROWS = (0, 1, features.CHANNELS - 2)


def fact_columns(facts: list[dict[str, Any]], names: list[str]) -> torch.Tensor:
    """(n, k) facts that maps do not show, of order 1."""

    def of(name: str) -> NDArray[np.float64]:
        return np.array([float(f.get(name, 0)) for f in facts])

    edge = of("pixel") * of("box")
    known: dict[str, list[NDArray[np.float64]]] = {
        "resolution": [np.log(of("resolution") / 8), np.log(of("resolution") / (edge / BOX) / 2)],
        # volume at 1.21 A^3/Da relative to the box, of order 1
        "mass": [np.log(of("mass_kda") * 1210 / edge**3 * 30)],
        "state": [of("absent"), of("blurred"), np.log(of("noise")), of("best_dice")],
    }
    return torch.tensor(
        np.stack([column for name in names for column in known[name]], axis=1), dtype=torch.float32
    )


@dataclass
class FactMaps(Maps):
    """Maps with facts in place of voxels."""

    def inputs(self, chosen: torch.Tensor) -> features.NetworkInput:
        """Network input of some maps: ``coarse`` is (n, k, 1, 1, 1)."""
        return features.NetworkInput(
            self.profile[chosen].float(), self.scale[chosen], self.coarse[chosen], self.bins[chosen]
        )


def profile_alone() -> torch.nn.Module:
    """The network without its 3D CNN; facts, if given, replace the summary of the whole map."""
    network: Any = compact_network()

    class Nothing(torch.nn.Module):
        def forward(
            self, coarse: torch.Tensor, scale: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            facts = coarse.flatten(1) if coarse.shape[-1] == 1 else coarse.new_zeros(len(coarse), 0)
            whole = torch.nn.functional.pad(facts, (0, WHOLE - facts.shape[1]))
            n, half, quarter = len(scale), (BOX // 2,) * 3, (BOX // 4,) * 3
            return scale.new_zeros(n, 1, *half), scale.new_zeros(n, FIELDS, *quarter), whole

    class ProfileAlone(type(network)):  # type: ignore[misc]
        def rows(
            self, inputs: features.NetworkInput, logit: torch.Tensor, fields: torch.Tensor
        ) -> torch.Tensor:
            levels = self.levels.expand(len(inputs.profile), 1, -1)
            return torch.cat(
                [
                    inputs.profile[:, :-1],
                    levels,
                    inputs.profile.new_zeros(len(levels), FIELDS + 2, features.LEVELS),
                ],
                dim=1,
            )

    network.voxels, network.__class__ = Nothing(), ProfileAlone
    return network  # type: ignore[no-any-return]


def voxels_alone() -> torch.nn.Module:
    """The network with only the shares above each level of the profile."""
    network: Any = compact_network()

    class VoxelsAlone(type(network)):  # type: ignore[misc]
        def rows(
            self, inputs: features.NetworkInput, logit: torch.Tensor, fields: torch.Tensor
        ) -> torch.Tensor:
            kept = torch.zeros(features.CHANNELS - 1, 1)
            kept[list(KEPT_ROWS)] = 1
            made: torch.Tensor = super().rows(inputs, logit, fields)
            return torch.cat([made[:, : len(kept)] * kept, made[:, len(kept) :]], dim=1)

        def scores(
            self, rows: torch.Tensor, shells: torch.Tensor, whole: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            both: tuple[torch.Tensor, torch.Tensor] = super().scores(rows, 0 * shells, whole)
            return both

    network.__class__ = VoxelsAlone
    return network  # type: ignore[no-any-return]


PARTS: dict[str, Callable[[], torch.nn.Module]] = {
    "both": compact_network,
    "profile": profile_alone,
    "voxels": voxels_alone,
}


def main() -> None:
    defaults = TrainParameters()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("structures", type=Path)
    parser.add_argument("--part", choices=list(PARTS), required=True)
    parser.add_argument(
        "--given",
        nargs="*",
        choices=("resolution", "mass", "state"),
        default=[],
        help="facts to give to the network, with part profile",
    )
    parser.add_argument("--train-maps", type=int, default=defaults.train_maps)
    parser.add_argument("--epochs", type=int, default=defaults.epochs)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "siren-maps")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    if a.given and a.part != "profile":
        parser.error("--given needs --part profile")
    p = TrainParameters(
        train_maps=a.train_maps,
        epochs=a.epochs,
        decoder_ensembles=0,
        second_example_ensembles=0,
        voxel_weight=defaults.voxel_weight if a.part != "profile" else 0.0,
    )
    torch.set_num_threads(1)
    files = map_files(a.structures, p, a.cache, ENSEMBLES, a.processes)
    maps = {split: load(files[split]) for split in ("validation", "train")}
    if a.given:
        maps = {
            split: FactMaps(
                **{**vars(m), "coarse": fact_columns(m.facts, a.given)[:, :, None, None, None]}
            )
            for split, m in maps.items()
        }
    with tempfile.TemporaryDirectory() as folder:
        best = train(
            maps["train"], maps["validation"], Path(folder) / "part.pt", p, make=PARTS[a.part]
        )
    print(json.dumps({"part": a.part, "given": a.given, "maps": a.train_maps, **best}))


if __name__ == "__main__":
    main()
