"""Turn the values of the panel's fields into commands as a user would type them."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from chimerax.core.commands import StringArg

from ..core.blocks.parameters import ExpandParameters, SketchParameters
from ..core.common.parameters import Parameters, camel_case
from ..core.thresholds.parameters import PredictParameters
from ..session.words import path_text

STEPS: dict[str, type[Parameters]] = {
    "predict": PredictParameters,
    "sketch": SketchParameters,
    "expand": ExpandParameters,
}

INSTALL_TORCH = "siren install torch"
WITH_TORCH = ("siren predict", "siren finetune")  # commands that cannot do without


def volumes_text(volumes: str) -> str:
    """Volumes as text for a command: open maps (``#1-20``) unchanged, paths quoted if need be."""
    volumes = volumes.strip()
    return volumes if volumes.startswith("#") else path_text(Path(volumes).expanduser())


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
    return f"{word} {','.join(_quoted(n) for n in chosen)}"


def parameters_text(kind: type[Parameters], values: Mapping[str, Any], between: str = " ") -> str:
    """The values that differ from the defaults, as keywords, with this text between two."""
    words = []
    for f in dataclasses.fields(kind):
        value = values.get(f.name, f.default)
        if value != f.default and value is not None:
            words.append(f"{camel_case(f.name)} {_value_text(value)}")
    return between.join(words)


def keywords_text(**values: Any) -> str:
    """The keywords that have a value, in order; paths quoted if need be."""
    return " ".join(
        f"{camel_case(name)} {_value_text(value)}"
        for name, value in values.items()
        if value not in (None, "")
    )


def join(*words: str) -> str:
    """Join the non-empty parts of a command."""
    return " ".join(w for w in words if w)


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path):
        return path_text(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    return (
        path_text(Path(value))
        if isinstance(value, str) and ("/" in value or " " in value)
        else str(value)
    )


def _quoted(name: str) -> str:
    text = str(StringArg.unparse(name))
    return f'"{text}"' if "," in text and not text.startswith(('"', "'")) else text
