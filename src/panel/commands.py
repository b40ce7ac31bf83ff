"""Turn the values of the panel's fields into commands as a user would type them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..core.blocks.parameters import ExpandParameters, SketchParameters
from ..core.common.parameters import Parameters, camel_case
from ..core.thresholds.parameters import PredictParameters
from ..session.commandline import models_text, names_text, path_text, value_text
from ..session.words import keywords_text as keywords_text

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


def selection_text(names: Sequence[str], excluded: Collection[str], listed: bool = False) -> str:
    """``include`` or ``exclude`` with names, whichever is shorter; "" if all take part. ``listed``:
    ``include``, in any case.
    """
    out = [n for n in names if n in excluded]
    kept = [n for n in names if n not in excluded]
    if not out and not listed:
        return ""
    short = len(out) <= len(kept) and not listed
    word, chosen = ("exclude", out) if short else ("include", kept)
    return f"{word} {names_text(chosen)}"


def parameters_text(
    kind: type[Parameters], values: Mapping[str, Any], between: str = " ", inherits: bool = False
) -> str:
    """The values that differ from SIREn's defaults, as keywords, with this text between two; all
    values for a step that inherits others instead.
    """
    words = []
    for f in dataclasses.fields(kind):
        value = values.get(f.name, f.default)
        if (value != f.default or (inherits and f.name in values)) and value is not None:
            text = value_text(value, f.metadata.get("word", ""))
            words.append(f"{camel_case(f.name)} {text}")
    return between.join(words)


def join(*words: str) -> str:
    """Join the non-empty parts of a command."""
    return " ".join(w for w in words if w)
