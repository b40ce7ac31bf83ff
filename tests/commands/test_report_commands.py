"""siren report and siren figure, typed as a user types them."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog
from PIL import Image

from chimerax.siren.commands import report as commands
from chimerax.siren.core.common.files import sha256
from ensembles import LEVEL, Planted, write_planted

pytestmark = pytest.mark.slow
MAIL = 5e6  # bytes that every mail server takes


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "my volumes")


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sketch and the expansion of the planted ensemble, one volume left out."""
    folder = tmp_path_factory.mktemp("out")
    run_command(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic exact "
        "subsample 1 resamples 0 seed 5 exclude vol_3.mrc open false",
    )
    run_command(_chimerax, f"siren expand '{folder}/00_sketch' posp 0.02 open false")
    return folder


def pictures(page: str) -> list[np.ndarray]:
    """The pictures inside a page, in order."""
    found = re.findall(r'src="data:image/(?:png|jpeg);base64,([^"]*)"', page)
    return [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(d))).convert("RGB")).astype(int)
        for d in found
    ]


def test_the_report_is_beside_the_folder_and_small_and_has_rendered_pictures(
    session, run, out
) -> None:
    before = [m.id_string for m in session.models.list()]
    with StringPlainTextLog(session.logger) as log:
        path = run(f"siren report '{out}/02_expand'")
    assert path == out / "02_expand_report.html" and path.stat().st_size < MAIL
    assert f"Report written to {path}" in log.getvalue()
    page = path.read_text(encoding="utf-8")
    assert "Rendered by ChimeraX" in page
    views = pictures(page)
    assert len(views) == 4 + 2 + 5
    for view in views[:4]:  # both blocks' colors, on white
        assert (view[0] >= 250).all()
        colored = np.ptp(view, axis=2) > 60
        assert 0.01 < colored.mean() < 0.9
    assert [m.id_string for m in session.models.list()] == before


def test_open_blocks_are_reported_as_they_are_named_colored_and_edited(
    session, run, out, tmp_path
) -> None:
    run(f"siren open '{out}/02_expand'")
    run('siren block rename #1.1 "arm & <i>leg</i>"')
    run("color #1.2 #12c83a target s")
    run("siren block grow #1.2 by 1")
    page = run(f"siren report #1 saveFile '{tmp_path}/r.html'").read_text(encoding="utf-8")
    assert "arm &amp; &lt;i&gt;leg&lt;/i&gt;" in page and "<i>leg" not in page
    assert "background:#12c83a" in page
    assert "have been edited" not in page and "Blocks were edited by hand" in page
    assert "Block 2 has no verdict" in page


def test_the_commands_of_a_report_give_the_same_blocks(run, out, tmp_path) -> None:
    """Typed as they are in the page, from the lines' escapes to the quotes around the folder."""
    page = run(f"siren report '{out}/02_expand' saveFile '{tmp_path}/r.html'").read_text()
    lines = unescape(re.search(r"<pre><code>(.*?)</code></pre>", page, re.S)[1]).splitlines()
    before = [sha256(out / f / "blocks.json") for f in ("00_sketch", "02_expand")]
    assert [line.split()[:2] for line in lines] == [["siren", "sketch"], ["siren", "expand"]]
    assert "exclude vol_3.mrc" in lines[0] and "seed 5" in lines[0] and "posp 0.02" in lines[1]
    other = tmp_path / "again"
    for line in lines:
        run(line.replace(str(out), str(other)) + " open false")
    assert [sha256(other / f / "blocks.json") for f in ("00_sketch", "02_expand")] == before
    assert before[1] in page


def test_without_graphics_the_report_has_flat_drawings_and_says_so(
    session, run, out, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(commands, "can_render", lambda session: False)
    with StringPlainTextLog(session.logger) as log:
        path = run(f"siren report '{out}/00_sketch' saveFile '{tmp_path}/flat.htm' density 1.1")
    assert "--offscreen" in log.getvalue()
    page = path.read_text(encoding="utf-8")
    assert "ChimeraX could not render here" in page and "1.1 Da per Å³" in page
    assert len(pictures(page)) == 1 + 2 + 5
    with pytest.raises(UserError, match="needs graphics"):
        run(f"siren figure '{out}/00_sketch' saveFile '{tmp_path}/f.png'")


def test_a_program_gets_the_file_and_the_doubts(session, out, tmp_path) -> None:
    answer = run_command(
        session, f"siren report '{out}/00_sketch' saveFile '{tmp_path}/r.html'", return_json=True
    )
    found = json.loads(answer.json_value)
    assert found["file"] == str(tmp_path / "r.html") and found["blocks"] == 2
    assert any("those of a sketch" in doubt["about"] for doubt in found["doubts"])


def test_what_cannot_be_reported_or_drawn_is_one_sentence(session, run, out, tmp_path) -> None:
    with pytest.raises(UserError, match=r"report\.docx is no name"):
        run(f"siren report '{out}/02_expand' saveFile '{tmp_path}/report.docx'")
    with pytest.raises(UserError, match=r"run\.json"):
        run(f"siren report '{tmp_path}'")
    with pytest.raises(UserError, match=r"\.png, \.pdf, \.svg"):
        run(f"siren figure '{out}/02_expand' saveFile '{tmp_path}/a.bmp'")
    with pytest.raises(UserError, match="does not fit into the picture"):
        run(f"siren figure '{out}/02_expand' saveFile '{tmp_path}/a.png' scaleBar 5000 dpi 60")
    run(f"siren open '{out}/02_expand'")
    run("hide #1 models")
    with pytest.raises(UserError, match="None of these blocks is shown"):
        run(f"siren figure #1 saveFile '{tmp_path}/a.png'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "pixels"), [("single", 1004), ("double", 2126), ("60 dpi 100", 236)]
)
def test_a_figure_has_the_width_of_a_column(run, out, tmp_path, words, pixels) -> None:
    path = run(f"siren figure '{out}/02_expand' saveFile '{tmp_path}/f.png' width {words}")
    assert Image.open(path).width == pixels


def test_a_figure_of_open_blocks_is_the_view_with_labels_scale_and_legend(
    session, run, out, tmp_path
) -> None:
    run(f"siren open '{out}/02_expand' reference true")
    run("siren block rename #1.2 stalk; view orient; turn y 60; view")
    where = session.main_view.camera.position
    path = run(
        f"siren figure #1 saveFile '{tmp_path}/f.svg' width 85 height 40 dpi 100 words both "
        "scaleBar 2 unit nm"
    )
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"<text[^>]*>([^<]*)</text>", text) == [
        "1",
        "2 stalk",
        "2 nm",
        "1",
        "2 stalk",
    ]
    assert session.main_view.camera.position == where
    plain = run(
        f"siren figure #1.2 saveFile '{tmp_path}/g.svg' dpi 100 words none legend false "
        "scaleBar false"
    )
    assert "<text" not in plain.read_text(encoding="utf-8")


def test_a_figure_on_a_full_disk_is_one_sentence(run, out, tmp_path, monkeypatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"f\.png cannot be written \(No space left on device\)"):
        run(f"siren figure '{out}/02_expand' saveFile '{tmp_path}/f.png'")
    assert not list(tmp_path.iterdir())
