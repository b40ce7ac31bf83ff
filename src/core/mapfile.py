"""Reading and writing one map file (MRC, MAP, CCP4; .gz too), where ChimeraX would place it."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from .errors import SirenError
from .grid import Grid, Shape, Triple

SUFFIXES = (".mrc", ".map", ".ccp4", ".rec")
COMPRESSIONS = ("", ".gz", ".bz2")
_AXES = (1, 2, 3)


def is_map_name(name: str) -> bool:
    """Whether a file name ends like a map's."""
    return not name.startswith(".") and name.lower().endswith(tuple(s + c for s in SUFFIXES for c in COMPRESSIONS))


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts ``vol_2`` before ``vol_10``."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(p), p) if p.isdigit() else (1, 0, p.lower()) for p in parts) + ((1, 0, name),)


def read_grid(path: Path) -> Grid:
    """The lattice of a map file, from its header alone.

    Raises
    ------
    SirenError
        If the file is not a readable map.
    """
    return _open(path, header_only=True)[0]


def read_map(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """A map file's values, axes in z, y, x order whatever the order in the file, and its lattice.

    Returns
    -------
    array : (z, y, x) float32
    grid : Grid

    Raises
    ------
    SirenError
        If the file is missing, truncated, not a map, complex, or not on right-angled axes.
    """
    grid, data = _open(path, header_only=False)
    assert data is not None
    return data, grid


def _open(path: Path, header_only: bool) -> tuple[Grid, NDArray[np.float32] | None]:
    if not path.exists():
        raise SirenError(f"{path}: there is no such file.")
    # Permissive, its warnings unheard: real volumes have bad machine stamps, unset fields, wrong
    # map ids. What matters for us (shape, axes, voxel size, values) is checked here.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with mrcfile.open(path, permissive=True, header_only=header_only) as mrc:
                header = mrc.header
                data = None if header_only else mrc.data
                shape = (int(header.nz), int(header.ny), int(header.nx))
                if min(shape) < 1 or (not header_only and (data is None or data.shape != shape)):
                    raise SirenError(f"{path.name} is truncated or damaged: its header promises "
                                     f"{shape[2]} x {shape[1]} x {shape[0]} voxels. Copy it again, or leave it out.")
                if int(header.mode) not in (0, 1, 2, 6, 12):
                    raise SirenError(f"{path.name} holds values of MRC mode {int(header.mode)}, which is not a "
                                     "density map's: save it again as 32-bit floats.")
                order = _axis_order(header, path)
                grid = _grid(header, shape, order, path)
                if data is not None:
                    data = np.ascontiguousarray(data.transpose(order), dtype=np.float32)
    except (ValueError, OSError, EOFError, TypeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SirenError(f"{path.name} cannot be read as a map ({reason}). Copy it again, or leave it out.") from error
    return grid, data


def _axis_order(header: np.recarray, path: Path) -> tuple[int, int, int]:
    """For each of z, y, x: the axis of the file's array (section, row, column) that runs along it."""
    crs = (int(header.mapc), int(header.mapr), int(header.maps))
    if crs == (0, 0, 0):  # never set
        crs = _AXES
    if sorted(crs) != list(_AXES):
        raise SirenError(f"{path.name} names its axes {crs}, which is no order of 1, 2, 3: save it again "
                         "with another program.")
    return (2 - crs.index(3), 2 - crs.index(2), 2 - crs.index(1))


def _grid(header: np.recarray, file_shape: Shape, order: tuple[int, int, int], path: Path) -> Grid:
    angles = [float(header.cellb[n]) for n in ("alpha", "beta", "gamma")]
    if any(abs(a - 90) > 0.01 and abs(a) > 0.01 for a in angles):
        raise SirenError(f"{path.name} has cell angles {angles[0]:g}, {angles[1]:g}, {angles[2]:g}: only maps on "
                         'right-angled axes can be used. Resample it with "volume resample".')
    shape = (file_shape[order[0]], file_shape[order[1]], file_shape[order[2]])
    cell = [float(header.cella[n]) for n in "xyz"]
    intervals = [int(header.mx), int(header.my), int(header.mz)]
    size: Triple = (1.0, 1.0, 1.0)  # what ChimeraX takes where the header does not say
    if min(intervals) > 0 and min(cell) > 0 and np.isfinite(cell).all():
        size = (cell[0] / intervals[0], cell[1] / intervals[1], cell[2] / intervals[2])
    starts = (int(header.nsstart) if "nsstart" in header.dtype.names else int(header.nzstart),
              int(header.nystart), int(header.nxstart))  # section, row, column
    return Grid(shape, size, _origin(header, [starts[o] for o in order][::-1], size, shape, path))


def _origin(header: np.recarray, start_xyz: list[int], size: Triple, shape: Shape, path: Path) -> Triple:
    """Position of the first voxel by ChimeraX's rules, so that blocks overlay the volumes there.

    The header's origin counts where it is set, else the start indices; CCP4 files (.map, .ccp4) have no origin field.
    """
    origin = tuple(float(header.origin[n]) for n in "xyz")
    is_ccp4 = any(e in (".map", ".ccp4") for e in path.suffixes[-2:])
    sane = all(np.isfinite(o) and o + s != o for o, s in zip(origin, size, strict=True))
    if not is_ccp4 and any(origin) and sane:
        return (origin[0], origin[1], origin[2])
    limit = 10 * max(int(header.mx), int(header.my), int(header.mz), *shape)
    if max(abs(s) for s in start_xyz) > limit:  # uninitialised memory, seen in real files
        return (0.0, 0.0, 0.0)
    return (start_xyz[0] * size[0], start_xyz[1] * size[1], start_xyz[2] * size[2])


def write_map(path: Path, array: NDArray[np.floating], grid: Grid, label: str) -> None:
    """Write a map as MRC2014, 32-bit floats; the same arguments give the same bytes.

    Parameters
    ----------
    path : Path
        Ends in .mrc.
    array : (z, y, x) array
    grid : Grid
    label : str
        What the map is: the header's only label.
    """
    if array.shape != grid.shape:
        raise ValueError(f"array {array.shape} is not on the grid {grid.shape}")
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(array, dtype=np.float32))
        mrc.voxel_size = grid.voxel_size
        mrc.header.origin = grid.origin
        mrc.header.label = b""  # mrcfile writes the time here, which would make every run differ
        mrc.header.label[0] = label[:80].encode("ascii", "replace")
        mrc.header.nlabl = 1


def with_voxel_size(grid: Grid, voxel_size: float | Triple) -> Grid:
    """The same grid with another voxel size, in Angstrom."""
    edges = (voxel_size,) * 3 if isinstance(voxel_size, int | float) else voxel_size
    if not all(np.isfinite(e) and e > 0 for e in edges):
        raise SirenError(f"A voxel size of {voxel_size} A is not possible: give Angstrom per voxel, above 0.")
    return replace(grid, voxel_size=(float(edges[0]), float(edges[1]), float(edges[2])))
