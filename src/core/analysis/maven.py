"""Masks and levels for MAVEn (https://github.com/lkinman/MAVEn), as its calc_occupancy.py reads
them.

It takes every file of the folder of masks, and splits the names at ``Mask_``, ``_chain`` and
``.mrc``; of the volumes it takes the number after the last underscore, and looks that up in the
column ``vol_id`` of the table of levels. predictions.csv counts volumes from 0 there, so that
MAVEn would give ``vol_001`` the level of ``vol_002``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pandas as pd

from ..blocks.blockset import BlockSet
from ..common.errors import SirenError
from ..common.files import atomic_folder
from ..common.progress import Progress
from ..maps.grid import Grid
from ..maps.mapfile import write_map
from .masks import block_masks
from .parameters import MaskParameters

MASKS_FOLDER, LEVELS_FILE, KEY_FILE = "masks", "thresholds.csv", "masks.csv"
SET_NAME = "blocks"
OURS = re.compile(rf"Mask_{SET_NAME}\d*_chain[a-z]\.mrc")


@dataclass(frozen=True)
class MavenFolder:
    """What was written for MAVEn.

    Attributes
    ----------
    folder : with ``masks``, ``thresholds.csv``, and ``masks.csv``, which says whose mask is which
    table : masks.csv: file, block, name
    levels : thresholds.csv: vol_id, denormalized_predictions, file
    grid : of the masks
    skipped : names of volumes that MAVEn passes over, or stops at
    without : names of volumes without a level, to which MAVEn gives occupancies of 0
    replaced : whether there was an earlier one
    """

    folder: Path
    table: pd.DataFrame
    levels: pd.DataFrame
    grid: Grid
    skipped: list[str]
    without: list[str]
    replaced: bool

    def command(self, volumes: str) -> str:
        """What to type in a shell where MAVEn is, ``volumes`` being their folder."""
        folder = self.folder
        words = ["python", "calc_occupancy.py", "--mapdir", volumes]
        words += ["--maskdir", str(folder / MASKS_FOLDER), "--binfile", str(folder / LEVELS_FILE)]
        return shlex.join([*words, "--outdir", str(folder / "occupancies")])


def mask_name(block: int) -> str:
    """The file name of a block's mask: block 3 is ``Mask_blocks_chainc.mrc``, and after 26 comes
    ``Mask_blocks2_chaina.mrc``, since MAVEn's chains are a to z.
    """
    turn, letter = divmod(block - 1, len(ascii_lowercase))
    return f"Mask_{SET_NAME}{turn + 1 if turn else ''}_chain{ascii_lowercase[letter]}.mrc"


def volume_number(name: str) -> int | None:
    """The number that MAVEn gives a volume: ``vol_017.mrc`` is 17. None if it gives none."""
    if not name.endswith(".mrc"):
        return None
    try:
        return int(name.split(".mrc")[0].split("_")[-1])
    except ValueError:
        return None


def level_table(
    levels: Iterable[tuple[str, float | None]],
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """MAVEn's table of levels.

    Parameters
    ----------
    levels : name of each volume of the folder, and its contour level, None if it has none

    Returns
    -------
    table : vol_id, denormalized_predictions, file; by vol_id
    skipped, without : as of :class:`MavenFolder`

    Raises
    ------
    SirenError
        If two volumes have one number, or none has any.
    """
    rows: dict[int, tuple[int, float, str]] = {}
    skipped, without = [], []
    for name, level in levels:
        number = volume_number(name)
        if number is None:
            skipped.append(name)
            continue
        if number in rows:
            raise SirenError(
                f"{rows[number][2]} and {name} both have the number {number}, by which MAVEn "
                "knows volumes: give them names that end in different numbers, as vol_001.mrc."
            )
        rows[number] = (number, np.nan if level is None else float(level), name)
        if level is None:
            without.append(name)
    if not rows:
        raise SirenError(
            f"{skipped[0] if skipped else 'No volume'} has no number that MAVEn can read: it takes "
            "what is after the last underscore, as in vol_001.mrc. Rename the volumes."
        )
    table = pd.DataFrame(
        [rows[n] for n in sorted(rows)], columns=["vol_id", "denormalized_predictions", "file"]
    )
    return table, skipped, without


def write_maven(
    folder: Path,
    blocks: BlockSet,
    volumes: Grid | None,
    levels: Iterable[tuple[str, float | None]],
    parameters: MaskParameters | None = None,
    progress: Progress | None = None,
) -> MavenFolder:
    """Write masks and levels for MAVEn; an earlier folder of them is replaced.

    Parameters
    ----------
    folder : Path
    blocks : BlockSet
    volumes : Grid of the volumes in their files, which MAVEn compares voxel by voxel
    levels : see :func:`level_table`
    parameters : MaskParameters, without box and union

    Raises
    ------
    SirenError
        If the folder holds anything else, the volumes' grid is not known, or see
        :func:`level_table`.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or MaskParameters()
    if parameters.box is not None or parameters.union:
        raise SirenError(
            "MAVEn compares each block with the volumes voxel by voxel: leave out box and union."
        )
    if volumes is None:
        raise SirenError(
            "The volumes were resampled and are gone, so that their own box is not known: say "
            'where they are, as in "volumes FOLDER".'
        )
    if other := _not_ours(folder):
        raise SirenError(
            f"{folder} holds {other}, which MAVEn would take for a mask, or which is not SIREn's: "
            "give another folder."
        )
    table, skipped, without = level_table(levels)
    replaced, rows = folder.exists(), []
    with atomic_folder(folder) as temporary:
        (temporary / MASKS_FOLDER).mkdir()
        for mask in block_masks(blocks, volumes, parameters, progress):
            name = mask_name(mask.numbers[0])
            write_map(temporary / MASKS_FOLDER / name, mask.array, mask.grid, mask.label)
            rows.append((name, mask.numbers[0], mask.name))
        key = pd.DataFrame(rows, columns=["file", "block", "name"])
        key.to_csv(temporary / KEY_FILE, index=False, lineterminator="\n")
        table.to_csv(
            temporary / LEVELS_FILE,
            index=False,
            lineterminator="\n",
            encoding="utf-8",
            errors="surrogateescape",
        )
    return MavenFolder(folder, key, table, volumes, skipped, without, replaced)


def _not_ours(folder: Path) -> str | None:
    """What a folder holds besides the files of :func:`write_maven`."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return "no files, being a file itself"
    for entry in sorted(folder.iterdir()):
        if entry.name == MASKS_FOLDER and entry.is_dir():
            other = [e for e in sorted(entry.iterdir()) if not OURS.fullmatch(e.name)]
            if other:
                return f"{MASKS_FOLDER}/{other[0].name}"
        elif entry.name not in (LEVELS_FILE, KEY_FILE):
            return entry.name
    return None
