"""The particles of the volumes that have some blocks and lack others, and their files.

Example::

    from pathlib import Path

    from chimerax.siren.core.analysis.selection import Selection
    from chimerax.siren.core.particles.choose import (
        Sources, choose_particles, write_particles
    )
    from chimerax.siren.core.particles.places import Files
    from chimerax.siren.core.runs.steps import run_states

    states = run_states(Path("siren/02_expand"))
    names = [states.names[n % len(states.names)] for n in range(1000)]  # of 1000 particles
    table = Path("volume_of_particle.csv")
    table.write_text("\\n".join(["volume", *names]))
    chosen = choose_particles(states, Selection((1,), (2,)), Files(labels=table))
    write_particles(chosen, Sources(), Path("particles"))
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.block_occupancy import States
from ..analysis.selection import Selection
from ..common.errors import SirenError, join_names
from ..common.files import atomic_files
from ..common.progress import Progress
from .assignment import Assignment, as_json, assign
from .cryosparc import Particles, group_text, read_cs, rows_of, write_cs_rows
from .parameters import ParticlesParameters
from .pickles import pickled_indices
from .places import Files
from .star import Star, read_star, write_star_rows

STAR, CS = ".star", ".cs"


@dataclass(frozen=True)
class ChosenParticles:
    """Particles by the blocks of their volumes.

    Attributes
    ----------
    selection : the blocks
    volumes : names of the volumes that fit
    others : how many volumes do not
    rows : (k,) rows of the particle file that belong to these volumes, rising from 0
    rest : (m,) those of the other volumes
    unused : particles of no volume at hand: their volume was left out, or they have none
    assignment : the volume of each particle
    """

    selection: Selection
    volumes: tuple[str, ...]
    others: int
    rows: NDArray[np.int64]
    rest: NDArray[np.int64]
    unused: int
    assignment: Assignment

    @property
    def total(self) -> int:
        """All particles."""
        return len(self.assignment.volume)

    @property
    def stem(self) -> str:
        """A name for files: ``with_2_3_without_5``."""
        return self.selection.stem

    def sentences(self) -> list[str]:
        """What was chosen and how that is known, one sentence each."""
        number = self.assignment.numbering
        found = [
            f"{len(self.rows):,} of {self.total:,} particles, in {len(self.volumes):,} of "
            f"{len(self.volumes) + self.others:,} volumes: {self.selection.words}"
        ]
        if number is not None:
            found.append(f"Volumes by the numbers in their file names: {number.words}")
        if self.unused:
            found.append(
                f"{self.unused:,} particles are in neither set: their volume was left out, or they "
                "have none"
            )
        return found


def choose_particles(
    states: States,
    selection: Selection,
    files: Files,
    parameters: ParticlesParameters | None = None,
    beside: Collection[str] = (),
    progress: Progress | None = None,
) -> ChosenParticles:
    """The particles of the volumes that fit a selection.

    Parameters
    ----------
    states : States of V volumes
    selection : Selection
    files : Files
        Which volume each particle belongs to, see :func:`.places.find_files`.
    parameters : ParticlesParameters, optional
    beside : collection of str
        Names of all maps in the folder of the volumes.
    progress : Progress, optional

    Raises
    ------
    SirenError
        As :func:`.assignment.assign`, or if no volume fits, or no particle belongs to those that
        do.
    """
    parameters = parameters or ParticlesParameters()
    if not selection.having and not selection.lacking:
        raise SirenError('Which particles? Name blocks, as in "with 2,3" or "without 5".')
    fits = selection.volumes(states)
    found = assign(files, states.names, beside, parameters.first, progress)
    wanted = np.zeros(len(states.names) + 2, bool)  # the last two stand for -2 and -1
    wanted[fits] = True
    known = found.volume >= 0
    rows = np.sort(found.rows[wanted[found.volume] & known])
    if not len(rows):
        raise SirenError(
            f"No particle belongs to the {len(fits):,} volumes {selection.words}: give the list "
            f"that was written with these volumes instead of {found.files[0].name}."
        )
    return ChosenParticles(
        selection,
        tuple(states.names[k] for k in fits),
        len(states.names) - len(fits),
        rows,
        np.sort(found.rows[~wanted[found.volume] & known]),
        int((~known).sum()),
        found,
    )


@dataclass(frozen=True)
class Sources:
    """The particle file from which rows are taken.

    Attributes
    ----------
    star : a star file; None if it is of cryoSPARC
    cs : a .cs file and its passthrough files
    per_particle : whether several rows of the star file, its tilt images, are one particle
    """

    star: Star | None = None
    cs: tuple[Particles, ...] = ()
    per_particle: bool = False

    @property
    def words(self) -> str:
        """How rows stand for particles, one sentence; empty if one each."""
        if self.star is None or not self.per_particle:
            return ""
        return (
            f"{self.star.path.name} has {len(self.star):,} rows, the tilt images of "
            f"{self.star.groups:,} particles by their group names"
        )

    def star_rows(self, particles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the star file of these particles."""
        assert self.star is not None
        if not self.per_particle or self.star.group is None:
            return particles
        wanted = np.zeros(self.star.groups, bool)
        wanted[particles] = True
        return np.flatnonzero(wanted[self.star.group]).astype(np.int64)


def read_sources(
    paths: Sequence[Path],
    assignment: Assignment,
    tilts: bool | None = None,
    progress: Progress | None = None,
) -> Sources:
    """Open the particle file, and check that it is the one that the particles were taken from.

    Parameters
    ----------
    paths : sequence of Path
        A .star file; or a .cs file, and its passthrough files.
    assignment : Assignment
    tilts : bool, optional
        Whether rows of one group are tilt images of one particle.
    progress : Progress, optional

    Raises
    ------
    SirenError
        If a file cannot be read, or does not have the particles.
    """
    suffixes = {path.suffix.lower() for path in paths}
    if suffixes == {CS}:
        files = tuple(read_cs(path) for path in paths)
        _check_count(paths[0], len(files[0]), assignment)
        return Sources(cs=files)
    if suffixes != {STAR} or len(paths) != 1:
        raise SirenError(
            f"{join_names([p.name for p in paths])}: give one .star file, or one .cs file and its "
            "passthrough files."
        )
    star = read_star(paths[0], progress)
    count = len(assignment.volume)
    if tilts is None and star.groups and star.groups < len(star):
        if not assignment.open_end:
            tilts = count == star.groups
        elif star.looks_like_tilts:
            raise SirenError(
                f"{star.path.name} may have a row for each particle, or for each tilt image of "
                f'{star.groups:,} particles: add "tilts false" or "tilts true".'
            )
    if tilts and not star.groups:
        raise SirenError(
            f"{star.path.name} has no column rlnGroupName, by which rows are tilt images of one "
            'particle: leave out "tilts", or give the star file of the training.'
        )
    _check_count(star.path, star.groups if tilts else len(star), assignment)
    return Sources(star=star, per_particle=bool(tilts))


def _check_count(path: Path, count: int, assignment: Assignment) -> None:
    """Whether the particle file can be the one of the training."""
    needed, particles = int(assignment.rows.max()) + 1, len(assignment.volume)
    if (count >= needed) if assignment.open_end else (count == particles):
        return
    if needed > particles:
        said = f"{assignment.files[-1].name} needs row {needed:,}"
    else:
        said = f"{assignment.files[0].name} has {particles:,}"
    raise SirenError(
        f"{path.name} has {count:,} particles, but {said}: give the particle file of the training, "
        'and if that used only some of it, the indices that it was given ("indices ind.pkl").'
    )


@dataclass(frozen=True)
class WrittenParticles:
    """Files of particles.

    Attributes
    ----------
    particles : what was chosen
    sources : the particle file
    folder : of the files
    files : file name -> how many particles (or rows) are in it; 0 for what describes others
    notes : what was assumed, one sentence each
    """

    particles: ChosenParticles
    sources: Sources
    folder: Path
    files: dict[str, int]
    notes: tuple[str, ...] = ()


def write_particles(
    chosen: ChosenParticles,
    sources: Sources,
    folder: Path,
    rest: bool = True,
    replace: bool = False,
    name: str = "",
    progress: Progress | None = None,
) -> WrittenParticles:
    """Write the chosen particles: indices for cryoDRGN, and the rows of the particle file.

    Parameters
    ----------
    chosen : ChosenParticles
    sources : Sources
        See :func:`read_sources`; empty: the indices alone.
    folder : Path
    rest : bool
        Also write the particles of the other volumes.
    replace : bool
        Replace files of the same names.
    name : str
        Of the files, without suffix; default :attr:`ChosenParticles.stem`.
    progress : Progress, optional

    Raises
    ------
    SirenError
        If a file is there already, or cannot be written. Then none is.
    """
    progress = progress or Progress()
    stem = name or chosen.stem
    sets = {stem: chosen.rows}
    if rest and len(chosen.rest):
        sets[f"{stem}_rest"] = chosen.rest
    makers: dict[str, tuple[int, Any]] = {}
    for one, rows in sets.items():
        makers |= _makers(one, rows, chosen, sources, progress)
    counts = {file: count for file, (count, _) in makers.items()}
    record = _record(chosen, sources, counts)
    makers[f"{stem}.json"] = 0, lambda path: path.write_text(record, "utf-8", newline="\n")
    paths = [folder / file for file in makers]
    inputs = {p.resolve() for p in (*chosen.assignment.files, *_paths(sources))}
    if own := [p.name for p in paths if p.resolve() in inputs]:
        raise SirenError(f"{own[0]} is read and cannot be written as well: give another outputDir.")
    if not replace and (there := [p.name for p in paths if p.exists()]):
        raise SirenError(
            f"{join_names(there)} in {folder} would be replaced: give another outputDir or name, "
            'or add "replace true".'
        )
    with atomic_files(*paths) as temporary:
        for path, (_, make) in zip(temporary, makers.values(), strict=True):
            make(path)
    return WrittenParticles(
        chosen, sources, folder, counts | {f"{stem}.json": 0}, chosen.assignment.notes
    )


def _paths(sources: Sources) -> list[Path]:
    return [*([sources.star.path] if sources.star else []), *(p.path for p in sources.cs)]


def _makers(
    stem: str,
    rows: NDArray[np.int64],
    chosen: ChosenParticles,
    sources: Sources,
    progress: Progress,
) -> dict[str, tuple[int, Any]]:
    """File name -> how much is in it, and what writes it, of one set."""
    found: dict[str, tuple[int, Any]] = {
        f"{stem}.pkl": (len(rows), lambda path: path.write_bytes(pickled_indices(rows)))
    }
    if sources.star is not None:
        star, own = sources.star, sources.star_rows(rows)
        found[f"{stem}{STAR}"] = (
            len(own),
            lambda path: write_star_rows(star, own, path, progress),
        )
    if sources.cs:
        names = [f"{stem}{CS}"] + [
            f"{stem}_passthrough{'' if n == 1 else f'_{n}'}{CS}" for n in range(1, len(sources.cs))
        ]
        uids = sources.cs[0].uid[rows]
        for n, (file, particles) in enumerate(zip(names, sources.cs, strict=True)):
            place = rows_of(particles, uids) if n else rows
            found[file] = (
                len(rows),
                lambda path, p=particles, r=place: write_cs_rows(p, r, path, progress),
            )
        text = group_text(
            dict(zip(names, sources.cs, strict=True)), len(rows), f"SIREn: {chosen.selection.words}"
        )
        found[f"{stem}.csg"] = (
            0,
            lambda path: path.write_text(text, "utf-8", newline="\n"),
        )
    return found


def facts(chosen: ChosenParticles, sources: Sources, files: dict[str, int]) -> dict[str, Any]:
    """The choice as plain values, for programs."""
    return {
        "with": list(chosen.selection.having),
        "without": list(chosen.selection.lacking),
        "volumes": list(chosen.volumes),
        "other_volumes": chosen.others,
        "particles": len(chosen.rows),
        "rest": len(chosen.rest),
        "in_neither": chosen.unused,
        "of_particles": chosen.total,
        "assignment": as_json(chosen.assignment),
        "notes": list(chosen.assignment.notes),
        "particle_files": [str(path) for path in _paths(sources)],
        "tilt_images_of_one_particle": sources.per_particle,
        "files": files,
    }


def _record(chosen: ChosenParticles, sources: Sources, files: dict[str, int]) -> str:
    return json.dumps(facts(chosen, sources, files), indent=1) + "\n"
