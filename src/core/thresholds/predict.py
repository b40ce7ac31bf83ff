"""Predict the threshold of every volume of an ensemble.

Example::

    predictions = predict_levels(find_ensemble(["~/j42/volumes"]), PredictParameters())
    write_predictions(Path("predictions.csv"), predictions)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ensemble import Ensemble
from ..errors import SirenError
from ..parameters import Parameters, parameter
from ..progress import Progress
from .network import BOX, LoadedNetwork, default_weights, import_torch, load_network
from .normalise import Range, normalise, value_range
from .preprocess import shrunk
from .scale import known_voxel_size
from .tables import Prediction, Predictions

DEVICES = ("auto", "cpu", "cuda", "mps")
PHASE = "predicting thresholds"


@dataclass(frozen=True)
class PredictParameters(Parameters):
    """How to predict."""

    weights: str | None = parameter(
        None, "weights file of SIREn for ChimeraX, or a published checkpoint; the shipped one where not given")
    device: str = parameter("auto", "where the network runs; auto takes a graphics card where there is one", choices=DEVICES)
    batch_size: int = parameter(8, "maps that go through the network at once; memory depends on it, results do not", least=1)


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
        The same on every run on the CPU of one machine.

    Raises
    ------
    SirenError
        If torch, the weights or the device is not there, or a map cannot be read or normalised.
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
    place = {name: n for n, name in enumerate(ensemble.all_names)}
    rows: list[Prediction] = []
    waiting: list[tuple[str, NDArray[np.float32], Range]] = []
    voxel_size = known_voxel_size(ensemble.grid, BOX)
    for source, (name, array) in zip(ensemble.sources, ensemble.read(progress, PHASE), strict=True):
        small, _ = shrunk(source, array, ensemble.grid, BOX)
        x, used = normalise(small, name)
        if loaded.kind == "published" and small is not array and max(array.shape) > BOX:
            used = value_range(array, name)
        waiting.append((name, x, used))
        if len(waiting) == parameters.batch_size or len(rows) + len(waiting) == len(ensemble):
            progress.step(PHASE, (len(rows) + len(waiting)) / len(ensemble))
            levels = _run(loaded, np.stack([x for _, x, _ in waiting]), voxel_size, device)
            rows += [Prediction(n, place[n], r, float(v)) for (n, _, r), v in zip(waiting, levels, strict=True)]
            waiting.clear()
    progress.step(PHASE, 1.0)
    lost = next((r.file for r in rows if not np.isfinite(r.prediction)), None)
    if lost:
        raise SirenError(f"{path.name} gives no number for {lost}: its weights are damaged. Use others, or leave "
                         '"weights" out.')
    return Predictions(tuple(rows), path.name, device)


def _run(loaded: LoadedNetwork, batch: NDArray[np.float32], voxel_size: float | None, device: str) -> list[float]:
    """Levels (n,) of normalised maps (n, 64, 64, 64), all of one voxel size."""
    torch: Any = import_torch()
    network: Any = loaded.network
    with torch.inference_mode():
        x = torch.from_numpy(batch[:, None]).to(device)
        siren = loaded.kind == "siren"
        levels = network.heads(*network.features(x, [voxel_size] * len(batch)))[:, 0] if siren else network(x)
    return [float(v) for v in levels.float().cpu()]
