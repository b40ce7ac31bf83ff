"""The Plots page with real widgets: figures of a run, clicks that show volumes, buttons that run
commands.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command

from chimerax.siren.session.jobs import current_job
from conftest import run_to_the_end, work_on
from cxheadless import ui_shim
from ensembles import LEVEL, Planted, write_planted

KINDS = ["thresholds", "states", "correlation", "conditional", "scatter"]


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, volumes: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    run_to_the_end(
        _chimerax,
        f"siren sketch '{volumes.folder}' level {LEVEL} outputDir '{folder}' "
        "statistic exact subsample 1 resamples 0 "
        "open false",
    )
    return folder / "00_sketch"


class Person:
    """A user of the page."""

    def __init__(self, session: Any):
        from chimerax.siren.panel.plots import PlotsPage

        self.session = session
        self.typed: list[str] = []
        self.asked: list[str] = []
        self.page = PlotsPage(session, self.execute)
        self.page.volume_requested.connect(self.asked.append)
        self.page.resize(430, 520)
        self.page.show()
        # a real window gets its size a little later, and its figure would be drawn again
        self.wait(lambda: self.page.windowHandle().isExposed())

    def execute(self, command: str) -> None:
        self.typed.append(command)
        run_command(self.session, command)

    @property
    def reason(self) -> str:
        """Why there is no figure, as it stands in the place of one, on one line."""
        return " ".join(" ".join(t.get_text() for t in self.page.figure.texts).split())

    def wait(self, until: Callable[[], bool] | None = None) -> None:
        """Let the application work until a condition holds, or all timers of the page have run."""
        work_on(self.session, self.page, until)

    def see(self, folder: Path | None, kind: str) -> None:
        """Open a run and choose a figure."""
        self.page.set_run(folder)
        self.wait(lambda: self.page._reading is None)
        self.page.choice.setCurrentIndex(KINDS.index(kind))
        self.wait(lambda: not self.page.view.stale)
        self.wait()

    def mouse(self, axes: Any, x: float, y: float, click: bool) -> None:
        """Move the mouse to a point of the figure, given in its data's coordinates, and click."""
        from Qt.QtCore import QEvent, QPointF, Qt
        from Qt.QtGui import QMouseEvent
        from Qt.QtWidgets import QApplication

        canvas = self.page.canvas
        across, up = axes.transData.transform((x, y)) / canvas.device_pixel_ratio
        place = QPointF(across, canvas.height() - up)
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        kinds = [(QEvent.Type.MouseMove, none)]
        kinds += (
            [(QEvent.Type.MouseButtonPress, left), (QEvent.Type.MouseButtonRelease, left)]
            if click
            else []
        )
        for kind, button in kinds:
            QApplication.sendEvent(
                canvas,
                QMouseEvent(
                    kind,
                    place,
                    canvas.mapToGlobal(place),
                    button,
                    button,
                    Qt.KeyboardModifier.NoModifier,
                ),
            )
        self.wait()

    def drag(self, places: np.ndarray) -> None:
        """Drag the mouse along points of the canvas, in pixels from its upper left."""
        from Qt.QtCore import QEvent, QPointF, Qt
        from Qt.QtGui import QMouseEvent
        from Qt.QtWidgets import QApplication

        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        move, last = QEvent.Type.MouseMove, len(places) - 1
        for k, (x, y) in enumerate(places):
            kinds = [(QEvent.Type.MouseButtonPress, left)] if k == 0 else [(move, none)]
            kinds += [(QEvent.Type.MouseButtonRelease, left)] if k == last else []
            for kind, button in kinds:
                at = QPointF(x, y)
                event = QMouseEvent(
                    kind,
                    at,
                    self.page.canvas.mapToGlobal(at),
                    button,
                    left,
                    Qt.KeyboardModifier.NoModifier,
                )
                QApplication.sendEvent(self.page.canvas, event)
        self.wait()

    def pixels(self, places: np.ndarray) -> np.ndarray:
        """Points of a figure in pixels of the canvas from its upper left, (n, 2)."""
        canvas = self.page.canvas
        across, up = self.page.figure.axes[0].transData.transform(places).T
        ratio = canvas.device_pixel_ratio
        return np.column_stack([across / ratio, canvas.height() - up / ratio])

    def picture(self) -> np.ndarray:
        """The pixels of the figure on the screen, (height, width, 3)."""
        from Qt.QtGui import QImage

        image = self.page.canvas.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        rows = np.frombuffer(bits, np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


@pytest.fixture
def person(session: Any) -> Iterator[Person]:
    if not session.ui.is_gui:
        ui_shim.install(session)
    person = Person(session)
    yield person
    person.page.close()
    person.page.deleteLater()
    person.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_each_figure_fills_its_place_and_says_what_it_shows(
    person: Person, sketch: Path, kind: str
) -> None:
    person.see(sketch, kind)
    pixels = person.picture().astype(int)
    background = pixels[0, 0]
    drawn = np.argwhere(np.abs(pixels - background).max(axis=2) > 40)
    height, width = pixels.shape[:2]
    assert (np.ptp(drawn, axis=0) > 0.6 * np.array([height, width])).all()
    assert {
        "thresholds": "200 contour levels",
        "states": "1: 120, 2: 80",
        "correlation": "No block depends",
        "conditional": "No block depends",
        "scatter": "200 volumes, those that are alike near each other",
    }[kind] in person.page.caption.text()


def threads_of(module: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads in which a function of a module is called from now on."""
    threads: list[threading.Thread] = []
    real = getattr(module, name)

    def watched(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, watched)
    return threads


def test_a_cell_of_the_heat_map_tells_its_volume_and_a_click_asks_for_it(
    person: Person, sketch: Path, volumes: Planted
) -> None:
    person.see(sketch, "states")
    axes = next(a for a in person.page.figure.axes if a.images)
    data = axes.images[0].get_array()
    for row, column in ((0, 3), (1, 170)):
        person.mouse(axes, column, row, click=False)
        said = person.page.caption.text()
        assert person.asked == []
        person.mouse(axes, column, row, click=True)
        name = person.asked.pop()
        assert said.startswith(f"{name}, block ")
        block = int(said.split("block ")[1].split(":")[0])
        assert person.page.block.currentData() == block
        there = volumes.present[{1: "right", 2: "left"}[block]][int(name[4:-4]) - 1]
        assert there == (data[row, column] > 0.5)


def test_a_bar_and_a_pair_of_blocks_ask_for_a_volume_too(
    person: Person, sketch: Path, volumes: Planted
) -> None:
    person.see(sketch, "thresholds")
    person.mouse(person.page.figure.axes[0], LEVEL, 1, click=True)
    assert person.asked.pop().startswith("vol_")
    person.see(sketch, "correlation")
    person.mouse(person.page.figure.axes[0], 0, 1, click=True)
    number = int(person.asked.pop()[4:-4]) - 1
    assert volumes.present["left"][number] and volumes.present["right"][number]
    assert "volumes with block" in person.page.caption.text()


def test_a_point_of_the_scatter_names_its_volume_and_a_click_shows_it(
    person: Person, sketch: Path, volumes: Planted
) -> None:
    person.see(sketch, "scatter")
    content = person.page._content
    for k in (0, 7, 150):
        x, y = content.landscape.points[k]
        person.mouse(person.page.figure.axes[0], x, y, click=True)
        name = person.asked.pop()
        # the planted blocks are in it, or others lie in the same place
        there = [b for b, side in ((1, "right"), (2, "left")) if volumes.present[side][k]]
        words = ("no block", f"block {there[0]}" if there else "", "blocks 1, 2")[len(there)]
        assert person.page.caption.text() == f"{name}: {words}."


def test_an_outline_around_points_chooses_their_volumes_and_they_are_marked(
    person: Person, sketch: Path, volumes: Planted
) -> None:
    person.see(sketch, "scatter")
    found: list[list[str]] = []
    person.page.volumes_chosen.connect(found.append)
    before = person.picture().astype(int)
    # shares of two blocks: those with both are in the upper right
    corners = np.array([[0.6, 0.6], [1.04, 0.6], [1.04, 1.04], [0.6, 1.04]])
    axes = person.page.figure.axes[0]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    inside = np.clip(corners, (left, low), (right, high))
    person.drag(person.pixels(inside))
    both = volumes.present["left"] & volumes.present["right"]
    assert found == [[f"vol_{k + 1}.mrc" for k in np.flatnonzero(both)]]
    assert f"{both.sum()} volumes selected" in person.page.caption.text()
    assert not person.asked  # a drag is no click
    person.page.mark(found[0])
    person.wait()
    assert person.page.canvas.rings.shape == (both.sum(), 2)
    ink = np.abs(person.picture().astype(int) - before).max(axis=2) > 40
    around = person.pixels(np.array([[0.5, 0.5]]))[0]
    ratio = person.picture().shape[1] / person.page.canvas.width()
    rows, columns = np.nonzero(ink)
    assert len(rows) > 50
    assert (columns / ratio > around[0] - 6).all() and (rows / ratio < around[1] + 6).all()
    person.page.mark([])
    person.wait()
    assert (person.picture() == before).all()


def test_the_scatter_is_colored_by_a_block_that_is_chosen_and_saved_so(
    person: Person, sketch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Qt.QtWidgets import QFileDialog

    person.see(sketch, "scatter")
    counts = person.page.figure.axes[0].collections[0].get_array()
    assert sorted(set(counts.tolist())) == [0.0, 1.0, 2.0]
    person.page.color.setCurrentIndex(2)
    person.wait()
    shares = person.page.figure.axes[0].collections[0].get_array()
    assert sorted(shares) == pytest.approx(sorted(person.page._content.states.share[1]))
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "s.png"), "PNG picture (*.png)")
    )
    person.page.save_button.click()
    person.wait(lambda: (tmp_path / "s.png").is_file())
    person.wait(lambda: current_job(person.session) is None)
    assert person.typed == [f"siren plot {sketch} scatter block 2 saveFile {tmp_path / 's.png'}"]


def test_the_scatter_is_placed_by_the_latent_where_that_is_known_and_saved_so(
    person: Person,
    sketch: Path,
    volumes: Planted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from Qt.QtWidgets import QFileDialog

    from chimerax.siren.panel import plots

    person.see(sketch, "scatter")
    assert person.page.color.isVisible() and not person.page.places.isVisible()
    z = np.random.default_rng(4).normal(size=(200, 2))
    beside = volumes.folder / "centers.txt"
    np.savetxt(beside, z)
    threads = threads_of(plots, "known_landscape", monkeypatch)
    try:
        person.see(sketch, "scatter")
        places = person.page.places
        assert threads and threads[0] is not threading.main_thread()
        assert places.isVisible() and not places.currentData()
        assert person.page.figure.axes[0].get_xlabel() == "share of block 1"
        places.setCurrentIndex(places.findData(True))
        person.wait()
        axes = person.page.figure.axes[0]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("latent 1", "latent 2")
        assert "by their places in latent space" in person.page.caption.text()
        drawn = np.asarray(axes.collections[0].get_offsets())
        assert np.allclose(drawn[np.lexsort(drawn.T)], z[np.lexsort(z.T)])
        person.mouse(axes, *z[41], click=True)
        assert person.asked.pop() == "vol_42.mrc"
        figure = tmp_path / "z.png"
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_: (str(figure), "PNG picture (*.png)")
        )
        person.page.save_button.click()
        person.wait(figure.is_file)
        person.wait(lambda: current_job(person.session) is None)
        assert person.typed == [f"siren plot {sketch} scatter latent true saveFile {figure}"]
    finally:
        beside.unlink()
    person.see(sketch, "scatter")
    assert not person.page.places.isVisible()
    assert person.page.figure.axes[0].get_xlabel() == "share of block 1"
    person.page.set_run(None)
    assert not person.page.places.isVisible()


def test_arrow_keys_go_from_point_to_point_and_enter_shows_the_volume(
    person: Person, sketch: Path
) -> None:
    from Qt.QtCore import QEvent, Qt
    from Qt.QtGui import QKeyEvent
    from Qt.QtWidgets import QApplication

    person.see(sketch, "scatter")
    points = person.page._content.landscape.points
    names = person.page._content.states.names

    def press(code: Qt.Key) -> None:
        event = QKeyEvent(QEvent.Type.KeyPress, code, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(person.page.canvas, event)
        person.wait()

    def here() -> np.ndarray:
        press(Qt.Key.Key_Return)
        return points[names.index(person.asked.pop())]

    press(Qt.Key.Key_Right)
    first = here()
    press(Qt.Key.Key_Left)
    assert here()[0] < first[0]
    for _ in range(len(points)):
        press(Qt.Key.Key_Up)
    assert here()[1] > points[:, 1].mean()
    assert person.page.canvas.rings.shape == (1, 2)


@pytest.mark.slow
def test_the_buttons_are_commands_that_write_what_is_seen(
    person: Person, sketch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Qt.QtWidgets import QFileDialog

    person.see(sketch, "states")
    for button, name, formats, suffix in (
        (person.page.save_button, "my figure", "PDF document (*.pdf)", ".pdf"),
        (person.page.table_button, "t", "Table (*.csv)", ".csv"),
    ):
        monkeypatch.setattr(
            QFileDialog, "getSaveFileName", lambda *_, n=name, f=formats: (str(tmp_path / n), f)
        )
        button.click()
        person.wait(lambda path=tmp_path / (name + suffix): path.is_file())
        person.wait(lambda: current_job(person.session) is None)  # in the background, with windows
    assert person.typed == [
        f'siren plot {sketch} states saveFile "{tmp_path}/my figure.pdf"',
        f"siren states {sketch} saveFile {tmp_path}/t.csv",
    ]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    person.page.save_button.click()
    assert len(person.typed) == 2
    person.page.block.setCurrentIndex(1)
    person.page.pair_button.click()
    person.wait(lambda: any("with and without" in m.name for m in person.session.models.list()))
    assert person.typed[-1] == f"siren representatives {sketch} block 2"
    person.wait(lambda: current_job(person.session) is None)


def test_thresholds_of_a_table_are_shown_until_there_is_a_run(
    person: Person, sketch: Path, tmp_path: Path
) -> None:
    assert "No run yet" in person.reason or person.reason == ""
    (tmp_path / "predictions.csv").write_text(
        "file,denormalized_predictions\n" + "".join(f"v{k}.mrc,{k % 9}\n" for k in range(90))
    )
    person.page.set_thresholds(tmp_path / "predictions.csv")
    person.wait(lambda: "90 contour levels" in person.page.caption.text())
    assert not person.page.pair_button.isEnabled()
    person.page.set_run(sketch)
    person.wait(lambda: "200 contour levels" in person.page.caption.text())
    person.page.set_run(None)
    person.wait(lambda: "90 contour levels" in person.page.caption.text())
    person.page.set_thresholds(None)
    person.wait(lambda: "No run yet" in person.reason)
    assert not person.page.save_button.isEnabled()


def test_figures_follow_the_palette(person: Person, sketch: Path) -> None:
    from Qt.QtGui import QColor, QPalette

    person.see(sketch, "correlation")
    bright = person.picture().mean()
    dark = QPalette()
    dark.setColor(QPalette.ColorRole.Window, QColor("#202020"))
    dark.setColor(QPalette.ColorRole.WindowText, QColor("#f0f0f0"))
    person.page.setPalette(dark)
    person.wait()
    assert person.picture()[0, 0].tolist() == [0x20] * 3
    assert person.picture().mean() < bright - 60
    assert (person.picture().max(axis=2) > 200).sum() > 100  # and the writing can be read on it


def test_a_folder_that_is_missing_or_no_run_gives_a_plain_message(
    person: Person, tmp_path: Path
) -> None:
    person.page.set_run(tmp_path / "gone")
    person.wait(lambda: "siren locate FOLDER" in person.reason)
    assert "Traceback" not in person.reason
    assert not person.page.save_button.isEnabled()
    assert person.page.caption.text() == ""  # said once
    (reason,) = person.page.figure.texts
    person.page.figure.draw_without_rendering()
    place, room = reason.get_window_extent(), person.page.figure.bbox
    assert place.x0 >= 0 and place.x1 <= room.width


def test_blocks_have_the_colors_of_their_open_surfaces(person: Person, sketch: Path) -> None:
    run_command(person.session, f"siren open '{sketch}'")
    run_command(person.session, "color #1.2 #ff00ff target s")
    person.see(sketch, "states")
    assert (np.abs(person.picture().astype(int) - (255, 0, 255)).max(axis=2) < 40).sum() > 20


def test_names_given_to_open_blocks_are_in_the_figures(person: Person, sketch: Path) -> None:
    run_command(person.session, f"siren open '{sketch}'")
    person.see(sketch, "states")
    assert "1: 120" in person.page.caption.text()
    run_command(person.session, "siren block rename #1.1 stalk")
    person.wait()
    assert "1 (stalk): 120" in person.page.caption.text()
    labels = [t.get_text() for t in person.page.figure.axes[0].get_yticklabels()]
    assert "1  stalk" in labels
    assert person.page.block.itemText(0) == "1  stalk"
    person.see(sketch, "correlation")
    person.mouse(person.page.figure.axes[0], 0, 1, click=False)
    assert re.search(r"block 1 \(stalk\)", person.page.caption.text())


def test_numbers_in_a_matrix_fit_its_cells_at_any_size(person: Person) -> None:
    from matplotlib.text import Text

    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.figures.draw import Content

    rng = np.random.default_rng(0)
    names = tuple(f"v{k}" for k in range(60))
    share = (rng.random((9, 60)) < 0.5).astype(np.float32)
    states = States(names, np.ones(60), tuple(range(1, 10)), np.full(9, 50), share)
    person.page._content = Content.of(names, np.ones(60), states)
    person.page.choice.setCurrentIndex(KINDS.index("correlation"))
    written = {}
    for size in ((800, 800), (370, 420), (370, 300)):
        person.page.resize(*size)
        person.page._redraw()
        person.wait()
        figure = person.page.figure
        person.page.canvas.draw()
        axes = figure.axes[0]
        cell = axes.get_window_extent().width / 9
        texts = [t for t in axes.texts if isinstance(t, Text)]
        assert all(t.get_window_extent().width < cell for t in texts), size
        written[size] = len(texts)
    assert written[800, 800] == written[370, 420] == 81


@pytest.mark.parametrize("kind", ["states", "correlation", "conditional"])
def test_names_of_blocks_are_not_on_each_other_where_the_page_is_low(
    person: Person, kind: str
) -> None:
    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.figures.draw import Content

    rng = np.random.default_rng(0)
    names = tuple(f"v{k}" for k in range(60))
    share = (rng.random((12, 60)) < 0.5).astype(np.float32)
    states = States(names, np.ones(60), tuple(range(1, 13)), np.full(12, 50), share)
    person.page.resize(560, 150)
    person.page._content = Content.of(names, np.ones(60), states)
    person.page.choice.setCurrentIndex(KINDS.index(kind))
    person.page._redraw()
    person.wait()
    person.page.canvas.draw()
    ticks = [axes.get_yticklabels() for axes in person.page.figure.axes]
    labels = next(x for x in ticks if {t.get_text() for t in x} == {str(n) for n in range(1, 13)})
    places = sorted(x.get_window_extent().y0 for x in labels)
    heights = [x.get_window_extent().height for x in labels]
    assert np.diff(places).min() > 0.8 * max(heights)  # letters reach not quite that far


def test_without_a_table_of_states_the_volumes_are_read_off_the_main_thread_and_a_new_run_ends_that(
    person: Person, sketch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.siren.core.runs import steps as runs

    shutil.copytree(sketch, tmp_path / "old")
    (tmp_path / "old/states.csv").unlink()
    threads = threads_of(runs, "occupancy_of", monkeypatch)
    person.see(tmp_path / "old", "states")
    assert threads and threads[0] is not threading.main_thread()
    assert "1: 120, 2: 80" in person.page.caption.text()
    person.page.set_run(tmp_path / "old")
    first = person.page._reading
    person.page.set_run(sketch)
    assert first.cancelled
    person.wait(lambda: person.page._reading is None)
    assert person.page._folder == sketch


def test_a_page_closed_while_it_reads_is_no_error(
    person: Person, sketch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from chimerax.siren.panel.plots import PlotsPage

    page = PlotsPage(person.session, person.execute)
    before = set(threading.enumerate())
    page.set_run(sketch)
    (reading,) = set(threading.enumerate()) - before
    page.deleteLater()
    person.wait(lambda: not reading.is_alive())
    person.wait()
    run_command(person.session, f"siren open '{sketch}'")  # its handlers are gone
    person.wait()
    assert "Traceback" not in capfd.readouterr().err


def test_nothing_is_drawn_before_the_page_is_shown(
    session: Any, person: Person, sketch: Path
) -> None:
    from chimerax.siren.panel.plots import PlotsPage

    page = PlotsPage(session, person.execute)
    page.set_run(sketch)
    person.wait(lambda: page._reading is None)
    person.wait()
    assert not page.figure.axes
    page.show()
    person.wait(lambda: bool(page.figure.axes))
    page.deleteLater()
