"""Backend on a Dask cluster (package distributed, optional).

    dask scheduler                              on one machine
    dask worker tcp://host:8786                 on each machine

Workers need numpy, scipy and distributed, with the same versions of Python and distributed as this
program. A :class:`Parcel` carries a search together with its code. Results are the same as on this
machine: counts are integers, and what is computed from them is rounded by IEEE 754. Strips of a
lost worker are repeated by the others.

Dask sends pickles in both directions. A scheduler can therefore run any code in this program, as
this program can on the workers: connect only to schedulers that you trust. Results are never
pickled to files.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from operator import methodcaller
from typing import Any

from ..common.errors import Cancelled, SirenError
from ..common.progress import Progress, run_cancellable
from .pair_tiles import PairCounter, TileResult, TileSearch, product_counter, strips

CONNECT_SECONDS = 10  # timeout for the scheduler to answer, and for the first worker
POLL_SECONDS = 0.02  # between checks for results
NO_WORKERS_SECONDS = 60  # without any worker before giving up; restarted workers return sooner
ROUNDS = 4  # attempts to send a search, which Dask cannot restore once all its holders died
RETRIES = 3  # of a strip that failed on a worker
MISSING = (
    'The package distributed is not installed: "scheduler" needs it. Install it with: pip '
    "install distributed"
)


class Parcel:
    """A search packed for a worker, with its code.

    The pickle contains the code by value, so workers need not have SIREn installed. The columns are
    unpacked with the first strip and kept for as long as the worker holds the parcel.
    """

    def __init__(self, search: TileSearch):
        self._search = search
        self._counter: PairCounter | None = None
        self._lock = threading.Lock()  # a worker may have several threads

    def tile(self, start: int, stop: int) -> TileResult:
        """Results of rows ``start`` to ``stop``."""
        with self._lock:
            if self._counter is None:
                self._counter = product_counter(self._search.columns())
        return self._search.tile(start, stop, self._counter)

    def __reduce__(self) -> tuple[Any, ...]:
        import cloudpickle

        return cloudpickle.loads, (_by_value(_Packing(self._search)),)


class _Packing:
    """Unpickles to a Parcel; this makes the pickle contain the class itself, not its name."""

    def __init__(self, search: TileSearch):
        self._search = search

    def __reduce__(self) -> tuple[Any, ...]:
        return Parcel, (self._search,)


def _by_value(content: object) -> bytes:
    """A pickle that contains the code of SIREn's classes and functions instead of their names."""
    import cloudpickle

    # all of core: searches are defined in other packages of it
    package = sys.modules.get(__package__.rpartition(".")[0])
    if package is None:  # on a worker, whose own code arrived by value
        return cloudpickle.dumps(content)
    cloudpickle.register_pickle_by_value(package)
    try:
        return cloudpickle.dumps(content)
    finally:
        cloudpickle.unregister_pickle_by_value(package)


@dataclass(frozen=True)
class ClusterBackend:
    """A connection to a Dask scheduler; a :class:`.pair_tiles.Backend`.

    Attributes
    ----------
    client : distributed.Client
    address : str
        Address of the scheduler.
    workers : int
        Number of workers when the connection was made; it may change later.
    """

    client: Any
    address: str
    workers: int

    @property
    def name(self) -> str:
        """See :class:`.pair_tiles.Backend`."""
        return f"{self.workers} worker{'s' * (self.workers != 1)} of {self.address}"

    @classmethod
    @contextlib.contextmanager
    def connected(cls, address: str, progress: Progress) -> Iterator[ClusterBackend]:
        """Connect to a scheduler and check its workers; disconnect when the block ends.

        Raises
        ------
        SirenError
            If distributed is not installed, the scheduler cannot be reached or has no workers, or
            versions do not match.
        Cancelled
            If ``progress`` was asked to stop.
        """
        client = _connect(address, progress)
        clean = False
        try:
            with _network_errors(address):
                versions = _versions(client, address, progress)
            yield cls(client, address, len(versions["workers"]))
            clean = True
        finally:
            _close(client, 5.0 if clean else 0.0)

    def run(self, search: TileSearch, phase: str, progress: Progress) -> list[TileResult]:
        """As :func:`.pair_tiles.run_tiles`."""
        todo = strips(search.rows(), len(search.columns()))
        found: list[TileResult] = []
        for _ in range(ROUNDS):
            try:
                with _network_errors(self.address):
                    self._round(search, todo, found, phase, progress)
                return found
            # not the user's cancel: the search was lost with the workers that held it
            except CancelledError:
                if self.client.status != "running":
                    break
        else:
            raise SirenError(
                f"The workers of {self.address} died again and again, perhaps for lack of "
                "memory: see their logs, and run the command again."
            )
        raise SirenError(
            f"The scheduler {self.address} went away: make sure that it is running, and run the "
            "command again."
        )

    def _round(
        self,
        search: TileSearch,
        todo: list[tuple[int, int]],
        found: list[TileResult],
        phase: str,
        progress: Progress,
    ) -> None:
        """Send the search and append the results of the strips still missing in ``found``."""
        held = run_cancellable(
            lambda: self.client.scatter(Parcel(search), broadcast=True, hash=False),
            "sending voxels",
            progress,
        )
        run = uuid.uuid4().hex
        futures: list[Any] = []
        try:
            for start, stop in progress.each(todo[len(found) :], "sending voxels", len(todo)):
                futures.append(
                    self.client.submit(
                        methodcaller("tile", start, stop),
                        held,
                        key=f"siren-strip-{run}-{start}",
                        retries=RETRIES,
                    )
                )
            while futures:
                ready = self._ready(futures, held, phase, 1 - len(futures) / len(todo), progress)
                found += run_cancellable(
                    partial(self.client.gather, ready),
                    phase,
                    progress,
                    1 - len(futures) / len(todo),
                )
                del futures[: len(ready)]  # the cluster may release them
        except BaseException:
            abandoned = [held, *futures]
            # in the background: canceling may block
            threading.Thread(
                target=lambda: self.client.cancel(abandoned, force=True), daemon=True
            ).start()
            raise

    def _ready(
        self, futures: list[Any], held: Any, phase: str, fraction: float, progress: Progress
    ) -> list[Any]:
        """Wait for the first future; return all leading futures that are done."""
        seen = time.monotonic()
        # lost strips are repeated
        while futures[0].status in ("pending", "lost") and held.status == "finished":
            progress.step(phase, fraction)
            time.sleep(POLL_SECONDS)
            if time.monotonic() - seen > NO_WORKERS_SECONDS:
                if not run_cancellable(self.client.nthreads, phase, progress, fraction):
                    raise SirenError(
                        f"The scheduler {self.address} has lost all workers: start "
                        f'some with "dask worker {self.address}", '
                        "and run the command again."
                    )
                seen = time.monotonic()
        ready = list(takewhile(lambda f: f.status not in ("pending", "lost"), futures))
        for future in ready:
            if future.status == "error":
                raise _task_error(self.address, future.exception())
        if held.status != "finished":
            raise CancelledError
        return ready  # canceled ones among them raise CancelledError when gathered


@contextlib.contextmanager
def _network_errors(address: str) -> Iterator[None]:
    """Turn what Dask raises when the network or a machine fails into a SirenError."""
    try:
        yield
    except OSError as error:  # base of all network errors of distributed
        raise SirenError(
            f"The cluster {address} no longer responds ({_first_line(error)}): make sure that "
            "the scheduler and its workers are running, and run the command again."
        ) from error


def _task_error(address: str, error: BaseException) -> SirenError:
    """SirenError for an exception that a strip raised on a worker."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return SirenError(
            f"Several workers of {address} died at the same voxels, perhaps for lack of "
            "memory: see their logs, and start fewer workers on each machine."
        )
    return SirenError(
        f"A worker of {address} failed ({type(error).__name__}: {_first_line(error)}): see its log."
    )


def _connect(address: str, progress: Progress) -> Any:
    try:
        distributed = run_cancellable(_import_distributed, "starting Dask", progress)
    except ImportError:
        raise SirenError(MISSING) from None

    def connect() -> Any:
        return distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, name="siren"
        )

    try:
        return run_cancellable(
            connect, f"connecting to {address}", progress, dispose=lambda client: client.close()
        )
    except Cancelled:
        raise
    # network errors and malformed addresses: distributed raises many types
    except Exception as error:
        raise SirenError(
            f"No Dask scheduler answers at {address} ({_first_line(error)}): start "
            'one with "dask scheduler", and give the '
            "address that it prints, as in scheduler tcp://host:8786."
        ) from error


def _versions(client: Any, address: str, progress: Progress) -> Any:
    """Versions on the cluster, checked for mismatches that would cause obscure errors later."""
    phase = f"waiting for workers of {address}"
    try:
        run_cancellable(
            lambda: client.wait_for_workers(1, timeout=CONNECT_SECONDS), phase, progress
        )
    except TimeoutError:
        raise SirenError(
            f'The scheduler {address} has no workers: start some with "dask worker {address}".'
        ) from None
    versions = run_cancellable(
        lambda: client.get_versions(packages=["numpy", "scipy"]), phase, progress
    )
    here = versions["client"]
    for name, there in [("scheduler", versions["scheduler"]), *versions["workers"].items()]:
        who = f"The scheduler {address}" if name == "scheduler" else f"The worker {name}"
        _check_versions(who, here, there, name != "scheduler")
    return versions


def _check_versions(who: str, here: dict[str, Any], there: dict[str, Any], works: bool) -> None:
    """Raise SirenError if the versions of a machine of the cluster do not match this one's."""
    ours, theirs = here["packages"], there["packages"]
    if ours["distributed"] != theirs["distributed"]:
        raise SirenError(
            f"{who} has distributed {theirs['distributed']} and this program "
            f"{ours['distributed']}: install the same version in "
            f"both, as in pip install distributed=={theirs['distributed']}."
        )
    if not works:
        return
    python, other = (".".join(v["host"]["python"].split(".")[:2]) for v in (here, there))
    if python != other:
        raise SirenError(
            f"{who} runs Python {other} and this program {python}: start the workers "
            f"with Python {python}."
        )
    missing = [package for package in ("numpy", "scipy") if not theirs.get(package)]
    if missing:
        raise SirenError(
            f"{who} has no {' and no '.join(missing)}: install it there with: pip "
            f"install {' '.join(missing)}"
        )
    major, other = (p["numpy"].split(".")[0] for p in (ours, theirs))
    if major != other:
        raise SirenError(
            f"{who} has numpy {theirs['numpy']} and this program {ours['numpy']}: "
            f"install numpy {major} there, "
            f"as in pip install numpy=={ours['numpy']}."
        )


def _close(client: Any, seconds: float) -> None:
    """Close a connection; wait for at most ``seconds``."""

    def close() -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(seconds)


def _import_distributed() -> Any:
    import distributed
    from distributed.versions import VersionMismatchWarning

    warnings.simplefilter("ignore", VersionMismatchWarning)  # _check_versions reports what matters
    return distributed


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
