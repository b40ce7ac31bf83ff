"""Counting on a graphics card, with torch.

A count is an integer of at most the number of volumes. A float32 matrix product is exact for these,
provided that the card computes in full float32: by default, it may use TF32 or bfloat16 for speed.
That is turned off during counting, and the counts are checked against numpy's once per run, see
:func:`torch_counter`.
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
from ..common.torch_install import without_torch_text
from .pair_tiles import LocalBackend, PairCounter

PROBE_ROWS = 64  # rows whose counts are compared with numpy's before a card is used


def gpu_backend(device: str, progress: Progress) -> LocalBackend:
    """Backend for ``cuda``, ``mps`` or ``auto``: CUDA or MPS if available, else numpy on the CPU.

    Raises
    ------
    SirenError
        If a device other than ``auto`` was asked for and it, or torch, is not available.
    Cancelled
        If ``progress`` was asked to stop.
    """
    try:
        torch = run_cancellable(_import_torch, "starting torch", progress)  # may take seconds
    except (ImportError, OSError) as error:  # the latter where one of its DLLs does not load
        if device == "auto":
            return LocalBackend()
        why = without_torch_text(f'"device {device}"', error)
        raise SirenError(f'{why} Or use "device cpu".') from None
    chosen = run_cancellable(partial(torch_device, device), "starting torch", progress)
    if chosen is None:
        return LocalBackend()
    return LocalBackend(_name(torch, chosen), partial(torch_counter, device=chosen))


def torch_device(device: str) -> str | None:
    """torch's name of a device; None if ``auto`` finds no graphics card.

    Raises
    ------
    SirenError
        If the device is not available on this computer.
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
    """Counter that uses a matrix product on a torch device.

    The columns stay in device memory; only strips of rows are copied there. A strip that does not
    fit is halved until it does.

    Parameters
    ----------
    columns : (n, V) float32
        Occupancy, 0 or 1.
    device : str
        A torch device, "cpu" included.

    Raises
    ------
    SirenError
        If the columns or a single row do not fit into memory, the device fails, or its counts are
        not exact.
    """
    torch = _import_torch()

    def failure(error: RuntimeError) -> SirenError:
        if _out_of_memory(error):
            return SirenError(
                f"{device} has too little memory for {len(columns):,} voxels of "
                f"{columns.shape[1]:,} volumes "
                f"({columns.nbytes / 2**20:,.0f} MB): use device cpu, or close other "
                "programs that use it."
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
        _empty_cache(torch, device)  # outside of except: the error keeps its tensors alive
        half = len(rows) // 2
        return np.concatenate([count(rows[:half], first), count(rows[half:], first)])

    _check_exact(count, columns, device)
    return count


def _check_exact(count: PairCounter, columns: NDArray[np.float32], device: str) -> None:
    """Compare counts of a few rows with numpy's, and of a row of ones, which gives the largest."""
    rows = np.concatenate([columns[:PROBE_ROWS], np.ones((1, columns.shape[1]), np.float32)])
    if not np.array_equal(count(rows, 0), rows @ columns.T):
        raise SirenError(
            f"{device} does not count exactly, so blocks would differ from those of "
            "the CPU: use device cpu."
        )


def _product(torch: Any, rows: NDArray[np.float32], held: Any, first: int) -> NDArray[np.float32]:
    with torch.inference_mode(), _full_float32(torch):
        product = torch.from_numpy(rows).to(held.device) @ held[first:].T
        return np.asarray(product.cpu().numpy())


@contextmanager
def _full_float32(torch: Any) -> Iterator[None]:
    """Full float32 products, without TF32 or bfloat16, whatever the setting of the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out: torch.OutOfMemoryError with CUDA, a plain RuntimeError with MPS."""
    return "out of memory" in str(error)


def _empty_cache(torch: Any, device: str) -> None:
    """Release the device memory that torch caches."""
    if device != "cpu":
        getattr(torch, device).empty_cache()


def _name(torch: Any, device: str) -> str:
    card = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return f"{device} ({card}torch {torch.__version__})"


def _import_torch() -> Any:
    import torch

    return torch
