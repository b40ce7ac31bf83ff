"""Medians of the columns of a table, again and again, while its values change a little.

Finding a median takes ten times as long as looking at each value once. So each column is given the
interval in which its median was, and some more: what lies below it is counted, and only what lies
within it is put in order. Where the median has left its interval, the column is put in order as a
whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress

Some = slice | NDArray[np.intp]  # rows or columns of a table
COUNTED = 255  # rows counted in bytes, which add up fastest
NARROWEST = 4  # an interval shrinks to this fraction of what it was at first
# of a change worked out in single precision: relative error, with a margin; and the magnitudes of
# values and factors for which that holds
SINGLE_ERROR, LEAST, MOST = 8 * 2.0**-24, 1e-15, 1e15
UNDERFLOW = 1e-28  # absolute error, of smaller values


@dataclass(frozen=True)
class Change:
    """What is made of a table's values: (value - rows * columns) / divisor.

    Attributes
    ----------
    rows : (m,) float64 or None for 1; with both None nothing is subtracted
    columns : (n,) float64 or None for 1
    divisor : (m,) float64, of each row, or None for 1
    """

    rows: NDArray[np.float64] | None = None
    columns: NDArray[np.float64] | None = None
    divisor: NDArray[np.float64] | None = None

    def of(
        self, values: NDArray[np.float32], rows: Some, columns: Some | None = None
    ) -> NDArray[np.float64]:
        """Of (t, c) values of these rows and columns, all if not given."""
        made = values.astype(np.float64)
        every = slice(None) if columns is None else columns
        if self.rows is not None and self.columns is not None:
            made -= np.multiply.outer(self.rows[rows], self.columns[every])
        elif self.rows is not None:
            made -= self.rows[rows, None]
        elif self.columns is not None:
            made -= self.columns[every]
        if self.divisor is not None:
            made /= self.divisor[rows, None]
        return made

    def of_each(
        self, values: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Of (k,) values, each of a row and a column: the same, to the last bit."""
        made = values.astype(np.float64)
        if self.rows is not None and self.columns is not None:
            made -= self.rows.take(rows) * self.columns.take(columns)
        elif self.rows is not None:
            made -= self.rows.take(rows)
        elif self.columns is not None:
            made -= self.columns.take(columns)
        if self.divisor is not None:
            made /= self.divisor.take(rows)
        return made


@dataclass(frozen=True)
class _Single:
    """A change in single precision, which takes half the time.

    Attributes
    ----------
    rows, columns, factor : as of :class:`Change`; the last is multiplied with
    error : (n,) by how much a result may be off, besides SINGLE_ERROR of itself
    """

    rows: NDArray[np.float32] | None
    columns: NDArray[np.float32] | None
    factor: NDArray[np.float32] | None
    error: NDArray[np.float64]

    @classmethod
    def of(cls, change: Change, columns: int, largest: float) -> _Single | None:
        """None where it would not be precise enough.

        Parameters
        ----------
        columns : n
        largest : of the values, without their signs
        """
        parts = [np.abs(p) for p in (change.rows, change.columns) if p is not None]
        most = [largest, *(float(p.max(initial=0)) for p in parts)]
        shift = change.rows if change.rows is not None else np.zeros(1)
        if change.rows is None and change.columns is not None:
            shift = np.ones(1)
        factor = None
        if change.divisor is not None:
            divisor = np.abs(change.divisor)
            most += [float(divisor.max(initial=1)), 1 / max(float(divisor.min(initial=1)), 1e-300)]
            factor = (1 / change.divisor).astype(np.float32) if max(most) <= MOST else None
            shift = shift / divisor
        if not max(most) <= MOST:  # nor not a number
            return None
        off = float(np.abs(shift).max(initial=0)) * SINGLE_ERROR
        by_column = np.ones(columns) if change.columns is None else np.abs(change.columns)
        rows, every = (
            None if p is None else p.astype(np.float32) for p in (change.rows, change.columns)
        )
        return cls(rows, every, factor, off * by_column + UNDERFLOW)

    def into(self, made: NDArray[np.float32], values: NDArray[np.float32], rows: slice) -> None:
        """What is made of (t, n) values of some rows."""
        if self.rows is not None and self.columns is not None:
            np.multiply(self.rows[rows, None], self.columns, out=made)
            np.subtract(values, made, out=made)
        elif self.rows is not None:
            np.subtract(values, self.rows[rows, None], out=made)
        elif self.columns is not None:
            np.subtract(values, self.columns, out=made)
        else:
            np.copyto(made, values)
        if self.factor is not None:
            made *= self.factor[rows, None]


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
    largest : of the values, without their signs
    """

    values: NDArray[np.float32]
    intervals: list[Intervals]
    largest: float = field(default=0.0)

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> MovingMedians:
        """Of a (m, n) table."""
        largest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
        return cls(np.ascontiguousarray(values), [], largest)

    def medians(self, change: Change, progress: Progress, phase: str) -> NDArray[np.float64]:
        """(n,) median of what a change makes of each column: that of numpy.median, faster the
        nearer it is to the last.
        """
        count = self.values.shape[1]
        every = np.arange(count)
        if not self.intervals:
            result, reach = self._ordered(change, every, progress, phase)
            self.intervals.append(Intervals(result, reach, reach))
            return result
        known = self.intervals[0]
        result = self._within(change, known, progress, phase)
        lost = np.flatnonzero(np.isnan(result))
        moved = np.abs(result - known.middle)
        usual = float(np.median(moved[~np.isnan(moved)])) if len(lost) < count else np.inf
        reach = np.clip(4 * np.maximum(moved, usual), known.widest / NARROWEST, known.widest)
        if len(lost):
            result[lost], reach[lost] = self._ordered(change, lost, progress, phase)
        self.intervals[0] = Intervals(result, reach, known.widest)
        return result

    def _ordered(
        self, change: Change, columns: NDArray[np.intp], progress: Progress, phase: str
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
            made = np.ascontiguousarray(change.of(self.values[:, some], slice(None), some).T)
            made.partition((least, *middle, most), axis=1)
            reach[part] = (made[:, most] - made[:, least]) / 2
            result[part] = (made[:, middle[0]] + made[:, middle[-1]]) / 2
        return result, reach

    def _within(
        self, change: Change, known: Intervals, progress: Progress, phase: str
    ) -> NDArray[np.float64]:
        """(n,) medians of the columns that have them in their intervals, NaN of the others."""
        rows, count = self.values.shape
        low, high = known.middle - known.reach, known.middle + known.reach
        # where values are all the same, as in volumes without noise, they are counted, too
        tied = known.reach == 0
        if tied.any():
            found = self._counted(change, low, high, tied, progress, phase)
        else:
            found = self._counted_in_single(change, low, high, progress, phase)
        below, equal, value, column = found
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

    def _counted(
        self,
        change: Change,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        tied: NDArray[np.bool_],
        progress: Progress,
        phase: str,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """(n,) values below each interval, and equal to it where it is ``tied``; of the others
        those within, and their columns: (k,), (k,).
        """
        rows, count = self.values.shape
        below, equal = np.zeros((2, count), np.int64)
        values, columns = [np.empty(0)], [np.empty(0, np.intp)]
        step = max(1, min(rows, COUNTED, constants.CACHED_VALUES // max(1, count)))
        for start in range(0, rows, step):
            progress.step(phase)
            part = slice(start, start + step)
            made = change.of(self.values[part], part)
            under = made < low
            inside = (made <= high) ^ under
            below += np.add.reduce(under.view(np.uint8), axis=0, dtype=np.uint8)
            equal += np.add.reduce(inside.view(np.uint8), axis=0, dtype=np.uint8)
            inside &= ~tied
            near = np.flatnonzero(inside)
            values.append(made.ravel().take(near))
            columns.append(near % count)
        return below, equal, np.concatenate(values), np.concatenate(columns)

    def _counted_in_single(
        self,
        change: Change,
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        progress: Progress,
        phase: str,
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """:meth:`_counted`, where none is tied: in single precision, but for what may be within."""
        rows, count = self.values.shape
        single = _Single.of(change, count, self.largest)
        if single is None:
            return self._counted(change, low, high, np.zeros(count, bool), progress, phase)
        margin = single.error + SINGLE_ERROR * np.maximum(np.abs(low), np.abs(high))
        least, most = (low - margin).astype(np.float32), (high + margin).astype(np.float32)
        below, found = np.zeros(count, np.int64), [np.empty(0, np.intp)]
        step = max(1, min(rows, COUNTED, 2 * constants.CACHED_VALUES // max(1, count)))
        # the same memory for all: new memory costs more than what is done with it
        made, under, inside = (np.empty((step, count), kind) for kind in (np.float32, bool, bool))
        for start in range(0, rows, step):
            progress.step(phase)
            part = slice(start, min(start + step, rows))
            if part.stop - start < step:
                made, under, inside = (a[: part.stop - start] for a in (made, under, inside))
            single.into(made, self.values[part], part)
            np.less(made, least, out=under)
            np.less_equal(made, most, out=inside)
            inside ^= under
            below += np.add.reduce(under.view(np.uint8), axis=0, dtype=np.uint8)
            near = np.flatnonzero(inside)
            near += start * count
            found.append(near)
        near = np.concatenate(found)
        row, column = np.divmod(near, count)
        value = change.of_each(self.values.ravel().take(near), row, column)
        under = value < low.take(column)
        below += np.bincount(column[under], minlength=count)
        kept = np.flatnonzero(~under & (value <= high.take(column)))
        return below, np.zeros(count, np.int64), value[kept], column[kept]

    def again(self) -> MovingMedians:
        """The same table, to go on from here by itself."""
        return replace(self, intervals=[*self.intervals])

    def only_rows(self, rows: NDArray[np.integer]) -> MovingMedians:
        """Some rows of the table."""
        return MovingMedians(self.values[rows], [*self.intervals], self.largest)

    def only_columns(self, columns: NDArray[np.integer]) -> MovingMedians:
        """Some columns of the table."""
        known = [
            Intervals(i.middle[columns], i.reach[columns], i.widest[columns])
            for i in self.intervals
        ]
        values = np.ascontiguousarray(self.values[:, columns])
        return MovingMedians(values, known, self.largest)


def median(values: NDArray[np.float32]) -> np.float32:
    """Median of (n,) finite values, in their precision."""
    middle = len(values) // 2
    parted = np.partition(values, middle)
    high = np.float32(parted[middle])
    return high if len(values) % 2 else np.float32((parted[:middle].max() + high) / 2)
