"""Dask cluster: a real scheduler and three workers without ChimeraX give the same results as this
process, whatever happens to them.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from distributed import Client

from bare_cluster import BareCluster
from chimerax.siren.core.blocks.blockset import read_block_maps
from chimerax.siren.core.blocks.pair_counts import PairSearch
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.statistics.published import PublishedStatistic
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute import cluster as cluster_module
from chimerax.siren.core.compute.cluster import ClusterBackend, _check_versions
from chimerax.siren.core.compute.pair_tiles import run_tiles
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import Run, run_expand, run_sketch
from ensembles import LEVEL, assert_same_files, write_planted
from waiting import DEADLINE, until

# intended: the workers lack the packages of ChimeraX
pytestmark = pytest.mark.filterwarnings("ignore:Mismatched versions")
ABSENT = ("chimerax", "pandas", "mrcfile", "networkx", "torch", "matplotlib")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareCluster]:
    with BareCluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def cluster(three: BareCluster) -> BareCluster:
    """Three workers, restored after the last test."""
    while len(three.workers) < 3:
        three.add_worker()
    three.wait_for_workers()
    return three


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "volumes", 120).folder


def sketch_and_expand(
    volumes: Path, output: Path, statistic: str, scheduler: str | None
) -> tuple[Run, Run]:
    ensemble = find_ensemble([volumes])
    same = {"statistic": statistic, "scheduler": scheduler, "resamples": 0}
    first = run_sketch(
        ensemble, np.full(len(ensemble), LEVEL), "level", SketchParameters(**same), output
    )
    return first, run_expand(
        read_block_maps(first.folder), read_record(first.folder), ExpandParameters(**same), output
    )


def pairs(voxels: int = 1500, volumes: int = 120, seed: int = 0) -> PairSearch:
    """A search with many significant pairs: voxels follow one of four states."""
    rng = np.random.default_rng(seed)
    rows = (rng.random((4, volumes)) < 0.4)[rng.integers(0, 4, voxels)] ^ (
        rng.random((voxels, volumes)) < 0.02
    )
    frequency = rows.sum(axis=1)
    test = PublishedStatistic().pair_test(
        frequency, volumes, voxels, SketchParameters(statistic="published")
    )
    return PairSearch(
        np.packbits(rows, axis=1),
        volumes,
        rng.uniform(0, 90, (voxels, 3)),
        test,
        test.index(frequency),
    )


def small_strips(monkeypatch: pytest.MonkeyPatch, rows: int, search: PairSearch) -> None:
    monkeypatch.setattr("chimerax.siren.core.common.constants.TILE_PAIRS", rows * search.rows())


class Gated:
    """A search whose later strips wait until a file is there, so that what happens after a share of
    the pairs does so in the middle, however fast or slow the workers are.
    """

    def __init__(self, search: PairSearch, gate: Path, free: float = 0.4):
        self.search, self.gate, self.free = search, str(gate), free * search.rows()

    def rows(self) -> int:
        return self.search.rows()

    def columns(self) -> np.ndarray:
        return self.search.columns()

    def tile(self, start: int, stop: int, counter: Callable[..., Any]) -> tuple[np.ndarray, ...]:
        end = time.monotonic() + DEADLINE
        while start >= self.free and not os.path.exists(self.gate) and time.monotonic() < end:
            time.sleep(0.01)
        return self.search.tile(start, stop, counter)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """The file that lets Gated strips go on; this module's code travels to workers by value."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield tmp_path / "gate"
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def edges(search: PairSearch | Gated, address: str | None, progress: Progress) -> np.ndarray:
    if address is None:
        return np.concatenate([found[0] for found in run_tiles(search, "pairs", progress)])
    with ClusterBackend.connected(address, progress) as backend:
        return np.concatenate([found[0] for found in run_tiles(search, "pairs", progress, backend)])


def at_share(share: float, action: Callable[[], None]) -> tuple[Progress, list[float]]:
    """A Progress that acts once a share of the pairs is done, and the fraction at that time."""
    done: list[float] = []

    def report(phase: str, fraction: float) -> None:
        if phase == "pairs" and fraction >= share and not done:
            done.append(fraction)
            action()

    return Progress(report, interval=0.0), done


# --- the same result


def test_workers_have_numpy_and_scipy_and_none_of_chimerax(cluster: BareCluster) -> None:
    def installed(names: tuple[str, ...]) -> list[bool]:
        return [importlib.util.find_spec(name) is not None for name in names]

    # pickled by value: the workers do not have this file either
    installed.__module__ = "__main__"
    with Client(cluster.address, set_as_default=False) as client:
        answers = client.run(installed, ("numpy", "scipy", *ABSENT))
    assert len(answers) == 3
    assert all(found == [True, True] + [False] * len(ABSENT) for found in answers.values())


@pytest.mark.parametrize("statistic", ["profile", "published", "exact"])
@pytest.mark.slow
def test_a_cluster_writes_the_files_that_this_process_writes(
    cluster: BareCluster,
    volumes: Path,
    tmp_path: Path,
    statistic: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chimerax.siren.core.common.constants.TILE_PAIRS", 5_000)
    local = sketch_and_expand(volumes, tmp_path / "local", statistic, None)
    there = sketch_and_expand(volumes, tmp_path / "there", statistic, cluster.address)
    # the published rule misses the block of 60 %
    assert len(local[0].blocks) == (1 if statistic == "published" else 2)
    for one, other in zip(local, there, strict=True):
        record = assert_same_files(one.folder, other.folder, "scheduler")
        assert record["parameters"]["scheduler"] == cluster.address
        # profiles are compared in this process
        counted = statistic != "profile" or other is there[0]
        assert record["counted_on"] == (f"3 workers of {cluster.address}" if counted else "cpu")


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_nothing(
    cluster: BareCluster, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = pairs()
    expected = edges(search, None, Progress())
    small_strips(monkeypatch, 10, search)  # 150 strips
    victim = cluster.workers[1]
    progress, killed = at_share(0.2, lambda: (cluster.kill_worker(victim), gate.touch()))
    np.testing.assert_array_equal(edges(Gated(search, gate), cluster.address, progress), expected)
    assert len(expected) > 10_000
    assert victim.returncode == -9 and killed[0] < 0.8


@pytest.mark.slow
def test_when_all_workers_die_a_new_one_goes_on(
    cluster: BareCluster, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = pairs(seed=1)
    small_strips(monkeypatch, 10, search)

    def kill_all() -> None:
        for worker in list(cluster.workers):
            cluster.kill_worker(worker)
        gate.touch()
        cluster.add_worker()

    progress, killed = at_share(0.2, kill_all)
    np.testing.assert_array_equal(
        edges(Gated(search, gate), cluster.address, progress), edges(search, None, Progress())
    )
    assert killed[0] < 0.8


# --- cancel


class Watched(Progress):
    """A Progress that notes the steps that are taken after it was told to cancel."""

    def __init__(self, report: Callable[[str, float], None]):
        super().__init__(report, interval=0.0)
        self.after: list[str] = []

    def step(self, phase: str, fraction: float = 0.0) -> None:
        if self.cancelled:
            self.after.append(phase)
        super().step(phase, fraction)


def test_cancel_is_answered_at_the_next_step_and_leaves_the_cluster_without_work(
    cluster: BareCluster, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = pairs()
    small_strips(monkeypatch, 5, search)
    waited: list[float] = []  # s that this thread gives the connection to close
    asking: list[threading.Thread] = []  # who asks the cluster to forget the strips

    def close(client: Client, seconds: float) -> None:
        waited.append(seconds)
        plain_close(client, seconds)

    def cancel(*arguments: Any, **keywords: Any) -> Any:
        asking.append(threading.current_thread())
        return plain_cancel(*arguments, **keywords)

    plain_close, plain_cancel = cluster_module._close, Client.cancel
    monkeypatch.setattr(cluster_module, "_close", close)
    monkeypatch.setattr(Client, "cancel", cancel)
    progress = Watched(
        lambda phase, fraction: progress.cancel() if phase == "pairs" and fraction >= 0.05 else None
    )
    with pytest.raises(Cancelled):
        edges(Gated(search, gate), cluster.address, progress)
    gate.touch()  # for the strips that are at work
    assert len(progress.after) == 1 and waited == [0.0]
    assert threading.current_thread() not in asking
    with Client(cluster.address, set_as_default=False) as client:
        until(
            lambda: not any(client.processing().values()) and not any(client.has_what().values()),
            "a cluster without work",
        )


def test_cancel_does_not_wait_for_a_scheduler_that_does_not_answer() -> None:
    """Whoever waits for it is told that it cannot be reached, and not that he has cancelled."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        progress = Watched(
            lambda phase, fraction: progress.cancel() if phase.startswith("connecting") else None
        )
        with (
            pytest.raises(Cancelled),
            ClusterBackend.connected(f"tcp://127.0.0.1:{mute.getsockname()[1]}", progress),
        ):
            pass
        assert len(progress.after) == 1 and progress.after[0].startswith("connecting")


# --- errors are one sentence


def sentence(address: str) -> str:
    with pytest.raises(SirenError) as caught, ClusterBackend.connected(address, Progress()):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_scheduler_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_module.CONNECT_SECONDS == 10
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    text = sentence(address)
    assert address in text and "dask scheduler" in text


def test_a_malformed_address_is_named() -> None:
    assert "gopher://nowhere" in sentence("gopher://nowhere")


@pytest.mark.processes
@pytest.mark.slow
def test_a_scheduler_without_workers_and_one_that_goes_away_are_named_with_what_to_do(
    tmp_path: Path, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = pairs()
    small_strips(monkeypatch, 10, search)
    with BareCluster(tmp_path / "cluster", workers=0) as frail:
        with monkeypatch.context() as patch:
            plain = Client.wait_for_workers
            patch.setattr(Client, "wait_for_workers", lambda c, n, timeout: plain(c, n, 0.2))
            assert f'"dask worker {frail.address}"' in sentence(frail.address)
        frail.add_worker()
        frail.wait_for_workers()
        progress, _ = at_share(0.2, frail.scheduler.kill)
        with pytest.raises(
            SirenError,
            match=f"{frail.address} (went away|no longer responds).*run the command again",
        ):
            edges(Gated(search, gate), frail.address, progress)


def test_without_distributed_the_command_to_install_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install distributed" in sentence("tcp://127.0.0.1:8786")


def test_a_strip_that_fails_on_a_worker_gives_a_one_sentence_error(cluster: BareCluster) -> None:
    search = pairs(300)
    search.index[100] = 10_000  # a row beyond the tables
    with pytest.raises(
        SirenError,
        match=rf"worker of {cluster.address} failed \(IndexError: .*\): "
        r"see its log",
    ):
        edges(search, cluster.address, Progress())


def versions(python: str = "3.11.7.final.0", **changed: str | None) -> dict[str, Any]:
    return {
        "host": {"python": python},
        "packages": {"distributed": "2026.8.0", "numpy": "1.26.4", "scipy": "1.14.0", **changed},
    }


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (versions("3.12.1.final.0"), "w1 runs Python 3.12 and this program 3.11"),
        (
            versions(distributed="2025.1.0"),
            "w1 has distributed 2025.1.0 .* pip install distributed==2025.1.0",
        ),
        (versions(scipy=None), "w1 has no scipy: .* pip install scipy"),
        (versions(numpy="2.1.0"), "w1 has numpy 2.1.0 .* pip install numpy==1.26.4"),
    ],
)
def test_version_mismatches_are_named_with_the_remedy(there: dict[str, Any], text: str) -> None:
    with pytest.raises(SirenError, match=text):
        _check_versions("w1", versions(), there, True)


def test_harmless_version_differences_are_accepted() -> None:
    _check_versions(
        "w1", versions(), versions("3.11.2.final.0", numpy="1.24.0", scipy="1.10.0"), True
    )
    _check_versions(
        "the scheduler", versions(), versions("3.12.1.final.0", numpy=None, scipy=None), False
    )


def test_device_and_scheduler_together_are_refused() -> None:
    with pytest.raises(SirenError, match="leave out"):
        SketchParameters(device="auto", scheduler="tcp://127.0.0.1:8786")
