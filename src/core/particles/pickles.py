"""Pickles as data: arrays, numbers, texts, lists and dictionaries, and nothing else.

cryoDRGN, tomoDRGN and RECOVAR keep their results as pickles. A pickle is a program that may call
any function of Python; so Python's own reader, even one that looks at each name, is not used here.
The instructions are read one by one, as data. The only names known are those that numpy writes
into its own arrays; they are compared as texts, and neither imported nor called. An array is then
made of the bytes, the shape and the type of its numbers, each of which is checked. Whatever else a
file asks for, it is refused.

Example::

    from pathlib import Path

    from chimerax.siren.core.particles.pickles import pickled_indices, read_pickle

    Path("ind.pkl").write_bytes(pickled_indices([3, 5, 8]))
    read_pickle(Path("ind.pkl")).tolist()  # -> [3, 5, 8]
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.errors import SirenError
from ..common.reading import read_bytes

MOST_BYTES = 1 << 30  # of a file: 8 coordinates each of 30 million particles
MOST_STEPS = 10_000_000  # instructions of a pickle; an array takes some twenty
MOST_VALUES = 10_000_000  # in lists and dictionaries, together
DEEPEST = 6  # lists in lists
MOST_DIMENSIONS = 4

_PLAIN = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),  # texts of Python 2, which are bytes, too
}
_CONSTANTS = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}
_MEMO_PUT, _MEMO_GET = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
# what numpy writes, before 2.0 and since
_NAMES = {
    f"{module}.{name}": name
    for name, modules in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "scalar": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "_frombuffer": ("numpy.core.numeric", "numpy._core.numeric"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
        "encode": ("_codecs",),  # bytes, in protocols that have none
        "bytes": ("__builtin__",),  # none of them
    }.items()
    for module in modules
}
_NUMBERS = re.compile(r"(b1|[iu][1248]|f[248])|([SU])(\d{1,4})", re.ASCII)


class _Refused(Exception):
    """Why a pickle is not taken, in words."""


@dataclass(frozen=True)
class _Name:
    """One of the names known."""

    name: str


class _Type:
    """The type of an array's numbers: first its code, then the order of its bytes."""

    def __init__(self, code: Any):
        if isinstance(code, str) and code[:1] == "O":
            raise _Refused("an array of Python objects is in it")
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise _Refused("an array in it is neither of numbers nor of texts")
        self.code = code
        self.order = "|"

    def complete(self, state: Any) -> None:
        """Take the byte order; nothing else in the state may matter."""
        if not (
            isinstance(state, tuple)
            and len(state) in (8, 9)
            and state[0] in (3, 4)
            and isinstance(state[1], str)
            and state[1] in ("<", ">", "|")
            and state[2:5] == (None, None, None)
        ):
            raise _Refused("an array in it is of compound values")
        self.order = state[1]

    @property
    def numpy(self) -> np.dtype[Any]:
        """The same for numpy."""
        if self.order == "|" and self.code not in ("b1", "i1", "u1") and self.code[0] != "S":
            raise _Refused("the byte order of an array is missing")
        return np.dtype(self.order + self.code)


class _Array:
    """An array that is announced, and made once its state has come."""

    value: NDArray[Any] | None = None

    def complete(self, state: Any) -> None:
        """Take shape, type and bytes."""
        if self.value is not None or not (isinstance(state, tuple) and len(state) == 5):
            raise _Refused("an array in it is not as numpy writes it")
        version, shape, kind, fortran, data = state
        if version != 1 or not isinstance(fortran, bool | int):
            raise _Refused("an array in it is not as numpy writes it")
        self.value = _array(data, kind, shape, "F" if fortran else "C")


def _array(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    if isinstance(data, str):
        data = _latin1(data)
    if not isinstance(data, bytes | bytearray) or not isinstance(kind, _Type):
        raise _Refused("an array in it is not as numpy writes it")
    if not (
        isinstance(shape, tuple)
        and len(shape) <= MOST_DIMENSIONS
        and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
        and isinstance(order, str)
        and order in ("C", "F")
    ):
        raise _Refused("the shape of an array in it is none")
    numbers = kind.numpy
    if math.prod(shape) * numbers.itemsize != len(data):
        raise _Refused("the shape of an array in it does not fit its bytes")
    if not numbers.itemsize:
        return np.empty(shape, numbers)
    found = np.frombuffer(data, numbers)
    return found.reshape(shape) if order == "C" else found.reshape(shape, order="F")


def _latin1(text: Any) -> bytes:
    """Bytes that a pickle holds as a text: a character for each."""
    try:
        if isinstance(text, str):
            return text.encode("latin-1")
    except UnicodeEncodeError:
        pass
    raise _Refused("bytes in it are none")


class _Machine:
    """The stack and the memory of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memory: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        """Follow the instructions to the end; the last value."""
        for steps, (code, argument, _) in enumerate(pickletools.genops(BytesIO(content))):
            if steps > MOST_STEPS:
                raise _Refused(f"it has more than {MOST_STEPS:,} instructions")
            if code.name == "STOP":
                return self.pop()
            self.step(code.name, argument)
        raise _Refused("its end is missing")

    def push(self, value: Any) -> None:
        """Put a value on top of the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """The value on top of the stack."""
        if not self.stack:
            raise _Refused("it is damaged")
        return self.stack.pop()

    def pop_marked(self) -> list[Any]:
        """All values since the last mark."""
        if not self.marked:
            raise _Refused("it is damaged")
        values, self.stack = self.stack, self.marked.pop()
        return values

    def top(self, kind: type) -> Any:
        """The value on top of the stack, which stays there."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise _Refused("it is damaged")
        return self.stack[-1]

    def step(self, name: str, argument: Any) -> None:
        """Follow one instruction."""
        if name in ("PROTO", "FRAME"):
            return
        if name in _PLAIN:
            self.push(argument)
        elif name in _CONSTANTS:
            self.push(_CONSTANTS[name])
        elif name == "MARK":
            self.marked.append(self.stack)
            self.stack = []
        elif name in ("POP", "POP_MARK"):
            self.pop() if name == "POP" and self.stack else self.pop_marked()
        elif name in _MEMO_PUT or name == "MEMOIZE":
            if not self.stack:
                raise _Refused("it is damaged")
            self.memory[len(self.memory) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in _MEMO_GET:
            if argument not in self.memory:
                raise _Refused("it is damaged")
            self.push(self.memory[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.push(self.named(name, argument))
        elif name in ("REDUCE", "BUILD"):
            value = self.pop()
            if name == "BUILD":
                self.build(value)
            else:
                self.push(_made(self.pop(), value))
        else:
            self.collect(name)

    def named(self, instruction: str, argument: Any) -> _Name:
        """A name of numpy's; any other is refused."""
        if instruction == "GLOBAL":
            asked = ".".join(str(argument).split(" ", 1))
        else:
            last, module = self.pop(), self.pop()
            if not isinstance(last, str) or not isinstance(module, str):
                raise _Refused("it asks for something without a name")
            asked = f"{module}.{last}"
        if asked not in _NAMES:
            shown = asked if len(asked) <= 60 else asked[:57] + "..."
            raise _Refused(f"it asks for {shown}")
        return _Name(_NAMES[asked])

    def build(self, state: Any) -> None:
        """Complete an array or the type of one."""
        target = self.stack[-1] if self.stack else None
        if not isinstance(target, _Array | _Type):
            raise _Refused("it changes something that is no array")
        target.complete(state)

    def collect(self, name: str) -> None:
        """The instructions of tuples, lists and dictionaries."""
        if name in _TUPLES:
            values = [self.pop() for _ in range(_TUPLES[name])]
            self.push(tuple(reversed(values)))
        elif name == "TUPLE":
            self.push(tuple(self.pop_marked()))
        elif name in ("EMPTY_LIST", "LIST"):
            self.push(self.pop_marked() if name == "LIST" else [])
        elif name in ("APPEND", "APPENDS"):
            added = [self.pop()] if name == "APPEND" else self.pop_marked()
            self.top(list).extend(added)
        elif name in ("EMPTY_DICT", "DICT"):
            found: dict[Any, Any] = {}
            if name == "DICT":
                _set(found, self.pop_marked())
            self.push(found)
        elif name in ("SETITEM", "SETITEMS"):
            items = self.pop_marked() if name == "SETITEMS" else [self.pop(), self.pop()][::-1]
            _set(self.top(dict), items)
        else:
            raise _Refused(f"it holds something that is no array (the instruction {name})")


def _set(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2 or not all(type(k) in (str, int) for k in items[::2]):
        raise _Refused("a dictionary in it has keys that are neither texts nor numbers")
    target.update(zip(items[::2], items[1::2], strict=True))


def _made(name: Any, arguments: Any) -> Any:
    """What numpy's function of this name would give, made here."""
    if not isinstance(name, _Name) or not isinstance(arguments, tuple):
        raise _Refused("it calls something that is no array")
    if name.name == "dtype" and 1 <= len(arguments) <= 3:
        return _Type(arguments[0])
    if name.name == "bytes" and not arguments:
        return b""
    if name.name == "encode" and arguments[1:] in (("latin1",), ("latin-1",)):
        return _latin1(arguments[0])
    if name.name == "_reconstruct" and arguments in (
        (_Name("ndarray"), (0,), b"b"),
        (_Name("ndarray"), (0,), "b"),
    ):
        return _Array()
    if name.name == "_frombuffer" and len(arguments) == 4:
        made = _Array()
        made.value = _array(*arguments)
        return made
    if name.name == "scalar" and len(arguments) == 2:
        return _array(arguments[1], arguments[0], (), "C").item()
    raise _Refused("an array in it is not as numpy writes it")


def _plain(value: Any, depth: int, left: Iterator[int]) -> Any:
    """A value without the marks of this module; the same list may be in it many times."""
    if depth > DEEPEST:
        raise _Refused(f"it has lists more than {DEEPEST} deep")
    if next(left, None) is None:
        raise _Refused(f"it has more than {MOST_VALUES:,} values")
    if isinstance(value, _Array):
        if value.value is None:
            raise _Refused("an array in it has no values")
        return value.value
    if isinstance(value, list | tuple):
        return type(value)(_plain(v, depth + 1, left) for v in value)
    if isinstance(value, dict):
        return {k: _plain(v, depth + 1, left) for k, v in value.items()}
    if isinstance(value, _Name | _Type):
        raise _Refused("it holds something that is no array")
    return value


def read_pickle(path: Path) -> Any:
    """The content of a pickle: an array, a number, a text, or lists and dictionaries of these.

    Nothing in the file is run, see the module. Arrays cannot be written to.

    Raises
    ------
    SirenError
        If the file is missing, too long, damaged, or holds anything else.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except OSError as error:
        raise SirenError(
            f"{path} cannot be read ({error.strerror or error}): give a file that is there."
        ) from error
    try:
        return _plain(_Machine().run(content), 0, iter(range(MOST_VALUES)))
    except _Refused as error:
        reason = str(error)
    except (ValueError, IndexError, OverflowError, struct.error, MemoryError, RecursionError):
        reason = "it is damaged or no pickle"
    raise SirenError(
        f"{path.name} was not taken, and nothing in it was run ({reason}): of pickles, only "
        "arrays, numbers, texts, lists and dictionaries are read; save the array as .npy with "
        "numpy.save where it was made."
    )


def pickled_indices(indices: ArrayLike | Sequence[int]) -> bytes:
    """A pickle of an array of whole numbers, as cryoDRGN keeps a choice of particles.

    It is written as numpy 1 writes it, which numpy 2 reads as well; the bytes depend on the numbers
    alone.

    Parameters
    ----------
    indices : (n,) of int
    """
    numbers = np.asarray(indices, "<i8")
    if numbers.ndim != 1:
        raise ValueError("indices are one list of numbers")
    data = numbers.tobytes()
    return b"".join(
        [
            b"\x80\x03",  # version 3
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n",
            b"K\x00\x85C\x01b\x87R",  # (0,), b"b", call
            b"(K\x01J" + struct.pack("<i", len(numbers)) + b"\x85",  # version, shape
            b"cnumpy\ndtype\nX\x02\x00\x00\x00i8K\x00K\x01\x87R",
            b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89B" + struct.pack("<I", len(data)) + data,  # not Fortran, the numbers
            b"tb.",
        ]
    )
