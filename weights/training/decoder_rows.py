"""Predicted levels of decoders' volumes, relative to the defined ones: a table of the card."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dataset import write_maps
from decoder_maps import (
    EACH,
    build_decoder_maps,
    drawn,
    label_volumes,
    sources,
)
from numpy.typing import NDArray
from realmaps import Table
from simulate import CUBIC_A_PER_DALTON
from train import Maps, dice_at, predict
from train import load as load_maps

from core.thresholds.network import load_network
from decoders.core_api import Absent, enclosing_level
from decoders.molecules import low_pass, parts_of
from decoders.stored import Stored, load

#: Of the two ensembles in data/decoders: resolution relative to Nyquist, from their spectra.
REACH = 0.72
HEADING = [
    "volumes",
    "ensembles",
    "count",
    "level / defined level: median",
    "5th percentile",
    "95th",
    "Dice ratio mean",
    "5th percentile",
    "worst",
]


def decoder_rows(data: Path, weights: Path, cache: Path, ensembles: Path, processes: int) -> Table:
    """Table of volumes of decoders that are not in the training set.

    Of the benchmark's ensembles, those of validation molecules; of cryoDRGN's network, those in the
    folder ``ensembles``; and those in ``data``/decoders. Without the data, the heading alone.
    """
    network = load_network(weights).network
    files = build_decoder_maps(data / "structures", "validation", cache, ensembles, processes)
    table = [HEADING]
    if files:
        maps = load_maps(files)
        level = predict(network, maps)[:, 0]
        kinds = np.array([f["ensemble"] for f in maps.facts])
        table.append(_row("validation molecules", maps, level.numpy(), np.ones(len(kinds), bool)))
        for kind in EACH["validation"]:
            if (kinds == kind).any():
                table.append(_row(f"of these: {kind}", maps, level.numpy(), kinds == kind))
    for name, stored in _others(data, ensembles):
        path = cache / f"decoder_{sources()}_{name.split(',')[0]}.npz"
        if not path.exists():
            samples = label_volumes(stored, drawn(stored, 40))
            if not samples:
                continue
            write_maps(path, samples)
        maps = load_maps([path])
        level = predict(network, maps)[:, 0]
        table.append(_row(name, maps, level.numpy(), np.ones(len(level), bool)))
    return table


def _others(data: Path, ensembles: Path) -> Iterator[tuple[str, Stored]]:
    for path in sorted(ensembles.glob("network-*.npz")):
        yield f"{path.stem}, cryoDRGN's network", load(path)
    for path in sorted((data / "decoders").glob("*.npz")):
        try:
            yield f"{path.stem}, data/decoders", described(load(path))
        except Absent as reason:
            print(f"{path.stem}: left out, {reason}", flush=True)


def described(stored: Stored) -> Stored:
    """An ensemble of the 50S in data/decoders, with what is known of how it was made."""
    mass = sum(part.mass for part in parts_of("50S", np.random.default_rng(0)))
    whole = low_pass(stored.dens.astype(np.float32).sum(axis=0), REACH)
    made: dict[str, Any] = {
        "name": stored.made["id"],
        "kind": "blocks" if stored.soft.shape[1] else "one state",
        "molecule": "50S",
        "decoder": "subspace",
        "imaging": {"reach": REACH},
        "true_level": enclosing_level(whole, mass * CUBIC_A_PER_DALTON / stored.apix**3),
        "seed": 0,
    }
    return replace(stored, made=made)


def _row(
    name: str, maps: Maps, level: NDArray[np.floating], chosen: NDArray[np.bool_]
) -> list[str]:
    ratio = level_ratios(maps, level)[chosen]
    found = dice_at(maps.dice, torch.from_numpy(np.asarray(level)))
    dice = (found / maps.dice.amax(dim=1)).numpy()[chosen]
    names = {f["name"] for f, c in zip(maps.facts, chosen, strict=True) if c}
    return [
        name,
        str(len(names)),
        str(int(chosen.sum())),
        *(f"{np.percentile(ratio, q):.2f}" for q in (50, 5, 95)),
        f"{dice.mean():.3f}",
        f"{np.percentile(dice, 5):.3f}",
        f"{dice.min():.3f}",
    ]


def level_ratios(maps: Maps, level: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) predicted over defined level, both in the map's units above its background."""
    low, high, background = (
        np.array([f[k] for f in maps.facts]) for k in ("vol_min", "vol_max", "background")
    )

    def above(normalized: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(low + (normalized + 1) / 2 * (high - low) - background)

    return above(level) / above(maps.label.numpy())
