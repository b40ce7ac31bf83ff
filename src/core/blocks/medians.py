"""Medians of the columns of a table, again and again, while its values change a little.

Finding a median takes ten times as long as looking at each value once. So each column is given the
interval in which its median was, and some more: what lies below it is counted, and only what lies
within it is put in order. Where the median has left its interval, the column is put in order as a
whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress

Some = slice | NDArray[np.intp]  # columns of a table
# changes (t, c) values in place; the rows and columns that they are from, as indices
Formula = Callable[[NDArray[np.float64], slice, Some], object]
COUNTED = 255  # rows counted in bytes, which add up fastest
NARROWEST = 4  # an interval shrinks to this fraction of what it was at first


@dataclass
class Intervals:
    """Where the medians of n columns are expected.

    Attributes
    ----------
    middle : (n,) the last ones found
    reach : (n,) float64, on either side of it
    widest : (n,) the same of the first ones found
    """

    middle: NDArray[np.float64]
    reach: NDArray[np.float64]
    widest: NDArray[np.float64]


@dataclass(frozen=True)
class MovingMedians:
    """A table whose columns' medians are asked for again and again.

    Attributes
    ----------
    values : (m, n) float32
    intervals : of the columns, from the last time; None before the first
    """

    values: NDArray[np.float32]
    intervals: list[Intervals]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> MovingMedians:
        """Of a (m, n) table."""
        return cls(np.ascontiguousarray(values), [])

    def medians(self, formula: Formula, progress: Progress, phase: str) -> NDArray[np.float64]:
        """(n,) median of what a formula makes of each column: that of numpy.median, faster the
        nearer it is to the last.
        """
        count = self.values.shape[1]
        every = np.arange(count)
        if not self.intervals:
            result, reach = self._ordered(formula, every, progress, phase)
            self.intervals.append(Intervals(result, reach, reach))
            return result
        known = self.intervals[0]
        result = self._within(formula, known, progress, phase)
        lost = np.flatnonzero(np.isnan(result))
        moved = np.abs(result - known.middle)
        usual = float(np.median(moved[~np.isnan(moved)])) if len(lost) < count else np.inf
        reach = np.clip(4 * np.maximum(moved, usual), known.widest / NARROWEST, known.widest)
        if len(lost):
            result[lost], reach[lost] = self._ordered(formula, lost, progress, phase)
        self.intervals[0] = Intervals(result, reach, known.widest)
        return result

    def _ordered(
        self, formula: Formula, columns: NDArray[np.intp], progress: Progress, phase: str
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(c,) medians of some columns, and how far on either side some of the values next to it
        are.
        """
        rows = len(self.values)
        near = max(1, round(constants.NEAR_MEDIAN * rows))
        least, most = max(0, rows // 2 - near), min(rows - 1, rows // 2 + near)
        middle = [rows // 2 - 1, rows // 2] if rows % 2 == 0 else [rows // 2]
        result, reach = np.empty((2, len(columns)))
        step = max(1, constants.CACHED_VALUES // max(1, rows))
        for start in range(0, len(columns), step):
            progress.step(phase)
            part = slice(start, start + step)
            some = columns[part]
            made = self.values[:, some].astype(np.float64)
            formula(made, slice(None), some)
            made = np.ascontiguousarray(made.T)
            made.partition((least, *middle, most), axis=1)
            reach[part] = (made[:, most] - made[:, least]) / 2
            result[part] = (made[:, middle[0]] + made[:, middle[-1]]) / 2
        return result, reach

    def _within(
        self, formula: Formula, known: Intervals, progress: Progress, phase: str
    ) -> NDArray[np.float64]:
        """(n,) medians of the columns that have them in their intervals, NaN of the others."""
        rows, count = self.values.shape
        low, high = known.middle - known.reach, known.middle + known.reach
        below, found, columns = np.zeros(count, np.int64), [], []
        # where values are all the same, as in volumes without noise, they are counted, too
        tied, equal = known.reach == 0, np.zeros(count, np.int64)
        others = None if not tied.any() else ~tied
        step = max(1, min(rows, COUNTED, constants.CACHED_VALUES // max(1, count)))
        # the same memory for all: new memory costs more than what is done with it
        made, under, inside = (np.empty((step, count), kind) for kind in (np.float64, bool, bool))
        for start in range(0, rows, step):
            progress.step(phase)
            part = slice(start, min(start + step, rows))
            if part.stop - start < step:
                made, under, inside = (a[: part.stop - start] for a in (made, under, inside))
            np.copyto(made, self.values[part])
            formula(made, part, slice(None))
            np.less(made, low, out=under)
            np.less_equal(made, high, out=inside)
            inside ^= under
            below += np.add.reduce(under.view(np.uint8), axis=0, dtype=np.uint8)
            if others is not None:
                equal += np.add.reduce(inside.view(np.uint8), axis=0, dtype=np.uint8)
                inside &= others
            near = np.flatnonzero(inside)
            found.append(made.ravel().take(near))
            columns.append(near % count)
        value, column = np.concatenate(found), np.concatenate(columns)
        held = np.bincount(column, minlength=count)
        middle, even = rows // 2, rows % 2 == 0
        there = (below <= middle - even) & (middle < below + held)
        still = tied & (below <= middle - even) & (middle < below + equal)
        result = np.where(still, known.middle, np.nan)
        if not there.any():
            return result
        # what is within, after as many of -inf that the median has the same place in all columns
        place = int((middle - below)[there].max())
        before = np.where(there, place - (middle - below), 0)
        table = np.full((count, int((before + held)[there].max())), np.inf)
        table[np.arange(table.shape[1]) < before[:, None]] = -np.inf
        kept = np.flatnonzero(there[column])
        value, column = value[kept], column[kept]
        order = np.argsort(column.astype(np.min_scalar_type(count)), kind="stable")
        value, column = value[order], column[order]
        first = np.cumsum(np.where(there, held, 0)) - np.where(there, held, 0)
        table[column, before[column] + np.arange(len(column)) - first[column]] = value
        table = table[there]
        table.partition((place - 1, place) if even else place, axis=1)
        result[there] = (table[:, place - 1] + table[:, place]) / 2 if even else table[:, place]
        return result

    def again(self) -> MovingMedians:
        """The same table, to go on from here by itself."""
        return replace(self, intervals=[*self.intervals])

    def only_rows(self, rows: NDArray[np.integer]) -> MovingMedians:
        """Some rows of the table."""
        return MovingMedians(self.values[rows], [*self.intervals])

    def only_columns(self, columns: NDArray[np.integer]) -> MovingMedians:
        """Some columns of the table."""
        known = [
            Intervals(i.middle[columns], i.reach[columns], i.widest[columns])
            for i in self.intervals
        ]
        return MovingMedians(np.ascontiguousarray(self.values[:, columns]), known)


def median(values: NDArray[np.float32]) -> np.float32:
    """Median of (n,) finite values, in their precision."""
    middle = len(values) // 2
    parted = np.partition(values, middle)
    high = np.float32(parted[middle])
    return high if len(values) % 2 else np.float32((parted[:middle].max() + high) / 2)
