"""Accuracy on maps simulated from unseen structures and on real maps, and speed.

Run by ``make bench-thresholds``.

Example::

    python weights/training/evaluate.py ../shared/data --maps 320 --card weights/README.md
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import package  # noqa: F401  (puts src on the path)
from dataset import full_share, version
from decoder_maps import add_folders
from decoder_rows import decoder_rows
from numpy.typing import NDArray
from realmaps import Table, real_ensemble, real_maps
from rules import rules
from simulate import LEVELS, simulate
from speed import speed
from structures import read_library

from core.thresholds.features import network_input
from core.thresholds.network import default_weights, load_network
from core.thresholds.normalize import Range, denormalize_level, normalize_level, value_range
from core.thresholds.voxel_size import encode_voxel_size

BEGIN, END = "<!-- make bench-thresholds writes from here -->", "<!-- to here -->"
PUBLISHED, UNKNOWN = "the published architecture", "the same, voxel size unknown"  # rows
EARLIER = " (earlier run)"
CHUNK = 20


def _chunk(job: tuple[Path, int, int, int, Path]) -> Path:
    """Simulate some maps, with the levels of the rules, into a file that serves any weights."""
    structures, seed, first, count, path = job
    if path.exists():
        return path
    library = read_library(structures, "test")
    columns: dict[str, list[Any]] = {
        k: [] for k in ("above_background", "label", "full_label", "dice", "volume", "full")
    }
    facts = []
    for number in range(first, first + count):
        sample = simulate(library, np.random.default_rng([seed, number]))
        small, full = Range(*sample.scale), value_range(sample.raw, "simulated map")
        level = denormalize_level(sample.label, small)
        for key, value in (
            ("above_background", (sample.x + 1).astype(np.float16)),
            ("label", sample.label),
            ("dice", sample.dice),
            ("volume", sample.volume),
            ("full_label", normalize_level(level, full)),
            ("full", full_share(sample)),
        ):
            columns[key].append(value)
        facts.append(
            {
                "facts": sample.facts,
                "levels": {k: normalize_level(v, small) for k, v in rules(sample.raw).items()},
            }
        )
    temporary = path.with_name("." + path.name)
    with open(temporary, "wb") as file:
        np.savez(file, facts=json.dumps(facts), **{k: np.stack(v) for k, v in columns.items()})
    os.replace(temporary, path)
    return path


def test_maps(
    structures: Path, count: int, seed: int, processes: int, cache: Path
) -> list[dict[str, Any]]:
    """Simulate maps of the test split, or read them from the cache.

    Each is a dict of ``above_background`` (x + 1), ``label``, ``full_label``, ``dice``, ``volume``,
    ``full``, ``facts`` and the ``levels`` of the rules.
    """
    cache.mkdir(parents=True, exist_ok=True)
    sizes = [(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]
    jobs = [
        (
            structures,
            seed,
            first,
            size,
            cache / f"bench_{version()}_{structures.name}_{seed}_{first:05d}_{size}.npz",
        )
        for first, size in sizes
    ]
    samples: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for path in pool.imap(_chunk, jobs):
            with np.load(path) as z:
                content = {k: z[k] for k in z.files if k != "facts"}
                facts = json.loads(str(z["facts"]))
            samples += [{k: v[i] for k, v in content.items()} | f for i, f in enumerate(facts)]
    return samples


def score(level: NDArray[np.floating], samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Metrics of one row of the accuracy table."""
    label = np.array([s["label"] for s in samples])
    dice = np.array([np.interp(v, LEVELS, s["dice"]) for v, s in zip(level, samples, strict=True)])
    volume = np.array(
        [np.interp(v, LEVELS, s["volume"]) for v, s in zip(level, samples, strict=True)]
    )
    ratio = dice / np.array([np.max(s["dice"]) for s in samples])
    right = np.array(
        [np.interp(v, LEVELS, s["volume"]) for v, s in zip(label, samples, strict=True)]
    )
    off = np.maximum(volume / right, right / np.maximum(volume, 1e-9))
    # rules may give any level; a single outlier must not dominate the RMSE
    clipped = np.clip(level, -1.5, 1.5)
    return {
        "RMSE": float(np.sqrt(np.mean((clipped - label) ** 2))),
        "MAE": float(np.mean(np.abs(clipped - label))),
        "Dice ratio mean": float(ratio.mean()),
        "5th percentile": float(np.percentile(ratio, 5)),
        "worst": float(ratio.min()),
        "under 0.7": float(np.mean(ratio < 0.7)),
        "volume off by over 2x": float(np.mean(off > 2)),
        "ratio": ratio,
    }


METRICS = (
    "RMSE",
    "MAE",
    "Dice ratio mean",
    "5th percentile",
    "worst",
    "under 0.7",
    "volume off by over 2x",
)


def simulated(
    structures: Path,
    weights: Path,
    count: int,
    seed: int,
    processes: int,
    cache: Path,
    published: Path | None = None,
) -> str:
    """Tables for maps simulated from the test split; ``published`` are weights of published.py."""
    samples = test_maps(structures, count, seed, processes, cache)
    facts = [s["facts"] for s in samples]
    loaded = load_network(weights)
    outputs, without_scale = _outputs(loaded.network, samples)
    predicted = outputs[:, 0]
    rows = {"this network": predicted, UNKNOWN: without_scale[:, 0]}
    if published is not None:
        trained = load_network(published)
        name = (
            f"{PUBLISHED}, {trained.metadata['maps']:,} of the same maps, "
            f"{trained.metadata['seconds'] / 60:.0f} minutes"
        )
        rows[name] = _levels(trained.network, samples)
    if "median_label" in loaded.metadata:
        constant = float(loaded.metadata["median_label"])
        rows[f"constant median of the training labels ({constant:.3f})"] = np.full(count, constant)
    for name in samples[0]["levels"]:
        rows[name] = np.array([s["levels"][name] for s in samples])
    table = [["row", *METRICS]]
    for name, level in rows.items():
        metrics = score(level, samples)
        table.append([name, *(f"{metrics[k]:.3f}" for k in METRICS)])
    ours = score(predicted, samples)
    error = predicted - np.array([s["label"] for s in samples])
    text = [
        f"{count} maps of the {len(read_library(structures, 'test').paths)} structures of the "
        f"test split, seed {seed}.",
        "",
        markdown(table),
        "",
        "By kind of map:",
        "",
        _breakdown(facts, ours["ratio"], error),
        "",
        _labels(samples),
        "",
        _calibration(np.exp(outputs[:, 1]), np.abs(error)),
        "",
        "The six worst:",
        "",
    ]
    worst = [["map", "Dice ratio", "predicted", "label", "best Dice", "simulation"]]
    keys = ("box", "pixel", "resolution", "fraction", "noise", "mask", "micelle", "decoder")
    for i in np.argsort(ours["ratio"])[:6]:
        made = ", ".join(
            f"{k} {facts[i][k]:.3g}" if isinstance(facts[i][k], float) else f"{k} {facts[i][k]}"
            for k in keys
        )
        worst.append(
            [
                str(facts[i]["name"]),
                f"{ours['ratio'][i]:.3f}",
                f"{predicted[i]:.3f}",
                f"{samples[i]['label']:.3f}",
                f"{facts[i]['best_dice']:.3f}",
                made,
            ]
        )
    return "\n".join([*text, markdown(worst)])


def _outputs(
    network: Any, samples: list[dict[str, Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(n, 2) outputs of a network for maps with and without their voxel size.

    Maps cut around the molecule count as without.
    """
    import torch

    known, unknown = [], []
    with torch.inference_mode():
        for i in range(0, len(samples), 8):
            part = samples[i : i + 8]
            x = (
                torch.from_numpy(
                    np.stack([s["above_background"] for s in part]).astype(np.float32)
                )[:, None]
                - 1
            )
            made = [s["facts"] for s in part]
            scale = encode_voxel_size(
                [None if f["cut"] else f["pixel"] * f["box"] / 64 for f in made]
            )
            inputs = network_input(x, scale, [torch.from_numpy(s["full"]) for s in part])
            known.append(network.heads(*network.features(inputs)).numpy())
            unknown.append(
                network.heads(*network.features(inputs._replace(scale=0 * scale))).numpy()
            )
    return np.concatenate(known), np.concatenate(unknown)


def _levels(network: Any, samples: list[dict[str, Any]]) -> NDArray[np.float32]:
    """(n,) levels of a network whose only input are normalized maps."""
    import torch

    with torch.inference_mode():
        maps = (
            torch.from_numpy(s["above_background"].astype(np.float32) - 1)[None, None]
            for s in samples
        )
        return np.concatenate([network(x).numpy() for x in maps])


def _breakdown(
    facts: list[dict[str, Any]], ratio: NDArray[np.floating], error: NDArray[np.floating]
) -> str:
    table = [["maps", "count", "RMSE", "Dice ratio mean", "5th percentile", "worst"]]
    for name, chosen in _kinds(facts):
        if chosen.any():
            table.append(
                [
                    name,
                    str(chosen.sum()),
                    f"{np.sqrt(np.mean(error[chosen] ** 2)):.3f}",
                    f"{ratio[chosen].mean():.3f}",
                    f"{np.percentile(ratio[chosen], 5):.3f}",
                    f"{ratio[chosen].min():.3f}",
                ]
            )
    return markdown(table)


def _kinds(facts: list[dict[str, Any]]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    def of(key: str) -> NDArray[np.generic]:
        return np.array([f.get(key, 0) for f in facts])

    for low, high in ((2, 4), (4, 6), (6, 10), (10, 15), (15, 21)):
        yield f"resolution {low} to {high} A", (of("resolution") >= low) & (of("resolution") < high)
    for low, high in ((32, 63), (64, 64), (75, 100), (128, 200), (256, 400)):
        yield (
            f"box {low} to {high}" if low < high else f"box {low}",
            (of("box") >= low) & (of("box") <= high),
        )
    for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1)):
        yield (
            f"particle {low:g} to {high:g} of the box",
            (of("fraction") >= low) & (of("fraction") < high),
        )
    for mask in ("none", "soft", "tight", "sphere"):
        yield f"mask: {mask}", of("mask") == mask
    for low, high in ((0.01, 0.05), (0.05, 0.2), (0.2, 0.6)):
        yield f"noise {low:g} to {high:g} of the level", (of("noise") >= low) & (of("noise") < high)
    for belt in ("none", "micelle", "nanodisc"):
        yield f"lipid: {belt}", of("micelle") == belt
    yield "made as a decoder's (box 64)", of("decoder") == 1
    yield "parts absent", of("absent") > 0
    yield "parts blurred", of("blurred") == 1
    yield "cut around the molecule, not cubic", of("cut") == 1


def _labels(samples: list[dict[str, Any]]) -> str:
    points = [1, 5, 25, 50, 75, 95, 99]
    table = [["normalized levels, percentiles", *map(str, points)]]
    for name, key in (
        ("labels of these maps, by the 64^3 statistics", "label"),
        ("the same, by the full box's", "full_label"),
    ):
        table.append(
            [name, *(f"{v:.2f}" for v in np.percentile([s[key] for s in samples], points))]
        )
    table.append(
        [
            "EMDB authors' levels, by the full box's",
            "-0.96",
            "-0.87",
            "-0.73",
            "-0.62",
            "-0.48",
            "-0.26",
            "-0.08",
        ]
    )
    return markdown(table)


def _calibration(expected: NDArray[np.floating], error: NDArray[np.floating]) -> str:
    """Expected and actual errors, in quartiles of the expected ones."""
    order = np.array_split(np.argsort(expected), 4)
    table = [
        ["maps by expected error", "lowest quarter", "second", "third", "highest quarter"],
        ["expected absolute error", *(f"{expected[q].mean():.3f}" for q in order)],
        ["actual absolute error", *(f"{error[q].mean():.3f}" for q in order)],
    ]
    return markdown(table)


def markdown(table: Table) -> str:
    """A table in Markdown; its first row is the heading."""
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def into_card(card: Path, text: str) -> None:
    """Write the results between the two markers of the model card.

    The row of the published architecture is kept if this run has none.
    """
    content = card.read_text(encoding="utf-8")
    before, rest = content.split(BEGIN, 1)
    old, after = rest.split(END, 1)
    if f"| {PUBLISHED}" not in text:
        kept = [line for line in old.splitlines() if line.startswith(f"| {PUBLISHED}")]
        lines = text.splitlines()
        second = next(i for i, line in enumerate(lines) if line.startswith(f"| {UNKNOWN}"))
        text = "\n".join(
            [*lines[: second + 1], *(_earlier(row) for row in kept), *lines[second + 1 :]]
        )
    card.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _earlier(row: str) -> str:
    """A row of a table, with the note that it is of an earlier run."""
    first, rest = row[2:].split(" | ", 1)
    return f"| {first.removesuffix(EARLIER)}{EARLIER} | {rest}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data",
        type=Path,
        help="folder with structures/, and optionally real_maps/, real_ensemble/, ribosome_50S/",
    )
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--maps", type=int, default=320)
    parser.add_argument(
        "--seed",
        type=int,
        default=3,
        help="must differ from the seeds of training (1) and validation (2)",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    add_folders(parser)
    parser.add_argument(
        "--published",
        type=Path,
        default=None,
        help="weights from published.py, for a row of the table",
    )
    parser.add_argument(
        "--card", type=Path, default=None, help="model card to write the results into"
    )
    parser.add_argument("--no-speed", action="store_true")
    a = parser.parse_args()
    weights = a.weights or default_weights()
    parts = [
        "### Simulated maps",
        "",
        simulated(
            a.data / "structures", weights, a.maps, a.seed, a.processes, a.cache, a.published
        ),
    ]
    rows = decoder_rows(a.data, weights, a.cache, a.ensembles, a.processes)
    if len(rows) > 1:
        parts += ["", "### Volumes of decoders", "", markdown(rows)]
    else:
        print("no volumes of decoders: their ensembles cannot be made here", flush=True)
    if (a.data / "real_maps").is_dir():
        parts += ["", "### Real maps", "", markdown(real_maps(a.data / "real_maps", weights))]
    if (a.data / "real_ensemble").is_dir():
        parts += [
            "",
            "### Real ensemble (50S assembly intermediates)",
            "",
            markdown(real_ensemble(a.data, weights)),
        ]
    if not a.no_speed:
        parts += ["", "### Speed", "", speed(weights)]
    text = "\n".join(parts)
    print(text)
    if a.card:
        into_card(a.card, text)


if __name__ == "__main__":
    main()
