"""Write the manual from the code: the tables of its main page, and a page for each command.

    python3 devel/help_page.py        (or: make help-page)

The main page, src/docs/user/commands/siren.html, is written by hand except for its tables: all
commands, each step's parameters, and the columns of blocks.csv. The page of a command has its
section of the main page, a table of all keywords that its description in src/commands takes, and
its examples, the lines of devel/examples.cxc. What a keyword means comes from the parameters of
core, or from a row of the main page: in the command's section, in the table of keywords of all
commands, or elsewhere.

It reads the code of this checkout, and needs nothing but Python: no ``make env``, no numpy, no
ChimeraX, whose places stand-ins take.
"""

from __future__ import annotations

import dataclasses
import html
import importlib.abc
import importlib.machinery
import inspect
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "src/docs/user/commands/siren.html"
EXAMPLES = ROOT / "devel/examples.cxc"
#: Before an example that is shown but not run (it installs something, or needs moved files)
NOT_RUN = "#$ "
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
    "particles": ("core.particles.parameters", "ParticlesParameters"),
    "annotate": ("core.analysis.parameters", "AnnotateParameters"),
    "mask": ("core.analysis.parameters", "MaskParameters"),
    "volumes": ("core.analysis.parameters", "SubsetParameters"),
    "movie": ("core.analysis.parameters", "SeriesParameters"),
    "compare": ("core.analysis.parameters", "CompareParameters"),
    "relate": ("core.analysis.parameters", "RelateParameters"),
    "occupancy": ("core.analysis.parameters", "OccupancyParameters"),
}
WRITTEN = "<!-- Written by devel/help_page.py from siren.html and the code: change those. -->"
#: What is typed for an argument, by the name of its ChimeraX annotation
VALUES = {
    "BoolArg": "true | false",
    "IntArg": "<i>n</i>",
    "FloatArg": "<i>x</i>",
    "StringArg": "<i>text</i>",
    "RestOfLine": "<i>text</i>",
    "OpenFileNameArg": "<i>file</i>",
    "SaveFileNameArg": "<i>file</i>",
    "OpenFolderNameArg": "<i>folder</i>",
    "SaveFolderNameArg": "<i>folder</i>",
    "CenterArg": "<i>x,y,z</i> or models",
    "VolumesArg": "VOLUMES",
}


# ---- the main page


def with_tables(page: str) -> str:
    """The page with tables that match the code."""
    for name, (module, kind) in PARAMETERS.items():
        fields = dataclasses.fields(getattr(from_checkout(module), kind))
        rows = [_row(f) for f in fields if "help" in f.metadata]
        page = _filled(page, f"{name} parameters", rows)
    columns = from_checkout("core.blocks.columns").COLUMNS.items()
    rows = [f"<tr><td>{name}</td><td>{html.escape(text)}</td></tr>" for name, text in columns]
    page = _filled(page, "blocks.csv columns", rows)
    rows = [
        f'<tr><td><a href="{file_of(name)}">{name}</a></td><td>{html.escape(about["synopsis"])}'
        "</td></tr>"
        for name, about in described().items()
    ]
    return _filled(page, "all commands", rows)


def from_checkout(module: str) -> Any:
    """A module under src/, as part of a package of its own: that in ChimeraX may be missing or of
    another version, and with src/ on Python's path src/cmd.py would hide Python's own cmd.
    """
    package = sys.modules.setdefault("siren_checkout", ModuleType("siren_checkout"))
    package.__path__ = [str(ROOT / "src")]
    return import_module(f"siren_checkout.{module}")


def _filled(page: str, name: str, rows: list[str]) -> str:
    text = _ascii("\n".join(rows))
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    page, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", page, flags=re.S)
    if count != 1:
        raise ValueError(f"{PAGE} has {count} places for the {name}")
    return page


def _ascii(text: str) -> str:
    return text.encode("ascii", "xmlcharrefreplace").decode()


def _row(f: dataclasses.Field) -> str:
    value, text = _field(f)
    keyword = from_checkout("core.common.parameters").camel_case(f.name)
    return f"<tr><td><b>{keyword}</b> {value}</td><td>{text}</td></tr>"


def _field(f: dataclasses.Field) -> tuple[str, str]:
    """What is typed for a parameter, and what it means."""
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
    return value, text


# ---- the page of each command


def command_pages(page: str) -> dict[str, str]:
    """The page of each command, by file name, from the main page."""
    commands = described()
    pages = {file_of(name): name for name in commands}
    sections = {name: _section(page, name) for name in commands}
    shared = _rows(page)
    found = {}
    for file, name in pages.items():
        about, section = commands[name], sections[name]
        meanings = {**shared, **_rows(section)}
        keywords = sorted(about["keywords"], key=_keyword)
        rows = [_linked(_keyword_row(k, meanings), pages) for k in keywords]
        parts = [
            WRITTEN,
            f"<p>{html.escape(about['synopsis'])}. {_SEE_ALSO}</p>",
            f"<h4>{_heading(page, name)}</h4>",
            _linked(re.sub(r"<table.*?</table>\n?", "", section, flags=re.S), pages).strip(),
        ]
        if rows:
            parts += ["<h4>Keywords</h4>", '<table border="1" cellpadding="4">', *rows, "</table>"]
        examples = examples_of(name)
        if examples:
            parts += ["<h4>Examples</h4>", "<pre>", html.escape("\n".join(examples)), "</pre>"]
        found[file] = _PAGE.format(name=name, body=_ascii("\n".join(parts)))
    return found


_SEE_ALSO = (
    'See also <a href="siren.html">all siren commands</a>, '
    '<a href="../siren_troubleshooting.html">troubleshooting</a> and the '
    '<a href="../siren_glossary.html">glossary</a>.'
)
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<link rel="stylesheet" type="text/css" href="../userdocs.css">
<title>Command: {name}</title></head><body>
<h3>Command: {name}</h3>
{body}
</body></html>
"""


def file_of(command: str) -> str:
    """The file name of a command's page."""
    return f"{command.replace(' ', '_')}.html"


def _heading(page: str, name: str) -> str:
    found = re.search(rf"<h4>({re.escape(name)}(?: (?![a-z]).*?)?)</h4>", page)
    return found[1] if found else name


def _section(page: str, name: str) -> str:
    """What the main page says of a command: from its heading to the next."""
    heading = f"<h4>{_heading(page, name)}</h4>"
    if heading not in page:
        return ""
    rest = page[page.index(heading) + len(heading) :]
    # anchors before the next heading belong to that; others are within the section
    return re.split(r"(?:<a name=\"[^\"]*\"></a>\n)?<h[34]>", rest, maxsplit=1)[0]


def _rows(text: str) -> dict[str, tuple[str, str]]:
    """Keyword -> what is typed for it and what it means, from the rows of tables; the first row
    of a keyword counts.
    """
    found: dict[str, tuple[str, str]] = {}
    for cell, meaning in re.findall(r"<tr><td>(<b>.*?)</td><td>(.*?)</td></tr>", text, re.S):
        for keyword, value in re.findall(r"<b>(\w+)</b> *(.*?)(?=<br>|$)", cell, re.S):
            found.setdefault(keyword, (value.strip(), meaning))
    return found


def _keyword(about: dict[str, Any]) -> str:
    return str(about["keyword"]).lower()


def _keyword_row(about: dict[str, Any], meanings: dict[str, tuple[str, str]]) -> str:
    value, text = about["value"], about["help"]
    if not text:
        value, text = meanings.get(about["keyword"], (value, ""))
    needed = "; must be given" * about["needed"]
    return f"<tr><td><b>{about['keyword']}</b> {value}</td><td>{text}{needed}</td></tr>"


def _linked(text: str, pages: dict[str, str]) -> str:
    """A section as part of another page: links within the main page lead there, or to the page
    of a command.
    """

    def target(found: re.Match[str]) -> str:
        own = f"siren_{found[1].replace('-', '_')}.html"
        return f'href="{own if own in pages else "siren.html#" + found[1]}"'

    return re.sub(r'href="#([^"]*)"', target, text)


def examples_of(command: str) -> list[str]:
    """Lines of devel/examples.cxc that run a command, after the comments before them."""
    found, comments = [], []
    others = [c for c in described() if c.startswith(f"{command} ")]
    for line in EXAMPLES.read_text(encoding="utf-8").splitlines():
        line = line.removeprefix(NOT_RUN)
        if line.startswith("#"):
            comments.append(line)
            continue
        words = f"{line} "
        if words.startswith(f"{command} ") and not any(words.startswith(f"{o} ") for o in others):
            found += [*comments, line]
        comments = []
    return found


# ---- the descriptions of commands, without ChimeraX

_described: dict[str, Any] = {}


def described() -> dict[str, Any]:
    """What each command takes, by name, as src/commands describes it to ChimeraX."""
    if not _described:
        command = [sys.executable, "-I", "-S", __file__, "--describe"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"The commands cannot be described:\n{done.stderr}")
        _described.update(json.loads(done.stdout))
    return _described


def _describe() -> dict[str, Any]:
    """The same, in a process of its own with stand-ins for what is not Python's own."""
    sys.meta_path.insert(0, _Finder())
    arguments = from_checkout("commands.arguments")
    plain = arguments.keywords_of

    def with_fields(kind: Any) -> list[tuple[str, Any]]:
        fields = {f.name: f for f in dataclasses.fields(kind)}
        return [(name, fields[name]) for name, _ in plain(kind)]

    arguments.keywords_of = with_fields
    found = {}
    for name, family in from_checkout("cmd").COMMANDS.items():
        make, function = from_checkout(f"commands.{family}").descriptions()[name]
        about, signature = make().given, inspect.signature(function)
        needed = about.get("required_arguments", ())
        pairs = {**dict(about.get("optional", ())), **dict(about.get("keyword", ()))}
        for positional in about.get("non_keyword", ()):
            pairs.pop(positional, None)
        found[name] = {
            "synopsis": about["synopsis"],
            "keywords": [
                _keyword_described(k, a, signature, k in needed) for k, a in pairs.items()
            ],
        }
    return found


def _keyword_described(
    name: str, annotation: Any, signature: inspect.Signature, needed: bool
) -> dict[str, Any]:
    keyword = from_checkout("core.common.parameters").camel_case(name)
    if isinstance(annotation, dataclasses.Field):
        value, text = _field(annotation)
    else:
        value, text = _typed(annotation), ""
    return {"keyword": keyword, "value": value, "help": text, "needed": needed}


def _typed(annotation: Any) -> str:
    """What is typed for an argument."""
    if isinstance(annotation, _Instance):
        kind, given = annotation.kind, annotation.given
        if kind in ("EnumOf",):
            return " | ".join(map(str, given[0]))
        if kind in ("ListOf", "RepeatOf"):
            one = _typed(given[0])
            return f"{one},{one},..."
        if kind == "Or":
            return " | ".join(map(_typed, given))
        if kind == "Bounded":
            return _typed(given[0])
    name = getattr(annotation, "__name__", "")
    return VALUES.get(name, f"<i>{html.escape(str(getattr(annotation, 'name', name)))}</i>")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for every module that is neither Python's own nor of this checkout."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        top = name.split(".")[0]
        if top == "siren_checkout" or top in sys.stdlib_module_names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to do."""


class _Module(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _Class(name, (_Instance,), {})
        setattr(self, name, made)
        return made


class _Class(type):
    """A class that has every attribute; an instance knows what it was made with."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Class(name, (_Instance,), {})

    def __getitem__(cls, _: Any) -> Any:
        return cls

    def __or__(cls, _: Any) -> Any:
        return cls

    __ror__ = __or__


class _Instance(metaclass=_Class):
    """What calling a stand-in gives."""

    def __init__(self, *arguments: Any, **keywords: Any):
        self.kind, self.given = type(self).__name__, arguments or keywords

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Instance()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def _same(self, *_: Any) -> Any:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __pow__ = __neg__ = __getitem__ = _same


def main() -> None:
    """Write the main page's tables, then the pages made from it."""
    page = with_tables(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(page, encoding="utf-8")
    pages = command_pages(page)
    for old in PAGE.parent.glob("siren_*.html"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (PAGE.parent / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--describe"]:
        print(json.dumps(_describe()))
    else:
        main()
