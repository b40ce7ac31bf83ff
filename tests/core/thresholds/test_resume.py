"""A prediction that was stopped or killed goes on, with the bytes of one that ran through."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.thresholds import predict
from chimerax.siren.core.thresholds.network import compact_network, save_network
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels
from chimerax.siren.core.thresholds.tables import write_predictions
from molecules import molecule

torch = pytest.importorskip("torch", reason="torch is not installed: prediction cannot be tested")
GRID = Grid((64, 64, 64), (4.0, 4.0, 4.0))
MAPS, BATCH = 14, 2


def write(folder: Path, number: int, scale: float = 1.0) -> None:
    array = molecule(number)[0] if number else np.zeros(GRID.shape, np.float32)
    array[0, 0, 0] += -1  # not constant; the first map has no density to contour
    write_map(folder / f"vol_{number:02d}.mrc", array * np.float32(scale), GRID, "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "volumes"
    folder.mkdir()
    for number in range(MAPS):
        write(folder, number)
    return folder


@pytest.fixture(scope="module")
def weights(folder: Path) -> list[str]:
    """Two files of untrained networks."""
    paths = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        paths.append(str(folder.parent / f"weights_{seed}.pt"))
        save_network(Path(paths[-1]), compact_network(), {})
    return paths


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the maps in each batch that the network sees."""
    seen: list[list[str]] = []
    plain = predict._predict_batch

    def noted(loaded: Any, maps: Any, device: str) -> Any:
        seen.append([m.name for m in maps])
        return plain(loaded, maps, device)

    monkeypatch.setattr(predict, "_predict_batch", noted)
    monkeypatch.setattr(predict, "_cores", lambda: 1)
    return seen


def table(
    ensemble: Ensemble, weights: str, path: Path, unfinished: Path | None, progress: Progress
) -> bytes:
    parameters = PredictParameters(weights=weights, device="cpu", batch_size=BATCH)
    write_predictions(path, predict_levels(ensemble, parameters, progress, unfinished))
    return path.read_bytes()


def stopped(ensemble: Ensemble, weights: str, unfinished: Path, batches: list[list[str]]) -> None:
    """Predict, and stop when the network has seen four batches."""

    def report(phase: str, fraction: float) -> None:
        if len(batches) >= 4:
            progress.cancel()

    progress = Progress(report, interval=0)
    parameters = PredictParameters(weights=weights, device="cpu", batch_size=BATCH)
    with pytest.raises(Cancelled):
        predict_levels(ensemble, parameters, progress, unfinished)


def test_it_goes_on_where_it_was_stopped_and_writes_the_same_bytes(
    folder: Path, weights: list[str], batches: list[list[str]], tmp_path: Path
) -> None:
    ensemble, unfinished, said = find_ensemble([folder]), tmp_path / "unfinished", []
    whole = table(ensemble, weights[0], tmp_path / "whole.csv", None, Progress())
    assert b"no positive density" in whole and len(batches) == MAPS // BATCH
    batches.clear()
    stopped(ensemble, weights[0], unfinished, batches)
    before = len(batches)
    noted = unfinished.read_bytes().count(b'["')
    batches.clear()
    again = table(
        ensemble, weights[0], tmp_path / "again.csv", unfinished, Progress(say=said.append)
    )
    assert again == whole
    assert 1 <= len(batches) < MAPS // BATCH and before + len(batches) <= MAPS // BATCH + 2
    assert noted and said == [
        f"{MAPS - BATCH * len(batches)} of {MAPS} maps were predicted before; going on."
    ]
    batches.clear()
    assert table(ensemble, weights[0], tmp_path / "third.csv", unfinished, Progress()) == whole
    assert not batches  # all were noted by now


def test_what_the_kill_tore_is_predicted_again(
    folder: Path, weights: list[str], batches: list[list[str]], tmp_path: Path
) -> None:
    ensemble, unfinished = find_ensemble([folder]), tmp_path / "unfinished"
    whole = table(ensemble, weights[0], tmp_path / "a.csv", unfinished, Progress())
    noted = unfinished.read_bytes()
    lines = noted.strip().split(b"\n\n")
    assert len(lines) == MAPS // BATCH
    text = b'["x", ' + b"[" * 100_000
    deep = text + b" %08x" % zlib.crc32(text)
    for damage in (
        noted[:-40],  # torn
        noted.replace(lines[2], lines[2].replace(b'"voxels": ', b'"voxels": 1')),  # altered
        b"\n".join([deep, b"\x00\xff", b"null 00000000", *lines[1:]]),
    ):
        batches.clear()
        unfinished.write_bytes(damage)
        assert table(ensemble, weights[0], tmp_path / "b.csv", unfinished, Progress()) == whole
        assert len(batches) == 1


def test_a_map_that_changed_and_other_weights_are_predicted_anew(
    weights: list[str], batches: list[list[str]], tmp_path: Path
) -> None:
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    for number in range(1, 7):
        write(volumes, number)
    ensemble, unfinished = find_ensemble([volumes]), tmp_path / "unfinished"
    first = table(ensemble, weights[0], tmp_path / "a.csv", unfinished, Progress())
    batches.clear()
    write(volumes, 5, scale=3.0)  # of the same size
    os.utime(volumes / "vol_05.mrc", ns=(1, 1))
    ensemble = find_ensemble([volumes])
    second = table(ensemble, weights[0], tmp_path / "b.csv", unfinished, Progress())
    assert batches == [["vol_05.mrc", "vol_06.mrc"]] and second != first
    assert second == table(ensemble, weights[0], tmp_path / "c.csv", None, Progress())
    batches.clear()
    other = table(ensemble, weights[1], tmp_path / "d.csv", unfinished, Progress())
    assert len(batches) == 3 and other != second
