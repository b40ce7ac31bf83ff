"""``siren mask``: masks of blocks for focused classification, MAVEn and segmentation tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, IntArg, ListOf
from chimerax.core.errors import UserError

from ..core.analysis.masks import MASKS_FILE, WrittenMasks, mask_grid, write_masks
from ..core.analysis.maven import MavenFolder, write_maven
from ..core.analysis.parameters import MaskParameters
from ..core.analysis.segmentation import SUFFIXES, Segmentation, write_segmentation
from ..core.blocks.blockset import BlockSet
from ..core.blocks.display import COMPLETE, sampled_share
from ..core.common.progress import Progress
from ..core.maps.grid import Grid
from ..core.runs.record import Record
from ..session.commandline import SaveFile, SaveFolder, open_text
from ..session.inputs import parameters_of, sources_of
from ..session.jobs import run_job
from ..session.log import link, log_lines
from ..session.moved import beside
from ..session.scene import volumes_folder
from ..session.surfaces import set_level
from ..session.words import counted
from .arguments import BlocksArg, VolumesArg, check_suffix, keywords_of
from .chosen import chosen_blocks

MASKS_FOLDER = "masks"


@dataclass(frozen=True)
class MaskFiles:
    """What ``siren mask`` wrote.

    Attributes
    ----------
    masks, maven, segmentation : None if not asked for
    notes : sentences for the log
    """

    masks: WrittenMasks | None
    maven: MavenFolder | None
    segmentation: Segmentation | None
    notes: list[str]


def mask(
    session: Any,
    blocks: Any,
    folder: str | None = None,
    only: list[int] | None = None,
    maven: str | None = None,
    segmentation: str | None = None,
    open: bool = False,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Write masks of blocks: wider than they are, with a soft edge, in the box of the volumes."""
    parameters: MaskParameters = parameters_of(MaskParameters, keywords)
    chosen = chosen_blocks(session, blocks)
    own, record = _only(chosen.blocks, only), chosen.record
    share = sampled_share(chosen.blocks, record.sampled)
    if not len(own):
        raise UserError("There are no blocks, so there is nothing to make masks of.")
    labeled = Path(segmentation).expanduser().absolute() if segmentation else None
    if labeled:
        check_suffix(labeled, SUFFIXES, "segmentation")
    target = Path(folder).expanduser().absolute() if folder else None
    if target is None and not maven and labeled is None:
        word = f"#{blocks[0].id_string}" if isinstance(blocks, list) else "#1"
        remedy = f'name a folder, as in "siren mask {word} FOLDER"'
        target = beside(chosen.folder, remedy) / MASKS_FOLDER
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> MaskFiles:
        grid = _volumes_grid(record, sources, progress)
        masks = write_masks(target, own, grid, parameters, progress) if target else None
        exported = (
            write_maven(
                Path(maven).expanduser().absolute(),
                own,
                grid,
                _levels(record),
                parameters,
                progress,
            )
            if maven
            else None
        )
        drawn = None
        if labeled:
            place = mask_grid(own.grid, grid, parameters)
            known = next((Path(v["path"]) for v in record.used if v["path"]), None)
            on_it = place == grid and known is not None and known.is_file()
            drawn = write_segmentation(labeled, own, place, chosen.colors, known if on_it else None)
        return MaskFiles(masks, exported, drawn, _notes(share, masks))

    def show(result: MaskFiles) -> MaskFiles:
        _log(session, result, volumes_folder(record))
        if open and result.masks:
            _open(session, result.masks)
        return result

    return run_job(session, "siren mask", work, show)


def _only(blocks: BlockSet, numbers: Sequence[int] | None) -> BlockSet:
    """The blocks with these numbers, or all."""
    if not numbers:
        return blocks
    missing = next((n for n in numbers if n not in blocks.blocks), None)
    if missing is not None:
        raise UserError(
            f"There is no block {missing}: there are {', '.join(map(str, blocks.blocks))}."
        )
    return replace(blocks, blocks={n: v for n, v in blocks if n in numbers})


def _volumes_grid(record: Record, sources: list[Any] | None, progress: Progress) -> Grid | None:
    if not sources:
        return record.volumes_grid()
    return record.find(sources, progress).grid


def _levels(record: Record) -> list[tuple[str, float | None]]:
    """Every volume of the run's folder, also those that were left out: MAVEn reads them, too."""
    found: list[tuple[str, float | None]] = [(v["name"], v["level"]) for v in record.volumes]
    return [*found, *((name, None) for name in record.not_chosen)]


def _notes(share: float, masks: WrittenMasks | None) -> list[str]:
    notes = []
    if share < COMPLETE:
        notes.append(
            f"These blocks hold about {share:.0%} of the voxels, as those of a sketch do: masks of "
            'expanded blocks ("siren expand") are without gaps.'
        )
    if masks is None:
        return notes
    cut = masks.table.loc[masks.table["at_face"] == "yes", "file"].tolist()
    if cut:
        notes.append(
            f"{', '.join(cut)} reach{'es' * (len(cut) == 1)} the faces of the box, where the edge "
            "is cut off: give smaller dilate or soft."
        )
    grid = masks.grid
    if len(set(grid.shape)) > 1 or max(grid.voxel_size) > 1.001 * min(grid.voxel_size):
        notes.append(
            f"The box is no cube ({grid.text()}); RELION and cryoSPARC need the cube of the "
            'particles: give "box".'
        )
    if any(grid.origin):
        notes.append(
            "The masks have the origin of the volumes, "
            f"{', '.join(f'{o:.4g}' for o in grid.origin)} A, so that they overlay them in "
            "ChimeraX; RELION and cryoSPARC go by voxels alone."
        )
    return notes


def _log(session: Any, result: MaskFiles, volumes: str) -> None:
    lines = list(result.notes)
    if result.masks:
        found = result.masks
        lines += [
            f"{row.file}: {row.voxels:,} voxels above 0.5 ({row.volume_A3:,.0f} A^3)"
            for row in found.table.itertuples()
        ]
        first = found.table.iloc[0]
        lines.append(
            f"{len(found.table)} mask{'s' * (len(found.table) != 1)} of {found.grid.text()}, "
            f"widened by {first.dilate_A:.3g} A, with an edge of {first.soft_A:.3g} A, written to "
            f"{found.folder} ({MASKS_FILE} lists them)."
        )
        if found.replaced:
            lines.append(f"Replaced: {', '.join(found.replaced)}.")
    if result.maven:
        lines += _maven_lines(result.maven, volumes)
    if result.segmentation:
        drawn = result.segmentation
        lines.append(
            f"{counted(len(drawn.labels), 'label')} written to {drawn.file}"
            + (", which was replaced" if drawn.replaced else "")
            + f"; their names and colors to {drawn.table.name}."
        )
        if drawn.shared:
            lines.append(
                f"{drawn.shared:,} voxels are in several blocks: they have the lowest number."
            )
    log_lines(session, lines)
    if result.segmentation and (command := open_text(result.segmentation.file)):
        session.logger.info(f"To open it: {link(command, command)}", is_html=True)


def _maven_lines(found: MavenFolder, volumes: str) -> list[str]:
    lines = [
        f"{len(found.table)} masks and the levels of {len(found.levels):,} volumes written to "
        f"{found.folder}" + (", which was replaced." if found.replaced else "."),
        "Run MAVEn with: " + found.command(volumes or "VOLUMES"),
    ]
    if found.skipped:
        lines.append(
            f"{len(found.skipped)} volumes, as {found.skipped[0]}, are not named as MAVEn takes "
            "them (vol_001.mrc): it passes over what is no .mrc, and stops at other names."
        )
    if found.without:
        lines.append(
            f"{len(found.without)} volumes, as {found.without[0]}, have no level: MAVEn gives them "
            "occupancies of 0."
        )
    return lines


def _open(session: Any, found: WrittenMasks) -> None:
    from chimerax.core.commands import run
    from chimerax.map import open_map

    for name in found.table["file"]:
        path = found.folder / name
        command = open_text(path)
        if command is None:  # no command of ChimeraX can name it
            volumes, _ = open_map(session, str(path))
            session.models.add(volumes)
        else:
            volumes = run(session, command)
        for volume in volumes:
            set_level(volume, 0.5)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren mask": (
            lambda: CmdDesc(
                required=[("blocks", BlocksArg)],
                optional=[("folder", SaveFolder)],
                keyword=[
                    ("only", ListOf(IntArg)),
                    *keywords_of(MaskParameters),
                    ("maven", SaveFolder),
                    ("segmentation", SaveFile),
                    ("open", BoolArg),
                    ("volumes", VolumesArg),
                ],
                synopsis="Write masks of blocks for other programs",
            ),
            mask,
        )
    }
