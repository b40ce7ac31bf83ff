"""Opening files that others wrote: only real files, and no more of them than is sensible."""

from __future__ import annotations

import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Literal, overload

from .errors import SirenError

#: Most bytes read of a table, a record or a blocks file: many times what a run writes.
MOST_BYTES = 256 << 20


@overload
def open_file(path: Path) -> BufferedReader: ...


@overload
def open_file(path: Path, buffered: Literal[False]) -> FileIO: ...


def open_file(path: Path, buffered: bool = True) -> BufferedReader | FileIO:
    """Open a file for reading bytes. A named pipe or a device is refused, instead of waiting for
    it forever.

    ``buffered``: as small pieces are read best; else each is read from the file as it is.

    Raises
    ------
    SirenError
        If it is neither a file nor a link to one.
    OSError
        If it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise SirenError(f"{path} is {_kind(mode)}, not a file: give a file.")
    return open(handle, "rb") if buffered else FileIO(handle, "rb")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a named pipe" if stat.S_ISFIFO(mode) else "a device"


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a whole file.

    Raises
    ------
    SirenError
        If it is not a file, or longer than ``most``.
    OSError
        If it cannot be read.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise SirenError(
            f"{path} is longer than {most >> 20:,} MB, more than SIREn ever writes there: give "
            "another file."
        )
    return content
