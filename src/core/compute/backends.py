"""Where strips are counted: the processor, a graphics card (:mod:`.gpu`) or a cluster
(:mod:`.cluster`).

Example::

    with computing("auto", None, progress) as compute:
        found = run_tiles(search, "comparing voxels", progress, compute)
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
