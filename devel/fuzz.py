"""Feed damaged and odd files to every reader, and look for anything but one sentence:

    .venv/bin/python devel/fuzz.py [--seed 0] [--inputs 20000] [READER ...]       (or: make fuzz)

Each input is a good file in which Hypothesis has changed something: a value of another type, size
or nesting, an odd key, a byte, the end. A reader gives a result, or a SirenError of one sentence.
It is wrong if it raises anything else, hangs, or takes more than SECONDS of CPU time, or more than
MEMORY beyond what it began with. Inputs are the same for the same seed. It ends with status 1, and
the smallest input found, if one is wrong.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.runs.steps import open_run, run_states
from fuzzing import maps, particles, runs, thresholds
from fuzzing.changes import changed_json, changed_table
from fuzzing.good import Good, Reader, make_good

SECONDS = 20.0  # of CPU time for one input
WAITING = 15  # times as many on the clock: something hangs, if the computer is not very busy
MEMORY = 1 << 30  # bytes beyond what the program takes with good files

#: Name -> reader, and how many of a hundred inputs it gets.
READERS: dict[str, tuple[Reader, int]] = {
    "run.json": (runs.in_run("run.json", changed_json, open_run, runs.parameters), 20),
    "blocks.json": (runs.in_run("blocks.json", changed_json, runs.blocks_alone, run_states), 20),
    "blocks.csv": (runs.in_run("blocks.csv", changed_table, open_run), 10),
    "states.csv": (runs.in_run("states.csv", changed_table, run_states), 10),
    "truth.json": (runs.truth, 6),
    "predictions": (thresholds.tables("predictions.csv"), 10),
    "labels": (thresholds.tables("labels.csv"), 10),
    "maps": (maps.volume, 8),
    "block maps": (maps.block_maps, 3),
    "weights": (thresholds.weights, 3),
    "pickles": (particles.pickles, 12),
    "particle files": (particles.particle_files, 8),
    "relations": (runs.in_run("states.csv", changed_table, runs.related), 3),
    "report": (runs.in_run("run.json", changed_json, runs.report), 4),
    "locate": (runs.in_run("run.json", changed_json, runs.found_again), 4),
    "labels and masks": (maps.labels_and_masks, 4),
    "latents": (particles.volume_latents, 6),
    "unfinished": (thresholds.unfinished, 4),
    "zips": (maps.zips, 4),
}


class TooLong(BaseException):
    """A reader took longer than SECONDS."""


def _alarm(signal_number: int, frame: Any) -> None:
    raise TooLong


def check(good: Good, reader: Reader, data: DataObject) -> None:
    """Give one input to a reader."""
    began = _memory()
    signal.setitimer(signal.ITIMER_PROF, SECONDS, 1)  # again: a callback may swallow it
    signal.setitimer(signal.ITIMER_REAL, WAITING * SECONDS, 1)
    try:
        with tempfile.TemporaryDirectory(dir=good.root) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(good, Path(folder), data)
    except TooLong:
        raise AssertionError(f"more than {SECONDS:g} s of CPU time, or it hangs") from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    took = _memory() - began
    assert took < MEMORY, f"{took / (1 << 20):,.0f} MB"


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fuzz(good: Good, name: str, inputs: int, chosen: int) -> None:
    """Give many inputs to a reader.

    Raises
    ------
    AssertionError, or what the reader raises
        At an input that is treated wrongly; Hypothesis names the smallest such input.
    """
    reader = READERS[name][0]
    if name == "weights":  # slow to import: not within the time of an input
        from chimerax.siren.core.thresholds.network import import_torch

        import_torch()
    for kind in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(kind, _alarm)

    @seed(chosen)
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def each(data: DataObject) -> None:
        check(good, reader, data)

    each()


def main() -> int:
    """Print a table of the readers."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(READERS)}; default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=20_000, help="in all")
    given = parser.parse_args()
    chosen = given.readers or list(READERS)
    share = sum(READERS[name][1] for name in chosen)
    bad, done, began = 0, 0, time.monotonic()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        good = make_good(Path(folder) / "good")
        for name in chosen:
            inputs = max(1, given.inputs * READERS[name][1] // share)
            start = time.monotonic()
            try:
                fuzz(good, name, inputs, given.seed)
                outcome = "fine"
            except Exception as error:
                import traceback

                traceback.print_exc()
                outcome = f"WRONG: {type(error).__name__} {str(error)[:200]}"
                bad += 1
            took = time.monotonic() - start
            done += inputs
            print(f"{name:12} {inputs:7,} inputs {took:7.1f} s  {outcome}", flush=True)
    rate = 3600 * done / (time.monotonic() - began)
    print(f"{done:,} inputs, {rate:,.0f} an hour, {bad} readers wrong (seed {given.seed})")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
