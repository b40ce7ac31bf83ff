"""The Run page: Predict, Sketch and Expand, each with its parameters, button and estimate."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from Qt.QtCore import Qt, Signal
from Qt.QtGui import QPalette
from Qt.QtWidgets import (
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ..core.blocks.statistics import DEFAULT
from ..core.common.errors import SirenError
from ..session.jobs import JobEnd, current_job
from . import commands, steps
from .fields import NumberField, ParameterFields, PathField
from .header import short
from .listed import ONE_LEVEL, PREDICTED, TABLE
from .presets import PresetMenu, tidied
from .state import PanelState
from .widgets import MARGIN, Note, Page, Section, emphasize, plain_layout, single_shot

if TYPE_CHECKING:
    from ..core.runs.record import Record

TITLES = {
    "predict": "1  Predict: a contour level for each volume",
    "sketch": "2  Sketch: find blocks in a sample of voxels",
    "expand": "3  Expand: test every voxel against the blocks",
}
SOURCES = ((PREDICTED, "predicted"), (TABLE, "from a table"), (ONE_LEVEL, "one for all"))


class InputSection(QWidget):
    """The inputs shared by all steps: contour levels, output folder, voxel size, box."""

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self.source = QComboBox(self)
        for _, text in SOURCES:
            self.source.addItem(text)
        self.source.setToolTip(
            "Where the contour levels come from: predictions.csv in the output folder, another "
            "table with the columns file and denormalized_predictions, or one level for all volumes"
        )
        self.table = PathField("predictions.csv", "Table of thresholds", parent=self)
        self.level = NumberField("level", parent=self)
        self._which = QStackedWidget(self)
        for widget in (QWidget(self), self.table, self.level):
            self._which.addWidget(widget)
        self.output = PathField(
            "beside the volumes", "Folder for the results", folder=True, parent=self
        )
        self.voxel_size = NumberField("from headers", parent=self)
        self.voxel_size.setToolTip("Å per voxel, to override the map headers (keyword voxelSize)")
        self.box = NumberField("unchanged", whole=True, parent=self)
        self.box.setToolTip(
            "For large maps: resample each volume on reading to a cube with this many voxels along "
            "each edge (keyword box)"
        )
        row = QHBoxLayout()
        plain_layout(row)
        row.addWidget(self.source)
        row.addWidget(self._which, 1)
        form = QFormLayout(self)
        form.setContentsMargins(MARGIN, 2, 0, 4)
        form.setVerticalSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self.changes = Note('Bold: given for these volumes. <a href="reset">Reset</a>', self)
        self.changes.linkActivated.connect(lambda _: self._reset())
        self.labels: dict[str, QLabel] = {}
        for name, label, field in (
            ("source", "Contour levels", row),
            ("output", "Output folder", self.output),
            ("voxel_size", "Voxel size (Å)", self.voxel_size),
            ("box", "Box (voxels)", self.box),
        ):
            self.labels[name] = QLabel(label, self)
            form.addRow(self.labels[name], field)
        form.addRow(self.changes)
        self.source.currentIndexChanged.connect(lambda _: self._changed())
        for widget in (self.table, self.level, self.output, self.voxel_size, self.box):
            widget.changed.connect(self._changed)
        state.choices_changed.connect(self.refresh)
        state.ensemble_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        state = self.state
        self.source.blockSignals(True)
        self.source.setCurrentIndex([s for s, _ in SOURCES].index(state.source))
        self.source.blockSignals(False)
        self._which.setCurrentIndex(self.source.currentIndex())
        self.table.value, self.level.value, self.output.value = (
            state.table,
            state.level,
            state.output,
        )
        self.voxel_size.value, self.box.value = state.voxel_size, state.box
        default = state.output_path if not state.output else None
        self.output.line.setPlaceholderText(
            short(str(default)) if default else "beside the volumes"
        )
        changed = self._changed_names()
        for name, label in self.labels.items():
            emphasize(label, name in changed)
        self.changes.setVisible(bool(changed))

    def _changed_names(self) -> list[str]:
        """The fields that differ from their defaults."""
        usual = {"source": PREDICTED, "output": "", "voxel_size": None, "box": None}
        return [name for name, value in usual.items() if getattr(self.state, name) != value]

    def _reset(self) -> None:
        state = self.state
        moved = bool(state.output) or state.voxel_size is not None
        state.source, state.table, state.level, state.output = PREDICTED, "", None, ""
        state.voxel_size, state.box = None, None
        state.changed()
        if moved and state.volumes:
            state.set_volumes(state.volumes, state.excluded)

    def _changed(self) -> None:
        state = self.state
        try:
            level, voxel_size, box = self.level.value, self.voxel_size.value, self.box.value
        except SirenError as error:
            state.tell(str(error), True)
            self.refresh()
            return
        if (voxel_size is not None and voxel_size <= 0) or (box is not None and box < 8):
            state.tell("The voxel size must be above 0 Å, and the box at least 8 voxels.", True)
            self.refresh()
            return
        output = self.output.value
        moved = (voxel_size, output) != (state.voxel_size, state.output)
        state.source = SOURCES[self.source.currentIndex()][0]
        state.table, state.level, state.output = self.table.value, level, output
        state.voxel_size, state.box = voxel_size, None if box is None else int(box)
        state.changed()
        if moved and state.volumes:
            state.set_volumes(state.volumes, state.excluded)


class StepSection(Section):
    """One step: common parameters, advanced ones folded away, and a button with an estimate."""

    def __init__(self, step: str, page: RunPage):
        super().__init__(TITLES[step], parent=page)
        self.make_bold()
        self.step, self.page, self.state = step, page, page.state
        kind = commands.STEPS[step]
        self.common, self.advanced = (
            ParameterFields(kind, False, self),
            ParameterFields(kind, True, self),
        )
        self.fold = Section("Advanced", False, self)
        fold_layout = QVBoxLayout(self.fold.body)
        fold_layout.setContentsMargins(MARGIN, 0, 0, 0)
        fold_layout.addWidget(self.advanced)
        self.button = QPushButton(step.capitalize(), self)
        self.button.clicked.connect(lambda: page.run_step(step))
        self.estimate = Note(parent=self)
        self.changes = Note(parent=self)
        self.changes.linkActivated.connect(lambda which: self.state.reset(step, which == "mine"))
        self.problem = Note(parent=self)
        self.problem.setForegroundRole(QPalette.ColorRole.WindowText)
        row = QHBoxLayout()
        plain_layout(row, spacing=8)
        row.addWidget(self.button)
        row.addWidget(self.estimate, 1)
        layout = QVBoxLayout(self.body)
        layout.setContentsMargins(MARGIN, 0, 0, 6)
        layout.setSpacing(4)
        for widget in (self.common, self.fold, self.changes, self.problem):
            layout.addWidget(widget)
        layout.addLayout(row)
        for fields in (self.common, self.advanced):
            fields.changed.connect(self._changed)

    def refresh(self, record: Record | None, busy: bool) -> None:
        """Show the state, and enable the button if the step can be run."""
        defaults = steps.expand_defaults(self.state, record) if self.step == "expand" else {}
        values = {**defaults, **self.state.steps[self.step]}
        for fields in (self.common, self.advanced):
            fields.set_values(values)
            fields.apply_statistic(values.get("statistic", DEFAULT))
        self._mark()
        problem = self._problem(values)
        self.problem.setVisible(bool(problem))
        self.problem.setText(problem)
        reason = problem or self._missing()
        self.button.setEnabled(not reason and not busy)
        self.button.setToolTip(reason or f"Run siren {self.step}")
        cost = steps.cost(self.state, self.step, record)
        self.estimate.setText(
            reason
            if reason and not problem
            else cost.text(self.page.speed(self.step))
            if cost
            else ""
        )
        self.estimate.setToolTip(
            "Time and memory, estimated from the numbers of voxels and volumes and from earlier "
            "runs on this computer"
        )

    def _mark(self) -> None:
        """Mark what differs from the defaults, and offer to reset it."""
        changed = self.state.steps[self.step]
        for fields in (self.common, self.advanced):
            fields.mark(changed)
        words = self.state.changes_text(self.step)
        self.changes.setVisible(bool(words))
        self.changes.setText(self._changes_text(words))
        self.mark("•" if changed else "")
        hidden = sum(name in self.advanced.fields for name in changed)
        self.fold.mark(f"({hidden} changed)" if hidden else "")

    def _changes_text(self, words: str) -> str:
        """What differs from SIREn's defaults, with links to reset it."""
        own = tidied(self.state.settings.own_defaults).get(self.step, {})
        if not own:
            return f'Changed: {escape(words)}. <a href="reset">Reset</a>'
        to_siren = '<a href="reset">Reset to SIREn\'s</a>'
        if self.state.steps[self.step] == own:
            return f"My defaults: {escape(words)}. {to_siren}"
        return f'Changed: {escape(words)}. <a href="mine">Reset to mine</a>, {to_siren}'

    def _missing(self) -> str:
        if self.step == "expand":
            return "" if steps.blocks_to_expand(self.state) else "No blocks yet: run Sketch first."
        return "" if self.state.found is not None else "Choose volumes first."

    def _problem(self, values: dict[str, Any]) -> str:
        try:
            commands.STEPS[self.step](**values)
        except SirenError as error:
            return str(error)
        return ""

    def _changed(self) -> None:
        record = steps.record_to_expand(self.state) if self.step == "expand" else None
        defaults = steps.expand_defaults(self.state, record) if self.step == "expand" else {}
        kind = commands.STEPS[self.step]
        usual = {
            name: defaults.get(name, f.default) for name, f in kind.__dataclass_fields__.items()
        }
        try:
            values = {**self.common.values(), **self.advanced.values()}
        except SirenError as error:
            self.state.tell(str(error), True)
            self.page.refresh()
            return
        chosen = {name: value for name, value in values.items() if value != usual[name]}
        statistic = values.get("statistic")
        for name in list(chosen):  # drop parameters of other statistics
            belongs = kind.__dataclass_fields__[name].metadata["statistics"]
            if belongs and statistic not in belongs:
                del chosen[name]
        self.state.steps[self.step] = chosen
        self.state.changed()


class RunPage(Page):
    """The sections one below the other; they scroll if the panel is short."""

    changed = Signal(str)  # the parameters that are not the defaults, "" for none

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self._expected: dict[str, float] = {}  # s, for the steps started from this panel
        content = self.content
        layout = QVBoxLayout(content)
        plain_layout(layout, MARGIN, 4)
        self.input = InputSection(state, content)
        self.presets = PresetMenu(state, content)
        self.sections = {step: StepSection(step, self) for step in commands.STEPS}
        layout.addWidget(self.input)
        layout.addWidget(self.presets)
        for section in self.sections.values():
            layout.addWidget(_line(content))
            layout.addWidget(section)
        layout.addStretch(1)
        # refresh once for several signals in quick succession
        self._soon = single_shot(self, 0, self.refresh)
        for signal in (
            state.ensemble_changed,
            state.selection_changed,
            state.run_changed,
            state.levels_changed,
        ):
            signal.connect(self._soon.start)
        state.choices_changed.connect(self.refresh)
        state.job_ended.connect(self._job_ended)
        self.refresh()

    def refresh(self) -> None:
        """Show the state in all sections."""
        if self.state.closed:
            return
        record = steps.record_to_expand(self.state)
        busy = current_job(self.state.session) is not None
        for section in self.sections.values():
            section.refresh(record, busy)
        self.changed.emit(self.state.changes_text())

    def run_step(self, step: str) -> None:
        """Run a step with the choices in the panel."""
        make = {
            "predict": steps.predict_command,
            "sketch": steps.sketch_command,
            "expand": steps.expand_command,
        }[step]
        try:
            line = make(self.state)
        except SirenError as error:
            self.state.tell(str(error), True)
            return
        self._expect([step])
        self.state.tell("")
        self.state.execute(line)

    def run_all(self) -> None:
        """Run all steps needed, one after the other."""
        try:
            lines = steps.all_commands(self.state)
        except SirenError as error:
            self.state.tell(str(error), True)
            return
        self._expect(list(commands.STEPS))
        self.state.tell("")
        self.state.execute_in_turn(lines)

    def speed(self, step: str) -> float:
        """Time of the step's last run on this computer, as a multiple of the estimate."""
        return float(self.state.settings.speed.get(step, 1.0))

    def _expect(self, names: list[str]) -> None:
        record = steps.record_to_expand(self.state)
        costs = {step: steps.cost(self.state, step, record) for step in names}
        self._expected = {step: cost.seconds for step, cost in costs.items() if cost is not None}

    def _job_ended(self, end: JobEnd) -> None:
        step = end.name.removeprefix("siren ")
        expected = self._expected.pop(step, 0.0)
        if end.error is None and expected > 0:
            self.state.settings.speed = {
                **self.state.settings.speed,
                step: min(100.0, max(0.01, end.seconds / expected)),
            }
        self.refresh()


def _line(parent: QWidget) -> QFrame:
    line = QFrame(parent)
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line
