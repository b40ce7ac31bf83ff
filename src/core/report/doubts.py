"""What to doubt in a result, in words: the first thing a colleague will ask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..blocks.verdicts import DOUBTFUL, GRADED, MOVING
from ..common import constants
from ..common.errors import SirenError
from ..runs.record import Record
from ..runs.steps import EDIT
from ..thresholds.matching import FILE
from ..thresholds.tables import FLAG, LEVEL, read_rows
from .content import BlockRow, Report
from .inputs import levels_table

FEW_VOLUMES = 200  # the published tool asks for as many
UNSET_VOXEL = 1.0  # A; what headers say that were never set


@dataclass(frozen=True)
class Doubt:
    """One thing to doubt.

    Attributes
    ----------
    about : in a few words
    text : why, and what would tell
    """

    about: str
    text: str


def doubts(report: Report) -> list[Doubt]:
    """What to doubt in a result, the gravest first; what holds for every result comes last."""
    return [
        *_of_verdicts(report.rows),
        *_of_volumes(report),
        *_of_blocks(report),
        *_of_levels(report.record),
        *_of_sizes(report),
        *(Doubt("Something was not found", sentence) for sentence in report.missing),
        _ALWAYS,
    ]


def doubts_of_block(row: BlockRow, report: Report) -> list[str]:
    """What to doubt in one block, a few words each."""
    found = []
    if row.verdict and row.verdict != "solid":
        found.append(row.verdict)
    if not row.verdict:
        found.append("not judged by its density")
    if row.stability is not None and row.stability < constants.LOW_STABILITY:
        found.append(f"stability {row.stability:.2f}")
    if row.number in report.states.ungrouped:
        found.append("no two groups of volumes")
    if _rarer_side(row, report) < constants.RARE_VOLUMES:
        found.append("in few volumes, or in nearly all")
    return found


def _rarer_side(row: BlockRow, report: Report) -> float:
    """How many volumes have the block, or lack it, whichever are fewer; effective ones if they are
    known.
    """
    many = len(report.states.names)
    return min(row.share, 1 - row.share) * min(many, report.effective or many)


def _of_verdicts(rows: Sequence[BlockRow]) -> Iterator[Doubt]:
    doubtful = [r for r in rows if r.verdict.startswith(DOUBTFUL)]
    if doubtful:
        why = "; ".join(f"{r.number}: {r.verdict.partition(': ')[2]}" for r in doubtful)
        yield Doubt(
            f"{_blocks(doubtful)} {_are(doubtful)} probably not part{'s'[: len(doubtful) > 1]} "
            "that come and go",
            f"The density says so. {why}.",
        )
    moving = [r for r in rows if r.verdict == MOVING]
    if moving:
        yield Doubt(
            f"{_blocks(moving)} may move rather than come and go",
            "As the block comes, about as much density leaves around it. Either the part moves, or "
            "something else takes turns with it: look at a volume with it and at one without it.",
        )
    graded = [r for r in rows if r.verdict == GRADED]
    if graded:
        yield Doubt(
            f"{_blocks(graded)} never quite {'go' if len(graded) > 1 else 'goes'} away",
            "Where the block is absent, some of its density stays, or the volumes do not form two "
            "groups. Present or absent is then a cut through a range, and the number of volumes "
            "depends on where it is.",
        )
    unknown = [r for r in rows if not r.verdict]
    if unknown:
        yield Doubt(
            f"{_blocks(unknown)} {'have' if len(unknown) > 1 else 'has'} no verdict",
            "Edited blocks, and those of early versions, have not been compared with the density: "
            "save the blocks or expand them, which measures it.",
        )


def _of_volumes(report: Report) -> Iterator[Doubt]:
    used, effective = len(report.states.names), report.effective
    if used < FEW_VOLUMES:
        yield Doubt(
            f"There are only {used:,} volumes",
            f"{FEW_VOLUMES} or more are advised: with fewer, rare blocks are missed, and the "
            "intervals of occupancy are wide.",
        )
    if effective is not None and effective < constants.FEW_EFFECTIVE:
        yield Doubt(
            f"The volumes vary together, like {effective:.0f} independent ones",
            "So do those of a decoder with few latent dimensions. P-values and halves of the "
            "volumes then mean little; the intervals below allow for it. More particles, or two "
            "trainings on halves of the particles, would tell.",
        )
    volumes = report.record.volumes
    left = [v for v in volumes if v["left_out"]]
    if len(left) > constants.MANY_LEFT_OUT * len(volumes):
        yield Doubt(
            f"{len(left):,} of {len(volumes):,} volumes were left out",
            "The reasons are in the list of volumes. What they show, no block can show.",
        )


def _of_blocks(report: Report) -> Iterator[Doubt]:
    low = [
        r for r in report.rows if r.stability is not None and r.stability < constants.LOW_STABILITY
    ]
    if low:
        yield Doubt(
            f"{_blocks(low)} {'come' if len(low) > 1 else 'comes'} back in fewer than half of the "
            "random halves of the volumes",
            "The block depends on which volumes were taken, or on the contour level. A half has "
            "only half the evidence: with more volumes it may come back.",
        )
    unsure = [r for r in report.rows if r.number in report.states.ungrouped]
    if unsure:
        yield Doubt(
            f"{_blocks(unsure)} {'part' if len(unsure) > 1 else 'parts'} the volumes into no two "
            "groups",
            "About as much of it is in all volumes, as of two blocks that exclude each other and "
            "were merged. Who has it depends on the cut: do not read its occupancy and relations.",
        )
    rare = [r for r in report.rows if _rarer_side(r, report) < constants.RARE_VOLUMES]
    if rare:
        worth = " effective" if report.effective else ""
        yield Doubt(
            f"{_blocks(rare)} {_are(rare)} present or absent in fewer than "
            f"{constants.RARE_VOLUMES}{worth} volumes",
            "A few wrong contour levels could make or hide it. Look at these volumes one by one.",
        )
    if report.edited or any(s.record.step == EDIT for s in report.steps):
        yield Doubt(
            "Blocks were edited by hand",
            "What a person has merged, split or painted is that person's judgment; no statistic "
            "vouches for it.",
        )


def _of_levels(record: Record) -> Iterator[Doubt]:
    flagged = _flagged(record)
    if flagged:
        yield Doubt(
            f"{len(flagged):,} of the volumes that were used {_are(flagged)} flagged",
            "When their contour levels were predicted, something looked wrong, such as "
            f"{flagged[0][1]} ({flagged[0][0]}). They can be left out by filter flags.",
        )
    if record.thresholds.startswith("level "):
        yield Doubt(
            "All volumes are contoured at one level",
            "That is right only if the volumes are on one scale.",
        )


def _of_sizes(report: Report) -> Iterator[Doubt]:
    if report.record.step == "sketch":
        yield Doubt(
            "The blocks are those of a sketch",
            f"About {100 * report.sampled:.0f} % of the voxels were compared, and sizes are those "
            "of that sample. Expand the sketch for whole blocks.",
        )
    sizes = report.record.grid.voxel_size
    if all(abs(s - UNSET_VOXEL) < 1e-4 for s in sizes):
        yield Doubt(
            "The voxel size is 1.00 A",
            "Usually that is a header that was never set: sizes and masses are then wrong.",
        )


_ALWAYS = Doubt(
    "What holds for every result",
    "Stability guards against chance, not against artifacts: the volumes of one cryoDRGN, 3DVA or "
    "RECOVAR run share what their model got wrong, and a false block can come back in every half. "
    "The strongest test is a second training on other particles. Sizes are those of the density "
    "above the contour level, at the resolution of the maps, and so are masses.",
)


def _flagged(record: Record) -> list[tuple[str, str]]:
    """The volumes used that were flagged when their levels were predicted, with the flag."""
    path = levels_table(record)
    try:
        if path is None or not path.is_file():
            return []
        rows, columns = read_rows(path, [LEVEL], "predictions table")
    except (OSError, SirenError):
        return []
    if FLAG not in columns or FILE not in columns:
        return []
    used = {v["name"] for v in record.used}
    return [(r[FILE], r[FLAG]) for r in rows if r[FLAG] and r[FILE] in used]


def _blocks(rows: Sequence[BlockRow]) -> str:
    words = [f"{r.number} ({r.name})" if r.name else str(r.number) for r in rows]
    if len(words) == 1:
        return f"Block {words[0]}"
    return f"Blocks {', '.join(words[:-1])} and {words[-1]}"


def _are(rows: Sequence[object]) -> str:
    return "are" if len(rows) > 1 else "is"
