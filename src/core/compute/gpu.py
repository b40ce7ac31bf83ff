"""Counting on a graphics card, with torch.

A count is a whole number, at most the number of volumes, and a matrix product in float32 gives it
exactly as long as the card really multiplies and adds in float32. Cards may use shorter numbers to
be faster (TF32, bfloat16). That is turned off while counting, and each card must prove once that it
counts exactly: see :func:`torch_counter`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.progress import Progress, run_cancellable
from .pair_tiles import LocalBackend, PairCounter

PROBE_ROWS = 64  # rows whose counts are compared with numpy's before a card is trusted


def gpu_backend(device: str, progress: Progress) -> LocalBackend:
    """Where to count for ``cuda``, ``mps`` or ``auto``: the card of the first two that there is,
    else plain numpy.

    Raises
    ------
    SirenError
        If the card, or torch, is not there.
    Cancelled
        If ``progress`` was asked to stop.
    """
    try:
        torch = run_cancellable(_import_torch, "starting torch", progress)  # takes seconds
    except ImportError:
        if device == "auto":
            return LocalBackend()
        raise SirenError(
            f'torch is not installed: "device {device}" needs it. Install it with: '
            "pip install torch, or use device cpu."
        ) from None
    chosen = run_cancellable(partial(torch_device, device), "starting torch", progress)
    if chosen is None:
        return LocalBackend()
    return LocalBackend(_name(torch, chosen), partial(torch_counter, device=chosen))


def torch_device(device: str) -> str | None:
    """torch's name of a device; None where ``auto`` finds no graphics card.

    Raises
    ------
    SirenError
        If it is not available here.
    """
    torch = _import_torch()
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next((name for name, there in available.items() if there), None)
    if not available[device]:
        others = "".join(f"device {name} or " for name, there in available.items() if there)
        raise SirenError(
            f"torch {torch.__version__} finds no {device} device on this computer: "
            f"use {others}device cpu."
        )
    return device


def torch_counter(columns: NDArray[np.float32], device: str) -> PairCounter:
    """Counts by a matrix product on a device. The columns stay there; only strips travel.

    A strip that does not fit is halved, and again.

    Parameters
    ----------
    columns : (n, V) occupancy, 0 or 1
    device : of torch, "cpu" too

    Raises
    ------
    SirenError
        If the columns or a single row do not fit, the device fails, or it does not count exactly.
    """
    torch = _import_torch()

    def failure(error: RuntimeError) -> SirenError:
        if _out_of_memory(error):
            return SirenError(
                f"{device} has too little memory for {len(columns):,} voxels of "
                f"{columns.shape[1]:,} volumes "
                f"({columns.nbytes / 2**20:,.0f} MB): use device cpu, or close what "
                "else uses it."
            )
        return SirenError(
            f"{device} failed ({next(iter(str(error).splitlines()), '')}): use device cpu."
        )

    try:
        held = torch.from_numpy(columns).to(device)
    except RuntimeError as error:
        raise failure(error) from error

    def count(rows: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        try:
            return _product(torch, rows, held, first)
        except RuntimeError as error:
            if len(rows) < 2 or not _out_of_memory(error):
                raise failure(error) from error
        _give_back(torch, device)  # outside of except: the error holds what it failed with
        half = len(rows) // 2
        return np.concatenate([count(rows[:half], first), count(rows[half:], first)])

    _prove(count, columns, device)
    return count


def _prove(count: PairCounter, columns: NDArray[np.float32], device: str) -> None:
    """Compare counts of a few rows with numpy's, among them the largest that there are: each
    column's with a row of ones.
    """
    rows = np.concatenate([columns[:PROBE_ROWS], np.ones((1, columns.shape[1]), np.float32)])
    if not np.array_equal(count(rows, 0), rows @ columns.T):
        raise SirenError(
            f"{device} does not count exactly, so that blocks would not be those of "
            "the processor: use device cpu."
        )


def _product(torch: Any, rows: NDArray[np.float32], held: Any, first: int) -> NDArray[np.float32]:
    with torch.inference_mode(), _whole_float32(torch):
        product = torch.from_numpy(rows).to(held.device) @ held[first:].T
        return np.asarray(product.cpu().numpy())


@contextmanager
def _whole_float32(torch: Any) -> Iterator[None]:
    """No TF32 and no bfloat16 in float32 products, whatever the process is set to."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _out_of_memory(error: RuntimeError) -> bool:
    """CUDA's torch.OutOfMemoryError, and MPS's, which is a plain RuntimeError."""
    return "out of memory" in str(error)


def _give_back(torch: Any, device: str) -> None:
    """What torch keeps of a card's memory for later."""
    if device != "cpu":
        getattr(torch, device).empty_cache()


def _name(torch: Any, device: str) -> str:
    card = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return f"{device} ({card}torch {torch.__version__})"


def _import_torch() -> Any:
    import torch

    return torch
