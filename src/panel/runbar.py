"""The bar below the pages: Run all, Stop, and the progress of the running command."""

from __future__ import annotations

from typing import Any

from Qt.QtCore import QTimer, Signal
from Qt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..session.jobs import current_job
from . import steps
from .state import PanelState
from .widgets import plain_layout

INTERVAL = 200  # ms between updates
STEPS_OF_BAR = 1000


class RunBar(QWidget):
    """Shows the session's running job, even if it was started before the panel was opened."""

    busy_changed = Signal(bool)

    def __init__(self, state: PanelState, run_all: Any, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self._busy = False
        self.run_all = QPushButton("Run all", self)
        self.run_all.setToolTip(
            "Predict contour levels if any are missing, sketch, and expand, with the choices on "
            "the Run page"
        )
        self.run_all.clicked.connect(run_all)
        self.stop = QPushButton("Stop", self)
        self.stop.setToolTip("Stop the running command (siren stop); earlier results are kept")
        self.stop.clicked.connect(lambda: state.execute("siren stop"))
        self.bar = QProgressBar(self)
        self.bar.setRange(0, STEPS_OF_BAR)
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        self.text = QLabel(self)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._progress = QWidget(self)
        column = QVBoxLayout(self._progress)
        plain_layout(column, 0, 1)
        column.addWidget(self.text)
        column.addWidget(self.bar)
        self.result = QLabel(self)
        self.result.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        plain_layout(row)
        row.addWidget(self.run_all)
        row.addWidget(self.stop)
        row.addWidget(self.result, 1)
        layout = QVBoxLayout(self)
        plain_layout(layout, 0, 4)
        layout.addWidget(self._progress)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self.refresh)
        self._timer.start()
        state.executed.connect(self.refresh)
        state.job_ended.connect(lambda _: self.refresh())
        state.ensemble_changed.connect(self._enable)
        state.selection_changed.connect(self._enable)
        state.run_changed.connect(self._show_result)
        self.refresh()

    def refresh(self) -> None:
        """Show the running job, if any."""
        job = current_job(self.state.session)
        if job is not None:
            self.text.setText(
                f"{job.name}: {job.status.line}"
                if not job.progress.cancelled
                else f"{job.name}: stopping"
            )
            self.text.setToolTip(self.text.text())
            if job.status.fraction > 0:
                self.bar.setRange(0, STEPS_OF_BAR)
                self.bar.setValue(round(STEPS_OF_BAR * job.status.fraction))
            else:
                # busy, with no known end
                self.bar.setRange(0, 0)
        self._progress.setVisible(job is not None)
        if (job is not None) != self._busy:
            self._busy = job is not None
            self.busy_changed.emit(self._busy)
        self._enable()

    def _show_result(self) -> None:
        folder = self.state.run_folder
        record = steps.read_cached(folder) if folder else None
        if record is None or folder is None:
            self.result.setText("")
            self.result.setToolTip("")
            return
        count = record.counts.get("blocks", 0)
        self.result.setText(
            f"{folder.name}: {count} block{'s' * (count != 1)}, "
            f"{record.counts.get('block_voxels', 0):,} voxels"
        )
        self.result.setToolTip(f"Results shown: {folder}")

    def _enable(self) -> None:
        self.run_all.setEnabled(not self._busy and len(self.state.included) > 1)
        self.stop.setEnabled(self._busy)
