"""Imports go one way. ROOMS in devel/rooms.py lists the rooms and what each may import; these tests
check the code against it, and prove on small made-up packages that the checks can fail.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest

import rooms  # devel/rooms.py
from rooms import ROOMS, Import, modules_of, read_imports, read_uses, room_imports, room_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
Package = Callable[..., Path]
NOT_IN_CORE = {"chimerax", "Qt", "PyQt5", "PyQt6", "PySide2", "PySide6", "qtpy"}
NOT_IN_PARAMETERS = ("numpy", "scipy", "pandas", "torch", "matplotlib", "networkx", "mrcfile")
# run in a subprocess: imports modules from the folder of a package, with some libraries forbidden
IMPORT_WITHOUT = """
import importlib, sys, types

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"imports {name}")

source, forbidden, *modules = sys.argv[1:]
FORBIDDEN = forbidden.split(",")
sys.meta_path.insert(0, Forbid())
package = sys.modules["package"] = types.ModuleType("package")
package.__path__ = [source]
for module in modules:
    try:
        importlib.import_module(f"package.{module}")
    except ImportError as error:
        print(f"{module} {error}")
"""

# ---- the checks: each returns the problems it finds


def outside_rooms(source: Path, table: Mapping[str, object]) -> list[str]:
    """Modules in no room of the table, and rooms of the table without modules."""
    found = {room_of(module) for module in modules_of(source)}
    return [
        *(f"{room} is in no room: add it to ROOMS" for room in sorted(found - table.keys())),
        *(f"{room} of ROOMS has no module" for room in sorted(table.keys() - found)),
    ]


def wrong_ways(imports: Iterable[Import], table: Mapping[str, Iterable[str]]) -> list[str]:
    """Imports that the table does not allow."""
    return [
        f"{one}: {room_of(one.module)} may import {', '.join(table[room_of(one.module)])}"
        for one in imports
        if one.ours
        and room_of(one.target) != room_of(one.module)
        and not any(f"{one.target}.".startswith(f"{may}.") for may in table[room_of(one.module)])
    ]


def circles(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """A chain in which each imports the next, back to the first; empty if there is none."""
    try:
        TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def module_graph(imports: Iterable[Import]) -> dict[str, set[str]]:
    """Each module with those it imports, in functions too but not for types alone, and with the
    ``__init__`` of each folder on the way to them.
    """
    graph: dict[str, set[str]] = {}
    for one in imports:
        if one.ours and not one.typing:
            parts = one.target.split(".")
            ways = {".".join(parts[:k]) for k in range(1, len(parts) + 1)}
            above = {m for m in ways if f"{one.module}.".startswith(f"{m}.")}  # imported already
            needs = ways - above | {one.target}
            graph.setdefault(one.module, set()).update(needs - {one.module})
    return graph


def not_plain_python(imports: Iterable[Import]) -> list[str]:
    """Imports of ChimeraX or Qt in core."""
    return [
        f"{one}: core is plain Python"
        for one in imports
        if f"{one.module}.".startswith("core.")
        and not one.ours
        and one.target.partition(".")[0] in NOT_IN_CORE
    ]


def by_its_own_name(imports: Iterable[Import]) -> list[str]:
    """Imports of the package by its name in ChimeraX: outside ChimeraX it has another."""
    return [f"{one}: import it relatively" for one in imports if one.ours and not one.relative]


def not_there(imports: Iterable[Import], source: Path) -> list[str]:
    """Imports of modules or names that do not exist."""
    modules = modules_of(source)
    names = {module: names_of(file) for module, file in modules.items()}
    return [
        f"{one}, which is not there"
        for one in imports
        if one.ours
        and (
            one.target not in modules
            or (
                one.name is not None
                and not names[one.target] & {one.name, "__getattr__"}
                and one.name != "*"
            )
        )
    ]


def names_of(file: Path) -> set[str]:
    """The names that a module defines or imports, in any branch."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            return
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if isinstance(node, ast.alias):
            found.add(node.asname or node.name.partition(".")[0])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text(encoding="utf-8")))
    return found


def not_one_table(
    table: Mapping[str, str],
    declared: Mapping[str, str],
    described: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Where the lists of commands differ.

    Parameters
    ----------
    table : of cmd.py, command -> module
    declared : in bundle_info.xml, command -> synopsis
    described : by descriptions() of each module, module -> command -> synopsis
    """
    known = {command: module for module, own in described.items() for command in own}
    synopses = {command: text for own in described.values() for command, text in own.items()}
    problems = []
    for command in sorted({*table, *declared, *known}):
        places = {
            "COMMANDS of cmd.py": command in table,
            "bundle_info.xml": command in declared,
            "descriptions() of its module in commands/": command in known,
        }
        problems += [f"{command} is not in {place}" for place, there in places.items() if not there]
        if all(places.values()) and known[command] != table[command]:
            problems.append(f"{command} is in {known[command]}, says cmd.py {table[command]}")
        if all(places.values()) and synopses[command] != declared[command]:
            problems.append(
                f'{command} is "{declared[command]}" in bundle_info.xml, but "{synopses[command]}"'
            )
    return problems


def heavy_parameters(source: Path, forbidden: Iterable[str] = NOT_IN_PARAMETERS) -> list[str]:
    """Modules named parameters or columns that import a library: the help page is written from them
    by a Python that has none.
    """
    names = {"parameters", "columns"}
    modules = [m for m in modules_of(source) if m.rpartition(".")[2] in names]
    done = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_WITHOUT, source, ",".join(forbidden), *modules],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()


def without_tests(source: Path, tests: Path) -> list[str]:
    """Rooms with modules and without a folder of tests, and folders of tests without a room."""
    modules = modules_of(source)
    inside = {room_of(m) for m in modules if room_of(m) != m and m}
    folders = {room_of(m) for m, file in modules.items() if file.name == "__init__.py"}
    tested = {
        ".".join(file.parent.relative_to(tests).parts) for file in tests.rglob("*/test_*.py")
    } - {"devel"}
    return [
        *(f"tests/{r.replace('.', '/')} has no test of the room" for r in sorted(inside - tested)),
        *(f"tests/{t.replace('.', '/')} is of no room" for t in sorted(tested - folders)),
    ]


def not_said(source: Path, table: Mapping[str, Iterable[str]]) -> list[str]:
    """Rooms whose ``__init__`` does not say, as the table does, what they may import."""
    problems = []
    for module, file in modules_of(source).items():
        if module in table and module != "core" and file.name == "__init__.py":
            wanted = ", ".join(may.removeprefix("core.") for may in table[module]) or "nothing"
            text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
            if not text.endswith(f"May import: {wanted}."):
                problems.append(f'{file.relative_to(source)} should end "May import: {wanted}."')
    return problems


# ---- the code


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return read_imports(SOURCE)


def test_every_module_is_in_a_room() -> None:
    assert outside_rooms(SOURCE, ROOMS) == []


def test_rooms_import_only_what_they_may(imports: list[Import]) -> None:
    assert wrong_ways(imports, ROOMS) == []


def test_there_is_no_circle_among_the_rooms_nor_in_their_table(imports: list[Import]) -> None:
    assert circles(room_imports(imports)) == []
    rooms_of_table = {
        room: {o for may in allowed for o in ROOMS if f"{o}.".startswith(f"{room_of(may)}.")}
        - {room}
        for room, allowed in ROOMS.items()
    }
    assert circles(rooms_of_table) == []


def test_there_is_no_circle_among_the_modules(imports: list[Import]) -> None:
    assert circles(module_graph(imports)) == []


def test_core_is_plain_python(imports: list[Import]) -> None:
    assert not_plain_python(imports) == []


def test_the_package_imports_itself_relatively(imports: list[Import]) -> None:
    assert by_its_own_name(imports) == []


def test_all_that_is_imported_is_there(imports: list[Import]) -> None:
    """In functions too, and in scripts, where neither mypy nor most tests look."""
    uses = [u for folder in ("devel", "tests", "weights") for u in read_uses(ROOT / folder, SOURCE)]
    assert len(imports) > 300
    assert len(uses) > 200
    assert not_there([*imports, *uses], SOURCE) == []


def test_there_is_one_list_of_commands() -> None:
    from chimerax.siren.cmd import COMMANDS

    declared = {}
    for element in ElementTree.parse(ROOT / "bundle_info.xml").iter("ChimeraXClassifier"):
        kind, _, rest = (element.text or "").partition(" :: ")
        if kind == "Command":
            command, _, synopsis = rest.split(" :: ")
            declared[command] = synopsis
    described = {}
    for file in sorted((SOURCE / "commands").glob("*.py")):
        family = import_module(f"chimerax.siren.commands.{file.stem}")
        if hasattr(family, "descriptions"):
            described[file.stem] = {
                command: make().synopsis for command, (make, _) in family.descriptions().items()
            }
    assert len(COMMANDS) > 20
    assert not_one_table(COMMANDS, declared, described) == []


def test_parameters_can_be_read_without_numpy() -> None:
    assert heavy_parameters(SOURCE) == []


def test_the_tests_have_the_rooms_of_the_code() -> None:
    assert without_tests(SOURCE, ROOT / "tests") == []


def test_every_room_says_what_it_may_import() -> None:
    assert not_said(SOURCE, ROOMS) == []


def test_the_drawing_of_the_rooms_is_that_of_the_code() -> None:
    drawn = rooms.DRAWING.read_text(encoding="utf-8")
    assert rooms.drawing() == drawn, "run: make rooms"
    text = " ".join(ElementTree.fromstring(drawn).itertext())
    for module in modules_of(SOURCE):
        assert re.search(rf"\b{module.rpartition('.')[2] or '__init__'}\b", text), module


# ---- the checks themselves, on packages that are wrong


LAYERS = {"low": (), "middle": ("low",), "top": ("low.part",), "__init__": ("top",)}
GOOD = {
    "__init__.py": "def start():\n    from .top import run",
    "low/__init__.py": '"""Ground.\n\nMay import: nothing.\n"""',
    "low/part.py": "X = 1",
    "low/other.py": "from . import part\nif True:\n    from math import pi as Y",
    "middle/__init__.py": '"""Middle.\n\nMay import: low.\n"""',
    "middle/work.py": "from ..low.other import Y\nfrom ..low import part",
    "top.py": "from .low.part import X\n\ndef run(): ...",
}


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A good package, but for the files given."""

    def write(**files: str) -> Path:
        texts = GOOD | {name.replace("__in__", "/") + ".py": text for name, text in files.items()}
        for name, text in texts.items():
            (tmp_path / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "src" / name).write_text(text)
        return tmp_path / "src"

    return write


def test_a_good_package_is_not_complained_of(package: Package) -> None:
    source = package()
    found = read_imports(source, "installed.name")
    assert len(found) == 6
    assert outside_rooms(source, LAYERS) == []
    assert wrong_ways(found, LAYERS) == []
    assert circles(room_imports(found)) + circles(module_graph(found)) == []
    assert not_plain_python(found) + by_its_own_name(found) == []
    assert not_there(found, source) == []
    assert not_said(source, LAYERS) == []


def test_a_module_in_no_room_and_a_room_without_modules_are_noticed(package: Package) -> None:
    source = package(new="")
    assert outside_rooms(source, {**LAYERS, "core.gone": ()}) == [
        "new is in no room: add it to ROOMS",
        "core.gone of ROOMS has no module",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "from ..middle.work import part",
        "from .. import middle",
        "def f():\n    if 1:\n        from ..middle import work",
        "import typing\nif typing.TYPE_CHECKING:\n    from ..middle import work",
        "import installed.name.middle.work",
        "from importlib import import_module\nimport_module('..middle.work', __package__)",
        "import importlib\nimportlib.import_module(f'..middle.{1}', __package__)",
    ],
)
def test_an_import_the_wrong_way_is_named_with_its_line(package: Package, text: str) -> None:
    source = package(low__in__part=f"{text}\nX = 1")
    found = wrong_ways(read_imports(source, "installed.name"), LAYERS)
    line = 1 + next(k for k, part in enumerate(text.split("\n")) if "middle" in part)
    assert len(found) == 1
    assert found[0].startswith(f"src/low/part.py:{line}: imports middle")


def test_only_the_module_that_the_table_names_may_be_imported(package: Package) -> None:
    source = package(top="from .low.other import part\nfrom .low.part import X\nrun = 1")
    assert wrong_ways(read_imports(source), LAYERS) == [
        "src/top.py:1: imports low.other.part: top may import low.part"
    ]


def test_a_circle_is_told_as_a_chain(package: Package) -> None:
    source = package(low__in__part="def f():\n    from .. import top")
    found = read_imports(source)
    assert circles(room_imports(found)) == ["top -> low -> top"]
    assert circles(module_graph(found)) == ["top -> low.part -> top"]


def test_a_circle_inside_a_room_is_noticed(package: Package) -> None:
    source = package(low__in__part="from .third import Z", low__in__third="from .other import Z")
    found = read_imports(source)
    assert circles(room_imports(found)) == []
    assert circles(module_graph(found)) == ["low.other -> low.part -> low.third -> low.other"]


def test_a_circle_through_an_init_is_noticed_but_not_one_of_types_alone(package: Package) -> None:
    source = package(low__in____init__="from ..middle import work")
    assert circles(module_graph(read_imports(source))) == [
        "low -> middle.work -> low",
    ]
    source = package(
        low__in____init__="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from ..middle import work"
    )
    assert circles(module_graph(read_imports(source))) == []


@pytest.mark.parametrize("text", ["import Qt.QtCore", "def f():\n    from chimerax.map import x"])
def test_chimerax_and_qt_in_core_are_noticed(package: Package, text: str) -> None:
    found = not_plain_python(read_imports(package(core__in__maps__in__grid=text)))
    assert len(found) == 1
    assert found[0].startswith("src/core/maps/grid.py:")


def test_the_name_in_chimerax_is_noticed(package: Package) -> None:
    source = package(top="from installed.name.low import part\nrun = 1")
    assert by_its_own_name(read_imports(source, "installed.name")) == [
        "src/top.py:1: imports low.part: import it relatively"
    ]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("from .low import gone", "low.gone"),
        ("from .low.part import X, gone", "low.part.gone"),
        ("def run():\n    from .gone import x", "gone.x"),
        ("from ...low import part", "...low.part"),
        ("import installed.name.gone", "gone"),
        ("from .low import part\npart.X\npart.gone()", "low.part.gone"),
    ],
)
def test_an_import_of_what_is_not_there_is_noticed(
    package: Package, text: str, missing: str
) -> None:
    source = package(top=f"{text}\nrun = 1", **{"__init__": ""})
    found = not_there(read_imports(source, "installed.name"), source)
    assert found == [f"src/top.py:{1 + text.count(chr(10))}: imports {missing}, which is not there"]


def test_scripts_beside_the_package_are_read_too(package: Package, tmp_path: Path) -> None:
    source = package()
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/run.py").write_text(
        "from . import own\nfrom installed.name.low.part import X, gone\nimport numpy"
    )
    assert not_there(read_uses(tmp_path / "scripts", source, "installed.name"), source) == [
        "scripts/run.py:2: imports low.part.gone, which is not there"
    ]


def test_lists_of_commands_that_differ_are_noticed() -> None:
    table = {"a one": "x", "a two": "x", "a three": "y"}
    texts = {"a one": "One", "a two": "Two", "a three": "Three"}
    described = {"x": {"a one": "One", "a two": "Two"}, "y": {"a three": "Three"}}
    assert not_one_table(table, texts, described) == []
    assert not_one_table(
        table | {"a four": "x"}, texts | {"a two": "2"}, described | {"y": {"a five": "Five"}}
    ) == [
        "a five is not in COMMANDS of cmd.py",
        "a five is not in bundle_info.xml",
        "a four is not in bundle_info.xml",
        "a four is not in descriptions() of its module in commands/",
        "a three is not in descriptions() of its module in commands/",
        'a two is "2" in bundle_info.xml, but "Two"',
    ]
    assert not_one_table(table | {"a one": "y"}, texts, described) == [
        "a one is in x, says cmd.py y"
    ]


def test_a_library_that_parameters_import_is_noticed(package: Package) -> None:
    source = package(
        low__in__parameters="from .part import X",
        middle__in__parameters="from ..low import part, parameters",
    )
    assert heavy_parameters(source) == []
    source = package(low__in__part="import numpy\nX = 1")
    assert heavy_parameters(source) == [
        "low.parameters imports numpy",
        "middle.parameters imports numpy",
    ]


def test_a_room_without_tests_and_tests_without_a_room_are_noticed(
    package: Package, tmp_path: Path
) -> None:
    for folder in ("low", "core/gone", "devel"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / "test_it.py").write_text("")
    (tmp_path / "tests/test_all.py").write_text("")
    assert without_tests(package(), tmp_path / "tests") == [
        "tests/middle has no test of the room",
        "tests/core/gone is of no room",
    ]


def test_a_room_that_says_other_than_the_table_is_noticed(package: Package) -> None:
    assert not_said(package(low__in____init__='"""Ground."""'), {**LAYERS, "middle": ()}) == [
        'low/__init__.py should end "May import: nothing."',
        'middle/__init__.py should end "May import: nothing."',
    ]


def test_a_drawing_leaves_out_what_is_reached_through_another() -> None:
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set()}
    assert rooms.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}
    with pytest.raises(CycleError):
        rooms.reduced({"a": {"b"}, "b": {"a"}})
