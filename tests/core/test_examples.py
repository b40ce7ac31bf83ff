"""Every example in a docstring runs as it stands there, and gives what it says after ``# ->``.

Each runs in a copy of one folder, which is what the first run in README makes, only smaller: maps
in ``volumes``; their thresholds, some labels, a sketch and its expansion in ``siren``.
"""

from __future__ import annotations

import ast
import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from chimerax.siren.core import (
    ExampleParameters,
    ExpandParameters,
    SketchParameters,
    find_ensemble,
    predict_levels,
    run_expand,
    run_sketch,
)
from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.core.thresholds.labels import Label, set_label
from chimerax.siren.core.thresholds.tables import write_predictions

SOURCES = Path(__file__).parents[2] / "src"
BLOCK = re.compile(r"^( *)Example::\n\n((?:\1    .*\n|\s*\n)+)", re.M)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def examples() -> Iterator[tuple[str, str]]:
    """Place and code of each example under src."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.get_docstring(node) if isinstance(node, DOCUMENTED) else None
            for found in BLOCK.finditer(f"{text}\n"):
                name = getattr(node, "name", "")
                yield f"{path.relative_to(SOURCES)} {name}".strip(), textwrap.dedent(found[2])


EXAMPLES = dict(examples())


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="torch is not installed: no level can be predicted")
    folder = tmp_path_factory.mktemp("first-run")
    example = write_example(
        folder / "volumes", ExampleParameters(volumes=60, box=32, voxel_size=10)
    )
    ensemble, output = find_ensemble([folder / "volumes"]), folder / "siren"
    output.mkdir()
    for n, name in enumerate(ensemble.names[:12]):
        level = float(example.simulation.levels[n])
        set_label(output / "labels.csv", Label(str(n), name, level, 0.9 * level, 1.1 * level))
    predictions = predict_levels(ensemble)
    write_predictions(output / "predictions.csv", predictions)
    sketched = run_sketch(ensemble, predictions.array, "predicted", SketchParameters(), output)
    run_expand(sketched.blocks, sketched.record, ExpandParameters(), output)
    return folder


@pytest.mark.parametrize("place", EXAMPLES)
@pytest.mark.slow
def test_the_example_runs_as_it_is_written(
    place: str, first_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shutil.copytree(first_run, tmp_path / "here"))
    run(EXAMPLES[place], place)


def run(code: str, place: str) -> None:
    names: dict[str, object] = {"__name__": "example"}
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), place, "exec"), names)
            continue
        value = eval(compile(ast.Expression(statement.value), place, "eval"), names)
        _, said, expected = lines[statement.end_lineno - 1].partition("# -> ")  # type: ignore[operator]
        assert not said or value == ast.literal_eval(expected), lines[statement.lineno - 1]


def test_no_example_is_passed_over() -> None:
    """One that is laid out otherwise would be neither found nor run."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")]
    mentioned = sum(len(re.findall(r"(?i)^ *examples?\b *:{0,2}$|>>>", t, re.M)) for t in texts)
    assert mentioned == len(list(examples())) == len(EXAMPLES) > 20


def test_a_wrong_statement_in_an_example_is_found() -> None:
    run("1 + 1  # -> 2\n", "right")
    with pytest.raises(AssertionError):
        run("1 + 1  # -> 3\n", "wrong")
