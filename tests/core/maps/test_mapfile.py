"""Map files: every axis order, type and bad header, read and placed as by ChimeraX itself."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import itertools
import os
import struct
import tracemalloc
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import (
    first_value,
    is_map_name,
    natural_key,
    read_grid,
    read_map,
    read_values,
    with_voxel_size,
    write_map,
)

SHARED = Path(__file__).resolve().parents[4] / "shared"
REAL = sorted(
    p
    for folder in ("real_maps", "real_ensemble", "real_ensemble/masks")
    for p in SHARED.glob(f"data/{folder}/*")
    if p.suffix in (".mrc", ".map", ".ccp4")
)
ORDERS = list(itertools.permutations((1, 2, 3)))
# byte offsets
MX, MODE, CELL, ANGLES, MAPC, ISPG, NSYMBT, ORIGIN, MAP_ID, STAMP = (
    28,
    12,
    40,
    52,
    64,
    88,
    92,
    196,
    208,
    212,
)


def values(shape: tuple[int, ...] = (4, 5, 6), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def map_bytes(
    section_row_column: NDArray[Any],
    order: tuple[int, int, int] = (1, 2, 3),
    start: tuple[int, int, int] = (0, 0, 0),
    origin: tuple[float, float, float] = (0, 0, 0),
    voxel_size: tuple[float, float, float] = (1.5, 2.0, 2.5),
    byte_order: str = "<",
) -> bytearray:
    """A map file built by hand from the MRC2014 specification, without mrcfile.

    ``order`` is mapc, mapr, maps; ``start`` that of column, row, section; voxel sizes are x, y, z.
    """
    mode = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "c8": 4, "u2": 6, "f2": 12}[
        section_row_column.dtype.str[1:]
    ]
    columns = section_row_column.shape[::-1]
    size_xyz = [columns[order.index(axis)] for axis in (1, 2, 3)]
    cell = [n * s for n, s in zip(size_xyz, voxel_size, strict=True)]
    head = struct.pack(
        byte_order + "10i6f3i3f2i",
        *columns,
        mode,
        *start,
        *size_xyz,
        *cell,
        90,
        90,
        90,
        *order,
        0,
        0,
        0,
        1,
        0,
    )
    head = head.ljust(ORIGIN, b"\0") + struct.pack(byte_order + "3f", *origin) + b"MAP "
    head = (head + (b"DD\0\0" if byte_order == "<" else b"\x11\x11\0\0")).ljust(1024, b"\0")
    return bytearray(
        head
        + section_row_column.astype(section_row_column.dtype.newbyteorder(byte_order)).tobytes()
    )


def put(content: bytearray, offset: int, layout: str, *numbers: float) -> bytearray:
    struct.pack_into("<" + layout, content, offset, *numbers)
    return content


def save(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def refused(path: Path, *words: str) -> str:
    """Error message of both readers: one line with the file, a remedy and all of ``words``."""
    for read in (read_grid, read_map):
        with pytest.raises(SirenError) as caught:
            read(path)
        message = str(caught.value)
        assert path.name in message
        assert "\n" not in message
        assert message.endswith(".")
        assert any(
            remedy in message for remedy in ("leave it out", "save", "esample it", "give a file")
        )
        for word in words:
            assert word in message
    return message


@pytest.fixture
def chimerax(request: pytest.FixtureRequest) -> Callable[[Path], tuple[NDArray[Any], Grid]]:
    """The model that ChimeraX's command open makes of a file."""
    pytest.importorskip("chimerax.core", reason="ChimeraX is needed to compare with: make env")
    session = request.getfixturevalue("session")
    from chimerax.core.commands import run

    def read(path: Path) -> tuple[NDArray[Any], Grid]:
        (volume,) = run(session, f'open "{path}"')
        data = volume.data
        return volume.full_matrix().copy(), Grid(
            tuple(data.size[::-1]), tuple(data.step), tuple(data.origin)
        )

    return read


def assert_same_map(path: Path, theirs: tuple[NDArray[Any], Grid]) -> None:
    array, grid = read_map(path)
    assert grid.shape == theirs[1].shape
    np.testing.assert_allclose(grid.voxel_size, theirs[1].voxel_size, rtol=1e-6)
    np.testing.assert_allclose(grid.origin, theirs[1].origin, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(array, theirs[0].astype(np.float32), rtol=1e-6)


# --- axes


@pytest.mark.parametrize("order", ORDERS)
def test_any_axis_order_gives_the_same_map(tmp_path: Path, order: tuple[int, int, int]) -> None:
    array = values()  # z, y, x
    # section, row, column; x is the array's axis 2
    in_file = array.transpose([3 - axis for axis in order[::-1]])
    start_xyz = (3, -4, 5)
    content = map_bytes(in_file, order, start=tuple(start_xyz[axis - 1] for axis in order))
    read, grid = read_map(save(tmp_path / "a.map", content))
    np.testing.assert_array_equal(read, array)
    assert read.flags.c_contiguous
    assert grid == Grid((4, 5, 6), (1.5, 2.0, 2.5), (4.5, -8.0, 12.5))
    assert read_grid(tmp_path / "a.map") == grid


def test_one_voxel_lies_where_it_was_put_by_hand(tmp_path: Path) -> None:
    in_file = np.zeros((6, 4, 5), np.float32)  # sections run along x, rows along z, columns along y
    in_file[5, 3, 1] = 7  # x = 5, z = 3, y = 1
    array, grid = read_map(
        save(tmp_path / "a.mrc", map_bytes(in_file, (2, 3, 1), origin=(10, 20, 30)))
    )
    (voxel,) = np.flatnonzero(array)
    assert array.shape == (4, 5, 6)
    assert np.argwhere(array).tolist() == [[3, 1, 5]]
    assert grid.points(np.array([voxel])).tolist() == [[10 + 5 * 1.5, 20 + 1 * 2.0, 30 + 3 * 2.5]]


@pytest.mark.parametrize("suffix", [".mrc", ".map", ".ccp4"])
@pytest.mark.parametrize("order", ORDERS)
def test_any_axis_order_is_read_as_chimerax_reads_it(
    tmp_path: Path, chimerax: Callable[[Path], Any], order: tuple[int, int, int], suffix: str
) -> None:
    path = save(tmp_path / f"a{suffix}", map_bytes(values((4, 5, 6)), order, start=(2, -3, 7)))
    assert_same_map(path, chimerax(path))


def test_axes_that_were_never_set_are_x_y_z(
    tmp_path: Path, chimerax: Callable[[Path], Any]
) -> None:
    path = save(tmp_path / "a.mrc", put(map_bytes(values()), MAPC, "3i", 0, 0, 0))
    np.testing.assert_array_equal(read_map(path)[0], values())
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize("order", [(1, 1, 2), (7, 2, 3), (0, 1, 2)])
def test_invalid_axis_orders_are_x_y_z_as_in_chimerax(
    tmp_path: Path, order: tuple[int, int, int], chimerax: Callable[[Path], Any]
) -> None:
    path = save(tmp_path / "odd.mrc", put(map_bytes(values()), MAPC, "3i", *order))
    np.testing.assert_array_equal(read_map(path)[0], values())
    assert_same_map(path, chimerax(path))


# --- origin: the conventions of ChimeraX for each kind of file

ORIGINS = {
    "origin": {"origin": (10.5, -20.25, 30.0)},
    "start": {"start": (-32, 5, 16)},
    "both": {"origin": (10.5, -20.25, 30.0), "start": (-32, 5, 16)},
    "neither": {},
    "one axis": {"origin": (0, 0, -7.5), "start": (1, 2, 3)},
    "not a number": {"origin": (float("nan"), 1, 2), "start": (1, 2, 3)},
    "infinite": {"origin": (1, float("inf"), 2), "start": (1, 2, 3)},
    "huge": {"origin": (1e30, 0, 0), "start": (1, 2, 3)},
    "start never set": {"start": (1869504, 5, 16)},
}


@pytest.mark.parametrize("suffix", [".mrc", ".map", ".rec"])
@pytest.mark.parametrize("kind", ORIGINS)
def test_every_origin_is_where_chimerax_puts_it(
    tmp_path: Path, chimerax: Callable[[Path], Any], kind: str, suffix: str
) -> None:
    path = save(tmp_path / f"a{suffix}", map_bytes(values(), **ORIGINS[kind]))
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize(
    "name", ["A.MRC", "A.MAP", "a.Ccp4", "a.map.mrc", "a.mrc.map", "a.ccp4.rec", "vol.1.mrc"]
)
def test_the_last_suffix_decides_as_in_chimerax(
    tmp_path: Path, chimerax: Callable[[Path], Any], name: str
) -> None:
    path = save(tmp_path / name, map_bytes(values(), **ORIGINS["both"]))  # type: ignore[arg-type]
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("a.mrc", (10.5, -20.25, 30.0)),
        ("a.mrc.gz", (10.5, -20.25, 30.0)),
        ("a.map.mrc", (10.5, -20.25, 30.0)),
        ("a.map", (-48.0, 10.0, 40.0)),
        ("a.ccp4", (-48.0, 10.0, 40.0)),
        ("a.map.gz", (-48.0, 10.0, 40.0)),
    ],
)
def test_the_origin_field_counts_in_mrc_files_and_the_start_in_ccp4_files(
    tmp_path: Path, name: str, origin: tuple[float, float, float]
) -> None:
    content = bytes(map_bytes(values(), **ORIGINS["both"]))  # type: ignore[arg-type]
    save(tmp_path / name, gzip.compress(content) if name.endswith(".gz") else content)
    assert read_grid(tmp_path / name).origin == origin


def test_a_file_older_than_mrc2000_has_no_origin_field(
    tmp_path: Path, chimerax: Callable[[Path], Any]
) -> None:
    content = map_bytes(values(), origin=(10, 20, 30), start=(1, 2, 3))
    content[MAP_ID : MAP_ID + 4] = b"\0\0\0\0"
    path = save(tmp_path / "old.mrc", content)
    assert read_grid(path).origin == (1.5, 4.0, 7.5)
    assert_same_map(path, chimerax(path))


# --- voxel size


def test_a_header_without_voxel_size_says_one_as_in_chimerax(
    tmp_path: Path, chimerax: Callable[[Path], Any]
) -> None:
    for name, offset, layout in (("mx.mrc", MX, "i"), ("cell.mrc", CELL, "f")):
        path = save(tmp_path / name, put(map_bytes(values(), start=(2, 3, 4)), offset, layout, 0))
        assert read_grid(path) == Grid((4, 5, 6), (1.0, 1.0, 1.0), (2.0, 3.0, 4.0))
        assert_same_map(path, chimerax(path))


def test_a_cell_that_is_not_a_number_says_one(tmp_path: Path) -> None:
    for axis in range(3):
        path = save(
            tmp_path / "cell.mrc", put(map_bytes(values()), CELL + 4 * axis, "f", float("nan"))
        )
        assert read_grid(path).voxel_size == (1.0, 1.0, 1.0)


def test_a_map_cut_from_a_larger_cell_keeps_its_voxel_size(
    tmp_path: Path, chimerax: Callable[[Path], Any]
) -> None:
    content = put(map_bytes(values(), start=(-3, 0, 9)), MX, "3i", 100, 90, 80)
    path = save(tmp_path / "cut.map", put(content, CELL, "3f", 150, 90, 40))
    assert read_grid(path) == Grid((4, 5, 6), (1.5, 1.0, 0.5), (-4.5, 0.0, 4.5))
    assert_same_map(path, chimerax(path))


def test_another_voxel_size_keeps_the_origin_in_voxels_as_volume_voxelsize_does(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    grid = Grid((4, 5, 6), (1.0, 1.0, 1.0), (-2.0, 3.0, 0.5))
    changed = with_voxel_size(grid, 6.5)
    assert changed == Grid((4, 5, 6), (6.5, 6.5, 6.5), (-13.0, 19.5, 3.25))
    pytest.importorskip("chimerax.core", reason="ChimeraX is needed to compare with: make env")
    run = request.getfixturevalue("run")
    write_map(tmp_path / "a.mrc", values(), grid, "a")
    (volume,) = run(f'open "{tmp_path / "a.mrc"}"')
    run("volume #1 voxelSize 6.5")
    assert tuple(volume.data.origin) == changed.origin


@pytest.mark.parametrize("size", [0, -1.0, float("nan"), float("inf")])
def test_an_impossible_voxel_size_is_refused(size: float) -> None:
    with pytest.raises(SirenError, match="not possible: give Angstrom per voxel, above 0"):
        with_voxel_size(Grid((4, 5, 6), (1.0, 1.0, 1.0)), size)


# --- types and byte orders


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "i2", "u2", "f2", "f4"])
def test_every_type_and_byte_order_gives_its_values(
    tmp_path: Path, chimerax: Callable[[Path], Any], kind: str, byte_order: str
) -> None:
    array = (values() * 40).astype(kind)
    path = save(tmp_path / "a.mrc", map_bytes(array, byte_order=byte_order))
    read, grid = read_map(path)
    assert read.dtype == np.float32
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, array.astype(np.float32))
    assert grid == Grid((4, 5, 6), (1.5, 2.0, 2.5))
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize("stamp", [b"\0\0\0\0", b"DA\0\0", b"\xff\xff\xff\xff", b"\x11\x11\0\0"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_a_machine_stamp_that_is_wrong_does_not_matter(
    tmp_path: Path, byte_order: str, stamp: bytes
) -> None:
    content = map_bytes(values(), byte_order=byte_order)
    content[STAMP : STAMP + 4] = stamp
    read, grid = read_map(save(tmp_path / "a.mrc", content))
    np.testing.assert_array_equal(read, values())
    assert grid == Grid((4, 5, 6), (1.5, 2.0, 2.5))


@pytest.mark.parametrize("map_id", [b"\0\0\0\0", b"MAP\0", b"XYZ "])
def test_a_missing_map_id_does_not_matter(
    tmp_path: Path, chimerax: Callable[[Path], Any], map_id: bytes
) -> None:
    content = map_bytes(values())
    content[MAP_ID : MAP_ID + 4] = map_id
    path = save(tmp_path / "a.mrc", content)
    np.testing.assert_array_equal(read_map(path)[0], values())
    assert_same_map(path, chimerax(path))


IMOD = 1146047817


@pytest.mark.parametrize(
    ("name", "stamp", "flags", "map_id"),
    [
        ("a.mrc", 0, 0, b"MAP "),
        ("a.mrc", IMOD, 0, b"MAP "),
        ("a.mrc", IMOD, 1, b"MAP "),
        ("a.mrc", 0, 0, b"\0\0\0\0"),
        ("a.map", IMOD, 0, b"MAP "),
        ("a.map", 0, 0, b"\0\0\0\0"),
        ("a.rec", 0, 0, b"MAP "),
        ("a.rec", IMOD, 1, b"MAP "),
        ("a.rec", IMOD, 0, b"MAP "),
    ],
)
def test_bytes_are_signed_where_chimerax_takes_them_as_signed(
    tmp_path: Path,
    chimerax: Callable[[Path], Any],
    name: str,
    stamp: int,
    flags: int,
    map_id: bytes,
) -> None:
    array = np.arange(120, dtype=np.uint8).reshape(4, 5, 6) * 2
    content = put(map_bytes(array), 152, "2i", stamp, flags)
    content[MAP_ID : MAP_ID + 4] = map_id
    path = save(tmp_path / name, content)
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_maps_are_the_same_maps(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    """ChimeraX cannot open compressed maps; the placement of plain ones is tested above."""
    content = bytes(map_bytes(values(), origin=(1, 2, 3)))
    plain, packed = (
        save(tmp_path / "a.mrc", content),
        save(tmp_path / f"b.mrc{suffix}", pack(content)),
    )
    np.testing.assert_array_equal(read_map(packed)[0], read_map(plain)[0])
    assert read_grid(packed) == read_grid(plain)


def test_an_extended_header_is_skipped(tmp_path: Path, chimerax: Callable[[Path], Any]) -> None:
    content = put(map_bytes(values()), NSYMBT, "i", 160)
    content[1024:1024] = b"X,  Y,  Z".ljust(80) * 2
    path = save(tmp_path / "a.ccp4", content)
    np.testing.assert_array_equal(read_map(path)[0], values())
    assert_same_map(path, chimerax(path))


@pytest.mark.parametrize("suffix", [".map", ".mrc", ".map.gz", ".map.bz2"])
def test_an_extended_header_that_is_announced_and_absent_is_passed_over_as_in_chimerax(
    tmp_path: Path, suffix: str, chimerax: Callable[[Path], Any]
) -> None:
    content = bytes(put(map_bytes(values()), NSYMBT, "i", 80))  # as in EMD-1042 and others
    plain = save(tmp_path / f"plain{suffix[:4]}", content)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(suffix[4:], bytes)
    path = save(tmp_path / f"a{suffix}", pack(content))
    np.testing.assert_array_equal(read_map(path)[0], values())
    assert read_grid(path) == chimerax(plain)[1]


FIELDS = {  # of the header's first 256 bytes: offset, values that programs and damage leave there
    0: [0, -1, 4, 5, 6, 7, 65536],
    4: [0, 4, 5, 6, 40],
    8: [0, 1, 4, 5, 6, 40],
    16: [0, -3, 5, 1000, -(2**31) + 1],
    20: [0, 7, 2**31 - 1],
    24: [0, -50],
    28: [0, -1, 1, 4, 100],
    32: [0, 5, 100],
    36: [0, 1, 6, 100],
    64: [0, 1, 2, 3, 4],
    68: [0, 1, 2, 3, -1],
    72: [0, 1, 2, 3, 17],
    88: [0, 1, 2, 401],
    92: [0, -80, 80, 120, 481, 2**30],
    152: [0, 1146047817],
    156: [0, 1],
    212: [0, 0x4144, 0x1111, 0x4444],
}
FLOATS = {
    offset: [0.0, -1.0, 1.5, 90.0, 180.0, 1e-30, 1e30, np.inf, np.nan]
    for offset in (40, 44, 48, 52, 56, 60, 196, 200, 204)
}


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_headers_that_lie_are_read_as_chimerax_reads_them_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    mrc_format = pytest.importorskip("chimerax.map_data.mrc.mrc_format")
    folder = tmp_path_factory.mktemp("lying", numbered=True)
    kind = data.draw(st.sampled_from(["f4", "i2", "u2", "f2", "i1"]))
    content = map_bytes((100 * values()).astype(kind), byte_order=data.draw(st.sampled_from("<>")))
    for fields, letter in ((FIELDS, "i"), (FLOATS, "f")):
        chosen = data.draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True))
        for offset in chosen:
            put(content, offset, letter, data.draw(st.sampled_from(fields[offset])))
    if data.draw(st.booleans()):
        content[MAP_ID : MAP_ID + 4] = data.draw(st.sampled_from([b"\0\0\0\0", b"map ", b"MAP "]))
    suffix = data.draw(st.sampled_from([".mrc", ".map", ".ccp4", ".rec"]))
    path = save(folder / f"a{suffix}", bytes(content))
    file_type = {".mrc": "mrc", ".rec": "imod"}.get(suffix, "ccp4")
    try:
        array, grid = read_map(path)
    except SirenError:
        return
    theirs = mrc_format.MRC_Data(str(path), file_type)  # never refused where we read it
    assert grid.shape == tuple(theirs.data_size[::-1])
    expected = theirs.read_matrix((0, 0, 0), theirs.data_size, (1, 1, 1), None)
    if suffix == ".rec" and expected.dtype == np.uint8:
        expected = 255 - expected  # its grid does
    np.testing.assert_array_equal(array, expected.astype(np.float32))
    if np.isfinite([theirs.data_step, theirs.data_origin]).all():  # else it cannot be drawn
        np.testing.assert_allclose(grid.voxel_size, theirs.data_step, rtol=1e-6)
        np.testing.assert_allclose(grid.origin, theirs.data_origin, rtol=1e-6)


# --- files that are damaged or not maps


def test_a_missing_file_gives_a_one_sentence_error(tmp_path: Path) -> None:
    with pytest.raises(
        SirenError,
        match=r"gone\.mrc: there is no such file; check its name and "
        r"folder\.",
    ):
        read_map(tmp_path / "gone.mrc")


@pytest.mark.parametrize("length", [0, 4, 1000, 1023])
def test_a_file_that_ends_in_its_header_is_refused(tmp_path: Path, length: int) -> None:
    refused(save(tmp_path / "short.mrc", bytes(map_bytes(values()))[:length]), "empty or truncated")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("kept", [1024, 1026])
def test_the_first_value_of_a_packed_map_cut_before_it_is_refused(
    tmp_path: Path, pack: Callable[[bytes], bytes], kept: int
) -> None:
    """Their length says nothing of what is in them."""
    path = save(tmp_path / "cut.mrc.gz", pack(bytes(map_bytes(values()))[:kept]))
    with pytest.raises(SirenError, match=r"cut\.mrc\.gz is truncated or damaged"):
        first_value(path)


@pytest.mark.parametrize("missing", [1, 100, 480])
def test_a_truncated_file_is_refused_from_its_header_alone(tmp_path: Path, missing: int) -> None:
    refused(
        save(tmp_path / "cut.mrc", bytes(map_bytes(values()))[:-missing]),
        "truncated",
        "6 x 5 x 4 voxels",
    )


def test_a_longer_file_than_needed_is_read(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_map(save(tmp_path / "long.mrc", bytes(map_bytes(values())) + b"rest"))[0], values()
    )


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
@pytest.mark.parametrize("damage", ["cut", "changed", "short map"])
def test_a_damaged_compressed_file_is_refused(
    tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes], damage: str
) -> None:
    content = bytes(map_bytes(values()))
    packed = bytearray(pack(content[:-4] if damage == "short map" else content))
    if damage == "cut":
        del packed[-60:]
    if damage == "changed":
        packed[len(packed) // 2 : len(packed) // 2 + 30] = b"\x55" * 30
    path = save(tmp_path / f"bad.mrc{suffix}", bytes(packed))
    with pytest.raises(SirenError, match=r"^bad\.mrc\.\w+ .*Copy it again, or leave it out\.$"):
        read_map(path)


@pytest.mark.parametrize(
    "content",
    [
        b"vol_id,level\n" + b"1,0.5\n" * 900,
        b"\xff" * 5000,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20,
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    refused(save(tmp_path / "table.mrc", content), "is not a map")


def test_what_a_download_left_instead_of_the_map_is_called_that(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
    refused(save(tmp_path / "a.mrc", pointer), 'git lfs pull"')
    for page in (b"<!DOCTYPE html>\n<html>404 Not Found", b"\n<html><head>" + b"x" * 5000):
        refused(save(tmp_path / "a.map.gz", page), "is a web page", "download it again")


def test_zeros_are_not_a_map(tmp_path: Path) -> None:
    refused(save(tmp_path / "zeros.mrc", bytes(4096)), "is not a map")


def test_noise_is_refused_without_a_traceback(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        refused(save(tmp_path / "noise.mrc", rng.bytes(3000)))


def test_any_damaged_header_field_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    """Each of the first 60 header words is overwritten by many values: a map, or one sentence."""
    good = bytes(map_bytes(values()))
    path = tmp_path / "fuzz.mrc"

    def outcome() -> str:
        try:
            array, grid = read_map(path)
        except SirenError as error:
            return (
                "a sentence"
                if str(error).startswith("fuzz.mrc ") and "\n" not in str(error)
                else str(error)
            )
        return (
            "a map"
            if array.shape == grid.shape and np.isfinite([*grid.voxel_size, *grid.origin]).all()
            else f"{grid}"
        )

    outcomes = set()
    for word in range(60):
        for number in (-1, 0, 1, 5, 101, 65536, 2**31 - 1, -(2**31), 0x7FC00000, 0x7F800000):
            save(path, put(bytearray(good), 4 * word, "i", number))
            outcomes.add(outcome())
    assert outcomes == {"a map", "a sentence"}


def test_a_damaged_header_is_detected_before_memory_is_allocated(tmp_path: Path) -> None:
    """A header that declares gigabytes, in a file of 1.5 kB."""
    content = bytes(map_bytes(values()))
    tracemalloc.start()
    refused(save(tmp_path / "big.mrc", put(bytearray(content), NSYMBT, "i", 2**31 - 1)))
    refused(save(tmp_path / "big.mrc", put(bytearray(content), 0, "3i", 2000, 2000, 2000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_folder_with_a_maps_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mrc").mkdir()
    refused(tmp_path / "x.mrc", "folder")


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "secret.mrc", map_bytes(values()))

    def deny(*_: Any, **__: Any) -> None:  # tests may run as root, who can read everything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)
    refused(path, "Permission denied", "Ask for the right to read it, or leave it out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_with_a_maps_name_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.mrc")
    refused(tmp_path / "x.mrc", "named pipe")


def test_a_compressed_map_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    content = put(map_bytes(values()), 0, "3i", 4000, 4000, 4000)
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress)):
        tracemalloc.start()
        refused(save(tmp_path / f"bomb.mrc{suffix}", pack(bytes(content))), "238.4 GB")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50e6


@pytest.mark.parametrize("mode", [3, 4, 101, 5])
def test_complex_and_other_modes_are_refused(tmp_path: Path, mode: int) -> None:
    content = put(map_bytes(values()), MODE, "i", mode) + bytes(2000)
    refused(save(tmp_path / "fft.mrc", content), f"mode {mode}", "32-bit floats")


def test_one_image_is_refused(tmp_path: Path) -> None:
    refused(save(tmp_path / "image.mrc", map_bytes(values((1, 5, 6)))), "2D image")


def test_a_stack_of_images_is_refused(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "stack.mrc") as mrc:
        mrc.set_data(values((7, 5, 6)))
        mrc.set_image_stack()
    refused(tmp_path / "stack.mrc", "a stack of 7 images")


def test_several_maps_in_one_file_are_refused(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "many.mrc") as mrc:
        mrc.set_data(values((3, 4, 5, 6)))
    refused(tmp_path / "many.mrc", "holds 3 maps in one file")


def test_a_map_with_space_group_zero_is_a_map(tmp_path: Path) -> None:
    np.testing.assert_array_equal(
        read_map(save(tmp_path / "a.mrc", put(map_bytes(values()), ISPG, "i", 0)))[0], values()
    )


def test_a_skewed_cell_is_refused(tmp_path: Path) -> None:
    content = put(map_bytes(values()), ANGLES, "3f", 90, 90, 120)
    refused(save(tmp_path / "crystal.ccp4", content), "90, 90, 120", "volume resample")


@pytest.mark.parametrize("angles", [(0, 0, 0), (float("nan"),) * 3, (-1, 90, 90), (10, 10, 170)])
def test_impossible_cell_angles_are_right_angles_as_in_chimerax(
    tmp_path: Path, chimerax: Callable[[Path], Any], angles: tuple[float, float, float]
) -> None:
    path = save(tmp_path / "a.mrc", put(map_bytes(values()), ANGLES, "3f", *angles))
    np.testing.assert_array_equal(read_map(path)[0], values())
    if np.isfinite(angles).all():  # with others ChimeraX computes
        assert_same_map(path, chimerax(path))


def test_a_map_rotated_in_chimera_is_refused(tmp_path: Path) -> None:
    content = map_bytes(values())
    content[224:304] = b"Chimera rotation: 0 0 1 30".ljust(80, b"\0")
    refused(save(tmp_path / "turned.mrc", content), "rotated", "volume resample")


# --- writing

GRIDS = [
    Grid((4, 5, 6), (1.5, 2.25, 3.125), (-13.5, 0.0, 100.25)),
    Grid((4, 5, 6), (6.55, 6.55, 6.55)),
    Grid((4, 5, 6), (6.550000190734863,) * 3, (-182.39999389648438,) * 3),
    Grid((4, 5, 6), (1.0, 1.0, 1.0), (0.0, 0.0, -0.5)),
]


@pytest.mark.parametrize("grid", GRIDS)
def test_a_written_map_comes_back_on_its_grid(tmp_path: Path, grid: Grid) -> None:
    write_map(tmp_path / "a.mrc", values(), grid, "a map")
    read, found = read_map(tmp_path / "a.mrc")
    np.testing.assert_array_equal(read, values())
    assert found.shape == grid.shape
    np.testing.assert_allclose(found.voxel_size, grid.voxel_size, rtol=1e-6)
    np.testing.assert_allclose(found.origin, grid.origin, rtol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_written_map_lies_there_in_chimerax(
    tmp_path: Path, chimerax: Callable[[Path], Any], grid: Grid
) -> None:
    write_map(tmp_path / "a.mrc", values(), grid, "a map")
    theirs, found = chimerax(tmp_path / "a.mrc")
    np.testing.assert_array_equal(theirs, values())
    np.testing.assert_allclose(found.voxel_size, grid.voxel_size, rtol=1e-6)
    np.testing.assert_allclose(found.origin, grid.origin, rtol=1e-6)


@pytest.mark.parametrize(
    "array", [values(), np.zeros((4, 5, 6)), np.ones((4, 5, 6), bool), values().transpose(2, 1, 0)]
)
def test_a_written_map_validates_clean(tmp_path: Path, array: NDArray[Any]) -> None:
    write_map(
        tmp_path / "a.mrc", array, Grid(array.shape, (1.5, 2.0, 2.5), (-1.0, 2.0, 3.0)), "a map"
    )
    said = io.StringIO()
    assert mrcfile.validate(tmp_path / "a.mrc", print_file=said), said.getvalue()
    assert len(said.getvalue().splitlines()) == 2  # "Checking if ...", "File appears to be valid."
    with mrcfile.open(tmp_path / "a.mrc") as mrc:
        assert mrc.header.mode == 2
        assert mrc.get_labels() == ["a map"]
        np.testing.assert_array_equal(mrc.data, array)


def test_the_same_map_is_written_with_the_same_bytes_at_any_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for year in (2001, 2031):

        class Clock(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None, year: int = year) -> datetime:
                return datetime(year, 1, 1, tzinfo=tz)

        monkeypatch.setattr("mrcfile.mrcobject.datetime", Clock)
        write_map(tmp_path / "a.mrc", values(), GRIDS[0], "a map")
        digests.add(hashlib.sha256((tmp_path / "a.mrc").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_long_or_foreign_label_is_cut_and_plain(tmp_path: Path) -> None:
    write_map(tmp_path / "a.mrc", values(), GRIDS[0], "Blöcke " + "x" * 100)
    assert mrcfile.validate(tmp_path / "a.mrc", print_file=io.StringIO())
    with mrcfile.open(tmp_path / "a.mrc") as mrc:
        assert mrc.get_labels() == ["Bl?cke " + "x" * 73]


def test_an_array_on_another_grid_is_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not on the grid"):
        write_map(tmp_path / "a.mrc", values((4, 5, 5)), GRIDS[0], "a map")
    assert not (tmp_path / "a.mrc").exists()


# --- names


def test_names_sort_naturally() -> None:
    names = [
        "vol_10.mrc",
        "vol_2.mrc",
        "Vol_1.mrc",
        "vol_2b.mrc",
        "10.mrc",
        "9.mrc",
        "a²3.mrc",
        "1²2.mrc",
        "vol_002.mrc",
    ]
    ordered = sorted(names, key=natural_key)
    assert ordered.index("Vol_1.mrc") < ordered.index("vol_2.mrc") < ordered.index("vol_10.mrc")
    assert ordered.index("9.mrc") < ordered.index("10.mrc")
    assert sorted(reversed(ordered), key=natural_key) == ordered


@pytest.mark.parametrize(
    ("name", "is_map"),
    [
        ("a.mrc", True),
        ("a.MRC", True),
        ("a.map.gz", True),
        ("a.ccp4", True),
        ("a.rec.bz2", True),
        ("._a.mrc", False),
        ("a.mrcs", False),
        ("a.mrc.txt", False),
        ("mrc", False),
        ("a.csv", False),
    ],
)
def test_map_file_names(name: str, is_map: bool) -> None:
    assert is_map_name(name) is is_map


# --- real maps


@pytest.mark.skipif(not REAL, reason="real maps are in ../shared/data, which is not here")
@pytest.mark.parametrize("path", REAL, ids=lambda p: p.name)
def test_real_maps_are_read(path: Path) -> None:
    array, grid = read_map(path)
    assert array.shape == grid.shape == read_grid(path).shape
    assert array.max() > array.min()
    if path.name == "5fn5_box.ccp4":  # x, y, z sizes from ../shared/data/README.md
        assert grid.text() == "64 x 99 x 66, 1.4 A/voxel"
    if path.parent.name == "real_ensemble":
        assert grid.text() == "64 x 64 x 64, 6.55 A/voxel"


@pytest.mark.skipif(not REAL, reason="real maps are in ../shared/data, which is not here")
@pytest.mark.parametrize(
    "path", [p for p in REAL if p.parent.name == "real_maps"] + REAL[-1:], ids=lambda p: p.name
)
def test_real_maps_are_read_as_chimerax_reads_them(
    path: Path, chimerax: Callable[[Path], Any]
) -> None:
    assert_same_map(path, chimerax(path))


def test_a_map_like_the_last_is_read_as_if_it_were_the_first(tmp_path: Path) -> None:
    read, arrays = [], [values(seed=n) for n in range(3)]
    for n, array in enumerate(arrays):
        write_map(tmp_path / f"{n}.mrc", array, Grid((4, 5, 6), (2.0, 2.0, 2.0)), "alike")
        read.append(read_values(tmp_path / f"{n}.mrc"))
    np.testing.assert_array_equal(read, arrays)
    # the same header, but not as many values
    content = (tmp_path / "1.mrc").read_bytes()
    (tmp_path / "1.mrc").write_bytes(content[:-4])
    with pytest.raises(SirenError, match=r"1\.mrc is truncated"):
        read_values(tmp_path / "1.mrc")
    # as many bytes, in another order
    header = bytearray(content)
    header[64:76] = np.array([3, 2, 1], "<i4").tobytes()
    (tmp_path / "1.mrc").write_bytes(bytes(header))
    np.testing.assert_array_equal(read_values(tmp_path / "1.mrc"), read_map(tmp_path / "1.mrc")[0])
