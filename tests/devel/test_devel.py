"""devel/: the project's ChimeraX without windows behaves like the real one, and `make env` keeps
its promises.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mrcfile
import numpy as np
import pytest

import env  # devel/env.py
from cxheadless import ui_shim
from waiting import DEADLINE

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def chimerax(tmp_path: Path) -> Start:
    """Start devel/chimerax in an empty folder, with its own home and temporary folder."""
    for name in ("here", "home", "temporary"):
        (tmp_path / name).mkdir()
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "temporary"),
    }

    def start(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "devel" / "chimerax", *arguments],
            check=False,
            cwd=tmp_path / "here",
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            input=typed,
        )

    return start


@pytest.fixture
def here(chimerax: Start, tmp_path: Path) -> Path:
    """The folder that ``chimerax`` is started in, with a map of a bright cube."""
    cube = np.zeros((16, 16, 16), np.float32)
    cube[4:12, 4:12, 4:12] = 1
    with mrcfile.new(tmp_path / "here" / "cube.mrc", cube) as file:
        file.voxel_size = 2
    return tmp_path / "here"


# ---- devel/chimerax


def test_commands_see_the_folder_they_are_started_in(chimerax: Start, here: Path) -> None:
    done = chimerax(
        "--nogui", "--exit", "--cmd", "open cube.mrc; volume #1 level 0.5; save copy.mrc models #1"
    )
    assert done.returncode == 0, done.stderr
    assert "INFO:\nOpened cube.mrc as #1, grid size 16,16,16, pixel 2" in done.stdout
    assert mrcfile.read(here / "copy.mrc").sum() == 8**3


@pytest.mark.parametrize("command", ["no such command", "open nosuch.mrc", "volume #1 level x"])
def test_a_failed_command_fails_the_start(chimerax: Start, command: str) -> None:
    assert chimerax("--nogui", "--exit", "--cmd", command).returncode == os.EX_SOFTWARE


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("", 0),
        ("sys.exit(0)", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('no')", 1),
        ("raise ValueError", os.EX_SOFTWARE),
    ],
)
def test_the_end_of_a_script_is_the_exit_status(
    chimerax: Start, here: Path, ending: str, status: int
) -> None:
    (here / "script.py").write_text(f"import sys\nprint('began', session)\n{ending}\n")
    done = chimerax("--nogui", "--exit", "--script", "script.py")
    assert "began <chimerax.core.session.Session" in done.stdout
    assert done.returncode == status


def test_a_script_gets_the_arguments_that_stand_with_it(chimerax: Start, here: Path) -> None:
    (here / "script.py").write_text("import sys\nprint(sys.argv)\n")
    done = chimerax("--nogui", "--exit", "--script", "script.py one 'and two'")
    assert "['script.py', 'one', 'and two']" in done.stdout


def test_arguments_after_a_double_dash_are_opened_and_not_passed_to_the_script(
    chimerax: Start, here: Path
) -> None:
    """As ChimeraX 1.7 to 1.11 do."""
    (here / "script.py").write_text("import sys\nprint(sys.argv)\n")
    done = chimerax("--nogui", "--exit", "--script", "script.py", "--", "cube.mrc")
    assert "['script.py']" in done.stdout
    assert "Opened cube.mrc as #1" in done.stdout


def test_no_module_of_the_current_folder_gets_in_the_way(chimerax: Start, here: Path) -> None:
    for name in ("numpy.py", "statistics.py"):
        (here / name).write_text("raise RuntimeError('shadowed')\n")
    assert chimerax("--nogui", "--exit", "--cmd", "open cube.mrc").returncode == 0


@pytest.mark.slow
def test_nothing_is_left_in_the_home_or_temporary_folder(chimerax: Start, here: Path) -> None:
    chimerax(
        "--offscreen",
        "--exit",
        "--cmd",
        "open cube.mrc; save session.cxs; save cube.png width 60 height 40",
    )
    assert (here / "cube.png").is_file()
    assert (here / "session.cxs").is_file()
    assert [
        path.name for name in ("home", "temporary") for path in (here.parent / name).rglob("*")
    ] == []


def test_a_script_sees_the_users_home(chimerax: Start, here: Path) -> None:
    (here / "script.py").write_text("from pathlib import Path\nprint(Path.home())\n")
    assert (
        str(here.parent / "home") in chimerax("--nogui", "--exit", "--script", "script.py").stdout
    )


def test_without_exit_it_reads_commands_until_told_to_stop(chimerax: Start, here: Path) -> None:
    done = chimerax(
        typed="open cube.mrc\nno such command\nmeasure mapstats #1\nexit\nopen nosuch.mrc\n"
    )
    assert done.returncode == 0, done.stderr
    assert "ERROR:\nUnknown command: no such command" in done.stdout
    assert "maximum 1" in done.stdout
    assert "nosuch.mrc" not in done.stdout


def test_the_bundle_is_found_by_a_new_process(chimerax: Start) -> None:
    code = (
        "b = session.toolshed.find_bundle('ChimeraX-SIREn', session.logger); "
        "print(b.package_name, b.version)"
    )
    done = chimerax("-c", code)
    version = (ROOT / "bundle_info.xml").read_text().split('version="')[1].split('"')[0]
    assert done.stdout.split() == ["chimerax.siren", version]


def test_help_shows_where_the_page_of_the_bundle_is(chimerax: Start) -> None:
    done = chimerax("--nogui", "--exit", "--cmd", "help siren")
    address = done.stdout.split("Web page: file://")[1].split()[0]
    assert Path(address).is_file()
    assert address.endswith("/chimerax/siren/docs/user/commands/siren.html")


@pytest.mark.slow
def test_the_bundle_builds_from_any_folder(chimerax: Start, here: Path) -> None:
    """`devel install FOLDER` of a ChimeraX user, whose current folder is another."""
    source = here.parent / "source"
    env.copy_sources(source)
    done = chimerax("--nogui", "--safemode", "--exit", "--cmd", f"devel build '{source}' exit true")
    assert done.returncode == 0, done.stdout
    assert len(list(source.glob("dist/*.whl"))) == 1
    assert [path.name for path in here.iterdir()] == ["cube.mrc"]


# ---- the session of the tests


def test_the_commands_that_the_project_uses_are_there(
    session: Any, run: Callable[[str], Any], tmp_path: Path
) -> None:
    from chimerax.map import volume_from_grid_data
    from chimerax.map_data import ArrayGridData

    for value in (1, 2):
        volume_from_grid_data(ArrayGridData(np.full((8, 8, 8), value, np.float32)), session)
    total = run("volume add #1,2")
    assert total.full_matrix().max() == 3
    assert run("volume maximum #1,2").full_matrix().max() == 2
    run(f"volume erase #{total.id_string} center 4,4,4 radius 2")
    assert total.full_matrix()[4, 4, 4] == 0
    run("volume #1 level 0.5; surface dust #1 size 2; taskman list")
    run(f"save {tmp_path}/session.cxs; close; open {tmp_path}/session.cxs")
    assert [v.full_matrix().max() for v in session.models.list() if v.id_string in "12"] == [1, 2]


def test_text_is_drawn_into_pictures(
    session: Any, run: Callable[[str], Any], tmp_path: Path
) -> None:
    from PIL import Image

    run("set bgColor black; 2dlabels text SIREn size 60 color red xpos 0.1 ypos 0.4")
    run(f"save {tmp_path}/text.png width 300 height 100")
    red, green = np.asarray(Image.open(tmp_path / "text.png"), int)[..., :2].transpose(2, 0, 1)
    assert ((red > 150) & (green < 50)).sum() > 100


def test_a_panel_has_real_widgets_and_commands_run_by_it_reach_the_session(session: Any) -> None:
    from chimerax.core.commands import run
    from chimerax.core.tools import ToolInstance

    class Panel(ToolInstance):
        SESSION_SAVE = False

        def __init__(self) -> None:
            super().__init__(session, "A panel")
            from chimerax.ui import MainToolWindow
            from Qt.QtWidgets import QPushButton

            self.tool_window = MainToolWindow(self)
            self.button = QPushButton("A ball", self.tool_window.ui_area)
            self.button.clicked.connect(lambda: run(session, "shape sphere"))
            self.tool_window.manage("side")

    ui_shim.install(session)
    with ui_shim.gui(session):
        panel = Panel()
        assert panel.tool_window.shown
        panel.button.click()
        ui_shim.events(session)
        assert [model.name for model in session.models.list()] == ["sphere"]
        panel.delete()
    assert panel not in session.tools.list()


# ---- make env


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copies of all that `make env` looks at, all stages done."""
    folder = tmp_path / "checkout"
    for source in ("Makefile", "devel", "bundle_info.xml", "src", "README.md", "LICENSE"):
        for file in env.files_in(ROOT / source):
            copy = folder / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
    spec = importlib.util.spec_from_file_location("env_of_the_copy", folder / "devel" / "env.py")
    assert spec is not None and spec.loader is not None
    copied = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copied)
    assert folder == copied.ROOT and folder / ".venv" == copied.VENV
    copied.VENV.mkdir()
    for name in ("make_packages", "complete_library", "install_bundle"):
        # does nothing, with the text of what does
        setattr(copied, name, functools.wraps(getattr(copied, name))(lambda: None))
    copied.main()
    return folder


@pytest.mark.processes
def test_a_second_make_env_does_nothing_and_an_edit_installs_the_bundle_alone(
    checkout: Path,
) -> None:
    def make_env() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", "-s", "-C", checkout, "env", f"PYTHON={sys.executable}"],
            check=False,
            capture_output=True,
            text=True,
        )

    stamps = {p: (p.read_text(), p.stat().st_mtime_ns) for p in checkout.glob(".venv/stamps/*")}
    assert sorted(p.name for p in stamps) == ["bundle", "library", "packages"]
    done = make_env()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {p: (p.read_text(), p.stat().st_mtime_ns) for p in stamps} == stamps
    # nothing was installed beside them
    assert [p.name for p in checkout.glob(".venv/*")] == ["stamps"]
    (checkout / "src" / "new.py").write_text("")
    done = make_env()
    # which fails, there being no ChimeraX in the copy
    assert done.returncode != 0 and "No such file" in done.stderr
    assert sorted(p.name for p in checkout.glob(".venv/stamps/*")) == ["library", "packages"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project elsewhere, for env.py to work on."""
    monkeypatch.setattr(env, "ROOT", tmp_path)
    monkeypatch.setattr(env, "VENV", tmp_path / ".venv")
    (tmp_path / ".venv").mkdir()
    return tmp_path


def test_without_a_bundle_the_environment_is_refused(project: Path) -> None:
    with pytest.raises(env.EnvError, match=r"bundle_info\.xml is missing"):
        env.main()


def test_a_stage_is_done_again_only_when_its_inputs_have_changed(project: Path) -> None:
    done = []
    source = project / "src"
    source.mkdir()

    def stage() -> int:
        env.stage("name", [source], lambda: done.append(1))
        return len(done)

    (source / "one.py").write_text("1")
    assert (stage(), stage()) == (1, 1)
    (source / "two.py").write_text("2")
    assert (stage(), stage()) == (2, 2)
    (source / "two.py").unlink()
    assert (stage(), stage()) == (3, 3)
    (source / "one.py").rename(source / "three.py")
    assert (stage(), stage()) == (4, 4)


def test_an_interrupted_stage_is_not_taken_for_done(project: Path) -> None:
    """Not even if its inputs are again those of its last success."""
    source = project / "one.py"
    made = []

    def make() -> None:
        made.append(source.read_text())
        if made[-1] == "2":
            raise KeyboardInterrupt

    source.write_text("1")
    env.stage("name", [source], make)
    source.write_text("2")
    with pytest.raises(KeyboardInterrupt):
        env.stage("name", [source], make)
    source.write_text("1")
    env.stage("name", [source], make)
    assert made == ["1", "2", "1"]


def test_an_installed_package_must_be_its_source(tmp_path: Path) -> None:
    def write(folder: str, **texts: str) -> Path:
        for name, text in texts.items():
            file = tmp_path / folder / f"{name.replace('__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / folder

    sources = write("sources", src__a="1", src__b="1", src__c="1", weights__w="1")
    assert env.differences(sources, write("same", a="1", b="1", c="1", weights__w="1")) == ""
    problems = env.differences(sources, write("other", a="1", b="2", d="1"))
    assert problems == "b.py is out of date, c.py is not installed, d.py is still installed"


def test_who_may_not_install_debian_packages_is_told_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert env.missing({"libnosuch.so.1": "libnosuch1", "libc.so.6": "libc6"}) == ["libnosuch1"]
    with pytest.raises(
        env.EnvError,
        match=r"Nothing works without libnosuch1\. Run: .*apt-get "
        r"install -y .*libnosuch1",
    ):
        env.have_debian_packages(["libnosuch1"], "Nothing works without")
    env.have_debian_packages([], "Nothing is missing")


def test_all_files_named_by_the_bundle_are_installed() -> None:
    """A missing data file is silently left out of a wheel."""
    xml = ElementTree.parse(ROOT / "bundle_info.xml").getroot()
    named = [
        e.text
        for files in xml.iter("DataFiles")
        if files.get("package")
        for e in files.iter("DataFile")
    ]
    assert "siren_thresholds.pt" in named
    for name in named:
        installed = env.INSTALLED_PACKAGE / "weights" / str(name)
        assert installed.read_bytes() == (ROOT / "weights" / str(name)).read_bytes()
    assert (env.INSTALLED_PACKAGE / "docs/user/commands/siren.html").is_file()


# ---- the panel's tests in a running application


@pytest.mark.parametrize(
    ("ending", "status", "outcome"),
    [("", 0, "1 passed"), ("assert False", 1, "1 failed")],
)
def test_tests_in_a_running_chimerax_begin_after_the_script_and_end_it_with_their_status(
    chimerax: Start, here: Path, ending: str, status: int, outcome: str
) -> None:
    """Here without windows; a command is run in the background only outside of scripts."""
    (here / "test_one.py").write_text(
        "from cxheadless.boot import given\n\ndef test_one():\n"
        f"    assert given is not None and not given.in_script\n    {ending}\n"
    )
    script = ROOT / "devel/test_in_chimerax.py"
    # no "--exit": the tests end it, though it could go on reading commands
    done = chimerax("--offscreen", "--script", f"'{script}' '{here}/test_one.py'")
    report = (here / "test_in_chimerax.txt").read_text()
    assert done.returncode == status, done.stdout + done.stderr
    assert outcome in report and outcome in done.stdout
    assert report.splitlines()[-1] == f"Exit status {status}"


def test_tests_that_cannot_be_begun_end_a_running_chimerax_too(chimerax: Start, here: Path) -> None:
    copy = here / "devel" / "test_in_chimerax.py"
    copy.parent.mkdir()
    text = (ROOT / "devel/test_in_chimerax.py").read_text()
    copy.write_text(text.replace("import pytest\n", "raise ImportError('no pytest')\n"))
    done = chimerax("--offscreen", "--script", str(copy))
    assert done.returncode == 70 and "no pytest" in done.stdout
