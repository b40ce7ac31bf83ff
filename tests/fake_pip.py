"""A stand-in for pip that installs torch without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from chimerax.siren.commands import install
from chimerax.siren.core.common import torch_install


class FakePip:
    """Takes torch away, notes what pip is asked, and gives torch back once pip has ended well.

    Parameters
    ----------
    code : Python that the stand-in runs
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: str = ""):
        self._torch = pytest.importorskip("torch", reason="torch is not installed")
        self.asked: list[list[str]] = []
        self.held = ""
        self._code, self._patch = code, monkeypatch
        monkeypatch.setitem(sys.modules, "torch", None)
        monkeypatch.setattr(install, "start_pip", self)
        monkeypatch.setattr(torch_install, "use_new_packages", self._ended)

    def __call__(self, arguments: Sequence[str], folder: str) -> subprocess.Popen[str]:
        self.asked.append(list(arguments))
        with open(arguments[arguments.index("--constraint") + 1], encoding="utf-8") as file:
            self.held = file.read()
        return subprocess.Popen(
            [sys.executable, "-c", self._code], stdout=subprocess.PIPE, text=True
        )

    def _ended(self) -> None:
        self._patch.setitem(sys.modules, "torch", self._torch)
