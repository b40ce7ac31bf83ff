"""Predict the threshold of every volume of an ensemble.

Example::

    predictions = predict_levels(find_ensemble(["~/j42/volumes"]), PredictParameters())
    write_predictions(Path("predictions.csv"), predictions)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ensemble import Ensemble
from ..errors import JunkMap, SirenError
from ..grid import Grid
from ..parameters import Parameters, parameter
from ..progress import Progress
from .flags import Enclosed, enclosed, with_flags
from .network import BOX, LoadedNetwork, answers, default_weights, import_torch, load_network
from .normalise import Range, denormalise_level, normalise, value_range
from .preprocess import shrunk
from .scale import known_voxel_size
from .tables import Prediction, Predictions
from .together import in_line

DEVICES = ("auto", "cpu", "cuda", "mps")
PHASE = "predicting thresholds"


@dataclass(frozen=True)
class PredictParameters(Parameters):
    """How to predict."""

    weights: str | None = parameter(
        None, "weights file of SIREn for ChimeraX, or a published checkpoint; the shipped one where not given", advanced=True)
    device: str = parameter("auto", "where the network runs; auto takes a graphics card where there is one", choices=DEVICES)
    batch_size: int = parameter(8, "maps that go through the network at once; memory depends on it, results do not", least=1,
                                advanced=True, label="maps at once")
    together: bool = parameter(False, "bring the levels of an ensemble into line with each other by the scales of its volumes",
                               label="bring levels into line")


def choose_device(name: str) -> str:
    """The torch device for ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    SirenError
        If it is not available here.
    """
    torch = import_torch()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(d for d in ("cuda", "mps", "cpu") if available[d])
    if not available.get(name, False):
        raise SirenError(f"{name} is not available here: use device cpu.")
    return name


def predict_levels(ensemble: Ensemble, parameters: PredictParameters | None = None,
                   progress: Progress | None = None) -> Predictions:
    """Predict a threshold for each chosen volume.

    Each map is brought to 64^3 in Fourier space, normalised, and shown to the network. The level counts in the map's
    own units: this program's weights are trained on levels normalised by the 64^3 map's statistics, the published ones on
    levels normalised by the full box's, so these are what each is turned back with, and what the table shows.

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
        The same on every run on the CPU of one machine. A map that holds nothing to contour has a flag in place of a level.

    Raises
    ------
    SirenError
        If torch, the weights or the device is not there, a map cannot be read, or none can be normalised.
    Cancelled
        If the progress says so.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    parameters, progress = parameters or PredictParameters(), progress or Progress()
    import_torch()  # before the weights are sought: its absence is the first thing to say
    device = choose_device(parameters.device)
    path = Path(parameters.weights).expanduser() if parameters.weights is not None else default_weights()
    progress.step("loading the network")
    loaded = load_network(path)
    loaded.network.to(device)
    rows: list[Prediction] = []
    junk: list[Prediction] = []
    seen: dict[str, Enclosed] = {}
    waiting: list[Shrunk] = []
    for one in shrunk_maps(ensemble, loaded.kind, junk, progress):
        waiting.append(one)
        if len(waiting) == parameters.batch_size:
            rows += _levels(waiting, loaded, device, path.name, seen)
            waiting.clear()
    if waiting:
        rows += _levels(waiting, loaded, device, path.name, seen)
    rows = with_flags(sorted(rows + junk, key=lambda r: r.vol_id), seen, Grid((BOX,) * 3, (1.0,) * 3))
    notes = []
    if parameters.together:
        rows, note = in_line(ensemble, rows, progress)
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
    """

    name: str
    vol_id: int
    small: NDArray[np.float32]
    x: NDArray[np.float32]
    range: Range
    voxel_size: float | None


def shrunk_maps(ensemble: Ensemble, kind: str, junk: list[Prediction], progress: Progress, phase: str = PHASE) -> Iterator[Shrunk]:
    """Each map brought to 64^3 and normalised for a network of a kind; what holds nothing to contour is added to ``junk``.

    Raises
    ------
    SirenError
        If a map cannot be read; JunkMap if none of them holds anything.
    """
    place = {name: n for n, name in enumerate(ensemble.all_names)}
    voxel_size = known_voxel_size(ensemble.grid, BOX)
    for source in progress.each(ensemble.sources, phase, len(ensemble)):
        try:
            array = ensemble.array(source)
            small, _ = shrunk(source, array, ensemble.grid, BOX)
            x, used = normalise(small, source.name)
            if kind == "published" and small is not array and max(array.shape) > BOX:
                used = value_range(array, source.name)
        except JunkMap as error:
            junk.append(Prediction(source.name, place[source.name], Range(np.nan, np.nan), np.nan, flags=(error.reason,)))
            if len(junk) == len(ensemble):
                raise
            continue
        yield Shrunk(source.name, place[source.name], small, x, used, voxel_size)


def _levels(maps: list[Shrunk], loaded: LoadedNetwork, device: str, weights: str, seen: dict[str, Enclosed]) -> list[Prediction]:
    """Predictions of a batch; what they enclose goes to ``seen``."""
    torch: Any = import_torch()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack([m.x for m in maps])[:, None]).to(device)
        numbers = answers(loaded.network, batch, [m.voxel_size for m in maps]).float().cpu().tolist()
    rows = []
    for m, (prediction, spread) in zip(maps, numbers, strict=True):
        if not np.isfinite(prediction):
            raise SirenError(f"{weights} gives no number for {m.name}: its weights are damaged. Use others, or leave \"weights\" out.")
        row = Prediction(m.name, m.vol_id, m.range, prediction, spread if np.isfinite(spread) else None)
        seen[m.name] = enclosed(m.small, denormalise_level(prediction, m.range), prediction, row.spread)
        rows.append(row)
    return rows
