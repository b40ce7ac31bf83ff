"""siren install torch, with a stand-in for pip: nothing is downloaded."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from chimerax.core.errors import CancelOperation, UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.commands import install
from chimerax.siren.core.common import torch_install
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress
from fake_pip import FakePip


@pytest.mark.processes
def test_torch_is_installed_once_and_can_be_used_at_once(
    session: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = FakePip(monkeypatch)
    with StringPlainTextLog(session.logger) as log:
        number = run("siren install torch build cpu")
        said = log.getvalue()
    assert len(pip.asked) == 1 and pip.held == torch_install.held_versions()
    assert "about 200 MB" in said and "numpy==" in said
    assert f"torch {number} is installed" in said
    assert number == import_module("torch").__version__  # "+cu130" need not be in its metadata
    run("siren install torch")
    assert len(pip.asked) == 1  # it is there


@pytest.mark.processes
def test_a_failed_installation_is_one_sentence(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePip(monkeypatch, "import sys; print('ERROR: no network'); sys.exit(1)")
    with pytest.raises(UserError, match=r"could not be installed \(no network\): check") as caught:
        run("siren install torch")
    assert "\n" not in str(caught.value)


@pytest.mark.processes
def test_a_pip_that_moved_numpy_is_noticed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    FakePip(monkeypatch)
    versions = iter(["numpy==1.26.4\n", "numpy==2.0\n"])
    monkeypatch.setattr(torch_install, "held_versions", lambda: next(versions))
    with pytest.raises(UserError, match=r"undo that with .pip install numpy==1\.26\.4."):
        run("siren install torch")


def test_pip_is_started_with_chimeraxs_python_and_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from chimerax import app_dirs
    from chimerax.core import python_utils

    seen: dict[str, Any] = {}

    def started(command: list[str], **keywords: Any) -> None:
        seen.update(command=command, base=os.environ.get("PYTHONUSERBASE"), **keywords)

    monkeypatch.setattr(install.subprocess, "Popen", started)
    install.start_pip(["install", "torch"], "/somewhere")
    python = python_utils.chimerax_python_executable()
    assert seen["command"] == [python, "-m", "pip", "install", "torch"]
    assert seen["base"] == app_dirs.user_data_dir and "shell" not in seen
    assert seen["env"]["PYTHONUSERBASE"] == app_dirs.user_data_dir
    assert [seen["env"][name] for name in ("TMPDIR", "TEMP", "TMP")] == ["/somewhere"] * 3
    assert seen["start_new_session"]  # a Ctrl-C for ChimeraX does not end pip halfway


@pytest.mark.processes
def test_what_a_stopped_pip_has_downloaded_is_gone_and_it_can_be_started_again(
    session: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = FakePip(monkeypatch)
    folders: list[Path] = []

    def start(arguments: Any, folder: str) -> Any:
        (Path(folder) / "pip-unpack-x").mkdir()
        (Path(folder) / "pip-unpack-x" / "torch.whl").write_bytes(bytes(1000))
        folders.append(Path(folder))
        return pip(arguments, folder)

    def stop(self: Progress, phase: str, fraction: float = 0.0) -> None:
        if pip.asked:
            raise Cancelled

    monkeypatch.setattr(install, "start_pip", start)
    with monkeypatch.context() as stopped:
        stopped.setattr(Progress, "step", stop)
        with pytest.raises(CancelOperation, match=r"^Stopped\. Nothing was written"):
            run("siren install torch build cpu")
    assert not folders[0].exists()
    assert run("siren install torch build cpu") == import_module("torch").__version__
    assert len(pip.asked) == 2 and not folders[1].exists()
