"""Particle .star files of RELION 3.0 to 5, and of what writes like it: rows are left out, and
nothing else is changed.

All other bytes stay as they are: the optics table, the columns and their order, every digit, and
line ends. (A reader that makes numbers of the cells, and writes these, changes their digits, and
may take a name like 1e5 for a number.)

Example::

    from pathlib import Path

    from chimerax.siren.core.particles.star import read_star, write_star_rows

    text = "data_particles\\n\\nloop_\\n_rlnImageName\\n1@a.mrcs\\n2@a.mrcs\\n3@a.mrcs\\n"
    Path("particles.star").write_text(text)
    star = read_star(Path("particles.star"))
    len(star)  # -> 3
    write_star_rows(star, [0, 2], Path("chosen.star"))
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.errors import SirenError
from ..common.progress import Progress
from ..common.reading import open_file

LONGEST_LINE = 1 << 20
GROUPS = (b"rlnGroupName", b"rlnGroupNumber")  # of the tilt images of a particle, for cryoDRGN
_BLOCKS = (b"data_particles", b"data_images", b"data_")  # of particles, by rank
_OTHERS = (b"data_optics", b"data_general")
_CHECK = 20_000  # lines between two reports


@dataclass(frozen=True)
class Star:
    """A particle table in a .star file.

    Attributes
    ----------
    path : of the file
    block : its data block, such as ``data_particles``
    labels : its columns, without the underscore
    starts, ends : (n,) first byte of each row, and the first after it
    group : (n,) number of the particle of each row, if rows are tilt images; None if there is no
        column of groups
    blocks : names of all blocks
    stamp : bytes and time of the file when it was read
    """

    path: Path
    block: str
    labels: tuple[str, ...]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    group: NDArray[np.int64] | None
    blocks: tuple[str, ...]
    stamp: tuple[int, int]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def groups(self) -> int:
        """How many groups of rows there are; 0 without a column of groups."""
        return 0 if self.group is None else int(self.group.max()) + 1

    @property
    def looks_like_tilts(self) -> bool:
        """Whether rows may be tilt images, as Warp and M write them for cryoDRGN and tomoDRGN."""
        return (
            "data_optics" not in self.blocks
            and {"rlnGroupName", "rlnCtfScalefactor"} <= set(self.labels)
            and self.groups < len(self)
        )


class _Block:
    """A table while it is read."""

    def __init__(self, name: bytes):
        self.name = name
        self.labels: list[bytes] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.groups: dict[bytes, int] = {}
        self.group: list[int] = []
        self.at: int | None = None  # place of the column of groups
        self.loop = False
        self.over = False

    def add(self, tokens: list[bytes], start: int, end: int) -> None:
        """Take a row."""
        if not self.starts:
            places = [self.labels.index(g) for g in GROUPS if g in self.labels]
            self.at = places[0] if places else None
        self.starts.append(start)
        self.ends.append(end)
        if self.at is not None:
            self.group.append(self.groups.setdefault(tokens[self.at], len(self.groups)))


def read_star(path: Path, progress: Progress | None = None) -> Star:
    """Find the particle table, and where its rows are.

    Raises
    ------
    SirenError
        If there is none, or a row does not have a cell for each column.
    """
    progress = progress or Progress()
    try:
        with open_file(path) as file:
            state = os.fstat(file.fileno())
            blocks = _read_blocks(path, file, state.st_size, progress)
    except OSError as error:
        raise SirenError(
            f"{path} cannot be read ({error.strerror or error}): give a file that is there."
        ) from error
    tables = [b for b in blocks if b.loop and b.name not in _OTHERS]
    named = [b for name in _BLOCKS for b in tables if b.name == name and b.starts]
    images = [b for b in tables if b.starts and b"rlnImageName" in b.labels]
    chosen = named or (images if len(images) == 1 else [])
    if not chosen:
        shown = ", ".join(b.name.decode("utf-8", "replace") for b in blocks[:6]) or "none"
        raise SirenError(
            f"{path.name} has no table of particles (its data blocks: {shown}): give the particle "
            "star file that the training was given."
        )
    block = chosen[0]
    return Star(
        path,
        block.name.decode("utf-8", "replace"),
        tuple(label.decode("utf-8", "replace") for label in block.labels),
        np.array(block.starts, np.int64),
        np.array(block.ends, np.int64),
        None if block.at is None else np.array(block.group, np.int64),
        tuple(b.name.decode("utf-8", "replace") for b in blocks),
        (state.st_size, state.st_mtime_ns),
    )


def _read_blocks(path: Path, file: BinaryIO, size: int, progress: Progress) -> list[_Block]:
    blocks: list[_Block] = []
    place = number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        start, place = place, place + len(line)
        if b"\0" in line or len(line) == LONGEST_LINE:
            raise _no_star(path, f"line {number:,} is no text")
        if number % _CHECK == 0:
            progress.step("reading particles", place / max(size, 1))
        text = (line.removeprefix(BOM_UTF8) if number == 1 else line).strip()
        block = blocks[-1] if blocks else None
        if block is not None and block.loop and block.starts and not block.over:
            if not text:
                block.over = True  # as RELION reads it
                continue
        elif not text:
            continue
        if text.startswith(b"#"):
            continue
        if text.startswith(b"data_") and (len(text.split()) == 1):
            blocks.append(_Block(text))
        elif block is None:
            raise _no_star(path, f"line {number:,} is before any data block")
        else:
            _take(path, number, block, text, start, place)
    return blocks


def _take(path: Path, number: int, block: _Block, text: bytes, start: int, end: int) -> None:
    """Take a line of a block that is neither empty nor a comment."""
    if text == b"loop_" and not block.starts:
        if block.loop:
            raise _no_star(path, f"line {number:,} begins a second table in one data block")
        block.loop = True
    elif text.startswith(b"_") and not block.starts:
        block.labels.append(text.split()[0][1:])
    elif not block.loop:
        return  # a value of a block without a table goes on here
    elif block.over:
        raise _no_star(path, f"line {number:,} is a row after an empty line, where RELION stops")
    elif not block.labels:
        raise _no_star(path, f"line {number:,} is a row of a table without columns")
    else:
        tokens = _tokens(text)
        if len(tokens) != len(block.labels):
            raise _no_star(
                path,
                f"line {number:,} has {len(tokens):,} cells for {len(block.labels):,} columns",
            )
        block.add(tokens, start, end)


def _tokens(text: bytes) -> list[bytes]:
    """The cells of a row; blanks between quotes do not part them."""
    plain = text.split()
    if b'"' not in text and b"'" not in text:
        return plain
    cells: list[bytes] = []
    quote = b""
    for word in plain:
        if quote:
            cells[-1] += b" " + word
        else:
            cells.append(word)
            quote = word[:1] if word[:1] in (b'"', b"'") else b""
            if quote and len(word) == 1:
                continue
        if quote and word.endswith(quote) and (len(cells[-1]) > 1):
            quote = b""
    return cells


def write_star_rows(
    star: Star, rows: Sequence[int] | ArrayLike, path: Path, progress: Progress | None = None
) -> None:
    """Write the same file with some of its particles.

    Parameters
    ----------
    star : Star
    rows : sequence of int
        Rows to keep, from 0, in rising order.
    path : Path
        The file to write; it must not be the file itself.

    Raises
    ------
    SirenError
        If the file has changed since it was read.
    """
    progress = progress or Progress()
    chosen = np.asarray(rows, np.int64)
    with open_file(star.path) as file, path.open("wb") as out:
        state = os.fstat(file.fileno())
        if (state.st_size, state.st_mtime_ns) != star.stamp:
            raise SirenError(f"{star.path.name} changed while it was read: run the command again.")
        _copy(file, out, int(star.starts[0]))
        last = 0
        for n, (start, end) in enumerate(
            zip(star.starts[chosen].tolist(), star.ends[chosen].tolist(), strict=True)
        ):
            if n % _CHECK == 0:
                progress.step("writing particles", n / len(chosen))
            file.seek(start)
            row = file.read(end - start)
            out.write(row)
            last = row[-1]
        file.seek(int(star.ends[-1]))
        if last != ord("\n") and (rest := file.read(1)):
            out.write(b"\n" + rest)
        _copy(file, out, state.st_size)


def _copy(file: BinaryIO, out: BinaryIO, size: int) -> None:
    while size and (part := file.read(min(size, 1 << 20))):
        out.write(part)
        size -= len(part)


def _no_star(path: Path, why: str) -> SirenError:
    return SirenError(
        f"{path.name} cannot be read as a star file ({why}): give the particle star file that the "
        "training was given."
    )
