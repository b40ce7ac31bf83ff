"""What a sketch keeps of the volumes: found by the expansion that follows, of these very files
only, and with the same results as without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.blocks.expand import ExpandResult, expand
from chimerax.siren.core.blocks.kept import kept_with, near_blocks
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.sketch import SketchResult, sketch
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.compute import resources
from chimerax.siren.core.maps import last_reading as kept
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from chimerax.siren.core.maps.mapfile import read_map, write_map
from chimerax.siren.core.maps.source import Source
from chimerax.siren.core.runs.steps import run_expand, run_sketch
from ensembles import LEVEL, assert_same_files, write_planted

VOLUMES = 40


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    kept.forget()
    yield
    kept.forget()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_planted(tmp_path / "volumes", VOLUMES).folder


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the maps that are read, one after the other."""
    names: list[str] = []
    plain = Source.read_as_is

    def counted(self: Source) -> np.ndarray:
        names.append(self.name)
        return plain(self)

    monkeypatch.setattr(Source, "read_as_is", counted)
    return names


def sketched(folder: Path) -> tuple[SketchResult, Ensemble]:
    ensemble = find_ensemble([folder])
    return sketch(ensemble, np.full(VOLUMES, LEVEL), SketchParameters(resamples=2)), ensemble


def expanded(found: SketchResult, folder: Path, **changes: object) -> ExpandResult:
    """With the volumes found anew, as by another command."""
    ensemble = replace(find_ensemble([folder]).of(found.occupancy.names), **changes)
    levels = found.occupancy.levels
    return expand(ensemble, levels, found.blocks, ExpandParameters(resamples=2), agreed=True)


def assert_same(one: ExpandResult, other: ExpandResult) -> None:
    assert one.blocks.evidence == other.blocks.evidence
    assert one.blocks.stability == other.blocks.stability
    for (number, voxels), (same, others) in zip(one.blocks, other.blocks, strict=True):
        assert number == same
        np.testing.assert_array_equal(voxels, others)
    np.testing.assert_array_equal(one.occupancy.mean, other.occupancy.mean)
    np.testing.assert_array_equal(one.occupancy.bits, other.occupancy.bits)
    np.testing.assert_array_equal(one.occupancy.frequency, other.occupancy.frequency)
    assert one.occupancy.left_out == other.occupancy.left_out


def test_an_expansion_after_its_sketch_reads_no_map_but_one_to_time_it(
    folder: Path, readings: list[str]
) -> None:
    found, _ = sketched(folder)
    assert len(readings) == 2 * VOLUMES + 1  # to binarize them, and to measure their scales
    readings.clear()
    soon = expanded(found, folder)
    assert readings == ["vol_1.mrc"]
    kept.forget()
    readings.clear()
    later = expanded(found, folder)
    assert len(readings) == 2 * VOLUMES + 1
    assert_same(soon, later)


def test_where_only_what_is_near_blocks_has_room_the_background_is_read_from_the_volumes(
    folder: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = sketched(folder)
    one = kept_with(whole.occupancy)
    assert one.excerpt is not None and len(readings) == 2 * VOLUMES + 1
    kept.forget()
    readings.clear()
    room = one.size + 4 * VOLUMES * (len(one.excerpt) - 1)
    monkeypatch.setattr(constants, "KEPT_BYTES", room)
    less, _ = sketched(folder)
    assert len(readings) == 3 * VOLUMES + 1
    assert less.blocks.evidence == whole.blocks.evidence
    assert less.blocks.stability == whole.blocks.stability


def test_the_folders_of_a_run_are_the_same_whether_or_not_the_sketch_was_kept(
    folder: Path, tmp_path: Path
) -> None:
    first = run_sketch(
        find_ensemble([folder]), LEVEL, "level", SketchParameters(), tmp_path / "siren"
    )
    outputs = []
    for forgotten in (False, True):
        if forgotten:
            kept.forget()
        output = tmp_path / f"{forgotten}" / "siren"
        outputs.append(run_expand(first.blocks, first.record, ExpandParameters(), output).folder)
    assert_same_files(outputs[0], outputs[1], "statistic")


@pytest.mark.parametrize("how", ["written", "replaced", "of the same size and time"])
def test_a_file_that_changed_is_read_again_with_all_others(
    folder: Path, readings: list[str], how: str
) -> None:
    found, _ = sketched(folder)
    path, before = folder / "vol_7.mrc", (folder / "vol_7.mrc").stat()
    array, grid = read_map(path)
    array = array[::-1, ::-1, ::-1].copy()
    if how == "written":
        write_map(path, array, grid, "another")
    else:
        write_map(folder.parent / "other.mrc", array, grid, "another")
        os.replace(folder.parent / "other.mrc", path)
    if how == "of the same size and time":
        assert path.stat().st_size == before.st_size
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_mtime_ns == before.st_mtime_ns
    readings.clear()
    soon = expanded(found, folder)
    assert set(readings) == set(found.occupancy.names)
    kept.forget()
    assert_same(soon, expanded(found, folder))
    v = found.occupancy.names.index("vol_7.mrc")
    assert not np.array_equal(soon.occupancy.bits[v], found.occupancy.bits[v])


def test_a_changed_volume_is_named_as_without_what_was_kept(folder: Path, tmp_path: Path) -> None:
    first = run_sketch(
        find_ensemble([folder]), LEVEL, "level", SketchParameters(resamples=0), tmp_path / "siren"
    )
    before = (folder / "vol_7.mrc").stat()
    array, grid = read_map(folder / "vol_7.mrc")
    write_map(folder / "vol_7.mrc", array[::-1].copy(), grid, "another")
    os.utime(folder / "vol_7.mrc", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SirenError, match=r"vol_7\.mrc changed since"):
        run_expand(first.blocks, first.record, ExpandParameters(), tmp_path / "siren")


def binarized(ensemble: Ensemble, level: float = LEVEL) -> Occupancy:
    return binarize(ensemble, np.full(len(ensemble), level))


def is_found(ensemble: Ensemble, occupancy: Occupancy, level: float = LEVEL) -> bool:
    return binarized(ensemble, level).bits is occupancy.bits


def test_other_levels_other_volumes_and_another_grid_are_another_reading(folder: Path) -> None:
    ensemble = find_ensemble([folder])
    for other, level in (
        (ensemble, LEVEL + 0.01),
        (ensemble.select(exclude=["vol_3"]), LEVEL),
        (ensemble.resampled(16), LEVEL),
        (find_ensemble([folder], voxel_size=3.0), LEVEL),
    ):
        occupancy = binarized(ensemble)
        assert is_found(find_ensemble([folder]), occupancy)
        assert not is_found(other, occupancy, level)
        assert not is_found(ensemble, occupancy)  # one is kept, the last


def test_nothing_is_kept_of_maps_in_memory_that_may_change(folder: Path) -> None:
    files = find_ensemble([folder])
    sources = [Source(n, None, lambda a=a: a, files.grid) for n, a in files.read()]
    ensemble = find_ensemble(sources)
    occupancy = binarized(ensemble)
    assert not is_found(ensemble, occupancy)
    assert kept.last_reading() is None
    assert near_blocks(ensemble, occupancy, np.arange(5)).excerpt is None


def test_no_more_is_kept_than_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = find_ensemble([folder])
    occupancy = binarized(ensemble)
    size = kept_with(occupancy).size
    union = occupancy.union(0.01)
    whole = near_blocks(ensemble, occupancy, union).excerpt
    assert whole is not None and set(union) < set(whole.parts.voxels)
    needed = size + 4 * VOLUMES * len(whole)
    for limit, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(constants, "KEPT_BYTES", limit)
        kept.forget()
        occupancy = binarized(ensemble)
        assert kept.last_reading() is not None
        assert (near_blocks(ensemble, occupancy, union).excerpt is not None) == fits
    monkeypatch.setattr(constants, "KEPT_BYTES", size - 1)
    assert not is_found(ensemble, binarized(ensemble, LEVEL - 0.01), LEVEL - 0.01)


def test_what_is_kept_is_freed_where_memory_is_short(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = sketched(folder)
    asked = iter([0.0, 1e12, 1e12])
    monkeypatch.setattr(resources, "free_memory", lambda: next(asked, 1e12))
    seen: list[bool] = []
    plain = resources.reading_requirements
    monkeypatch.setattr(
        resources,
        "reading_requirements",
        lambda *a: seen.append(kept.last_reading() is None) or plain(*a),
    )
    expanded(found, folder)
    assert seen == [True]


@pytest.mark.parametrize("statistic", ["profile", "exact"])
def test_a_mask_and_another_statistic_give_the_same_as_without_what_was_kept(
    folder: Path, tmp_path: Path, statistic: str
) -> None:
    array, grid = read_map(folder / "vol_1.mrc")
    half = np.zeros_like(array)
    half[: array.shape[0] // 2 + 2] = 1
    write_map(tmp_path / "mask.mrc", half, grid, "half")
    found, _ = sketched(folder)
    masked = ExpandParameters(statistic=statistic, mask=str(tmp_path / "mask.mrc"), resamples=2)
    results = []
    for forgotten in (False, True):
        if forgotten:
            kept.forget()
        ensemble = find_ensemble([folder]).of(found.occupancy.names)
        results.append(expand(ensemble, found.occupancy.levels, found.blocks, masked, agreed=True))
    assert_same(*results)
    assert sum(map(len, (v for _, v in results[0].blocks))) < sum(
        map(len, (v for _, v in expanded(found, folder).blocks))
    )
