"""Parameters of a step: name, default, unit, bounds and help text in one place.

The command, the panel, the record and the API all read the same frozen dataclass.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from .errors import SirenError


def parameter(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    advanced: bool = False,
    statistics: tuple[str, ...] = (),
    label: str = "",
    word: str = "",
    words: tuple[str, ...] = (),
) -> Any:
    """A dataclass field with what a command, a panel and a check need to know of it.

    Parameters
    ----------
    default : value; None means "not given".
    help : one phrase for help pages and tooltips.
    least, most : inclusive bounds.
    above : exclusive lower bound.
    unit : for display.
    choices : the words allowed.
    advanced : seldom changed: a panel folds it away.
    statistics : the statistics to which it belongs; all when empty.
    label : its name on a panel, where the keyword as words would not do.
    word : what a str stands for, as in "address"; it is a file's name where this is not given.
    words : words allowed beside the values of its type.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "least": least,
            "most": most,
            "above": above,
            "unit": unit,
            "choices": choices,
            "advanced": advanced,
            "statistics": statistics,
            "label": label,
            "word": word,
            "words": words,
        },
    )


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Base of all parameter sets: values are checked once, when made.

    Raises
    ------
    SirenError
        If a value is out of bounds.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _check(f, getattr(self, f.name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, for the record."""
        return dataclasses.asdict(self)


def camel_case(name: str) -> str:
    """The name that a user types: ``posp_factor`` is ``pospFactor``."""
    return re.sub(r"_(\w)", lambda m: m[1].upper(), name)


def _check(f: dataclasses.Field[Any], value: Any) -> None:
    if value is None or "help" not in f.metadata:
        return
    name, low, high, above = (
        camel_case(f.name),
        f.metadata["least"],
        f.metadata["most"],
        f.metadata["above"],
    )
    if f.metadata["choices"] and value not in f.metadata["choices"]:
        raise SirenError(f"{name} {value} is not known: give {' or '.join(f.metadata['choices'])}.")
    if f.metadata["words"] and isinstance(value, str) and value not in f.metadata["words"]:
        raise SirenError(
            f"{name} {value} is not known: give true, false or {' or '.join(f.metadata['words'])}."
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not (
        (low is None or value >= low)
        and (high is None or value <= high)
        and (above is None or value > above)
    ):
        bounds = [
            f"at least {low:g}" if low is not None else "",
            f"above {above:g}" if above is not None else "",
            f"at most {high:g}" if high is not None else "",
        ]
        raise SirenError(
            f"{name} {value:g} is out of bounds: give {' and '.join(b for b in bounds if b)}."
        )
