"""Input fields built from the parameters of a step; core alone defines their names, defaults,
units, bounds, choices and help.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from Qt.QtCore import Qt, Signal
from Qt.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QToolButton,
    QWidget,
)

from ..core.common.errors import SirenError
from ..core.common.parameters import Parameters, camel_case
from .widgets import emphasize, plain_layout

NO, YES = "no", "yes"
MOST_INT = 2_000_000_000  # near the limit of Qt's spin boxes


class PathField(QWidget):
    """A file or folder, typed or browsed for."""

    changed = Signal()

    def __init__(
        self, hint: str, caption: str, folder: bool = False, parent: QWidget | None = None
    ):
        super().__init__(parent)
        self._caption, self._folder = caption, folder
        self.line = QLineEdit(self)
        self.line.setPlaceholderText(hint)
        self.line.editingFinished.connect(self.changed)
        browse = QToolButton(self)
        browse.setText("…")
        browse.setToolTip(caption)
        browse.clicked.connect(self._browse)
        layout = QHBoxLayout(self)
        plain_layout(layout, 0, 2)
        layout.addWidget(self.line, 1)
        layout.addWidget(browse)

    @property
    def value(self) -> str:
        """What is typed, without the blanks around it unless they are in a file's name."""
        text = str(self.line.text())
        return text if Path(text).exists() else text.strip()

    @value.setter
    def value(self, value: str) -> None:
        self.line.setText(value)

    def _browse(self) -> None:
        start = self.value or str(Path.home())
        chosen = (
            QFileDialog.getExistingDirectory(self, self._caption, start)
            if self._folder
            else QFileDialog.getOpenFileName(self, self._caption, start)[0]
        )
        if chosen:
            self.value = chosen
            self.changed.emit()


class WordField(QLineEdit):
    """A single word, or nothing."""

    changed = Signal()

    def __init__(self, hint: str, parent: QWidget | None = None):
        super().__init__(parent)
        self.setPlaceholderText(hint)
        self.editingFinished.connect(self.changed)

    @property
    def value(self) -> str:
        """What is typed."""
        return str(self.text()).strip()

    @value.setter
    def value(self, value: str) -> None:
        self.setText(value)


class NumberField(QLineEdit):
    """A number, or nothing."""

    changed = Signal()

    def __init__(self, hint: str, whole: bool = False, parent: QWidget | None = None):
        super().__init__(parent)
        self._whole = whole
        self.setPlaceholderText(hint)
        self.setMaximumWidth(110)
        self.editingFinished.connect(self.changed)

    @property
    def value(self) -> float | int | None:
        """The number, or None if the field is empty.

        Raises
        ------
        SirenError
            If the text is not a number.
        """
        text = str(self.text()).strip()
        if not text:
            return None
        try:
            return int(text) if self._whole else float(text)
        except ValueError:
            raise SirenError(f"{text} is not a {'whole ' if self._whole else ''}number.") from None

    @value.setter
    def value(self, value: float | None) -> None:
        self.setText("" if value is None else f"{value:.12g}")


class ParameterFields(QWidget):
    """The common or the ``advanced`` fields of a step, in two columns: label and input."""

    changed = Signal()

    def __init__(self, kind: type[Parameters], advanced: bool, parent: QWidget | None = None):
        super().__init__(parent)
        self.kind = kind
        self.fields = {
            f.name: f
            for f in dataclasses.fields(kind)
            if "help" in f.metadata and f.metadata["advanced"] is advanced
        }
        self.inputs: dict[str, QWidget] = {}
        self._labels: dict[str, QLabel] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(4)
        layout.setColumnStretch(1, 1)
        for row, f in enumerate(self.fields.values()):
            self._add(layout, row, f)

    def values(self) -> dict[str, Any]:
        """The values by name.

        Raises
        ------
        SirenError
            If one is not a number.
        """
        return {name: self._value(name) for name in self.fields}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values, and defaults for the others, without emitting ``changed``."""
        for name, f in self.fields.items():
            widget = self.inputs[name]
            widget.blockSignals(True)
            self._set(widget, values.get(name, f.default))
            widget.blockSignals(False)

    def apply_statistic(self, statistic: str) -> None:
        """Enable the fields that apply to the statistic; reset the others to their defaults."""
        for name, f in self.fields.items():
            applies = not f.metadata["statistics"] or statistic in f.metadata["statistics"]
            self.inputs[name].setEnabled(applies)
            if name in self._labels:
                self._labels[name].setEnabled(applies)
            if not applies:
                self.set_value(name, f.default)

    def mark(self, changed: Collection[str]) -> None:
        """Show in bold which of these parameters differ from their defaults."""
        for name, widget in self.inputs.items():
            emphasize(self._labels.get(name, widget), name in changed)

    def set_value(self, name: str, value: Any) -> None:
        """Show one value without emitting ``changed``."""
        self.inputs[name].blockSignals(True)
        self._set(self.inputs[name], value)
        self.inputs[name].blockSignals(False)

    def _add(self, layout: QGridLayout, row: int, f: dataclasses.Field[Any]) -> None:
        widget = self._make(f)
        tip = _tip(f)
        widget.setToolTip(tip)
        self.inputs[f.name] = widget
        self._set(widget, f.default)
        if isinstance(widget, QCheckBox):
            layout.addWidget(widget, row, 0, 1, 2)
            return
        label = self._labels[f.name] = QLabel(label_text(f), self)
        label.setToolTip(tip)
        label.setBuddy(widget)
        layout.addWidget(label, row, 0)
        wide = isinstance(widget, (PathField, WordField))
        layout.addWidget(
            widget, row, 1, Qt.AlignmentFlag(0) if wide else Qt.AlignmentFlag.AlignLeft
        )

    def _make(self, f: dataclasses.Field[Any]) -> QWidget:
        kind = str(f.type).split(" | ")[0]
        if f.metadata["choices"]:
            combo = QComboBox(self)
            combo.addItems(f.metadata["choices"])
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
            return combo
        if f.metadata["words"]:
            combo = QComboBox(self)
            combo.addItems([NO, YES, *f.metadata["words"]])
            combo.currentIndexChanged.connect(lambda _: self.changed.emit())
            return combo
        if kind == "bool":
            box = QCheckBox(label_text(f), self)
            box.toggled.connect(lambda _: self.changed.emit())
            return box
        if kind == "int" and f.default is not None:
            spin = QSpinBox(self)
            most = f.metadata["maximum"]
            spin.setRange(int(f.metadata["minimum"] or 0), int(MOST_INT if most is None else most))
            spin.setSuffix(f" {f.metadata['unit']}" if f.metadata["unit"] else "")
            spin.setKeyboardTracking(False)
            spin.setMaximumWidth(110)
            spin.valueChanged.connect(lambda _: self.changed.emit())
            return spin
        if kind == "str" and f.metadata["word"] not in ("", "map"):
            line = WordField("none" if f.default is None else str(f.default), self)
            line.changed.connect(self.changed)
            return line
        if kind == "str":
            path = PathField(
                "none" if f.metadata["word"] == "map" else "shipped with SIREn",
                f.metadata["help"],
                parent=self,
            )
            path.changed.connect(self.changed)
            return path
        number = NumberField(
            "automatic" if f.default is None else f"{f.default:g}", kind == "int", self
        )
        number.changed.connect(self.changed)
        return number

    def _value(self, name: str) -> Any:
        widget, f = self.inputs[name], self.fields[name]
        if isinstance(widget, QComboBox):
            text = str(widget.currentText())
            return {NO: False, YES: True}.get(text, text) if f.metadata["words"] else text
        if isinstance(widget, QCheckBox):
            return bool(widget.isChecked())
        value: Any = widget.value() if isinstance(widget, QSpinBox) else widget.value
        return f.default if value in (None, "") else value

    def _set(self, widget: QWidget, value: Any) -> None:
        if isinstance(widget, QComboBox):
            widget.setCurrentText(
                {False: NO, True: YES}.get(value, str(value))
                if isinstance(value, bool)
                else str(value)
            )
        elif isinstance(widget, QCheckBox):
            widget.setChecked(bool(value))
        elif isinstance(widget, QSpinBox):
            widget.setValue(int(value))
        elif isinstance(widget, (PathField, WordField)):
            widget.value = str(value or "")
        elif isinstance(widget, NumberField):
            widget.value = value


def label_text(f: dataclasses.Field[Any]) -> str:
    """The name of a parameter in the panel: its label, or its keyword as words."""
    text = f.metadata["label"] or f.name.replace("_", " ")
    return str(text[0].upper() + text[1:])


def _tip(f: dataclasses.Field[Any]) -> str:
    bounds = [
        f"at least {f.metadata['minimum']:g}" if f.metadata["minimum"] is not None else "",
        f"above {f.metadata['above']:g}" if f.metadata["above"] is not None else "",
        f"at most {f.metadata['maximum']:g}" if f.metadata["maximum"] is not None else "",
    ]
    text = str(f.metadata["help"])
    details = [f"keyword {camel_case(f.name)}"]
    if f.default is not None:
        default = (
            str(f.default).lower()
            if isinstance(f.default, bool)
            else (f"{f.default} {f.metadata['unit']}").strip()
        )
        details.append(f"default {default}")
    if any(bounds):
        details.append(", ".join(b for b in bounds if b))
    return f"<p>{text[0].upper()}{text[1:]}.</p><p>{'; '.join(details)}</p>"
