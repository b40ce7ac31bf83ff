"""siren relate: what it says of planted blocks, what it writes and where, and that the run's folder
stays as it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog
from PIL import Image

from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters

FILES = [
    *("combinations.csv", "graph.graphml", "graph.pdf", "graph.png", "graph.svg", "order.csv"),
    *("relations.csv", "run.json", "support.csv"),
]


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sketch of 200 volumes in which "arm" needs "base" and "cap" is never with "arm"."""
    folder = tmp_path_factory.mktemp("planted")
    blocks = (
        BlockPlan("base", 700, 0.6),
        BlockPlan("arm", 550, 0.5, only_with="base"),
        BlockPlan("cap", 420, 0.6, never_with="arm"),
    )
    write_example(
        folder / "volumes", ExampleParameters(box=32, voxel_size=10.0, blocks=blocks, seed=3)
    )
    run_command(
        _chimerax,
        f"siren sketch '{folder}/volumes' thresholds '{folder}/volumes/truth.csv' subsample 1 "
        "resamples 0 open false",
    )
    return folder / "siren" / "00_sketch"


def said(log: StringPlainTextLog) -> str:
    return " ".join(log.getvalue().split())


def test_the_planted_dependences_are_said_written_and_answered(
    session: Any, run: Any, sketch: Path
) -> None:
    before = {p.name: p.read_bytes() for p in sketch.iterdir()}
    with StringPlainTextLog(session.logger) as log:
        answer = run_command(session, f"siren relate '{sketch}' resamples 20", return_json=True)
    folder = sketch.with_name("00_sketch_relations")
    assert sorted(p.name for p in folder.iterdir()) == FILES
    assert before == {p.name: p.read_bytes() for p in sketch.iterdir()}
    sizes = pd.read_csv(sketch / "blocks.csv").voxels  # 1 is base, 2 arm, 3 cap
    assert list(sizes) == sorted(sizes, reverse=True) and len(sizes) == 3
    table = pd.read_csv(folder / "relations.csv").set_index(["a", "b"])
    assert table.relation[1, 2] == "needed by" and table.relation[2, 3] == "never with"
    assert (table.effective_volumes <= 200).all() and (table.effective_volumes > 100).all()
    graph = nx.read_graphml(folder / "graph.graphml")
    assert graph.edges["1", "2"]["kind"] == "needed by"
    states = pd.read_csv(folder / "combinations.csv")
    assert states.volumes.sum() == 200
    assert not ((states.block_2 == 1) & (states.block_1 == 0)).any()
    order = pd.read_csv(folder / "order.csv").set_index("block")
    assert order.step[1] == 1 and order.step[2] == 2
    text = said(log)
    assert "independent ones in tests" in text and "Order of assembly: step 1: 1; step 2: 2" in text
    found = json.loads(answer.json_value)
    assert found["graph"]["needs"] == [{"blocks": [2], "need": [1]}]
    assert found["graph"]["never_together"] == [[[2], [3]]]
    assert found["order"]["steps"] == [[[1]], [[2]]]
    assert found["folder"] == str(folder)


def test_an_earlier_folder_is_replaced_with_a_word_and_an_edited_one_is_kept(
    session: Any, run: Any, sketch: Path, tmp_path: Path
) -> None:
    with StringPlainTextLog(session.logger) as log:
        run(f"siren relate '{sketch}' resamples 5 outputDir '{tmp_path}'")
    assert "replaced" not in said(log)
    folder = tmp_path / "00_sketch_relations"
    (folder / "order.csv").write_text("mine\n")
    with StringPlainTextLog(session.logger) as log:
        run(f"siren relate '{sketch}' resamples 5 outputDir '{tmp_path}'")
    assert "was edited: it is kept as" in said(log)
    with StringPlainTextLog(session.logger) as log:
        run(f"siren relate '{sketch}' resamples 5 outputDir '{tmp_path}'")
    assert "are replaced" in said(log)
    kept = [p for p in tmp_path.iterdir() if p != folder]
    assert [(p / "order.csv").read_text() for p in kept] == ["mine\n"]


def test_single_files_are_written_alone_also_of_open_blocks(
    session: Any, run: Any, sketch: Path, tmp_path: Path
) -> None:
    run(f"siren open '{sketch}'")
    run("siren block rename #1.1 'the base'")
    run(f"siren relate #1 resamples 5 saveFile '{tmp_path}/p.csv' graphFile '{tmp_path}/g.svg'")
    run(f"siren relate #1 resamples 5 graphFile '{tmp_path}/g.graphml'")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.graphml", "g.svg", "p.csv"]
    assert "the base" in (tmp_path / "g.svg").read_text()
    assert nx.read_graphml(tmp_path / "g.graphml").nodes["1"]["label"] == "1 the base"
    run(f"siren plot '{sketch}' graph saveFile '{tmp_path}/g.png'")
    with Image.open(tmp_path / "g.png") as picture:
        assert min(picture.size) > 200


def test_few_effective_volumes_leave_all_undecided_and_the_log_says_why(
    session: Any, run: Any, sketch: Path, tmp_path: Path
) -> None:
    with StringPlainTextLog(session.logger) as log:
        found = run(
            f"siren relate '{sketch}' resamples 5 effectiveVolumes 6 saveFile '{tmp_path}/p.csv'"
        )
    assert "count as 6 independent ones" in said(log)
    assert 'To take all for independent, add "effectiveVolumes 200".' in said(log)
    assert set(found.relations.tally()) == {"undecided"}


def test_a_figure_of_another_kind_is_refused(run: Any, sketch: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"g\.docx cannot be written: give graphFile a name"):
        run(f"siren relate '{sketch}' graphFile '{tmp_path}/g.docx'")
