"""The volumes of a run in latent space, where that is known beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..core.analysis.landscape import Landscape
from ..core.common.errors import SirenError
from ..core.maps.finding import common_folder
from ..core.particles.latent import volume_latent


def known_landscape(names: Sequence[str], paths: Iterable[Path | None]) -> Landscape | None:
    """The volumes in latent space, from what is beside their files; None if it is not known, or
    open which volume is where.
    """
    try:
        return volume_latent(names, *common_folder(paths)).landscape()
    except SirenError:
        return None
