"""Parts whose occupancy is asked: blocks, masks with their references, chains of a model.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.parts import part_from_array

    soft = np.zeros((16, 16, 16), np.float32)
    soft[4:8, 4:8, 4:8] = 0.5
    part_from_array("uL2", soft, reference=24.0).total  # -> 32.0
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..blocks.blockset import BlockSet
from ..blocks.region import IDENTITY, Mask, on_volumes
from ..common import constants
from ..common.errors import SirenError, join_names
from ..common.progress import Progress
from ..maps.companions import is_density
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid, fourier_resample
from ..maps.mapfile import natural_key
from ..maps.placement import is_moved
from ..maps.source import Source
from .annotation import Atoms
from .parameters import OccupancyParameters

BLOCK = "block_"  # and the number: name of a block, as in states.csv
_SUFFIX = re.compile(r"\.(?:mrc|map|ccp4|rec)(?:\.(?:gz|bz2))?$", re.IGNORECASE)
_MASK_WORD = re.compile(r"^masks?[_\-. ]+|[_\-. ]+masks?$", re.IGNORECASE)
_REFERENCE_WORD = re.compile(
    r"^(?:ref(?:erence)?s?|molmap|sim)[_\-. ]+|[_\-. ]+(?:ref(?:erence)?s?|molmap|sim)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """Voxels that count, and how much.

    Attributes
    ----------
    name : unique; stands in tables
    voxels : (n,) flat indices of the grid of the volumes, ascending
    weights : (n,) float32, the mask there
    reference : sum of the density of the part where it is whole; None without a reference
    origin : what the part comes from, in words
    label : name given by the user, "" if none
    number : of the block; None if it is none
    path : file of the mask
    """

    name: str
    voxels: NDArray[np.int64] = field(repr=False)
    weights: NDArray[np.float32] = field(repr=False)
    reference: float | None = None
    origin: str = ""
    label: str = ""
    number: int | None = None
    path: Path | None = None

    @property
    def total(self) -> float:
        """Sum of the mask."""
        return float(self.weights.sum(dtype=np.float64))

    @property
    def shown(self) -> str:
        """Name for a figure or a sentence."""
        if self.number is None:
            return self.name
        return f"{self.number}  {self.label}" if self.label else f"block {self.number}"


def part_from_array(
    name: str,
    mask: NDArray[np.floating],
    reference: float | NDArray[np.floating] | None = None,
    origin: str = "",
    file: str = "",
) -> Part:
    """A part from a mask (z, y, x), 0 to 1, on the grid of the volumes.

    Parameters
    ----------
    reference : density of the whole part (any shape), or its sum
    origin : what it comes from, in words
    file : name of the mask for errors; default: that of the part

    Raises
    ------
    SirenError
        If the mask is empty or is none, or the reference has no density.
    """
    values = np.asarray(mask, np.float32).ravel()
    low, high = float(values.min()), float(values.max())
    tolerance = constants.MASK_TOLERANCE
    if not (np.isfinite(low) and -tolerance <= low and high <= 1 + tolerance):
        raise SirenError(
            f"{file or name} is no mask: its values are {low:.4g} to {high:.4g}, those of a mask "
            "0 to 1. Give the mask, or make one of the map."
        )
    voxels = np.flatnonzero(values)
    if high <= 0:
        raise SirenError(
            f"The mask {file or name} is empty: no voxel is above 0. Leave it out, or make "
            "it again."
        )
    total = None if reference is None else float(np.asarray(reference).sum(dtype=np.float64))
    if total is not None and not (np.isfinite(total) and total > 0):
        raise SirenError(
            f"The reference of {file or name} sums to {total:.4g}: give the density of the "
            "whole part, whose sum is above 0."
        )
    return Part(name, voxels, values[voxels], total, origin)


def block_parts(blocks: BlockSet) -> list[Part]:
    """The blocks of a set as parts, ``block_1`` and so on."""
    return [
        Part(
            f"{BLOCK}{number}",
            voxels,
            np.ones(len(voxels), np.float32),
            origin=f"block {number}",
            label=blocks.names.get(number, ""),
            number=number,
        )
        for number, voxels in blocks
    ]


def mask_parts(
    masks: Sequence[Mask],
    ensemble: Ensemble,
    references: Sequence[Source] | None = None,
    progress: Progress | None = None,
) -> list[Part]:
    """Parts from masks, in natural order of their names, on the grid of the volumes.

    A mask, or a reference, with as many voxels as the volumes is taken voxel by voxel. One of
    another number of voxels in the same box is resampled.

    Parameters
    ----------
    masks : files, or open maps with their placement
    references : density of each whole part, paired with the masks by :func:`pair_references`

    Raises
    ------
    SirenError
        If one cannot be read, is no mask, or lies in another box; if two have one name; if the
        references cannot be paired with the masks.
    """
    progress, said = progress or Progress(), list[str]()
    aside = Progress(say=said.append)
    masks = sorted(masks, key=lambda m: natural_key(m.source.name))
    names = part_names([m.source.name for m in masks])
    pairs = (
        [None] * len(masks)
        if references is None
        else [
            references[k]
            for k in pair_references([m.source.name for m in masks], [r.name for r in references])
        ]
    )
    parts = []
    each = progress.each(list(zip(masks, names, pairs, strict=True)), "reading masks", len(masks))
    for mask, name, reference in each:
        source = mask.source
        values = _placed(mask, ensemble, aside)
        whole = None if reference is None else _placed(Mask(reference), ensemble, aside)
        part = part_from_array(name, values, whole, f"mask {source.name}", source.name)
        if is_density(values):
            progress.say(
                f"{source.name} is a density rather than a mask: each voxel counts by its value."
            )
        note = "" if reference is None else f", reference {reference.name}"
        parts.append(replace(part, origin=part.origin + note, path=source.path))
    if said:  # the same of each of many masks, most likely
        more = f" So were {len(said) - 1} more." if len(said) > 1 else ""
        progress.say(said[0] + more)
    return parts


def chain_parts(
    atoms: Atoms, grid: Grid, parameters: OccupancyParameters | None = None
) -> list[Part]:
    """A part for each chain of an atomic model: the voxels that are closer to an atom of it than to
    one of another, and near enough to it, see :func:`chain_reach`.

    Parameters
    ----------
    atoms : in the frame of the volumes
    grid : of the volumes

    Raises
    ------
    SirenError
        If no atom is in the box of the volumes.
    """
    reach = chain_reach(grid, parameters)
    names = sorted(set(atoms.chains.tolist()), key=natural_key)
    position = {name: k for k, name in enumerate(names)}
    owner = np.array([position[c] for c in atoms.chains.tolist()], np.int64)
    places = np.asarray(atoms.points, np.float64)
    size, origin = np.array(grid.voxel_size), np.array(grid.origin)
    shape = np.array(grid.shape[::-1])
    low = np.clip(np.floor((places.min(axis=0) - reach - origin) / size), 0, shape).astype(int)
    high = np.clip(np.ceil((places.max(axis=0) + reach - origin) / size) + 1, 0, shape).astype(int)
    found: list[NDArray[np.int64]] = []
    if (high > low).all():
        z, y, x = np.meshgrid(
            *(np.arange(low[a], high[a]) for a in (2, 1, 0)), indexing="ij", sparse=False
        )
        flat = np.ravel_multi_index((z.ravel(), y.ravel(), x.ravel()), grid.shape)
        distance, nearest = cKDTree(places).query(
            grid.points(flat), distance_upper_bound=reach * (1 + 1e-9)
        )
        inside = np.isfinite(distance)
        flat, of = flat[inside], owner[nearest[inside]]
        found = [np.sort(flat[of == k]).astype(np.int64) for k in range(len(names))]
    if not any(len(v) for v in found):
        raise SirenError(
            "No atom of the model is in the box of the volumes: fit it into one of "
            'them first, as with "fitmap #3 inMap #1".'
        )
    return [
        Part(
            f"chain_{name}",
            voxels,
            np.ones(len(voxels), np.float32),
            origin=f"chain {name}, within {reach:.3g} A of its atoms",
            label=atoms.names.get(name, ""),
        )
        for name, voxels in zip(names, found, strict=True)
        if len(voxels)
    ]


def chain_reach(grid: Grid, parameters: OccupancyParameters | None = None) -> float:
    """How far from its atoms a chain reaches, in Angstrom.

    If ``parameters.within`` is not given, the larger of CHAIN_REACH and CHAIN_VOXELS voxels, so
    that no atom is without a voxel.
    """
    if parameters is not None and parameters.within is not None:
        return parameters.within
    return max(constants.CHAIN_REACH, constants.CHAIN_VOXELS * max(grid.voxel_size))


def part_names(files: Sequence[str]) -> list[str]:
    """Short names of masks: ``Mask_prots1_chaina.mrc`` is prots1_chaina. Their file names where two
    would be the same.
    """
    short = [_MASK_WORD.sub("", _stem(f)) or _stem(f) for f in files]
    return short if len({s.lower() for s in short}) == len(short) else list(files)


def pair_references(masks: Sequence[str], references: Sequence[str]) -> list[int]:
    """For each mask the position of its reference, by the names of their files.

    ``Mask_prots1_chaina.mrc`` and ``prots1_chaina.mrc`` are a pair: names are compared without
    suffix, without the words mask, reference and the like at either end, and in lower case. A
    reference may have further words: ``prots1_chaina_6A.mrc``. One mask and one reference are a
    pair whatever their names.

    Raises
    ------
    SirenError
        If a mask has no reference, or there are several ways to pair.
    """
    if len(masks) == len(references) == 1:
        return [0]
    keys = [_MASK_WORD.sub("", _stem(m)).lower() for m in masks]
    others = [_REFERENCE_WORD.sub("", _MASK_WORD.sub("", _stem(r))).lower() for r in references]
    found: list[int] = []
    for mask, key in zip(masks, keys, strict=True):
        same = [k for k, other in enumerate(others) if other == key]
        hits = same or [k for k, other in enumerate(others) if _has_words(other, key)]
        if not hits:
            raise SirenError(
                f"There is no reference for {mask} among the {len(references)} (the first is "
                f"{references[0]}): name it {key}.mrc, or leave references out."
            )
        if len(hits) > 1:
            raise SirenError(
                f"{mask} could go with {join_names([references[k] for k in hits])}: which is its "
                f"reference is not clear. Name it {key}.mrc, and move the others away."
            )
        found += hits
    twice = next((k for n, k in enumerate(found) if k in found[:n]), None)
    if twice is not None:
        both = [m for m, k in zip(masks, found, strict=True) if k == twice]
        raise SirenError(
            f"{join_names(both)} would both go with {references[twice]}: give each mask a "
            "reference of its own name."
        )
    return found


def distinct_parts(parts: Iterable[Part]) -> list[Part]:
    """All parts, checked that no two have one name.

    Raises
    ------
    SirenError
        If two have.
    """
    kept: dict[str, Part] = {}
    for part in parts:
        if part.name in kept:
            raise SirenError(
                f"Two parts are named {part.name} ({kept[part.name].origin}; {part.origin}): "
                "rename one of them."
            )
        kept[part.name] = part
    if not kept:
        raise SirenError("There are no blocks: give masks, or a run that found some.")
    return list(kept.values())


def _stem(name: str) -> str:
    return _SUFFIX.sub("", name.replace("\\", "/").rsplit("/", 1)[-1])


def _has_words(name: str, key: str) -> bool:
    """Whether the words of a key are some in a row of a name's."""
    words, wanted = (re.split(r"[_\-. ]+", text) for text in (name, key))
    return any(words[k : k + len(wanted)] == wanted for k in range(len(words) - len(wanted) + 1))


def _placed(mask: Mask, ensemble: Ensemble, progress: Progress) -> NDArray[np.float32]:
    """A mask or reference on the grid of the volumes.

    Raises
    ------
    SirenError
        If it lies in another box, and was not put there in the scene.
    """
    grid, target = mask.source.read_grid(), ensemble.grid
    placement = IDENTITY if mask.placement is None else mask.placement
    original = ensemble.sources[0].read_grid()
    if is_moved(grid, placement) or grid.shape in (original.shape, target.shape):
        return on_volumes(mask, ensemble, progress)
    whole = next((g for g in (target, original) if _is_same_box(grid, g)), None)
    if whole is None:
        raise SirenError(
            f"{mask.source.name} has {grid.text()}, and the volumes {target.text()}: these are "
            'different boxes. Put it on their grid with "volume resample #MASK onGrid #VOLUME".'
        )
    values = np.nan_to_num(mask.source.read_as_is(), nan=0.0)
    low, high = values.min(), values.max()
    # rings of the Fourier transform would be weights below 0 and above 1
    resampled = np.clip(fourier_resample(values, whole.shape), low, high)
    progress.say(f"{mask.source.name} was resampled from {grid.text()} to the grid of the volumes.")
    held = Source(mask.source.name, None, array=lambda: resampled, grid=whole)
    return on_volumes(Mask(held), ensemble, progress)


def _is_same_box(grid: Grid, other: Grid) -> bool:
    """Whether two grids fill the same box with different numbers of voxels."""
    one, two = (np.array(g.shape[::-1]) * np.array(g.voxel_size) for g in (grid, other))
    largest = max(*grid.voxel_size, *other.voxel_size)
    return bool(
        np.allclose(one, two, rtol=constants.SAME_BOX)
        and np.allclose(grid.origin, other.origin, atol=largest / 2)
    )
