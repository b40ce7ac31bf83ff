"""Predict the threshold of every volume of an ensemble.

Example::

    from chimerax.siren.core import PredictParameters, find_ensemble, predict_levels

    ensemble = find_ensemble(["volumes"], include=["vol_00*"])
    predictions = predict_levels(ensemble, PredictParameters(device="cpu"))
    predictions.array.shape  # -> (9,)
    predictions.flagged  # what speaks against a map, by its name
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap, SirenError
from ..common.progress import LOOK, Progress
from ..maps.ensemble import Ensemble, Source
from ..maps.grid import Grid
from .consensus import consensus_levels
from .features import share_above
from .flags import Enclosed, enclosed, with_flags
from .network import BOX, LoadedNetwork, answers, default_weights, import_torch, load_network
from .normalize import Range, denormalise_level, normalise, value_range
from .parameters import PredictParameters
from .preprocess import shrunk
from .tables import Prediction, Predictions
from .voxel_size import known_voxel_size

if TYPE_CHECKING:
    from torch import Tensor

PHASE = "predicting thresholds"
HELD = 2**30  # bytes that maps in work, and what networks make of them, may take together
# for a map: measured with one worker and with several
NETWORK_BYTES = {"siren": 12_000_000, "published": 115_000_000}
COPIES = 4  # of a map in work: itself, and what resampling makes of it


def choose_device(name: str) -> str:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    SirenError
        If it is not available here.
    """
    torch = import_torch()
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return next(d for d in ("cuda", "mps", "cpu") if available[d])
    if not available.get(name, False):
        raise SirenError(f"{name} is not available here: use device cpu.")
    return name


def predict_levels(
    ensemble: Ensemble,
    parameters: PredictParameters | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Predict a threshold for each chosen volume.

    Each map is brought to 64^3 in Fourier space, normalised, and shown to the network. The level
    counts in the map's own units: this program's weights are trained on levels normalised by the
    64^3 map's statistics, the published ones on levels normalised by the full box's, so these are
    what each is turned back with, and what the table shows.

    Parameters
    ----------
    ensemble : Ensemble
        Maps on any grid; one is enough.
    parameters : PredictParameters
    progress : Progress
        Asked between maps and between batches.

    Returns
    -------
    Predictions
        The same on every run on the CPU of one machine. A map that holds nothing to contour has a
        flag in place of a level.

    Raises
    ------
    SirenError
        If torch, the weights or the device is not there, a map cannot be read, or none can be
        normalised.
    Cancelled
        If the progress says so.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    parameters, progress = parameters or PredictParameters(), progress or Progress()
    import_torch()  # before the weights are sought: its absence is the first thing to say
    device = choose_device(parameters.device)
    path = (
        Path(parameters.weights).expanduser()
        if parameters.weights is not None
        else default_weights()
    )
    progress.step("loading the network")
    loaded = load_network(path)
    loaded.network.to(device)
    looked = _looked_at(ensemble, loaded, device, path.name, parameters.batch_size, progress)
    if looked and all(one.junk for one in looked):
        raise next(one.junk for one in reversed(looked) if one.junk)
    seen = {one.row.file: one.enclosed for one in looked if one.enclosed}
    rows = with_flags([one.row for one in looked], seen, Grid((BOX,) * 3, (1.0,) * 3))
    notes = []
    if parameters.together:
        rows, note = consensus_levels(ensemble, rows, progress)
        notes.append(note)
    progress.step(PHASE, 1.0)
    return Predictions(tuple(rows), path.name, device, tuple(notes))


@dataclass(frozen=True)
class Shrunk:
    """A map on its way to a network.

    Attributes
    ----------
    name, vol_id : its file name and place, see :class:`.tables.Prediction`
    small : (64, 64, 64) float32, z, y, x, in the map's units
    x : the same, normalised
    range : the statistics that turn a prediction into a level
    voxel_size : edge of the 64^3 box's voxels in A, None where it is not known
    full : see :func:`.features.share_above`; None where the map has 64^3 voxels itself, or the
        network does not ask
    """

    name: str
    vol_id: int
    small: NDArray[np.float32]
    x: NDArray[np.float32]
    range: Range
    voxel_size: float | None
    full: Tensor | None


def shrink(
    ensemble: Ensemble,
    source: Source,
    vol_id: int,
    kind: str,
    reading: AbstractContextManager[object] | None = None,
) -> Shrunk:
    """A map brought to 64^3 and normalised for a network of a kind.

    Parameters
    ----------
    ensemble, source : one of the ensemble's maps
    vol_id : its place
    kind : ``siren`` or ``published``
    reading : held while the map is read, and no longer

    Raises
    ------
    SirenError
        If the map cannot be read; JunkMap if it holds nothing to contour.
    """
    with reading or nullcontext():
        array = ensemble.array(source)
    small, _ = shrunk(source, array, ensemble.grid, BOX)
    x, used = normalise(small, source.name)
    full = None
    if small is not array:
        if kind == "siren":
            full = share_above(array, used, ensemble.grid.voxel_size)
        elif max(array.shape) > BOX:
            used = value_range(array, source.name)
    return Shrunk(source.name, vol_id, small, x, used, known_voxel_size(ensemble.grid, BOX), full)


@dataclass(frozen=True)
class _Looked:
    """A map's row; what its level encloses, or why it has none."""

    row: Prediction
    enclosed: Enclosed | None = None
    junk: JunkMap | None = None


def _looked_at(
    ensemble: Ensemble,
    loaded: LoadedNetwork,
    device: str,
    weights: str,
    batch_size: int,
    progress: Progress,
) -> list[_Looked]:
    """The maps in the ensemble's order. Batches of them go through as many threads as there are
    cores.

    A batch is the same maps whatever the number of threads, so results are too.
    """
    torch: Any = import_torch()
    place = ensemble.places
    # who gives the values of open models need not bear two askers at once
    reading = threading.Lock()
    network = nullcontext() if device == "cpu" else threading.Lock()
    inside = progress.quiet()
    read: list[str] = []

    def look(sources: Sequence[Source]) -> list[_Looked]:
        maps: list[Shrunk] = []
        found: dict[str, _Looked] = {}
        for source in sources:
            inside.step(PHASE)
            try:
                maps.append(shrink(ensemble, source, place[source.name], loaded.kind, reading))
            except JunkMap as error:
                row = Prediction(
                    source.name,
                    place[source.name],
                    Range(np.nan, np.nan),
                    np.nan,
                    flags=(error.reason,),
                )
                # which would keep the map in memory
                found[source.name] = _Looked(row, junk=error.with_traceback(None))
            read.append(source.name)
        if maps:
            with network:
                numbers = _numbers(loaded, maps, device)
            found |= {
                m.name: _judged(m, level, spread, weights)
                for m, (level, spread) in zip(maps, numbers, strict=True)
            }
        return [found[s.name] for s in sources]

    batches = [ensemble.sources[i : i + batch_size] for i in range(0, len(ensemble), batch_size)]
    each = COPIES * 4 * max(ensemble.grid.shape) ** 3 + batch_size * NETWORK_BYTES[loaded.kind]
    workers = max(1, min(_cores(), len(batches), HELD // each))
    # one thread of torch for each of ours, more would wait for each other; but convolutions of the
    # published network are large
    of_torch = _cores() // workers if loaded.kind == "published" else 1
    with _torch_threads_kept(torch):
        return _gathered(
            ThreadPoolExecutor(
                workers, "siren-predict", initializer=torch.set_num_threads, initargs=(of_torch,)
            ),
            look,
            batches,
            read,
            len(ensemble),
            progress,
        )


def _gathered(
    pool: ThreadPoolExecutor,
    look: Callable[[Sequence[Source]], list[_Looked]],
    batches: Sequence[Sequence[Source]],
    read: Sequence[str],
    count: int,
    progress: Progress,
) -> list[_Looked]:
    """What ``look`` finds of each batch, in order; ``read`` tells how many maps of ``count`` have
    been read.
    """
    looked: list[_Looked] = []
    try:
        waiting = [pool.submit(look, batch) for batch in batches]
        for future in waiting:
            progress.step(PHASE, len(read) / count)
            while not wait([future], LOOK).done:
                progress.step(PHASE, len(read) / count)
            looked += future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return looked


def _cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Kept:
    """How many are at work, and torch's number of threads before the first of them began."""

    lock = threading.Lock()
    users = threads = 0


@contextmanager
def _torch_threads_kept(torch: Any) -> Iterator[None]:
    """torch's number of threads, which is the whole process's, is as before when the last who is at
    work ends.
    """
    with _Kept.lock:
        if not _Kept.users:
            _Kept.threads = torch.get_num_threads()
        _Kept.users += 1
    try:
        yield
    finally:
        with _Kept.lock:
            _Kept.users -= 1
            if not _Kept.users:
                torch.set_num_threads(_Kept.threads)


def _numbers(loaded: LoadedNetwork, maps: Sequence[Shrunk], device: str) -> list[list[float]]:
    """Level and expected error of each, on the normalised scale."""
    torch: Any = import_torch()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack([m.x for m in maps])[:, None]).to(device)
        both = answers(loaded.network, batch, [m.voxel_size for m in maps], [m.full for m in maps])
    numbers: list[list[float]] = both.float().cpu().tolist()
    return numbers


def _judged(m: Shrunk, prediction: float, spread: float, weights: str) -> _Looked:
    if not np.isfinite(prediction):
        raise SirenError(
            f"{weights} gives no number for {m.name}: its weights are damaged. Use "
            'others, or leave "weights" out.'
        )
    row = Prediction(m.name, m.vol_id, m.range, prediction, spread if np.isfinite(spread) else None)
    return _Looked(
        row, enclosed(m.small, denormalise_level(prediction, m.range), prediction, row.spread)
    )
