"""Run the commands of a tutorial of the manual as they stand there, and make its pictures.

    devel/chimerax --offscreen --exit --script devel/tutorials.py        (or: make tutorials)

A picture of a page is a file of that name that one of its commands writes; it is stored smaller.
The commands run in a home folder of their own. The picture of data that the source does not have
(.jpg) is made where ``../shared/data/real_ensemble`` is.
"""

from __future__ import annotations

import html
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "src/docs/user/tutorials"
SELF_CONTAINED = "from_volumes_to_graph"
REAL = ROOT.parent / "shared/data/real_ensemble"
REAL_PICTURE, REAL_SHOWN = "levels_50S.jpg", ("vol_018", "vol_390")
MOST_PIXELS, MOST_BYTES, COLORS = 880, 100_000, 256


def commands_of(page: str) -> list[str]:
    """The commands of a tutorial, in order; not those that say they were not run."""
    blocks = re.findall(r"<pre>\n(.*?)</pre>", page, re.S)
    return [html.unescape(line) for block in blocks for line in block.splitlines()]


def found_of(page: str) -> list[str]:
    """What a tutorial says that the log has."""
    said = re.findall(r'<span class="found">(.*?)</span>', page, re.S)
    return [html.unescape(" ".join(words.split())) for words in said]


def pictures_of(page: str) -> dict[str, str]:
    """The pictures of a tutorial, with what they show in words."""
    return dict(re.findall(r'<img src="([^"]+)"[^>]*? alt="([^"]+)"', page))


def stored_small(source: Path, target: Path) -> None:
    """A picture no wider than it is shown on a fine screen; in few colors if it is large."""
    from PIL import Image

    image = Image.open(source).convert("RGB")
    if image.width > MOST_PIXELS:
        size = MOST_PIXELS, round(image.height * MOST_PIXELS / image.width)
        image = image.resize(size, Image.Resampling.LANCZOS)
    image.save(target, optimize=True)
    if target.stat().st_size > MOST_BYTES:
        image.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


def main(session: Any, run: Callable[..., Any]) -> None:
    """Run the tutorial that needs no data, and store its pictures."""
    page = (TUTORIALS / f"{SELF_CONTAINED}.html").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        run(session, "windowsize 900 720", log=False)
        for command in commands_of(page):
            print(f"> {command}", flush=True)
            run(session, command)
            session.update_loop.draw_new_frame()
        for name in pictures_of(page):
            (source,) = Path(home).rglob(name)
            stored_small(source, TUTORIALS / name)
            print(f"Written: {TUTORIALS / name}", flush=True)


def picture_of_real(session: Any, run: Callable[..., Any]) -> None:
    """Two of the ten real volumes at the levels predicted from the ten, side by side."""
    from PIL import Image

    if not REAL.is_dir():
        print(f"Left as it is: {REAL_PICTURE}; {REAL} is missing", flush=True)
        return
    with tempfile.TemporaryDirectory() as home:
        ten = Path(home) / "ten"
        ten.mkdir()
        for volume in REAL.glob("vol_*.mrc"):
            shutil.copy(volume, ten)
        for command in (
            "close session",
            f"windowsize {MOST_PIXELS // 2} 432",
            f"siren predict '{ten}'",
        ):
            run(session, command)
        halves = []
        for name in REAL_SHOWN:
            run(session, f"siren show '{ten}/{name}.mrc'")
            if not halves:
                run(session, "zoom 0.8")  # both as large, and the larger one fits
            for command in ("set bgColor white", "lighting soft", f"save '{home}/{name}.png'"):
                run(session, command)
            halves.append(Image.open(f"{home}/{name}.png").convert("RGB"))
        whole = Image.new("RGB", (sum(h.width for h in halves), halves[0].height), "white")
        whole.paste(halves[0], (0, 0))
        whole.paste(halves[1], (halves[0].width, 0))
        whole.save(TUTORIALS / REAL_PICTURE, quality=85)
        print(f"Written: {TUTORIALS / REAL_PICTURE}", flush=True)


if "session" in globals():  # ChimeraX gives it to scripts
    from chimerax.core.commands import run as run_command

    main(globals()["session"], run_command)
    picture_of_real(globals()["session"], run_command)
