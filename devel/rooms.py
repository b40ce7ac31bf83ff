"""The rooms of src/: which may import which, what they do import, and a drawing of it.

    python3 devel/rooms.py        (or: make rooms)

writes docs/rooms.svg from the code; it needs nothing but Python. tests/test_architecture.py checks
the code against ROOMS, and the drawing against the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from html import escape
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
DRAWING = ROOT / "docs/rooms.svg"
INSTALLED = "chimerax.siren"

#: Each room, by its place under src/, and the rooms or modules it may import; ``core`` there means
#: all rooms of core.
ROOMS: dict[str, tuple[str, ...]] = {
    # plain Python: neither ChimeraX nor Qt
    "core.common": (),
    "core.maps": ("core.common",),
    "core.compute": ("core.common", "core.maps"),
    "core.blocks": ("core.common", "core.maps", "core.compute"),
    "core.thresholds": ("core.common", "core.maps", "core.blocks"),
    "core.analysis": ("core.common", "core.maps", "core.blocks"),
    "core.particles": ("core.common", "core.analysis"),
    "core.simulation": ("core.common", "core.maps"),
    "core.runs": (
        "core.common",
        "core.maps",
        "core.compute",
        "core.blocks",
        "core.thresholds",
        "core.analysis",
        "core.simulation",
    ),
    "core.figures": ("core.common", "core.maps", "core.blocks", "core.analysis", "core.runs"),
    "core.report": (
        "core.common",
        "core.maps",
        "core.blocks",
        "core.thresholds",
        "core.analysis",
        "core.runs",
        "core.figures",
    ),
    "core": ("core",),  # its __init__.py alone, the names for a notebook
    # in ChimeraX
    "session": ("core",),
    "commands": ("session", "core"),
    "panel": ("commands.arguments", "session", "core"),
    "cmd": ("commands", "session"),
    "tool": ("panel", "session", "core"),
    "__init__": ("cmd", "tool", "session"),
}

# ---- what the code imports


@dataclass(frozen=True)
class Import:
    """One imported name, or one used by the name of an imported module.

    Attributes
    ----------
    module : that imports, dotted, from the root of the package: ``core.maps.grid``
    file, line : where
    target : the module that is imported: dotted from the same root, or whole where it is not ours
    name : what is taken from it; None for the module itself
    ours : whether the target is in the package (and may be missing there)
    relative : written with dots
    typing : seen by the type checker only
    """

    module: str
    file: Path
    line: int
    target: str
    name: str | None
    ours: bool
    relative: bool
    typing: bool

    def __str__(self) -> str:
        what = ".".join(part for part in (self.target, self.name) if part)
        return f"{self.file}:{self.line}: imports {what or 'the package itself'}"


def modules_of(source: Path) -> dict[str, Path]:
    """The modules of a package by their dotted names from its root, which itself is ``""``."""
    found = {}
    for file in sorted(source.rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def room_of(module: str) -> str:
    """The room of a module: the first part of its name, in core the first two."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "core" else 1]) or "__init__"


def read_imports(source: Path, absolute: str = INSTALLED) -> list[Import]:
    """Everything that the modules of a package import: at the top, in functions, and for types.

    Parameters
    ----------
    source : folder of the package
    absolute : its name when installed; imports by that name are found too
    """
    modules = modules_of(source)
    return [
        found
        for module, file in modules.items()
        for found in _imports_of(module, file, source.parent, modules, absolute)
    ]


def read_uses(folder: Path, source: Path, absolute: str = INSTALLED) -> list[Import]:
    """What the scripts in another folder import from the installed package."""
    modules = modules_of(source)
    return [
        found
        for file in sorted(folder.rglob("*.py"))
        for found in _imports_of("", file, folder.parent, modules, absolute)
        if found.ours and not found.relative
    ]


def _imports_of(
    module: str, file: Path, base_folder: Path, modules: dict[str, Path], absolute: str
) -> Iterator[Import]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    shown = file.relative_to(base_folder)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called: dict[str, Import] = {}
    for node, typing in _statements(tree, False):
        for level, base, name in _imported(node):
            found = _resolved(package, level, base, name, modules, absolute)
            one = Import(module, shown, node.lineno, *found, level > 0, typing)
            yield one
            if one.ours and one.name is None and isinstance(node, ast.ImportFrom):
                called[next(a.asname or a.name for a in node.names if a.name == name)] = one
    # what is taken from an imported module: constants.TILE_VOXELS
    for node in ast.walk(tree):  # a local name of the same spelling is no module
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            called.pop(node.id, None)
        if isinstance(node, ast.arg):
            called.pop(node.arg, None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            one = called.get(node.value.id)
            if one and not node.attr.startswith("__"):
                yield replace(one, line=node.lineno, name=node.attr)


def _resolved(
    package: str, level: int, base: str, name: str | None, modules: Iterable[str], absolute: str
) -> tuple[str, str | None, bool]:
    """Target, name and whether it is ours, as in :class:`Import`."""
    if level:
        above = package.split(".") if package else []
        if level - 1 > len(above):
            return "." * level + base, name, True  # above the root: nothing is there
        base = ".".join([*above[: len(above) - level + 1], base]).strip(".")
    elif f"{base}.".startswith(f"{absolute}."):
        base = base[len(absolute) + 1 :]
    else:
        return base, name, False
    inner = f"{base}.{name}".strip(".")
    return (inner, None, True) if name and inner in modules else (base, name, True)


def _statements(tree: ast.AST, typing: bool) -> Iterator[tuple[ast.stmt | ast.Call, bool]]:
    """Imports, and calls that may be imports, with whether they are under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            yield node, typing
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from _statements(ast.Module([child], []), True)
            for child in node.orelse:
                yield from _statements(ast.Module([child], []), typing)
        else:
            yield from _statements(node, typing)


def _imported(node: ast.stmt | ast.Call) -> Iterator[tuple[int, str, str | None]]:
    """Level (0: absolute), module and name of each thing that a statement imports."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield 0, alias.name, None
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield node.level, node.module or "", alias.name
    elif (
        isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and node.args
    ):
        # import_module(f".commands.{name}", __package__): of a computed name, the folder is known
        text = node.args[0]
        parts = text.values if isinstance(text, ast.JoinedStr) else [text]
        if isinstance(parts[0], ast.Constant) and isinstance(parts[0].value, str):
            path = parts[0].value.rstrip(".") if len(parts) > 1 else parts[0].value
            name = path.lstrip(".")
            level = len(parts[0].value) - len(parts[0].value.lstrip("."))
            yield level, name, None


def room_imports(imports: Iterable[Import]) -> dict[str, set[str]]:
    """Each room with the other rooms it imports."""
    found: dict[str, set[str]] = {}
    for one in imports:
        room, other = room_of(one.module), room_of(one.target)
        others = found.setdefault(room, set())
        if one.ours and other != room:
            others.add(other)
    return found


# ---- the drawing

WIDTH, MARGIN, PAD, GAP = 900, 16, 12, 28  # pixels; GAP: between layers, for the arrows
LINE, TITLE_LINE = 16, 21
LETTER = 6.5  # mean pixels per letter of the small text, on the safe side: fonts differ
LANE = 36  # width left for an arrow that passes a layer

STYLE = """
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.ground { fill: #ffffff; } .core { fill: #eef4fa; stroke: #9db8d2; }
.room { fill: #ffffff; stroke: #5b7083; } .title { fill: #14202b; font-size: 15px; }
.name { font-weight: 600; } .why { fill: #3c4c5a; font-size: 13px; }
.small { fill: #3c4c5a; font-size: 12px; } .imports { fill: #2a648f; font-size: 12px; }
.arrow { fill: none; stroke: #2f6f9f; } .head { fill: #2f6f9f; }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; } .core { fill: #121c27; stroke: #34506b; }
.room { fill: #18222d; stroke: #7d93a8; } .title { fill: #f0f5fa; }
.why, .small { fill: #b9c7d4; } .imports { fill: #86c1ee; }
.arrow { stroke: #6db3e8; } .head { fill: #6db3e8; }
}
"""


@dataclass
class Box:
    """A room in the drawing, or, without text, a lane in which an arrow passes a layer.

    Attributes
    ----------
    lines : class and text of each line
    x, y, width, height : pixels
    """

    lines: list[tuple[str, str]]
    x: float = 0
    y: float = 0
    width: float = LANE
    height: float = 0


def drawing(source: Path = SOURCE) -> str:
    """The SVG: rooms in layers, each above everything it imports.

    Imports that also follow from others get no arrow; the text of each room lists all.
    """
    rooms = room_imports(read_imports(source))
    for others in list(rooms.values()):
        for other in others:
            rooms.setdefault(other, set())
    inner = {
        room: {o for o in others if o.startswith("core.")}
        for room, others in rooms.items()
        if room.startswith("core.")
    }
    outer = {
        room: {o.split(".")[0] for o in others}
        for room, others in rooms.items()
        if not room.startswith("core")
    }
    outer["core"] = set()
    shapes: list[str] = []
    arrows: list[str] = []
    y = float(MARGIN)
    boxes = _placed(outer, source, MARGIN, y, WIDTH - 2 * MARGIN, arrows)
    core = boxes["core"]
    y = core.y + PAD + TITLE_LINE + PAD
    rest = _placed(inner, source, MARGIN + PAD, y, WIDTH - 2 * MARGIN - 2 * PAD, arrows)
    core.height = max(b.y + b.height for b in rest.values()) + PAD - core.y
    shapes += _drawn(core, "core")
    for name, box in [*boxes.items(), *rest.items()]:
        if name != "core":
            shapes += _drawn(box, "room")
    y = core.y + core.height + MARGIN + 8
    notes = (
        "Arrows point to what a room imports. An import that also follows from others has no "
        "arrow; the last line in each box lists all.",
        "Drawn from the code by make rooms.",
    )
    for note in notes:
        shapes.append(f'<text class="small" x="{MARGIN}" y="{y:g}">{escape(note)}</text>')
        y += LINE
    height = round(y + 4)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>The rooms of src/ and what they import</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
            'markerHeight="8" orient="auto"><path class="head" d="M0 0 L10 5 L0 10 z"/></marker>'
            "</defs>",
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
            *shapes,
            *arrows,
            "</svg>\n",
        ]
    )


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without the arrows that also follow from others.

    Raises
    ------
    graphlib.CycleError
        If there is a circle.
    """
    below = _below(graph)
    return {
        room: {o for o in others if not any(o in below[p] for p in others)}
        for room, others in graph.items()
    }


def _below(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Everything that each room reaches."""
    below: dict[str, set[str]] = {}
    for room in TopologicalSorter(graph).static_order():
        below[room] = set(graph[room]).union(*(below[o] for o in graph[room]))
    return below


def _layers(graph: dict[str, set[str]]) -> list[list[str]]:
    """The rooms by their longest chain of imports, longest first."""
    depth: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        depth[room] = 1 + max((depth[o] for o in graph[room]), default=-1)
    layers: list[list[str]] = [[] for _ in range(1 + max(depth.values()))]
    for room in sorted(depth):
        layers[-1 - depth[room]].append(room)
    return layers


def _placed(
    graph: dict[str, set[str]],
    source: Path,
    left: float,
    top: float,
    width: float,
    arrows: list[str],
) -> dict[str, Box]:
    """Boxes of the rooms by name, layer under layer; adds their arrows."""
    layers, edges = _layers(graph), reduced(graph)
    texts = {room: _text(room, source, graph[room]) for room in graph}
    lanes: dict[tuple[str, str], list[str]] = {}
    level = {room: k for k, layer in enumerate(layers) for room in layer}
    for room in sorted(edges):
        for other in sorted(edges[room]):
            passed = range(level[room] + 1, level[other])
            lanes[room, other] = [f"{room}>{other}>{k}" for k in passed]
            for k, lane in zip(passed, lanes[room, other], strict=True):
                layers[k].append(lane)
    ways = [(room, *lane, other) for (room, other), lane in lanes.items()]
    steps = [pair for way in ways for pair in pairwise(way)]
    boxes: dict[str, Box] = {}
    for layer in layers:
        # in the order of what imports them
        centers = {
            name: [boxes[a].x + boxes[a].width / 2 for a, b in steps if b == name] for name in layer
        }
        layer.sort(key=lambda n: (sum(centers[n]) / max(1, len(centers[n])), n))
        here = {name: Box([]) for name in layer}
        named = [name for name in layer if name in texts]
        free = width - PAD * (len(layer) - 1) - LANE * (len(layer) - len(named))
        weight = {name: 60 + sum(map(len, texts[name])) for name in named}
        x = left
        for name in layer:
            box = here[name]
            if name in texts:
                box.width = round(free * weight[name] / sum(weight.values()))
                box.lines = _wrapped(texts[name], box.width)
            box.x, box.y = x, top
            x += box.width + PAD
        height = max(_height(box) for box in here.values())
        for box in here.values():
            box.height = height
        top += height + GAP
        boxes.update(here)
    arrows += _arrows(ways, boxes)
    return {name: box for name, box in boxes.items() if name in texts}


def _text(room: str, source: Path, others: set[str]) -> tuple[str, str, str, str]:
    """Name, purpose, modules and imports of a room."""
    if room == "core":
        return "core/", "plain Python: no ChimeraX, no Qt, no printing", "", ""
    folder = source.joinpath(*room.split("."))
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    why = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    why = " ".join(why.split()).split(". ")[0].split(": ")[0].rstrip(".").replace("`", "")
    modules = [n for n in modules_of(folder) if n] if folder.is_dir() else []
    parents = {m.rpartition(".")[0] for m in modules}
    words = []
    for module in (m for m in modules if "." not in m):
        inside = [m.rpartition(".")[2] for m in modules if m.startswith(f"{module}.")]
        words.append(f"{module}/ ({', '.join(inside)})" if module in parents else module)
    name = room.rpartition(".")[2]
    known = [*ROOMS, *sorted(others - ROOMS.keys())]
    imports = ", ".join(o.rpartition(".")[2] for o in known if o in others)
    return (
        f"{name}/" if folder.is_dir() else f"{name}.py",
        why,
        ", ".join(words),
        f"imports {imports or 'no other room'}",
    )


def _wrapped(texts: tuple[str, str, str, str], width: float) -> list[tuple[str, str]]:
    name, why, modules, imports = texts
    fits = int((width - 2 * PAD) / LETTER)
    lines = [("title", name)]
    if len(name) * 1.35 + len(why) * 1.1 + 2 < fits:
        lines = [("title", f"{name}\n{why}")]
    else:
        lines += [("why", line) for line in _lines(why, int(fits / 1.08))]
    return [
        *lines,
        *(("small", line) for line in _lines(modules, fits)),
        *(("imports", line) for line in _lines(imports, fits)),
    ]


def _lines(text: str, letters: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _height(box: Box) -> float:
    return 2 * PAD - 6 + sum(TITLE_LINE if kind == "title" else LINE for kind, _ in box.lines)


def _drawn(box: Box, kind: str) -> list[str]:
    shapes = [
        f'<rect class="{kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="6"/>'
    ]
    y = box.y + PAD - 6
    for style, text in box.lines:
        y += TITLE_LINE if style == "title" else LINE
        name, _, why = text.partition("\n")
        words = escape(name)
        if style == "title":
            words = f'<tspan class="name">{words}</tspan>' + (
                f'<tspan class="why" dx="8">{escape(why)}</tspan>' if why else ""
            )
        shapes.append(f'<text class="{style}" x="{box.x + PAD:g}" y="{y:g}">{words}</text>')
    return shapes


def _arrows(ways: list[tuple[str, ...]], boxes: dict[str, Box]) -> list[str]:
    """Arrows from the lower edge of a box, down the lanes, to the upper edge of another; straight
    if one is above the other.
    """
    drawn = []
    for way in ways:
        path = ""
        for upper, lower in ((boxes[a], boxes[b]) for a, b in pairwise(way)):
            left, right = max(upper.x, lower.x), min(upper.x + upper.width, lower.x + lower.width)
            start = end = (left + right) / 2
            if left > right:  # beside each other: from corner to corner
                near = (upper.x + upper.width - 2 * PAD, lower.x + 2 * PAD)
                start, end = near if upper.x < lower.x else (upper.x + 2 * PAD, right - 2 * PAD)
            y, half = upper.y + upper.height, (lower.y - upper.y - upper.height) / 2
            path += f" L{start:g} {y:g}" if path else f"M{start:g} {y:g}"
            path += f" C{start:g} {y + half:g} {end:g} {y + half:g} {end:g} {lower.y:g}"
        drawn.append(f'<path class="arrow" marker-end="url(#head)" stroke-width="1.6" d="{path}"/>')
    return drawn


if __name__ == "__main__":
    DRAWING.write_text(drawing(), encoding="utf-8", newline="\n")
    print(f"Written: {DRAWING.relative_to(ROOT)}")
