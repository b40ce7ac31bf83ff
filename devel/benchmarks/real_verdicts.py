"""Verdicts on real volumes: ten maps of 50S assembly intermediates, alone and redrawn:
``python devel/benchmarks/real_verdicts.py`` writes ``real_verdicts.md`` beside it.

What comes and goes in these maps is not known voxel by voxel, so the blocks are described rather
than scored: by their evidence in the redrawn volumes and in the ten, and by the parts of the atomic
model in them. The maps and the model are outside the project; without them nothing is written.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from real_parts import DEPLETED, part_names, part_presence, published

from chimerax.siren.core.blocks.background import measure_background
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.evidence import Evidence, measure_evidence
from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.occupancy import binarize
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.blocks.verdicts import MOVING, BlockEvidence
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.maps.grid import Grid
from planted import (
    REAL_LEVEL,
    SHARED,
    Absent,
    in_memory,
    predicted_levels,
    real_volumes,
)
from redrawn import BELONGS, JITTER, VARIES, VOLUMES, part_bodies, redraw

TABLE = Path(__file__).with_name("real_verdicts.md")
RELATED = 0.9  # correlation over the ten volumes above which a protein follows a block
QUANTILES = (5, 50, 95)  # %
HEAD = """# Verdicts on real volumes

Made by `make bench-real`. Ten cryoDRGN volumes of 50S assembly intermediates (EMPIAR-10076, cells
depleted of bL17; 64^3, 6.55 A), first alone, then redrawn as `redrawn.py` describes: each drawn many
times, with noise of the volumes' own spectrum and other scales and levels. Sketch and expand by
default. *Contrast*, *rise*, *solidity*, *exchange* and *verdict*: see the manual, and
src/core/blocks/evidence.py."""
UNKNOWN = (
    "- Not known: which voxels really come and go. No map of the truth exists, and the model is the "
    "mature subunit: a part that is not in its place may be elsewhere.",
    "- Not known: whether a block is a part or an artifact that the decoder put into the ten. "
    "Redrawing renews the noise, not the volumes. Two trainings on halves of the particles would "
    "tell; the particles are not here.",
    "- Not known: how parts depend on each other. Ten volumes have too few combinations.",
)


@dataclass(frozen=True)
class Found:
    """Blocks of the redrawn volumes, and what is known of them.

    Attributes
    ----------
    blocks : BlockSet after expand, with stability
    evidence : of the redrawn volumes
    sketched : Evidence of the sketch, by its numbers
    originals : Evidence of the same blocks in the ten volumes
    shares : block number -> (10,) occupied share of the block in the volumes drawn from each
    """

    blocks: BlockSet
    evidence: Evidence
    sketched: Evidence
    originals: Evidence
    shares: dict[int, NDArray[np.float64]]


def main() -> int:
    """Write the page, or say why not."""
    try:
        volumes, grid = real_volumes()
        parts = part_bodies(grid)
    except Absent as reason:
        print(f"real_verdicts.md: left as it is, {reason}.")
        return 0
    ten = in_memory(volumes, grid, volume_names())
    found = blocks_of_redrawn(ten, volumes, grid)
    evidence = evidence_in(
        BlockSet(grid, {k: b for k, b in enumerate(parts) if len(b)}), ten
    ).blocks
    varies = part_presence(parts, volumes).std(axis=1) > VARIES
    sections = [
        [HEAD],
        ["## The ten alone", "", *alone_lines(ten)],
        [f"## Redrawn {VOLUMES} times", "", *block_lines(found)],
        ["## Parts of the 50S in the blocks", "", *part_lines(found, parts, varies)],
        ["## Thirteen proteins with published masks", "", *protein_lines(found)],
        ["## What goes where a block comes", "", *loss_lines(found, volumes)],
        ["## The parts themselves", "", *part_evidence_lines(evidence, varies)],
        ["## What is known, and what is not", "", *known_lines(found, parts, volumes)],
    ]
    text = "\n\n".join("\n".join(lines) for lines in sections) + "\n"
    print(text)
    TABLE.write_text(text, encoding="utf-8")
    return 0


# --- the ensembles


def volume_names() -> tuple[str, ...]:
    """File names of the ten volumes, in their order."""
    assert SHARED is not None
    return tuple(p.name for p in sorted((SHARED / "real_ensemble").glob("vol_*.mrc")))


def alone_lines(ten: Ensemble) -> list[str]:
    """What a sketch of the ten volumes says."""
    lines = []
    levels = {f"level {REAL_LEVEL:g}": np.full(len(ten), REAL_LEVEL)}
    try:
        levels["predicted levels"] = predicted_levels(ten)
    except Absent as reason:
        lines.append(f"Predicted levels: left out here, {reason}.")
    for words, given in levels.items():
        spread = f" ({given.min():.2f} to {given.max():.2f})" if np.ptp(given) else ""
        try:
            result = sketch(ten, given)
        except SirenError as error:
            lines.append(f"- {words}{spread}: no sketch: {error}")
            continue
        lines.append(
            f"- {words}{spread}: {len(result.blocks)} blocks of {len(result.sample):,} voxels "
            f"compared. "
            f"{_worth(result.evidence, len(ten))}"
        )
        assert result.evidence is not None
        for n, e in result.evidence.blocks.items():
            stability = result.blocks.stability.get(n, np.nan)
            lines.append(
                f"  - block {n}: {len(result.blocks.blocks[n]):,} voxels, contrast "
                f"{e.contrast:.2f}, stability {stability:.2f}, {e.verdict}"
            )
    lines.append(
        f"- A block must be in {constants.MIN_OF_FEW} volumes and missing from as "
        "many, and go together more than chance allows: ten volumes are too few to expect one."
    )
    return lines


def _worth(evidence: Evidence | None, volumes: int) -> str:
    effective = evidence.effective_volumes if evidence is not None else float("nan")
    if not np.isfinite(effective):
        return "The background does not tell how many independent volumes these are worth."
    return f"By their background the {volumes} volumes are worth {effective:.1f} independent ones."


def blocks_of_redrawn(ten: Ensemble, volumes: NDArray[np.float32], grid: Grid) -> Found:
    """Sketch and expand the redrawn volumes by default, and look at the blocks in the ten."""
    ensemble, levels, drawn = redraw(volumes, grid)
    result = sketch(ensemble, levels)
    grown = expand_sketch(ensemble, result)
    assert grown.evidence is not None and result.evidence is not None
    number = dict(zip(ensemble.names, drawn, strict=True))
    source = np.array([number[n] for n in grown.occupancy.names])
    shares = {
        n: np.array([_mean(grown.occupancy.rows(v).mean(axis=0)[source == k]) for k in range(10)])
        for n, v in grown.blocks
    }
    originals = evidence_in(grown.blocks, ten)
    return Found(grown.blocks, grown.evidence, result.evidence, originals, shares)


def evidence_in(blocks: BlockSet, ten: Ensemble) -> Evidence:
    """Evidence for blocks in the ten volumes, all at the same level."""
    occupancy = binarize(ten, np.full(len(ten), REAL_LEVEL))
    background = measure_background(ten, occupancy, Progress())
    return measure_evidence(blocks, occupancy, ten, background)


def _mean(values: NDArray[np.floating]) -> float:
    return float(values.mean()) if len(values) else float("nan")


# --- the blocks


def block_lines(found: Found) -> list[str]:
    """A row per block, and how many independent volumes there are."""
    lines = [
        "| block | voxels | contrast | rise | solidity | exchange | stability | verdict | "
        "after sketch | in the ten: contrast, verdict | present in |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    names = [n[4:7] for n in volume_names()]
    for n, voxels in found.blocks:
        e, own = found.evidence.blocks[n], found.originals.blocks[n]
        sketched = found.sketched.blocks.get(n)
        present = [name for name, s in zip(names, found.shares[n], strict=True) if s > 0.5]
        cells = (
            n,
            f"{len(voxels):,}",
            f"{e.contrast:.2f}",
            f"{e.rise:.2f}",
            f"{e.solidity:.2f}",
            f"{e.exchange:.2f}",
            f"{found.blocks.stability.get(n, np.nan):.2f}",
            e.verdict,
            "-" if sketched is None else _word(sketched.verdict),
            f"{own.contrast:.2f}, {_word(own.verdict)}",
            f"{len(present)}: {', '.join(present)}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    patterns = {tuple((s > 0.5).tolist()) for s in found.shares.values()}
    return [
        *lines,
        "",
        f"{_worth(found.evidence, found.evidence.volumes)} They are ten volumes with new noise, "
        f"scales and levels (varying by {JITTER:.0%}), so what the ten share, the "
        f"{found.evidence.volumes} share, and this number counts only the new noise. "
        f"{_worth(found.originals, 10)}",
        "",
        f"The {len(found.blocks)} blocks are present in {len(patterns)} different sets of the ten "
        "volumes (*present in*: more than half of the block is occupied). Parts with the same set "
        "cannot be told apart here, unless they are apart in space.",
    ]


def _word(verdict: str) -> str:
    return verdict.partition(":")[0]


# --- the parts


def part_lines(
    found: Found, parts: list[NDArray[np.int64]], varies: NDArray[np.bool_]
) -> list[str]:
    """A row per block: parts in it, with coverage both ways."""
    names = part_names()
    whole = np.unique(np.concatenate(parts))
    lines = [
        "| block | parts with half or more of their voxels in it (share of the part in the block, "
        "share of the block in the part) | these parts together hold | any part holds |",
        "|---|---|---|---|",
    ]
    for n, voxels in found.blocks:
        shared = [len(np.intersect1d(b, voxels)) for b in parts]
        its = [k for k, b in enumerate(parts) if len(b) and shared[k] >= BELONGS * len(b)]
        its.sort(key=lambda k: -shared[k])
        text = "; ".join(
            f"{names[k]}{'' if varies[k] else ' (constant)'} {shared[k] / len(parts[k]):.0%}, "
            f"{shared[k] / len(voxels):.0%}"
            for k in its
        )
        held = np.unique(np.concatenate([parts[k] for k in its])) if its else np.empty(0, np.int64)
        lines.append(
            f"| {n} | {text or '-'} | {np.isin(voxels, held).mean():.0%} | "
            f"{np.isin(voxels, whole).mean():.0%} |"
        )
    return [
        *lines,
        "",
        "A part's voxels are those of its density at 13 A above the level. Proteins are named by "
        "their sequences, RNA by its residues. *These parts together hold*, *any part holds*: "
        "share of the block's voxels in them. *Constant*: the share of the part above the level "
        f"has an SD of {VARIES:g} or less over the ten volumes. 5S RNA with uL5, uL18, bL25 and bL27 "
        "is the central protuberance; 23S 2093-2196 is the L1 stalk.",
    ]


def protein_lines(found: Found) -> list[str]:
    """A row per protein: its published occupancy, and the block with most of its mask."""
    lines = [
        "| protein | occupancy over the ten: lowest, highest | block with most of its mask | share "
        "of the mask in it | of the block in the mask | verdict | correlation of occupancy and "
        "block |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, inside, occupancy in published():
        best = _block_with_most(found, inside)
        row = [name, f"{occupancy.min():.2f}, {occupancy.max():.2f}"]
        if best is None:
            row += ["-"] * 5
        else:
            row += [
                str(best),
                f"{np.isin(inside, found.blocks.blocks[best]).mean():.0%}",
                f"{np.isin(found.blocks.blocks[best], inside).mean():.0%}",
                _word(found.evidence.blocks[best].verdict),
                f"{np.corrcoef(occupancy, found.shares[best])[0, 1]:.2f}",
            ]
        lines.append(f"| {' | '.join(row)} |")
    return [
        *lines,
        "",
        "Occupancy as published: sum of mask times volume over the sum of the protein's simulated "
        "density. It knows neither contour levels nor blocks. The mask counts above 0.5.",
    ]


def _block_with_most(found: Found, inside: NDArray[np.int64]) -> int | None:
    """Number of the block with most of these voxels, if any has one."""
    shared = {n: len(np.intersect1d(inside, v)) for n, v in found.blocks}
    best = max(shared, key=lambda n: shared[n], default=None)
    return best if best is not None and shared[best] else None


# --- what is known


def loss_lines(found: Found, volumes: NDArray[np.float32]) -> list[str]:
    """A row per block: what its surroundings lose in the ten volumes that have it."""
    scaled = volumes.reshape(len(volumes), -1) / REAL_LEVEL
    lines = [
        "| block | verdict | exchange in the ten | of the loss: in other blocks | density below zero |",
        "|---|---|---|---|---|",
    ]
    for n, voxels in found.blocks:
        present = found.shares[n] > 0.5
        if present.all() or not present.any():
            continue
        high, low = scaled[present].mean(axis=0), scaled[~present].mean(axis=0)
        outside = np.ones(found.blocks.grid.shape, bool)
        outside.ravel()[voxels] = False
        near = ndimage.distance_transform_edt(outside).ravel() <= constants.MASS_REACH
        gain = high - low
        places = np.flatnonzero(near & (gain < -constants.MIN_LOSS * gain[voxels].mean()))
        lost = -gain[places]
        others = np.concatenate([v for m, v in found.blocks if m != n] or [voxels[:0]])
        below = (np.minimum(low, 0) - np.minimum(high, 0))[places].clip(0)
        cells = (
            n,
            _word(found.evidence.blocks[n].verdict),
            f"{found.originals.blocks[n].exchange:.2f}",
            f"{lost[np.isin(places, others)].sum() / max(lost.sum(), 1e-9):.0%}",
            f"{below.sum() / max(lost.sum(), 1e-9):.0%}",
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return [
        *lines,
        "",
        "Exchange: density that the surroundings lose where the block is present, over what the "
        "block gains; a part that moves has about 1. *In other blocks*: share of the loss in voxels "
        "of another block, which goes where this one comes. *Density below zero*: share of the "
        "loss that is deeper negative density beside the block, not density of a part.",
    ]


def part_evidence_lines(evidence: dict[int, BlockEvidence], varies: NDArray[np.bool_]) -> list[str]:
    """Two rows: parts that come and go, and the others, each taken as a block in the ten."""
    lines = [
        "| parts, each as a block in the ten | contrast: 5 %, median, 95 % | solidity | exchange | "
        "verdicts |",
        "|---|---|---|---|---|",
    ]
    for words, chosen in (("come and go", varies), ("others", ~varies)):
        own = [e for k, e in evidence.items() if chosen[k]]
        verdicts = [_word(e.verdict) for e in own]
        cells = [
            f"{len(own)} {words}",
            *(
                ", ".join(
                    f"{q:.2f}" for q in np.percentile([getattr(e, what) for e in own], QUANTILES)
                )
                for what in ("contrast", "solidity", "exchange")
            ),
            ", ".join(f"{verdicts.count(w)} {w}" for w in sorted(set(verdicts))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def known_lines(
    found: Found, parts: list[NDArray[np.int64]], volumes: NDArray[np.float32]
) -> list[str]:
    """Sentences, as far as they are measured."""
    names, presence = part_names(), part_presence(parts, volumes)
    varies = presence.std(axis=1) > VARIES
    blocks, judged = found.blocks.blocks, found.evidence.blocks
    stand = [n for n in blocks if not judged[n].doubtful]
    held = {
        k
        for k, b in enumerate(parts)
        if any(len(b) and len(np.intersect1d(b, blocks[n])) >= BELONGS * len(b) for n in stand)
    }
    wrong = [names[k] for k in held if not varies[k]]
    words = [_word(e.verdict) for e in judged.values()]
    alike = sum(
        _word(found.originals.blocks[n].verdict) == _word(judged[n].verdict) for n in blocks
    )
    followed = [
        name
        for name, inside, occupancy in published()
        if (best := _block_with_most(found, inside)) is not None
        and np.corrcoef(occupancy, found.shares[best])[0, 1] > RELATED
    ]
    stability = [found.blocks.stability.get(n, np.nan) for n in blocks]
    moving = [judged[n].exchange for n in blocks if _word(judged[n].verdict) == MOVING]
    depleted = names.index(DEPLETED)
    share = max((np.isin(parts[depleted], v).mean() for v in blocks.values()), default=0)
    lines = [
        f"- {len(stand)} of {len(blocks)} blocks are not doubtful "
        f"({', '.join(f'{words.count(w)} {w}' for w in dict.fromkeys(words))}). In the ten "
        f"themselves, without redrawing, {alike} of {len(blocks)} have the same verdict.",
        f"- Parts of the model with half or more of their voxels in a block that is not doubtful: "
        f"{len(held) - len(wrong)} of the {int(varies.sum())} that come and go in the ten, "
        f"{len(wrong)} of the {int((~varies).sum())} others"
        f"{' (' + ', '.join(wrong) + ')' if wrong else ''}.",
        f"- The published occupancy of {', '.join(followed) or 'no protein'} follows the block with "
        f"most of its mask (correlation above {RELATED:g} over the ten). It is measured on the same "
        "volumes: it confirms the block, not the volumes.",
        f"- {DEPLETED} was depleted in the cells. {presence[depleted].mean():.0%} of its place is "
        f"above the level in the ten; at most {share:.0%} of it is in one block.",
        f"- Stability is {min(stability, default=np.nan):.2f} to {max(stability, default=np.nan):.2f}, "
        "doubtful blocks included: every half of the volumes has the same ten.",
    ]
    if moving:
        lines.append(
            f"- Called moving: {len(moving)} of the blocks (exchange {min(moving):.1f} to "
            f"{max(moving):.1f}). A part that moves loses about what it gains (1); "
            f"{sum(x > 2 for x in moving)} lose more than twice that: other density goes where they "
            "come, and the verdict does not say that they move themselves."
        )
    return [*lines, *UNKNOWN]


if __name__ == "__main__":
    sys.exit(main())
