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
from .pair_tiles import Backend, LocalBackend


@contextmanager
def open_backend(device: str, scheduler: str | None, progress: Progress) -> Iterator[Backend]:
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
        from .cluster import ClusterBackend

        with ClusterBackend.connected(scheduler, progress) as cluster:
            yield cluster
    elif device == CPU:
        yield LocalBackend()
    else:
        from .gpu import gpu_backend

        yield gpu_backend(device, progress)
