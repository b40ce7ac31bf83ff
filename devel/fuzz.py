"""Feed damaged and odd files to every reader, and look for anything but one sentence:

    .venv/bin/python devel/fuzz.py [--seed 0] [--inputs 20000] [READER ...]       (or: make fuzz)

Each input is a good file in which Hypothesis has changed something: a value of another type, size
or nesting, an odd key, a byte, the end. A reader gives a result, or a SirenError of one sentence.
It is wrong if it raises anything else, takes more than SECONDS, or more than MEMORY beyond what it
began with. Inputs are the same for the same seed. It ends with status 1, and the smallest input
found, if one is wrong.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.analysis.parameters import RelateParameters
from chimerax.siren.core.analysis.relate import relate
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.subsets import choose_volumes
from chimerax.siren.core.blocks.blockset import read_block_maps
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.errors import JunkMap, SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_grid, read_map, write_map
from chimerax.siren.core.particles.arrays import read_value
from chimerax.siren.core.particles.assignment import assign
from chimerax.siren.core.particles.cryosparc import read_cs
from chimerax.siren.core.particles.latent import volume_latent
from chimerax.siren.core.particles.pickles import pickled_indices, read_pickle
from chimerax.siren.core.particles.places import Files, find_files
from chimerax.siren.core.particles.star import read_star
from chimerax.siren.core.report.content import gather, history
from chimerax.siren.core.runs.comparison import read_side
from chimerax.siren.core.runs.moved import locate_volumes
from chimerax.siren.core.runs.preview import preview_ensemble
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import (
    inherited_parameters,
    open_run,
    read_blocks,
    run_sketch,
    run_states,
)
from chimerax.siren.core.simulation.example_folder import earlier_example
from chimerax.siren.core.thresholds.evaluate import evaluate
from chimerax.siren.core.thresholds.labels import (
    Label,
    match_labels,
    read_labels,
    set_labels,
    write_template,
)
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.resume import Unfinished, junk_result
from chimerax.siren.core.thresholds.tables import (
    Prediction,
    Predictions,
    read_flags,
    read_predictions,
    read_table,
    read_thresholds,
    table_levels,
    write_predictions,
)

SECONDS = 20.0  # for one input, on a busy computer
MEMORY = 1 << 30  # bytes beyond what the program takes with good files
VOLUMES = 12

# --- what takes the place of a value

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


# --- good files to begin with


@dataclass(frozen=True)
class Good:
    """A run, its volumes and tables, as files."""

    root: Path

    @property
    def run(self) -> Path:
        """The folder of the sketch."""
        return self.root / "siren" / "00_sketch"

    def text(self, name: str) -> str:
        """The content of a file as it was."""
        return _good_text(self.root / name)


@cache
def _good_text(path: Path) -> str:
    return path.read_text()


def make_good(root: Path) -> Good:
    """Write an ensemble with all that the readers read."""
    chance = np.random.default_rng(1)
    (root / "volumes").mkdir(parents=True)
    grid = Grid((8, 9, 10), (4.0, 4.0, 4.0), (1.0, 2.0, 3.0))
    names = [f"vol_{n}.mrc" for n in range(1, 121)]
    for name in names:
        array = chance.normal(0, 0.01, grid.shape).astype(np.float32)
        array[1:3, 2:7, 2:7] += 1
        for part in (slice(4, 6), slice(6, 8)):
            array[part, 2:8, 2:8] += chance.random() < 0.5
        write_map(root / "volumes" / name, array, grid, "two parts")
    ensemble = find_ensemble([root / "volumes"])
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=2)
    run = run_sketch(ensemble, np.full(120, 0.5), "level 0.5", parameters, root / "siren")
    assert len(run.blocks) == 2
    flags = [("odd",) if n == 3 else () for n in range(VOLUMES)]
    rows = [
        Prediction(name, n, Range(0.0, 2.0), 0.01 * n - 0.5, 0.1, flag)
        for n, (name, flag) in enumerate(zip(names[:VOLUMES], flags, strict=True))
    ]
    write_predictions(root / "predictions.csv", Predictions(tuple(rows)))
    set_labels(
        root / "labels.csv",
        [Label(str(n), name, 0.6, 0.5, 0.7) for n, name in enumerate(names[:VOLUMES])],
    )
    truth = {
        "origin": "simulated by ChimeraX-SIREn",
        "grid": Grid((8, 8, 8), (4.0, 4.0, 4.0)).as_json(),
        "volumes": [{"file": name, "level": 0.5} for name in names[:3]],
        "blocks": [{"name": "one", "present": [1, 0, 1], "voxels": [[1, 2, 3]]}],
    }
    (root / "truth.json").write_text(json.dumps(truth))
    return Good(root)


# --- readers

Reader = Callable[[Good, Path, DataObject], None]


def _in_run(
    name: str, change: Callable[[DataObject, str], bytes], *uses: Callable[[Path], object]
) -> Reader:
    """What reads a run, with one of its files changed."""

    def read(good: Good, folder: Path, data: DataObject) -> None:
        content = change(data, good.text(f"siren/00_sketch/{name}"))
        if data.draw(st.integers(0, 5)) == 0:
            content = changed_bytes(data, content)
        path = good.run / name
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            for use in uses:
                one_sentence(use, good.run)
        finally:
            path.write_bytes(before)

    return read


def _parameters(folder: Path) -> object:
    return ExpandParameters(**inherited_parameters(read_record(folder)))  # type: ignore[arg-type]


def _blocks_alone(folder: Path) -> object:
    return read_blocks(folder / "blocks.json")


def _truth(good: Good, folder: Path, data: DataObject) -> None:
    (folder / "truth.json").write_bytes(changed_json(data, good.text("truth.json")))
    one_sentence(earlier_example, folder)
    one_sentence(read_side, folder / "truth.json")


def _tables(name: str) -> Reader:
    """All that reads a table of predictions or labels."""

    def read(good: Good, folder: Path, data: DataObject) -> None:
        content = changed_table(data, good.text(name))
        if data.draw(st.integers(0, 5)) == 0:
            content = changed_bytes(data, content)
        path = folder / name
        path.write_bytes(content)
        ensemble = _ensemble(good.root)
        names = ensemble.all_names
        if name == "labels.csv":
            labels = one_sentence(read_labels, path)
            if labels is not None:
                assert all(np.isfinite(label.level) for label in labels)
                one_sentence(match_labels, labels, path, names)
            one_sentence(evaluate, path, good.root / "predictions.csv")
            one_sentence(write_template, path, list(names[:2]), names)
            one_sentence(set_labels, path, [Label("1", names[1], 0.5)])
            return
        one_sentence(evaluate, good.root / "labels.csv", path)
        levels = one_sentence(read_thresholds, path, ensemble)
        assert levels is None or np.isfinite(levels).all()
        one_sentence(read_table, path, names)
        one_sentence(read_flags, path, ensemble)
        for alone in (table_levels, read_predictions):
            one_sentence(alone, path)

    return read


@cache
def _ensemble(root: Path) -> Any:
    return find_ensemble([root / "volumes"], include=[f"vol_{n}" for n in range(1, VOLUMES + 1)])


NUMBERS = [0, 1, -1, 2, 5, 8, 9, 10, 255, 65535, 65536, 2**31 - 1, -(2**31), 1146047817]
REALS = [0.0, 1.0, -1.0, 90.0, 1e-40, 1e30, float("inf"), float("nan")]


def _map(good: Good, folder: Path, data: DataObject) -> None:
    content = bytearray((good.root / "volumes" / "vol_1.mrc").read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        at = 4 * data.draw(st.integers(0, 56))
        number = data.draw(st.sampled_from(NUMBERS + REALS))
        letter = "i" if isinstance(number, int) else "f"
        struct.pack_into(data.draw(st.sampled_from("<>")) + letter, content, at, number)
    result = bytes(content)
    if data.draw(st.integers(0, 2)) == 0:
        result = changed_bytes(data, result)
    suffix = data.draw(st.sampled_from([".mrc", ".map", ".ccp4", ".rec"]))
    packed = data.draw(st.sampled_from(["", "", ".gz", ".bz2"]))
    if packed:
        result = gzip.compress(result, 1) if packed == ".gz" else bz2.compress(result, 1)
        if data.draw(st.booleans()):
            result = changed_bytes(data, result)
    path = folder / f"a{suffix}{packed}"
    path.write_bytes(result)
    grid, read = one_sentence(read_grid, path), one_sentence(read_map, path)
    assert read is None or read[0].shape == grid.shape
    shutil.copy(good.root / "volumes" / "vol_2.mrc", folder)
    one_sentence(find_ensemble, [folder])


def _block_maps(good: Good, folder: Path, data: DataObject) -> None:
    name = data.draw(
        st.sampled_from(
            ["block_1.mrc", "block_2.mrc", "block_0.mrc", "block_99999999999.mrc", "x.mrc"]
        )
    )
    content = (good.run / "block_1.mrc").read_bytes()
    for other in ("block_2.mrc", "blocks.json", "unassigned.mrc"):
        shutil.copy(good.run / other, folder)
    (folder / f"{name}.mrc").write_bytes(changed_bytes(data, content))
    one_sentence(read_block_maps, folder)
    one_sentence(read_blocks, folder)


def _weights(good: Good, folder: Path, data: DataObject) -> None:
    from chimerax.siren.core.thresholds.network import (
        FORMAT,
        default_weights,
        import_torch,
        load_network,
    )

    torch = import_torch()
    path = folder / "w.pt"
    if data.draw(st.integers(0, 3)):
        path.write_bytes(changed_bytes(data, default_weights().read_bytes()))
    else:
        tensors = st.sampled_from([torch.zeros(2), torch.zeros(1).expand(1 << 40), 3, "x", None])
        names = st.sampled_from(
            ["conv.0.weight", "mlp.0.bias", "conv.x", "members.7.a", "members.x"]
        )
        state = data.draw(st.dictionaries(st.one_of(names, st.integers()), tensors, max_size=4))
        key = data.draw(st.sampled_from(["state_dict", "model_state_dict", "metadata", "epoch"]))
        form = data.draw(st.one_of(st.just(FORMAT), odd))
        buffer = io.BytesIO()
        torch.save({"format": form, key: state}, buffer)
        path.write_bytes(buffer.getvalue())
    one_sentence(load_network, path)


# instructions of pickles, and what they take: numbers, lengths, names
PICKLED = [
    *(
        b"(",
        b"0",
        b"1",
        b"2",
        b"N",
        b"\x88",
        b"K\x05",
        b"J\xff\xff\xff\x7f",
        b"]",
        b"}",
        b")",
        b"a",
        b"e",
    ),
    *(
        b"s",
        b"u",
        b"t",
        b"l",
        b"d",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"o",
        b"\x81",
        b"\x92",
        b"\x93",
    ),
    *(
        b"\x94",
        b"h\x01",
        b"q\x01",
        b"r\xff\xff\xff\x7f",
        b"j\x02\0\0\0",
        b"Q",
        b"P1\n",
        b"\x82\x01",
        b".",
    ),
    *(
        b"cos\nsystem\n",
        b"ios\nsystem\n",
        b"cnumpy\nndarray\n",
        b"cnumpy\ndtype\n",
        b"cnumpy\nload\n",
    ),
    *(b"cnumpy.core.multiarray\nscalar\n", b"cnumpy.core.numeric\n_frombuffer\n", b"X\x02\0\0\0O8"),
    *(
        b"C\x08aaaaaaaa",
        b"B\xff\xff\xff\x7fa",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fa",
        b"\x95" + bytes(8),
    ),
    *(
        b"L" + b"9" * 5000 + b"L\n",
        b"\x8b\xff\xff\xff\x7fa",
        b"I1_0\n",
        b"F1e999\n",
        b"V\\ud800\n",
        b"S'a\n",
    ),
]


def _pickles(good: Good, folder: Path, data: DataObject) -> None:
    """Lists of clusters as pickles, with instructions put in, changed or left out."""
    start = data.draw(
        st.sampled_from(
            [
                b"\x80\x04.",
                pickled_indices(range(40)),
                pickled_indices([0, 1, 1]),
                pickle.dumps({"labels": np.arange(9.0), "centers": np.zeros((9, 2))}),
                pickle.dumps([np.arange(3), np.float32(2), ("x", None)], 5),
                pickle.dumps([1, 2.5, 1 << 70, b"x" * 300], 2),
            ]
        )
    )
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(start)))
        some = data.draw(st.sampled_from(PICKLED)) * data.draw(st.sampled_from([1, 1, 1, 3, 5000]))
        start = start[:at] + some + start[at + data.draw(st.sampled_from([0, 0, len(some)])) :]
    path = folder / "labels.pkl"
    path.write_bytes(changed_bytes(data, start) if data.draw(st.booleans()) else start)
    one_sentence(read_pickle, path)
    names = [f"vol_{n:03d}.mrc" for n in range(1, 10)]
    one_sentence(lambda: assign(find_files(Files(), folder), names))


STAR = b"""
data_optics

loop_
_rlnOpticsGroup #1
1

data_particles

loop_
_rlnImageName #1
_rlnGroupName #2
1@a.mrcs g1
2@a.mrcs "g 2"
3@a.mrcs g1

"""


def _particle_files(good: Good, folder: Path, data: DataObject) -> None:
    """Star files, .cs files, and lists of numbers as .npy, text and csv."""
    kind = data.draw(st.sampled_from(["star", "cs", "npy", "txt", "csv"]))
    path = folder / f"a.{kind}"
    buffer = io.BytesIO()
    if kind == "cs":
        np.save(buffer, np.ones(5, [("uid", "<u8"), ("blob/path", "S9"), ("x/pose", "<f4", (3,))]))
    elif kind == "npy":
        np.save(buffer, np.arange(12.0).reshape(4, 3))
    text = {
        "star": STAR,
        "txt": b"0.5 1e3\n-2 nan\n",
        "csv": b"particle,volume\n0,vol_1.mrc\n5,2\n",
    }
    path.write_bytes(changed_bytes(data, text.get(kind, buffer.getvalue())))
    if kind == "star":
        found = one_sentence(read_star, path)
        assert found is None or (found.starts < found.ends).all()
    elif kind == "cs":
        found = one_sentence(read_cs, path)
        assert found is None or len(found.uid) == len(found)
    elif kind == "csv":
        one_sentence(assign, Files(labels=path), ["vol_1.mrc", "vol_2.mrc"])
    else:
        one_sentence(read_value, path)
        one_sentence(assign, Files(latent=path, centers=path), ["vol_1.mrc", "vol_2.mrc"])


def _related(folder: Path) -> object:
    """What siren relate, volumes and movie take from a run."""
    states = run_states(folder)
    choose_volumes(states, Selection((1,)))
    return relate(states, RelateParameters(resamples=1))


def _report(folder: Path) -> object:
    return gather(folder), history(folder)


def _found_again(folder: Path) -> object:
    return locate_volumes(folder, folder.parents[1] / "volumes")


def _labels_and_masks(good: Good, folder: Path, data: DataObject) -> None:
    """Sides of a comparison that other programs made: labeled maps, and folders of masks."""
    kind = data.draw(st.sampled_from(["<i2", "<f4", "i1"]))
    labels = np.arange(8 * 9 * 10).reshape(8, 9, 10) // data.draw(st.sampled_from([1, 7, 300]))
    with mrcfile.new(folder / "labels.mrc", labels.astype(kind)) as mrc:
        mrc.voxel_size = 4.0
    content = (folder / "labels.mrc").read_bytes()
    (folder / "labels.mrc").write_bytes(changed_bytes(data, content))
    one_sentence(read_side, folder / "labels.mrc")
    shutil.copy(good.run / "block_1.mrc", folder)
    one_sentence(read_side, folder)


def _volume_latents(good: Good, folder: Path, data: DataObject) -> None:
    """Coordinates of volumes, as programs leave them beside these."""
    names = [f"vol_{n:03d}.mrc" for n in range(4)]
    buffer = io.BytesIO()
    np.save(buffer, np.arange(8.0).reshape(4, 2))
    table = "volume,x,y\n" + "".join(f"{n},{k},0.5\n" for k, n in enumerate(names))
    files = {
        "z.csv": changed_table(data, table),
        "z_values.txt": changed_bytes(data, b"0.5 1\n2 3\n4 5\n-6 7e-1\n"),
        "z.npy": changed_bytes(data, buffer.getvalue()),
        "z.pkl": changed_bytes(data, pickle.dumps(np.arange(8.0).reshape(4, 2))),
    }
    name = data.draw(st.sampled_from(list(files)))
    (folder / name).write_bytes(files[name])
    first = data.draw(st.sampled_from([None, 0, 1, -(2**40)]))
    found = one_sentence(volume_latent, names, folder, names, folder / name, first)
    assert found is None or len(found.values) == len(found.names)
    one_sentence(volume_latent, names, folder, names)


def _unfinished(good: Good, folder: Path, data: DataObject) -> None:
    """What is left of a prediction that was killed: what is damaged is predicted again."""
    batch = [s for s in _ensemble(good.root).sources[:3]]
    path, places = folder / "unfinished", {s.name: n for n, s in enumerate(batch)}
    results = [
        junk_result(s.name, n, JunkMap("a is constant.", "constant")) for n, s in enumerate(batch)
    ]
    Unfinished(path, "x").add(batch, results)
    path.write_bytes(changed_bytes(data, path.read_bytes()))
    text, _, _ = path.read_bytes().strip().rpartition(b" ")
    if data.draw(st.booleans()):  # as if another program had written it, with its sum
        text = changed_bytes(data, text)
        path.write_bytes(text + b" %08x\n" % zlib.crc32(text))
    found = Unfinished(path, "x").results(batch, places)
    assert found is None or [one.row.file for one in found] == [s.name for s in batch]


def _zips(good: Good, folder: Path, data: DataObject) -> None:
    """The series that cryoSPARC writes."""
    buffer = io.BytesIO()
    kind = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for n in (1, 2, 3):
            inside = data.draw(st.sampled_from([f"frame_{n}.mrc", "frame_1.mrc", f"../{n}.mrc"]))
            archive.writestr(inside, (good.root / "volumes" / f"vol_{n}.mrc").read_bytes())
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(0, 4))):  # most likely in the table of contents
        at = len(content) - data.draw(st.integers(1, min(400, len(content))))
        content[at] = data.draw(st.integers(0, 255))
    path = folder / "series.zip"
    path.write_bytes(changed_bytes(data, bytes(content)) if data.draw(st.booleans()) else content)
    found = one_sentence(find_ensemble, [path])
    if found is not None:
        one_sentence(lambda: list(found.read()))
    one_sentence(preview_ensemble, [path])


#: Name -> reader, and how many of a hundred inputs it gets.
READERS: dict[str, tuple[Reader, int]] = {
    "run.json": (_in_run("run.json", changed_json, open_run, _parameters), 20),
    "blocks.json": (_in_run("blocks.json", changed_json, _blocks_alone, run_states), 20),
    "blocks.csv": (_in_run("blocks.csv", changed_table, open_run), 10),
    "states.csv": (_in_run("states.csv", changed_table, run_states), 10),
    "truth.json": (_truth, 6),
    "predictions": (_tables("predictions.csv"), 10),
    "labels": (_tables("labels.csv"), 10),
    "maps": (_map, 8),
    "block maps": (_block_maps, 3),
    "weights": (_weights, 3),
    "pickles": (_pickles, 12),
    "particle files": (_particle_files, 8),
    "relations": (_in_run("states.csv", changed_table, _related), 3),
    "report": (_in_run("run.json", changed_json, _report), 4),
    "locate": (_in_run("run.json", changed_json, _found_again), 4),
    "labels and masks": (_labels_and_masks, 4),
    "latents": (_volume_latents, 6),
    "unfinished": (_unfinished, 4),
    "zips": (_zips, 4),
}


def one_sentence(use: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a reader; None if it refuses its input in one sentence, as it should."""
    try:
        return use(*arguments)
    except SirenError as error:
        said = str(error)
        assert said.endswith(".") and said.isprintable() and len(said) < 40_000, said
        return None


class TooLong(BaseException):
    """A reader took longer than SECONDS."""


def _alarm(signal_number: int, frame: Any) -> None:
    raise TooLong


def check(good: Good, reader: Reader, data: DataObject) -> None:
    """Give one input to a reader."""
    began = _memory()
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 1)  # again: a callback may swallow it
    try:
        with tempfile.TemporaryDirectory(dir=good.root) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(good, Path(folder), data)
    except TooLong:
        raise AssertionError(f"more than {SECONDS:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    took = _memory() - began
    assert took < MEMORY, f"{took / (1 << 20):,.0f} MB"


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(good: Good, name: str, inputs: int, chosen: int) -> None:
    """Give many inputs to a reader.

    Raises
    ------
    AssertionError, or what the reader raises
        At an input that is treated wrongly; Hypothesis names the smallest such input.
    """
    reader = READERS[name][0]
    if name == "weights":  # slow to import: not within the time of an input
        from chimerax.siren.core.thresholds.network import import_torch

        import_torch()
    signal.signal(signal.SIGALRM, _alarm)

    @seed(chosen)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def each(data: DataObject) -> None:
        check(good, reader, data)

    each()


def main() -> int:
    """Print a table of the readers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=20_000, help="in all")
    given = parser.parse_args()
    chosen = given.readers or list(READERS)
    share = sum(READERS[name][1] for name in chosen)
    bad, done, began = 0, 0, time.monotonic()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        good = make_good(Path(folder) / "good")
        for name in chosen:
            inputs = max(1, given.inputs * READERS[name][1] // share)
            start = time.monotonic()
            try:
                fuzz(good, name, inputs, given.seed)
                outcome = "fine"
            except Exception as error:
                import traceback

                traceback.print_exc()
                outcome = f"WRONG: {type(error).__name__} {str(error)[:200]}"
                bad += 1
            took = time.monotonic() - start
            done += inputs
            print(f"{name:12} {inputs:7,} inputs {took:7.1f} s  {outcome}", flush=True)
    rate = 3600 * done / (time.monotonic() - began)
    print(f"{done:,} inputs, {rate:,.0f} an hour, {bad} readers wrong (seed {given.seed})")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
