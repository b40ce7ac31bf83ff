"""Steps from input to finished output folder, for commands, notebooks and cluster scripts.

Example::

    from pathlib import Path

    from chimerax.siren.core import (
        ExpandParameters, SketchParameters, find_ensemble, read_thresholds, run_expand, run_sketch
    )

    output, table = Path("siren"), Path("siren/predictions.csv")
    ensemble = find_ensemble(["volumes"])
    levels = read_thresholds(table, ensemble)
    first = run_sketch(ensemble, levels, str(table), SketchParameters(), output)
    run = run_expand(first.blocks, first.record, ExpandParameters(), output)
    run.folder, run.table
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..analysis.block_occupancy import STATES_FILE, States, measure_states, read_states, states_csv
from ..analysis.parameters import StatesParameters
from ..blocks.alignment import find_misaligned, misalignment_note
from ..blocks.background import measure_background
from ..blocks.blockset import (
    BLOCKS_FILE,
    MEAN_FILE,
    TABLE_FILE,
    BlockSet,
    check_on_grid,
    read_block_maps,
    read_blocks_file,
    read_blocks_table,
)
from ..blocks.editing import with_values_of
from ..blocks.evidence import Evidence, with_evidence
from ..blocks.expand import expand
from ..blocks.occupancy import Occupancy, binarize
from ..blocks.parameters import INHERITED, ExpandParameters, SketchParameters
from ..blocks.region import MASK_FILE, Mask
from ..blocks.sketch import sketch
from ..blocks.stability import with_strength
from ..common import constants
from ..common.errors import SirenError, join_names
from ..common.files import RECORD, atomic_folder, check_writable, set_edits_aside
from ..common.progress import Progress
from ..maps.contrast import REMEDY, is_inverted
from ..maps.ensemble import Ensemble
from ..maps.fingerprint import copies_note
from ..maps.grid import Triple
from ..maps.mapfile import read_map, write_map
from .places import HARMONIZED_NOTE
from .record import Record, describe_volumes, read_record

if TYPE_CHECKING:  # slow to import: sessions are restored without
    import pandas as pd

SKETCH_FOLDER, EDIT_FOLDER, EXPAND_FOLDER = "00_sketch", "01_edited", "02_expand"
EDIT = "edit"  # name of the step in a record
EFFECTIVE = "effective_volumes"  # name of a count in a record


@dataclass(frozen=True)
class Run:
    """A finished sketch, edited set or expansion.

    Attributes
    ----------
    folder : Path
        Output folder.
    blocks : BlockSet
    table : DataFrame
        Content of blocks.csv.
    mean : (z, y, x) float32
        Mean of the volumes.
    level : float
        Mean of the volumes' levels, to contour ``mean``.
    record : Record
    aside : Path or None
        New path of an earlier folder of this name that was edited by hand, or held other edits.
    replaced : bool
        Whether the folder of an earlier run was replaced.
    notes : tuple of str
        Assumptions that were made, one sentence each, for the log.
    """

    folder: Path
    blocks: BlockSet
    table: pd.DataFrame
    mean: NDArray[np.float32]
    level: float
    record: Record
    aside: Path | None = None
    replaced: bool = False
    notes: tuple[str, ...] = field(default=())


def run_sketch(
    ensemble: Ensemble,
    levels: NDArray[np.float64] | float,
    thresholds: str,
    parameters: SketchParameters,
    output: Path,
    voxel_size: float | None = None,
    progress: Progress | None = None,
    left_out: Mapping[str, str] | None = None,
    mask: Mask | None = None,
    origin: Triple | None = None,
) -> Run:
    """Sketch an ensemble and write ``output``/00_sketch.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) float64
        Contour levels; or one for all.
    thresholds : str
        Origin of the levels in words, for the record.
    parameters : SketchParameters
    output : Path
        Folder, created if missing.
    voxel_size : float, optional
        Voxel size given by the user, for the record.
    progress : Progress, optional
    left_out : mapping of str, optional
        Selected volumes to leave out, with the reason, such as those flagged in the table of
        thresholds; their levels may be NaN.
    mask : Mask, optional
        An open map, in place of the file that ``parameters.mask`` names.
    origin : tuple of float, optional
        Origin given by the user, for the record.

    Raises
    ------
    SirenError, Cancelled
        As :func:`.sketch.sketch`; nothing is written.
    """
    progress, left_out = progress or Progress(), left_out or {}
    check_writable(output)
    levels = np.broadcast_to(np.asarray(levels, np.float64), (len(ensemble),))
    used = np.array([name not in left_out for name in ensemble.names])
    chosen = ensemble.select(exclude=tuple(left_out)) if left_out else ensemble
    result = sketch(chosen, levels[used], parameters, progress, mask)
    counts = {
        "union_voxels": len(result.union),
        "sampled_voxels": len(result.sample),
        "significant_pairs": len(result.edges),
        **_evidence_counts(result.evidence),
    }
    misaligned = find_misaligned(result.occupancy, progress)
    notes = _odd_levels_note(result.occupancy)
    notes += misalignment_note(misaligned, len(result.occupancy))
    notes += copies_note([(n, chosen.fingerprints.get(n, n)) for n in chosen.names])
    levels, thresholds = _levels_used(ensemble, levels, thresholds, result.occupancy)
    left_out = {**left_out, **result.occupancy.left_out}
    record = Record(
        "sketch",
        parameters.as_dict(),
        describe_volumes(ensemble, levels, left_out),
        thresholds,
        ensemble.grid,
        ensemble.box,
        voxel_size,
        counts,
        counted_on=result.counted_on,
        origin=origin,
    )
    return _write(
        output / SKETCH_FOLDER,
        record,
        result.blocks,
        result.occupancy,
        ensemble,
        progress,
        result.region,
        notes,
    )


def run_expand(
    blocks: BlockSet,
    source: Record,
    parameters: ExpandParameters,
    output: Path,
    ensemble: Ensemble | None = None,
    levels: NDArray[np.float64] | None = None,
    thresholds: str = "",
    source_folder: Path | None = None,
    progress: Progress | None = None,
    mask: Mask | None = None,
) -> Run:
    """Expand blocks and write ``output``/02_expand.

    Parameters
    ----------
    blocks : BlockSet
        On the ensemble's grid.
    source : Record
        Record of the sketch, for volumes and levels unless given.
    parameters : ExpandParameters
    output : Path
        Folder, created if missing.
    ensemble, levels, thresholds : optional
        Override those of the record; see :func:`run_sketch`.
    source_folder : Path, optional
        Folder of the sketch, for the record.
    progress : Progress, optional
    mask : Mask, optional
        An open map, in place of the file that ``parameters.mask`` names.

    Raises
    ------
    SirenError, Cancelled
        As :func:`.expand.expand`, or if blocks and volumes are on different grids; nothing is
        written.
    """
    progress = progress or Progress()
    check_writable(output)
    if ensemble is None:
        ensemble = source.ensemble(progress)
    same_volumes = set(ensemble.names) <= {v["name"] for v in source.used}
    agreed = levels is None and source.harmonized and not parameters.filter and same_volumes
    if levels is None:
        levels, thresholds = source.levels(ensemble), source.thresholds
    if blocks.grid.shape != ensemble.grid.shape or not np.allclose(
        blocks.grid.voxel_size, ensemble.grid.voxel_size, rtol=1e-3
    ):
        raise SirenError(
            f"The blocks are on a grid of {blocks.grid.text()} but the volumes have "
            f"{ensemble.grid.text()}: give "
            'the volumes of the sketch, or the same "box" and "voxelSize".'
        )
    result = expand(ensemble, levels, blocks, parameters, progress, agreed, mask)
    counts = {
        "union_voxels": len(result.union),
        "block_voxels_before": blocks.voxel_count,
        **_evidence_counts(result.evidence),
    }
    levels, thresholds = _levels_used(ensemble, levels, thresholds, result.occupancy)
    others = source.changed(ensemble)
    if others:
        ensemble = replace(ensemble, notes=(*ensemble.notes, _others_note(others, len(ensemble))))
    record = Record(
        "expand",
        parameters.as_dict(),
        describe_volumes(ensemble, levels, result.occupancy.left_out),
        thresholds,
        ensemble.grid,
        ensemble.box,
        source.voxel_size,
        counts,
        source=None if source_folder is None else str(source_folder),
        counted_on=result.counted_on,
        origin=source.origin,
    )
    return _write(
        output / EXPAND_FOLDER,
        record,
        result.blocks,
        result.occupancy,
        ensemble,
        progress,
        result.region,
        keep_earlier=_is_of_another(output / EXPAND_FOLDER, source_folder),
    )


def _odd_levels_note(occupancy: Occupancy) -> list[str]:
    """A sentence where the levels enclose no particle, whatever is found then."""
    if is_inverted(occupancy.mean):
        return [
            "The volumes look like inverted contrast (in their mean, the density is below the "
            "background), so that blocks would be where there is no density. Of each volume: "
            f"{REMEDY}."
        ]
    share = float(occupancy.frequency.mean(dtype=np.float64)) / len(occupancy)
    if share > constants.MAX_BOX_SHARE:
        return [
            f"At these contour levels a volume fills {share:.0%} of its box, on average, which no "
            "particle does: the levels are too low. Look at some volumes at their levels, predict "
            'them ("siren predict"), or give others.'
        ]
    return []


def _is_of_another(folder: Path, source: Path | None) -> bool:
    """Whether a folder holds the expansion of another set of blocks than that of ``source``."""
    try:
        before = read_record(folder).source
    except SirenError:  # none, or edited by hand, which is kept anyway
        return False
    if before is None or source is None:
        return False
    return Path(before).resolve() != source.resolve()


def run_edit(
    blocks: BlockSet,
    source: Record,
    source_folder: Path,
    folder: Path,
    ensemble: Ensemble | None = None,
    progress: Progress | None = None,
    source_blocks: BlockSet | None = None,
) -> Run:
    """Write blocks edited by hand as a complete output folder; their occupancy is measured again.

    Parameters
    ----------
    blocks : BlockSet
        On the grid of the source.
    source : Record
        Record of the sketch or expansion that was edited, for volumes, levels and parameters.
    source_folder : Path
        Folder of the source.
    folder : Path
        Output folder, created if missing.
    ensemble : Ensemble, optional
        The volumes, if they were moved since the source was written.
    progress : Progress, optional
    source_blocks : BlockSet, optional
        Its blocks, if the folder of the source is gone; read from there by default.

    Raises
    ------
    SirenError, Cancelled
        If there are no blocks, the folder is that of the source, or its volumes are missing;
        nothing is written.
    """
    progress = progress or Progress()
    if not len(blocks):
        raise SirenError("There is no block to save: all were deleted.")
    if folder.resolve() == source_folder.resolve() and source.step != EDIT:
        raise SirenError(
            f"{folder} is the folder being edited and would be replaced: give another folder."
        )
    ensemble = ensemble or source.ensemble(progress)
    occupancy = occupancy_of(source, ensemble, progress)
    started_from = source.source if source.step == EDIT else str(source_folder)
    counts = {
        "union_voxels": source.counts["union_voxels"],
        "blocks_before": source.counts["blocks"],
        **{k: n for k, n in source.counts.items() if k == EFFECTIVE},
    }
    record = Record(
        EDIT,
        source.parameters,
        describe_volumes(ensemble, source.levels(ensemble), occupancy.left_out),
        source.thresholds,
        source.grid,
        source.box,
        source.voxel_size,
        counts,
        source=started_from,
        origin=source.origin,
    )
    # stability was measured before editing: it still holds for unchanged blocks
    with progress.timed("strength"):
        like = _like_source(blocks, source_folder, source_blocks)
        weighed = with_strength(like, occupancy, progress)
    with progress.timed("evidence"):
        background = measure_background(ensemble, occupancy, progress)
        weighed, _ = with_evidence(weighed, occupancy, ensemble, background, progress)
    region = (
        read_map(source_folder / MASK_FILE)[0].ravel() > 0.5
        if (source_folder / MASK_FILE).is_file()
        else None
    )
    # edits of another sketch, or of an earlier time, are work by hand
    others = folder.resolve() != source_folder.resolve()
    return _write(
        folder, record, weighed, occupancy, ensemble, progress, region, keep_earlier=others
    )


def _like_source(blocks: BlockSet, folder: Path, known: BlockSet | None) -> BlockSet:
    """Copy the stability of unchanged blocks from the source."""
    try:
        return with_values_of(blocks, known or read_blocks_file(folder / BLOCKS_FILE))
    except SirenError:
        return blocks


def occupancy_of(
    record: Record, ensemble: Ensemble | None = None, progress: Progress | None = None
) -> Occupancy:
    """Read and binarize the volumes of a run again, at the levels that it used.

    Parameters
    ----------
    record : Record
    ensemble : Ensemble, optional
        The volumes, if they were moved since; those that the run had passed over are, again.
    progress : Progress, optional

    Raises
    ------
    SirenError, Cancelled
        If a volume is missing, changed, or was only in memory, and ``ensemble`` is not given.
    """
    progress = progress or Progress()
    if ensemble is None:
        ensemble = record.ensemble(progress)
    elif passed_over := set(record.not_chosen) & set(ensemble.names):
        ensemble = ensemble.select(exclude=tuple(passed_over))
    with progress.timed("reading"):
        occupancy = binarize(ensemble, record.levels(ensemble), progress=progress)
    others = record.changed(ensemble)
    if others:
        progress.say(_others_note(others, len(ensemble)))
    return occupancy


def run_states(
    folder: Path,
    blocks: BlockSet | None = None,
    parameters: StatesParameters | None = None,
    ensemble: Ensemble | None = None,
    progress: Progress | None = None,
) -> States:
    """Occupancy of each block in each volume of a run.

    It is read from the run's table, or measured in the volumes if ``blocks`` differ or volumes are
    given.

    Parameters
    ----------
    folder : Path
        Folder of a sketch, an edited set or an expansion.
    blocks : BlockSet, optional
        Default: the blocks of the run.
    parameters : StatesParameters, optional
    ensemble : Ensemble, optional
        The volumes in which to measure.
    progress : Progress, optional

    Raises
    ------
    SirenError, Cancelled
        If the folder is not that of a run, or a volume is missing.
    """
    record, own = read_record(folder), read_blocks_file(folder / BLOCKS_FILE)
    known = ensemble is None and (folder / STATES_FILE).is_file()
    if known and (blocks is None or _same_voxels(blocks, own)):
        states = read_states(folder / STATES_FILE, own, parameters)
    else:
        states = measure_states(
            own if blocks is None else blocks,
            occupancy_of(record, ensemble, progress),
            parameters,
            progress,
        )
    return replace(states, effective_volumes=effective_volumes_of(record))


def effective_volumes_of(record: Record) -> float | None:
    """How many independent volumes those of a run are worth; None if it did not measure it."""
    return record.counts.get(EFFECTIVE)


def _same_voxels(one: BlockSet, other: BlockSet) -> bool:
    return list(one.blocks) == list(other.blocks) and all(
        np.array_equal(v, other.blocks[n]) for n, v in one
    )


def _others_note(others: list[str], count: int) -> str:
    verb = "are" if others[1:] else "is"
    return (
        f"{len(others):,} of the {count:,} volumes {verb} not as in the sketch "
        f"({join_names(others)}): the blocks may not be theirs. To be sure, sketch them."
    )


def place_of_expansion(folder: Path, record: Record) -> Path:
    """The folder in which the expansion of a run belongs: where its sketch is.

    Parameters
    ----------
    folder, record : of the sketch, or of a set that was edited, which may be saved elsewhere
    """
    sketch = Path(record.source) if record.step == EDIT and record.source else folder
    return sketch.parent if sketch.parent.is_dir() else folder.parent


def inherited_parameters(source: Record, folder: Path | None = None) -> dict[str, object]:
    """Test parameters of a sketch, the defaults of its expansion.

    Not inherited are the filter, which was already applied, and the device and scheduler, which may
    not be available.

    Parameters
    ----------
    source : Record
    folder : Path, optional
        Of the sketch: its mask is that of the expansion, too.
    """
    inherited = {name: value for name, value in source.parameters.items() if name in INHERITED}
    if folder is not None and (folder / MASK_FILE).is_file():
        inherited["mask"] = str(folder / MASK_FILE)
    return inherited


def read_blocks(place: str | Path) -> BlockSet:
    """Read blocks from a folder of block maps, as a person may have edited them, or from a
    blocks.json.

    Parameters
    ----------
    place : the folder of a run, or any with block maps, see :func:`.blockset.read_block_maps`; or
        the path of a blocks.json

    Returns
    -------
    BlockSet
        From a folder, with the stability and strength that its blocks.json has for the blocks
        whose voxels are still the same.

    Raises
    ------
    SirenError
        If there is no such file or folder, the folder holds no block maps, or a file is of another
        kind.
    """
    path = Path(place).expanduser()
    if path.is_file():
        return read_blocks_file(path)
    blocks = read_block_maps(path)
    try:
        known = read_blocks_file(path / BLOCKS_FILE)
        check_on_grid(BLOCKS_FILE, known.grid, blocks.grid)
    except SirenError:  # a folder filled by hand
        return blocks
    return with_values_of(blocks, known)


def open_run(folder: Path) -> Run:
    """Read the output folder of a run.

    Raises
    ------
    SirenError
        If the folder is not that of a sketch, an edited set or an expansion.
    """
    record = read_record(folder)
    blocks = read_blocks_file(folder / BLOCKS_FILE)
    mean, grid = read_map(folder / MEAN_FILE)
    for name, found in ((BLOCKS_FILE, blocks.grid), (MEAN_FILE, grid)):
        try:
            check_on_grid(name, found, record.grid)
        except SirenError as error:
            raise SirenError(
                f"{folder} holds files of different runs: {name} has a grid of {found.text()}, "
                f"{RECORD} one of {record.grid.text()}. Run the step again."
            ) from error
    table = read_blocks_table(folder / TABLE_FILE, blocks)
    return Run(folder, blocks, table, mean, _mean_level(record), record)


def _evidence_counts(evidence: Evidence | None) -> dict[str, float | None]:
    """What is recorded of an ensemble's evidence; None for what could not be measured."""
    if evidence is None:
        return {}
    effective = evidence.effective_volumes
    return {
        EFFECTIVE: round(effective, 1) if np.isfinite(effective) else None,
        "background_sd": round(evidence.noise, 4),
        "doubtful_blocks": sum(e.doubtful for e in evidence.blocks.values()),
    }


def _levels_used(
    ensemble: Ensemble, levels: NDArray[np.float64], thresholds: str, occupancy: Occupancy
) -> tuple[NDArray[np.float64], str]:
    """The levels used, given levels for volumes left out, and the origin of the levels in words."""
    used = dict(zip(occupancy.names, occupancy.levels.tolist(), strict=True))
    result = np.array(
        [used.get(name, level) for name, level in zip(ensemble.names, levels.tolist(), strict=True)]
    )
    changed = not np.array_equal(result, levels, equal_nan=True) and not thresholds.endswith(
        HARMONIZED_NOTE
    )
    return result, thresholds + HARMONIZED_NOTE if changed else thresholds


def _mean_level(record: Record) -> float:
    return float(np.mean([v["level"] for v in record.used]))


def _write(
    folder: Path,
    record: Record,
    blocks: BlockSet,
    occupancy: Occupancy,
    ensemble: Ensemble,
    progress: Progress,
    region: NDArray[np.bool_] | None,
    notes: Sequence[str] = (),
    keep_earlier: bool = False,
) -> Run:
    progress.step("writing", 0)
    record.not_chosen = [n for n in ensemble.all_names if n not in set(ensemble.names)]
    record.counts = {
        "volumes": len(ensemble),
        "volumes_used": len(occupancy),
        **record.counts,
        "blocks": len(blocks),
        "block_voxels": blocks.voxel_count,
        "unassigned_voxels": len(blocks.unassigned),
    }
    table = blocks.table(occupancy.frequency, len(occupancy))
    with atomic_folder(folder) as temporary:
        with progress.timed("writing"):
            blocks.write(temporary, table, occupancy.mean, progress)
            if region is not None:
                inside = region.reshape(blocks.grid.shape).astype(np.float32)
                write_map(temporary / MASK_FILE, inside, blocks.grid, "SIREn: where blocks may be")
            states = states_csv(measure_states(blocks, occupancy))
            (temporary / STATES_FILE).write_bytes(states.encode("utf-8", "surrogateescape"))
        record.timings = dict(progress.seconds)
        record.write(temporary)
        progress.step("writing", 1)  # last chance to stop before earlier results change
        aside = set_edits_aside(folder, keep_earlier)
        replaced = aside is None and folder.exists()
    return Run(
        folder,
        blocks,
        table,
        occupancy.mean,
        _mean_level(record),
        record,
        aside,
        replaced,
        (*ensemble.notes, *notes),
    )
