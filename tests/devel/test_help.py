"""The manual can be opened and matches the code."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from chimerax.core.commands.cli import registered_commands, usage

import help_page
from chimerax.siren import cmd
from chimerax.siren.core.blocks.statistics import STATISTICS
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.parameters import Parameters
from ensembles import write_planted
from waiting import DEADLINE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "src/docs/user/commands/siren.html"
COMMANDS = sorted(command.removeprefix("siren ") for command in cmd.COMMANDS)


def test_the_manuals_tables_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert help_page.with_tables(page) == page, "run: make help-page"


def test_the_manuals_tables_are_written_by_a_python_without_packages(tmp_path):
    """As in a fresh checkout, before any `make env`."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
    page = tmp_path / "src/docs/user/commands/siren.html"
    wanted = page.read_text(encoding="utf-8")
    emptied = re.sub(r"(<!-- [^>]* -->\n).*?(<!-- end -->)", r"\1\2", wanted, flags=re.S)
    assert emptied != wanted
    page.write_text(emptied, encoding="utf-8")
    for one in page.parent.glob("siren_*.html"):
        one.unlink()
    (tmp_path / "devel").mkdir()
    script = shutil.copy(ROOT / "devel/help_page.py", tmp_path / "devel")
    shutil.copy(help_page.EXAMPLES, tmp_path / "devel")
    subprocess.run([sys.executable, "-I", "-S", script], check=True)
    for name in [
        *(f"{step} parameters" for step in help_page.PARAMETERS),
        "blocks.csv columns",
        "all commands",
    ]:
        table = re.compile(rf"<!-- {re.escape(name)} -->.*?<!-- end -->", re.S)
        assert table.findall(page.read_text(encoding="utf-8")) == table.findall(wanted)
    for one in PAGE.parent.glob("*.html"):
        assert (page.parent / one.name).read_bytes() == one.read_bytes()


def test_every_set_of_parameters_has_a_table_in_the_manual():
    for room in ("analysis", "blocks", "simulation", "thresholds"):
        module = import_module(f"chimerax.siren.core.{room}.parameters")
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, Parameters)
                and kind.__module__ == module.__name__
                and not kind.__subclasses__()
            ):
                shown = (f"core.{room}.parameters", kind.__name__)
                assert shown in help_page.PARAMETERS.values()


def test_the_manual_says_what_each_statistic_does():
    page = PAGE.read_text(encoding="utf-8")
    for name in STATISTICS:
        assert f"<li><b>{name}</b>" in page, f"{name} is missing under Method"


def test_the_session_and_the_manual_know_every_command(session):
    known = {" ".join(c.split()) for c in registered_commands(multiword=True)}
    page = PAGE.read_text(encoding="utf-8")
    overview = page.partition("<!-- all commands -->")[2].partition("<!-- end -->")[0]
    assert sorted(re.findall(r">siren ([a-z ]+)</a></td><td>[A-Z]", overview)) == COMMANDS
    for name in COMMANDS:
        assert f"siren {name}" in known
        assert f"<h4>siren {name}" in page, f"siren {name} has no heading in the manual"


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
    # 5 volumes are too few for any block, and expanding no blocks is an error with an exit status
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


def test_the_numbers_on_the_method_page_are_those_of_the_constants() -> None:
    text = (ROOT / "src/docs/user/siren_method.html").read_text(encoding="utf-8")
    found = re.findall(r'<b title="([A-Z_]+)">([^<]+)</b>', text)
    assert len({name for name, _ in found}) > 15
    for name, shown in found:
        value = getattr(constants, name)
        if name == "CORE_SHARE":
            value = 100 * value[0]
        values = value if isinstance(value, tuple) else (value,)
        numbers = [float(t.replace(",", "")) for t in re.split(r", (?=\d)", shown)]
        assert numbers == [pytest.approx(v) for v in values], name
