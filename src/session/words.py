"""Words that commands, log and panel share; quick to import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chimerax.core.commands import quote_path_if_necessary

if TYPE_CHECKING:
    from ..core.runs.record import Record

# below this, finding nothing is expected: the published tool asks for 200 or more
FEW_VOLUMES = 100


def path_text(path: Path) -> str:
    """A path as text for a command, quoted if need be."""
    return str(quote_path_if_necessary(str(path)))


def gone_text(folder: str | Path) -> str:
    """What to do where the folder of open blocks is no longer there."""
    return (
        f"{folder} was moved, renamed or deleted. Its blocks are kept in the session and can be "
        'edited; to save and expand them, say where it is now: "siren locate FOLDER".'
    )


def nothing_found(record: Record) -> str:
    """Why a sketch found no blocks, and what to try."""
    used = record.counts.get("volumes_used", len(record.volumes))
    if record.counts.get("union_voxels", 0) < 2 and used >= FEW_VOLUMES:
        return (
            "Every voxel is occupied in nearly all volumes or in almost none: the contour levels "
            "are too low or too high for these maps. Look at some volumes at their contour levels, "
            'and predict the levels ("siren predict") or give others.'
        )
    if used < FEW_VOLUMES:
        return (
            f"No significant pairs of voxels: {used} volumes are few, and significance takes "
            "hundreds. Decode more volumes from the same training."
        )
    return (
        "No significant pairs of voxels. Check some open volumes at their contour levels "
        '("siren predict #1-5" sets them), or try a larger posp.'
    )
