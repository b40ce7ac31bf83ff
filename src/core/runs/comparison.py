"""Two runs, a run and the truth of an example, or a run and masks, compared block by block.

Example::

    from pathlib import Path

    from chimerax.siren.core.runs.comparison import compare, read_side

    found = compare(read_side(Path("siren/02_expand")), read_side(Path("volumes/truth.json")))
    print(found.csv())
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..analysis.block_occupancy import STATES_FILE, States, read_states
from ..analysis.matching import Match, match_blocks
from ..analysis.parameters import CompareParameters
from ..analysis.replication import Replication, replication
from ..blocks.alignment import MapFit, fit_maps
from ..blocks.blockset import (
    BLOCKS_FILE,
    MEAN_FILE,
    BlockSet,
    box_around,
    read_block_maps,
    read_blocks_file,
)
from ..blocks.display import COMPLETE, sampled_share, smooth_mask
from ..common import constants
from ..common.errors import SirenError
from ..common.files import RECORD
from ..common.progress import Progress
from ..common.tables import csv_text
from ..maps.grid import Grid
from ..maps.mapfile import is_map_name, read_map
from ..maps.placement import NEGLIGIBLE, is_moved, resampled_onto
from ..simulation.example_folder import TRUTH, read_truth
from .record import read_record

MOST_LABELS = 10_000  # the highest number in a labeled map
UNMOVED = np.eye(3, 4)
FILLED = 0.5  # share of the voxels nearby that were to be sampled and were, inside a sketch


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    place : folder or file
    blocks : BlockSet
    present : block number -> (V,) whether it is in the volume; none where that is not known
    volumes : (V,) names of the volumes
    fingerprints : of the volumes by name, where they are known
    region : flat indices of the voxels where blocks can be: those that were tested, or are known
    mean : (z, y, x) mean of the volumes, if known
    sampled : whether the blocks are a random part of their voxels, as those of a sketch
    """

    place: Path
    blocks: BlockSet
    present: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    fingerprints: dict[str, str] = field(default_factory=dict)
    region: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    mean: NDArray[np.float32] | None = None
    sampled: bool = False


def side_of(place: Path, blocks: BlockSet, states: States | None, mean: Any = None) -> Side:
    """A side from the blocks of a run and their states."""
    present = (
        {}
        if states is None
        else {n: states.present[states.row(n)] for n, _ in blocks if n in states.numbers}
    )
    region = np.unique(np.concatenate([blocks.unassigned, *(v for _, v in blocks)]))
    names = () if states is None else states.names
    return Side(place, blocks, present, names, {}, region, mean)


def read_side(place: Path) -> Side:
    """Read a run, the truth of an example, a folder of masks, a blocks.json, or a labeled map.

    Raises
    ------
    SirenError
        If it is none of these.
    """
    if place.is_dir() and (place / RECORD).is_file():
        return _run_side(place)
    if place.is_dir() and (place / TRUTH).is_file():
        place = place / TRUTH
    if place.is_dir():
        blocks = read_block_maps(place)
        return side_of(place, blocks, None)
    if is_map_name(place.name):
        return side_of(place, _labeled(place), None)
    if place.name == BLOCKS_FILE:
        return side_of(place, read_blocks_file(place), None)
    if place.suffix.lower() != ".json":
        raise SirenError(
            f"{place} holds no blocks: give the folder of a run, open blocks, the truth.json of an "
            "example, a folder of masks, or a map whose values are the numbers of blocks."
        )
    truth = read_truth(place)
    blocks = BlockSet(
        truth.grid,
        dict(enumerate(truth.voxels, 1)),
        np.setdiff1d(truth.shared, np.concatenate([np.empty(0, np.int64), *truth.voxels])),
        names=dict(enumerate(truth.names, 1)),
    )
    return replace(
        side_of(place, blocks, None),
        present=dict(enumerate(truth.present, 1)),
        volumes=truth.files,
    )


def _run_side(folder: Path) -> Side:
    record = read_record(folder)
    blocks = read_blocks_file(folder / BLOCKS_FILE)
    try:
        states = read_states(folder / STATES_FILE, blocks)
    except SirenError:  # a run of an earlier version has none
        states = None
    mean, grid = read_map(folder / MEAN_FILE) if (folder / MEAN_FILE).is_file() else (None, None)
    if grid is not None and grid.shape != blocks.grid.shape:
        mean = None
    side = side_of(folder, blocks, states, mean)
    return replace(side, sampled=record.sampled, fingerprints=record.fingerprints)


def _labeled(path: Path) -> BlockSet:
    """The blocks of a map whose values are their numbers."""
    array, grid = read_map(path)
    flat = array.ravel()
    if not np.abs(flat).max() < MOST_LABELS:
        raise _no_labels(path)
    labels = np.rint(flat).astype(np.int64)
    if not (labels > 0).any():
        raise SirenError(f"{path.name} has no voxel above 0.5: give a map of masks or labels.")
    if np.abs(flat - labels).max() > 1e-3:
        raise _no_labels(path)
    order = np.argsort(labels, kind="stable")  # once, however many labels there are
    order = order[np.searchsorted(labels[order], 0, "right") :]
    numbers, starts = np.unique(labels[order], return_index=True)
    parts = np.split(order, starts[1:])
    return BlockSet(grid, {int(n): v for n, v in zip(numbers, parts, strict=True)})


def _no_labels(path: Path) -> SirenError:
    return SirenError(
        f"{path.name} holds densities, not labels: give a map of whole numbers, one for each "
        "block, or the folder of a run."
    )


@dataclass(frozen=True)
class Comparison:
    """Blocks of A and B, on one grid.

    Attributes
    ----------
    first, second : the two sides on that grid; B is moved onto A if it was found to be shifted
    match : which block is which
    agreement : block of A -> share of the common volumes in which it and its match agree on
        whether they are present, and Cohen's kappa
    common : volumes that both have, by name, and with the same values where that is known
    replication : block of A -> how well it is found again, if asked for
    fit : how the mean map of B lies on that of A, if both are known
    moved : whether B was moved so
    notes : sentences for the log
    """

    first: Side
    second: Side
    match: Match
    agreement: dict[int, tuple[float, float]]
    common: int
    replication: dict[int, Replication]
    fit: MapFit | None
    moved: bool
    notes: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each block of A, then for those of B that have no match."""
        found = []
        for number, voxels in self.first.blocks:
            partner, again = self.match.partner(number), self.replication.get(number)
            agree, kappa = self.agreement.get(number, (None, None))
            parts = self.match.splits.get(number, ())
            own = self.first.blocks.evidence.get(number)
            found.append(
                {
                    "block": number,
                    "name": self.first.blocks.names.get(number, ""),
                    "voxels": len(voxels),
                    "block_verdict": own.verdict if own else "",
                    "match": partner,
                    "match_name": self.second.blocks.names.get(partner or -1, ""),
                    "match_voxels": (
                        None if partner is None else len(self.second.blocks.blocks[partner])
                    ),
                    "iou": None if partner is None else self.match.iou_of(number, partner),
                    "change": self._change(number, partner, parts),
                    "volumes_agree": agree,
                    "kappa": kappa,
                    "overlap_1_voxel": again and again.tolerant,
                    "chance": again and again.chance,
                    "score": again and again.score,
                    "p": again and again.p,
                    "q": again and again.q,
                    "verdict": again.verdict if again else "",
                }
            )
        matched = {b for _, b in self.match.pairs}
        for number, voxels in self.second.blocks:
            if number not in matched:
                within = [a for a, parts in self.match.splits.items() if number in parts]
                found.append(
                    dict.fromkeys(COLUMNS)
                    | {
                        "match": number,
                        "match_name": self.second.blocks.names.get(number, ""),
                        "match_voxels": len(voxels),
                        "change": f"part of {within[0]}" if within else "new",
                    }
                )
        return found

    def _change(self, number: int, partner: int | None, parts: tuple[int, ...]) -> str:
        if parts:
            return f"split into {' and '.join(map(str, parts))}"
        whole = [b for b, them in self.match.merges.items() if number in them]
        if whole:
            return f"merged into {whole[0]}"
        return "same" if partner is not None else "gone"

    def csv(self) -> str:
        """The rows as a table."""
        return csv_text(COLUMNS, ([_cell(row[c]) for c in COLUMNS] for row in self.rows()))


COLUMNS = (
    "block",
    "name",
    "voxels",
    "block_verdict",
    "match",
    "match_name",
    "match_voxels",
    "iou",
    "change",
    "volumes_agree",
    "kappa",
    "overlap_1_voxel",
    "chance",
    "score",
    "p",
    "q",
    "verdict",
)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else value


def compare(
    first: Side,
    second: Side,
    parameters: CompareParameters | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Match the blocks of two sides, and with ``replication`` say how well each is found again.

    Grids that differ by box or voxel size are brought onto the coarser one. If the mean map of B is
    shifted or turned against that of A, its blocks are moved onto A, and a note says so.

    Raises
    ------
    SirenError
        If the grids are not of the same place, or a side has no blocks.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters, progress = parameters or CompareParameters(), progress or Progress()
    for side in (first, second):
        if not len(side.blocks):
            raise SirenError(f"{side.place} has no blocks: there is nothing to compare.")
    notes: list[str] = []
    first, second = (_filled(side, notes) for side in (first, second))
    grid = _common_grid(first, second, notes)
    mean = None if first.mean is None else on_grid(first.mean, first.blocks.grid, grid)
    fit, moved = None, False
    if mean is not None and second.mean is not None:
        other = on_grid(second.mean, second.blocks.grid, grid)
        fit = fit_maps(other, mean, grid, progress)
        moved = _alignment_note(fit, grid, parameters.align, notes)
    elif parameters.replication:
        notes.append("Without mean maps of both, their alignment was not checked.")
    first = _placed(first, grid, UNMOVED, progress)
    placement = fit.placement if fit is not None and moved else UNMOVED
    second = _placed(second, grid, placement, progress)
    match = match_blocks(first.blocks, second.blocks)
    agreement, common = _agreement(first, second, match, notes)
    again = {}
    if parameters.replication:
        if common:
            notes.append(
                f"{common:,} volumes are in both: found again in the same volumes is no "
                "replication. Compare ensembles of two halves of the particles."
            )
        region = np.union1d(first.region, second.region)
        again = replication(
            first.blocks,
            second.blocks,
            match,
            region,
            parameters.placements,
            parameters.seed,
            progress,
        )
    return Comparison(first, second, match, agreement, common, again, fit, moved, tuple(notes))


def _filled(side: Side, notes: list[str]) -> Side:
    """The blocks of a sketch, which are a random part of the voxels, filled in between: what lies
    among the sampled voxels goes where the nearest of these is.
    """
    share = sampled_share(side.blocks, side.sampled)
    if share >= COMPLETE:
        return side
    notes.append(
        f"{side.place.name} holds a random part of the voxels, as a sketch does: its blocks are "
        'filled in between before they are compared. "siren expand" finds their voxels.'
    )
    shape = side.blocks.grid.shape
    owner = np.full(shape, -1, np.int64)
    owner.ravel()[side.region] = 0
    for number, voxels in side.blocks:
        owner.ravel()[voxels] = number
    held = owner >= 0
    region = held | (smooth_mask(held.astype(np.float32), share) > FILLED)
    nearest = ndimage.distance_transform_edt(~held, return_distances=False, return_indices=True)
    filled = np.where(region, owner[tuple(nearest)], -1).ravel()
    blocks = {n: np.flatnonzero(filled == n) for n, _ in side.blocks}
    return replace(
        side,
        blocks=replace(side.blocks, blocks=blocks, unassigned=np.empty(0, np.int64), strength={}),
        region=np.flatnonzero(region),
    )


def _common_grid(first: Side, second: Side, notes: list[str]) -> Grid:
    """The coarser of two grids.

    Raises
    ------
    SirenError
        If they are not of the same place.
    """
    one, other = first.blocks.grid, second.blocks.grid
    ends = [
        np.stack([np.array(g.origin), np.array(g.origin) + np.array(g.shape[::-1]) * g.voxel_size])
        for g in (one, other)
    ]
    off = float(np.abs(ends[0] - ends[1]).max())
    coarser = one if one.voxel_volume >= other.voxel_volume * (1 - NEGLIGIBLE) else other
    same_voxels = np.allclose(one.voxel_size, other.voxel_size, rtol=1e-3)
    contained = bool(
        ((ends[0][0] <= ends[1][0] + 1e-3) & (ends[0][1] >= ends[1][1] - 1e-3)).all()
        or ((ends[1][0] <= ends[0][0] + 1e-3) & (ends[1][1] >= ends[0][1] - 1e-3)).all()
    )
    if off > max(coarser.voxel_size) and not (same_voxels and contained):
        raise SirenError(
            f"{first.place} is on a grid of {_where(one)} and {second.place} on one of "
            f"{_where(other)}, which are not the same place: compare runs whose maps overlay in "
            "ChimeraX."
        )
    if one.shape != other.shape or not np.allclose(one.voxel_size, other.voxel_size, rtol=1e-3):
        notes.append(
            f"The grids differ ({one.text()}; {other.text()}): compared on that of "
            f"{coarser.text()}."
        )
    return coarser


def _where(grid: Grid) -> str:
    return f"{grid.text()} from {', '.join(f'{o:.4g}' for o in grid.origin)} A"


def on_grid(array: NDArray[np.float32], grid: Grid, target: Grid) -> NDArray[np.float32]:
    """A map on another grid of the same place."""
    return array if grid == target else resampled_onto(array, grid, UNMOVED, target)


def _alignment_note(fit: MapFit, grid: Grid, align: bool, notes: list[str]) -> bool:
    """Say how the mean map of B lies on that of A; whether B is to be moved."""
    if fit.mirrored:
        notes.append(
            "The mean map of B looks like the mirror image of that of A: flip the hand of one, or "
            "no block is found again."
        )
        return False
    if fit.after < constants.MIN_COMMON_LIKENESS:
        notes.append(
            f"The two mean maps are hardly alike (correlation {fit.after:.2f}): are these the same "
            "molecule, in the same place?"
        )
        return False
    distance = float(np.linalg.norm(fit.shift))
    words = f"shifted by {distance:.1f} A and turned by {fit.angle:.1f} degrees"
    if not fit.is_moved(grid):
        notes.append(
            f"The two mean maps are aligned: correlation {fit.before:.3f}, {words} at most."
        )
        return False
    gain = f"correlation {fit.before:.3f}, {fit.after:.3f} once moved"
    if align:
        notes.append(f"B is {words} against A ({gain}): its blocks were moved onto A.")
    else:
        notes.append(f"B is {words} against A ({gain}): compared as it is (align false).")
    return align


def _placed(side: Side, grid: Grid, placement: NDArray[np.float64], progress: Progress) -> Side:
    """A side moved, and on another grid."""
    own = side.blocks.grid
    if own == grid and not is_moved(own, placement):
        return side

    def moved(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
        progress.step("resampling blocks")
        mask = np.zeros(own.shape, bool)
        mask.ravel()[voxels] = True
        where = box_around(mask, 3)
        if where is None:
            return voxels
        start = [w.start for w in where][::-1]
        origin = np.array(own.origin) + np.array(start) * np.array(own.voxel_size)
        part = mask[where].astype(np.float32)
        (nz, ny, nx), (x, y, z) = part.shape, (float(v) for v in origin)
        cut = Grid((nz, ny, nx), own.voxel_size, (x, y, z))
        return np.flatnonzero(resampled_onto(part, cut, placement, grid) > 0.5)

    blocks = {n: moved(v) for n, v in side.blocks}
    lost = [n for n, v in blocks.items() if not len(v)]
    if lost:
        raise SirenError(
            f"Block {lost[0]} of {side.place} has no voxel on the grid of {grid.text()}: "
            "leave it out, or compare runs of similar voxel size."
        )
    return replace(
        side,
        blocks=BlockSet(grid, blocks, names=side.blocks.names, evidence=side.blocks.evidence),
        region=moved(side.region),
        mean=None,
    )


def _agreement(
    first: Side, second: Side, match: Match, notes: list[str]
) -> tuple[dict[int, tuple[float, float]], int]:
    """In how many of the common volumes matched blocks agree. Volumes of one name with other values
    are not the same: programs call those of every training alike.
    """
    places = {name: k for k, name in enumerate(second.volumes)}
    named = [n for n in first.volumes if n in places]
    known = first.fingerprints, second.fingerprints
    others = {n for n in named if all(n in k for k in known) and known[0][n] != known[1][n]}
    if others:
        notes.append(
            f"{len(others):,} volumes have the same names in both, but are other volumes: presence "
            "is not compared in them."
        )
    mine_at = {name: k for k, name in enumerate(first.volumes)}
    common = [(mine_at[n], places[n]) for n in named if n not in others]
    if not common:
        return {}, 0
    mine, theirs = (np.array(k) for k in zip(*common, strict=True))
    found = {}
    for a, b in match.pairs:
        if a in first.present and b in second.present:
            one, other = first.present[a][mine], second.present[b][theirs]
            agree = float((one == other).mean())
            by_chance = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
            kappa = (agree - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")
            found[a] = (agree, kappa)
    return found, len(common)
