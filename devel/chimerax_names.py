"""Check every ChimeraX name that src/ uses against the sources of ChimeraX, from 1.7 to the newest.

    git clone https://github.com/RBVI/ChimeraX
    python3 devel/chimerax_names.py ChimeraX                 (a clone, or a bare git directory)
    python3 devel/chimerax_names.py ChimeraX v1.11 develop   (these tags or branches only)

Read from the code alone, without running it: names imported from ``chimerax``; attributes and
methods of what is known to be ChimeraX's (``session``, ``self`` of a class derived from one of
ChimeraX's, annotated variables); arguments of calls; methods that src/ overrides. Of other
attributes it asks only that a name which ChimeraX's packages define in the oldest version is still
defined in the others. Then the dependencies of bundle_info.xml: does this version of ChimeraX ship
what they ask for, so that an installation moves none of its packages?

Exit status 1 if a version lacks something, with file and line of each use.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src"
OLDEST = (1, 7)
#: What ChimeraX ships, by version; this script compares it with the sources
SHIPPED = ROOT / "devel/chimerax_versions.json"
#: What attributes of ChimeraX's classes are
TYPES = {
    ("chimerax.core.session.Session", "logger"): "chimerax.core.logger.Logger",
    ("chimerax.core.session.Session", "ui"): "chimerax.ui.gui.UI",
    ("chimerax.core.session.Session", "models"): "chimerax.core.models.Models",
    ("chimerax.core.session.Session", "triggers"): "chimerax.core.triggerset.TriggerSet",
    ("chimerax.core.session.Session", "tasks"): "chimerax.core.tasks.Tasks",
    ("chimerax.core.session.Session", "tools"): "chimerax.core.tools.Tools",
    ("chimerax.core.session.Session", "undo"): "chimerax.core.undo.Undo",
    ("chimerax.core.session.Session", "main_view"): "chimerax.graphics.view.View",
    ("chimerax.core.session.Session", "update_loop"): "chimerax.core.updateloop.UpdateLoop",
    ("chimerax.core.models.Model", "session"): "chimerax.core.session.Session",
    ("chimerax.core.tools.ToolInstance", "session"): "chimerax.core.session.Session",
    ("chimerax.core.tasks.Task", "session"): "chimerax.core.session.Session",
    ("chimerax.map.volume.Volume", "data"): "chimerax.map_data.griddata.GridData",
    ("chimerax.graphics.view.View", "camera"): "chimerax.graphics.camera.Camera",
}
#: Set when a session starts rather than by its class
STARTED = {"ui", "main_view", "update_loop", "in_script", "tools", "undo", "tasks", "toolshed"}
SESSION = "chimerax.core.session.Session"
DERIVED = "*"  # after the class of ChimeraX from which one of src/ is derived
Function = ast.FunctionDef | ast.AsyncFunctionDef


# ---- the sources of one version


@dataclass
class Module:
    """A module of ChimeraX: its names, and where those come from that it imports.

    Attributes
    ----------
    dotted : as in ``chimerax.core.models``
    names : what it defines, by name
    imported : name -> module and name there; the name is "" for a module
    stars : modules whose names are all imported
    """

    dotted: str
    names: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A name's definition; ``node`` is None where the code does not tell, as if compiled."""

    module: Module | None = None
    node: ast.AST | None = None


UNKNOWN = Found()


class Version:
    """The sources of ChimeraX at one tag or branch."""

    def __init__(self, repository: Path, ref: str):
        self.repository, self.ref = repository, ref
        self._modules: dict[str, Module | None] = {}

    @cached_property
    def files(self) -> set[str]:
        """All files of bundles."""
        return set(self._git("ls-tree", "-r", "--name-only", self.ref, "src/bundles").split("\n"))

    def text(self, path: str) -> str:
        """A file as it is at this tag."""
        return self._git("show", f"{self.ref}:{path}")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.repository), *arguments], check=True, capture_output=True
        )
        return done.stdout.decode(errors="replace")

    def path(self, dotted: str) -> str | None:
        """The file of ``chimerax.x.y``, or None."""
        _, bundle, *rest = dotted.split(".")
        stem = "/".join(["src/bundles", bundle, "src", *rest])
        return next((p for p in (f"{stem}.py", f"{stem}/__init__.py") if p in self.files), None)

    def module(self, dotted: str) -> Module | None:
        """A module of ChimeraX, or None if this version has none of this name."""
        if dotted not in self._modules:
            path = self.path(dotted) if dotted.count(".") else None
            self._modules[dotted] = self._read(dotted, path) if path else None
        return self._modules[dotted]

    def _read(self, dotted: str, path: str) -> Module:
        module = Module(dotted)
        package = dotted if path.endswith("__init__.py") else dotted.rpartition(".")[0]
        for node in _top_level(ast.parse(self.text(path)).body):
            if isinstance(node, ast.ClassDef | Function):
                module.names[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name):
                            module.names[name.id] = node
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    module.imported[alias.asname or alias.name.split(".")[0]] = (alias.name, "")
            elif isinstance(node, ast.ImportFrom):
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*(up if node.level else []), *filter(None, [node.module])])
                for alias in node.names:
                    if alias.name == "*":
                        module.stars.append(base)
                    else:
                        module.imported[alias.asname or alias.name] = (base, alias.name)
        return module

    def find(self, dotted: str, name: str) -> Found | None:
        """What a name in a module is; None if the module, or the name in it, does not exist."""
        module = self.module(dotted)
        if module is None:
            return None
        if name in module.names:
            return Found(module, module.names[name])
        if name in module.imported:
            base, there = module.imported[name]
            if not base.startswith("chimerax.") or not there:
                return UNKNOWN
            if self.module(base) is None:
                return UNKNOWN  # compiled
            if self.module(f"{base}.{there}") is not None:
                return UNKNOWN
            return self.find(base, there)
        for base in module.stars:
            if not base.startswith("chimerax.") or self.module(base) is None:
                return UNKNOWN
            found = self.find(base, name)
            if found is not None:
                return found
        if self.module(f"{dotted}.{name}") is not None or "__getattr__" in module.names:
            return UNKNOWN
        return None

    def members(self, found: Found) -> dict[str, ast.AST] | None:
        """Attributes and methods of a class and its bases; None if some cannot be known."""
        module, node = found.module, found.node
        if module is None or not isinstance(node, ast.ClassDef):
            return None
        members: dict[str, ast.AST] = {}
        for base in reversed(node.bases):
            if ast.unparse(base) in ("object", "Protocol", "abc.ABC", "ABC", "Enum", "IntEnum"):
                continue
            inherited: dict[str, ast.AST] | None = None
            if isinstance(base, ast.Name):
                there = self.find(module.dotted, base.id)
                inherited = self.members(there) if there else None
            if inherited is None:
                return None
            members.update(inherited)
        for child in ast.walk(node):
            if isinstance(child, Function) and child in node.body:
                members[child.name] = child
            elif (
                isinstance(child, ast.Attribute)
                and isinstance(child.ctx, ast.Store)
                and ast.unparse(child.value) == "self"
            ):
                members.setdefault(child.attr, child)
        for child in node.body:
            if isinstance(child, ast.Assign | ast.AnnAssign):
                for target in child.targets if isinstance(child, ast.Assign) else [child.target]:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name):
                            members[name.id] = child
        return None if "__getattr__" in members else members

    @cached_property
    def vocabulary(self) -> set[str]:
        """Every name that is defined, as a function or by assignment, in the packages of
        ChimeraX that src/ imports.
        """
        paths = [f"src/bundles/{name}/src" for name in sorted(packages_used())]
        pattern = r"(def +\w+|class +\w+|\.\w+ *=[^=]|^ *\w+( *: *\w+)? *=[^=]|'\w+'|\"\w+\")"
        done = self._git("grep", "-hoE", pattern, self.ref, "--", *(f"{p}/*.py" for p in paths))
        return set(re.findall(r"\w+", done))

    def shipped(self) -> dict[str, str]:
        """Versions of Python, of packages and of its own bundles that it ships."""
        found = {}
        config = self.text("mk/config.make")
        found["python"] = re.findall(r"^PYTHON_VERSION *= *(\S+)", config, re.M)[0]
        try:
            pins = self.text("prereqs/pips/app_requirements.txt")
        except subprocess.CalledProcessError:
            pins = self.text("pyproject.toml")
        dependencies = ElementTree.parse(ROOT / "bundle_info.xml").getroot().iter("Dependency")
        for name in sorted(str(d.get("name")) for d in dependencies):
            if name == "ChimeraX-Core":
                text = self.text("src/bundles/core/Makefile")
                found[name] = re.findall(r"^BUNDLE_VERSION *= *(\S+)", text, re.M)[0]
            elif name.startswith("ChimeraX-"):
                found[name] = self._bundle_version(name)
            elif pin := re.search(rf"^[\s\"']*{name}==([\w.]+)", pins, re.M):
                found[name] = pin[1]
        return found

    def _bundle_version(self, name: str) -> str:
        """Of one of ChimeraX's own bundles, by its bundle_info.xml or pyproject.toml."""
        pattern = f'(<BundleInfo|^) *name *= *"{name}"'
        files = ("src/bundles/*/bundle_info.xml*", "src/bundles/*/pyproject.toml")
        listed = self._git("grep", "-lE", pattern, self.ref, "--", *files).splitlines()
        path = listed[0].partition(":")[2]
        text = self.text(path)
        found = re.search(r'(<BundleInfo[^>]*?|^)\bversion *= *"([\w.]+)"', text, re.M)
        if not found:
            package = self.text(path.rpartition("/")[0] + "/src/__init__.py")
            found = re.search(r'^(__version__) *= *"([\w.]+)"', package, re.M)
        return found[2] if found else ""


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module, also those in ``if`` and ``try``."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, ast.If | ast.Try | ast.With):
                yield from _top_level(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _top_level(handler.body)


# ---- what src/ uses


@dataclass(frozen=True)
class Use:
    """One use of a name.

    Attributes
    ----------
    kind : import, attribute, override or word
    owner : the module or class
    name : in it
    call : how it is called, or None
    derived : whether the object is of a class of src/, which has attributes of its own
    bound : whether it is of an object, and not of the class by name: ``Model.delete(self)``
    """

    where: str
    kind: str
    owner: str
    name: str
    call: ast.Call | None = field(default=None, compare=False)
    node: ast.AST | None = field(default=None, compare=False)
    derived: bool = False
    bound: bool = True


def sources() -> dict[str, ast.Module]:
    """The files of src/ outside core, which imports no ChimeraX."""
    paths = [p for p in sorted(SRC.rglob("*.py")) if SRC / "core" not in p.parents]
    return {str(p.relative_to(ROOT)): ast.parse(p.read_text(encoding="utf-8")) for p in paths}


def packages_used() -> set[str]:
    """Packages of ChimeraX that src/ imports from."""
    owners = (u.owner for u in uses() if u.kind == "import")
    return {owner.split(".")[1] for owner in owners}


def imports_of(tree: ast.AST) -> Iterator[tuple[ast.ImportFrom, str, str, str]]:
    """Node, module, name there and name here of each import from ChimeraX."""
    for node in ast.walk(tree):
        module = str(node.module) if isinstance(node, ast.ImportFrom) and not node.level else ""
        if module.startswith("chimerax.") and not module.startswith("chimerax.siren"):
            for alias in node.names:
                yield node, module, alias.name, alias.asname or alias.name


class _Uses(ast.NodeVisitor):
    """Collects the uses in one file."""

    def __init__(self, path: str, tree: ast.AST, own: dict[str, str]):
        self.path, self.found = path, []  # type: str, list[Use]
        self.names = {here: f"{module}.{name}" for _, module, name, here in imports_of(tree)}
        self.own, self.scopes = own, [{}]  # type: dict[str, str], list[dict[str, str]]
        self.classes: list[str] = []
        plain = (n for n in ast.walk(tree) if isinstance(n, ast.Import))
        self.modules = {a.asname or a.name for n in plain for a in n.names}
        for node, module, name, _ in imports_of(tree):
            self._add(node, "import", module, name)
        self.visit(tree)

    def _add(
        self, node: Any, kind: str, owner: str, name: str, call: Any = None, bound: bool = True
    ) -> None:
        where, derived = f"{self.path}:{node.lineno}", owner.endswith(DERIVED)
        owner = owner.removesuffix(DERIVED)
        self.found.append(Use(where, kind, owner, name, call, node, derived, bound))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        base = self.own.get(node.name, "")
        self.classes.append(base)
        if base:
            for child in node.body:
                if isinstance(child, Function):
                    self._add(child, "override", base, child.name)
        self.generic_visit(node)
        self.classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        scope = dict(self.scopes[-1])
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            scope[argument.arg] = self._annotated(argument.annotation)
            if argument.arg == "session":
                scope["session"] = SESSION
            elif argument.arg == "self" and self.classes:
                scope["self"] = self.classes[-1] and self.classes[-1] + DERIVED
        self.scopes.append(scope)
        self.generic_visit(node)
        self.scopes.pop()

    def _annotated(self, annotation: ast.expr | None) -> str:
        text = ast.unparse(annotation).strip("'\"") if annotation else ""
        text = text.removesuffix(" | None")
        own = self.own.get(text)
        return self.names.get(text) or (own + DERIVED if own else "")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.scopes[-1][node.target.id] = self._annotated(node.annotation)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in self.names:
            module, _, name = self.names[node.func.id].rpartition(".")
            self._add(node, "import", module, name, node)
        elif isinstance(node.func, ast.Attribute):
            self._attribute(node.func, node)
            self.visit(node.func.value)
            for child in (*node.args, *node.keywords):
                self.visit(child)
            return
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._attribute(node, None)
        self.generic_visit(node)

    def _attribute(self, node: ast.Attribute, call: ast.Call | None) -> None:
        owner = self.type_of(node.value)
        if owner and isinstance(node.ctx, ast.Load):
            by_class = isinstance(node.value, ast.Name) and self.names.get(node.value.id) == owner
            self._add(node, "attribute", owner, node.attr, call, bound=not by_class)
        elif not owner and ast.unparse(node.value) not in self.modules:
            self._add(node, "word", "", node.attr)

    def type_of(self, node: ast.expr) -> str:
        """The class of ChimeraX that an expression has; "" if that is not known."""
        if isinstance(node, ast.Name):
            known = self.scopes[-1].get(node.id)
            return self.names.get(node.id, "") if known is None else known
        if isinstance(node, ast.Attribute):
            if node.attr in ("session", "_session"):
                return SESSION
            return TYPES.get((self.type_of(node.value).removesuffix(DERIVED), node.attr), "")
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "super" and self.classes:
            return self.classes[-1]
        return ""


def uses() -> list[Use]:
    """Every use of a name of ChimeraX in src/."""
    if not _all_uses:
        trees = sources()
        own: dict[str, str] = {}  # classes of src/ derived from ChimeraX's, with that one
        for _ in range(3):  # classes derived from derived ones
            for tree in trees.values():
                names = {here: f"{module}.{name}" for _, module, name, here in imports_of(tree)}
                for node in ast.walk(tree):
                    if isinstance(node, ast.ClassDef):
                        for base in map(ast.unparse, node.bases):
                            if base in names or base in own:
                                own[node.name] = names.get(base) or own[base]
        for path, tree in trees.items():
            _all_uses.extend(_Uses(path, tree, own).found)
        defined = {n.name for t in trees.values() for n in ast.walk(t) if isinstance(n, Function)}
        _own_names.update(defined)
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    _own_names.add(node.attr)
    return _all_uses


_all_uses: list[Use] = []
_own_names: set[str] = set()


# ---- the two compared


def problems(version: Version, oldest: Version) -> list[str]:
    """What src/ uses and this version lacks, a line each."""
    lines = []
    for use in uses():
        why = _problem(use, version, oldest)
        if why:
            lines.append(f"{use.where}: {why}")
    return sorted(set(lines))


def _problem(use: Use, version: Version, oldest: Version) -> str:
    if use.kind == "word":
        gone = use.name in oldest.vocabulary and use.name not in version.vocabulary
        gone = gone and use.name not in _own_names
        return f".{use.name} is no longer defined anywhere in the packages used" if gone else ""
    if use.kind == "import":
        found = version.find(use.owner, use.name)
        if found is None:
            return f"{use.owner} has no {use.name}"
        node = found.node
        if use.call is None or node is None:
            return ""
        if isinstance(node, ast.ClassDef):
            members = version.members(found)
            node = members.get("__init__") if members else None
            return _call_problem(use, node, bound=True)
        return _call_problem(use, node, bound=False)
    module, _, name = use.owner.rpartition(".")
    found = version.find(module, name)
    if found is None:
        return f"{module} has no {name}"
    members = version.members(found)
    if members is None:
        return ""
    if use.kind == "override":
        return _override_problem(use, members, oldest)
    if use.name in members:
        node = members[use.name]
        kinds = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
        bound = "classmethod" in kinds or (use.bound and "staticmethod" not in kinds)
        return _call_problem(use, node, bound=bound)
    if use.owner == SESSION and use.name in STARTED:
        return ""
    if (use.derived and use.name in _own_names) or use.name.startswith("__"):
        return ""
    return f"{use.owner} has no {use.name}"


def _call_problem(use: Use, node: ast.AST | None, bound: bool) -> str:
    """Why a call does not fit a function; "" if it does, or cannot be told."""
    call = use.call
    if call is None or not isinstance(node, Function):
        return ""
    if any("property" in ast.unparse(d) or "setter" in ast.unparse(d) for d in node.decorator_list):
        return ""
    a = node.args
    positional = [x.arg for x in (*a.posonlyargs, *a.args)][int(bound) :]
    named = {*positional, *(x.arg for x in a.kwonlyargs)}
    what = f"{use.owner}.{use.name}"
    starred = any(isinstance(x, ast.Starred) for x in call.args)
    if not starred and not a.vararg and len(call.args) > len(positional):
        return f"{what} takes {len(positional)} arguments, not {len(call.args)}"
    given = {k.arg for k in call.keywords}
    if not a.kwarg:
        for keyword in sorted(filter(None, given)):
            if keyword not in named:
                return f"{what} has no argument {keyword}"
    needed = positional[: len(positional) - len(a.defaults)][len(call.args) :]
    missing = [n for n in needed if n not in given]
    if missing and not starred and None not in given:
        return f"{what} also needs {', '.join(missing)}"
    return ""


def _override_problem(use: Use, members: dict[str, ast.AST], oldest: Version) -> str:
    """Why a method no longer stands in for the one of ChimeraX that it replaces."""
    module, _, name = use.owner.rpartition(".")
    there = oldest.find(module, name)
    before = oldest.members(there) if there else None
    if before is None or use.name not in before or use.name == "__init__":
        return ""
    now, ours = members.get(use.name), use.node
    if now is None:
        return f"{use.owner} no longer has {use.name}, which is overridden here"
    if not isinstance(now, Function) or not isinstance(ours, Function) or ours.args.kwarg:
        return ""
    theirs, own = _arguments(now), _arguments(ours)
    if len(theirs) > len(own) and not ours.args.vararg:
        return f"{use.owner}.{use.name} is called with ({', '.join(theirs)}) now"
    return ""


def _arguments(function: Function) -> list[str]:
    """Names of the arguments that a caller gives."""
    a = function.args
    named = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return [n for n in named if n not in ("self", "cls")]


def dependency_problems(shipped: dict[str, str]) -> list[str]:
    """Dependencies of the bundle that what this version ships does not meet."""
    from packaging.requirements import Requirement

    lines = []
    for element in ElementTree.parse(ROOT / "bundle_info.xml").getroot().iter("Dependency"):
        needed = Requirement(f"{element.get('name')} {element.get('version')}")
        there = shipped.get(needed.name)
        if there and not needed.specifier.contains(there, prereleases=True):
            lines.append(f"bundle_info.xml: {needed} is not met by {there}, so that it would move")
    return lines


def refs(repository: Path) -> list[str]:
    """Tags from the oldest version on, and the branches of development."""
    listed = subprocess.run(
        ["git", "-C", str(repository), "for-each-ref", "--format=%(refname:short)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    tags = {
        tuple(map(int, t[1:].split("."))): t for t in listed if re.fullmatch(r"v\d+(\.\d+)+", t)
    }
    branches = ["develop", "python3.14"]
    found = [b for b in listed if b.removeprefix("origin/") in branches]
    return [tags[key] for key in sorted(tags) if key >= OLDEST] + sorted(found)


def main() -> int:
    """Print what each version lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("repository", type=Path, help="clone of RBVI/ChimeraX")
    parser.add_argument("refs", nargs="*", help="tags or branches; default: all from 1.7 on")
    parser.add_argument("--write", action="store_true", help=f"write {SHIPPED.relative_to(ROOT)}")
    options = parser.parse_args()
    chosen = options.refs or refs(options.repository)
    oldest = Version(options.repository, chosen[0])
    bad, shipped = 0, {}
    counts = {k: sum(u.kind == k for u in uses()) for k in ("import", "attribute", "override")}
    print("Names used: " + ", ".join(f"{n} by {k}" for k, n in counts.items()))
    for ref in chosen:
        version = Version(options.repository, ref)
        shipped[ref] = version.shipped()
        lines = problems(version, oldest) + dependency_problems(shipped[ref])
        bad += len(lines)
        versions = ", ".join(f"{k} {v}" for k, v in shipped[ref].items() if "ChimeraX-M" not in k)
        print(f"{ref} ({versions}): {len(lines) or 'no'} problem{'s' * (len(lines) != 1)}")
        print("".join(f"  {line}\n" for line in lines), end="")
    if options.write:
        SHIPPED.write_text(json.dumps(shipped, indent=1) + "\n", encoding="utf-8")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
