"""Counting with torch, on its CPU device: the same counts and files, and failures of devices."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.blocks.blockset import read_block_maps
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute import gpu as devices
from chimerax.siren.core.compute.gpu import gpu_backend, torch_counter, torch_device
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import Run, inherited_parameters, run_expand, run_sketch
from ensembles import LEVEL, assert_same_files, write_planted

torch = pytest.importorskip("torch")

CARD = torch_device("auto") or "cpu"
needs_card = pytest.mark.skipif(CARD == "cpu", reason="torch finds no graphics card here")


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("planted") / "volumes", 120).folder


def occupancy(voxels: int = 400, volumes: int = 700) -> np.ndarray:
    """Voxels up to always occupied, so that counts exceed what bfloat16 holds exactly (256)."""
    rows = np.random.default_rng(2).random((voxels, volumes)) < np.linspace(0.1, 1, voxels)[:, None]
    return rows.astype(np.float32)


def counted(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return rows.astype(np.int64) @ columns.astype(np.int64).T


def cards(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)


def sketch_and_expand(volumes: Path, output: Path, statistic: str, device: str) -> tuple[Run, Run]:
    ensemble = find_ensemble([volumes])
    same = {"statistic": statistic, "device": device, "resamples": 0}
    first = run_sketch(
        ensemble, np.full(len(ensemble), LEVEL), "level", SketchParameters(**same), output
    )
    return first, run_expand(
        read_block_maps(first.folder), read_record(first.folder), ExpandParameters(**same), output
    )


# --- the same result


def test_torch_counts_equal_integer_counts() -> None:
    columns = occupancy()
    count = torch_counter(columns, "cpu")
    for start, first in ((0, 0), (5, 5), (390, 399)):
        both = count(columns[start : start + 30], first)
        np.testing.assert_array_equal(both, counted(columns[start : start + 30], columns[first:]))
        assert both.dtype == np.float32


@pytest.mark.parametrize("statistic", ["profile", "published", "exact"])
@pytest.mark.slow
def test_torch_writes_the_files_that_numpy_writes(
    volumes: Path, tmp_path: Path, statistic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strips: list[int] = []

    def product(module: Any, rows: np.ndarray, *others: Any) -> np.ndarray:
        strips.append(len(rows))
        return plain(module, rows, *others)

    plain = devices._product
    monkeypatch.setattr(devices, "_product", product)
    monkeypatch.setattr(devices, "torch_device", lambda name: "cpu")
    monkeypatch.setattr("chimerax.siren.core.common.constants.TILE_PAIRS", 5_000)
    local = sketch_and_expand(volumes, tmp_path / "numpy", statistic, "cpu")
    assert not strips
    by_torch = sketch_and_expand(volumes, tmp_path / "torch", statistic, "cuda")
    assert len(strips) > 1
    assert len(local[0].blocks)
    for one, other in zip(local, by_torch, strict=True):
        record = assert_same_files(one.folder, other.folder, "device")
        # profiles are compared on the CPU
        by_card = statistic != "profile" or other is by_torch[0]
        assert record["counted_on"] == (f"cpu (torch {torch.__version__})" if by_card else "cpu")


def test_the_device_of_a_sketch_is_not_inherited_by_its_expansion(
    volumes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch)
    ensemble = find_ensemble([volumes])
    run = run_sketch(
        ensemble,
        np.full(len(ensemble), LEVEL),
        "level",
        SketchParameters(device="auto", posp=0.02),
        tmp_path,
    )
    assert run.record.parameters["device"] == "auto" and run.record.counted_on == "cpu"
    handed = inherited_parameters(read_record(run.folder))
    assert handed["posp"] == 0.02 and not {"device", "scheduler"} & set(handed)


@needs_card
def test_a_graphics_card_counts_exactly() -> None:
    columns = occupancy(3000, 1000)
    count = torch_counter(columns, CARD)
    for start, first in ((0, 0), (2900, 7)):
        both = count(columns[start : start + 100], first)
        np.testing.assert_array_equal(both, counted(columns[start : start + 100], columns[first:]))


@needs_card
@pytest.mark.parametrize("statistic", ["profile", "published", "exact"])
def test_a_graphics_card_writes_the_files_that_numpy_writes(
    volumes: Path, tmp_path: Path, statistic: str
) -> None:
    local = sketch_and_expand(volumes, tmp_path / "numpy", statistic, "cpu")
    by_card = sketch_and_expand(volumes, tmp_path / "card", statistic, "auto")
    assert len(local[0].blocks)
    for one, other in zip(local, by_card, strict=True):
        record = assert_same_files(one.folder, other.folder, "device")
        assert record["counted_on"].startswith(
            CARD if statistic != "profile" or other is by_card[0] else "cpu"
        )


@needs_card
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_what_does_not_fit_on_a_graphics_card_is_said_with_the_remedy() -> None:
    columns = np.broadcast_to(np.float32(1), (1 << 20, 1 << 20))  # 4 TB there, 4 bytes here
    with pytest.raises(SirenError, match=r"has too little memory .* use device cpu"):
        torch_counter(columns, CARD)


# --- exact, whatever torch is set to


def test_counting_uses_full_float32_and_restores_torchs_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    plain = torch.Tensor.__matmul__

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_float32_matmul_precision())
        return plain(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", product)
    columns, before = occupancy(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        both = torch_counter(columns, "cpu")(columns[:9], 0)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen and set(seen) == {"highest"}
    np.testing.assert_array_equal(both, counted(columns[:9], columns))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_device_that_rounds_is_refused(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(module: Any, rows: np.ndarray, held: torch.Tensor, first: int) -> np.ndarray:
        return (torch.from_numpy(rows) @ held[first:].T).to(kind).float().numpy()

    monkeypatch.setattr(devices, "_product", rounded)
    columns = np.ones((1, 2049), np.float32)  # the first integer that float16 cannot represent
    with pytest.raises(SirenError, match=r"does not count exactly.*use device cpu"):
        torch_counter(columns, "cpu")


# --- memory


def test_strips_that_do_not_fit_are_halved_until_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    heights: list[int] = []
    plain = devices._product

    def small(module: Any, rows: np.ndarray, *others: Any) -> np.ndarray:
        if len(rows) > 7:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        heights.append(len(rows))
        return plain(module, rows, *others)

    monkeypatch.setattr(devices, "_product", small)
    columns = occupancy()
    np.testing.assert_array_equal(
        torch_counter(columns, "cpu")(columns[:100], 3), counted(columns[:100], columns[3:])
    )
    assert max(heights) <= 7 and min(heights) >= 3


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            r"cpu has too little memory for 400 voxels of "
            r"700 volumes \(1 MB\): use device cpu",
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), "too little memory"),
        (
            RuntimeError("CUDA error: no kernel image\nis available"),
            r"cpu failed \(CUDA error: no "
            r"kernel image\): use device cpu",
        ),
    ],
)
def test_torch_errors_become_sentences(
    error: RuntimeError, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> np.ndarray:
        raise error

    monkeypatch.setattr(devices, "_product", failing)
    with pytest.raises(SirenError, match=text) as caught:
        torch_counter(occupancy(), "cpu")
    assert "\n" not in str(caught.value)


# --- which device


@pytest.mark.parametrize(
    ("there", "chosen"),
    [((), None), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
)
def test_auto_takes_cuda_then_mps_then_numpy(
    there: tuple[str, ...], chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards(monkeypatch, *there)
    assert torch_device("auto") == chosen
    if chosen is None:
        assert gpu_backend("auto", Progress()).counter is None


def test_a_missing_device_is_named_with_those_available(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, "mps")
    with pytest.raises(
        SirenError, match="finds no cuda device on this computer: use device mps or device cpu"
    ):
        gpu_backend("cuda", Progress())
    with pytest.raises(SirenError, match="device tpu is not known"):
        SketchParameters(device="tpu")


def test_without_torch_auto_counts_by_numpy_and_a_card_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu_backend("auto", Progress()).name == "cpu"
    with pytest.raises(SirenError, match=r"siren install torch.*Or use .device cpu"):
        gpu_backend("cuda", Progress())
