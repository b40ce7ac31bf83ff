"""Pickles are read as data: arrays of every version of numpy come back, and nothing else is run,
imported or believed.
"""

from __future__ import annotations

import builtins
import datetime
import hashlib
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles import pickles
from chimerax.siren.core.particles.pickles import pickled_indices, read_pickle

DATA = Path(__file__).parent / "data"


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Any]:
    def read_bytes(content: bytes) -> Any:
        path = tmp_path / "labels.pkl"
        path.write_bytes(content)
        return read_pickle(path)

    return read_bytes


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(7),
        np.arange(7, dtype=np.int32),
        np.array([], np.int64),
        np.arange(6, dtype=">f8").reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        np.arange(12).reshape(2, 3, 2)[:, ::2],
        np.array([True, False]),
        np.array([1.5, np.nan], np.float16),
        np.array(["vol_1.mrc", "vol_22.mrc"]),
        np.array([b"a", b"bc"]),
        np.arange(200_000, dtype=np.uint8),
        np.array(5.0),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_arrays_come_back_as_pythons_own_reader_gives_them(read, array, protocol):
    found = read(pickle.dumps(array, protocol))
    assert found.dtype == array.dtype and found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


def test_lists_dictionaries_and_numbers_come_back(read):
    same = np.arange(3)
    content = {
        "labels": same,
        "again": same,
        4: [1, 2.5, "x", None, True, (1 << 80, b"y")],
        "scalars": [np.int64(3), np.float32(0.5), np.bool_(True)],
    }
    for protocol in range(6):
        found = read(pickle.dumps(content, protocol))
        assert np.array_equal(found["labels"], same) and np.array_equal(found["again"], same)
        assert found[4] == content[4] and found["scalars"] == [3, 0.5, True]


def test_arrays_of_numpy_1_and_2_come_back_whichever_is_installed(read):
    content = pickle.dumps(np.arange(5), 3)
    for old, new in ((b"numpy.core.", b"numpy._core."), (b"numpy._core.", b"numpy.core.")):
        assert np.array_equal(read(content.replace(old, new)), np.arange(5))


def test_arrays_of_python_2_come_back(read):
    """There, bytes were texts, which ``pickle.dumps`` of today no longer writes."""
    raw = np.arange(-3, 200, dtype=np.int64).tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    array += b"(I1\n(L203L\ntcnumpy\ndtype\n(S'i8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    content = array + b"T" + struct.pack("<i", len(raw)) + raw + b"tb."
    assert np.array_equal(pickle.loads(content, encoding="latin1"), np.arange(-3, 200))
    assert np.array_equal(read(content), np.arange(-3, 200))


def test_what_cryodrgn_tomodrgn_and_recovar_wrote_is_as_pythons_own_reader_gives_it():
    files = sorted(DATA.rglob("*.pkl"))
    assert len(files) == 6
    for path in files:
        with path.open("rb") as file:
            one, other = read_pickle(path), pickle.load(file)
        for a, b in (
            zip(one.values(), other.values(), strict=True)
            if isinstance(one, dict)
            else zip(one, other, strict=True)
        ):
            assert np.array_equal(a, b)


def test_indices_are_written_for_pythons_own_reader_and_are_the_same_bytes_everywhere():
    for numbers in ([], [3, 5, 8], range(100_000)):
        content = pickled_indices(np.array(numbers, np.int32))
        found = pickle.loads(content)
        assert found.dtype == np.int64 and found.tolist() == list(numbers)
    digest = hashlib.sha256(pickled_indices([3, 5, 8])).hexdigest()
    assert digest.startswith("24a367571e951d83")


# --- poison


class Called(Exception):
    """Something in a file was run."""


@pytest.fixture
def _armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What poison would call says so."""

    def run(*_: Any, **__: Any) -> None:
        raise Called

    for module, name in ((os, "system"), (builtins, "eval")):
        monkeypatch.setattr(module, name, run)


def reduced(function: Any, *arguments: Any) -> Any:
    """An object that is pickled as a call."""

    class Evil:
        def __reduce__(self) -> Any:
            return function, arguments

    return Evil()


NUMPY = np.arange(2).__reduce__()[0].__module__
HEAD = b"\x80\x03"


def name(module: str, what: str) -> bytes:
    return f"c{module}\n{what}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


ARRAY = name(NUMPY, "_reconstruct") + name("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
INT64 = name("numpy", "dtype") + text("i8") + b"K\0K\x01\x87R"
STATE = b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
POISON = {
    "os.system": pickle.dumps(reduced(os.system, "true")),
    "os.system, version 0": pickle.dumps(reduced(os.system, "true"), 0),
    "os.system, version 2": pickle.dumps(reduced(os.system, "true"), 2),
    "eval": pickle.dumps(reduced(eval, "1")),
    "exec": pickle.dumps(reduced(exec, "1")),
    "getattr": pickle.dumps(reduced(getattr, np.load, "__name__")),
    "getattr chain": HEAD
    + name("builtins", "getattr")
    + name("numpy", "dtype")
    + text("__class__")
    + b"\x86R.",
    "dotted name": HEAD + name("numpy", "core.multiarray.os.system") + text("true") + b"\x85R.",
    "dotted module": HEAD + name("numpy.ndarray.__class__", "mro") + b")R.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
    "STACK_GLOBAL of numbers": b"\x80\x04K\x01K\x02\x93.",
    "STACK_GLOBAL of an array": b"\x80\x04" + ARRAY + b"K\x02\x93.",
    "INST": b"(Vtrue\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nVtrue\no.",
    "OBJ of numpy": b"(" + name("numpy", "ndarray") + b"K\x05o.",
    "NEWOBJ": b"\x80\x02" + name("numpy", "ndarray") + b"K\x05\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04" + name("numpy", "ndarray") + b"K\x05\x85}\x92.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\x00.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "PERSID": b"Pmodule\n.",
    "BINPERSID": b"\x80\x02Vmodule\nQ.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "read-only buffer": b"\x80\x05C\x01a\x98.",
    "set": pickle.dumps({1, 2}),
    "frozen set": pickle.dumps(frozenset([1])),
    "class": pickle.dumps(OrderedDict),
    "function of numpy": pickle.dumps(np.load),
    "call of numpy's load": pickle.dumps(reduced(np.load, "x.npy")),
    "other function of the same module": HEAD
    + name(NUMPY, "fromfile")
    + text("/etc/passwd")
    + b"\x85R.",
    "numpy.core.numeric.sys": HEAD + name("numpy.core.numeric", "sys") + b".",
    "numpy.f2py": HEAD + name("numpy.f2py.diagnose", "run_command") + text("true") + b"\x85R.",
    "numpy.testing": HEAD + name("numpy.testing._private.utils", "runstring") + b".",
    "ndarray is not called": HEAD + name("numpy", "ndarray") + b"J\xff\xff\xff\x7f\x85R.",
    "_reconstruct of another shape": HEAD
    + name(NUMPY, "_reconstruct")
    + name("numpy", "ndarray")
    + b"J\xff\xff\xff\x7f\x85C\x01b\x87R.",
    "_reconstruct of another type": HEAD
    + name(NUMPY, "_reconstruct")
    + name("numpy", "dtype")
    + b"K\0\x85C\x01b\x87R.",
    "objects": pickle.dumps(np.array([None, 1], object)),
    "objects with poison": pickle.dumps(np.array([reduced(os.system, "true")], object)),
    "scalar of objects": HEAD
    + name(NUMPY, "scalar")
    + name("numpy", "dtype")
    + text("O8")
    + b"\x85R"
    + b"C\x08aaaaaaaa\x86R.",
    "records": pickle.dumps(np.zeros(2, "i4,f8")),
    "records with objects": pickle.dumps(np.zeros(2, "i4,O")),
    "dates": pickle.dumps(np.zeros(2, "M8[s]")),
    "complex numbers": pickle.dumps(np.zeros(2, complex)),
    "date": pickle.dumps(datetime.date(2020, 1, 1)),
    "a class of numpy's arrays": pickle.dumps(np.array([1]).view(np.recarray)),
    "masked array": pickle.dumps(np.ma.array([1], mask=[0])),
    "generator": pickle.dumps(np.random.default_rng(1)),
    "dtype alone": pickle.dumps(np.dtype("i8")),
    "array without state": HEAD + ARRAY + b".",
    "state of a list": HEAD + b"]" + b"}b.",
    "state of a dictionary": HEAD + ARRAY + b"}b.",
    "two states": HEAD
    + ARRAY
    + 2 * (b"(K\x01K\x01\x85" + INT64 + STATE + b"\x89C\x08aaaaaaaatb")
    + b".",
    "shape larger than bytes": HEAD
    + ARRAY
    + b"(K\x01J\xff\xff\xff\x7f\x85"
    + INT64
    + STATE
    + b"\x89C\x08aaaaaaaatb.",
    "shape below 0": HEAD + ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + INT64 + STATE + b"\x89C\0tb.",
    "shape of texts": HEAD
    + ARRAY
    + b"(K\x01"
    + text("8")
    + b"\x85"
    + INT64
    + STATE
    + b"\x89C\0tb.",
    "list as data": HEAD + ARRAY + b"(K\x01K\x01\x85" + INT64 + STATE + b"\x89]K\x01atb.",
    "dtype of a very long text": HEAD + name("numpy", "dtype") + text("i4," * 100_000) + b"\x85R.",
    "dtype of dtype": HEAD + INT64 + name("numpy", "dtype") + b"\x85R.",
    "memo far away": b"\x80\x04K\x01r\xff\xff\xff\xff.",
    "memo of nothing": b"\x80\x04h\x05.",
    "list of itself": b"\x80\x04]\x94h\0a.",
    "key that is a tuple": b"\x80\x04})K\x01s.",
    "key that is an array": HEAD + b"}" + ARRAY + b"K\x01s.",
    "deep lists": b"\x80\x04" + b"(" * 200_000 + b"l" * 200_000 + b".",
    "deep tuples": b"\x80\x04)" + b"\x85" * 500_000 + b".",
    "marks alone": b"(" * 500_000 + b".",
    "stack too short": b"\x80\x04\x87.",
    "text instead of a pickle": b"1 2 3\n4 5 6\n",
    "nothing": b"",
    "no end": pickle.dumps(np.arange(3))[:-1],
    "length beyond the end": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
    "length beyond the end, 4 bytes": b"\x80\x04B\xff\xff\xff\x7fx.",
    "long number as text": b"L" + b"9" * 100_000 + b"L\n.",
    "unknown instruction": b"\x80\x04\xf0.",
    "number of a file": HEAD + name("io", "open") + text("x") + b"\x85R.",
}


@pytest.mark.usefixtures("_armed")
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_poison_is_refused_in_one_sentence_that_names_the_file_and_nothing_is_run(read, poison):
    far = poison == POISON["memo far away"]
    if far:  # harmless here, where Python's own reader takes 32 GB
        assert read(poison) == 1
        return
    with pytest.raises(SirenError) as caught:
        read(poison)
    said = str(caught.value)
    assert said.startswith("labels.pkl was not taken, and nothing in it was run (")
    assert said.endswith(".") and "\n" not in said and len(said) < 400


def test_the_poison_of_these_tests_works_in_pythons_own_reader(tmp_path):
    """Or the tests above would show nothing."""
    worked = 0
    for key in ("eval", "getattr", "STACK_GLOBAL", "INST", "OBJ", "function of numpy", "objects"):
        pickle.loads(POISON[key])
        worked += 1
    assert worked == 7


def test_a_bomb_of_lists_in_lists_is_refused_at_once_and_not_built(read, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_VALUES", 100_000)
    content = b"\x80\x04]\x94"
    for n in range(60):  # each list holds the one before twice
        content += b"]\x94(" + b"h" + bytes([n]) + b"h" + bytes([n]) + b"e"
    wide = b"\x80\x04]\x94(" + b"K\x01" * 1000 + b"e"
    for n in range(5):
        wide += b"]\x94(" + (b"h" + bytes([n])) * 200 + b"e"
    for bomb, reason in ((content, "deep"), (wide, "more than 100,000 values")):
        with pytest.raises(SirenError, match=reason):
            read(bomb + b".")


def test_a_file_of_too_many_instructions_is_refused(read, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_STEPS", 1000)
    with pytest.raises(SirenError, match="more than 1,000 instructions"):
        read(b"\x80\x04" + b"N0" * 600 + b".")


def test_every_cut_of_a_good_file_is_refused(read):
    content = (DATA / "recovar/analysis_4/data/kmeans_result.pkl").read_bytes()
    for end in range(0, len(content), 7):
        with pytest.raises(SirenError, match="labels"):
            read(content[:end])


def test_a_file_that_is_too_long_or_no_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "MOST_BYTES", 100)
    (tmp_path / "z.pkl").write_bytes(pickle.dumps(np.arange(100)))
    with pytest.raises(SirenError, match="longer than"):
        read_pickle(tmp_path / "z.pkl")
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(SirenError, match="named pipe"):
        read_pickle(tmp_path / "pipe.pkl")
    with pytest.raises(SirenError, match="No such file"):
        read_pickle(tmp_path / "no.pkl")


def test_nothing_is_imported_for_what_a_file_names(read):
    import sys

    for module in ("this", "antigravity", "turtle"):
        sys.modules.pop(module, None)
        with pytest.raises(SirenError, match=f"asks for {module}.x"):
            read(HEAD + name(module, "x") + b".")
        assert module not in sys.modules
