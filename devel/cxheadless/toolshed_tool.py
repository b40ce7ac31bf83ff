"""Stand-in for ``chimerax.toolshed_utils.tool``, which the wheel lacks: the window that lists
updates of bundles.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chimerax.core.session import Session


class DialogType(Enum):
    UPDATES_ONLY = 1
    ALL_AVAILABLE = 2
    OUT_OF_DATE = 3


OUT_OF_DATE = DialogType.OUT_OF_DATE


def show(session: Session, dialog_type: DialogType | None = None) -> None:
    session.logger.info("The list of updates needs a window.")
