"""Draw the toolbar icons from their SVG: ``.venv/bin/python devel/icons.py``. ChimeraX's own icons
are PNG files of this size.
"""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QGuiApplication, QImage, QPainter
from PyQt6.QtSvg import QSvgRenderer

ICONS = Path(__file__).parents[1] / "src/icons"
PIXELS = 96


def draw(svg: Path, pixels: int = PIXELS) -> QImage:
    """Render an icon on a transparent background."""
    image = QImage(pixels, pixels, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(svg)).render(painter)
    painter.end()
    return image


if __name__ == "__main__":
    application = QGuiApplication(["icons", "-platform", "offscreen"])
    for svg in sorted(ICONS.glob("*.svg")):
        draw(svg).save(str(svg.with_suffix(".png")))
