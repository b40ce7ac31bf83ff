"""The whole workflow on an example with known blocks:

    devel/chimerax --offscreen --exit --script "devel/demo.py FOLDER"      (or: make demo)

Writes the example, the results, pictures and a session to FOLDER, and compares the blocks found
with those planted.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from chimerax.core.commands import run

from score import ceiling, read_found, read_planted, score, table, true_occupancy

WIDTH, HEIGHT = 1200, 900  # pixels of the pictures


def main(session: Any, folder: Path) -> None:
    """Make the example, run predict, sketch and expand as a user types them, and show the
    outcome.
    """
    volumes, results = folder / "volumes", folder / "siren"
    shutil.rmtree(results, ignore_errors=True)  # from an earlier demo

    def typed(command: str) -> Any:
        print(f"> {command}", flush=True)
        began = time.perf_counter()
        result = run(session, command, log=False)
        print(f"  {time.perf_counter() - began:.1f} s", flush=True)
        return result

    typed(f"siren example '{volumes}'")
    typed(f"siren predict '{volumes}'")
    typed(f"siren sketch '{volumes}' open false")
    found = typed(f"siren expand '{results}/00_sketch' reference true")

    planted = read_planted(volumes)
    text = table(
        planted,
        score(planted, read_found(found.folder)),
        ceiling(planted, true_occupancy(volumes, planted)),
    )
    print(f"\n{text}\n")
    (folder / "found_and_planted.txt").write_text(text + "\n", encoding="utf-8")
    if session.ui.has_graphics:
        take_pictures(session, folder)
    else:
        print("No pictures: offscreen rendering is not available here (Debian package libosmesa6).")
    run(session, f"save '{folder}/siren.cxs'", log=False)
    print(
        f"demo: done, in {folder}: blocks.png, blocks_turned.png, siren.cxs, "
        "found_and_planted.txt, siren/"
    )


def take_pictures(session: Any, folder: Path) -> None:
    """Two views of the blocks on the mean of the volumes."""
    for command in (
        f"windowsize {WIDTH} {HEIGHT}",
        "set bgColor white",
        "lighting soft",
        "graphics silhouettes true",
        "view",
        f"save '{folder}/blocks.png' supersample 3",
        "turn y 120",
        "view",
        f"save '{folder}/blocks_turned.png' supersample 3",
    ):
        run(session, command, log=False)


main(session, Path(sys.argv[1]).absolute())  # type: ignore[name-defined]  # noqa: F821  (ChimeraX gives scripts `session`)
