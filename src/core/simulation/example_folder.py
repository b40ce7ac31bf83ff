"""Write a simulated ensemble as a folder of maps, with the ground truth.

Example::

    from chimerax.siren.core import ExampleParameters
    from chimerax.siren.core.simulation.example_folder import write_example

    parameters = ExampleParameters(volumes=20, box=32, voxel_size=10)
    write_example("siren-example", parameters)  # 20 maps, truth.json, truth.csv
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError, join_names
from ..common.files import atomic_folder, keep_others, read_json
from ..common.progress import Progress
from ..common.schema import GRID, integer, listing, record, text
from ..common.tables import csv_text
from ..maps.grid import Grid
from ..maps.mapfile import is_map_name, write_map
from .example import Simulation, simulate
from .parameters import ExampleParameters

TRUTH, TRUTH_TABLE = "truth.json", "truth.csv"
SIGNATURE = "simulated by ChimeraX-SIREn"
_SCHEMA = record({"origin": text, "volumes": listing(record({"file": text}))})
_VOXELS = listing(listing(integer(0, 65534), 3, 3))
_TRUTH = record(
    {
        "grid": GRID,
        "volumes": listing(record({"file": text})),
        "blocks": listing(
            record({"name": text, "present": listing(integer(0, 1)), "voxels": _VOXELS})
        ),
    },
    {"shared": _VOXELS},
)


@dataclass(frozen=True)
class Example:
    """A simulated ensemble written by :func:`write_example`.

    Attributes
    ----------
    folder : Path
    simulation : Simulation
    replaced : bool
        Whether an earlier example was replaced.
    """

    folder: Path
    simulation: Simulation
    replaced: bool


def write_example(
    folder: str | Path,
    parameters: ExampleParameters | None = None,
    progress: Progress | None = None,
) -> Example:
    """Write a simulated ensemble: ``vol_001.mrc`` ..., ``truth.json`` and ``truth.csv``.

    All files are written, or none; equal parameters give equal bytes. ``truth.json`` has the
    parameters, the grid, the level, scale, offset and junk flag of each volume, and for each
    planted block its name, voxels ``[z, y, x]`` and presence in each volume. ``truth.csv`` has one
    row per volume: ``file``, the true level as ``denormalized_predictions`` (so that it can be used
    as a table of thresholds), and a 0/1 column for each block.

    Parameters
    ----------
    folder : str or Path
        Created if missing. An earlier example in it is replaced; files other than maps are left
        alone.
    parameters : ExampleParameters, optional
    progress : Progress, optional

    Raises
    ------
    SirenError
        If the folder holds other maps or cannot be written; nothing is changed.
    Cancelled
        If ``progress`` was asked to stop; nothing is changed.
    """
    parameters = parameters or ExampleParameters()
    progress = progress or Progress()
    folder = Path(folder).expanduser()
    earlier = earlier_example(folder)
    with atomic_folder(folder) as partial:
        simulation = simulate(parameters, progress)
        _write_files(partial, simulation, progress)
        progress.step("writing the example", 1.0)  # last chance to stop
        keep_others(folder, partial, earlier)
    return Example(folder, simulation, bool(earlier))


def earlier_example(folder: Path) -> list[str]:
    """Files of an earlier example in the folder; SirenError if it holds other maps."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise SirenError(f"{folder} is a file: give a folder for the example.")
    ours: list[str] = []
    try:
        truth = read_json(folder / TRUTH, _SCHEMA)
        if truth["origin"] == SIGNATURE:
            ours = [v["file"] for v in truth["volumes"]] + [TRUTH, TRUTH_TABLE]
    except SirenError:
        pass  # not an example: none of its maps is ours
    names = sorted(p.name for p in folder.iterdir())
    foreign = [n for n in names if n not in ours and (is_map_name(n) or n in (TRUTH, TRUTH_TABLE))]
    if foreign:
        raise SirenError(
            f"{folder} already holds files that are not an example's "
            f"({join_names(foreign)}): give a new or empty folder."
        )
    return [n for n in ours if n in names]


@dataclass(frozen=True)
class Truth:
    """What ``truth.json`` says of the B planted blocks of V volumes.

    Attributes
    ----------
    grid : Grid
    files : (V,) names of the volumes
    names : (B,) names of the blocks
    voxels : (B,) flat indices of each, ascending
    present : (B, V) bool, whether the block is in the volume
    shared : flat indices of the voxels that are in all volumes, or in no one block
    """

    grid: Grid
    files: tuple[str, ...]
    names: tuple[str, ...]
    voxels: tuple[NDArray[np.int64], ...]
    present: NDArray[np.bool_]
    shared: NDArray[np.int64]


def read_truth(path: Path) -> Truth:
    """Read the ``truth.json`` of an example.

    Raises
    ------
    SirenError
        If it is missing or is not one.
    """
    remedy = 'write the example again with "siren example"'
    content = read_json(path, _TRUTH, "the truth of an example", remedy)
    try:
        grid = Grid.from_json(content["grid"])

        def flat(voxels: list[list[int]]) -> NDArray[np.int64]:
            zyx = np.array(voxels, np.int64).reshape(-1, 3)
            return np.unique(np.ravel_multi_index(tuple(zyx.T), grid.shape)).astype(np.int64)

        blocks, files = content["blocks"], tuple(v["file"] for v in content["volumes"])
        if any(not b["voxels"] for b in blocks):
            raise ValueError("a block has no voxel")
        if any(len(b["present"]) != len(files) for b in blocks):
            raise ValueError("as many entries of present as volumes are needed")
        return Truth(
            grid,
            files,
            tuple(b["name"] for b in blocks),
            tuple(flat(b["voxels"]) for b in blocks),
            np.array([b["present"] for b in blocks], bool).reshape(len(blocks), len(files)),
            flat(content.get("shared", [])),
        )
    except (ValueError, OverflowError, MemoryError) as error:
        raise SirenError(f"{path} is not the truth of an example ({error}): {remedy}.") from error


def _write_files(folder: Path, simulation: Simulation, progress: Progress) -> None:
    label = f"SIREn example, seed {simulation.parameters.seed}"
    for i, name in enumerate(
        progress.each(simulation.names, "writing the example", len(simulation))
    ):
        write_map(folder / name, simulation.volume(i), simulation.grid, label)
    (folder / TRUTH).write_text(_truth_text(simulation), encoding="utf-8", newline="\n")
    columns = ("file", "denormalized_predictions", "scale", "offset", "junk")
    rows = (
        (
            name,
            *(f"{v[i]:.9g}" for v in (simulation.levels, simulation.scale, simulation.offset)),
            int(simulation.junk[i]),
            *(int(u.present[i]) for u in simulation.units),
        )
        for i, name in enumerate(simulation.names)
    )
    table = csv_text((*columns, *(u.name for u in simulation.units)), rows)
    (folder / TRUTH_TABLE).write_text(table, encoding="utf-8", newline="\n")


def _truth_text(s: Simulation) -> str:
    """Content of truth.json, with one line per volume and per block."""

    def zyx(voxels: NDArray[np.int64]) -> list[list[int]]:
        return cast(
            "list[list[int]]", np.stack(np.unravel_index(voxels, s.grid.shape), axis=1).tolist()
        )

    volumes = [
        {
            "file": n,
            "level": float(s.levels[i]),
            "scale": float(s.scale[i]),
            "offset": float(s.offset[i]),
            "junk": bool(s.junk[i]),
        }
        for i, n in enumerate(s.names)
    ]
    blocks = [
        {"name": u.name, "present": u.present.astype(int).tolist(), "voxels": zyx(u.voxels)}
        for u in s.units
    ]
    head = {
        "origin": SIGNATURE,
        "parameters": s.parameters.as_dict(),
        "level": s.level,
        "grid": s.grid.as_json(),
    }
    parts = [f'"{key}": {json.dumps(value)}' for key, value in head.items()]
    for key, rows in (("volumes", volumes), ("blocks", blocks)):
        parts.append(f'"{key}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    parts.append(f'"shared": {json.dumps(zyx(s.shared))}')
    return "{" + ",\n".join(parts) + "}\n"
