"""Sets of blocks: reading, writing and geometry."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..common import constants, schema
from ..common.errors import SirenError
from ..common.files import read_json, write_json
from ..common.progress import Progress
from ..common.reading import read_bytes
from ..common.schema import BLOCK_NUMBER, Check, Mismatch, mapping
from ..maps.companions import is_density
from ..maps.grid import Grid
from ..maps.mapfile import is_map_name, natural_key, read_map, write_map
from .columns import COLUMNS
from .verdicts import BlockEvidence

if TYPE_CHECKING:  # slow to import: sessions are restored without
    import pandas as pd

BLOCKS_FILE, TABLE_FILE, UNASSIGNED_FILE, MEAN_FILE = (
    "blocks.json",
    "blocks.csv",
    "unassigned.mrc",
    "mean.mrc",
)
_OURS = (UNASSIGNED_FILE, MEAN_FILE, "mask.mrc")


@dataclass(frozen=True)
class BlockSet:
    """Numbered blocks on a grid.

    Attributes
    ----------
    grid : Grid
    blocks : block number -> (n,) int64, flat z, y, x indices of its voxels, ascending, each once
    unassigned : voxels that were tested and belong to no block
    stability : block number -> share of random halves of the volumes in which it comes back, where
        that was asked
    strength : block number -> (n,) float32, how strongly each voxel belongs to it, see
        :func:`.stability.with_strength`
    names : block number -> name given by the user; most blocks have none
    evidence : block number -> what the density says of it, if measured
    """

    grid: Grid
    blocks: dict[int, NDArray[np.int64]]
    unassigned: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    stability: dict[int, float] = field(default_factory=dict)
    strength: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    evidence: dict[int, BlockEvidence] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        return iter(self.blocks.items())

    @property
    def voxel_count(self) -> int:
        """Voxels in all blocks together; a voxel in two blocks counts twice."""
        return sum(len(v) for v in self.blocks.values())

    def mask(self, number: int) -> NDArray[np.float32]:
        """(z, y, x) float32, 1 inside the block and 0 outside."""
        return _mask(self.blocks[number], self.grid)

    def table(self, frequency: NDArray[np.integer], volumes: int) -> pd.DataFrame:
        """The table blocks.csv, one row per block, with the COLUMNS of :mod:`.columns`.

        Last a column name, if any block has one.

        Parameters
        ----------
        frequency : (N,) volumes in which each voxel of the grid is occupied
        volumes : number of volumes
        """
        rows = []
        for number, voxels in self:
            x, y, z = self.grid.points(voxels).mean(axis=0)
            strength, evidence = self.strength.get(number), self.evidence.get(number)
            rows.append(
                (
                    number,
                    len(voxels),
                    round(len(voxels) * self.grid.voxel_volume, 1),
                    round(float(frequency[voxels].mean()) / volumes, 4),
                    round(self.stability.get(number, np.nan), 3),
                    np.nan if strength is None else round(float(strength.mean()), 3),
                    round(x, 2),
                    round(y, 2),
                    round(z, 2),
                    np.nan if evidence is None else round(evidence.contrast, 3),
                    np.nan if evidence is None else round(evidence.solidity, 3),
                    "" if evidence is None else evidence.verdict,
                )
            )
        import pandas as pd

        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.assign(name=[self.names.get(n, "") for n, _ in self]) if self.names else table

    def write(
        self,
        folder: Path,
        table: pd.DataFrame,
        mean: NDArray[np.float32],
        progress: Progress | None = None,
    ) -> None:
        """Write block_N.mrc, blocks.json, blocks.csv, unassigned.mrc and mean.mrc to a folder."""
        for number, voxels in (progress or Progress()).each(self, "writing", len(self)):
            label = f"SIREn block {number}, {len(voxels)} voxels"
            write_map(folder / f"block_{number}.mrc", self.mask(number), self.grid, label)
        write_map(
            folder / UNASSIGNED_FILE,
            _mask(self.unassigned, self.grid),
            self.grid,
            "SIREn: voxels in no block",
        )
        write_map(folder / MEAN_FILE, mean, self.grid, "SIREn: mean of the volumes")
        write_json(
            folder / BLOCKS_FILE,
            {
                "format": "SIREn blocks 1",
                "axes": "voxels are [z, y, x], counted from 0",
                "grid": self.grid.as_json(),
                **(
                    {"names": {str(n): name for n, name in self.names.items()}}
                    if self.names
                    else {}
                ),
                "blocks": {str(n): self._zyx(v) for n, v in self},
                "unassigned": self._zyx(self.unassigned),
                "evidence": {str(n): e.as_json() for n, e in self.evidence.items()},
                "stability": {str(n): round(v, 3) for n, v in self.stability.items()},
                "strength": {
                    str(n): [round(float(s), 3) for s in v] for n, v in self.strength.items()
                },
            },
        )
        table.to_csv(folder / TABLE_FILE, index=False, lineterminator="\n")

    def _zyx(self, voxels: NDArray[np.int64]) -> list[list[int]]:
        return np.stack(np.unravel_index(voxels, self.grid.shape), axis=1).tolist()


def read_blocks_file(path: Path) -> BlockSet:
    """Read blocks.json.

    Raises
    ------
    SirenError
        If it is missing or not such a file.
    """
    content = read_json(path, _SCHEMA, "a blocks file of SIREn", 'run "siren sketch" again')
    try:
        grid = Grid.from_json(content["grid"])

        def flat(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.unique(np.ravel_multi_index(tuple(voxels.T), grid.shape)).astype(np.int64)

        blocks = {int(n): flat(v) for n, v in content["blocks"].items()}
        numbered = {
            key: {int(n): v for n, v in content.get(key, {}).items() if int(n) in blocks}
            for key in ("strength", "stability", "names", "evidence")
        }
        strength = numbered["strength"]
        if any(strength[n].shape != blocks[n].shape for n in strength):
            raise ValueError("as many strengths as voxels are needed")
        return BlockSet(
            grid,
            blocks,
            flat(content["unassigned"]),
            numbered["stability"],
            strength,
            # written by hand, they may hold half a character, which no file can
            {n: name.encode("utf-8", "replace").decode() for n, name in numbered["names"].items()},
            {n: BlockEvidence.from_json(e) for n, e in numbered["evidence"].items()},
        )
    except (ValueError, OverflowError, MemoryError) as error:
        raise SirenError(
            f'{path} is not a blocks file of SIREn ({error}): run "siren sketch" again.'
        ) from error


def _numbers(kind: str, least: int) -> Check:
    """A list of ``least`` numbers or more, as an array: voxels (n, 3) for 'i', (n,) for 'f'."""

    def check(value: object) -> NDArray:
        wrong = Mismatch("is not a list of " + ("voxels [z, y, x]" if kind == "i" else "numbers"))
        if not isinstance(value, list):
            raise wrong
        if len(value) < least:
            raise Mismatch("has no voxel")
        try:
            array = np.array(value)
        except (ValueError, RecursionError, OverflowError):
            raise wrong from None
        if not len(value):
            array = np.empty((0, 3), np.int64) if kind == "i" else np.empty(0)
        shape_fits = array.shape[1:] == (3,) if kind == "i" else array.ndim == 1
        if array.dtype.kind not in ("i" if kind == "i" else "if") or not shape_fits:
            raise wrong
        if not np.isfinite(array).all():
            raise wrong
        return array.astype(np.int64 if kind == "i" else np.float32)

    return check


_ANY = schema.number(finite=False)  # NaN where something could not be measured
_SCHEMA = schema.record(
    {
        "grid": schema.GRID,
        "blocks": mapping(_numbers("i", 1), BLOCK_NUMBER),
        "unassigned": _numbers("i", 0),
    },
    {  # not before 0.2
        "stability": mapping(_ANY, BLOCK_NUMBER),
        "strength": mapping(_numbers("f", 1), BLOCK_NUMBER),
        "names": mapping(schema.text, BLOCK_NUMBER),
        "evidence": mapping(
            schema.record(
                {f.name: _ANY for f in fields(BlockEvidence) if f.default is MISSING},
                # later versions measure more
                {f.name: _ANY for f in fields(BlockEvidence) if f.default is not MISSING},
            ),
            BLOCK_NUMBER,
        ),
    },
)
_NUMERIC = tuple(name for name in COLUMNS if name != "verdict")
_NEEDED = tuple(name for name in _NUMERIC[:4] + _NUMERIC[6:9])  # others are not before 0.2


def read_blocks_table(path: Path, blocks: BlockSet) -> pd.DataFrame:
    """Read blocks.csv: a row for each block, in the order of ``blocks``.

    Raises
    ------
    SirenError
        If it is missing, lacks a column or a number, or is of other blocks.
    """
    import pandas as pd

    try:
        table = pd.read_csv(io.BytesIO(read_bytes(path)), skipinitialspace=True)
        lost = [name for name in _NEEDED if name not in table.columns]
        if lost:
            raise ValueError(f"it has no column {lost[0]}")
        for name in table.columns.intersection(_NUMERIC):
            numbers = pd.to_numeric(table[name], errors="coerce")
            if (numbers.isna() & table[name].notna()).any() or np.isinf(numbers).any():
                raise ValueError(f"{name} is not a number in each row")
            if name in _NEEDED and numbers.isna().any():
                raise ValueError(f"{name} is empty in a row")
            table[name] = numbers
        found = table["block"].tolist()
        if sorted(found) != sorted(blocks.blocks):
            raise ValueError(f"its blocks are not those of {BLOCKS_FILE}")
    except (OSError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise SirenError(f"{path} cannot be read ({reason}): run the step again.") from error
    table = table.astype({"block": np.int64, "voxels": np.int64})
    return table.set_index("block", drop=False).loc[list(blocks.blocks)].reset_index(drop=True)


def read_block_maps(folder: Path, grid: Grid | None = None) -> BlockSet:
    """Read the block maps of a folder, as the user may have edited them.

    A map named ``block_N`` keeps its number, and its name if the folder's blocks.json has one;
    others are numbered after the largest. A voxel above 0.5 is in the block.

    Parameters
    ----------
    folder : Path
    grid : Grid, optional
        Where given, each map must be on it.

    Raises
    ------
    SirenError
        If there is no map, one is on another grid, or one has no voxel above 0.5.
    """
    try:
        paths = sorted(
            (p for p in folder.iterdir() if is_map_name(p.name) and p.name not in _OURS),
            key=lambda p: natural_key(p.name),
        )
    except OSError as error:
        raise SirenError(
            f"{folder} cannot be read ({error.strerror}): give the folder that "
            '"siren sketch" wrote.'
        ) from error
    if not paths:
        raise SirenError(
            f"{folder} holds no block maps (block_1.mrc, ...): the sketch found none, "
            "or they were moved. Give a folder "
            "with block maps."
        )
    masks = []
    for path in paths:
        array, found = read_map(path)
        _check_is_mask(path.name, array)
        masks.append((path.name, array > 0.5))  # a quarter of the memory
        grid = grid or found
        check_on_grid(path.name, found, grid)
    assert grid is not None
    blocks = blocks_from_masks(masks, grid)
    return replace(
        blocks, names={n: name for n, name in _names_beside(folder).items() if n in blocks.blocks}
    )


def _names_beside(folder: Path) -> dict[int, str]:
    """Names of the blocks in a folder's blocks.json, if there is one."""
    try:
        return read_blocks_file(folder / BLOCKS_FILE).names
    except SirenError:
        return {}


def blocks_from_masks(
    masks: Sequence[tuple[str, NDArray[np.floating] | NDArray[np.bool_]]], grid: Grid
) -> BlockSet:
    """Blocks from named (z, y, x) maps on one grid.

    Voxels above 0.5 are inside; ``block N`` in a name gives the number.
    """
    numbers: list[int | None] = []
    for name, _ in masks:
        match = re.match(r"block[ _]([0-9]{1,9})\b", name)
        number = int(match[1]) if match else None
        numbers.append(None if number in numbers else number)
    free = max((n for n in numbers if n is not None), default=0)
    blocks = {}
    for (name, array), number in zip(masks, numbers, strict=True):
        _check_is_mask(name, array)
        voxels = np.flatnonzero(np.asarray(array) > 0.5).astype(np.int64)
        if not len(voxels):
            raise SirenError(
                f"{name} has no voxel above 0.5: block maps are 1 inside and 0 "
                "outside. Delete it, or save "
                "it again."
            )
        if number is None:
            number = free = free + 1
        blocks[number] = voxels
    return BlockSet(grid, dict(sorted(blocks.items())))


def _check_is_mask(name: str, array: NDArray[np.floating] | NDArray[np.bool_]) -> None:
    """Raise SirenError for a density, such as a volume of the ensemble. Masks may have been
    resampled, or be of whole numbers, such as 0 and 255; densities may have been scaled to 0 to 1.
    """
    values = np.asarray(array)
    if values.dtype == bool:
        return
    low, high = float(np.fmin.reduce(values, None)), float(np.fmax.reduce(values, None))
    scaled = low >= -constants.MASK_TOLERANCE and high <= 1 + constants.MASK_TOLERANCE
    if scaled:
        density = is_density(values)
    else:
        density = not ((values == np.round(values)) | np.isnan(values)).all()
    if density:
        those = "hardly any of them near the highest" if scaled else "those of a block 0 and 1"
        raise SirenError(
            f"{name} is a density, not a block or a mask: its values are {low:.4g} to {high:.4g}, "
            f"{those}. Give blocks or masks, or make a mask of it: "
            '"volume threshold #N minimum LEVEL set 0 maximum LEVEL setMaximum 1".'
        )


def check_on_grid(name: str, found: Grid, grid: Grid) -> None:
    """Raise SirenError unless a block map lies on the ensemble's grid."""
    tolerance = 0.01 * min(grid.voxel_size)
    if (
        found.shape != grid.shape
        or not np.allclose(found.voxel_size, grid.voxel_size, rtol=1e-3)
        or not np.allclose(found.origin, grid.origin, rtol=1e-5, atol=tolerance)
    ):
        raise SirenError(
            f"{name} is on another grid ({found.text()}) than the volumes "
            f"({grid.text()}): save it with the "
            'whole region and the original grid ("volume resample #N onGrid #M").'
        )


def touching_blocks(blocks: BlockSet, reach: int = 2) -> set[tuple[int, int]]:
    """Pairs of block numbers, smaller first, with voxels within ``reach`` voxels of each other."""
    touch: set[tuple[int, int]] = set()
    for a, own in blocks:
        mask = np.zeros(blocks.grid.shape, bool)
        mask.ravel()[own] = True
        where = box_around(mask, reach)
        if where is not None:
            mask[where] = ndimage.binary_dilation(mask[where], iterations=reach)
        touch |= {(a, b) for b, voxels in blocks if a < b and mask.ravel()[voxels].any()}
    return touch


def box_around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice, slice] | None:
    """Bounding box of a (z, y, x) mask with a margin in voxels; None if the mask is empty."""
    slices = []
    for axis in range(3):
        along = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(along):
            return None
        slices.append(slice(max(0, int(along[0]) - margin), int(along[-1]) + margin + 1))
    return slices[0], slices[1], slices[2]


def _mask(voxels: NDArray[np.int64], grid: Grid) -> NDArray[np.float32]:
    mask = np.zeros(grid.size, np.float32)
    mask[voxels] = 1
    return mask.reshape(grid.shape)
