"""devel/score.py: comparison of found with planted blocks."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters

_spec = importlib.util.spec_from_file_location(
    "siren_devel_score", Path(__file__).parents[2] / "devel" / "score.py"
)
assert _spec is not None and _spec.loader is not None
sc = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = sc
_spec.loader.exec_module(sc)


def planted(*voxels: range) -> sc.Planted:
    n = len(voxels)
    return sc.Planted(
        tuple("abcdef"[:n]),
        tuple(np.array(v) for v in voxels),
        np.ones((n, 3), bool),
        (10, 10, 10),
        ("1", "2", "3"),
        np.ones(3),
        np.zeros(3, bool),
    )


def test_the_truth_itself_scores_one() -> None:
    result = sc.score(
        planted(range(100), range(200, 260)), {"2": np.arange(100), "1": np.arange(200, 260)}
    )
    assert result.best.tolist() == [1, 1] and result.best_found == ("2", "1") and result.rand == 1
    assert (result.splits, result.merges, result.spurious) == (0, 0, ())


def test_best_iou_is_intersection_over_union() -> None:
    result = sc.score(planted(range(100)), {"1": np.arange(50, 150)})
    assert result.mean == pytest.approx(50 / 150)


def test_voxels_given_twice_count_once() -> None:
    assert sc.score(planted(range(10)), {"1": np.tile(np.arange(10), 2)}).mean == 1


def test_a_block_in_three_pieces_is_split_twice_and_not_spurious() -> None:
    pieces = {"1": np.arange(0, 60), "2": np.arange(60, 93), "3": np.arange(93, 100)}
    result = sc.score(planted(range(100), range(200, 300)), pieces)
    assert (result.splits, result.merges, result.spurious) == (2, 0, ())
    assert result.best.tolist() == [0.6, 0] and result.best_found[1] == ""


def test_two_blocks_in_one_are_a_merge() -> None:
    result = sc.score(planted(range(100), range(100, 200)), {"1": np.arange(200)})
    assert (result.splits, result.merges, result.spurious) == (0, 1, ())


def test_a_found_block_elsewhere_is_spurious() -> None:
    result = sc.score(
        planted(range(100), range(200, 300)), {"1": np.arange(100), "9": np.arange(180, 220)}
    )
    assert result.spurious == () and result.rand < 1  # half in a planted block: a fragment
    assert sc.score(
        planted(range(100)), {"1": np.arange(100), "9": np.arange(500, 600)}
    ).spurious == ("9",)


def test_nothing_found_and_nothing_planted_are_no_error() -> None:
    assert sc.score(planted(range(10)), {}).mean == 0
    assert sc.score(planted(), {"1": np.arange(5)}).spurious == ("1",)
    assert "0 blocks found for 1 planted" in sc.table(
        planted(range(10)), sc.score(planted(range(10)), {})
    )


def test_adjusted_rand_is_near_zero_for_random_labels() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 4, (2, 1000))
    blocks = [tuple(np.flatnonzero(labels == k) for k in range(4)) for labels in (one, two)]
    assert abs(sc.adjusted_rand(*blocks, 1000)) < 0.02


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("score") / "example"
    blocks = (BlockPlan("one", 200, 0.5), BlockPlan("two", 200, 0.5, only_with="one"))
    write_example(
        folder,
        ExampleParameters(
            volumes=40, box=32, voxel_size=6, core_residues=400, junk=0.1, blocks=blocks
        ),
    )
    return folder


def test_the_ceiling_of_a_clean_ensemble_is_high_and_the_program_prints_the_table(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = sc.read_planted(example)
    limit = sc.ceiling(truth, sc.true_occupancy(example, truth))
    assert limit.mean > 0.8
    zyx = [np.stack(np.unravel_index(v, truth.shape), axis=1).tolist() for v in truth.voxels]
    blocks = {"grid": {"shape_zyx": [32, 32, 32]}, "blocks": {"1": zyx[1], "2": zyx[0]}}
    (tmp_path / "blocks.json").write_text(json.dumps(blocks))
    assert sc.main([str(example), str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert (
        "2 blocks found for 2 planted: 0 split off, 0 merged, 0 spurious; adjusted Rand index 1.00"
    ) in text
    assert f"{limit.mean:.2f}" in text


def test_blocks_of_another_grid_or_none_are_one_sentence(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sc.main([str(example), str(tmp_path)]) == 1
    assert "there is no such file" in capsys.readouterr().err
    (tmp_path / "blocks.json").write_text(
        json.dumps({"grid": {"shape_zyx": [4, 4, 4]}, "blocks": {}})
    )
    with pytest.raises(SirenError, match="do not fit"):
        sc.read_found(tmp_path, (32, 32, 32))
