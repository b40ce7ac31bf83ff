"""Parameters of prediction, fine-tuning and preprocessing.

No numpy here, so that the help page can be built anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..common.devices import CPU
from ..common.parameters import Parameters, parameter

# best first; the network runs on Apple's mps too, which the pairs of voxels do not
PREDICT_DEVICES = ("auto", CPU, "cuda", "mps")

_WHERE = (
    "where the network runs; auto: a graphics card for the published network, if there is one, "
    "else the processor, which is faster for SIREn's"
)


@dataclass(frozen=True)
class PredictParameters(Parameters):
    """Parameters of prediction."""

    weights: str | None = parameter(
        None,
        "weights file of SIREn for ChimeraX, or a published checkpoint; default: the shipped file",
        advanced=True,
    )
    device: str = parameter(
        "auto",
        _WHERE,
        choices=PREDICT_DEVICES,
    )
    batch_size: int = parameter(
        4,
        "maps per batch in each thread; more take more memory and are no faster",
        minimum=1,
        advanced=True,
        label="maps at once",
    )
    together: bool = parameter(
        False,
        "harmonize the levels of an ensemble by the relative scales of its volumes",
        label="harmonize levels",
    )


@dataclass(frozen=True)
class FinetuneParameters(Parameters):
    """Parameters of fine-tuning; defaults that depend on the architecture are in DEFAULTS."""

    weights: str | None = parameter(None, "weights file to start from; default: the shipped file")
    epochs: int | None = parameter(
        None, "passes over the training maps (30; published architecture 5)", minimum=1
    )
    learning_rate: float | None = parameter(
        None, "step size of Adam (0.0003; published architecture 0.000001)", above=0
    )
    batch_size: int = parameter(4, "maps per optimizer step", minimum=1)
    folds: int | None = parameter(
        None,
        "folds of cross-validation (4; published architecture 1: a single validation share)",
        minimum=1,
    )
    validation: float | None = parameter(
        None, "with one fold, share of the labels for validation (0.1)", above=0, maximum=0.5
    )
    held_out: float | None = parameter(
        None,
        "share of the labels held out to measure the result (0.2; published architecture 0.1)",
        above=0,
        maximum=0.5,
    )
    seed: int = parameter(0, "seed of the split and of the training order", minimum=0)
    device: str = parameter(
        "auto",
        _WHERE,
        choices=PREDICT_DEVICES,
    )

    def filled(self, kind: str) -> FinetuneParameters:
        """Fill in the defaults of an architecture, ``siren`` or ``published``."""
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
    """Parameters of preprocessing."""

    box: int = parameter(64, "voxels per side of the downsampled maps", minimum=8)
    normalised: bool = parameter(False, "also write maps normalized to -1 ... 1")
    labels: str | None = parameter(None, "csv of levels set by eye (template.csv) to normalize")
