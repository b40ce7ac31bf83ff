"""Ensembles are found, checked, selected and read; errors are one sentence with file and remedy."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from numpy.typing import NDArray

from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid, to_box
from chimerax.siren.core.maps.mapfile import write_map

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
GRID = Grid((4, 5, 6), (2.0, 2.0, 2.0), (-3.0, 0.0, 9.0))


def volume(seed: int, grid: Grid = GRID) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=grid.shape).astype(np.float32)


def folder_of(path: Path, names: Sequence[str], grid: Grid = GRID) -> Path:
    """A folder of different random maps; seeds count from 0."""
    path.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        write_map(path / name, volume(seed, grid), grid, name)
    return path


def sentence(places: Sequence[Any], *words: str, **keywords: Any) -> str:
    """Error message of find_ensemble or of reading: one line that contains all of ``words``."""
    with pytest.raises(SirenError) as caught:
        list(find_ensemble(places, **keywords).read())
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


# --- finding


def test_volumes_are_in_natural_order(tmp_path: Path) -> None:
    names = ["vol_10.mrc", "vol_9.mrc", "vol_1.mrc", "vol_100.mrc", "vol_002.mrc"]
    ensemble = find_ensemble([folder_of(tmp_path / "v", names)])
    assert ensemble.names == ("vol_1.mrc", "vol_002.mrc", "vol_9.mrc", "vol_10.mrc", "vol_100.mrc")
    assert ensemble.all_names == ensemble.names
    assert ensemble.grid == GRID


def test_names_stay_with_their_values_whatever_the_order(tmp_path: Path) -> None:
    names = ["vol_10.mrc", "vol_9.mrc", "b.mrc", "a.mrc"]
    for name, array in find_ensemble([folder_of(tmp_path / "v", names)]).read():
        np.testing.assert_array_equal(array, volume(names.index(name)))


def test_a_list_of_files_and_a_folder_give_the_same_ensemble(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc", "c.mrc"])
    files = [str(folder / n) for n in ("c.mrc", "a.mrc", "b.mrc")]
    assert find_ensemble(files) == find_ensemble([str(folder)])


def test_other_files_and_subfolders_are_ignored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    (folder / "predictions.csv").write_text("file\n")
    (folder / "._a.mrc").write_bytes(b"resource fork")
    folder_of(folder / "00_sketch.mrc", ["c.mrc"])
    assert find_ensemble([folder]).names == ("a.mrc", "b.mrc")


def test_file_formats_may_be_mixed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    (folder / "c.mrc.gz").write_bytes(gzip.compress((folder / "b.mrc").read_bytes()))
    ensemble = find_ensemble([folder])
    assert ensemble.names == ("a.mrc", "b.mrc", "c.mrc.gz")
    arrays = dict(ensemble.read())
    np.testing.assert_array_equal(arrays["b.mrc"], arrays["c.mrc.gz"])


def test_a_symbolic_link_is_identified_by_its_own_name(tmp_path: Path) -> None:
    store = folder_of(tmp_path / "store", ["SHA-1.mrc", "SHA-2.mrc"])
    (tmp_path / "v").mkdir()
    for link, target in (("vol_1.mrc", "SHA-2.mrc"), ("vol_2.mrc", "SHA-1.mrc")):
        (tmp_path / "v" / link).symlink_to(store / target)
    ensemble = find_ensemble([tmp_path / "v"])
    assert ensemble.names == ("vol_1.mrc", "vol_2.mrc")
    # so that a record can find it by name
    assert tuple(s.path.name for s in ensemble.sources if s.path) == ensemble.names
    np.testing.assert_array_equal(dict(ensemble.read())["vol_1.mrc"], volume(1))


def test_a_broken_link_is_not_silently_ignored(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    (folder / "c.mrc").symlink_to(tmp_path / "unmounted" / "c.mrc")
    sentence([folder], "c.mrc is a link to a file that is gone", "put the file back")


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="real volumes are in ../shared/data, which is not here"
)
def test_the_real_ensemble_is_found() -> None:
    ensemble = find_ensemble([SHARED / "real_ensemble"])
    assert len(ensemble) == 10
    assert ensemble.grid.text() == "64 x 64 x 64, 6.55 A/voxel"
    assert ensemble.notes == ()
    assert sum(1 for _ in ensemble.read()) == 10


def test_maps_in_memory_can_be_volumes(tmp_path: Path) -> None:
    sources = [Source(f"map {i}", array=lambda i=i: volume(i), grid=GRID) for i in range(3)]
    ensemble = find_ensemble([*sources, folder_of(tmp_path / "v", ["a.mrc"])])
    assert ensemble.names == ("a.mrc", "map 0", "map 1", "map 2")
    np.testing.assert_array_equal(dict(ensemble.read())["map 1"], volume(1))


# --- invalid inputs


def test_an_unknown_path_gives_a_one_sentence_error(tmp_path: Path) -> None:
    sentence(
        [tmp_path / "volums"],
        str(tmp_path / "volums"),
        "no such file or folder",
        "give a folder of maps",
    )


@pytest.mark.parametrize("place", ["x" * 300, "~nobody-of-this-name/volumes", "a\0b", "", "."])
def test_an_impossible_path_gives_a_one_sentence_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence([place], "give")


def test_an_empty_folder_gives_a_one_sentence_error(tmp_path: Path) -> None:
    sentence([tmp_path], str(tmp_path), "holds no maps", "give the folder of the volumes")


def test_an_unreadable_folder_gives_a_one_sentence_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(self: Path) -> None:  # tests may run as root, who can read everything
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", deny)
    sentence([tmp_path], str(tmp_path), "Permission denied", "give a folder")


def test_the_sub_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    (tmp_path / "secret").mkdir()
    scan = os.scandir

    def refuse(place: str | Path) -> Any:
        if Path(place).name == "secret":
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    sentence([tmp_path], f"{tmp_path / 'secret'} cannot be read (Permission denied)")


def test_a_file_that_is_not_a_map_gives_a_one_sentence_error(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    (folder / "c.mrc").write_text("not a map\n" * 200)
    sentence([folder], "c.mrc", "is not a map", "leave it out")


@pytest.mark.parametrize("names", [[], ["only.mrc"]])
def test_fewer_than_two_volumes_give_a_one_sentence_error(tmp_path: Path, names: list[str]) -> None:
    folder = folder_of(tmp_path / "v", names)
    sentence([folder], "at least 2" if names else "holds no maps", str(folder))
    assert len(find_ensemble([folder_of(folder, ["one.mrc"])], minimum=1, include=["one.mrc"])) == 1
    sentence([], "no volume", "at least 2")


def test_the_same_file_given_twice_gives_a_one_sentence_error(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    sentence([folder, folder / "a.mrc"], "a.mrc: more than one", "Give one folder, or rename")


# --- checks

OTHER_GRIDS = {
    "shape": (replace(GRID, shape=(4, 5, 7)), "is 7 x 5 x 4 but v0.mrc is 6 x 5 x 4"),
    "voxel size": (
        replace(GRID, voxel_size=(2.0, 2.0, 2.1)),
        "has 2 x 2 x 2.1 A/voxel but v0.mrc has 2",
    ),
    "origin": (
        replace(GRID, origin=(-3.0, 0.0, 9.5)),
        "has its origin at (-3, 0, 9.5) A but v0.mrc at (-3, 0, 9)",
    ),
}


@pytest.mark.parametrize("odd_one", [0, 2, 4])
@pytest.mark.parametrize("kind", OTHER_GRIDS)
def test_the_one_volume_on_another_grid_is_named_wherever_it_is(
    tmp_path: Path, kind: str, odd_one: int
) -> None:
    grid, said = OTHER_GRIDS[kind]
    folder = folder_of(tmp_path / "v", [f"v{i}.mrc" for i in range(5)])
    write_map(folder / f"v{odd_one}.mrc", volume(0, grid), grid, "odd")
    said = said.replace("v0.mrc", "v1.mrc" if odd_one == 0 else "v0.mrc")
    sentence(
        [folder],
        f"v{odd_one}.mrc {said}",
        "all volumes must share one grid",
        f'Use "exclude v{odd_one}.mrc"',
    )
    assert len(find_ensemble([folder], exclude=[f"v{odd_one}.mrc"])) == 4


def test_many_volumes_on_another_grid_are_counted_and_not_excluded_one_by_one(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "v", [f"v{i}.mrc" for i in range(9)])
    for i in range(3):
        write_map(folder / f"v{i}.mrc", volume(i, unset := Grid(GRID.shape, (1, 1, 1))), unset, "x")
    said = sentence(
        [folder],
        "v0.mrc has 1 A/voxel but v3.mrc has 2",
        "3 of the 9 volumes differ",
        '"voxelSize 4"',
    )
    assert '"exclude v0.mrc"' not in said


def test_origins_that_differ_are_taken_as_given_by_the_user(tmp_path: Path) -> None:
    """Headers that differ though the maps lie on each other voxel by voxel, as of two programs."""
    folder = folder_of(tmp_path / "v", [f"v{i}.mrc" for i in range(9)])
    for i in range(3):
        write_map(folder / f"v{i}.mrc", volume(i), other := Grid(GRID.shape, GRID.voxel_size), "x")
    assert other.origin != GRID.origin
    said = sentence([folder], "v0.mrc has its origin at (0, 0, 0) A but v3.mrc at", "3 of the 9")
    assert said.endswith('only their headers differ, give the origin of all, as in "origin 0,0,0".')
    ensemble = find_ensemble([folder], origin=(1.0, -2.5, 0.0))
    assert ensemble.grid == Grid(GRID.shape, GRID.voxel_size, (1.0, -2.5, 0.0))
    assert {s.read_grid() for s in ensemble.sources} == {ensemble.grid}
    assert ensemble.notes[-1].startswith("Origin 1,-2.5,0 A as given, instead of 2 different ones")
    assert '"volume #N origin 1,-2.5,0"' in ensemble.notes[-1]
    both = find_ensemble([folder], voxel_size=3.0, origin=(1.0, -2.5, 0.0))
    assert both.grid == Grid(GRID.shape, (3.0,) * 3, (1.0, -2.5, 0.0))
    write_map(folder / "v8.mrc", volume(8), Grid(GRID.shape, GRID.voxel_size, (9, 9, 9)), "x")
    for i in range(3):
        (folder / f"v{i}.mrc").unlink()
    assert "or resample it, or, if they lie" in sentence([folder], "v8.mrc has its origin at")
    with pytest.raises(SirenError, match=r"origin of .* is not possible"):
        find_ensemble([folder], origin=(float("nan"), 0, 0))


def test_a_name_with_blanks_is_proposed_as_it_can_be_typed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a 1.mrc", "a 2.mrc", "a 3.mrc"])
    grid = OTHER_GRIDS["shape"][0]
    write_map(folder / "a 2.mrc", volume(0, grid), grid, "odd")
    sentence([folder], "a 2.mrc is 7 x 5 x 4", "Use \"exclude 'a 2.mrc'\"")


def test_grids_that_differ_by_rounding_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    grid = Grid(GRID.shape, (2.0005, 2.0, 1.9995), (-3.001, 0.001, 9.0))
    write_map(folder / "c.mrc", volume(3), grid, "c")
    assert len(find_ensemble([folder])) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nonfinite_values_give_a_one_sentence_error(tmp_path: Path, value: float) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc", "c.mrc"])
    array = volume(1)
    array[2, 3, 4] = value
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="NaN|infinite"):
        write_map(folder / "b.mrc", array, GRID, "b")
    sentence([folder], "b.mrc has values that are not finite numbers", 'use "exclude b.mrc"')
    assert len(list(find_ensemble([folder]).select(exclude=["b.mrc"]).read())) == 2


@pytest.mark.parametrize("value", [0, -3.5])
def test_a_constant_volume_gives_a_one_sentence_error(tmp_path: Path, value: float) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    write_map(folder / "b.mrc", np.full(GRID.shape, value), GRID, "b")
    sentence([folder], f"b.mrc is constant (every voxel is {value:g})", 'use "exclude b.mrc"')


def test_a_volume_that_changed_since_it_was_checked_gives_a_one_sentence_error(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    ensemble = find_ensemble([folder])
    other = replace(GRID, shape=(3, 3, 3))
    write_map(folder / "b.mrc", volume(0, other), other, "b")
    with pytest.raises(
        SirenError,
        match=r"^b\.mrc changed while it was read: run the command "
        r"again\.$",
    ):
        list(ensemble.read())


def test_nan_outside_the_mask_of_all_maps_is_taken_as_0_and_said(tmp_path: Path) -> None:
    folder = tmp_path / "v"
    folder.mkdir()
    outside = np.ones(GRID.shape, bool)
    outside[1:3, 1:4, 2:5] = False
    for n in range(4):
        with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="NaN"):
            write_map(folder / f"v{n}.mrc", np.where(outside, np.nan, volume(n)), GRID, "v")
    ensemble = find_ensemble([folder])
    assert [n for n in ensemble.notes if "not a number" in n] == [
        "85% of the voxels are not a number (NaN) in the first, the middle and the last volume, as "
        "outside a mask: where they are, they are taken as 0."
    ]
    for n, (_, array) in enumerate(ensemble.read()):
        np.testing.assert_array_equal(array, np.where(outside, 0, volume(n)))
    # one voxel more in one of them is damage, not a mask
    array = np.where(outside, np.nan, volume(1))
    array[1, 2, 3] = np.nan
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="NaN"):
        write_map(folder / "v1.mrc", array, GRID, "v")
    sentence([folder], "v1.mrc has values that are not finite numbers", 'use "exclude v1.mrc"')


def test_nan_in_some_maps_only_is_never_taken_as_0(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc", "c.mrc"])
    array = volume(0)
    array[0] = np.nan
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning, match="NaN"):
        write_map(folder / "a.mrc", array, GRID, "a")
    sentence([folder], "a.mrc has values that are not finite numbers")


def test_what_looks_at_each_map_alone_takes_any_mix_of_sizes_and_voxel_sizes(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    others = {
        "c.mrc": Grid((7, 3, 5), (1.0, 1.0, 1.0)),
        "d.mrc": replace(GRID, voxel_size=(4.0, 4.0, 4.0)),
    }
    for name, grid in others.items():
        write_map(folder / name, volume(3, grid), grid, name)
    sentence([folder], "all volumes must share one grid")
    ensemble = find_ensemble([folder], any_grid=True)
    assert ensemble.mixed
    assert ensemble.grid == GRID
    assert [ensemble.grid_of(s) for s in ensemble.sources] == [GRID, GRID, *others.values()]
    shapes = [array.shape for _, array in ensemble.read()]
    assert shapes == [GRID.shape, GRID.shape, (7, 3, 5), GRID.shape]
    assert ensemble.largest == 7
    assert ensemble.grid_text() == ("3 different grids: 6 to 7 voxels a side, 1 to 4 A/voxel")
    assert not find_ensemble([folder], any_grid=True, include=["a", "b"]).mixed


# --- voxel size


def test_a_voxel_size_that_is_given_holds_where_headers_disagree(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    unset = Grid(GRID.shape, (1.0, 1.0, 1.0), (-1.5, 0.0, 4.5))  # the same box, in voxels
    write_map(folder / "c.mrc", volume(2), unset, "c")
    sentence([folder], "c.mrc has 1 A/voxel but a.mrc has 2")
    ensemble = find_ensemble([folder], 3.0)
    assert ensemble.grid.voxel_size == (3.0, 3.0, 3.0)
    assert ensemble.grid.origin == (-4.5, 0.0, 13.5)
    assert "Voxel size 3 A as given, instead of 1 to 2 A in the headers" in ensemble.notes[0]


def test_a_voxel_size_that_is_given_takes_no_origins_apart(tmp_path: Path) -> None:
    """As where a tool set the voxel size in some headers, and left the origins as they were."""
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])
    write_map(folder / "c.mrc", volume(2), Grid(GRID.shape, (1.0, 1.0, 1.0), GRID.origin), "c")
    assert find_ensemble([folder], 2.0).grid == GRID


def test_a_voxel_size_of_one_is_noted_and_used(tmp_path: Path) -> None:
    grid = Grid(GRID.shape, (1.0, 1.0, 1.0))
    ensemble = find_ensemble([folder_of(tmp_path / "v", ["a.mrc", "b.mrc"], grid)])
    assert ensemble.grid == grid
    (note,) = ensemble.notes
    assert "1.00 A/voxel" in note
    assert '"voxelSize 6.55"' in note


def test_a_given_voxel_size_overrides_the_headers(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "v", ["a.mrc", "b.mrc"], Grid(GRID.shape, (1.0, 1.0, 1.0), (0.0, -2.0, 5.0))
    )
    ensemble = find_ensemble([folder], voxel_size=6.55)
    assert ensemble.grid.voxel_size == (6.55, 6.55, 6.55)
    # unchanged in voxels, as with "volume voxelSize"
    assert ensemble.grid.origin == pytest.approx((0.0, -13.1, 32.75))
    assert {s.read_grid() for s in ensemble.sources} == {ensemble.grid}
    (note,) = ensemble.notes
    assert "6.55 A as given, instead of 1 A in the headers" in note


def test_a_given_voxel_size_applies_to_maps_in_memory_and_boxes() -> None:
    grid = Grid((8, 8, 8), (1.0, 1.0, 1.0))
    sources = [Source(f"map {i}", array=lambda i=i: volume(i, grid), grid=grid) for i in range(2)]
    assert find_ensemble(sources, voxel_size=3).resampled(12).grid.voxel_size == pytest.approx(
        (2.0, 2.0, 2.0)
    )


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_an_impossible_voxel_size_gives_a_one_sentence_error(tmp_path: Path, size: float) -> None:
    sentence(
        [folder_of(tmp_path / "v", ["a.mrc", "b.mrc"])], "not possible", "above 0", voxel_size=size
    )


# --- include and exclude


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    names = [f"vol_{i}.mrc" for i in range(7)] + ["vol[1].mrc", "vol.1.map.gz"]
    folder = folder_of(
        tmp_path_factory.mktemp("nine") / "v", [n for n in names if not n.endswith("gz")]
    )
    (folder / "vol.1.map.gz").write_bytes(gzip.compress((folder / "vol_0.mrc").read_bytes()))
    return Ensemble(tuple(Source(n, folder / n) for n in names), GRID, tuple(names))


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        ([], ["vol_3.mrc"], "0 1 2 4 5 6"),
        ([], ["vol_3"], "0 1 2 4 5 6"),
        (["vol_1.mrc", "vol_6"], [], "1 6"),
        (["vol_[0-2].mrc"], [], "0 1 2"),
        (["vol_?"], ["vol_[13]"], "0 2 4 5 6"),
        (["*"], ["vol_*", "vol.1"], ""),
        (["vol_0", "vol_0", "vol_5"], [], "0 5"),
        (["vol_*"], ["*_4*"], "0 1 2 3 5 6"),
    ],
)
def test_volumes_are_chosen_by_name_stem_and_pattern(
    nine: Ensemble, include: list[str], exclude: list[str], left: str
) -> None:
    chosen = nine.select(include, exclude, minimum=0)
    expected = tuple(f"vol_{i}.mrc" for i in left.split())
    assert tuple(n for n in chosen.names if n.startswith("vol_")) == expected
    assert chosen.all_names == nine.names


@pytest.mark.parametrize("pattern", ["vol[1].mrc", "vol[1]"])
def test_a_name_with_brackets_is_taken_literally(nine: Ensemble, pattern: str) -> None:
    assert nine.select(include=[pattern], minimum=1).names == ("vol[1].mrc",)


def test_the_stem_of_a_compressed_map_keeps_its_other_dots(nine: Ensemble) -> None:
    assert nine.select(include=["vol.1"], minimum=1).names == ("vol.1.map.gz",)


@pytest.mark.parametrize("word", ["include", "exclude"])
def test_a_name_without_a_match_gives_a_one_sentence_error(nine: Ensemble, word: str) -> None:
    with pytest.raises(SirenError) as caught:
        nine.select(**{word: ["vol_0.mrc", "vol_77.mrc"]})  # type: ignore[arg-type]
    assert str(caught.value) == (
        f'"{word} vol_77.mrc" matches none of the 9 volumes (the first is '
        "vol_0.mrc): give file names as "
        "they are in the folder."
    )


def test_too_few_left_gives_a_one_sentence_error(nine: Ensemble) -> None:
    with pytest.raises(
        SirenError, match="only 1 volume after include and exclude: an ensemble needs at least 2"
    ):
        nine.select(include=["vol_1"])
    assert nine.select(include=["vol_1"], minimum=1).names == ("vol_1.mrc",)


def test_a_damaged_volume_can_be_excluded_before_it_is_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc", "c.mrc"])
    (folder / "b.mrc").write_bytes(b"")
    assert find_ensemble([folder], exclude=["b"]).names == ("a.mrc", "c.mrc")
    assert find_ensemble([folder], exclude=["b"]).all_names == ("a.mrc", "b.mrc", "c.mrc")


# --- reading


def test_boxed_volumes_are_the_resampled_ones(tmp_path: Path) -> None:
    grid = Grid((12, 16, 10), (2.0, 2.0, 2.0), (1.0, 2.0, 3.0))
    ensemble = find_ensemble([folder_of(tmp_path / "v", ["a.mrc", "b.mrc"], grid)]).resampled(8)
    expected, expected_grid = to_box(volume(1, grid), grid, 8)
    assert ensemble.grid == expected_grid
    np.testing.assert_array_equal(dict(ensemble.read())["b.mrc"], expected)
    assert ensemble.resampled(None) is ensemble


def test_reading_reports_and_stops_when_asked(tmp_path: Path) -> None:
    ensemble = find_ensemble([folder_of(tmp_path / "v", [f"{i}.mrc" for i in range(4)])])
    said: list[tuple[str, float]] = []
    progress = Progress(lambda phase, fraction: said.append((phase, fraction)), interval=0)
    reading = ensemble.read(progress)
    assert [next(reading)[0], next(reading)[0]] == ["0.mrc", "1.mrc"]
    progress.cancel()
    with pytest.raises(Cancelled):
        next(reading)
    assert said == [("reading", 0.0), ("reading", 0.25)]


def test_a_volume_is_released_when_the_next_one_is_read(tmp_path: Path) -> None:
    ensemble = find_ensemble([folder_of(tmp_path / "v", [f"{i}.mrc" for i in range(6)])])
    earlier: list[weakref.ref[Any]] = []
    for _, array in ensemble.read():
        assert not any(r() is not None for r in earlier)
        earlier.append(weakref.ref(array))
    assert len(earlier) == 6


@pytest.mark.parametrize("box", [None, 24])
def test_many_volumes_need_no_more_memory_than_few(tmp_path: Path, box: int | None) -> None:
    grid = Grid((32, 32, 32), (2.0, 2.0, 2.0))
    ensemble = find_ensemble(
        [folder_of(tmp_path / "v", [f"{i}.mrc" for i in range(40)], grid)]
    ).resampled(box)

    def peak(chosen: Ensemble) -> int:
        tracemalloc.start()
        for _ in chosen.read():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few = peak(ensemble.select(include=["0", "1", "2"]))
    assert few > 32**3 * 4  # so the measurement includes the arrays
    assert peak(ensemble) < few + 32**3 * 4


def test_a_map_and_its_compressed_copy_are_noted(tmp_path):
    for name in ("v_1.mrc", "v_1.mrc.gz", "v_2.mrc"):
        with mrcfile.new(
            tmp_path / name,
            np.arange(27, dtype=np.float32).reshape(3, 3, 3),
            compression="gzip" if name.endswith("gz") else None,
        ) as mrc:
            mrc.voxel_size = 30
    notes = find_ensemble([tmp_path]).notes
    assert len(notes) == 1
    assert notes[0].startswith("v_1.mrc and v_1.mrc.gz look like the same volume")


@pytest.mark.parametrize(
    ("voxel", "said"),
    [(4.0, ""), (0.4, "0.4 A/voxel"), (4e-10, "4e-10 A/voxel"), (400.0, "400 A/voxel")],
)
def test_headers_in_another_unit_are_noticed_by_the_size_of_the_box(
    tmp_path: Path, voxel: float, said: str
) -> None:
    folder = folder_of(tmp_path / "v", ["a.mrc", "b.mrc"], Grid((4, 5, 60), (voxel,) * 3))
    (note,) = find_ensemble([folder]).notes or ("",)
    assert said in note and ("voxelSize" in note) == bool(said)
    assert "another unit" not in "".join(find_ensemble([folder], voxel_size=4).notes)
