"""Masks of blocks for focused classification, 3D variability and occupancies: wider than the
blocks, with a soft edge, on the grid of the particles.

Example::

    from pathlib import Path

    from chimerax.siren.core import open_run
    from chimerax.siren.core.analysis.masks import write_masks
    from chimerax.siren.core.analysis.parameters import MaskParameters

    run = open_run(Path("siren/02_expand"))
    parameters = MaskParameters(dilate=5, soft=15)
    written = write_masks(Path("siren/masks"), run.blocks, run.record.volumes_grid(), parameters)
    written.table[["file", "voxels"]]

References
----------
The soft edge is RELION's (autoMask in src/mask.cpp of 3dem/relion; Scheres 2012, doi
10.1016/j.jsb.2012.09.006): 1/2 + 1/2 cos(pi r / width) at a distance r < width from the mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from ..blocks.blockset import BlockSet, box_around
from ..common.errors import SirenError
from ..common.files import atomic_files
from ..common.progress import Progress
from ..maps.grid import Grid, Triple
from ..maps.mapfile import write_map
from .parameters import MaskParameters

MASKS_FILE = "masks.csv"
COLUMNS = ("file", "blocks", "name", "voxels", "volume_A3", "dilate_A", "soft_A", "at_face")
ROUNDING = 1 + 1e-6  # of distances, relative
ASIDE = 1e-3  # voxels of the blocks: what lies halfway is nearer to one side, as to round half up
DEFAULT_SOFT = 3  # voxels of the blocks


@dataclass(frozen=True)
class MaskedBlocks:
    """A mask, and what it is of.

    Attributes
    ----------
    numbers : of the blocks in it
    name : of the block, "" if it has none or there are several
    array : (z, y, x) float32, 0 to 1
    grid : Grid
    dilate, soft : in A, as used
    """

    numbers: tuple[int, ...]
    name: str
    array: NDArray[np.float32]
    grid: Grid
    dilate: float
    soft: float

    @property
    def at_face(self) -> bool:
        """Whether it reaches a face of the box, where its edge is cut off."""
        return any(
            bool(self.array.take(side, axis=axis).any()) for axis in range(3) for side in (0, -1)
        )

    @property
    def label(self) -> str:
        """What it is, for the header of a map."""
        which = ",".join(map(str, self.numbers))
        return f"SIREn mask of block {which}: dilated {self.dilate:g} A, edge {self.soft:g} A"

    def row(self) -> tuple[object, ...]:
        """Its row of masks.csv: the COLUMNS."""
        inside = int(np.count_nonzero(self.array >= 0.5))
        return (
            mask_file(self.numbers),
            " ".join(map(str, self.numbers)),
            self.name,
            inside,
            round(inside * self.grid.voxel_volume, 1),
            self.dilate,
            self.soft,
            "yes" if self.at_face else "no",
        )


@dataclass(frozen=True)
class WrittenMasks:
    """Masks in a folder.

    Attributes
    ----------
    folder : Path
    table : masks.csv, a row for each mask with the COLUMNS
    grid : of the masks
    replaced : names of earlier files that were replaced
    """

    folder: Path
    table: pd.DataFrame
    grid: Grid
    replaced: list[str]


def mask_file(numbers: Sequence[int]) -> str:
    """The file name of a mask: ``mask_block_3.mrc``, or ``mask_blocks_1-3_7.mrc``."""
    if len(numbers) == 1:
        return f"mask_block_{numbers[0]}.mrc"
    return f"mask_blocks_{_ranges(numbers)}.mrc"


def block_masks(
    blocks: BlockSet,
    volumes: Grid | None,
    parameters: MaskParameters | None = None,
    progress: Progress | None = None,
) -> Iterator[MaskedBlocks]:
    """The masks of blocks, one at a time, since masks of large boxes are large.

    Parameters
    ----------
    blocks : BlockSet with at least one block
    volumes : Grid of the volumes in their files; None if unknown
    parameters : MaskParameters

    Raises
    ------
    SirenError
        If the grid of the masks is unknown, or a block lies outside of it.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters, progress = parameters or MaskParameters(), progress or Progress()
    target = mask_grid(blocks.grid, volumes, parameters)
    edge = max(blocks.grid.voxel_size)
    dilate = edge if parameters.dilate is None else parameters.dilate
    soft = DEFAULT_SOFT * edge if parameters.soft is None else parameters.soft
    groups = _groups(blocks, parameters)
    for numbers in progress.each(groups, "making masks", len(groups)):
        inside = np.zeros(target.shape, bool)
        for number in numbers:
            progress.step("making masks")
            inside |= on_grid(blocks.mask(number) > 0, blocks.grid, target)
        if not inside.any():
            raise SirenError(
                f"Block {' '.join(map(str, numbers))} lies outside the box of the masks "
                f"({target.text()}): give a larger box, or another voxelSize."
            )
        name = blocks.names.get(numbers[0], "") if len(numbers) == 1 else ""
        array = soft_mask(inside, target.voxel_size, dilate, soft)
        yield MaskedBlocks(numbers, name, array, target, dilate, soft)


def soft_mask(
    inside: NDArray[np.bool_], voxel_size: Triple, dilate: float, soft: float
) -> NDArray[np.float32]:
    """Widen a mask and give it a soft edge.

    Parameters
    ----------
    inside : (z, y, x) bool
    voxel_size : x, y, z, in A
    dilate : voxels up to this distance from one inside are inside, too; in A
    soft : width of the edge, in A: 1/2 + 1/2 cos(pi r / soft) at a distance r from the widened
        mask, as in RELION

    Returns
    -------
    (z, y, x) float32, 0 to 1
    """
    mask = np.zeros(inside.shape, np.float32)
    margin = int(np.ceil((dilate + soft) * ROUNDING / min(voxel_size))) + 1
    where = box_around(inside, margin)
    if where is None:
        return mask
    sampling, part = voxel_size[::-1], inside[where]
    try:
        if dilate > 0:
            distance = ndimage.distance_transform_edt(~part, sampling)
            part = distance <= dilate * ROUNDING
        values = part.astype(np.float32)
        if soft > 0:
            distance = ndimage.distance_transform_edt(~part, sampling)
            rim = (distance > 0) & (distance < soft)
            values[rim] = 0.5 + 0.5 * np.cos(np.pi * distance[rim] / soft)
    except MemoryError as error:
        raise SirenError(
            f"There is not enough memory for a mask of {' x '.join(map(str, inside.shape[::-1]))} "
            "voxels: close other programs, or give a smaller box."
        ) from error
    mask[where] = values
    return mask


def mask_grid(blocks: Grid, volumes: Grid | None, parameters: MaskParameters) -> Grid:
    """The grid of masks.

    That of the volumes; or with ``box``, a cube of so many voxels per side. Without ``voxel_size``
    the cube is as large as that of the blocks. With it, voxel n // 2 of both boxes, about which
    particles turn, is the same place, unless they are equally large.

    Raises
    ------
    SirenError
        If it is unknown, or a voxel size was given without a box.
    """
    if parameters.voxel_size is not None and parameters.box is None:
        raise SirenError("voxelSize needs box: give the box of the particles, too.")
    if parameters.box is None:
        if volumes is None:
            raise SirenError(
                "The volumes were resampled and are gone, so that their own box is not known: "
                'give "box", or the volumes, as in "volumes FOLDER".'
            )
        return volumes
    source, box = volumes or blocks, parameters.box
    extents = [n * s for n, s in zip(source.shape, source.voxel_size[::-1], strict=True)]
    edge = parameters.voxel_size or max(extents) / box
    same = all(abs(e - box * edge) <= 0.5 * edge for e in extents)
    x, y, z = (
        o if same else o + (n // 2) * s - (box // 2) * edge
        for o, n, s in zip(source.origin, source.shape[::-1], source.voxel_size, strict=True)
    )
    return Grid((box, box, box), (edge, edge, edge), (x, y, z))


def on_grid(inside: NDArray[np.bool_], grid: Grid, target: Grid) -> NDArray[np.bool_]:
    """A (z, y, x) mask as it lies on another grid, without the steps of coarse voxels.

    Its surface, halfway between voxels inside and outside, is interpolated linearly from the
    distance to it. A voxel of the target exactly on it counts on one of two opposite sides only,
    so that the volume does not depend on the box. The voxels nearest to those inside are inside,
    whatever the grids.
    """
    if grid.shape == target.shape and _same_places(grid, target):
        return inside
    result = np.zeros(target.shape, bool)
    where = box_around(inside, 2)
    if where is None:
        return result
    kept = np.pad(inside[where], [(2, 2)] * 3)  # also at the faces of the box
    first = np.array([s.start - 2 for s in where])
    sampling = grid.voxel_size[::-1]
    signed = ndimage.distance_transform_edt(~kept, sampling).astype(np.float32)
    signed -= ndimage.distance_transform_edt(kept, sampling)
    # from voxels of the target to voxels of the padded part, z, y, x
    scale = np.array(target.voxel_size[::-1]) / sampling
    shift = (np.array(target.origin) - np.array(grid.origin))[::-1] / sampling - first
    low = np.maximum(np.floor(-shift / scale).astype(int), 0)
    high = np.minimum(
        np.ceil((np.array(kept.shape) - 1 - shift) / scale).astype(int) + 1, target.shape
    )
    if (low < high).all():
        near = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        values = ndimage.affine_transform(
            signed,
            np.diag(scale),
            shift + low * scale + ASIDE,
            output_shape=tuple(int(n) for n in high - low),
            order=1,
            mode="constant",
            cval=float(sampling[0] * 2),
        )
        result[near] = values < 0
    zyx = nearest_voxels(np.flatnonzero(inside), grid, target)
    result[tuple(zyx[((zyx >= 0) & (zyx < target.shape)).all(axis=1)].T)] = True
    return result


def nearest_voxels(voxels: NDArray[np.integer], grid: Grid, target: Grid) -> NDArray[np.int64]:
    """(n, 3) z, y, x of the voxels of ``target`` nearest to voxels (n,) of ``grid``; some may be
    outside of it.
    """
    places = (grid.points(voxels) - np.asarray(target.origin)) / np.asarray(target.voxel_size)
    return np.floor(places + 0.5 + 1e-6).astype(np.int64)[:, ::-1]


def label_map(blocks: BlockSet, target: Grid) -> tuple[NDArray[np.int16], int]:
    """A labelled segmentation: each voxel has the number of its block, or 0.

    Returns
    -------
    labels : (z, y, x) int16 on ``target``; a voxel takes the label of the voxel of the blocks' grid
        that is nearest to it
    shared : number of voxels of the blocks' grid that are in several blocks; they have the lowest
        number

    Raises
    ------
    SirenError
        If the number of a block is too large.
    """
    if max(blocks.blocks, default=0) > np.iinfo(np.int16).max:
        raise SirenError(
            f"Block {max(blocks.blocks)} has a number above {np.iinfo(np.int16).max:,}, which a "
            "labelled map cannot hold: name fewer blocks, or save them again."
        )
    own, times = np.zeros(blocks.grid.shape, np.int16), np.zeros(blocks.grid.shape, np.int16)
    for number in sorted(blocks.blocks, reverse=True):
        own.ravel()[blocks.blocks[number]] = number
        times.ravel()[blocks.blocks[number]] += 1
    labels = own
    if not (blocks.grid.shape == target.shape and _same_places(blocks.grid, target)):
        axes, kept = [], []
        for axis, (count, edge) in enumerate(
            zip(target.shape, target.voxel_size[::-1], strict=True)
        ):
            start = target.origin[2 - axis] - blocks.grid.origin[2 - axis]
            place = (start + np.arange(count) * edge) / blocks.grid.voxel_size[2 - axis]
            nearest = np.floor(place + 0.5 + 1e-6).astype(np.int64)
            kept.append((nearest >= 0) & (nearest < blocks.grid.shape[axis]))
            axes.append(np.clip(nearest, 0, blocks.grid.shape[axis] - 1))
        labels = own[np.ix_(*axes)]
        labels[~(kept[0][:, None, None] & kept[1][:, None] & kept[2])] = 0
    return labels, int(np.count_nonzero(times > 1))


def write_masks(
    folder: Path,
    blocks: BlockSet,
    volumes: Grid | None,
    parameters: MaskParameters | None = None,
    progress: Progress | None = None,
) -> WrittenMasks:
    """Write the masks of :func:`block_masks`, and masks.csv, into a folder; other files in it stay.

    All files appear together, or none does.

    Raises
    ------
    SirenError
        As by :func:`block_masks`, or if the folder cannot be written to.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or MaskParameters()
    files = [*map(mask_file, _groups(blocks, parameters)), MASKS_FILE]
    replaced = [name for name in files if (folder / name).exists()]
    rows, grid = [], mask_grid(blocks.grid, volumes, parameters)
    with atomic_files(*(folder / name for name in files)) as (*maps, table):
        masks = block_masks(blocks, volumes, parameters, progress)
        for path, mask in zip(maps, masks, strict=True):
            write_map(path, mask.array, mask.grid, mask.label)
            rows.append(mask.row())
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        frame.to_csv(table, index=False, lineterminator="\n")
    return WrittenMasks(folder, frame, grid, replaced)


def _groups(blocks: BlockSet, parameters: MaskParameters) -> list[tuple[int, ...]]:
    return [tuple(blocks.blocks)] if parameters.union else [(n,) for n in blocks.blocks]


def _same_places(one: Grid, other: Grid) -> bool:
    return bool(
        np.allclose(one.voxel_size, other.voxel_size, rtol=1e-4)
        and np.allclose(one.origin, other.origin, atol=0.01 * min(one.voxel_size))
    )


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers as in a file name: ``1-3_7``."""
    runs: list[list[int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return "_".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)
