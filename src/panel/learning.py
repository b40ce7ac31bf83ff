"""The foot of the Levels page: propose volumes to label, and measure and teach the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Qt.QtCore import Signal
from Qt.QtWidgets import QHBoxLayout, QPushButton, QSpinBox, QVBoxLayout, QWidget

from ..core.common.errors import SirenError
from ..session.jobs import JobEnd, current_job
from . import steps
from .levels_table import LevelsModel
from .state import PanelState
from .widgets import Note, add_key, plain_layout

if TYPE_CHECKING:
    from ..core.thresholds.agreement import Agreement

USUAL_COUNT = 20  # of "siren label template"
MOST = 500
BESIDE = 14  # pixels beside the text of a button


def small_button(scope: QWidget, text: str, tip: str, keys: str) -> QPushButton:
    """A button no wider than its text needs, with a key that works inside a widget."""
    button = QPushButton(text, scope)
    button.setToolTip(tip)
    button.setMinimumWidth(button.fontMetrics().horizontalAdvance(text) + BESIDE)
    add_key(scope, keys, button)
    return button


class LearningBar(QWidget):
    """Buttons that run ``siren label template``, ``siren evaluate`` and ``siren finetune``, and
    what came of it.
    """

    proposed = Signal(dict)  # why, by name of the volume

    def __init__(self, state: PanelState, levels: LevelsModel, page: QWidget):
        super().__init__(page)
        self.state, self._levels = state, levels
        self._results = {"siren evaluate": "", "siren finetune": ""}
        self._weights = ""  # fine-tuned
        self._listed = state.volumes
        self.propose = small_button(
            page,
            "Propose",
            "Choose the volumes most worth labeling (siren label template)",
            "Alt+O",
        )
        self.count = QSpinBox(self)
        self.count.setRange(1, MOST)
        self.count.setValue(USUAL_COUNT)
        self.count.setToolTip("How many volumes Propose chooses (keyword count)")
        self.evaluate = small_button(
            page,
            "Evaluate",
            "Compare the levels of runs with your labels (siren evaluate)",
            "Alt+C",
        )
        self.finetune = small_button(
            page, "Fine-tune", "Train the network further on your labels (siren finetune)", "Alt+R"
        )
        self.results = Note(parent=self)
        row = QHBoxLayout()
        plain_layout(row, spacing=4)
        for widget in (self.propose, self.count):
            row.addWidget(widget)
        row.addStretch(1)
        for widget in (self.evaluate, self.finetune):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        plain_layout(layout, spacing=4)
        layout.addLayout(row)
        layout.addWidget(self.results)
        self.propose.clicked.connect(self._propose)
        self.evaluate.clicked.connect(self._evaluate)
        self.finetune.clicked.connect(self._finetune)
        self.results.linkActivated.connect(self._predict)
        state.job_ended.connect(self._job_ended)

    def refresh(self) -> None:
        """Show the state."""
        state, labels = self.state, len(self._levels.labels)
        if state.volumes != self._listed:
            self._listed, self._results = state.volumes, dict.fromkeys(self._results, "")
        idle = current_job(state.session) is None
        self.propose.setEnabled(idle and state.found is not None)
        for button in (self.evaluate, self.finetune):
            button.setEnabled(idle and labels > 0)
        proposed = len(self._levels.to_label)
        parts = [text for text in self._results.values() if text]
        if labels or proposed:
            left = f", {proposed:,} proposed and not labeled yet" if proposed else ""
            parts.insert(0, f"{labels:,} labeled{left}.")
        elif state.names:
            parts.insert(0, "No labels yet: Propose chooses the volumes most worth labeling.")
        self.results.setText("<br>".join(parts))

    def _propose(self) -> None:
        self._run(steps.template_command(self.state, self.count.value()))

    def _evaluate(self) -> None:
        try:
            self._run(steps.evaluate_command(self.state))
        except SirenError as error:
            self.state.tell(str(error), True)

    def _finetune(self) -> None:
        try:
            self._run(steps.finetune_command(self.state))
        except SirenError as error:
            self.state.tell(str(error), True)

    def _predict(self, _: str) -> None:
        """Predict with the fine-tuned weights; they stay those of Predict until it is reset."""
        self.state.steps["predict"]["weights"] = self._weights
        self.state.changed()
        self._run(steps.predict_command(self.state))

    def _run(self, line: str) -> None:
        self.state.tell("")
        self.state.execute(line)
        self.refresh()

    def _job_ended(self, end: JobEnd) -> None:
        if end.error is None and end.result is not None:
            if end.name == "siren label template":
                self.proposed.emit({p.file: p.reason for p in end.result})
            elif end.name == "siren predict":
                self._results["siren evaluate"] = ""  # it was about the levels before
            elif end.name == "siren evaluate":
                self._results[end.name] = f"Levels of runs: {agreement_text(end.result.agreement)}."
            elif end.name == "siren finetune":
                self._weights = str(end.result.weights)
                self._results[end.name] = finetuned_text(end.result)
        self.refresh()


def agreement_text(agreement: Agreement) -> str:
    """How far levels are from labels, in the units of the maps."""
    f = agreement.metrics
    bias = float(f["bias"] or 0.0)
    text = (
        f"{agreement.count:,} label{'s' * (agreement.count != 1)}, off by {f['mae']:.3g} on "
        f"average ({abs(bias):.2g} too {'high' if bias > 0 else 'low'})"
    )
    if f["correlation"] is not None:
        text += f", correlation {f['correlation']:.2f}"
    if agreement.bounded:
        text += f", {agreement.within} of {agreement.bounded} within their bounds"
    return text


def finetuned_text(result: Any) -> str:
    """What fine-tuning has changed, on labels that it has not seen."""
    before, after = result.before.metrics["mae"], result.after.metrics["mae"]
    count = result.after.count
    if not result.fit.best:
        return (
            f"Fine-tuned: no better than before ({count} held-out labels, off by {before:.3g}); "
            "the weights are unchanged."
        )
    return (
        f"Fine-tuned: {count} held-out labels are off by {after:.3g} on average, {before:.3g} "
        'before. <a href="predict">Predict with the new weights</a>'
    )
