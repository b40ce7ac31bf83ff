"""The notebooks run in plain Python, from the first cell to the last, and show what they say."""

from __future__ import annotations

import ast
import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import notebook as notebooks

PATHS = sorted(notebooks.NOTEBOOKS.glob("*.ipynb"))
LARGEST = 300_000  # bytes of a notebook with its pictures


def stored(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def kinds(cell: dict[str, Any]) -> list[str]:
    return [output["output_type"] for output in cell["outputs"]]


def printed(cell: dict[str, Any]) -> str:
    return "".join("".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream")


def test_there_is_a_notebook():
    assert PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
@pytest.mark.slow
@pytest.mark.processes
def test_every_cell_runs_in_plain_python_and_gives_what_is_stored(path):
    """Numbers may differ with the processor, as predicted levels do; what is found may not."""
    before, after = stored(path), notebooks.run_apart(path)
    pairs = zip(notebooks.cells_of(before), notebooks.cells_of(after), strict=True)
    number = re.compile(r"\d+(\.\d+)?")
    for old, new in pairs:
        assert kinds(new) == kinds(old), "".join(old["source"])
        lines = [number.sub("#", printed(cell)).splitlines() for cell in (old, new)]
        assert len(lines[0]) == len(lines[1]), "".join(old["source"])
    said = "".join(map(printed, notebooks.cells_of(after)))
    shares = [float(s) for s in re.findall(r"Jaccard index (\d\.\d+)", said)]
    assert len(shares) == 8 and min(shares) > 0.7
    # the planted dependence, by the blocks that are most like the planted parts
    block = dict(re.findall(r"^(\S+) +block (\d+), Jaccard", said, re.M))
    assert f"Block {block['dependent']} only with {block['base']}." in said
    pair = sorted((block["swing/1"], block["swing/2"]), key=int)
    assert f"Block {pair[0]} never with {pair[1]}." in said


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_notebook_is_stored_as_it_was_run_whole_and_small(path):
    content = stored(path)
    assert path.stat().st_size < LARGEST
    assert path.read_text(encoding="utf-8") == notebooks.text_of(content)
    cells = notebooks.cells_of(content)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    pictures = [
        o["data"]["image/png"]
        for c in cells
        for o in c["outputs"]
        if "data" in o and "image/png" in o["data"]
    ]
    assert len(pictures) >= 4
    for picture in pictures:
        width, height = Image.open(io.BytesIO(base64.b64decode(picture))).size
        assert 200 < width < 1000 and 100 < height < 1000
    texts = [c["source"] for c in content["cells"]] + [printed(c).splitlines() for c in cells]
    assert not re.search(r"/(tmp|home|root|work|Users)/", "".join(map("".join, texts)))


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_notebook_needs_neither_chimerax_nor_more_than_pip_installs(path):
    code = "\n".join("".join(c["source"]) for c in notebooks.cells_of(stored(path)))
    modules = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).split(".")[0])
    assert modules == {"importlib", "pathlib", "matplotlib", "numpy", notebooks.PACKAGE}


def made(*sources: str) -> dict[str, Any]:
    cells = [{"cell_type": "code", "outputs": [], "source": [s]} for s in sources]
    return {"cells": [{"cell_type": "markdown", "source": ["text"]}, *cells]}


def test_outputs_are_what_a_cell_prints_its_last_value_and_its_figures():
    done = notebooks.run(
        made(
            "x = 2\nprint('a'); print(x)",
            "x + 1",
            "x + 1;",
            "import matplotlib.pyplot as plt\nfigure = plt.figure()",
            "None",
        )
    )
    outputs = [c["outputs"] for c in notebooks.cells_of(done)]
    assert outputs[0] == [{"name": "stdout", "output_type": "stream", "text": ["a\n", "2\n"]}]
    assert outputs[1][0]["data"] == {"text/plain": ["3"]}
    assert outputs[2] == outputs[4] == []
    assert outputs[3][0]["data"]["image/png"].startswith("iVBOR")


def test_a_cell_that_fails_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"cell 2 failed:\n1 / 0"):
        notebooks.run(made("x = 1", "1 / 0"))
    path = tmp_path / "bad.ipynb"
    path.write_text(json.dumps(made("import siren_chimerax", "assert False, 'here'")))
    with pytest.raises(RuntimeError, match=r"(?s)bad\.ipynb.*here"):
        notebooks.run_apart(path)
