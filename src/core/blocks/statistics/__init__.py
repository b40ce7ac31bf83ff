"""The statistics: rules by which voxels form blocks. Each is one module of this folder and one line
of the table below.

``profile``, the default, joins voxels whose occupancy over the volumes is alike. ``published`` and
``exact`` count the volumes in which two voxels are occupied together, and empty together, and
compare that with chance. What a statistic must do is in :mod:`.protocol`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocol import Statistic

STATISTICS = (  # each the name of a module here that defines STATISTIC; imported when it is used
    "profile",
    "published",
    "exact",
)
DEFAULT = STATISTICS[0]


def statistic_named(name: str) -> Statistic:
    """The statistic of a name in STATISTICS.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in STATISTICS:
        raise ValueError(f"{name} is not one of {', '.join(STATISTICS)}")
    statistic: Statistic = import_module(f".{name}", __name__).STATISTIC
    return statistic
