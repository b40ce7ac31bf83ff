"""A Dask cluster on this computer whose workers have only numpy, scipy and distributed: no
ChimeraX, no SIREn.

    with BareCluster(Path("cluster"), workers=3) as cluster:
        Client(cluster.address)

The workers run in Python's isolated mode, on a folder of links to just those packages and their
dependencies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from importlib import metadata
from pathlib import Path
from types import TracebackType

from packaging.requirements import Requirement

PACKAGES = ("distributed", "numpy", "scipy")
START_SECONDS = 240.0  # a loaded machine takes long to start four Pythons
# If the parent is killed, its end of the pipe closes and this process ends, too
MAIN = """import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
sys.path.append({site!r})
from distributed.cli.dask_{name} import main
main()"""


class BareCluster:
    """A scheduler and worker processes that run for the length of a ``with`` block.

    Attributes
    ----------
    address : of the scheduler
    scheduler : its process
    workers : the running processes, in the order they were started
    """

    def __init__(self, folder: Path, workers: int = 3):
        self.folder, self.address = folder, ""
        self.workers: list[subprocess.Popen[bytes]] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._wanted = workers

    def __enter__(self) -> BareCluster:
        self.folder.mkdir(parents=True, exist_ok=True)
        link_packages(self.folder / "site")
        file = self.folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(file),
        )
        until = time.monotonic() + START_SECONDS
        while not self.address:
            if time.monotonic() > until or self.scheduler.poll() is not None:
                raise RuntimeError(f"no scheduler came up: see {self.folder}")
            time.sleep(0.05)
            try:
                self.address = json.loads(file.read_text())["address"]
            except (OSError, ValueError):  # missing or incomplete so far
                continue
        for _ in range(self._wanted):
            self.add_worker()
        return self

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start another worker, with one thread."""
        worker = self._start(
            "worker",
            self.address,
            "--no-nanny",
            "--nthreads",
            "1",
            "--memory-limit",
            "0",
            "--no-dashboard",
            "--local-directory",
            str(self.folder),
        )
        self.workers.append(worker)
        return worker

    def wait_for_workers(self) -> None:
        """Wait until all workers have connected."""
        from distributed import Client

        # intended: the workers lack packages that ChimeraX has
        warnings.filterwarnings("ignore", "Mismatched versions")
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=START_SECONDS)

    def kill_worker(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker with SIGKILL, so that it cannot sign off."""
        worker.kill()
        worker.wait()
        self.workers.remove(worker)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        program = MAIN.format(site=str(self.folder / "site"), name=name)
        log = (self.folder / f"{name}-{len(self._processes)}.log").open("wb")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", program, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
            )
        self._processes.append(process)
        return process


def link_packages(folder: Path) -> None:
    """Link PACKAGES and their dependencies, as installed here, into a folder."""
    folder.mkdir(exist_ok=True)
    for name in closure(PACKAGES):
        found = metadata.distribution(name)
        for top in {Path(file).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))).resolve())


def closure(names: tuple[str, ...]) -> list[str]:
    """The packages and all their dependencies."""
    todo, seen = list(names), set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        required = [Requirement(text) for text in metadata.requires(name) or []]
        todo += [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    return sorted(seen)
