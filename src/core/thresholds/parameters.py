"""Parameters of predicting, fine-tuning and preprocessing. No numpy here, so that the help page can
be written anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..common.devices import CPU
from ..common.parameters import Parameters, parameter

DEVICES = ("auto", CPU, "cuda", "mps")


@dataclass(frozen=True)
class PredictParameters(Parameters):
    """How to predict."""

    weights: str | None = parameter(
        None,
        "weights file of SIREn for ChimeraX, or a published checkpoint; the shipped one "
        "where not given",
        advanced=True,
    )
    device: str = parameter(
        "auto",
        "where the network runs; auto takes a graphics card where there is one",
        choices=DEVICES,
    )
    batch_size: int = parameter(
        4,
        "maps that each thread shows the network at once; more take more memory and are no faster",
        least=1,
        advanced=True,
        label="maps at once",
    )
    together: bool = parameter(
        False,
        "bring the levels of an ensemble into line with each other by the scales of its volumes",
        label="bring levels into line",
    )


@dataclass(frozen=True)
class FinetuneParameters(Parameters):
    """How to fine-tune. What is not given depends on the architecture: see DEFAULTS."""

    weights: str | None = parameter(
        None, "weights file to start from; the shipped one where not given"
    )
    epochs: int | None = parameter(
        None, "times that each training map is shown (30; published architecture 5)", least=1
    )
    learning_rate: float | None = parameter(
        None, "step size of Adam (0.0003; published architecture 0.000001)", above=0
    )
    batch_size: int = parameter(4, "maps for one step", least=1)
    folds: int | None = parameter(
        None,
        "parts of the labels of which each validates in turn (4; "
        "published architecture 1: one share "
        "validates)",
        least=1,
    )
    validation: float | None = parameter(
        None, "with one fold, share of the labels that chooses the epoch (0.1)", above=0, most=0.5
    )
    held_out: float | None = parameter(
        None,
        "share of the labels that only measures the outcome (0.2; published architecture 0.1)",
        above=0,
        most=0.5,
    )
    seed: int = parameter(0, "seed of the split and the order", least=0)
    device: str = parameter(
        "auto",
        "where the network runs; auto takes a graphics card where there is one",
        choices=DEVICES,
    )

    def filled(self, kind: str) -> FinetuneParameters:
        """With the defaults of an architecture in place of what was not given."""
        return replace(
            self, **{k: v for k, v in DEFAULTS[kind].items() if getattr(self, k) is None}
        )


DEFAULTS: dict[str, dict[str, Any]] = {
    "siren": {"epochs": 30, "learning_rate": 3e-4, "folds": 4, "validation": 0.1, "held_out": 0.2},
    "published": {
        "epochs": 5,
        "learning_rate": 1e-6,
        "folds": 1,
        "validation": 0.1,
        "held_out": 0.1,
    },
}


@dataclass(frozen=True)
class PreprocessParameters(Parameters):
    """What to make."""

    box: int = parameter(64, "voxels a side of the copies", least=8)
    normalised: bool = parameter(False, "also write copies normalised to -1 ... 1")
    labels: str | None = parameter(None, "a csv of levels set by eye (template.csv) to normalise")
