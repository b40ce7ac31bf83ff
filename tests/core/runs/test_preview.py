"""Preview of volumes before a run."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.runs.preview import find_flags, preview_ensemble, preview_map, thumbnail
from ensembles import LEVEL, write_planted


def source(array: np.ndarray, name: str = "a.mrc", voxel: float = 2.0) -> Source:
    return Source(name, array=lambda: array, grid=Grid(array.shape, (voxel,) * 3))


@pytest.mark.parametrize("shape", [(16, 18, 20), (33, 8, 9)])
def test_the_enclosed_volume_is_that_of_the_voxels_above_the_level(
    shape: tuple[int, int, int],
) -> None:
    rng = np.random.default_rng(3)
    array = rng.normal(0, 1, shape).astype(np.float32)
    array[0, 0, :2] = 60, -20  # an outlier, as in real maps
    preview = preview_map(source(array), Grid(shape, (2.0, 2.0, 2.0)))
    for level in (-0.3, 0.0, 0.4, 1.0, 2.5):
        assert preview.enclosed_volume(level) == pytest.approx(
            8 * (array > level).sum(), rel=0.003, abs=16
        )
    assert preview.enclosed_volume(float(array.max()) + 1) == 0
    assert preview.enclosed_volume(float(array.min()) - 1) == 8 * array.size


def test_a_map_larger_than_a_chunk_is_counted_completely(monkeypatch: pytest.MonkeyPatch) -> None:

    array = np.arange(12 * 13 * 14, dtype=np.float32).reshape(12, 13, 14)
    whole = preview_map(source(array), Grid(array.shape, (1.0,) * 3)).above  # type: ignore[arg-type]
    monkeypatch.setattr(constants, "PREVIEW_VOXELS_AT_ONCE", 100)
    np.testing.assert_array_equal(
        preview_map(source(array), Grid(array.shape, (1.0,) * 3)).above, whole
    )


def test_the_thumbnail_shows_y_upwards_and_x_to_the_right() -> None:
    array = np.zeros((6, 10, 20), np.float32)
    array[:, 8:, 15:] = 1  # high y, high x
    small = thumbnail(array)
    assert small.shape == (10, 20) and small.dtype == np.uint8
    assert small[0, -1] == 255 and small[-1, -1] == small[0, 0] == small[-1, 0] == 0


def test_the_thumbnail_of_a_large_map_is_small_and_its_mean() -> None:
    rng = np.random.default_rng(0)
    array = rng.random((100, 100, 100)).astype(np.float32)
    array[:, :50] += 1
    small = thumbnail(array)
    assert max(small.shape) <= 48
    assert small[len(small) // 2 + 1 :].mean() > 200 > 60 > small[: len(small) // 2 - 1].mean()


def test_a_preview_continues_past_unusable_maps(tmp_path: Path) -> None:
    folder = write_planted(tmp_path / "v", 12).folder
    (folder / "vol_3.mrc").write_bytes(b"no map")
    with mrcfile.new(
        folder / "vol_5.mrc", np.eye(8, dtype=np.float32)[None].repeat(8, 0), overwrite=True
    ):
        pass
    found = preview_ensemble([folder])
    assert (
        found.names[:4] == ("vol_1.mrc", "vol_2.mrc", "vol_3.mrc", "vol_4.mrc")
        and len(found.names) == 12
    )
    assert set(found.problems) == {"vol_3.mrc", "vol_5.mrc"}
    assert "all volumes must share one grid" in found.problems["vol_5.mrc"].reason
    assert found.grid.shape == (20, 22, 24)
    assert preview_ensemble([folder], voxel_size=7.0).grid.voxel_size == (7.0, 7.0, 7.0)


def test_a_preview_without_any_readable_map_says_why(tmp_path: Path) -> None:
    for name in ("a.mrc", "b.mrc"):
        (tmp_path / name).write_bytes(b"no map")
    with pytest.raises(SirenError, match=r"a\.mrc"):
        preview_ensemble([tmp_path])


def test_a_preview_can_be_stopped(tmp_path: Path) -> None:
    folder = write_planted(tmp_path / "v", 5).folder
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        preview_ensemble([folder], progress=progress)


def test_flags_name_doubtful_volumes_only(tmp_path: Path) -> None:
    folder = write_planted(tmp_path / "v", 80).folder
    rng = np.random.default_rng(1)
    with mrcfile.open(folder / "vol_4.mrc", "r+") as map_:
        map_.set_data((rng.random(map_.data.shape) > 0.9).astype(np.float32))
    levels = {f"vol_{k}.mrc": LEVEL for k in range(1, 81)}
    levels["vol_9.mrc"], levels["vol_20.mrc"] = 0.9, 40.0
    del levels["vol_30.mrc"]
    flags = find_flags(preview_ensemble([folder]), levels)
    assert flags["vol_4.mrc"].kind == "junk"
    assert flags["vol_20.mrc"].kind == "outlier, empty" and "40" in flags["vol_20.mrc"].reason
    assert set(flags) == {"vol_4.mrc", "vol_20.mrc"}  # next to 40, a threshold of 0.9 is no outlier


def test_a_large_map_is_compared_on_part_of_its_voxels_with_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chimerax.siren.core.runs.preview as module

    folder = write_planted(tmp_path / "v", 60).folder
    rng = np.random.default_rng(1)
    with mrcfile.open(folder / "vol_4.mrc", "r+") as map_:
        map_.set_data((rng.random(map_.data.shape) > 0.9).astype(np.float32))
    monkeypatch.setattr(module, "COARSE", 12)  # every second voxel
    found = preview_ensemble([folder])
    assert set(find_flags(found, dict.fromkeys(found.names, LEVEL))) == {"vol_4.mrc"}


def test_flags_of_the_prediction_are_added(tmp_path: Path) -> None:
    folder = write_planted(tmp_path / "v", 20).folder
    levels = {f"vol_{k}.mrc": LEVEL for k in range(1, 21)} | {"vol_9.mrc": 50.0}
    flags = find_flags(
        preview_ensemble([folder]),
        levels,
        predicted={
            "vol_2.mrc": "uncertain (expected error 0.31 of a range of 2); unlike all other "
            "volumes",
            "vol_9.mrc": "mostly noise (100)",
        },
    )
    assert (
        flags["vol_2.mrc"].kind == "uncertain, unlike all other volumes"
        and "0.31" in flags["vol_2.mrc"].reason
    )
    assert flags["vol_9.mrc"].kind == "outlier, empty, mostly noise"
