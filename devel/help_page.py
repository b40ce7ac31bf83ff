"""Write the parameter tables of the help page from the parameters themselves: ``python
devel/help_page.py``.
"""

from __future__ import annotations

import dataclasses
import html
import re
from pathlib import Path

from chimerax.siren.core.analysis.parameters import StatesParameters
from chimerax.siren.core.blocks.parameters import (
    ExpandParameters,
    SketchParameters,
    SplitParameters,
)
from chimerax.siren.core.common.parameters import Parameters, camel_case
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds.parameters import (
    FinetuneParameters,
    PredictParameters,
    PreprocessParameters,
)

PAGE = Path(__file__).parents[1] / "src/docs/user/commands/siren.html"
TABLES: dict[str, type[Parameters]] = {
    "predict": PredictParameters,
    "finetune": FinetuneParameters,
    "sketch": SketchParameters,
    "expand": ExpandParameters,
    "preprocess": PreprocessParameters,
    "example": ExampleParameters,
    "split": SplitParameters,
    "states": StatesParameters,
}


def with_tables(page: str) -> str:
    """The page with tables that match the code."""
    for name, parameters in TABLES.items():
        rows = "\n".join(_row(f) for f in dataclasses.fields(parameters) if "help" in f.metadata)
        pattern = rf"(<!-- {name} parameters -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            pattern, lambda m, rows=rows: f"{m[1]}{rows}\n{m[2]}", page, flags=re.S
        )
        if count != 1:
            raise ValueError(f"{PAGE} has {count} tables of {name} parameters: there must be one")
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
    return f"<tr><td><b>{camel_case(f.name)}</b> {value}</td><td>{text}</td></tr>"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
