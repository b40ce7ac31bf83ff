"""Screening: the blocks at several stringencies, from one reading and one comparison.

Example::

    from chimerax.siren.core import ExampleParameters, Progress, SketchParameters, simulate
    from chimerax.siren.core.blocks.screening import prepare_screening

    example = simulate(ExampleParameters(volumes=100, box=32, voxel_size=10))
    loosest = SketchParameters(posp=0.05, resamples=0)
    screening = prepare_screening(example.ensemble(), example.levels, loosest, Progress())
    screening.at(0.001).blocks
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..common import constants
from ..common.errors import SirenError
from ..common.files import atomic_files
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .background import measure_background
from .blockset import BlockSet
from .parameters import SketchParameters
from .region import Mask
from .sketch import Comparison, SketchResult, compare, number_blocks, stability_in

TABLE_FILE, PICTURE_FILE = "screen.csv", "screen.png"


@dataclass(frozen=True)
class Setting:
    """The blocks at one stringency.

    Attributes
    ----------
    parameters : SketchParameters, with the ``posp`` and ``negp`` of the setting
    blocks : BlockSet with stability
    same_as : (blocks,) for each block, a number that it shares with the one at other settings that
        has a Jaccard index above 1/2
    seconds : what this setting cost, after counting
    """

    parameters: SketchParameters
    blocks: BlockSet
    same_as: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Screening:
    """A compared ensemble, ready for blocks at any stringency up to that of ``parameters``.

    Attributes
    ----------
    compared : Comparison
    halves : the same of random halves of the volumes, for stability
    parameters : SketchParameters with the loosest ``posp`` and ``negp``
    """

    compared: Comparison
    halves: tuple[Comparison, ...]
    parameters: SketchParameters

    def at(
        self,
        posp: float,
        negp: float | None = None,
        stable: bool = False,
        progress: Progress | None = None,
    ) -> SketchResult:
        """The blocks that ``siren sketch`` finds at a stringency.

        Parameters
        ----------
        posp, negp : as in SketchParameters, no looser than was counted; ``negp`` as counted where
            not given
        stable : also say how often each block comes back (of blocks of a sketch the same up to the
            draw of voxels)

        Raises
        ------
        SirenError
            If it is looser than what was counted.
        """
        progress = progress or Progress()
        parameters = replace(
            self.parameters, posp=posp, negp=self.parameters.negp if negp is None else negp
        )
        if parameters.posp > self.parameters.posp or parameters.negp > self.parameters.negp:
            raise SirenError(
                f"Pairs were counted up to posp {self.parameters.posp:g} and negp "
                f"{self.parameters.negp:g}: screen again with "
                "a looser setting among those listed."
            )
        blocks = self.compared.blocks(parameters, progress)
        numbered = number_blocks(self.compared.occupancy.grid, blocks, self.compared.sample)
        if stable and self.halves:
            numbered = replace(
                numbered, stability=stability_in(self.halves, blocks, parameters, progress)
            )
        return self.compared.result(numbered, parameters)


def prepare_screening(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    parameters: SketchParameters,
    progress: Progress,
    mask: Mask | None = None,
) -> Screening:
    """Read an ensemble and compare its voxels, for screening.

    Parameters
    ----------
    ensemble, levels : as :func:`.sketch.sketch`
    parameters : with the loosest ``posp`` and ``negp`` of interest

    Raises
    ------
    SirenError, Cancelled
        As :func:`.sketch.sketch`.
    """
    ensemble = ensemble.cached(constants.CACHE_BYTES)
    compared = compare(ensemble, levels, parameters, progress, mask)
    with progress.timed("stability"):
        blocks = compared.blocks(parameters, progress)
        halves: list[Comparison] = []
        if parameters.resamples:
            background = measure_background(ensemble, compared.occupancy, progress)
            halves = compared.halves(ensemble, background, blocks, parameters, progress)
    return Screening(compared, tuple(halves), parameters)


def screen(
    screening: Screening, posps: Sequence[float], negps: Sequence[float], progress: Progress
) -> list[Setting]:
    """The blocks at each pair of settings, strictest ``posp`` first."""
    settings: list[Setting] = []
    grid = [(posp, negp) for negp in sorted(set(negps)) for posp in sorted(set(posps))]
    for posp, negp in progress.each(grid, "screening", len(grid)):
        start = time.perf_counter()
        blocks = screening.at(posp, negp, True, progress.quiet()).blocks
        parameters = replace(screening.parameters, posp=posp, negp=negp)
        settings.append(
            Setting(parameters, blocks, _same_as(blocks, settings), time.perf_counter() - start)
        )
    return settings


def _same_as(blocks: BlockSet, earlier: list[Setting]) -> tuple[int, ...]:
    """Number each block as its match at an earlier setting, or anew."""
    known = {
        same: voxels for s in earlier for same, (_, voxels) in zip(s.same_as, s.blocks, strict=True)
    }
    numbers = []
    free = max(known, default=0)
    for _, voxels in blocks:
        match = next(
            (
                n
                for n, other in known.items()
                if 3 * len(np.intersect1d(voxels, other, True)) > len(voxels) + len(other)
            ),
            None,
        )  # the Jaccard index is above 1/2
        if match is None or match in numbers:
            match = free = free + 1
        numbers.append(match)
    return tuple(numbers)


def table(settings: Sequence[Setting]) -> pd.DataFrame:
    """The table screen.csv, one row per block and setting.

    Columns posp, negp, blocks (number found at the setting), block (the same at all settings),
    voxels, stability.
    """
    rows = []
    for s in settings:
        for same, (number, voxels) in zip(s.same_as, s.blocks, strict=True):
            rows.append(
                (
                    s.parameters.posp,
                    s.parameters.negp,
                    len(s.blocks),
                    same,
                    len(voxels),
                    s.blocks.stability.get(number, np.nan),
                )
            )
        if not len(s.blocks):
            rows.append((s.parameters.posp, s.parameters.negp, 0, pd.NA, 0, np.nan))
    return pd.DataFrame(rows, columns=["posp", "negp", "blocks", "block", "voxels", "stability"])


def write_screen(
    folder: Path, settings: Sequence[Setting], colors: Sequence[str]
) -> tuple[Path, Path]:
    """Write screen.csv and screen.png: blocks found, their sizes and stability against ``posp``.

    Parameters
    ----------
    folder : made where missing
    settings : from :func:`screen`
    colors : of the blocks, in turn
    """
    with atomic_files(folder / TABLE_FILE, folder / PICTURE_FILE) as (csv, picture):
        table(settings).to_csv(csv, index=False, lineterminator="\n")
        _picture(settings, colors, picture)
    return folder / TABLE_FILE, folder / PICTURE_FILE


def _picture(settings: Sequence[Setting], colors: Sequence[str], path: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6.4, 6.8), dpi=120, layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 1.4))
    negps = sorted({s.parameters.negp for s in settings})
    for style, negp in zip(("-", "--", ":", "-.") * len(negps), negps, strict=False):
        chosen = [s for s in settings if s.parameters.negp == negp]
        top.plot(
            [s.parameters.posp for s in chosen],
            [len(s.blocks) for s in chosen],
            f"k{style}",
            marker="o",
            markersize=4,
            label=f"negp {negp:g}",
        )
        for same in sorted({n for s in chosen for n in s.same_as}):
            found = [
                (s.parameters.posp, s.blocks, list(s.blocks.blocks)[s.same_as.index(same)])
                for s in chosen
                if same in s.same_as
            ]
            look = {
                "color": colors[(same - 1) % len(colors)],
                "linestyle": style,
                "marker": "o",
                "markersize": 4,
            }
            x = [posp for posp, _, _ in found]
            middle.plot(x, [len(blocks.blocks[n]) for _, blocks, n in found], **look)
            bottom.plot(x, [blocks.stability.get(n, np.nan) for _, blocks, n in found], **look)
    if len(negps) > 1:
        top.legend(frameon=False, fontsize="small")
    largest = max((len(v) for s in settings for _, v in s.blocks), default=1)
    for axes, label, limit in (
        (top, "blocks found", max(1, *(len(s.blocks) for s in settings))),
        (middle, "voxels of each block", largest),
        (bottom, "stability", 1.0),
    ):
        axes.set_ylabel(label)
        axes.set_ylim(-0.04 * limit, 1.08 * limit)
        axes.spines[["top", "right"]].set_visible(False)
    top.yaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.set_xscale("log")
    bottom.set_xlabel("posp (strict to the left, loose to the right)")
    figure.savefig(path, format="png", metadata={"Software": None})
