"""Where the results of a folder of volumes are: each folder of volumes has its own.

They are in ``siren`` beside the volumes. Where that folder has the results of other volumes, such
as those of ``runA`` beside ``runB``, those of ``runB`` are in ``siren_runB``. The file
``volumes.txt`` in it says whose results they are, as a path that holds wherever both are moved.

Example::

    from pathlib import Path

    from chimerax.siren.core.runs.results import claim_results, results_folder

    output = results_folder(Path("volumes"))
    output.name  # -> 'siren'
    claim_results(output, Path("volumes"))
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..common.errors import SirenError
from ..common.files import RECORD, atomic_file, read_json
from .steps import EDIT_FOLDER, EXPAND_FOLDER, SKETCH_FOLDER

DEFAULT_OUTPUT = "siren"
OWNER_FILE = "volumes.txt"
LONGEST_PATH = 10_000  # characters; no path is longer


def results_folder(volumes: Path) -> Path:
    """The folder for the results of a folder of volumes, which need not exist."""
    volumes = volumes.resolve()
    own = volumes.parent / f"{DEFAULT_OUTPUT}_{volumes.name}"
    if own.is_dir():
        return own
    shared = volumes.parent / DEFAULT_OUTPUT
    owner = owner_of(shared)
    # the volumes that are not there any more may be these under another name
    free = owner is None or owner == volumes or not os.path.isdir(owner)
    return shared if free and shared != volumes else own


def owner_of(results: Path) -> Path | None:
    """The folder of volumes that results belong to; None if nothing tells.

    Results without ``volumes.txt``, from earlier versions, belong to the volumes of their sketch.
    """
    try:
        if (results / OWNER_FILE).is_file():
            with (results / OWNER_FILE).open(encoding="utf-8") as file:
                text = file.read(LONGEST_PATH).strip()
            return Path(os.path.realpath(results / text)) if text else None
        for name in (SKETCH_FOLDER, EDIT_FOLDER, EXPAND_FOLDER):
            record = results / name / RECORD
            if record.is_file():
                owner = _volumes_of(record, record.stat().st_mtime_ns)
                # they were beside each other, and were copied or moved together
                beside = results.resolve().parent / owner.name if owner else None
                return beside if beside is not None and beside.is_dir() else owner
    except (OSError, ValueError):
        pass
    return None


def claim_results(results: Path, volumes: Path | None) -> None:
    """Note in the folder of results which volumes they belong to; if both are there.

    Raises
    ------
    SirenError
        If it cannot be written.
    """
    if volumes is None or not results.is_dir():
        return
    if (results / OWNER_FILE).is_file() and owner_of(results) == volumes.resolve():
        return
    # beside each other: a relative path is right also after both were moved
    text = os.path.relpath(volumes.resolve(), results.resolve())
    with atomic_file(results / OWNER_FILE) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


@lru_cache(maxsize=16)
def _volumes_of(record: Path, _: int) -> Path | None:
    """The folder of the volumes of a run, as its record says; read again if it has changed."""
    try:
        volumes = read_json(record)["volumes"].values()
        path = next((v["path"] for v in volumes if v["path"]), None)
        return Path(os.path.realpath(Path(path).parent)) if path else None
    except (SirenError, KeyError, TypeError, AttributeError, ValueError, OSError):
        return None
