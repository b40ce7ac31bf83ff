"""Lists of numbers in files of other programs: .pkl, .npy, .txt and .csv."""

from __future__ import annotations

import io
import math
import os
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.reading import open_file, read_bytes
from .pickles import MOST_BYTES, read_pickle

MOST_HEADER = 100_000  # characters: that of a .cs file has some thousand
MOST_TEXT = 256 << 20  # bytes of a list as text
_ODD_HEADERS = (
    *(ValueError, KeyError, TypeError, OverflowError, SyntaxError),
    *(MemoryError, RecursionError, tokenize.TokenError),
)
REMEDY = "give the file as it was written"


@dataclass(frozen=True)
class Records:
    """An array in a .npy or .cs file, read where it is needed.

    Attributes
    ----------
    path : of the file
    dtype, shape : of the array
    offset : bytes before its first value
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    def mapped(self) -> np.memmap[Any, Any]:
        """The array, on disk."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


def read_value(path: Path) -> Any:
    """An array, a list or a dictionary of arrays.

    Parameters
    ----------
    path : Path
        .pkl, .npy, or a text of numbers.

    Raises
    ------
    SirenError
        If it cannot be read as such.
    """
    suffix = path.suffix.lower()
    if suffix in (".pkl", ".pickle"):
        return read_pickle(path)
    if suffix == ".npy":
        return read_npy(path)
    return read_text(path)


def read_npy(path: Path) -> NDArray[Any]:
    """The array in a .npy file, without Python objects.

    Raises
    ------
    SirenError
        If it is no such file, or not whole.
    """
    found = npy_records(path)
    if math.prod(found.shape) * found.dtype.itemsize > MOST_BYTES:
        raise SirenError(f"{path.name} is longer than {MOST_BYTES >> 20:,} MB: {REMEDY}.")
    if not math.prod(found.shape):
        return np.empty(found.shape, found.dtype)
    return np.array(found.mapped())


def npy_records(path: Path) -> Records:
    """What the header of a .npy file says, checked against the length of the file.

    Raises
    ------
    SirenError
        If it is no such file, holds Python objects, or is not whole.
    """
    try:
        with open_file(path) as file:
            return _header(path, file)
    except OSError as error:
        raise SirenError(
            f"{path} cannot be read ({error.strerror or error}): give a file that is there."
        ) from error


def _header(path: Path, file: BinaryIO) -> Records:
    size = os.fstat(file.fileno()).st_size
    try:
        version = np.lib.format.read_magic(file)
        read: Any = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, fortran, dtype = read(file, max_header_size=MOST_HEADER)
    except _ODD_HEADERS as error:
        raise SirenError(
            f"{path.name} is no array as numpy and cryoSPARC write them, or is damaged: {REMEDY}."
        ) from error
    offset = file.tell()
    if dtype.hasobject or not dtype.itemsize:
        raise SirenError(
            f"{path.name} holds Python objects, which are not read from files: save it as an "
            "array of numbers."
        )
    if fortran and len(shape) > 1:
        raise SirenError(
            f"{path.name} is stored column by column: save it with "
            "numpy.save(..., numpy.ascontiguousarray(...))."
        )
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize > size - offset:
        raise SirenError(f"{path.name} is cut off: copy it again.")
    return Records(path, dtype, shape, offset)


def read_text(path: Path) -> NDArray[np.float64]:
    """(rows, columns) of a text of numbers, as numpy.savetxt writes it.

    Raises
    ------
    SirenError
        If it is none.
    """
    try:
        content = read_bytes(path, MOST_TEXT)
    except OSError as error:
        raise SirenError(
            f"{path} cannot be read ({error.strerror or error}): give a file that is there."
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file without numbers
            text = content.decode("ascii")
            found = np.loadtxt(
                io.StringIO(text), np.float64, ndmin=2, delimiter="," if "," in text else None
            )
    except (ValueError, MemoryError, OverflowError) as error:
        raise SirenError(f"{path.name} cannot be read as a table of numbers: {REMEDY}.") from error
    if not found.size:
        raise SirenError(f"{path.name} is empty: {REMEDY}.")
    return found


def whole_numbers(values: Any, path: Path, what: str) -> NDArray[np.int64]:
    """A list of whole numbers; NaN becomes -1.

    Parameters
    ----------
    values : array or list, (n,) or (n, 1)
    path : where it was read, for errors
    what : the list is of

    Raises
    ------
    SirenError
        If it is something else.
    """
    array = _as_array(values)
    if array is not None and array.ndim == 2 and 1 in array.shape:
        array = array.ravel()
    if array is None or array.ndim != 1 or array.dtype.kind not in "iuf" or not len(array):
        raise SirenError(f"{path.name} is no list of {what}: give a file with one number for each.")
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        whole = np.where(missing, -1, array)
        if not (np.isfinite(whole).all() and (whole == np.round(whole)).all()):
            raise SirenError(f"{path.name} has numbers that are not whole: give a list of {what}.")
        array = whole
        if (array[~missing] < 0).any():
            raise SirenError(f"{path.name} has numbers below 0: give a list of {what}.")
    elif int(array.min()) < -1:
        raise SirenError(f"{path.name} has numbers below 0: give a list of {what}.")
    if float(array.max()) > 2**53:
        raise SirenError(f"{path.name} has numbers beyond all counts: give a list of {what}.")
    return array.astype(np.int64)


def points(values: Any, path: Path, what: str) -> NDArray[np.float64]:
    """(n, d) coordinates.

    Raises
    ------
    SirenError
        If it is something else.
    """
    array = _as_array(values)
    if array is not None and array.ndim == 1:
        array = array[:, None]
    if array is None or array.ndim != 2 or array.dtype.kind not in "iuf" or not array.size:
        raise SirenError(f"{path.name} is no table of {what}: give a file with a row for each.")
    if not np.isfinite(array).all():
        raise SirenError(f"{path.name} has values that are no numbers: give {what} of every row.")
    return array.astype(np.float64)


def _as_array(values: Any) -> NDArray[Any] | None:
    if isinstance(values, np.ndarray):
        return values
    if isinstance(values, list | tuple) and all(type(v) in (int, float) for v in values):
        try:
            return np.array(values)
        except OverflowError:
            return None
    return None
