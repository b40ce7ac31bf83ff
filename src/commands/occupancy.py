"""``siren occupancy``: how much of each block, mask or chain is in each volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import CmdDesc, EnumOf, ListOf
from chimerax.core.errors import UserError
from chimerax.map import Volume
from numpy.typing import NDArray

from ..core.analysis.annotation import Atoms
from ..core.analysis.occupancy_tables import OCCUPANCIES_FILE, PARTS_FILE
from ..core.analysis.parameters import OccupancyParameters
from ..core.analysis.part_occupancy import Occupancies, measure_occupancies
from ..core.analysis.parts import Part, block_parts, chain_parts, chain_reach, mask_parts
from ..core.blocks.background import vary_together
from ..core.blocks.region import Mask
from ..core.common.files import RECORD
from ..core.common.progress import Progress
from ..core.maps.ensemble import Ensemble, find_ensemble, find_sources
from ..core.maps.grid import Grid, Triple
from ..core.maps.source import Source
from ..core.runs.steps import SKETCH_FOLDER, effective_volumes_of
from ..session.answers import also_answer
from ..session.atoms import core_atoms, polymer_atoms
from ..session.commandline import SaveFolder, open_text, path_text
from ..session.inputs import (
    OutputPlace,
    map_name,
    map_source,
    output_place,
    parameters_of,
    sources_of,
    user_errors,
)
from ..session.jobs import run_job
from ..session.log import link, log_lines, log_picture, log_table
from ..session.moved import is_gone
from ..session.surfaces import BlockMap
from ..session.words import counted
from .annotate import ModelAtomsArg
from .arguments import PLACED, BlocksArg, VolumesArg, keywords_of
from .chosen import Chosen, chosen_blocks, given_ensemble
from .levels import LEVELS, check_levels, chosen_levels

FORMATS = ("png", "svg", "pdf")
OUTPUT = "occupancy"  # folder in that of the results, for masks alone
LOGGED_PARTS = 60


@dataclass(frozen=True)
class Asked:
    """What is measured: the blocks of a run if there are any, and other parts."""

    chosen: Chosen | None
    masks: list[Mask]
    references: list[Source] | None
    atoms: Atoms | None
    parameters: OccupancyParameters

    def parts(self, ensemble: Ensemble, progress: Progress) -> list[Part]:
        """All parts, on the grid of the volumes."""
        found = block_parts(self.chosen.blocks) if self.chosen else []
        if self.masks:
            found += mask_parts(self.masks, ensemble, self.references, progress)
        if self.atoms is not None:
            found += chain_parts(self.atoms, ensemble.grid, self.parameters)
        return found


@dataclass(frozen=True)
class Measured:
    """The result, with what the log says of it."""

    found: Occupancies
    files: list[Path]
    replaced: bool
    paths: dict[str, Path]
    grid: Grid
    notes: list[str] = field(default_factory=list)


def occupancy(
    session: Any,
    blocks: Any = None,
    volumes: list[Any] | None = None,
    masks: list[Any] | None = None,
    references: list[Any] | None = None,
    model: Any = None,
    level: float | None = None,
    thresholds: str | None = None,
    output_dir: str | None = None,
    figures: list[str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    voxel_size: float | None = None,
    origin: Triple | None = None,
    **keywords: Any,
) -> Any:
    """Measure how much of each block, mask and chain is in each volume; write what was found."""
    parameters = parameters_of(OccupancyParameters, keywords)
    check_levels(level, thresholds)
    if (
        blocks is not None
        and volumes is None
        and (masks or model is not None)
        and not _is_run(blocks)
    ):
        blocks, volumes = None, [blocks]  # "siren occupancy volumes masks masks"
    chosen = None if blocks is None else chosen_blocks(session, blocks)
    _check(chosen, volumes, masks, references, model, level, thresholds)
    _check_selection(chosen, include, exclude, voxel_size, origin)
    frame = _frame(blocks, volumes)
    asked = Asked(
        chosen,
        _masks(masks or [], frame),
        None if references is None else _plain_sources(references),
        None if model is None else _atoms(model, frame),
        parameters,
    )
    sources = sources_of(volumes) if volumes else None
    place = None if chosen else output_place(volumes or [], output_dir)
    folder = _output(chosen, place, output_dir)

    def work(progress: Progress) -> Measured:
        from ..core.figures.occupancies import write_occupancies  # matplotlib takes a moment

        notes: list[str] = []
        if chosen is not None:
            ensemble, levels, where = _of_run(chosen, sources, progress)
        else:
            assert place is not None
            ensemble = find_ensemble(
                sources or [],
                voxel_size,
                progress,
                1,
                tuple(exclude),
                tuple(include),
                origin=origin,
            )
            at = chosen_levels(ensemble, level, thresholds, place, notes, progress)
            ensemble, levels, where = at.ensemble, at.levels, at.where
        found = measure_occupancies(
            asked.parts(ensemble, progress), ensemble, levels, parameters, progress
        )
        if chosen is not None and (others := chosen.record.changed(ensemble)):
            notes.append(
                f"{len(others):,} of the volumes are not as in the run (such as {others[0]}): its "
                "levels may not be theirs."
            )
        replaced = (folder / OCCUPANCIES_FILE).exists()
        progress.step("drawing", 0)
        colors = chosen.colors if chosen else None
        files = write_occupancies(folder, found, figures or ["png"], colors)
        if place is not None:
            place.claim()
        paths = {s.name: s.path for s in ensemble.sources if s.path is not None}
        said = [*ensemble.notes, *notes, f"Contour levels: {where}"]
        return Measured(found, files, replaced, paths, ensemble.grid, said)

    def show(measured: Measured) -> Occupancies:
        also_answer(files=measured.files)
        _log(session, measured, asked)
        return measured.found

    return run_job(session, "siren occupancy", work, show)


def _output(chosen: Chosen | None, place: OutputPlace | None, given: str | None) -> Path:
    """The folder of the tables: as given, else beside the run, or in that of the results."""
    if given:
        return Path(given).expanduser().absolute()
    if chosen is None:
        assert place is not None
        return place.path / OUTPUT
    if is_gone(chosen.folder):
        raise UserError(f"{chosen.folder} is gone: give outputDir for the tables.")
    return chosen.folder.parent / f"{chosen.folder.name}_{OUTPUT}{chosen.part}"


def _of_run(
    chosen: Chosen, sources: list[Any] | None, progress: Progress
) -> tuple[Ensemble, NDArray[np.float64], str]:
    """The volumes of a run, their contour levels, and where these are from."""
    ensemble = given_ensemble(chosen.record, sources, progress)
    ensemble = ensemble or chosen.record.ensemble(progress)
    return ensemble, chosen.record.levels(ensemble), f"those of {chosen.folder.name}"


def _is_run(blocks: Any) -> bool:
    if isinstance(blocks, list):
        return True
    folder = Path(blocks).expanduser().absolute()
    return any((f / RECORD).is_file() for f in (folder, folder.parent / SKETCH_FOLDER))


def _check(
    chosen: Chosen | None,
    volumes: Any,
    masks: Any,
    references: Any,
    model: Any,
    level: Any,
    thresholds: Any,
) -> None:
    """Refuse what does not go together."""
    if chosen is None and not volumes:
        raise UserError(
            'Which volumes? Give a run or open blocks, as in "siren occupancy siren/02_expand", '
            'or volumes and masks, as in "siren occupancy volumes FOLDER masks FOLDER".'
        )
    if chosen is None and not masks and model is None:
        raise UserError(
            "Occupancy of what? Give masks, as in "
            '"siren occupancy volumes FOLDER masks FOLDER", or an open model, as in "model #3".'
        )
    if references and not masks:
        raise UserError('References go with masks: add "masks FOLDER", or leave references out.')
    if chosen is not None and (level is not None or thresholds is not None):
        raise UserError(
            f"{chosen.folder.name} has the contour levels of its volumes: leave out level and "
            "thresholds."
        )


def _check_selection(
    chosen: Chosen | None,
    include: Sequence[str],
    exclude: Sequence[str],
    voxel_size: float | None,
    origin: Triple | None,
) -> None:
    given = include or exclude or voxel_size is not None or origin is not None
    if chosen is not None and given:
        raise UserError(
            f"{chosen.folder.name} has its own volumes: leave out include, exclude, voxelSize and "
            "origin."
        )


def _frame(blocks: Any, volumes: Any) -> Any:
    """Where the volumes lie in the scene: their position, or that of their open blocks."""
    from chimerax.geometry import Place

    models = volumes if volumes else blocks if isinstance(blocks, list) else []
    maps = [m for m in models if isinstance(m, Volume)]
    maps = [m for m in maps if isinstance(m, BlockMap)] or maps
    return maps[0].scene_position if maps else Place()


def _plain_sources(given: Sequence[Any]) -> list[Source]:
    """Files and open maps, each as it is."""
    maps, found = sources_of(given, placed=False), list[Source]()
    for item, source in zip(given, maps, strict=True):
        found += [source] if isinstance(item, Volume) else user_errors(find_sources, [source])
    return found


def _masks(given: Sequence[Any], frame: Any) -> list[Mask]:
    names = [map_name(v) for v in given if isinstance(v, Volume)]
    masks: list[Mask] = []
    files = [v for v in given if not isinstance(v, Volume)]
    for volume in given:
        if isinstance(volume, Volume):
            source = user_errors(map_source, volume, names.count(map_name(volume)) > 1)
            placement = (frame.inverse() * volume.scene_position).matrix
            masks.append(Mask(source, None, placement))
    return masks + [Mask(s) for s in (user_errors(find_sources, files) if files else [])]


def _atoms(objects: Any, frame: Any) -> Atoms:
    if not len(objects.atoms):
        raise UserError(
            'No atoms: give an open mmCIF or PDB file that lies in the volumes, as in "model #3".'
        )
    return core_atoms(polymer_atoms(objects.atoms), frame)


def _log(session: Any, measured: Measured, asked: Asked) -> None:
    found, many = measured.found, len(measured.found.names)
    notes = list(measured.notes)
    if asked.atoms is not None:
        reach = chain_reach(measured.grid, asked.parameters)
        notes.append(
            f"Mask of a chain: voxels within {reach:.3g} A of its atoms and closer to it than to "
            "other chains of the model"
        )
    effective = effective_volumes_of(asked.chosen.record) if asked.chosen else None
    if vary_together(effective, many):
        notes.append(
            f"The {many:,} volumes vary together, like {effective:.0f} independent ones. The test "
            "for two groups and the intervals take all for independent: they mean little here"
        )
    log_lines(
        session,
        [
            *([asked.chosen.words] if asked.chosen and asked.chosen.words else []),
            f"{counted(len(found.parts), 'part')} in {many:,} volumes, {measured.grid.text()}",
            *notes,
            f"MAVEn's measure: {found.maven_words}",
        ],
    )
    shown = list(enumerate(zip(found.parts, found.calls, strict=True)))[:LOGGED_PARTS]
    rows = [
        (
            f"{part.shown}  {part.label}" if part.number is None else part.shown,
            call.call,
            f"{call.present:,}",
            f"{100 * call.present / many:.0f} %",
            f"{call.cut:.2f} ({call.low:.2f} to {call.high:.2f})",
            f"{call.uncertain:,}",
            f"{call.share.p:.2g}",
            f"{call.share.mean:.2f}",
            f"{call.maven.mean:.3g} ± {call.maven.sd:.2g}",
            _links(measured, asked, k),
        )
        for k, (part, call) in shown
    ]
    log_table(
        session,
        (
            *("part", "call", "volumes", "", "cut (95 %)", "uncertain"),
            *("p (one group)", "mean share", "MAVEn", "volumes with most, least"),
        ),
        rows,
        links=True,
    )
    if len(found.parts) > len(shown):
        log_lines(session, [f"and {len(found.parts) - len(shown):,} more, in {PARTS_FILE}"])
    for path in measured.files:
        if path.suffix == ".png":
            log_picture(session, path)
    verb = "Written again, in place of earlier ones" if measured.replaced else "Written"
    names = ", ".join(f.name for f in measured.files)
    log_lines(session, [f"{verb}: {names} in {measured.files[0].parent}"])


def _links(measured: Measured, asked: Asked, k: int) -> str:
    """Show the volumes with the most and the least of a part; of a block, a pair that differs in
    little else.
    """
    found, words = measured.found, []
    for word, v in (("most", found.share[k].argmax()), ("least", found.share[k].argmin())):
        path = measured.paths.get(found.names[v])
        if path is not None:
            command = f"siren show {path_text(path)} level {found.levels[v]:.6g}"
            words.append(link(command, word))
    part, chosen = found.parts[k], asked.chosen
    if part.number is not None and chosen is not None and not is_gone(chosen.folder):
        command = f"siren representatives {path_text(chosen.folder)} block {part.number}"
        words.append(link(command, "pair"))
    opening = open_text(part.path) if part.path is not None else None
    if opening is not None:
        words.append(link(opening, "mask"))
    return " ".join(words)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def desc() -> CmdDesc:
        return CmdDesc(
            optional=[("blocks", BlocksArg)],
            keyword=[
                ("volumes", VolumesArg),
                ("masks", VolumesArg),
                ("references", VolumesArg),
                ("model", ModelAtomsArg),
                *LEVELS,
                ("output_dir", SaveFolder),
                ("figures", ListOf(EnumOf(FORMATS))),
                *PLACED,
                *keywords_of(OccupancyParameters),
            ],
            synopsis="Measure how much of each block, mask or chain is in each volume",
        )

    return {"siren occupancy": (desc, occupancy)}
