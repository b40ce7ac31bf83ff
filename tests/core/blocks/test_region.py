"""Blocks are looked for inside a mask, or outside of it, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.blocks.expand import expand
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.region import MASK_FILE, Mask, region_of
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import inherited_parameters, read_blocks, run_expand, run_sketch
from ensembles import BOXES, LEVEL, ORIGIN, SHAPE, VOXEL_SIZE, Planted, write_planted

GRID = Grid(SHAPE, (VOXEL_SIZE,) * 3, ORIGIN)
FAST = {"subsample": 1, "resamples": 0}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", 200)


@pytest.fixture(scope="module")
def ensemble(planted: Planted) -> Ensemble:
    return find_ensemble([planted.folder])


def mask_file(path: Path, grid: Grid = GRID, value: float = 1.0, name: str = "left") -> str:
    """A mask with 1 around one planted box."""
    array = np.zeros(SHAPE, np.float32)
    array[tuple(slice(s.start - 1, s.stop + 1) for s in BOXES[name])] = value
    write_map(path, array, grid, "mask")
    return str(path)


def levels(ensemble: Ensemble) -> np.ndarray:
    return np.full(len(ensemble), LEVEL)


@pytest.mark.parametrize("statistic", ["profile", "exact"])
def test_blocks_are_found_inside_the_mask_only_or_outside_only(
    ensemble: Ensemble, planted: Planted, tmp_path: Path, statistic: str
) -> None:
    mask = mask_file(tmp_path / "mask.mrc")
    for side, name in (("inside", "left"), ("outside", "right")):
        parameters = SketchParameters(statistic=statistic, mask=mask, mask_side=side, **FAST)
        result = sketch(ensemble, levels(ensemble), parameters)
        (block,) = result.blocks.blocks.values()
        np.testing.assert_array_equal(block, np.flatnonzero(planted.masks[name]))
        assert result.region is not None
        assert result.region[result.union].all()
    everywhere = sketch(ensemble, levels(ensemble), SketchParameters(**FAST))
    assert len(everywhere.blocks) == 2
    assert everywhere.region is None


def test_a_block_grows_inside_the_mask_only_and_keeps_what_it_has(
    ensemble: Ensemble, planted: Planted, tmp_path: Path
) -> None:
    found = sketch(ensemble, levels(ensemble), SketchParameters(subsample=3, resamples=0)).blocks
    mask = mask_file(tmp_path / "mask.mrc")
    parameters = ExpandParameters(mask=mask, resamples=0)
    grown = expand(ensemble, levels(ensemble), found, parameters).blocks
    for number, seeds in found:
        left = planted.masks["left"].ravel()[seeds].all()
        expected = np.flatnonzero(planted.masks["left"]) if left else seeds
        np.testing.assert_array_equal(grown.blocks[number], expected)


@pytest.mark.parametrize(
    ("array", "level", "share"),
    [
        ("soft", None, 0.5),
        ("soft", 0.25, 0.75),
        ("soft x 8", None, 0.5),
        ("soft x 8", 2.0, 0.75),
    ],
)
def test_inside_is_above_half_of_the_maximum_or_the_level_given(
    ensemble: Ensemble, tmp_path: Path, array: str, level: float | None, share: float
) -> None:
    ramp = np.broadcast_to(np.linspace(0, 1, SHAPE[2]), SHAPE)
    write_map(tmp_path / "m.mrc", ramp * (8 if "8" in array else 1), GRID, "mask")
    parameters = SketchParameters(mask=str(tmp_path / "m.mrc"), mask_level=level)
    region = region_of(parameters, ensemble)
    assert region is not None
    assert region.mean() == pytest.approx(share, abs=0.03)


def test_a_mask_of_the_volumes_size_is_taken_voxel_by_voxel_whatever_its_header_says(
    ensemble: Ensemble, tmp_path: Path
) -> None:
    said: list[str] = []
    progress = Progress(say=said.append)
    right = region_of(
        SketchParameters(mask=mask_file(tmp_path / "a.mrc")), ensemble, None, progress
    )
    assert not said
    other = mask_file(tmp_path / "b.mrc", Grid(SHAPE, (1.0,) * 3))
    found = region_of(SketchParameters(mask=other), ensemble, None, progress)
    np.testing.assert_array_equal(found, right)
    assert "b.mrc" in said[0]
    assert "voxel by voxel" in said[0]


def test_a_mask_on_another_grid_is_taken_by_position_and_follows_its_placement(
    ensemble: Ensemble, tmp_path: Path
) -> None:
    parameters = SketchParameters(mask=mask_file(tmp_path / "a.mrc"))
    expected = region_of(parameters, ensemble)
    array, _ = read_map(tmp_path / "a.mrc")
    # the same mask, cut out of its box
    cut = array[1:14, 2:16, 1:20]
    origin = tuple(o + VOXEL_SIZE * n for o, n in zip(ORIGIN, (1, 2, 1), strict=True))
    write_map(tmp_path / "cut.mrc", cut, Grid(cut.shape, (VOXEL_SIZE,) * 3, origin), "mask")
    found = region_of(SketchParameters(mask=str(tmp_path / "cut.mrc")), ensemble)
    np.testing.assert_array_equal(found, expected)
    # moved by two voxels along x in the scene
    move = np.eye(3, 4)
    move[0, 3] = 2 * VOXEL_SIZE
    source = Source("open", array=lambda: array, grid=GRID)
    moved = region_of(replace(parameters, mask="#5"), ensemble, Mask(source, 0.5, move))
    assert expected is not None
    np.testing.assert_array_equal(moved, np.roll(expected.reshape(SHAPE), 2, axis=2).ravel())


def test_a_mask_follows_the_volumes_into_another_box(ensemble: Ensemble, tmp_path: Path) -> None:
    small = ensemble.resampled(12)
    region = region_of(SketchParameters(mask=mask_file(tmp_path / "a.mrc")), small)
    assert region is not None
    assert region.shape == (12**3,)
    inside = small.grid.points(np.flatnonzero(region)).mean(axis=0)
    center = [(s.start + s.stop - 1) / 2 for s in BOXES["left"]][::-1]
    assert inside == pytest.approx(np.array(ORIGIN) + VOXEL_SIZE * np.array(center), abs=VOXEL_SIZE)


def test_masks_that_cannot_be_say_why(ensemble: Ensemble, tmp_path: Path) -> None:
    def said(**keywords: object) -> str:
        with pytest.raises(SirenError) as caught:
            sketch(ensemble, levels(ensemble), SketchParameters(**FAST, **keywords))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such file" in said(mask=str(tmp_path / "none.mrc"))
    mask = mask_file(tmp_path / "mask.mrc")
    assert "No voxels are above 3 in the mask mask.mrc" in said(mask=mask, mask_level=3.0)
    assert "All voxels are above -1" in said(mask=mask, mask_level=-1.0)
    corner = np.zeros(SHAPE, np.float32)
    corner[0, 0, 0] = 1
    write_map(tmp_path / "corner.mrc", corner, GRID, "mask")
    assert "corner.mrc leaves 0 of the" in said(mask=str(tmp_path / "corner.mrc"))
    with pytest.raises(SirenError, match='give it by "mask"'):
        SketchParameters(mask_side="outside")
    with pytest.raises(SirenError, match="maskSide around is not known"):
        SketchParameters(mask=mask, mask_side="around")


def test_a_density_as_a_mask_is_cut_at_half_its_maximum_which_is_said(
    ensemble: Ensemble, tmp_path: Path
) -> None:
    said: list[str] = []
    mask = np.random.default_rng(0).normal(0, 0.2, SHAPE).astype(np.float32)
    write_map(tmp_path / "emd_1.mrc", mask, GRID, "density")
    chosen = SketchParameters(mask=str(tmp_path / "emd_1.mrc"))
    region = region_of(chosen, ensemble, progress=Progress(say=said.append))
    assert region is not None
    np.testing.assert_array_equal(np.flatnonzero(region), np.flatnonzero(mask > mask.max() / 2))
    assert said == [
        "The mask emd_1.mrc is a density rather than a mask: what is above half of its maximum, "
        f'{mask.max() / 2:.4g}, is taken as inside. Give "maskLevel" for another level.'
    ]
    said.clear()
    region_of(replace(chosen, mask_level=0.2), ensemble, progress=Progress(say=said.append))
    region_of(
        SketchParameters(mask=mask_file(tmp_path / "mask.mrc")),
        ensemble,
        progress=Progress(say=said.append),
    )
    assert not said


def test_the_mask_is_recorded_kept_beside_the_blocks_and_that_of_the_expansion(
    ensemble: Ensemble, planted: Planted, tmp_path: Path
) -> None:
    mask = mask_file(tmp_path / "m.mrc")
    parameters = SketchParameters(mask=mask, mask_side="outside", **FAST)
    run = run_sketch(ensemble, levels(ensemble), "level", parameters, tmp_path / "out")
    recorded = json.loads((run.folder / "run.json").read_text())
    assert recorded["parameters"]["mask"] == mask
    assert recorded["parameters"]["mask_side"] == "outside"
    assert MASK_FILE in recorded["outputs"]
    kept, grid = read_map(run.folder / MASK_FILE)
    np.testing.assert_array_equal(kept, 1 - read_map(Path(mask))[0])
    assert grid == run.blocks.grid
    Path(mask).unlink()
    assert len(read_blocks(run.folder)) == 1  # the mask is no block
    inherited = inherited_parameters(read_record(run.folder), run.folder)
    grown = run_expand(
        run.blocks, run.record, ExpandParameters(**inherited), tmp_path / "out", ensemble
    )
    assert MASK_FILE in {p.name for p in grown.folder.iterdir()}
    (block,) = grown.blocks.blocks.values()
    np.testing.assert_array_equal(block, np.flatnonzero(planted.masks["right"]))
