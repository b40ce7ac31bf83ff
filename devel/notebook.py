"""Run the notebooks in docs/notebooks, in plain Python, and write what their cells give into them.

    .venv/bin/python devel/notebook.py        (or: make notebooks)

It needs no Jupyter. Each notebook runs in a process and a folder of its own; all its cells in
order, in one namespace. What a cell prints is its output, the value of a last expression, and the
figures that are open at its end, as in Jupyter.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "docs/notebooks"
DPI = 72
PACKAGE = "siren_chimerax"  # as pip installs it
Cell = dict[str, Any]


def cells_of(notebook: dict[str, Any]) -> list[Cell]:
    """The cells of code, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any]) -> dict[str, Any]:
    """The notebook with the outputs of its cells, run in this process.

    Raises
    ------
    RuntimeError
        If a cell fails; with its source and the traceback.
    """
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    done = json.loads(json.dumps(notebook))
    for number, cell in enumerate(cells_of(done), 1):
        try:
            cell["outputs"] = _outputs("".join(cell["source"]), names, number)
        except Exception as error:
            code = "".join(cell["source"])
            raise RuntimeError(
                f"cell {number} failed:\n{code}\n{traceback.format_exc()}"
            ) from error
        cell["execution_count"] = number
    return done


def _outputs(code: str, names: dict[str, Any], number: int) -> list[dict[str, Any]]:
    from matplotlib import pyplot

    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    said, value = io.StringIO(), None
    with contextlib.redirect_stdout(said):
        exec(compile(tree, f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if said.getvalue():
        outputs.append(
            {"name": "stdout", "output_type": "stream", "text": said.getvalue().splitlines(True)}
        )
    if value is not None and not code.rstrip().endswith(";"):
        outputs.append(
            {
                "data": _shown(value),
                "execution_count": number,
                "metadata": {},
                "output_type": "execute_result",
            }
        )
    for figure in map(pyplot.figure, pyplot.get_fignums()):
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=DPI, bbox_inches="tight")
        image = base64.b64encode(picture.getvalue()).decode("ascii")
        data = {"image/png": image + "\n", "text/plain": ["<Figure>"]}
        outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
    pyplot.close("all")
    return outputs


def _shown(value: Any) -> dict[str, list[str]]:
    shown = {"text/plain": repr(value).splitlines(True)}
    as_html = getattr(value, "_repr_html_", None)
    if as_html is not None:
        shown["text/html"] = as_html().splitlines(True)
    return shown


def run_apart(path: Path, package: Path | None = None) -> dict[str, Any]:
    """The notebook of a file with its outputs, run in another process and an empty folder.

    Parameters
    ----------
    path : of the notebook
    package : folder in which ``siren_chimerax`` is; by default core of this checkout gets the name

    Raises
    ------
    RuntimeError
        If a cell fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = package or _linked(Path(folder))
        work = Path(folder) / "work"
        work.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [sys.executable, Path(__file__).resolve(), "--one", path.resolve()],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        raise RuntimeError(f"{path.name}: {done.stderr[-4000:]}")
    return dict(json.loads(done.stdout))


def _linked(folder: Path) -> Path:
    """A folder in which core and the weights have the names that pip gives them."""
    package = folder / "packages" / PACKAGE
    package.mkdir(parents=True)
    for entry in (ROOT / "src/core").iterdir():
        (package / entry.name).symlink_to(entry)
    (package / "weights").symlink_to(ROOT / "weights")
    return package.parent


def text_of(notebook: dict[str, Any]) -> str:
    """A notebook as it is stored."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Run all notebooks, or write one with its outputs to standard output."""
    if sys.argv[1:2] == ["--one"]:
        notebook = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        print(json.dumps(run(notebook)))
        return 0
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        path.write_text(text_of(run_apart(path)), encoding="utf-8")
        print(f"Written: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
