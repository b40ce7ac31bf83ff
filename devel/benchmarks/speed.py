"""Time and memory of sketch and expand: ``python devel/benchmarks/speed.py`` (``make
bench-speed``) writes ``speed.md`` beside it.

The volumes are those of ``siren example``, as files in a temporary folder; each run is a process of
its own, to measure its peak memory. ``--large`` adds 1,000 volumes of 128^3 and 300 of 256^3: 29 GB
of files, written and removed again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.level_harmonization import binarize_harmonized
from chimerax.siren.core.blocks.noise import measure_noise
from chimerax.siren.core.blocks.occupancy import variable_voxels
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sampling import draw_sample
from chimerax.siren.core.blocks.screening import prepare_screening
from chimerax.siren.core.blocks.similarity import similarity_graph
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.last_reading import forget
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.runs.estimates import Work, estimate
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds.parameters import PredictParameters

TABLE = Path(__file__).with_name("speed.md")
STATISTICS = ("profile", "exact", "published")
SETTINGS = (0.0001, 0.001, 0.005, 0.02)
LARGE = ("| 1,000 x 128^3", "| 300 x 256^3")  # rows kept from an earlier run with --large
S = (-0.3, 0.3)  # centers of the balls of a clean ensemble, in boxes
CASES = (
    ("noisy", 200, 64),
    ("clean", 200, 56),
    ("clean", 200, 64),
    ("one", 200, 64),
    ("graded", 200, 64),
    ("graded", 25, 64),
    ("random", 200, 32),
    ("noisy", 100, 128),
    ("clean", 100, 200),
    ("noisy", 10_000, 32),
    ("linked", 10_000, 64),
)
LINKED = 500  # files of their own of such an ensemble
DRAWS = 1000  # by the published tool, per pair of frequencies


# --- ensembles as files


def write_example(folder: Path, volumes: int, box: int) -> None:
    """Write simulated volumes and their true levels (levels.npy). For large boxes, the noise comes
    from a pool and is shifted for each volume: that takes minutes instead of hours.
    """
    scale = box / 64
    s = simulate(
        ExampleParameters(volumes=max(volumes, 20), box=box, voxel_size=5.0 / scale, seed=500)
    )
    grid = Grid((box,) * 3, (5.0 / scale,) * 3)
    folder.mkdir(parents=True, exist_ok=True)
    if box == 64:
        for i in range(volumes):
            write_map(folder / s.names[i], s.volume(i), grid, "speed")
    else:
        rng = np.random.default_rng(1)
        pool = [s.noise(i) for i in range(8)]
        for i in range(volumes):
            noise = np.roll(
                pool[rng.integers(len(pool))], tuple(rng.integers(box, size=3)), (0, 1, 2)
            )
            write_map(
                folder / s.names[i], (s.density(i) + noise) * np.float32(s.scale[i]), grid, "speed"
            )
    np.save(folder / "levels.npy", s.levels[:volumes])


def write_case(folder: Path, kind: str, volumes: int, box: int) -> None:
    """Write an ensemble of a kind that takes more memory or time than others may.

    ``noisy``: as :func:`write_example`. ``clean``: balls of density 1 around a core, in empty space,
    each in some volumes; all voxels of a ball are alike. ``one``: a core and a single such ball, as
    large as an eighth of the box. ``graded``: a ball of a size of its own in each volume, so that
    voxels are alike in shells. ``random``: voxels of their own, the whole box varies. ``linked``:
    as ``noisy``, but every 500 volumes are the same files again, which takes no more disk.
    """
    if kind == "linked":
        write_example(folder, LINKED, box)
        files, levels = sorted(folder.glob("*.mrc")), np.load(folder / "levels.npy")
        for v in range(LINKED, volumes):
            os.link(files[v % LINKED], folder / f"again_{v:05d}.mrc")
        again = [levels[v % LINKED] for v in range(LINKED, volumes)]
        # in natural order of the names
        np.save(folder / "levels.npy", np.concatenate([again, levels]))
        return
    if kind == "noisy":
        write_example(folder, volumes, box)
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng, grid = np.random.default_rng(7), Grid((box,) * 3, (320 / box,) * 3)
    axis = (np.arange(box) + 0.5) / box - 0.5
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)

    def ball(center: tuple[float, float, float], radius: float) -> NDArray[np.bool_]:
        a, b, c = center
        return np.asarray((z - a) ** 2 + (y - b) ** 2 + (x - c) ** 2 < radius**2)

    core, corners = ball((0, 0, 0), 0.2), [(a, b, c) for a in S for b in S for c in S]
    parts = [ball(c, 0.12) for c in corners] if kind == "clean" else [ball((0.2, 0, 0), 0.31)]
    there = rng.random((volumes, len(parts))) < rng.uniform(0.3, 0.7, len(parts))
    for v in range(volumes):
        array = core.astype(np.float32)
        if kind == "graded":
            array += ball((0, 0, 0), 0.25 + 0.2 * rng.random())
        elif kind == "random":
            array += rng.random(array.shape) < 0.3
        else:
            for part, present in zip(parts, there[v], strict=True):
                array[part] = max(present, 0)
            array[core] = 1
        write_map(folder / f"vol_{v:04d}.mrc", array, grid, "speed")
    np.save(folder / "levels.npy", np.full(volumes, 0.5))


# --- measurements, each in its own process


class Watched(Progress):
    """Measures the longest time between two checks for a stop: the longest wait for a user."""

    def __init__(self, say: Callable[[str], None]):
        super().__init__(say=say)
        self.longest, self.where, self._last_look, self._last_phase = (
            0.0,
            "",
            time.perf_counter(),
            "the start",
        )

    def step(self, phase: str, fraction: float = 0.0) -> None:
        super().step(phase, fraction)
        now = time.perf_counter()
        if now - self._last_look > self.longest:
            self.longest, self.where = now - self._last_look, f"{self._last_phase} to {phase}"
        self._last_look, self._last_phase = now, phase

    def quiet(self) -> Progress:
        return self


def run(folder: Path, statistic: str) -> dict[str, Any]:
    """Sketch and expand, from files to blocks."""
    with peak_memory() as used:
        found = timed_run(folder, statistic)
    return {**found, "memory": used[0]}


def timed_run(folder: Path, statistic: str, apart: bool = False) -> dict[str, Any]:
    """Seconds of sketch and expand, with what they found and said; ``apart``: as in two sessions."""
    levels = np.load(folder / "levels.npy")
    said: list[str] = []
    progress = Watched(said.append)
    start = time.perf_counter()
    ensemble = find_ensemble([folder], progress=progress)
    result = sketch(ensemble, levels, SketchParameters(statistic=statistic), progress)
    sketched = time.perf_counter()
    if apart:
        forget()
        ensemble = find_ensemble([folder])
    grown = expand_sketch(ensemble, result, progress=progress)
    end = time.perf_counter()
    return {
        "sketch": sketched - start,
        "expand": end - sketched,
        "union": len(result.union),
        "sample": len(result.sample),
        "blocks": len(grown.blocks),
        "said": said,
        "stop": progress.longest,
        "where": progress.where,
        **{k: round(v, 2) for k, v in progress.seconds.items()},
    }


def memory_case(folder: Path) -> dict[str, float]:
    """Memory and CPU time of sketch and expand, and what the panel says beforehand."""
    levels, ensemble = np.load(folder / "levels.npy"), find_ensemble([folder])
    volumes, grid = len(ensemble), ensemble.grid
    with peak_memory() as used:
        result = sketch(ensemble, levels, SketchParameters(), Progress())
    found: dict[str, float] = {"sketch": used[0], "sketch_s": used[1]}
    union, blocks = len(result.union), result.blocks
    work = Work("sketch", volumes, grid, occupied=union, block_voxels=blocks.voxel_count)
    steps = ["sketch"]
    if len(blocks):
        steps.append("expand")
        forget()  # as in another session: a shorter time, if it finds what the sketch has kept
        with peak_memory() as used:
            expand_sketch(ensemble, result)
        found |= {"expand": used[0], "expand_s": used[1]}
    for step in steps:
        said = estimate(replace(work, step=step))
        found |= {f"{step}_said": said.memory - constants.LIBRARY_BYTES}
        found |= {f"{step}_said_s": said.seconds}
    return found | {"union": union, "blocks": len(blocks)}


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """A list that holds, after the block, by how many bytes memory grew at most, and CPU seconds."""
    gc.collect()
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    reset.write_text("5")  # forget the peak so far; Linux only

    def held(word: str) -> float:
        line = next(s for s in status.read_text().splitlines() if s.startswith(word))
        return float(line.split()[1]) * 1024

    before, start, result = held("VmRSS"), time.process_time(), [0.0, 0.0]
    yield result
    result[:] = held("VmHWM") - before, time.process_time() - start


def ratios(folder: Path) -> dict[str, float]:
    """CPU seconds of one product of 4,735 x 500 by its transpose, of sketch and expand together, and
    of predict, in one process and on one core.
    """
    rows = (np.random.default_rng(0).random((4735, 500)) < 0.3).astype(np.float32)
    product = min(cpu_seconds(lambda: rows @ rows.T) for _ in range(5))
    blocks = cpu_seconds(lambda: timed_run(folder, "profile"))
    found = {"product": product, "blocks": blocks / product}
    forget()
    found["apart"] = cpu_seconds(lambda: timed_run(folder, "profile", apart=True)) / product
    try:
        from chimerax.siren.core.thresholds.predict import predict_levels

        ensemble, parameters = find_ensemble([folder]), PredictParameters(device="cpu")
        predict_levels(ensemble.select(include=list(ensemble.names[:8])), parameters)  # warm up
        found["predict"] = cpu_seconds(lambda: predict_levels(ensemble, parameters)) / product
    except SirenError:  # without torch
        found["predict"] = float("nan")
    return found


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def parts(folder: Path) -> dict[str, float]:
    """Time counting against one matrix product of its size, a further setting of a screening, and
    the published loops.
    """
    levels, ensemble = np.load(folder / "levels.npy"), find_ensemble([folder])
    occupancy, anchors = binarize_harmonized(ensemble, levels, False, 0.01, Progress())
    sample = draw_sample(variable_voxels(occupancy, 0.01), 2, 0)
    rows = occupancy.rows(sample)
    noise = measure_noise(anchors, occupancy.grid)
    product = best(lambda: rows @ rows.T)
    from chimerax.siren.core.compute.pair_tiles import product_counter, strips

    def counting() -> None:
        counter = product_counter(rows)
        for a, b in strips(len(rows), len(rows)):
            counter(rows[a:b], 0)

    counted, compared = (
        best(counting),
        best(lambda: similarity_graph(occupancy, sample, noise, 0.01, Progress()), 2),
    )
    half = np.sort(np.random.default_rng(0).choice(sample, len(sample) // 2, replace=False))
    smaller = best(lambda: similarity_graph(occupancy, half, noise, 0.01, Progress()), 2)
    screening = prepare_screening(ensemble, levels, SketchParameters(posp=0.05), Progress())
    settings = []
    for posp in SETTINGS:
        start = time.perf_counter()
        screening.at(posp)
        settings.append(time.perf_counter() - start)
    start = time.perf_counter()
    screening.at(0.01, stable=True)
    stable = time.perf_counter() - start
    return {
        "product": product,
        "counting": counted,
        "comparing": compared,
        "half": smaller,
        "setting": max(settings),
        "stable": stable,
        "published": published_loops(rows, occupancy.grid.points(sample)),
    }


def best(work: Callable[[], object], times: int = 3) -> float:
    """The shortest of several times, in seconds."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def published_loops(rows: NDArray[np.float32], points: NDArray[np.float64]) -> float:
    """Seconds of the two loops of the published sketch, from a re-implementation that is timed on a
    part of them and extrapolated.

    One loop draws 1,000 times for each pair of frequencies; the other visits each pair of voxels:
    counts, distance, cutoffs.
    """
    rng = np.random.default_rng(0)
    bits = rows.astype(bool)
    count, volumes = bits.shape
    frequency = bits.sum(axis=1)
    distinct = np.unique(frequency)
    some = [(int(a), int(b)) for a, b in rng.choice(distinct, (10, 2))]
    start = time.perf_counter()
    for f1, f2 in some:
        one, other = (np.arange(volumes) < f for f in (f1, f2))
        draws = [(rng.choice(one, volumes), rng.choice(other, volumes)) for _ in range(DRAWS)]
        np.percentile([int((a & b).sum()) for a, b in draws], 100)
        np.percentile([int((~a & ~b).sum()) for a, b in draws], 100)
    table = (time.perf_counter() - start) / len(some) * len(distinct) * (len(distinct) + 1) / 2
    pairs = rng.integers(count, size=(20_000, 2))
    cutoffs = {(int(a), int(b)): (0, 0) for a in distinct for b in distinct}
    start = time.perf_counter()
    for i, j in pairs:
        both, empty = int((bits[i] & bits[j]).sum()), int((~bits[i] & ~bits[j]).sum())
        distance = float(np.sqrt(((points[i] - points[j]) ** 2).sum()))
        factor = max(1.25, 0.02 * distance + 0.95) if distance < 40 else 1.75
        f1, f2 = int(frequency[i]), int(frequency[j])
        positive, negative = cutoffs[f1, f2]
        _ = both > min(factor * positive, f1, f2) and empty > min(negative, volumes - max(f1, f2))
    return table + (time.perf_counter() - start) / len(pairs) * count * (count - 1) / 2


# --- the table


def said_section(temporary: Path) -> str:
    """Memory and time of ensembles of many kinds, beside what the panel says beforehand."""
    found = []
    for kind, volumes, box in CASES:
        folder = temporary / "case"
        write_case(folder, kind, volumes, box)
        found.append((f"{kind}, {volumes} x {box}^3", in_process("--case", str(folder))))
        shutil.rmtree(folder)
        print(found[-1], flush=True)
    # the first is the measure of this computer, as the panel takes it from the steps before
    speed = found[0][1]["sketch_s"] / found[0][1]["sketch_said_s"]
    lines = []
    for name, f in found:
        cells = [f"{f['union']:,}", f"{f['blocks']}"]
        for step in ("sketch", "expand"):
            if step not in f:
                cells += ["-"] * 4
                continue
            memory, told = f[step] / 1e6, f[f"{step}_said"] / 1e6
            took, expected = f[f"{step}_s"], f[f"{step}_said_s"] * speed
            cells += [f"{memory:,.0f} of {told:,.0f}", f"{memory / told:.2f}"]
            cells += [f"{took:.1f} of {expected:.1f}", f"{took / expected:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return SAID.format(rows="\n".join(lines), speed=speed)


def ratio_section(folder: Path) -> str:
    """CPU times relative to a matrix product."""
    found = in_process("--ratios", str(folder))
    print(found, flush=True)
    return RATIOS.format(**found)


def replace_section(text: str, section: str) -> str:
    """The page with the section of the same heading replaced, or with one more."""
    heading = section.partition("\n")[0]
    before, there, after = text.partition(heading)
    rest = after.partition("\n## ")
    tail = "\n## " + rest[2] if there and rest[1] else ""
    return before.rstrip() + "\n\n" + section.strip() + "\n" + tail


def in_process(*arguments: str) -> dict[str, Any]:
    """Run this file with these arguments; the last line that it prints."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        if arguments[0] in ("--ratios", "--case")
        else None,
    )
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, found: Mapping[str, Any]) -> str:
    """A row of the first table."""
    return (
        f"| {name} | {found['union']:,} | {found['sample']:,} | {found['sketch']:.1f} | "
        f"{found['expand']:.1f} | "
        f"**{found['sketch'] + found['expand']:.1f}** | {found['memory'] / 2**30:.2f} | "
        f"{found['blocks']} | "
        f"{found['stop']:.2f} ({found['where']}) |"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, print progress, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--large", action="store_true", help="add 1,000 volumes of 128^3 and 300 of 256^3"
    )
    parser.add_argument("--folder", type=Path, help="where the volumes are written")
    parser.add_argument(
        "--one", nargs=2, metavar=("FOLDER", "STATISTIC"), help="measure one run and print it"
    )
    parser.add_argument(
        "--parts", metavar="FOLDER", type=Path, help="measure the parts and print them"
    )
    parser.add_argument(
        "--case", metavar="FOLDER", type=Path, help="measure one row of the memory and print it"
    )
    parser.add_argument("--ratios", metavar="FOLDER", type=Path, help="measure and print them")
    parser.add_argument(
        "--only", choices=("said", "ratios"), help="measure and replace one section of the page"
    )
    options = parser.parse_args(arguments)
    if options.ratios:
        print(json.dumps(ratios(options.ratios)))
        return 0
    if options.only:
        with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
            if options.only == "said":
                section = said_section(Path(temporary))
            else:
                write_example(Path(temporary) / "500", 500, 64)
                section = ratio_section(Path(temporary) / "500")
        page = replace_section(TABLE.read_text(encoding="utf-8"), section)
        TABLE.write_text(page, encoding="utf-8")
        return 0
    if options.case:
        print(json.dumps(memory_case(options.case)))
        return 0
    if options.one or options.parts:
        print(
            json.dumps(
                run(Path(options.one[0]), options.one[1]) if options.one else parts(options.parts)
            )
        )
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary) / "500"
        write_example(folder, 500, 64)
        load = os.getloadavg()[0]
        lines = [row(f"500 x 64^3, {s}", in_process("--one", str(folder), s)) for s in STATISTICS]
        print("\n".join(lines), flush=True)
        part = in_process("--parts", str(folder))
        print(part, flush=True)
        sketched = in_process("--one", str(folder), "profile")["sketch"]
        sections = [ratio_section(folder), said_section(Path(temporary))]
        notes: list[str] = []
        if not options.large and TABLE.exists():
            kept = TABLE.read_text(encoding="utf-8").splitlines()
            lines += [f"{r} - |" if r.count("|") == 9 else r for r in kept if r.startswith(LARGE)]
            notes = [r[2:] for r in kept if r.startswith(tuple(f"- {name[2:]}" for name in LARGE))]
        for volumes, box in ((1000, 128), (300, 256)) if options.large else ():
            folder = Path(temporary) / str(box)
            write_example(folder, volumes, box)
            found = in_process("--one", str(folder), "profile")
            lines.append(row(f"{volumes:,} x {box}^3, profile", found))
            notes += [f"{volumes:,} x {box}^3, estimate: {sentence}" for sentence in found["said"]]
            print(lines[-1], notes, flush=True)
            for path in folder.iterdir():
                path.unlink()
    TABLE.write_text(
        TEXT.format(
            machine=platform.platform(),
            cores=os.cpu_count(),
            load=load,
            rows="\n".join(lines),
            notes="\n".join(f"- {n}" for n in notes),
            ratio=part["counting"] / part["product"],
            compared=part["comparing"] / part["product"],
            growth=part["comparing"] / part["half"],
            published=part["published"],
            times=part["published"] / sketched,
            command="python devel/benchmarks/speed.py" + " --large" * options.large,
            **{k: part[k] for k in ("product", "counting", "comparing", "setting", "stable")},
        )
        + "\n"
        + "\n\n".join(section.strip() for section in sections)
        + "\n",
        encoding="utf-8",
    )
    return 0


RATIOS = """## In products of matrices

CPU seconds relative to one float32 product of 4,735 x 500 by its transpose ({product:.3f} s), 500 x 64^3, reading included, in one process
on one core. An expansion after its sketch in the same session finds what the sketch made of the volumes; in another session it reads them itself:

| step | products |
|---|---|
| sketch and expand together | {blocks:.1f} |
| the same, expand in another session | {apart:.1f} |
| predict | {predict:.0f} |
"""

SAID = """## Memory and time against what was said

Peak memory on top of the interpreter and CPU seconds, each "of" what the panel says beforehand for as many voxels that vary, and their ratio.
Times are those of the reference machine, times {speed:.2f}: what the first row took here. `clean`: sharp parts in empty space, all voxels of a part alike;
`one`: a single such part; `graded`: a ball of another size in each volume; `random`: the whole box varies by chance; `linked`: every 500 volumes are the same files again. The time of clean volumes
is overestimated, since beforehand nobody knows that they are. Expansions read the volumes themselves, as in a session of their own. Their memory is
on top of what the sketch before them had freed, and so may be 0.

| ensemble | voxels that vary | blocks | sketch, MB | ratio | s | ratio | expand, MB | ratio | s | ratio |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""

TEXT = """# Speed

Made by `{command}` (`make bench-speed`) on {machine}, {cores} cores, load {load:.1f} before the start. Seconds are from files to blocks in
memory, including reading and stability (10 halves); GiB is the peak memory on top of the interpreter.

| ensemble, statistic | union voxels | compared | sketch, s | expand, s | both, s | GiB | blocks | longest wait for a stop, s (between) |
|---|---|---|---|---|---|---|---|---|
{rows}

{notes}

The large ensembles are measured only with `--large`; without it, their rows are kept from an earlier run.

Parts, 500 x 64^3, in one process:

| part | s |
|---|---|
| one float32 matrix product of the same size | {product:.2f} |
| counting, in strips | {counting:.2f} ({ratio:.2f} x the product) |
| comparing voxels: counting, phi, noise, strongest partners, exact test | {comparing:.2f} ({compared:.1f} x the product) |
| the same with half the voxels | {growth:.1f} times faster (quadratic growth: 4) |
| screening: each further setting | {setting:.2f} |
| screening: the same, with the stability of its blocks | {stable:.2f} |
| the loops of the published sketch | {published:,.0f}: {times:,.0f} times our sketch |

The published loops are re-implemented in plain Python, timed on 20,000 pairs of voxels and 10 pairs of frequencies, and extrapolated
to all pairs.
"""

if __name__ == "__main__":
    sys.exit(main())
