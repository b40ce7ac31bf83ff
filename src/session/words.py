"""Words that commands, log and panel share; quick to import."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.common import constants
from ..core.common.parameters import Parameters, camel_case
from .commandline import names_text, value_text
from .commandline import path_text as path_text

if TYPE_CHECKING:
    from ..core.runs.places import Borrowed
    from ..core.runs.record import Record

# below this, finding nothing is expected: the published tool asks for 200 or more
FEW_VOLUMES = 100
# where a word may be broken; closed, as ChimeraX saves the log by a parser that would nest each
# <wbr> in the one before, and leaves out what is nested 256 times
BREAK = "<wbr/>"
LONG_WORD = 24  # characters; a docked log may hold no more of them in a line


def counted(number: int, noun: str) -> str:
    """As "1 block" or "2,000 blocks"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def breakable(text: str) -> str:
    """HTML of a text whose long words, as paths, may be broken at slashes and in long names: the
    log is as wide as its longest word, and would scroll sideways.
    """
    return "".join(
        BREAK.join(map(escape, _parts(word))) if len(word) > LONG_WORD else escape(word)
        for word in re.split(r"(\s+)", text)
    )


def _parts(word: str) -> list[str]:
    parts: list[str] = []
    for name in re.findall(r"[^/\\]*[/\\]+|[^/\\]+", word):
        long = len(name) > LONG_WORD
        parts += re.findall(rf"[^_.,-]{{1,{LONG_WORD}}}[_.,-]*|[_.,-]+", name) if long else [name]
    return parts


def say_in(log: Callable[..., Any], session: Any, sentence: str) -> None:
    """Log a plain sentence with one of the methods of the session's logger. In the log of a window,
    its long words may be broken.
    """
    html = breakable(sentence)
    if session.ui.is_gui and BREAK in html:
        log(html.replace("\n", "<br>\n"), is_html=True)
    else:
        log(sentence)


def gone_text(folder: str | Path) -> str:
    """What to do where the folder of open blocks is no longer there."""
    return (
        f"{folder} was moved, renamed or deleted. Its blocks are kept in the session and can be "
        'edited; to save and expand them, say where it is now: "siren locate FOLDER".'
    )


def borrowed_text(folder: Path, borrowed: Borrowed, remedy: bool = True) -> str:
    """Which volumes a run uses that was copied or moved without its own, and how to name others;
    without the latter where a button is beside it.
    """
    text = (
        f"{folder if remedy else folder.name} was copied or moved without its volumes: they are "
        f"not in {borrowed.own}, so those in {borrowed.used} are used."
    )
    if not remedy:
        return text
    return (
        f'{text} To use others, or to keep these: "siren locate VOLUMES run {path_text(folder)}".'
    )


def keywords_text(**values: Any) -> str:
    """The keywords that have a value, in order, as text for a command."""
    return " ".join(
        f"{camel_case(name)} {value_text(value)}"
        for name, value in values.items()
        if value not in (None, "")
    )


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


def carried(
    output_dir: str | None,
    voxel_size: float | None,
    include: Sequence[str],
    exclude: Sequence[str],
) -> str:
    """What the next command on the same volumes needs, too: their selection and the output
    folder.
    """
    words = [keywords_text(output_dir=Path(output_dir) if output_dir else None)]
    words += [f"include {names_text(include)}"] if include else []
    words += [f"exclude {names_text(exclude)}"] if exclude else []
    words.append(keywords_text(voxel_size=voxel_size))
    return " ".join(word for word in words if word)


def nothing_found(record: Record) -> str:
    """Why a sketch found no blocks, and what to try."""
    used = record.counts.get("volumes_used", len(record.volumes))
    vary = record.counts.get("union_voxels", 0)
    found = [v.get("fingerprint") for v in record.used]
    if len(found) > 1 and None not in found and len(set(found)) == 1:
        return f"All {len(found)} volumes are copies of one map: give the volumes of an ensemble."
    if vary < 2 and used >= constants.MIN_VOLUMES_FOR_MAJORITY:
        return (
            "Every voxel is occupied in nearly all volumes or in almost none: the contour levels "
            "are too low or too high for these maps. Look at some volumes at their contour levels, "
            'and predict the levels ("siren predict") or give others.'
        )
    if used < FEW_VOLUMES:
        return (
            f"No significant pairs of voxels: {used} volumes are few, and significance takes "
            "hundreds. Decode more volumes from the same training."
        )
    return (
        "No significant pairs of voxels. Check some open volumes at their contour levels "
        '("siren predict #1-5" sets them), or try a larger posp.'
    )
