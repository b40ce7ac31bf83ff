"""Where each volume is in the latent space of the program that made it.

Example::

    from pathlib import Path

    from chimerax.siren.core.particles.latent import volume_latent

    names = ["vol_001.mrc", "vol_002.mrc"]
    table = Path("latent.csv")
    table.write_text("volume,z1,z2\\nvol_001.mrc,0.5,1.5\\nvol_002.mrc,-0.5,0.25\\n")
    volume_latent(names, given=table).landscape().points  # (2, 2)
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..analysis.landscape import Landscape, plane_of
from ..common.errors import SirenError, join_names
from ..common.tables import parse_number, read_table
from .arrays import points, read_value, whole_numbers
from .assignment import VOLUME, places_by_name
from .numbering import Numbering, number_in, numbering
from .places import centers_beside, clusters_beside, latent_beside

OWN = "centers_ind.txt"  # the particle that each volume of k-means was made at
LATENT = "latent"
TABLE = f"a csv with a column '{VOLUME}' and one for each coordinate"
REMEDY = f'give "latent FILE" (z_values.txt, centers.txt, or {TABLE})'


@dataclass(frozen=True)
class VolumeLatent:
    """Volumes in latent space.

    Attributes
    ----------
    names : V volumes
    values : (V, D) coordinates
    words : what each of the D coordinates is
    files : that were read
    notes : where the coordinates are from and which volume is which row, one sentence each
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    words: tuple[str, ...]
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def landscape(self) -> Landscape:
        """The volumes in a plane: one or two coordinates as they are, the first two principal
        components of more.
        """
        plane = plane_of(self.names, self.values, self.words, LATENT)
        return replace(plane, near="by their places in latent space")


def volume_latent(
    names: Sequence[str],
    folder: Path | None = None,
    beside: Collection[str] = (),
    given: Path | None = None,
    first: int | None = None,
) -> VolumeLatent:
    """The latent coordinates of volumes, from a file or from what is beside the volumes.

    Parameters
    ----------
    names : sequence of str
        File names of the volumes.
    folder : Path, optional
        That of the volumes.
    beside : collection of str
        Names of all maps in it, which tell whether numbers start at 0 or 1.
    given : Path, optional
        A table (.csv) with a column ``volume``, or a row of coordinates for each volume (.txt,
        .npy, .pkl). Default: what cryoDRGN, tomoDRGN or RECOVAR wrote into the folder.
    first : int, optional
        The number in the file name of the volume of the first row.

    Raises
    ------
    SirenError
        If nothing is known of the volumes in latent space, a file cannot be read, or it is open
        which volume is which row.
    """
    if given is not None and given.suffix.lower() == ".csv":
        return _of_table(given, names)
    values, files, words = _rows(given) if given is not None else _found(folder)
    around = {*beside, *names}
    if given is not None and first is None:
        _check_whole(given, len(values), names, around)
    rows = numbering(names, around, len(values), first, files[0].name, "row", TABLE)
    return VolumeLatent(
        tuple(names),
        _ordered(values, rows, names),
        tuple(f"{LATENT} {k}" for k in range(1, values.shape[1] + 1)),
        files,
        (words, f"Volumes by the numbers in their file names: {rows.words}."),
    )


def _ordered(
    values: NDArray[np.float64], rows: Numbering, names: Sequence[str]
) -> NDArray[np.float64]:
    return values[[rows.clusters[name] for name in names]]


def _rows(path: Path) -> tuple[NDArray[np.float64], tuple[Path, ...], str]:
    """A row of coordinates for each volume, the files read, and what they are."""
    content = read_value(path)
    if isinstance(content, dict) and "centers" in content:  # RECOVAR
        content = content["centers"]
    values = points(content, path, "latent coordinates, one row for each volume")
    return values, (path,), f"Latent coordinates of the volumes from {path}."


def _found(folder: Path | None) -> tuple[NDArray[np.float64], tuple[Path, ...], str]:
    """The same of what is beside the volumes."""
    path = (centers_beside(folder) or clusters_beside(folder)) if folder else None
    if path is not None:
        return _rows(path)
    own = folder / OWN if folder else None
    latent = latent_beside(folder) if folder and own and own.is_file() else None
    if own is None or latent is None:
        place = f" in {folder}" if folder else ""
        raise SirenError(
            f"Nothing beside the volumes{place} says where each is in latent space: {REMEDY}."
        )
    particles = points(read_value(latent), latent, "latent coordinates, one row for each particle")
    rows = whole_numbers(read_value(own), own, "particles, one for each center")
    if int(rows.min()) < 0 or int(rows.max()) >= len(particles):
        raise SirenError(
            f"{own} names particle {int(rows.max()):,}, but {latent.name} has {len(particles):,}, "
            f"from 0: the two are of different trainings; {REMEDY}."
        )
    words = f"Latent coordinates of the volumes from {latent}, at the particles in {own.name}."
    return particles[rows], (own, latent), words


def _check_whole(path: Path, rows: int, names: Sequence[str], around: Collection[str]) -> None:
    """Whether a file that was given can have a row for each volume: those of all particles have
    more, and their first rows are no volumes.
    """
    prefixes = {n[0] for name in names if (n := number_in(name))}
    numbers = [n[1] for name in around if (n := number_in(name)) and n[0] in prefixes]
    count = max(numbers) - min(numbers) + 1 if numbers else len(names)
    if rows != count:
        raise SirenError(
            f"{path.name} has {rows:,} rows, but the volumes and the maps beside them are "
            f"{count:,}: give a file with a row for each volume (z_values.txt or centers.txt, not "
            f"z.pkl), or {TABLE}; or say which volume is its first row, as in "
            '"first 0" for vol_000.mrc.'
        )


def _of_table(path: Path, names: Sequence[str]) -> VolumeLatent:
    """Coordinates by the names of the volumes."""
    table = read_table(path, [VOLUME], "table of the latent coordinates of each volume", [VOLUME])
    columns = [c for c in table.columns if c != VOLUME]
    if not columns:
        raise SirenError(f"{path.name} has no column besides '{VOLUME}': give {TABLE}.")
    places = places_by_name(names)
    values = np.full((len(names), len(columns)), np.nan)
    seen: set[int] = set()
    for row in table.rows:
        at = places.get(row[VOLUME].strip())
        if at is None:
            continue
        if at in seen:
            raise SirenError(f"{path.name} has {names[at]} twice: give each volume once.")
        seen.add(at)
        for column, name in enumerate(columns):
            number = parse_number(row[name])
            if number is None or not np.isfinite(number):
                raise SirenError(
                    f"{path.name} has {row[name] or 'nothing'} as '{name}' of {names[at]}: give a "
                    "number, or leave the column or the row out."
                )
            values[at, column] = number
    if not seen:
        raise SirenError(
            f"{path.name} names none of the {len(names):,} volumes (the first is {names[0]}): give "
            f"file names, or the numbers in them, in the column '{VOLUME}'."
        )
    known = [k for k in range(len(names)) if k in seen]
    notes = [f"Latent coordinates of the volumes from {path}: {', '.join(columns)}."]
    if missing := [name for k, name in enumerate(names) if k not in seen]:
        word = "is" if len(missing) == 1 else "are"
        notes.append(f"{join_names(missing)} {word} not in {path.name} and left out.")
    return VolumeLatent(
        tuple(names[k] for k in known), values[known], tuple(columns), (path,), tuple(notes)
    )
