"""Blocks as one labelled segmentation, for ChimeraX's ``segmentation`` command and Segger.

A map of labels (.mrc) is read by ``segmentation surfaces`` and by most other programs. Segger's
own file (.seg) is HDF5 and has the colors of the regions; PyTables writes it, which comes with
ChimeraX. The names are in a table beside either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..blocks.blockset import BlockSet
from ..common.errors import SirenError
from ..common.files import atomic_files
from ..common.reading import open_file
from ..maps.grid import Grid
from .masks import label_map, nearest_voxels

SUFFIXES = (".mrc", ".seg")
KEY_COLUMNS = ["label", "name", "color"]
NO_MAP = "(none)"  # Segger looks for a map with this path among those open, and on the disk


@dataclass(frozen=True)
class Segmentation:
    """A segmentation that was written.

    Attributes
    ----------
    file, table : paths; the table has a row for each label: label, name, color
    labels : numbers of the blocks
    shared : voxels in several blocks, which have the lowest number
    replaced : whether there was an earlier file
    """

    file: Path
    table: Path
    labels: tuple[int, ...]
    shared: int
    replaced: bool


def write_segmentation(
    path: Path,
    blocks: BlockSet,
    target: Grid,
    colors: Mapping[int, Sequence[float]],
    map_path: Path | None = None,
) -> Segmentation:
    """Write blocks as a segmentation, with a table of labels, names and colors beside it.

    Parameters
    ----------
    path : with the suffix .mrc, for a map of labels, or .seg, for Segger
    blocks : BlockSet
    target : Grid of the segmentation
    colors : red, green, blue, 0 to 1, by number of the block
    map_path : a map on this grid, which Segger opens with the segmentation

    Raises
    ------
    SirenError
        If the suffix is another one, PyTables is missing, or the file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SirenError(
            f"{path.name} cannot be written: give segmentation a name that ends in "
            f"{' or '.join(SUFFIXES)}."
        )
    labels, shared = label_map(blocks, target)
    key = path.with_suffix(".csv")
    shades = {n: colors.get(n, (0.7, 0.7, 0.7)) for n in blocks.blocks}
    rows = [(n, blocks.names.get(n, ""), _hex(shades[n])) for n in blocks.blocks]
    _check_key(key, path)
    replaced = path.exists()
    with atomic_files(path, key) as (file, table):
        if path.suffix.lower() == ".seg":
            _write_segger(file, path.stem, blocks, labels, target, shades, map_path)
        else:
            _write_labels(file, labels, target)
        pd.DataFrame(rows, columns=KEY_COLUMNS).to_csv(table, index=False, lineterminator="\n")
    return Segmentation(path, key, tuple(blocks.blocks), shared, replaced)


def _check_key(key: Path, path: Path) -> None:
    """Raise SirenError where the table beside a segmentation would replace another one, such as
    the labels.csv of contour levels.
    """
    try:
        with open_file(key) as file:
            first = file.read(100)
    except FileNotFoundError:
        return
    if not first.startswith(",".join(KEY_COLUMNS).encode()):
        raise SirenError(
            f"{key} is there, and is no table of a segmentation, which {path.name} would replace "
            "it with: give the segmentation another name."
        )


def _write_labels(path: Path, labels: NDArray[np.int16], grid: Grid) -> None:
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(labels))
        mrc.voxel_size = grid.voxel_size
        mrc.header.origin = grid.origin
        mrc.header.label = b""
        mrc.header.label[0] = b"SIREn: labels are numbers of blocks"
        mrc.header.nlabl = 1


def _write_segger(
    path: Path,
    name: str,
    blocks: BlockSet,
    labels: NDArray[np.int16],
    grid: Grid,
    colors: Mapping[int, Sequence[float]],
    map_path: Path | None,
) -> None:
    """Segger's format 2, as described and read in segger/segfile.py of ChimeraX.

    Attributes of regions are left out, since ChimeraX 1.7 cannot read any.
    """
    tables = _pytables()
    numbers = sorted(blocks.blocks)
    x, y, z = grid.voxel_size
    matrix = np.zeros((3, 4), np.float32)
    matrix[[0, 1, 2], [0, 1, 2]], matrix[:, 3] = (x, y, z), grid.origin
    peaks = [nearest_voxels(_middle(blocks, n), blocks.grid, grid)[0, ::-1] for n in numbers]
    count = len(numbers)
    # in memory: HDF5 would lock the file, which is locked already while it is partial
    memory = {"driver": "H5FD_CORE", "driver_core_backing_store": 0}
    with tables.open_file("segmentation.seg", mode="w", **memory) as file:
        about = file.root._v_attrs
        about.format, about.format_version, about.name = "segger", 2, name
        about.map_path = NO_MAP if map_path is None else str(map_path)
        about.map_size = np.array(grid.shape[::-1], np.int32)
        about.ijk_to_xyz_transform = matrix
        mask = file.create_carray(
            file.root,
            "mask",
            tables.UInt32Atom(),
            labels.shape,
            filters=tables.Filters(complevel=5, complib="zlib"),
            track_times=False,
        )
        mask[:] = labels.astype(np.uint32)
        for key, values in {
            "region_ids": np.array(numbers, np.int32),
            "region_colors": np.array([(*colors[n], 1.0) for n in numbers], np.float32),
            "ref_points": np.array(peaks, np.float32).reshape(count, 3),
            "smoothing_levels": np.zeros(count, np.float32),
            "parent_ids": np.zeros(count, np.int32),
        }.items():
            file.create_array(file.root, key, values, track_times=False)
        path.write_bytes(file.get_file_image())


def _middle(blocks: BlockSet, number: int) -> NDArray[np.int64]:
    """The voxel of a block nearest to its centroid: (1,) flat index."""
    voxels = blocks.blocks[number]
    points = blocks.grid.points(voxels)
    far = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    return voxels[[int(np.argmin(far))]]


def _pytables() -> Any:
    try:
        import tables
    except ImportError as error:
        raise SirenError(
            "A .seg file is written by PyTables, which is not installed here: use ChimeraX with "
            'Segger, or "pip install tables", or give segmentation a name that ends in .mrc.'
        ) from error
    return tables


def _hex(color: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * c):02x}" for c in color[:3])
