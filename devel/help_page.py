"""Write the tables of the help page from the code: each step's parameters, and the columns of
blocks.csv.

    python3 devel/help_page.py        (or: make help-page)

It reads the code of this checkout, and needs nothing but Python: no ``make env``, no numpy.
"""

from __future__ import annotations

import dataclasses
import html
import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "src/docs/user/commands/siren.html"
#: Each table of the page: the module under src/ and the parameters that it shows.
PARAMETERS = {
    "predict": ("core.thresholds.parameters", "PredictParameters"),
    "finetune": ("core.thresholds.parameters", "FinetuneParameters"),
    "sketch": ("core.blocks.parameters", "SketchParameters"),
    "expand": ("core.blocks.parameters", "ExpandParameters"),
    "preprocess": ("core.thresholds.parameters", "PreprocessParameters"),
    "example": ("core.simulation.parameters", "ExampleParameters"),
    "split": ("core.blocks.parameters", "SplitParameters"),
    "grow": ("core.blocks.parameters", "GrowParameters"),
    "shrink": ("core.blocks.parameters", "ShrinkParameters"),
    "states": ("core.analysis.parameters", "StatesParameters"),
}


def with_tables(page: str) -> str:
    """The page with tables that match the code."""
    for name, (module, kind) in PARAMETERS.items():
        fields = dataclasses.fields(getattr(from_checkout(module), kind))
        rows = [_row(f) for f in fields if "help" in f.metadata]
        page = _filled(page, f"{name} parameters", rows)
    columns = from_checkout("core.blocks.columns").COLUMNS.items()
    rows = [f"<tr><td>{name}</td><td>{html.escape(text)}</td></tr>" for name, text in columns]
    return _filled(page, "blocks.csv columns", rows)


def from_checkout(module: str) -> Any:
    """A module under src/, as part of a package of its own: that in ChimeraX may be missing or of
    another version, and with src/ on Python's path src/cmd.py would hide Python's own cmd.
    """
    package = sys.modules.setdefault("siren_checkout", ModuleType("siren_checkout"))
    package.__path__ = [str(ROOT / "src")]
    return import_module(f"siren_checkout.{module}")


def _filled(page: str, name: str, rows: list[str]) -> str:
    text = "\n".join(rows).encode("ascii", "xmlcharrefreplace").decode()
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    page, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", page, flags=re.S)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} places for the {name}")
    return page


def _row(f: dataclasses.Field) -> str:
    value = " | ".join(f.metadata["choices"]) or {
        "bool": "true | false",
        "int": "<i>n</i>",
        "float": "<i>x</i>",
    }.get(str(f.type).split(" | ")[0], f"<i>{f.metadata['word'] or 'file'}</i>")
    value = " | ".join((value, *f.metadata["words"]))
    default = f.default
    if isinstance(default, bool):
        default = str(default).lower()
    text = html.escape(f.metadata["help"])
    if default is not None:
        unit = f.metadata["unit"].replace("A", "&Aring;")
        text += f"; default {default}{' ' + unit if unit else ''}"
    keyword = from_checkout("core.common.parameters").camel_case(f.name)
    return f"<tr><td><b>{keyword}</b> {value}</td><td>{text}</td></tr>"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
