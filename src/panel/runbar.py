"""The bar below the pages: Run all, Stop, and the progress of the running command."""

from __future__ import annotations

from typing import Any

from Qt.QtCore import QTimer, Signal
from Qt.QtWidgets import (
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ..session.jobs import current_job
from . import steps
from .state import PanelState
from .widgets import Line, add_key, key_text, plain_layout

INTERVAL = 200  # ms between updates
STEPS_OF_BAR = 1000
RUN_ALL = "Predict levels if any are missing, sketch, and expand, with the choices on the Run page"
RUN_KEY, STOP_KEY = "Ctrl+Return", "Ctrl+."


class RunBar(QWidget):
    """Shows the session's running job, even if it was started before the panel was opened."""

    busy_changed = Signal(bool)

    def __init__(self, state: PanelState, run_all: Any, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self._busy = False
        self.run_all = QPushButton("Run all", self)
        self.run_all.clicked.connect(run_all)
        self.stop = QPushButton("Stop", self)
        self.stop.setToolTip("Stop the running command (siren stop); earlier results are kept")
        self.stop.clicked.connect(lambda: state.execute("siren stop"))
        add_key(parent or self, RUN_KEY, self.run_all)
        add_key(parent or self, STOP_KEY, self.stop)
        self.bar = QProgressBar(self)
        self.bar.setRange(0, STEPS_OF_BAR)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.text = Line(self)
        progress = QWidget(self)
        column = QVBoxLayout(progress)
        plain_layout(column, 0, 1)
        column.addWidget(self.text)
        column.addWidget(self.bar)
        self.result = Line(self)
        # result and progress take turns in one place, so that nothing moves when a run starts
        self._shown = QStackedWidget(self)
        self._shown.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for widget in (self.result, progress):
            self._shown.addWidget(widget)
        row = QHBoxLayout(self)
        plain_layout(row)
        row.addWidget(self.run_all)
        row.addWidget(self.stop)
        row.addWidget(self._shown, 1)
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        state.executed.connect(self.refresh)
        state.job_ended.connect(lambda _: self.refresh())
        state.ensemble_changed.connect(self._enable)
        state.selection_changed.connect(self._enable)
        state.run_changed.connect(self._show_result)
        state.choices_changed.connect(self._warn)
        self._warn()
        self.refresh()

    def close_down(self) -> None:
        """Stop watching the session's job, before the panel closes."""
        self._timer.stop()

    def refresh(self) -> None:
        """Show the running job, if any."""
        if self.state.closed:
            return
        job = current_job(self.state.session)
        if job is not None:
            line = "stopping" if job.progress.cancelled else job.status.line
            self.text.say(f"{job.name}: {line}")
            self._move_bar(job.status.fraction)
        self._shown.setCurrentIndex(int(job is not None))
        if (job is not None) != self._busy:
            self._busy = job is not None
            self.busy_changed.emit(self._busy)
        self._enable()

    def _move_bar(self, fraction: float) -> None:
        """Show the fraction done, or with 0 that no end is known."""
        # Qt draws a progress bar at once when its value is set, and with it all that waits to be
        # drawn in the window, which takes 50 ms; this leaves it to the next turn of the event loop
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, STEPS_OF_BAR if fraction > 0 else 0)
        if fraction > 0:
            self.bar.setValue(round(STEPS_OF_BAR * fraction))
        self.bar.setUpdatesEnabled(True)

    def _show_result(self) -> None:
        folder = self.state.run_folder
        record = steps.read_cached(folder) if folder else None
        if record is None or folder is None:
            self.result.say("")
            return
        count = record.counts.get("blocks", 0)
        self.result.say(
            f"{folder.name}: {count} block{'s' * (count != 1)}, "
            f"{record.counts.get('block_voxels', 0):,} voxels",
            f"Results shown: {folder}",
        )

    def _warn(self) -> None:
        """Say at the button which parameters are not the defaults."""
        changes = self.state.changes_text()
        tip = f"{RUN_ALL} ({key_text(RUN_KEY)})"
        self.run_all.setToolTip(f"{tip}. Not the defaults: {changes}" if changes else tip)

    def _enable(self) -> None:
        self.run_all.setEnabled(not self._busy and len(self.state.included) > 1)
        self.stop.setEnabled(self._busy)
