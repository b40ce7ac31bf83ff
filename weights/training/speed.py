"""Speed of prediction, compared with the published architecture in the same run."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import package  # noqa: F401  (puts src on the path)

from core.maps.ensemble import find_ensemble
from core.maps.grid import Grid
from core.maps.mapfile import write_map
from core.thresholds.network import published_network
from core.thresholds.parameters import PredictParameters
from core.thresholds.predict import predict_levels

MAPS, PUBLISHED_MAPS = 500, 8


def _write(folder: Path, count: int, box: int) -> None:
    rng = np.random.default_rng(0)
    axis = (np.arange(box) - box / 2) / (0.25 * box)
    ball = 1 / (1 + (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) ** 4)
    noise = rng.normal(0, 0.1, (box,) * 3)
    grid = Grid((box,) * 3, (3.0,) * 3)
    for i in range(count):
        array = (ball + np.roll(noise, i, i % 3)).astype(np.float32)
        write_map(folder / f"vol_{i:03d}.mrc", array, grid, "speed test")


def _ours(folder: Path, weights: Path) -> dict[str, float]:
    """Seconds and memory of a process that predicts a folder, including reading and imports."""
    start = time.perf_counter()
    script = f"import speed; speed._child({str(folder)!r}, {str(weights)!r})"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return {"seconds": time.perf_counter() - start, **json.loads(done.stdout)}


def _child(folder: str, weights: str) -> None:
    predict_levels(
        find_ensemble([Path(folder)], minimum=1), PredictParameters(weights=weights, device="cpu")
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    # not ru_maxrss, which starts at the size of the parent process
    peak = next(
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    print(
        json.dumps({"cpu": used.ru_utime + used.ru_stime, "megabytes": int(peak.split()[1]) / 1024})
    )


def speed(weights: Path) -> str:
    """The measurements as text."""
    import torch

    with tempfile.TemporaryDirectory() as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder, count, box in ((small, MAPS, 64), (large, 1, 256)):
            folder.mkdir()
            _write(folder, count, box)
        ours = _ours(small, weights)
        ensemble = find_ensemble([large], minimum=1)
        predict_levels(ensemble, PredictParameters(weights=str(weights), device="cpu"))
        start = time.perf_counter()
        predict_levels(ensemble, PredictParameters(weights=str(weights), device="cpu"))
        one = time.perf_counter() - start
    network = published_network().eval()
    maps = torch.zeros(PUBLISHED_MAPS // 2, 1, 64, 64, 64)
    start = time.perf_counter()
    with torch.inference_mode():
        for _ in range(2):
            network(maps)
    published = (time.perf_counter() - start) * MAPS / PUBLISHED_MAPS
    return (
        f"{MAPS} maps of 64^3 in a separate process, including reading and the import of torch: "
        f"{ours['seconds']:.1f} s "
        f"({ours['cpu']:.1f} s of CPU time), peak memory {ours['megabytes']:.0f} MB. One map "
        f"of 256^3: {one:.2f} s. The published "
        f"architecture in the same run, network only, extrapolated from {PUBLISHED_MAPS} maps: "
        f"{published:.0f} s for {MAPS}, "
        f"{published / ours['seconds']:.0f} times as long. {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f} from other processes."
    )
