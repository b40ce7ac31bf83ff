"""Turn the values of the panel's fields into commands as a user would type them."""

from __future__ import annotations

import os

from ..core.blocks.parameters import ExpandParameters, SketchParameters
from ..core.common.parameters import Parameters
from ..core.thresholds.parameters import PredictParameters
from ..session.commandline import models_text, path_text
from ..session.words import keywords_text as keywords_text
from ..session.words import parameters_text as parameters_text
from ..session.words import selection_text as selection_text

STEPS: dict[str, type[Parameters]] = {
    "predict": PredictParameters,
    "sketch": SketchParameters,
    "expand": ExpandParameters,
}

INSTALL_TORCH = "siren install torch"
WITH_TORCH = ("siren predict", "siren finetune")  # commands that cannot do without


def volumes_text(volumes: str) -> str:
    """Volumes as text for a command: open maps (``#1-20``) unchanged, paths quoted if need be."""
    return models_text(volumes) or path_text(tidied(volumes))


def tidied(volumes: str) -> str:
    """The entry of the volumes field, written one way: its choices are found by it."""
    text = os.path.expanduser(volumes)
    if not os.path.exists(text):  # a name may begin or end with a blank
        text = os.path.expanduser(volumes.strip())
    return text.rstrip("/") or text


def join(*words: str) -> str:
    """Join the non-empty parts of a command."""
    return " ".join(w for w in words if w)
