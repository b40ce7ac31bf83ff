"""What programs leave beside the states of an ensemble: half maps, masks, means, eigenvolumes.

They are recognized by their names, as RECOVAR, cryoDRGN, tomoDRGN, cryoSPARC and RELION give them,
and by what they hold: a map that is only named like one is a volume like the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.errors import SirenError, join_names, typed
from ..common.progress import Progress
from .mapfile import COMPRESSIONS, SUFFIXES
from .source import Source

_START, _END = r"(?:^|[_\-. /])", r"(?=$|[_\-. ])"
HALF, UNFILTERED, MASK, EIGEN = "half map", "unfiltered map", "mask", "eigenvolume"
VARIANCE, MEAN, RESOLUTION = "variance map", "mean or reference", "local resolution map"
COPY, DIAGNOSTIC, ITERATION = "processed copy", "diagnostic map", "earlier iteration"
#: Kinds by name, the first that matches; names are in lower case and without the suffix of maps.
_KINDS = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        # RECOVAR state000_half1_unfil, RELION run_half1_class001_unfil, cryoSPARC _map_half_A,
        # cryoDRGN half_map_a, tomoDRGN _half1
        (HALF, rf"{_START}half[_-]?(?:map[_-]?)?[12ab]{_END}"),
        # RECOVAR's diagnostics
        (DIAGNOSTIC, rf"{_START}(?:sampling|choice|filtered_before|cv_\w+|ml_optimized_auc){_END}"),
        # mask, dilated_mask, J5_volume_mask_fsc_auto, postprocess_automask, mask16
        (MASK, rf"{_START}(?:auto)?masks?\d*{_END}"),
        # RECOVAR eigen_pos0000, cryoSPARC J5_component_0 (the frames of a series go on)
        (EIGEN, rf"{_START}eigen|{_START}component_\d+$"),
        # RECOVAR variance4, cryoDRGN state_0_std
        (VARIANCE, rf"{_START}(?:variance\d*|std(?:ev)?){_END}"),
        (RESOLUTION, rf"{_START}(?:locres|local_resolution)(?:_smooth)?$"),
        (UNFILTERED, rf"{_START}unfil(?:tered)?{_END}"),
        # RECOVAR mean_filt, cryoDRGN vol_mean and reconstruct.49, RELION postprocess, cryoSPARC
        # J5_map beside J5_component_0
        (
            MEAN,
            rf"{_START}(?:mean|consensus|reference|ref|average|avg|backproject|reconstruct"
            rf"|postprocess){_END}|^(?:cryosparc_p\d+_)?j\d+_map$",
        ),
    )
)
_NEXT_BEST = (MEAN, COPY, UNFILTERED)  # kinds that are states where a folder has no better
# of a map that is there, too: cryoSPARC _sharp, cryoDRGN .masked, _flipped and _inverted, RECOVAR
_COPY = re.compile(
    r"[_.](?:sharp(?:ened)?|masked|flipped|inverted|filt(?:ered)?|smooth|locres_filtered|nob)$"
)
# RELION run_it025_class001; cryoSPARC J12_class_00_00042_volume and J12_005_volume_map
_ITERATIONS = (
    re.compile(r"^(?P<family>.*)_it(?P<number>\d+)(?P<rest>_.*class\d+.*)$"),
    re.compile(
        r"^(?P<family>(?:cryosparc_p\d+_)?j\d+_class)(?P<rest>_\d+)_(?P<number>\d{4,}|final)_volume$"
    ),
    re.compile(
        r"^(?P<family>(?:cryosparc_p\d+_)?j\d+)_(?P<number>\d{3})(?P<rest>_volume_map(?:_sharp)?)$"
    ),
)


@dataclass(frozen=True)
class Companions:
    """The maps beside the states.

    Attributes
    ----------
    kinds : dict of str
        Kind by name, such as ``half map``, in the order of the maps.
    doubtful : dict of str
        Kind by name, of maps that are named like one but hold something else: they are used.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, str] = field(default_factory=dict)

    def without(self, asked: Collection[str]) -> Companions:
        """The same, but for maps that the user asked for."""
        return Companions({n: k for n, k in self.kinds.items() if n not in asked}, self.doubtful)

    def among(self, names: Collection[str]) -> Companions:
        """Those of these maps."""
        chosen = set(names)
        return Companions(
            {n: k for n, k in self.kinds.items() if n in chosen},
            {n: k for n, k in self.doubtful.items() if n in chosen},
        )

    def notes(self) -> list[str]:
        """What was left out and what was not, one sentence each."""
        notes = []
        if self.kinds:
            names: dict[str, list[str]] = {}
            for name, kind in self.kinds.items():
                names.setdefault(kind, []).append(name)
            parts = [
                f"{len(n):,} {_plural(kind, len(n))} ({join_names(n, 1)})"
                for kind, n in names.items()
            ]
            some = next(iter(self.kinds))
            notes.append(
                f"Left out, as no states of the ensemble: {', '.join(parts)}. To use one all the "
                f'same, name it: "include {typed(some)}".'
            )
        for kind in dict.fromkeys(self.doubtful.values()):
            names_of = [n for n, k in self.doubtful.items() if k == kind]
            notes.append(
                f"{join_names(names_of)}: named like {_plural(kind, 2)}, but what "
                f"{'it holds' if len(names_of) == 1 else 'they hold'} is none; used as volumes. "
                "Exclude them if they are."
            )
        return notes


def find_companions(
    sources: Sequence[Source], minimum: int = 2, progress: Progress | None = None
) -> Companions:
    """Find the maps that are no states, by name and by content.

    Only maps whose names say so, or whose names are unlike all others', are read, a few of each
    kind. Where fewer than ``minimum`` maps would be left, these maps are what the user wants, and
    there are no companions.

    Parameters
    ----------
    sources : sequence of Source
    minimum : int
        Least number of states.
    progress : Progress, optional

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    by_name = kinds_by_name([s.name for s in sources])
    for kind in (None, *_NEXT_BEST):  # means of clusters are states where there are no others
        by_name = {n: k for n, k in by_name.items() if k != kind}
        states = [s for s in sources if s.name not in by_name]
        if len(states) >= max(2, minimum):
            break
    else:
        return Companions()
    progress = progress or Progress()
    progress.step("looking for masks and half maps")
    typical = _typical(states) if by_name else None
    kinds: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    for kind in dict.fromkeys(by_name.values()):
        some = [s for s in sources if by_name.get(s.name) == kind]
        seen = [holds(kind, s, typical) for s in _spread(some, constants.COMPANIONS_READ)]
        target = doubtful if seen.count(False) > len(seen) / 2 else kinds
        target.update({s.name: kind for s in some})
    for source in _rare_names(states):
        progress.step("looking for masks and half maps")
        values = _values(source)
        if values is not None and is_mask(values):
            kinds[source.name] = MASK
    return Companions({s.name: kinds[s.name] for s in sources if s.name in kinds}, doubtful)


def kinds_by_name(names: Sequence[str]) -> dict[str, str]:
    """The kinds that names say, by name; names that say nothing are missing.

    Of ``state000.mrc``, ``state000_half1_unfil.mrc`` and ``mask.mrc`` the second is a half map, the
    third a mask.
    """
    stems = {name: _stem(name) for name in names}
    present = set(stems.values())
    result: dict[str, str] = {}
    for name, stem in stems.items():
        kind = next((k for k, pattern in _KINDS if pattern.search(stem)), None)
        if kind is None and (copy := _COPY.search(stem)) and stem[: copy.start()] in present:
            kind = COPY
        if kind is not None:
            result[name] = kind
    result.update(_earlier_iterations({n: s for n, s in stems.items() if n not in result}))
    return {name: result[name] for name in names if name in result}


def holds(kind: str, source: Source, typical: NDArray[np.float64] | None) -> bool | None:
    """Whether a map holds what its kind does; None where it cannot be read or compared.

    Parameters
    ----------
    typical : coarse map of the states, see :func:`coarse`
    """
    values = _values(source)
    if values is None:
        return None
    if kind == MASK:
        return is_mask(values)
    if kind in (VARIANCE, RESOLUTION):
        return bool(values.min() >= -1e-6 * values.max())
    if kind == DIAGNOSTIC or typical is None:
        return None
    likeness = float(np.corrcoef(coarse(values).ravel(), typical.ravel())[0, 1])
    if kind == EIGEN:  # an eigenvolume is no density: it has both signs, and is not like the states
        return bool(values.min() < 0 < values.max() and likeness < constants.STATE_LIKENESS)
    return likeness > constants.COMPANION_LIKENESS


def is_mask(values: NDArray[np.floating]) -> bool:
    """Whether a map is a mask: from 0 to 1, much of it 0, and a part exactly 1."""
    low, high = float(values.min()), float(values.max())
    if not (-1e-6 <= low <= 0 and 0.999 <= high <= 1.001):
        return False
    empty, full = float(np.mean(values <= 1e-6)), int(np.count_nonzero(values >= high - 1e-4))
    return empty >= 0.1 and full >= max(constants.MASK_TOP, 1e-4 * values.size)


def is_density(values: NDArray[np.floating]) -> bool:
    """Whether a map is a density, whatever its values are scaled to: the inside of a mask is flat,
    however soft its edge. Whole numbers are a mask or labels.
    """
    known = values[np.isfinite(values)]
    low, high = float(known.min(initial=0)), float(known.max(initial=0))
    if high <= 0 or (known == np.round(known)).all():
        return False
    if np.count_nonzero(known >= high - 1e-3 * (high - low)) >= constants.MASK_TOP:
        return False
    full, inside = (np.count_nonzero(known > part * high) for part in (0.9, 0.1))
    return bool(full < constants.MASK_FLAT * inside)


def coarse(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """A map in COARSE_PARTS parts along each axis, the mean of each."""
    result = np.asarray(values, np.float64)
    for axis, length in enumerate(values.shape):
        parts = min(constants.COARSE_PARTS, length)
        starts = np.arange(parts) * length // parts
        sizes = np.diff(np.append(starts, length))
        result = np.add.reduceat(result, starts, axis=axis)
        result /= sizes.reshape([-1 if a == axis else 1 for a in range(3)])
    return result


def _typical(states: Sequence[Source]) -> NDArray[np.float64] | None:
    """Mean of some states, coarse; None if none can be read."""
    maps = [
        coarse(v)
        for s in _spread(states, constants.COMPANIONS_READ)
        if (v := _values(s)) is not None
    ]
    maps = [m for m in maps if m.shape == maps[0].shape]
    return np.mean(maps, axis=0) if maps else None


def _values(source: Source) -> NDArray[np.float32] | None:
    try:
        values = source.read_as_is()
    except SirenError:  # whoever needs the map will say what is wrong with it
        return None
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _spread(sources: Sequence[Source], count: int) -> list[Source]:
    """So many of the maps, evenly over all."""
    places = np.unique(np.linspace(0, len(sources) - 1, min(count, len(sources))).astype(int))
    return [sources[i] for i in places]


def _rare_names(sources: Sequence[Source]) -> list[Source]:
    """The maps whose names differ from nearly all others' by more than their numbers."""
    forms = [re.sub(r"\d+", "0", _stem(s.name)) for s in sources]
    counts: dict[str, int] = {}
    for form in forms:
        counts[form] = counts.get(form, 0) + 1
    if max(counts.values()) < constants.USUAL_NAMES * len(sources):
        return []
    return [s for s, form in zip(sources, forms, strict=True) if counts[form] <= 2][
        : 2 * constants.COMPANIONS_READ
    ]


def _earlier_iterations(stems: dict[str, str]) -> dict[str, str]:
    """The maps of all but the last iteration of a classification or refinement."""
    places: dict[str, tuple[tuple[int, str], float]] = {}
    last: dict[tuple[int, str], float] = {}
    for name, stem in stems.items():
        for n, pattern in enumerate(_ITERATIONS):
            if match := pattern.match(stem):
                number = match["number"]
                place = np.inf if number == "final" else float(number)
                key = (n, match["family"])
                places[name] = (key, place)
                last[key] = max(last.get(key, -1.0), place)
                break
    return {name: ITERATION for name, (key, place) in places.items() if place < last[key]}


def _stem(name: str) -> str:
    lower = name.lower()
    ending = next((s + c for s in SUFFIXES for c in COMPRESSIONS if lower.endswith(s + c)), "")
    return lower[: len(lower) - len(ending)].rpartition("/")[2]


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return kind
    return {MEAN: "means or references", COPY: "processed copies"}.get(kind, kind + "s")
