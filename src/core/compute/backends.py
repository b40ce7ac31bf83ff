"""Where strips are counted: the processor, a graphics card (:mod:`.gpu`) or a cluster
(:mod:`.cluster`).

Example::

    import numpy as np

    from chimerax.siren.core import Progress
    from chimerax.siren.core.compute.backends import computing
    from chimerax.siren.core.compute.pair_tiles import run_tiles

    class OccupiedTogether:  # a search: in how many volumes both voxels of each pair are occupied
        occupancy = np.random.default_rng(0).integers(0, 2, (50, 20)).astype(np.float32)

        def rows(self):
            return len(self.occupancy)

        def columns(self):
            return self.occupancy

        def tile(self, start, stop, counter):
            return (counter(self.occupancy[start:stop], 0),)

    with computing("auto", None, Progress()) as compute:
        strips = run_tiles(OccupiedTogether(), "comparing voxels", Progress(), compute)
    np.concatenate([counts for (counts,) in strips]).shape  # -> (50, 50)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..common.devices import CPU
from ..common.progress import Progress
from .pair_tiles import Compute, LocalBackend


@contextmanager
def computing(device: str, scheduler: str | None, progress: Progress) -> Iterator[Compute]:
    """The place to count, for as long as it is needed.

    Parameters
    ----------
    device : one of :data:`..common.devices.DEVICES`
    scheduler : address of a Dask scheduler, in place of a device; or None
    progress : Progress

    Raises
    ------
    SirenError
        If the device, the scheduler or the package that drives it is not there.
    Cancelled
        If ``progress`` was asked to stop.
    """
    if scheduler is not None:
        from .cluster import Cluster

        with Cluster.connected(scheduler, progress) as cluster:
            yield cluster
    elif device == CPU:
        yield LocalBackend()
    else:
        from .gpu import on_device

        yield on_device(device, progress)
