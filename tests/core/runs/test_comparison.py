"""Two runs side by side, as files: other grids, shifted maps, a truth, masks, labels, damage."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.parameters import CompareParameters
from chimerax.siren.core.analysis.replication import REPLICATED
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.runs.comparison import COLUMNS, Side, compare, read_side, side_of
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import run_sketch
from chimerax.siren.core.simulation.example_folder import read_truth, write_example
from chimerax.siren.core.simulation.parameters import ExampleParameters
from ensembles import LEVEL, Planted, write_planted

GRID = Grid((24, 26, 28), (4.0, 4.0, 4.0), (10.0, -5.0, 3.0))


def bumps(grid: Grid, move: tuple[float, float, float] = (0, 0, 0), degrees: float = 0.0):
    """(z, y, x) density of some balls, moved by x, y, z Angstrom and turned about z."""
    points = grid.points(np.arange(grid.size)).reshape(*grid.shape, 3)
    middle = np.array([62.0, 45.0, 49.0])
    angle = np.radians(degrees)
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    total = np.zeros(grid.shape)
    for center, radius in BALLS:
        place = turn @ (np.array(center) - middle) + middle + np.array(move)
        total += np.exp(-((points - place) ** 2).sum(axis=-1) / (2 * radius**2))
    return total.astype(np.float32)


BALLS = (((50, 40, 40), 12), ((80, 55, 50), 9), ((62, 30, 65), 7), ((45, 65, 60), 6))


def ball_side(grid: Grid, name: str, move=(0, 0, 0), degrees: float = 0.0) -> Side:
    """A side whose blocks are the small balls, with their mean map."""
    mean = bumps(grid, move, degrees)
    blocks = {}
    for n in range(1, len(BALLS)):
        alone = bumps_of(grid, n, move, degrees)
        blocks[n] = np.flatnonzero(alone > 0.3)
    known = np.flatnonzero(mean > 0.3)
    return replace(side_of(Path(name), BlockSet(grid, blocks), None, mean), region=known)


def bumps_of(grid: Grid, n: int, move, degrees: float) -> np.ndarray:
    global BALLS
    every, BALLS = BALLS, (BALLS[n],)
    try:
        return bumps(grid, move, degrees).ravel()
    finally:
        BALLS = every


def notes(found) -> str:
    return " ".join(found.notes)


def test_a_finer_grid_of_the_same_place_is_compared_on_the_coarser_one():
    fine = Grid((48, 52, 56), (2.0, 2.0, 2.0), GRID.origin)
    for sides in ((GRID, fine), (fine, GRID)):
        found = compare(*(ball_side(g, f"{g.shape}") for g in sides))
        assert found.first.blocks.grid == found.second.blocks.grid == GRID
        assert [found.match.iou_of(n, n) > 0.85 for n in (1, 2, 3)] == [True] * 3
        assert "The grids differ" in notes(found) and not found.moved


def test_a_box_cut_out_of_another_is_compared_voxel_by_voxel():
    cut = Grid((20, 22, 24), GRID.voxel_size, (18.0, 3.0, 7.0))  # 2, 2 and 1 voxels further in
    found = compare(ball_side(GRID, "whole"), ball_side(cut, "cut"))
    assert all(found.match.iou_of(n, n) == 1 for n in (1, 2, 3))


def test_grids_of_other_places_are_refused_in_one_sentence():
    far = replace(GRID, origin=(500.0, 0.0, 0.0))
    with pytest.raises(SirenError, match=r"which are not the same place: compare runs whose maps"):
        compare(ball_side(GRID, "one"), ball_side(far, "other"))


@pytest.mark.parametrize(("move", "degrees"), [((9.0, -6.0, 5.0), 0.0), ((3.0, 2.0, 0.0), 8.0)])
def test_a_run_that_is_shifted_or_turned_is_moved_and_that_is_said(move, degrees):
    one, other = ball_side(GRID, "one"), ball_side(GRID, "other", move, degrees)
    apart = compare(one, other, CompareParameters(align=False))
    found = compare(one, other)
    assert found.moved and "its blocks were moved onto A" in notes(found)
    assert not apart.moved and "compared as it is" in notes(apart)
    better, worse = ([c.match.iou_of(n, n) for n in (1, 2, 3)] for c in (found, apart))
    assert min(better) > 0.75 and np.mean(better) > np.mean(worse) + 0.1
    assert found.fit is not None and found.fit.angle == pytest.approx(degrees, abs=1.5)


def test_maps_that_lie_on_each_other_are_called_aligned_and_nothing_is_moved():
    found = compare(ball_side(GRID, "one"), ball_side(GRID, "other"))
    assert not found.moved and "are aligned" in notes(found)
    assert [found.match.iou_of(n, n) for n in (1, 2, 3)] == [1, 1, 1]


def test_the_mirror_image_is_said_and_not_moved():
    one = ball_side(GRID, "one")
    flipped = np.ascontiguousarray(one.mean[::-1])
    masks = {n: np.flatnonzero(one.blocks.mask(n)[::-1] > 0) for n, _ in one.blocks}
    other = replace(side_of(Path("other"), BlockSet(GRID, masks), None, flipped))
    found = compare(one, other)
    assert not found.moved and "mirror image" in notes(found)


def test_presence_is_compared_in_the_volumes_that_both_have_by_name():
    one, other = ball_side(GRID, "one"), ball_side(GRID, "other")
    rng = np.random.default_rng(0)
    share = (rng.random((3, 30)) < 0.5).astype(np.float32)
    names = tuple(f"v{k}" for k in range(30))
    flipped = share[:, ::-1].copy()
    flipped[0, :3] = 1 - flipped[0, :3]

    def states(names, share) -> States:
        return States(names, np.ones(30), (1, 2, 3), np.array([9, 9, 9]), share, cut=0.5)

    one = side_of(one.place, one.blocks, states(names, share))
    other = side_of(other.place, other.blocks, states((*names[:4:-1], *"abcde"), flipped))
    found = compare(one, other)
    assert found.common == 25
    agree, kappa = found.agreement[1]
    assert agree == 22 / 25
    mine = share[0][5:] > 0.5
    theirs = mine.copy()
    theirs[-3:] ^= True
    chance = mine.mean() * theirs.mean() + (1 - mine.mean()) * (1 - theirs.mean())
    assert kappa == pytest.approx((agree - chance) / (1 - chance))
    assert found.agreement[2] == (1, 1)


def test_volumes_of_the_same_names_but_other_values_are_not_the_same_volumes():
    one, other = ball_side(GRID, "one"), ball_side(GRID, "other")
    names = tuple(f"vol_{k}.mrc" for k in range(10))
    states = States(names, np.ones(10), (1, 2, 3), np.full(3, 9), np.ones((3, 10), np.float32), 0.5)
    one, other = (
        replace(side_of(s.place, s.blocks, states), fingerprints={n: f"{f}{n}" for n in names[:8]})
        for s, f in ((one, "a"), (other, "b"))
    )
    found = compare(one, other)
    assert found.common == 2  # of which it is not known
    assert "8 volumes have the same names in both, but are other volumes" in notes(found)
    assert compare(one, one).common == 10


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", 120)


@pytest.fixture(scope="module")
def run(planted: Planted) -> Path:
    ensemble = find_ensemble([planted.folder])
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=0)
    levels = np.full(len(ensemble), LEVEL)
    return run_sketch(ensemble, levels, "by hand", parameters, planted.folder.parent).folder


def test_a_run_is_itself_and_its_masks_and_labels_are_the_same_blocks(run, planted, tmp_path):
    side = read_side(run)
    grid = side.blocks.grid
    labels = np.zeros(grid.shape, np.float32)
    for n, voxels in side.blocks:
        labels.ravel()[voxels] = 10 * n
        write_map(tmp_path / f"masks_{n}.mrc", side.blocks.mask(n), grid, "")
    (tmp_path / "labels").mkdir()
    write_map(tmp_path / "labels/labels.mrc", labels, grid, "")
    itself = compare(side, read_side(run), CompareParameters(replication=True, placements=99))
    assert itself.common == 120 and "is no replication" in notes(itself)
    assert {r.verdict for r in itself.replication.values()} == {REPLICATED}
    for other in (
        read_side(tmp_path),
        read_side(tmp_path / "labels/labels.mrc"),
        read_side(run / "blocks.json"),
    ):
        found = compare(side, other)
        assert [found.match.iou_of(*p) for p in found.match.pairs] == [1, 1]


def test_the_table_has_a_row_for_each_block_of_a_and_each_new_one_of_b(run):
    side = read_side(run)
    numbers = {7: side.blocks.blocks[1], 8: np.arange(30)}
    other = side_of(Path("other"), BlockSet(side.blocks.grid, numbers, names={8: "a, b"}), None)
    rows = list(csv.DictReader(io.StringIO(compare(side, other).csv())))
    assert tuple(rows[0]) == COLUMNS
    assert [(r["block"], r["match"], r["change"]) for r in rows] == [
        ("1", "7", "same"),
        ("2", "", "gone"),
        ("", "8", "new"),
    ]
    assert rows[0]["iou"] == "1" and rows[2]["match_name"] == "a, b"


def test_the_truth_of_an_example_is_read_with_its_presence_and_voxels(tmp_path):
    made = write_example(tmp_path / "x", ExampleParameters(volumes=12, box=24, voxel_size=12))
    truth = read_truth(tmp_path / "x/truth.json")
    units = made.simulation.units
    assert truth.names == tuple(u.name for u in units)
    assert all(
        np.array_equal(v, np.sort(u.voxels)) for v, u in zip(truth.voxels, units, strict=True)
    )
    assert all(np.array_equal(p, u.present) for p, u in zip(truth.present, units, strict=True))
    side = read_side(tmp_path / "x")  # the folder of the volumes will do
    assert side.blocks.names == dict(enumerate(truth.names, 1)) and len(side.volumes) == 12
    assert compare(side, side).agreement[1] == (1, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t["blocks"][0].update(voxels=[]), "a block has no voxel"),
        (lambda t: t["blocks"][0].update(voxels=[[900, 0, 0]]), "is not the truth of an example"),
        (lambda t: t["blocks"][0].update(present=[1]), "as many entries of present"),
        (lambda t: t.pop("grid"), "has no grid"),
    ],
)
def test_a_damaged_truth_is_refused_by_name(tmp_path, change, said):
    write_example(tmp_path / "x", ExampleParameters(volumes=8, box=24, voxel_size=12))
    path = tmp_path / "x/truth.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(SirenError, match=said) as raised:
        read_side(path)
    assert str(path) in str(raised.value)


def test_a_density_map_is_no_map_of_labels(planted):
    with pytest.raises(SirenError, match=r"vol_1.mrc holds densities, not labels"):
        read_side(planted.folder / "vol_1.mrc")


def test_blocks_of_a_sketch_are_filled_in_between_their_sampled_voxels():
    rng = np.random.default_rng(0)
    whole = ball_side(GRID, "whole")
    some = {n: v[rng.random(len(v)) < 0.5] for n, v in whole.blocks}
    rest = np.setdiff1d(whole.region, np.concatenate([v for _, v in whole.blocks]))
    rest = rest[rng.random(len(rest)) < 0.5]
    sampled = side_of(Path("00_sketch"), BlockSet(GRID, some, rest), None)
    as_it_is = compare(whole, sampled)
    found = compare(whole, replace(sampled, sampled=True))
    assert "a random part of the voxels" in notes(found)
    for n in (1, 2, 3):
        assert found.match.iou_of(n, n) > 0.65 > as_it_is.match.iou_of(n, n)


def test_nothing_to_compare_is_said():
    empty = side_of(Path("empty"), BlockSet(GRID, {}), None)
    with pytest.raises(SirenError, match="empty has no blocks"):
        compare(ball_side(GRID, "one"), empty)


def test_a_file_that_holds_no_blocks_is_refused_with_what_can_be_compared(tmp_path):
    (tmp_path / "blocks.csv").write_text("block,voxels\n1,20\n", encoding="utf-8")
    with pytest.raises(SirenError, match=r"blocks\.csv holds no blocks: give the folder of a run"):
        read_side(tmp_path / "blocks.csv")


def test_a_folder_of_results_is_no_run_but_its_latest_step_is_named(run, tmp_path):
    for step in ("00_sketch", "02_expand"):
        shutil.copytree(run, tmp_path / step)
    (tmp_path / "02_expand_relations").mkdir()
    (tmp_path / "02_expand_relations/run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SirenError, match=r"has no run.json: give .*, as .*02_expand, or"):
        read_record(tmp_path)
