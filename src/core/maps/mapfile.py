"""Map files (MRC, MAP, CCP4, also compressed), read with the placement that ChimeraX uses."""

from __future__ import annotations

import bz2
import gzip
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import mrcfile
import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import dtype_from_mode
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.reading import open_file
from .grid import Grid, Shape, Triple

SUFFIXES = (".mrc", ".map", ".ccp4", ".rec")
COMPRESSIONS = ("", ".gz", ".bz2")
ZIP = ".zip"  # of a series, as cryoSPARC writes them
MOST_UNPACKED = 2 << 30  # bytes of a compressed map, 800^3 floats: more takes minutes to unpack
_AXES = (1, 2, 3)
_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}  # per voxel, by MRC mode
_ENDINGS = tuple(s + c for s in SUFFIXES for c in COMPRESSIONS)
# made once: for hundreds of small maps, they take as long as to read the values
_HEADERS = {order: HEADER_DTYPE.newbyteorder(order) for order in "<>"}
K = TypeVar("K")
V = TypeVar("V")

_VALUES = {
    (mode, order): dtype_from_mode(mode).newbyteorder(order)
    for mode in _BYTES
    for order in ("<", ">", "=")
}


def is_map_name(name: str) -> bool:
    """Whether a file name has the suffix of a map."""
    return not name.startswith(".") and name.lower().endswith(_ENDINGS)


def is_packed(path: Path) -> bool:
    """Whether a map must be unpacked to be read, by its name: compressed, or in a zip file."""
    name = str(path).lower()  # asked of hundreds of maps, again and again
    return name.endswith(COMPRESSIONS[1:]) or (ZIP in name and zip_member(path) is not None)


def zip_member(path: Path) -> tuple[Path, str] | None:
    """The zip file that a path leads into, and the name in it: ``series.zip/frame_000.mrc``."""
    if ZIP not in str(path).lower():  # of hundreds of maps, one after the other
        return None
    for parent in path.parents:
        if parent.suffix.lower() == ZIP and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def zip_maps(path: Path) -> list[Path]:
    """The maps in a zip file, as paths that lead into it.

    Raises
    ------
    SirenError
        If it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [i.filename for i in archive.infolist() if not i.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SirenError(
            f"{path.name} cannot be read as a zip file ({error}). Copy it again, or unpack it and "
            "give the folder."
        ) from error
    return [path / n for n in names if is_map_name(Path(n).name) and ".." not in Path(n).parts]


def stored_size(path: Path) -> int | None:
    """Bytes of a map file, or of the one in a zip file that a path leads to; None if it is gone."""
    member = zip_member(path)
    try:
        if member is None:
            return path.stat().st_size if path.is_file() else None
        with zipfile.ZipFile(member[0]) as archive:
            return archive.getinfo(member[1]).file_size
    except (KeyError, zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None


def first_value(path: Path) -> float:
    """The value of the first voxel of a map file, which is a corner of the box.

    Raises
    ------
    SirenError
        If the file is not a readable map.
    """
    with _reading(path), _unpacked(path) as (file, packed):
        header = _checked_header(path, file, packed)
        kind = _VALUES[int(header["mode"]), header.dtype["mode"].byteorder]
        nz, ny, nx = _file_shape(header)
        extended, values = int(header["nsymbt"]), nx * ny * nz * kind.itemsize
        if not packed:
            extended = 0 if _no_extension(header, _size(file), values) else extended
        file.seek(HEADER_DTYPE.itemsize + extended)
        first = file.read(kind.itemsize)
        if len(first) < kind.itemsize:  # cut off, which the length of a packed file does not tell
            raise _truncated(path, header)
        return float(np.frombuffer(first, kind)[0])


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key for natural order: ``vol_2`` before ``vol_10``."""
    parts = re.split(r"(\d+)", name)
    return (*((0, int(p), p) if p.isdecimal() else (1, 0, p.lower()) for p in parts), (1, 0, name))


def read_grid(path: Path) -> Grid:
    """Read the grid of a map file, from its header alone.

    Raises
    ------
    SirenError
        If the file is not a readable map.
    """
    with _reading(path):
        known = _grid_as_before(path)
        if known is not None:
            return known
        with _unpacked(path) as (file, packed):
            header = _checked_header(path, file, packed)
            grid = _grid(header, _axis_order(header), path)
            if not packed:
                size = os.fstat(file.fileno()).st_size
                _remember(_GRIDS, (_layout_key(header.tobytes()), _is_ccp4(path), size), grid)
            return grid


def read_map(path: Path) -> tuple[NDArray[np.float32], Grid]:
    """Read the values of a map file, in z, y, x order whatever the order in the file, and its grid.

    Returns
    -------
    array : (z, y, x) float32
    grid : Grid

    Raises
    ------
    SirenError
        If the file is missing, truncated, not a map, complex, or not on orthogonal axes.
    """
    with _reading(path), _unpacked(path) as (file, packed):
        header = _checked_header(path, file, packed)
        order = _axis_order(header)
        grid = _grid(header, order, path)
        return _values(path, file, packed, header, order), grid


def read_values(path: Path) -> NDArray[np.float32]:
    """:func:`read_map` for a file whose grid was read before: the values alone.

    Raises
    ------
    SirenError
        If the file is missing, truncated or not a map.
    """
    with _reading(path):
        known = _values_as_before(path)
        if known is not None:
            return known
        with _unpacked(path) as (file, packed):
            header = _checked_header(path, file, packed)
            order = _axis_order(header)
            values = _values(path, file, packed, header, order)
            if not packed and int(header["mode"]) != 0:
                kind = _VALUES[int(header["mode"]), header.dtype["mode"].byteorder]
                size = os.fstat(file.fileno()).st_size
                layout = _Layout(size, size - values.size * kind.itemsize, kind, order)
                if layout.start == file.tell() - values.size * kind.itemsize:
                    layout_of = layout, _file_shape(header)
                    _remember(_LAYOUTS, _layout_key(header.tobytes()), layout_of)
            return values


@dataclass(frozen=True)
class _Layout:
    """Where the values of a sound file are: its size and theirs from ``start``, their kind, and the
    axis of the file along each of z, y, x.
    """

    size: int
    start: int
    kind: np.dtype[Any]
    order: tuple[int, int, int]


# of files read before, by their headers: those of an ensemble are alike, and to look at each header
# takes half as long as to read a small map
_LAYOUTS: dict[bytes, tuple[_Layout, Shape]] = {}
MOST_LAYOUTS = 100


# the same for grids: by header, whether the file is one of CCP4, and its size
_GRIDS: dict[tuple[bytes, bool, int], Grid] = {}


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Keep what a header says, of MOST_LAYOUTS headers at most."""
    if len(known) >= MOST_LAYOUTS:
        known.clear()
    known[key] = value


def _grid_as_before(path: Path) -> Grid | None:
    """The grid of a file that is not packed, if another one with the same header was sound; None
    if not.
    """
    if is_packed(path):
        return None
    with open_file(path, buffered=False) as file:
        key = _layout_key(file.read(HEADER_DTYPE.itemsize))
        return _GRIDS.get((key, _is_ccp4(path), os.fstat(file.fileno()).st_size))


def _layout_key(header: bytes) -> bytes:
    """The bytes of a header without the statistics of the values."""
    return header[:76] + header[88:216] + header[220:]


def _values_as_before(path: Path) -> NDArray[np.float32] | None:
    """The values of a file that is not packed, if another one with the same header was sound; None
    if not.
    """
    if is_packed(path):
        return None
    with open_file(path, buffered=False) as file:
        known = _LAYOUTS.get(_layout_key(file.read(HEADER_DTYPE.itemsize)))
        if known is None:
            return None
        layout, shape = known
        if os.fstat(file.fileno()).st_size != layout.size:
            return None
        if layout.start != HEADER_DTYPE.itemsize:
            file.seek(layout.start)
        data = np.empty(shape, layout.kind)
        if file.readinto(data.reshape(-1).view(np.uint8).data) != data.nbytes:
            return None
    return np.ascontiguousarray(data.transpose(layout.order), dtype=np.float32)


def _values(
    path: Path,
    file: Any,
    packed: bool,
    header: np.void,
    order: tuple[int, int, int],
) -> NDArray[np.float32]:
    data = _data(path, file, packed, header)
    return np.ascontiguousarray(data.transpose(order), dtype=np.float32)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into one sentence."""
    try:
        yield
    except (
        KeyError,  # not in the zip file
        zipfile.BadZipFile,
        RuntimeError,  # a zip file with a password, or of a kind that Python cannot unpack
        ValueError,
        OSError,
        EOFError,
        TypeError,
        OverflowError,
        MemoryError,
        zlib.error,
    ) as error:
        if not path.exists() and stored_size(path) is None:
            raise SirenError(
                f"{path} is a link to a file that is gone: leave it out, or put the file back."
                if path.is_symlink()
                else f"{path}: there is no such file; check its name and folder."
            ) from error
        reason = (
            getattr(error, "strerror", None)
            or str(error).partition("\n")[0]
            or type(error).__name__
        )
        remedy = (
            "Ask for the right to read it"
            if isinstance(error, PermissionError)
            else "Copy it again"
        )
        raise SirenError(
            f"{path.name} cannot be read as a map ({reason}). {remedy}, or leave it out."
        ) from error


def _checked_header(path: Path, file: Any, packed: bool) -> np.void:
    """Read the header, in the byte order that ChimeraX detects, and check that it is a map's.

    This comes before mrcfile, which would allocate as many bytes as a damaged header declares.
    """
    raw = file.read(HEADER_DTYPE.itemsize)
    if raw.startswith(b"version https://git-lfs"):
        raise SirenError(
            f"{path.name} is not the map but a pointer to it, as Git LFS leaves: fetch the maps "
            'with "git lfs pull", or leave it out.'
        )
    if raw[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise SirenError(
            f"{path.name} is a web page, such as an error while it was downloaded, not a map: "
            "download it again, or leave it out."
        )
    swapped = not 0 < int.from_bytes(raw[:4], "little", signed=True) < 65536
    if len(raw) < HEADER_DTYPE.itemsize:
        raise SirenError(
            f"{path.name} is empty or truncated: it ends within its header. Copy it "
            "again, or leave it out."
        )
    header = np.frombuffer(raw, _HEADERS[">" if swapped else "<"])[0]
    nz, ny, nx = _file_shape(header)
    mode, extended = int(header["mode"]), int(header["nsymbt"])
    if not all(0 < n < 65536 for n in (nz, ny, nx)) or not 0 <= mode < 128:
        raise SirenError(
            f"{path.name} is not a map, or its header is damaged. Copy it again, or leave it out."
        )
    if mode not in _BYTES:
        raise SirenError(
            f"{path.name} has MRC mode {mode}, which is not that of a density "
            "map: save it again as 32-bit floats."
        )
    # how MRC2014 marks images
    stack = int(header["ispg"]) == 0 and int(header["mz"]) == 1 and int(header["mx"]) > 1
    if stack or min(nz, ny, nx) == 1:
        raise SirenError(
            f"{path.name} is "
            f"{'a 2D image' if nz == 1 else f'a stack of {nz:,} images by its header'}, not a map: "
            f"leave it out{'' if nz == 1 else ', or, if it is one, save it again from ChimeraX'}."
        )
    depth = int(header["mz"])
    if 401 <= int(header["ispg"]) <= 630 and 0 < depth < nz:
        raise SirenError(
            f"{path.name} holds {nz // depth:,} maps in one file: save each to a file of its own."
        )
    values = nx * ny * nz * _BYTES[mode]
    if not 0 <= extended <= 1 << 28:
        raise _truncated(path, header)
    if packed:  # the length of compressed data is known only at their end
        if values > MOST_UNPACKED:
            raise SirenError(
                f"{path.name} holds {values / (1 << 30):,.1f} GB when it is unpacked: unpack it "
                "first, or leave it out."
            )
        return header
    found = _size(file)
    if found < extended + values and not _no_extension(header, found, values):
        raise _truncated(path, header)
    return header


def _no_extension(header: np.void, found: int, values: int) -> bool:
    """Whether the extended header that is announced is absent, as in some entries of the EMDB:
    what follows the header is as long as the values are. ChimeraX reads these too.
    """
    return 0 < int(header["nsymbt"]) <= found == values


def _size(file: Any) -> int:
    """Bytes after the header of a file that is not packed."""
    return os.fstat(file.fileno()).st_size - HEADER_DTYPE.itemsize


def _data(path: Path, file: Any, packed: bool, header: np.void) -> NDArray[np.generic]:
    """Read the values in the order of the file: section, row, column."""
    kind = _VALUES[int(header["mode"]), header.dtype["mode"].byteorder]
    shape = _file_shape(header)
    extended, values = int(header["nsymbt"]), shape[0] * shape[1] * shape[2] * kind.itemsize
    if not packed:
        if _size(file) < extended + values and _no_extension(header, _size(file), values):
            extended = 0
        file.seek(HEADER_DTYPE.itemsize + extended)
        data = np.empty(shape, kind)
        if file.readinto(data.reshape(-1).view(np.uint8)) < values:
            raise _truncated(path, header)
    else:
        raw = file.read(extended + values)
        absent = len(raw) < extended + values and _no_extension(header, len(raw), values)
        raw = raw if absent else raw[extended:]
        if len(raw) < values:
            raise _truncated(path, header)
        data = np.frombuffer(raw, kind).reshape(shape)
    if data.dtype == np.int8 and _is_unsigned(header, path):
        data = data.view(np.uint8)
        if _suffix(path) == ".rec":  # ChimeraX inverts IMOD's tomograms
            data = 255 - data
    return data


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Any, bool]]:
    """Open a map file, unpacked where it is compressed or in a zip file, and say whether it is."""
    member = zip_member(path)
    with ExitStack() as stack:
        if member is not None:
            archive = zipfile.ZipFile(stack.enter_context(open_file(member[0])))
            file: Any = stack.enter_context(archive.open(member[1]))
        else:
            file = stack.enter_context(open_file(path))
        start = file.peek(212)[:212]
        opened: Any = None
        if start[208:] != b"MAP ":
            opened = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}.get(start[:2])
        if opened is not None:
            file = stack.enter_context(opened(file, "rb"))
        yield file, member is not None or opened is not None


def _truncated(path: Path, header: np.void) -> SirenError:
    nz, ny, nx = _file_shape(header)
    return SirenError(
        f"{path.name} is truncated or damaged: its header declares {nx} x {ny} x "
        f"{nz} voxels. Copy it again, or leave it out."
    )


def _file_shape(header: np.void) -> Shape:
    return int(header["nz"]), int(header["ny"]), int(header["nx"])


def _suffix(path: Path) -> str:
    """The suffix of the map format, without that of the compression."""
    suffixes = [s.lower() for s in path.suffixes]
    return next((s for s in reversed(suffixes) if s not in COMPRESSIONS), "")


def _is_ccp4(path: Path) -> bool:
    return _suffix(path) in (".map", ".ccp4")


def _is_mrc2000(header: np.void, path: Path) -> bool:
    return not _is_ccp4(path) and header["map"] == b"MAP "


def _is_unsigned(header: np.void, path: Path) -> bool:
    """Whether ChimeraX reads 8-bit values as unsigned: by IMOD's flag, else before MRC 2000."""
    if _is_mrc2000(header, path):
        stamp, flags = np.frombuffer(header.tobytes()[152:160], header.dtype["mode"])
        if stamp == 1146047817:
            return not flags & 1
        return _suffix(path) == ".rec"
    return not _is_ccp4(path)


def _axis_order(header: np.void) -> tuple[int, int, int]:
    """The axis of the file's array (section, row, column) along each of z, y, x."""
    crs = (int(header["mapc"]), int(header["mapr"]), int(header["maps"]))
    if sorted(crs) != list(_AXES):  # never set, or damaged: ChimeraX takes the usual order
        crs = _AXES
    return (2 - crs.index(3), 2 - crs.index(2), 2 - crs.index(1))


def _grid(header: np.void, order: tuple[int, int, int], path: Path) -> Grid:
    angles = [float(header["cellb"][n]) for n in ("alpha", "beta", "gamma")]
    # as ChimeraX does
    set_angles = (
        all(0 < a < 180 for a in angles) and sum(angles) < 360 and max(angles) < sum(angles) / 2
    )
    if set_angles and any(abs(a - 90) > 0.01 for a in angles):
        raise SirenError(
            f"{path.name} has cell angles {angles[0]:g}, {angles[1]:g}, "
            f"{angles[2]:g}: only maps on "
            'orthogonal axes can be used. Resample it with "volume resample".'
        )
    if any(bytes(label).startswith(b"Chimera rotation: ") for label in header["label"]):
        raise SirenError(f'{path.name} is on a rotated grid: resample it with "volume resample".')
    file_shape = _file_shape(header)
    shape = (file_shape[order[0]], file_shape[order[1]], file_shape[order[2]])
    cell = [float(header["cella"][n]) for n in "xyz"]
    intervals = [int(header["mx"]), int(header["my"]), int(header["mz"])]
    size: Triple = (1.0, 1.0, 1.0)  # ChimeraX's default where the header has none
    if min(intervals) > 0 and min(cell) > 0 and np.isfinite(cell).all():
        size = (cell[0] / intervals[0], cell[1] / intervals[1], cell[2] / intervals[2])
    # of section, row and column, despite the field names
    starts = (int(header["nzstart"]), int(header["nystart"]), int(header["nxstart"]))
    return Grid(shape, size, _origin(header, [starts[o] for o in order][::-1], size, shape, path))


def _origin(
    header: np.void, start_xyz: list[int], size: Triple, shape: Shape, path: Path
) -> Triple:
    """Position of the first voxel by ChimeraX's rules, so that blocks overlay the volumes.

    The header's origin is used if set, else the start indices; CCP4 files (.map, .ccp4) and MRC
    files from before 2000 have no origin field.
    """
    origin = tuple(float(header["origin"][n]) for n in "xyz")
    sane = all(np.isfinite(o) and o + s != o for o, s in zip(origin, size, strict=True))
    if _is_mrc2000(header, path) and any(origin) and sane:
        return (origin[0], origin[1], origin[2])
    limit = 10 * max(int(header["mx"]), int(header["my"]), int(header["mz"]), *shape)
    if max(abs(s) for s in start_xyz) > limit:  # uninitialized memory, found in real files
        return (0.0, 0.0, 0.0)
    return (start_xyz[0] * size[0], start_xyz[1] * size[1], start_xyz[2] * size[2])


def write_map(path: Path, array: NDArray[np.floating], grid: Grid, label: str) -> None:
    """Write a map as MRC2014 with 32-bit floats; equal arguments give equal bytes.

    Parameters
    ----------
    path : Path
        With the suffix .mrc.
    array : (z, y, x) array
    grid : Grid
    label : str
        Description of the map: the header's only label.

    Raises
    ------
    ValueError
        If the array is not on the grid.
    """
    if array.shape != grid.shape:
        raise ValueError(f"array {array.shape} is not on the grid {grid.shape}")
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.ascontiguousarray(array, dtype=np.float32))
        mrc.voxel_size = grid.voxel_size
        mrc.header.origin = grid.origin
        mrc.header.label = b""  # mrcfile writes the time here, so every run would differ
        mrc.header.label[0] = label[:80].encode("ascii", "replace")
        mrc.header.nlabl = 1


def with_voxel_size(grid: Grid, voxel_size: float | Triple) -> Grid:
    """The same grid with another voxel size, in Angstrom, as by ``volume voxelSize``.

    The origin is scaled with the voxels.

    Raises
    ------
    SirenError
        If the voxel size is not a positive number.
    """
    edges = (voxel_size,) * 3 if isinstance(voxel_size, int | float) else voxel_size
    if not all(np.isfinite(e) and e > 0 for e in edges):
        raise SirenError(
            f"A voxel size of {voxel_size} A is not possible: give Angstrom per voxel, above 0."
        )
    x, y, z = (
        o / old * float(new)
        for o, old, new in zip(grid.origin, grid.voxel_size, edges, strict=True)
    )
    return replace(
        grid, voxel_size=(float(edges[0]), float(edges[1]), float(edges[2])), origin=(x, y, z)
    )
