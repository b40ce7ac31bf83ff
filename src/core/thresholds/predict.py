"""Prediction of the contour level of every volume of an ensemble.

Example::

    from chimerax.siren.core import PredictParameters, find_ensemble, predict_levels

    ensemble = find_ensemble(["volumes"], include=["vol_00*"])
    predictions = predict_levels(ensemble, PredictParameters(device="cpu"))
    predictions.array.shape  # -> (9,)
    predictions.flagged  # what speaks against a map, by its name
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import Cancelled, JunkMap, SirenError, join_names
from ..common.files import sha256
from ..common.progress import POLL_SECONDS, Progress, run_cancellable
from ..common.versions import versions
from ..maps.contrast import INVERTED, REMEDY
from ..maps.ensemble import Ensemble, Source
from ..maps.grid import Grid
from .consensus import consensus_levels
from .features import share_above
from .flags import enclosed_region, with_flags
from .network import BOX, LoadedNetwork, default_weights, import_torch, load_network, network_output
from .normalize import NO_DENSITY, Range, denormalize_level, normalize, value_range
from .parameters import PredictParameters
from .preprocess import downsample
from .resume import MapResult, Unfinished, junk_result
from .tables import Prediction, Predictions
from .voxel_size import known_voxel_size

if TYPE_CHECKING:
    from torch import Tensor

PHASE = "predicting thresholds"
MAX_HELD_BYTES = 2**30  # for all maps in progress, with the activations of the network
# per map: measured with one worker and with several
BYTES_PER_MAP = {"siren": 12_000_000, "published": 115_000_000}
COPIES = 4  # arrays as large as the map while it is resampled


def choose_device(name: str, kind: str = "siren") -> str:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    ``auto`` takes a graphics card for the published network alone: SIREn's own is so small that the
    processor is as fast (devel/benchmarks/graphics_card.md), and gives the same bits each time.

    Parameters
    ----------
    name : str
        One of :data:`.parameters.PREDICT_DEVICES`.
    kind : str
        Kind of network, ``siren`` or ``published``.

    Raises
    ------
    SirenError
        If torch is not installed, or the device is not available.
    """
    torch = import_torch()
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        cards = ("cuda", "mps") if kind == "published" else ()
        return next((d for d in cards if available[d]), "cpu")
    if not available.get(name, False):
        raise SirenError(f"{name} is not available here: use device cpu.")
    return name


def predict_levels(
    ensemble: Ensemble,
    parameters: PredictParameters | None = None,
    progress: Progress | None = None,
    unfinished: Path | None = None,
) -> Predictions:
    """Predict a contour level for each volume of an ensemble.

    Each map is Fourier-cropped to 64^3, normalized, and passed to the network. The predicted level
    is converted to the units of the map by the range used in training: that of the 64^3 map for
    SIREn's weights, and that of the original map for the published weights.

    Parameters
    ----------
    ensemble : Ensemble
        Maps on any grid, each its own if found with ``any_grid``; one is enough.
    parameters : PredictParameters
    progress : Progress
    unfinished : Path, optional
        A file to note each batch of maps in as it is done. A prediction that finds batches there,
        of the same maps, weights and parameters, goes on from these. The caller removes it once
        the results are written.

    Returns
    -------
    Predictions
        Reproducible on the CPU of one machine. A map without density to contour has a flag instead
        of a level.

    Raises
    ------
    SirenError
        If torch, the weights or the device is missing, a map cannot be read, or none can be
        normalized.
    Cancelled
        If ``progress`` was asked to stop.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    parameters, progress = parameters or PredictParameters(), progress or Progress()
    # before the weights, so that a missing torch is reported first; takes seconds the first time
    run_cancellable(import_torch, "starting torch", progress)
    path = (
        Path(parameters.weights).expanduser()
        if parameters.weights is not None
        else default_weights()
    )
    loaded = run_cancellable(partial(load_network, path), "loading the network", progress)
    device = choose_device(parameters.device, loaded.kind)
    loaded.network.to(device)
    if parameters.together and ensemble.mixed:
        raise SirenError(
            f"These volumes have {ensemble.grid_text()}: to harmonize their levels they must share "
            'one grid. Leave out "together", or exclude those on other grids.'
        )
    done = None
    if unfinished is not None:
        done = Unfinished(unfinished, _made_with(path, device, ensemble))
    results = _predict_maps(
        ensemble, loaded, device, path.name, parameters.batch_size, progress, done
    )
    if results and all(one.junk for one in results):
        raise _all_junk(results)
    regions = {one.row.file: one.enclosed for one in results if one.enclosed}
    rows = with_flags(
        [one.row for one in results],
        regions,
        Grid((BOX,) * 3, (1.0,) * 3),
        compare=not ensemble.mixed,
        progress=progress,
    )
    notes = []
    if parameters.together:
        rows, note = consensus_levels(ensemble, rows, progress)
        notes.append(note)
    progress.step(PHASE, 1.0)
    return Predictions(tuple(rows), path.name, device, tuple(notes))


def _all_junk(results: Sequence[MapResult]) -> SirenError:
    """Why no map has a level."""
    junk = [one.junk for one in results if one.junk is not None]
    if len(junk) == 1:
        return junk[0]
    reasons = list(dict.fromkeys(one.reason for one in junk))
    no_density = all(NO_DENSITY in reason for reason in reasons)
    inverted = all(INVERTED in reason for reason in reasons)
    remedy = (
        f"Of each volume: {REMEDY}."
        if inverted
        else "If their background is far below 0, raise it to 0 (in ChimeraX "
        '"volume scale #N shift NUMBER"), or give levels of your own ("level", "thresholds").'
        if no_density
        else "Give the volumes of an ensemble."
    )
    return SirenError(
        f"None of the {len(junk):,} volumes has a level ({join_names(reasons)}; the first is "
        f"{results[0].row.file}). {remedy}"
    )


def _made_with(weights: Path, device: str, ensemble: Ensemble) -> str:
    """What predictions depend on besides the maps and their batches, in a digest."""
    torch: Any = import_torch()
    parts = (sha256(weights), device, torch.__version__, versions(), ensemble.grid, ensemble.box)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True)
class PreparedMap:
    """A map prepared for a network.

    Attributes
    ----------
    name, vol_id : str, int
        File name and number, see :class:`.tables.Prediction`.
    small : (64, 64, 64) float32
        z, y, x, in the map's units.
    x : (64, 64, 64) float32
        The same, normalized.
    range : Range
        Range that converts a prediction to a level.
    voxel_size : float or None
        Voxel size at 64^3 in A; None if unknown.
    full : (96,) tensor or None
        See :func:`.features.share_above`; None for maps of 64^3 voxels and for the published
        network.
    """

    name: str
    vol_id: int
    small: NDArray[np.float32]
    x: NDArray[np.float32]
    range: Range
    voxel_size: float | None
    full: Tensor | None


def prepare_map(
    ensemble: Ensemble,
    source: Source,
    vol_id: int,
    kind: str,
    reading: AbstractContextManager[object] | None = None,
) -> PreparedMap:
    """Read a map, downsample it to 64^3 and normalize it.

    Parameters
    ----------
    ensemble : Ensemble
    source : Source
        One of the ensemble's maps.
    vol_id : int
        Its number.
    kind : str
        Kind of network, ``siren`` or ``published``.
    reading : context manager, optional
        Entered only while the map is read, for instance a lock.

    Raises
    ------
    SirenError
        If the map cannot be read.
    JunkMap
        If it has no density to contour.
    """
    with reading or nullcontext():
        array = ensemble.array(source)
    grid = ensemble.grid_of(source)
    small, _ = downsample(source, array, grid, BOX)
    x, used = normalize(small, source.name)
    full = None
    if small is not array:
        if kind == "siren":
            full = share_above(array, used, grid.voxel_size)
        elif max(array.shape) > BOX:
            used = value_range(array, source.name)
    return PreparedMap(source.name, vol_id, small, x, used, known_voxel_size(grid, BOX), full)


def _predict_maps(
    ensemble: Ensemble,
    loaded: LoadedNetwork,
    device: str,
    weights: str,
    batch_size: int,
    progress: Progress,
    done: Unfinished | None = None,
) -> list[MapResult]:
    """Predict all maps, in the ensemble's order, in batches with one thread per core.

    Batches do not depend on the number of threads, so results do not either.
    """
    torch: Any = import_torch()
    place = ensemble.vol_ids
    # the arrays of open models may not be thread-safe
    reading = threading.Lock()
    network = nullcontext() if device == "cpu" else threading.Lock()
    inside = progress.quiet()
    read: list[str] = []

    def predict(sources: Sequence[Source]) -> list[MapResult]:
        maps: list[PreparedMap] = []
        found: dict[str, MapResult] = {}
        for source in sources:
            inside.step(PHASE)
            try:
                maps.append(prepare_map(ensemble, source, place[source.name], loaded.kind, reading))
            except JunkMap as error:
                found[source.name] = junk_result(source.name, place[source.name], error)
            read.append(source.name)
        if maps:
            with network:
                numbers = _predict_batch(loaded, maps, device)
            found |= {
                m.name: _map_result(m, level, spread, weights)
                for m, (level, spread) in zip(maps, numbers, strict=True)
            }
        return [
            replace(one, row=replace(one.row, fingerprint=ensemble.fingerprints.get(name, "")))
            for name, one in ((s.name, found[s.name]) for s in sources)
        ]

    batches = [ensemble.sources[i : i + batch_size] for i in range(0, len(ensemble), batch_size)]
    results = [None if done is None else done.results(batch, place) for batch in batches]
    known = sum(len(batch) for batch, found in zip(batches, results, strict=True) if found)
    if known:
        read += [""] * known
        progress.say(f"{known:,} of {len(ensemble):,} maps were predicted before; going on.")
    todo = [batch for batch, found in zip(batches, results, strict=True) if found is None]
    each = COPIES * 4 * ensemble.largest**3 + batch_size * BYTES_PER_MAP[loaded.kind]
    workers = max(1, min(_cores(), len(todo), MAX_HELD_BYTES // each))
    # one torch thread per worker, since more would compete; but all cores for the large
    # convolutions of the published network
    torch_threads = _cores() // workers if loaded.kind == "published" else 1
    with restored_torch_threads(torch):
        new = _collect(
            ThreadPoolExecutor(
                workers,
                "siren-predict",
                initializer=torch.set_num_threads,
                initargs=(torch_threads,),
            ),
            predict,
            todo,
            read,
            len(ensemble),
            progress,
            done,
        )
    fresh = iter(new)
    return [one for found in results for one in (next(fresh) if found is None else found)]


def _collect(
    pool: ThreadPoolExecutor,
    predict: Callable[[Sequence[Source]], list[MapResult]],
    batches: Sequence[Sequence[Source]],
    read: Sequence[str],
    count: int,
    progress: Progress,
    done: Unfinished | None = None,
) -> list[list[MapResult]]:
    """Results of ``predict`` for each batch; ``read`` lists the maps read so far."""
    results: list[list[MapResult]] = []
    try:
        waiting = [pool.submit(predict, batch) for batch in batches]
        for batch, future in zip(batches, waiting, strict=True):
            progress.step(PHASE, len(read) / count)
            while not wait([future], POLL_SECONDS).done:
                progress.step(PHASE, len(read) / count)
            results.append(future.result())
            if done is not None:
                done.add(batch, results[-1])
    except Cancelled:
        # a thread may be busy with a large map: it ends by itself
        pool.shutdown(wait=False, cancel_futures=True)
        if done is not None and results:
            kept = count - sum(map(len, batches[len(results) :]))
            progress.say(
                f"{kept:,} of {count:,} maps are predicted; the same command goes on from there."
            )
        raise
    finally:
        pool.shutdown(wait=not progress.cancelled, cancel_futures=True)
    return results


def _cores() -> int:
    """Number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _TorchThreads:
    """Number of uses in progress, and torch's number of threads before the first."""

    lock = threading.Lock()
    users = threads = 0


@contextmanager
def restored_torch_threads(torch: Any) -> Iterator[None]:
    """Restore torch's number of threads, a global setting, after the last use at the same time."""
    with _TorchThreads.lock:
        if not _TorchThreads.users:
            _TorchThreads.threads = torch.get_num_threads()
        _TorchThreads.users += 1
    try:
        yield
    finally:
        with _TorchThreads.lock:
            _TorchThreads.users -= 1
            if not _TorchThreads.users:
                torch.set_num_threads(_TorchThreads.threads)


def _predict_batch(
    loaded: LoadedNetwork, maps: Sequence[PreparedMap], device: str
) -> list[list[float]]:
    """Level and expected error of each map, on the normalized scale."""
    torch: Any = import_torch()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack([m.x for m in maps])[:, None]).to(device)
        both = network_output(
            loaded.network, batch, [m.voxel_size for m in maps], [m.full for m in maps]
        )
    numbers: list[list[float]] = both.float().cpu().tolist()
    return numbers


def _map_result(m: PreparedMap, prediction: float, spread: float, weights: str) -> MapResult:
    if not np.isfinite(prediction):
        raise SirenError(
            f"{weights} gives no number for {m.name}: its weights are damaged. Use "
            'others, or leave "weights" out.'
        )
    row = Prediction(m.name, m.vol_id, m.range, prediction, spread if np.isfinite(spread) else None)
    return MapResult(
        row,
        enclosed_region(m.small, denormalize_level(prediction, m.range), prediction, row.spread),
    )
