"""Parameters of a step: name, default, unit, bounds and help text in one place.

The command, the panel, the record and the API share one frozen dataclass.
"""

from __future__ import annotations

import dataclasses
import numbers
import re
from typing import Any

from .errors import SirenError


def parameter(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    advanced: bool = False,
    statistics: tuple[str, ...] = (),
    label: str = "",
    word: str = "",
    words: tuple[str, ...] = (),
) -> Any:
    """Define a dataclass field with the metadata that commands, panel and validation use.

    Parameters
    ----------
    default : Any
        None means "not given".
    help : str
        One phrase for help pages and tooltips.
    minimum, maximum : float, optional
        Inclusive bounds.
    above : float, optional
        Exclusive lower bound.
    unit : str
        For display.
    choices : tuple of str
        The only values allowed.
    advanced : bool
        Rarely changed; collapsed on the panel.
    statistics : tuple of str
        Statistics that use the parameter; empty for all.
    label : str
        Name on the panel; derived from the keyword if empty.
    word : str
        What a str stands for, as in "address"; a file name if empty.
    words : tuple of str
        Words allowed besides values of the field's type.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "minimum": minimum,
            "maximum": maximum,
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
    """Base of all parameter sets; values are checked once, on construction.

    Raises
    ------
    SirenError
        If a value is out of bounds.
    """

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            _check(f, getattr(self, f.name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, for the run's record."""
        return dataclasses.asdict(self)


def camel_case(name: str) -> str:
    """Keyword of a parameter as the user types it: ``pospFactor`` for ``posp_factor``, and ``with``
    for ``with_``, since Python keeps that word for itself.
    """
    return re.sub(r"_(\w)", lambda m: m[1].upper(), name).rstrip("_")


LARGEST = 1e300  # beyond it, whole numbers cannot be shown as others
_KINDS: dict[str, tuple[type, str]] = {
    "bool": (bool, "true or false"),
    "int": (numbers.Integral, "a whole number"),
    "float": (numbers.Real, "a number"),
    "str": (str, "a text"),
}


def _check_kind(f: dataclasses.Field[Any], name: str, value: Any) -> None:
    """Refuse a value of another kind, as a damaged record may have."""
    kinds = [kind.strip() for kind in str(f.type).split("|") if kind.strip() != "None"]
    if not all(kind in _KINDS for kind in kinds):
        return
    for kind in kinds:
        number = kind in ("int", "float")
        if isinstance(value, _KINDS[kind][0]) and not (number and isinstance(value, bool)):
            return
    shown = str(value)
    raise SirenError(
        f"{name} {shown if len(shown) <= 40 else shown[:37] + '...'} is not valid: give "
        f"{' or '.join(_KINDS[kind][1] for kind in kinds)}."
    )


def _check(f: dataclasses.Field[Any], value: Any) -> None:
    if value is None or "help" not in f.metadata:
        return
    name, low, high, above = (
        camel_case(f.name),
        f.metadata["minimum"],
        f.metadata["maximum"],
        f.metadata["above"],
    )
    _check_kind(f, name, value)
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
        shown = f"{value:g}" if abs(value) < LARGEST else "so large"
        raise SirenError(
            f"{name} {shown} is out of bounds: give {' and '.join(b for b in bounds if b)}."
        )
