"""Readers of what other programs say of particles and volumes."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.particles.arrays import read_value
from chimerax.siren.core.particles.assignment import assign
from chimerax.siren.core.particles.cryosparc import read_cs
from chimerax.siren.core.particles.latent import volume_latent
from chimerax.siren.core.particles.pickles import pickled_indices, read_pickle
from chimerax.siren.core.particles.places import Files, find_files
from chimerax.siren.core.particles.star import read_star
from fuzzing.changes import changed_bytes, changed_table
from fuzzing.good import Good, one_sentence

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


def pickles(good: Good, folder: Path, data: DataObject) -> None:
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


def particle_files(good: Good, folder: Path, data: DataObject) -> None:
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


def volume_latents(good: Good, folder: Path, data: DataObject) -> None:
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
