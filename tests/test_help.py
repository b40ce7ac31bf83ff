"""The manual is found, and says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chimerax.core.commands.cli import registered_commands, usage

import help_page

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "src/docs/user/commands/siren.html"
COMMANDS = ["example", "expand", "open", "predict", "preprocess", "sketch", "stop"]


def test_the_manuals_tables_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert help_page.with_tables(page) == page, "run: .venv/bin/python devel/help_page.py"


def test_bundle_info_the_session_and_the_manual_name_the_same_commands(session):
    xml = ElementTree.parse(ROOT / "bundle_info.xml").getroot()
    declared = sorted(m[1] for e in xml.iter("ChimeraXClassifier") if (m := re.match(r"Command :: siren (\w+) ::", e.text or "")))
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
