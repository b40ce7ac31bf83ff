"""Choice of the backend: CPU, graphics card (:mod:`.gpu`) or Dask cluster (:mod:`.cluster`).

Example::

    import numpy as np

    from chimerax.siren.core import Progress
    from chimerax.siren.core.compute.backends import open_backend
    from chimerax.siren.core.compute.pair_tiles import run_tiles

    class OccupiedTogether:  # a search: in how many volumes both voxels of each pair are occupied
        occupancy = np.random.default_rng(0).integers(0, 2, (50, 20)).astype(np.float32)

        def rows(self):
            return len(self.occupancy)

        def columns(self):
            return self.occupancy

        def tile(self, start, stop, counter):
            return (counter(self.occupancy[start:stop], 0),)

    with open_backend("auto", None, Progress()) as compute:
        strips = run_tiles(OccupiedTogether(), "comparing voxels", Progress(), compute)
    np.concatenate([counts for (counts,) in strips]).shape  # -> (50, 50)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..common.devices import CPU
from ..common.progress import Progress
from .pair_tiles import Backend, LocalBackend


@contextmanager
def open_backend(device: str, scheduler: str | None, progress: Progress) -> Iterator[Backend]:
    """Open the backend for a device or a Dask scheduler; it is closed when the block ends.

    Parameters
    ----------
    device : str
        One of :data:`..common.devices.DEVICES`.
    scheduler : str or None
        Address of a Dask scheduler, to use instead of the device.
    progress : Progress

    Raises
    ------
    SirenError
        If the device, the scheduler or the package that drives it is not available.
    Cancelled
        If ``progress`` was asked to stop.
    """
    if scheduler is not None:
        from .cluster import ClusterBackend

        with ClusterBackend.connected(scheduler, progress) as cluster:
            yield cluster
    elif device == CPU:
        yield LocalBackend()
    else:
        from .gpu import gpu_backend

        yield gpu_backend(device, progress)
