"""Fourier-cropped maps against an independent resampler, their placement, and the tables."""

from __future__ import annotations

import csv

import mrcfile
import numpy as np
import pytest
from scipy.signal import resample

from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map
from chimerax.siren.core.thresholds.normalize import normalize_level, value_range
from chimerax.siren.core.thresholds.parameters import PreprocessParameters
from chimerax.siren.core.thresholds.preprocess import preprocess


def waves(shape, seed, highest=5):
    """A map band-limited to ``highest`` cycles/box, so that resampling above that is exact."""
    rng = np.random.default_rng(seed)
    position = np.meshgrid(*[np.arange(n) / n for n in shape], indexing="ij")
    array = np.full(shape, 0.3)
    for _ in range(12):
        k = rng.integers(-highest + 1, highest, 3)
        array += rng.normal() * np.cos(
            2 * np.pi * (sum(f * p for f, p in zip(k, position, strict=True)) + rng.random())
        )
    return array.astype(np.float32)


def by_scipy(array, box):
    """The same resampling by scipy, axis by axis."""
    for axis in range(3):
        array = resample(array.astype(float), box, axis=axis)
    return array


@pytest.fixture
def folder(tmp_path):
    """Write maps with non-trivial origin and voxel size to a folder."""

    def make(shape, count=3, voxel=(1.5, 1.5, 1.5), origin=(10.0, -20.0, 5.5)):
        path = tmp_path / "maps"
        path.mkdir()
        for n in range(count):
            write_map(
                path / f"vol_{n + 1}.mrc", waves(shape, n), Grid(shape, voxel, origin), "test"
            )
        return path

    return make


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("size", "box"),
    [(40, 20), (41, 20), (40, 21), (33, 15), (20, 32), (21, 32), (20, 33), (24, 24)],
)
def test_downsampled_maps_equal_scipys_resampling(folder, tmp_path, size, box):
    ensemble = find_ensemble([folder((size,) * 3)])
    result = preprocess(ensemble, tmp_path / "out", PreprocessParameters(box=box))
    for n, path in enumerate(result.files):
        array, grid = read_map(path)
        assert np.allclose(array, by_scipy(waves((size,) * 3, n), box), atol=2e-5)
        assert grid.voxel_size == pytest.approx((1.5 * size / box,) * 3)
        assert grid.origin == pytest.approx((10.0, -20.0, 5.5))
        assert mrcfile.validate(path)


def test_downsampled_maps_overlay_the_originals(tmp_path):
    shape, voxel, origin = (48, 48, 48), (2.0, 2.0, 2.0), (7.0, 8.0, 9.0)
    place = np.array([60.0, 40.0, 70.0])  # x, y, z in A
    grid = Grid(shape, voxel, origin)

    def center(array, grid):
        weights = array.ravel().astype(float) - array.min()
        return (grid.points(np.arange(array.size)) * weights[:, None]).sum(axis=0) / weights.sum()

    points = grid.points(np.arange(grid.size))
    blob = np.exp(-((points - place) ** 2).sum(axis=1) / (2 * 8.0**2)).reshape(shape)
    write_map(tmp_path / "vol.mrc", blob, grid, "test")
    result = preprocess(
        find_ensemble([tmp_path / "vol.mrc"], minimum=1),
        tmp_path / "out",
        PreprocessParameters(box=20),
    )
    assert np.allclose(center(*read_map(result.files[0])), center(blob, grid), atol=0.1)


def test_a_box_that_is_not_cubic_becomes_a_cube_in_place(folder, tmp_path):
    shape = (20, 33, 27)
    result = preprocess(
        find_ensemble([folder(shape)]), tmp_path / "out", PreprocessParameters(box=17)
    )
    array, grid = read_map(result.files[0])
    original = waves(shape, 0)
    faces = np.concatenate([original.take(s, axis=a).ravel() for a in range(3) for s in (0, -1)])
    cube = np.full((33, 33, 33), np.median(faces))
    cube[:20, :33, :27] = original
    assert array.shape == (17, 17, 17)
    assert grid.origin == pytest.approx((10.0, -20.0, 5.5))
    assert grid.voxel_size == pytest.approx((33 * 1.5 / 17,) * 3)
    assert np.allclose(array, by_scipy(cube, 17), atol=1e-4)


def test_tables_have_the_statistics_of_downsampled_maps_and_of_larger_originals(folder, tmp_path):
    ensemble = find_ensemble([folder((30, 30, 30))]).select(exclude=["vol_1"])
    preprocess(ensemble, tmp_path / "out", PreprocessParameters(box=16))
    for name, arrays in (
        ("map_stats_downsampled.csv", [by_scipy(waves((30,) * 3, n), 16) for n in (1, 2)]),
        ("map_stats_raw.csv", [waves((30,) * 3, n) for n in (1, 2)]),
    ):
        rows = table(tmp_path / "out" / name)
        assert list(rows[0]) == ["file", "vol_id", "vol_min", "vol_max"]
        assert [(r["file"], r["vol_id"]) for r in rows] == [("vol_2.mrc", "1"), ("vol_3.mrc", "2")]
        for row, array in zip(rows, arrays, strict=True):
            assert float(row["vol_max"]) == pytest.approx(value_range(array, "").vol_max, rel=1e-4)


def test_no_raw_table_where_nothing_was_cropped(folder, tmp_path):
    result = preprocess(
        find_ensemble([folder((16, 16, 16))]), tmp_path / "out", PreprocessParameters(box=16)
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "downsampled",
        "map_stats_downsampled.csv",
    ]
    # same box: the same values
    assert (read_map(result.files[1])[0] == waves((16, 16, 16), 1)).all()


def test_normalized_maps_on_request(folder, tmp_path):
    preprocess(
        find_ensemble([folder((30, 30, 30))]),
        tmp_path / "out",
        PreprocessParameters(box=16, normalised=True),
    )
    array = read_map(tmp_path / "out" / "normalised" / "vol_2.mrc")[0]
    assert array.max() == pytest.approx(1)
    assert array[array >= -1].size > 0
    assert array.min() > -1.2


def test_labels_are_normalized_by_the_full_box(folder, tmp_path):
    labels = tmp_path / "template.csv"
    labels.write_text(
        "vol_id,lower_bound,contour_level,upper_bound,map_file\n0,0.2,0.4,0.6,vol_1.mrc\n2,,0.5,,vol_3.mrc\n"
    )
    preprocess(
        find_ensemble([folder((30, 30, 30))]),
        tmp_path / "out",
        PreprocessParameters(box=16, labels=str(labels)),
    )
    rows = table(tmp_path / "out" / "normalized_labels.csv")
    assert list(rows[0]) == [
        "vol_id",
        "lower_bound",
        "contour_level",
        "upper_bound",
        "map_file",
        "normalized_label",
    ]
    for row, n, level in zip(rows, (0, 2), (0.4, 0.5), strict=True):
        expected = normalize_level(level, value_range(waves((30,) * 3, n), ""))
        assert float(row["normalized_label"]) == pytest.approx(expected, abs=1e-5)
    assert rows[1]["lower_bound"] == ""


def test_wrong_labels_stop_before_anything_is_written(folder, tmp_path):
    labels = tmp_path / "template.csv"
    labels.write_text("contour_level,map_file\n0.4,vol_9.mrc\n")
    with pytest.raises(SirenError, match=r"vol_9\.mrc|other volumes"):
        preprocess(
            find_ensemble([folder((16,) * 3)]),
            tmp_path / "out",
            PreprocessParameters(box=16, labels=str(labels)),
        )
    assert not (tmp_path / "out").exists()


def test_a_map_that_fails_leaves_earlier_results_as_they_were(folder, tmp_path):
    maps = folder((16,) * 3)
    preprocess(find_ensemble([maps]), tmp_path / "out", PreprocessParameters(box=16))
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    write_map(
        maps / "vol_3.mrc",
        -1 - np.random.default_rng(0).random((16,) * 3),
        find_ensemble([maps]).grid,
        "negative",
    )
    with pytest.raises(SirenError, match=r"vol_3\.mrc has no positive density"):
        preprocess(find_ensemble([maps]), tmp_path / "out", PreprocessParameters(box=12))
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    assert not list((tmp_path / "out").glob(".*"))


def test_a_cancelled_run_leaves_nothing(folder, tmp_path):
    # stop late
    progress = Progress(
        lambda phase, fraction: progress.cancel() if fraction > 0.5 else None, interval=0
    )
    with pytest.raises(Cancelled):
        preprocess(
            find_ensemble([folder((16,) * 3)]),
            tmp_path / "out",
            PreprocessParameters(box=16),
            progress,
        )
    assert not (tmp_path / "out").exists()


def test_colliding_names_are_refused(tmp_path):
    array = waves((16,) * 3, 0)
    grid = Grid((16,) * 3, (1.0, 1.0, 1.0))
    ensemble = find_ensemble(
        [
            Source("a.mrc", array=lambda: array, grid=grid),
            Source("a.map", array=lambda: array, grid=grid),
        ]
    )
    with pytest.raises(SirenError, match=r"both be written to a\.mrc"):
        preprocess(ensemble, tmp_path / "out")


def test_the_same_call_gives_the_same_bytes(folder, tmp_path):
    ensemble = find_ensemble([folder((30,) * 3)])
    for out in ("one", "two"):
        preprocess(ensemble, tmp_path / out, PreprocessParameters(box=16, normalised=True))
    for path in (tmp_path / "one").rglob("*.*"):
        assert (
            path.read_bytes()
            == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
        )


def test_an_impossible_box_is_reported(folder, tmp_path):
    with pytest.raises(SirenError, match="box 4 is out of bounds: give at least 8"):
        preprocess(
            find_ensemble([folder((16,) * 3)]), tmp_path / "out", PreprocessParameters(box=4)
        )


def test_maps_of_different_sizes_are_each_brought_to_the_box(folder, tmp_path):
    path = folder((12, 12, 12), count=2)
    other = Grid((20, 20, 20), (0.9, 0.9, 0.9))
    write_map(path / "vol_3.mrc", waves(other.shape, 7), other, "test")
    result = preprocess(
        find_ensemble([path], any_grid=True), tmp_path / "out", PreprocessParameters(box=16)
    )
    for file, shape, voxel in zip(
        result.files, ((12,) * 3, (12,) * 3, other.shape), (1.5, 1.5, 0.9), strict=True
    ):
        _, grid = read_map(file)
        assert grid.shape == (16, 16, 16)
        assert grid.voxel_size == pytest.approx((voxel * shape[0] / 16,) * 3)
    assert [r["file"] for r in table(tmp_path / "out/map_stats_raw.csv")] == ["vol_3.mrc"]
    assert len(table(tmp_path / "out/map_stats_downsampled.csv")) == 3


def test_maps_of_other_volumes_are_not_mixed_with_those_of_an_earlier_run(folder, tmp_path):
    folder, out = folder((16, 16, 16)), tmp_path / "out"
    few = find_ensemble([folder]).names[:2]
    preprocess(find_ensemble([folder]), out, PreprocessParameters(box=12))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(SirenError, match="would be mixed with: give another outputDir"):
        preprocess(find_ensemble([folder], include=few), out, PreprocessParameters(box=8))
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    preprocess(find_ensemble([folder]), out, PreprocessParameters(box=8))
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} != before
