"""Menus of what goes on to other programs and people: masks, figures, a report, particles and
more. Each entry is a command.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from Qt.QtGui import QGuiApplication
from Qt.QtWidgets import QFileDialog, QMenu, QToolButton, QWidget

from ..core.analysis.selection import Selection
from ..session.commandline import name_text
from ..session.words import path_text

PARTICLE_FILES = "Particles (*.star *.cs)"
REPORTS = "Report (*.html)"
FIGURES = "PNG picture (*.png);;PDF document (*.pdf);;SVG drawing (*.svg)"
MOVIES = "Movie (*.mp4)"


def open_structures(session: Any) -> list[Any]:
    """Open atomic models, in order; none where nothing has loaded ChimeraX's atoms yet."""
    atomic = sys.modules.get("chimerax.atomic")
    return list(session.models.list(type=atomic.AtomicStructure)) if atomic else []


class MenuButton(QToolButton):
    """A button that opens a menu, which is filled anew each time."""

    def __init__(self, session: Any, execute: Callable[[str], Any], text: str, parent: QWidget):
        super().__init__(parent)
        self.session, self._execute = session, execute
        self.setText(text)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setMenu(QMenu(self))
        self.menu().setToolTipsVisible(True)
        self.menu().aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Fill the menu."""
        self.menu().clear()

    def _add(self, command: str, text: str, tip: str, call: Callable[[], Any]) -> None:
        """An entry for a command of SIREn."""
        action = self.menu().addAction(text)
        action.setToolTip(f"{tip} ({command})")
        action.triggered.connect(call)


class ExportButton(MenuButton):
    """What can be made of blocks: masks, occupancies, a figure, a movie, a report, comparisons with
    another run and with open atomic models.

    Parameters
    ----------
    execute : runs a command and logs it
    chosen : the blocks as a command names them, those selected or all
    everything : all of them
    """

    def __init__(
        self,
        session: Any,
        execute: Callable[[str], Any],
        chosen: Callable[[], str],
        everything: Callable[[], str],
        parent: QWidget,
    ):
        super().__init__(session, execute, "Export", parent)
        self._chosen, self._everything = chosen, everything
        self.setToolTip(
            "Masks, occupancies, a figure or a movie of the blocks, a report on them, or what "
            "another run has of them"
        )

    def fill(self) -> None:
        """Override."""
        super().fill()
        self._add(
            "siren mask",
            "Masks...",
            "Soft masks of the selected blocks, or of all, for focused classification",
            self.masks,
        )
        self._add(
            "siren mask",
            "Masks for MAVEn...",
            "Masks and thresholds in the form that MAVEn reads",
            self.maven,
        )
        self._add(
            "siren occupancy",
            "Occupancies...",
            "How much of the selected blocks, or of all, is in each volume: tables and figures",
            self.occupancy,
        )
        self._add(
            "siren figure",
            "Figure...",
            "The blocks that are shown as a picture for a paper, with numbers and a scale bar",
            self.figure,
        )
        self._add(
            "siren movie",
            "Movie...",
            "Typical volumes in the order in which blocks come, as a movie",
            self.movie,
        )
        self._add(
            "siren report", "Report...", "All that is known of the blocks in one file", self.report
        )
        self._add(
            "siren compare",
            "Compare with a run...",
            "Open the blocks of another run in the colors of those that they match",
            self.compare,
        )
        for model in open_structures(self.session):
            self._add(
                "siren annotate",
                f"Parts of #{model.id_string} {model.name}",
                "Which chains and residues of this model lie in the blocks",
                partial(self.annotate, model.id_string),
            )

    def masks(self) -> None:
        """Ask for a folder, and write masks into it."""
        if folder := self._folder("Folder for the masks"):
            self._execute(f"siren mask {self._chosen()} {path_text(Path(folder))}")

    def maven(self) -> None:
        """Ask for a folder, and write into it what MAVEn reads."""
        if folder := self._folder("New folder for MAVEn"):
            self._execute(f"siren mask {self._chosen()} maven {path_text(Path(folder))}")

    def occupancy(self) -> None:
        """Ask for a folder, and write occupancies into it."""
        if folder := self._folder("Folder for the occupancies"):
            self._execute(
                f"siren occupancy {self._chosen()} outputDir {path_text(Path(folder))} figures png"
            )

    def figure(self) -> None:
        """Ask for a file, and save a picture."""
        self._save("siren figure", "Save the figure", "blocks.png", FIGURES)

    def movie(self) -> None:
        """Ask for a file, and record a movie."""
        self._save("siren movie", "Save the movie", "blocks.mp4", MOVIES)

    def report(self) -> None:
        """Ask for a file, and write a report."""
        self._save("siren report", "Save the report", "report.html", REPORTS)

    def compare(self) -> None:
        """Ask for the folder of another run, and compare it."""
        if folder := self._folder("Folder of the other run"):
            self._execute(f"siren compare {self._everything()} {path_text(Path(folder))}")

    def annotate(self, model: str, *_: bool) -> None:
        """List what of a model lies in which block."""
        self._execute(f"siren annotate {self._everything()} #{model}")

    def _save(self, command: str, title: str, name: str, formats: str) -> None:
        path, chosen = QFileDialog.getSaveFileName(self, title, name, formats)
        if path:
            suffix = chosen.rpartition("*")[2].rstrip(")") or Path(name).suffix
            path = path if Path(path).suffix else path + suffix
            self._execute(f"{command} {self._everything()} saveFile {path_text(Path(path))}")

    def _folder(self, title: str) -> str:
        return str(QFileDialog.getExistingDirectory(self, title))


class UseButton(MenuButton):
    """What can be made of the volumes that have some blocks and lack others.

    Parameters
    ----------
    execute : runs a command and logs it
    selection : of the volumes
    run : folder of the run, or None
    """

    def __init__(
        self,
        session: Any,
        execute: Callable[[str], Any],
        selection: Callable[[], Selection],
        run: Callable[[], Path | None],
        parent: QWidget,
    ):
        super().__init__(session, execute, "Use", parent)
        self._selection, self._run = selection, run
        self.setToolTip("What to do with the volumes that have and lack these blocks")

    def fill(self) -> None:
        """Override."""
        super().fill()
        words = self._selection().words
        copy = self.menu().addAction(f"Copy \u201c{words}\u201d")
        copy.setToolTip("For a command, such as siren particles RUN with 2 without 5")
        copy.triggered.connect(self.copy)
        self._add(
            "siren volumes",
            "Averages and their difference",
            "The mean of these volumes, that of all others, and where they differ",
            self.volumes,
        )
        self._add(
            "siren movie",
            "Series of them",
            "Open typical ones of these volumes one after the other, as their blocks come",
            self.series,
        )
        self._add(
            "siren particles",
            "Particles of a .star or .cs file...",
            "Write the particles that these volumes stand for",
            self.particles,
        )
        self._add(
            "siren particles",
            "Indices of their particles",
            "Write the indices of the particles that these volumes stand for",
            self.indices,
        )

    def copy(self) -> None:
        """Copy what is asked for, as a command takes it."""
        QGuiApplication.clipboard().setText(self._selection().words)

    def _type(self, command: str, more: str = "") -> None:
        if (run := self._run()) is not None:
            self._execute(f"{command} {path_text(run)} {self._selection().words}{more}")

    def volumes(self) -> None:
        """Average them, and all others."""
        self._type("siren volumes")

    def series(self) -> None:
        """Open them in the order in which blocks come."""
        self._type("siren movie")

    def particles(self) -> None:
        """Ask for a file of particles, and write those of these volumes."""
        path, _ = QFileDialog.getOpenFileName(self, "Particles", "", PARTICLE_FILES)
        if path:  # a name of its own: the indices of the same volumes have the usual one
            name = name_text(f"{Path(path).stem}_{self._selection().stem}")
            self._type("siren particles", f" particleFile {path_text(Path(path))} name {name}")

    def indices(self) -> None:
        """Write the indices of their particles."""
        self._type("siren particles")
