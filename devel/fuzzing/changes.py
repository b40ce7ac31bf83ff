"""Odd values, and files of JSON, csv or bytes with some put in."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3,
    2**31,
    2**63,
    10**400,
    1.5,
    -0.0,
    1e308,
    1e-320,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "x",
    "1",
    "1_0",
    "\u0661",
    "\0",
    "\udcff",
    "a\nb",
    "x" * 20_000,
    "/dev/zero",
    "../../x",
    [],
    [[]],
    [0],
    [1, 2, 3],
    [[1, 2, 3]],
    [[1, 2, 3]] * 3000,
    [True, 2, 3],
    [0.5, 1, 2],
    ["a", 1, 2],
    list(range(5000)),
    {},
    {"": 0},
    {"1": {"1": {}}},
    {"shape_zyx": [65535] * 3, "voxel_size_xyz": [1, 1, 1], "origin_xyz": [0, 0, 0]},
    {str(n): [[0, 0, 0]] for n in range(3000)},
]
KEYS = [
    "",
    "1",
    "01",
    "-1",
    "1.0",
    " 1",
    "9" * 30,
    "\u0661",
    "x",
    "../x",
    "\0",
    "grid",
    "__class__",
]
odd = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=8,
    ),
)


def places(content: Any, way: tuple[Any, ...] = (), depth: int = 0) -> list[tuple[Any, ...]]:
    """The ways to some of the values in a JSON object: all keys, the first entries of lists."""
    found = [way] if way else []
    if depth < 5 and isinstance(content, dict):
        for key in list(content)[:30]:
            found += places(content[key], (*way, key), depth + 1)
    elif depth < 5 and isinstance(content, list):
        for at in range(min(2, len(content))):
            found += places(content[at], (*way, at), depth + 1)
    return found


CHANGES = ["value", "value", "value", "gone", "key", "deep", "twice"]


def changed_json(data: DataObject, text: str) -> bytes:
    """A JSON file with a few values, keys or bytes changed."""
    content = json.loads(text)
    for _ in range(data.draw(st.integers(1, 3))):
        ways = places(content)
        if not ways:
            break
        *way, last = data.draw(st.sampled_from(ways))
        place = content
        for step in way:
            place = place[step]
        what = data.draw(
            st.sampled_from(["value", "value", "value", "gone", "key", "deep", "twice"])
        )
        if what == "gone":
            del place[last]
        elif what == "key" and isinstance(place, dict):
            place[data.draw(st.sampled_from(KEYS))] = place.pop(last)
        elif what == "twice" and isinstance(place[last], list):
            place[last] = place[last] * 2
        elif what == "deep":
            place[last] = "@DEEP@"
        else:
            place[last] = deepcopy(data.draw(odd))
    result = json.dumps(content)
    depth = data.draw(st.sampled_from([30, 900, 5000, 200_000]))
    pair = data.draw(st.sampled_from([("[", "]"), ('{"a":', "}")]))
    deep = pair[0] * depth + ("0" if pair[0] != "[" else "") + pair[1] * depth
    return result.replace('"@DEEP@"', deep).encode("utf-8", "surrogatepass")


def changed_bytes(data: DataObject, content: bytes) -> bytes:
    """A file with bytes changed, cut, doubled or put in."""
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, min(len(content), 5000) - 1)))
        what = data.draw(st.sampled_from(["set", "cut", "drop", "insert", "double", "end"]))
        some = data.draw(st.binary(min_size=1, max_size=8))
        if what == "set":
            content = content[:at] + some + content[at + len(some) :]
        elif what == "cut":
            content = content[:at]
        elif what == "drop":
            content = content[:at] + content[at + 7 :]
        elif what == "insert":
            content = content[:at] + some * data.draw(st.sampled_from([1, 50])) + content[at:]
        elif what == "double":
            content = content + content
        else:
            content = content[: -len(some)] + some
    return content


CELLS = [
    "",
    " ",
    "nan",
    "inf",
    "-1",
    "1_000",
    "0,5",
    "1.234,5",
    "1,234",
    '"',
    "'",
    '"a""b"',
    "a\nb",
    "1e999",
    "9" * 500,
    "x" * 200_000,
    "\u0661",
    "\ufeff",
    "vol_1.mrc",
    "vol_1",
    "C:\\maps\\vol_1.mrc",
    "../vol_1.mrc",
    "=1+1",
    "\udcff",
    "-0",
    "1D3",
]
ENCODINGS = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"]


def changed_table(data: DataObject, text: str) -> bytes:
    """A csv with cells, columns, separators, line ends or its encoding changed."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(data.draw(st.integers(0, 3))):
        row = data.draw(st.integers(0, len(rows) - 1))
        what = data.draw(st.sampled_from(["cell", "cell", "cell", "row", "more", "less", "twice"]))
        if what == "cell" and rows[row]:
            column = data.draw(st.integers(0, len(rows[row]) - 1))
            rows[row][column] = data.draw(st.one_of(st.sampled_from(CELLS), st.text(max_size=6)))
        elif what == "row" and len(rows) > 1:
            del rows[row]
        elif what == "more":
            rows[row] = [*rows[row], data.draw(st.sampled_from(CELLS))]
        elif what == "less":
            rows[row] = rows[row][:-1]
        elif what == "twice":
            rows = [[*r, r[0] if r else ""] for r in rows]
    separator = data.draw(st.sampled_from([",", ",", ",", ";", "\t", "|", ", ", " "]))
    end = data.draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n", ""]))
    result = end.join(separator.join(r) for r in rows)
    encoding = data.draw(st.sampled_from(ENCODINGS))
    return result.encode(encoding, "surrogateescape" if encoding == "utf-8" else "replace")
