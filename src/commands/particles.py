"""``siren particles``: the particles of the volumes that have some blocks and lack others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, IntArg, ListOf, RepeatOf
from chimerax.core.errors import UserError

from ..core.analysis.parameters import StatesParameters
from ..core.common.progress import Progress
from ..core.maps.finding import common_folder
from ..core.particles.choose import (
    Sources,
    WrittenParticles,
    choose_particles,
    read_sources,
    write_particles,
)
from ..core.particles.parameters import ParticlesParameters
from ..core.particles.places import Files, find_files
from ..session.commandline import NameArg, OpenFile, SaveFolder
from ..session.inputs import sources_of
from ..session.jobs import run_job
from ..session.log import log_lines
from .arguments import BlocksArg, VolumesArg, keywords_of
from .chosen import chosen_blocks, given_ensemble, paths_of, selection_of, split_keywords, states_of

DEFAULT_FOLDER = "particles"  # in the folder of the results
FILES = ("labels", "latent", "centers", "indices")


def particles(
    session: Any,
    blocks: Any,
    with_: list[int] | None = None,
    without: list[int] | None = None,
    particle_file: str | None = None,
    passthrough: list[str] | None = None,
    labels: str | None = None,
    latent: str | None = None,
    centers: str | None = None,
    indices: str | None = None,
    output_dir: str | None = None,
    name: str = "",
    replace: bool = False,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Write the particles of the volumes that have some blocks and lack others."""
    chosen = chosen_blocks(session, blocks)
    selection = selection_of(with_, without)
    parameters, measured = split_keywords(keywords, ParticlesParameters)
    if name and Path(name).name != name:
        raise UserError(f"{name} is no name of a file: give a name without folders.")
    if passthrough and not particle_file:
        raise UserError('"passthrough" adds to a .cs file: give that as "particleFile".')
    given = Files(_absolute(labels), _absolute(latent), _absolute(centers), _absolute(indices))
    tables = [path for p in (particle_file, *(passthrough or ())) if (path := _absolute(p))]
    folder = _absolute(output_dir) or chosen.folder.parent / DEFAULT_FOLDER
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> WrittenParticles:
        ensemble = given_ensemble(chosen.record, sources, progress)
        states = states_of(chosen, measured, ensemble, progress)
        place, beside = common_folder(paths_of(chosen.record, ensemble, states.names))
        files = find_files(given, place)
        found = choose_particles(states, selection, files, parameters, beside, progress)
        tilts = files.tilts if parameters.tilts is None else parameters.tilts
        tabled = read_sources(tables, found.assignment, tilts, progress) if tables else Sources()
        return write_particles(found, tabled, folder, parameters.rest, replace, name, progress)

    def show(written: WrittenParticles) -> WrittenParticles:
        log_lines(session, _lines(written))
        return written

    return run_job(session, "siren particles", work, show)


def _absolute(path: str | None) -> Path | None:
    return Path(path).expanduser().absolute() if path else None


def _lines(written: WrittenParticles) -> list[str]:
    found = written.particles
    lines = [*written.notes, *found.sentences()]
    if written.sources.words:
        lines.append(written.sources.words)
    files = [f"{name} ({count:,})" if count else name for name, count in written.files.items()]
    return [*lines, f"Written to {written.folder}: {', '.join(files)}"]


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren particles": (
            lambda: CmdDesc(
                required=[("blocks", BlocksArg)],
                keyword=[
                    ("with_", ListOf(IntArg)),
                    ("without", ListOf(IntArg)),
                    ("particle_file", OpenFile),
                    ("passthrough", RepeatOf(OpenFile)),
                    *((name, OpenFile) for name in FILES),
                    ("output_dir", SaveFolder),
                    ("name", NameArg),
                    ("replace", BoolArg),
                    ("volumes", VolumesArg),
                    *keywords_of(StatesParameters),
                    *keywords_of(ParticlesParameters),
                ],
                synopsis="Write the particles of volumes with some blocks and without others",
            ),
            particles,
        ),
    }
