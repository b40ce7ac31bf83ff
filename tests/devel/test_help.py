"""The manual is found, and says what the code does."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chimerax.core.commands.cli import registered_commands, usage

import help_page
from ensembles import write_planted
from waiting import DEADLINE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "src/docs/user/commands/siren.html"
COMMANDS = [
    "block color",
    "block delete",
    "block merge",
    "block redo",
    "block rename",
    "block save",
    "block split",
    "block undo",
    "evaluate",
    "example",
    "expand",
    "finetune",
    "label",
    "label template",
    "open",
    "plot",
    "predict",
    "preprocess",
    "representatives",
    "screen",
    "show",
    "sketch",
    "states",
    "stop",
]


def test_the_manuals_tables_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert help_page.with_tables(page) == page, "run: .venv/bin/python devel/help_page.py"


def test_bundle_info_the_session_and_the_manual_name_the_same_commands(session):
    xml = ElementTree.parse(ROOT / "bundle_info.xml").getroot()
    declared = sorted(
        m[1]
        for e in xml.iter("ChimeraXClassifier")
        if (
            m := re.match(
                r"Command :: "
                r"siren ([\w "
                r"]+?) ::",
                e.text or "",
            )
        )
    )
    assert declared == COMMANDS
    known = {" ".join(c.split()) for c in registered_commands(multiword=True)}
    page = PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"siren {name}" in known
        assert f"<h4>siren {name}" in page


@pytest.mark.parametrize("name", COMMANDS)
def test_every_keyword_of_every_command_is_in_the_manual(session, name):
    text = usage(session, f"siren {name}")
    page = PAGE.read_text(encoding="utf-8")
    for keyword in re.findall(r"\[(\w+) _", text):
        assert f"<b>{keyword}</b>" in page, keyword


@pytest.mark.slow
@pytest.mark.processes
def test_the_manuals_script_for_a_cluster_runs_as_the_manual_says(tmp_path):
    script = next(
        t
        for t in re.findall(r"<pre>(.*?)</pre>", PAGE.read_text(encoding="utf-8"), re.S)
        if "import sys" in t
    )
    (tmp_path / "run.py").write_text(html.unescape(script), encoding="utf-8")
    write_planted(tmp_path / "my volumes", 5)
    done = subprocess.run(
        [
            ROOT / "devel/chimerax",
            "--nogui",
            "--exit",
            "--script",
            "run.py 'my volumes' 'my output'",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    # 5 volumes are too few for any block, and to expand none is an error that the status tells
    assert (tmp_path / "my output/predictions.csv").is_file()
    assert (tmp_path / "my output/00_sketch/run.json").is_file()
    assert done.returncode != 0
    assert "the sketch found none" in done.stdout + done.stderr
    write_planted(tmp_path / "my volumes", 60)
    done = subprocess.run(
        [
            ROOT / "devel/chimerax",
            "--nogui",
            "--exit",
            "--script",
            "run.py 'my volumes' 'my output'",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "SIREn: done, 2 blocks" in done.stdout
