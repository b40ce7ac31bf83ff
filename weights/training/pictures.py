"""Surfaces of maps at their predicted levels, on one sheet.

Example::

    devel/chimerax --offscreen --exit --script \\
        "weights/training/pictures.py ../shared/data/real_maps sheet.png"
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from chimerax.core.commands import run
from PIL import Image, ImageDraw

from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels

SIDE, ACROSS = 420, 4


def main(session: Any, folder: Path, sheet: Path) -> None:
    """Render each map in ``folder`` at its predicted level."""
    paths = sorted(p for p in folder.iterdir() if p.suffix in (".map", ".mrc", ".ccp4"))
    pictures = []
    with tempfile.TemporaryDirectory() as work:
        for path in paths:
            level = (
                predict_levels(find_ensemble([path], minimum=1), PredictParameters(device="cpu"))
                .rows[0]
                .level
            )
            run(session, "close session", log=False)
            run(
                session,
                f"open '{path.absolute()}' {'format ccp4' if path.suffix == '.ccp4' else ''}",
                log=False,
            )
            for command in (
                f"windowsize {SIDE} {SIDE}",
                "set bgColor white",
                "lighting soft",
                "graphics silhouettes true",
                f"volume #1 level {level} step 1 style surface color #8fb4d8",
                "hide #1.2 models",
                "view",
                "wait 1",
                f"save '{work}/one.png' supersample 2",
            ):
                try:
                    run(session, command, log=False)
                except Exception as error:
                    if not command.startswith("hide"):
                        raise error
            picture = Image.open(f"{work}/one.png").convert("RGB")
            ImageDraw.Draw(picture).text((8, 8), f"{path.stem}, level {level:.4g}", fill="black")
            pictures.append(picture)
    rows = -(-len(pictures) // ACROSS)
    whole = Image.new("RGB", (SIDE * ACROSS, SIDE * rows), "white")
    for i, picture in enumerate(pictures):
        whole.paste(picture, (SIDE * (i % ACROSS), SIDE * (i // ACROSS)))
    whole.quantize(64).save(sheet)


main(session, Path(sys.argv[1]), Path(sys.argv[2]))  # type: ignore[name-defined]  # noqa: F821  (ChimeraX gives scripts `session`)
