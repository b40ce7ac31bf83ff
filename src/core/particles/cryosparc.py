"""Particles of cryoSPARC: .cs files, which are numpy's, and the .csg that names them as one group.

A job of cryoSPARC may leave its particles in two files: one with what the job changed, and a
passthrough with the rest, in another order. The column ``uid`` says which rows belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.errors import SirenError
from ..common.progress import Progress
from .arrays import Records, npy_records

UID = "uid"
BATCH = 50_000  # rows between two reports
_STREAM = b"\x94CSDAT"


@dataclass(frozen=True)
class Particles:
    """The rows of a .cs file, on disk."""

    records: Records

    @property
    def path(self) -> Path:
        """The file."""
        return self.records.path

    def __len__(self) -> int:
        return self.records.shape[0]

    @property
    def uid(self) -> NDArray[np.uint64]:
        """(n,) cryoSPARC's number of each particle."""
        return np.array(self.records.mapped()[UID])


def read_cs(path: Path) -> Particles:
    """Open a .cs file.

    Raises
    ------
    SirenError
        If it is none.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(_STREAM)) == _STREAM:
                raise SirenError(
                    f"{path.name} is a stream of cryosparc-tools: save it there with "
                    "Dataset.save(..., format=1), as cryoSPARC's own files are."
                )
    records = npy_records(path)
    names = records.dtype.names or ()
    if len(records.shape) != 1 or not records.shape[0] or UID not in names:
        raise SirenError(
            f"{path.name} has no particles of cryoSPARC (rows with a uid): give the .cs file that "
            "the training was given."
        )
    if records.dtype[UID].kind not in "iu" or records.dtype[UID].shape:
        raise SirenError(f"{path.name} has a uid that is no number: give a .cs file of cryoSPARC.")
    return Particles(records)


def rows_of(passthrough: Particles, uids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows of a passthrough file with these particles, in their order.

    Raises
    ------
    SirenError
        If one is not there, or is there twice.
    """
    own = passthrough.uid
    order = np.argsort(own, kind="stable")
    ranked = own[order]
    if (ranked[1:] == ranked[:-1]).any():
        raise SirenError(
            f"{passthrough.path.name} has a uid twice: give a passthrough file as cryoSPARC wrote "
            "it."
        )
    places = np.minimum(np.searchsorted(ranked, uids), len(ranked) - 1)
    missing = int((ranked[places] != uids).sum())
    if missing:
        raise SirenError(
            f"{passthrough.path.name} lacks {missing:,} of the {len(uids):,} particles, by their "
            "uid: give the passthrough file of the same job."
        )
    return order[places].astype(np.int64)


def write_cs_rows(
    particles: Particles, rows: ArrayLike, path: Path, progress: Progress | None = None
) -> None:
    """Write a .cs file with some rows, as numpy.save would.

    Parameters
    ----------
    particles : Particles
    rows : (k,) of int
        Rows to keep, from 0, in this order.
    """
    progress = progress or Progress()
    chosen = np.asarray(rows, np.int64)
    header: Mapping[str, Any] = {
        "descr": np.lib.format.dtype_to_descr(particles.records.dtype),
        "fortran_order": False,
        "shape": (len(chosen),),
    }
    source = particles.records.mapped()
    with path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, dict(header))
        for start in range(0, len(chosen), BATCH):
            progress.step("writing particles", start / len(chosen))
            out.write(source[chosen[start : start + BATCH]].tobytes())


def group_text(files: Mapping[str, Particles], rows: int, title: str) -> str:
    """A .csg: the files as one group of particles, for "Import Result Group" of cryoSPARC.

    Parameters
    ----------
    files : mapping of Particles
        File name beside the .csg -> the file that it was made of; the first that has a slot counts.
    rows : int
        Particles in each.
    title : str
    """
    slots: dict[str, str] = {}
    for name, particles in files.items():
        for column in particles.records.dtype.names or ():
            if "/" in column:
                slots.setdefault(column.split("/")[0], name)
    lines = [
        "group:",
        f"  description: {_quoted(title)}",
        "  name: particles",
        f"  title: {_quoted(title)}",
        "  type: particle",
        "results:",
    ]
    for slot, name in sorted(slots.items()):
        lines += [
            f"  {slot}:",
            f"    metafile: {_quoted('>' + name)}",
            f"    num_items: {rows}",
            f"    type: particle.{slot}",
        ]
    return "\n".join([*lines, "version: v4.0.0", ""])


def _quoted(text: str) -> str:
    """A text as YAML has it between single quotes."""
    return "'" + "".join(c if c.isprintable() else " " for c in text).replace("'", "''") + "'"
