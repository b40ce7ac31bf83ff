"""Train the published architecture on the same simulated maps, for its row of the accuracy table.

Example::

    python weights/training/published.py ../shared/data/structures --maps 2400 \\
        --out siren-published.pt
    python weights/training/evaluate.py ../shared/data --published siren-published.pt \\
        --card weights/README.md

One epoch over the first maps of the training set, at half a second per map on two cores with
bfloat16 instructions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import package  # noqa: F401  (puts src on the path)
import torch
from dataset import build
from train import EACH, TrainParameters, rate_schedule

from core.thresholds.finetune import apply_symmetry
from core.thresholds.network import published_network, save_network


def batches(files: list[Path], size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Iterate over normalized maps (size, 1, 64, 64, 64) and labels (size,), shuffled.

    Shuffling separates successive maps in a file, which show the same molecule.
    """
    rng = np.random.default_rng(0)
    for first in range(0, len(files), 4):
        parts = [np.load(path) for path in files[first : first + 4]]
        x = np.concatenate([z["above_background"] for z in parts])
        label = np.concatenate([z["label"] for z in parts])
        for chosen in np.array_split(rng.permutation(len(x)), len(x) // size):
            yield (
                torch.from_numpy(x[chosen].astype(np.float32))[:, None] - 1,
                torch.from_numpy(label[chosen]),
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("structures", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--maps", type=int, default=2400)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "siren-maps")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    p = TrainParameters()
    files = build(a.structures, "train", a.maps, p.data_seed, a.cache, a.processes, EACH["train"])
    torch.manual_seed(p.seed)
    rng = np.random.default_rng(p.seed)
    network = published_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=a.learning_rate)
    steps, start, seen, mean = a.maps // a.batch_size, time.time(), 0, 0.0
    for step, (x, label) in enumerate(batches(files, a.batch_size)):
        for group in optimizer.param_groups:
            group["lr"] = a.learning_rate * rate_schedule(step / steps)
        with torch.autocast("cpu", torch.bfloat16):
            level = network(apply_symmetry(x, int(rng.integers(48))))
        loss = torch.nn.functional.mse_loss(level.float(), label)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen, mean = seen + len(x), mean + (float(loss.detach()) - mean) / min(step + 1, 50)
        if step % 20 == 19:
            print(
                f"{seen} maps, {time.time() - start:.0f} s, RMSE while training {mean**0.5:.3f}",
                flush=True,
            )
    save_network(
        a.out,
        network,
        {"maps": seen, "seconds": round(time.time() - start)},
        "published",
        half=False,
    )


if __name__ == "__main__":
    main()
