"""Medians of the rows of a table, again and again, while its values change a little.

Finding a median takes several times as long where values are in no order as where they are nearly
sorted. So rows are sorted once, and what is then made of them is nearly sorted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants

# (t, m) values, (t, m) columns that they are from, rows -> (t, m) float64
Formula = Callable[[NDArray[np.float32], NDArray[np.integer], slice], NDArray[np.float64]]


@dataclass(frozen=True)
class SortedRows:
    """Rows in the order of what a formula made of them.

    Attributes
    ----------
    values : (n, m) float32, each row sorted
    columns : (n, m) integers, the column that each value is from
    """

    values: NDArray[np.float32]
    columns: NDArray[np.integer]

    @classmethod
    def by(cls, values: NDArray[np.float32], formula: Formula) -> SortedRows:
        """Sort the rows of a (n, m) table by a formula."""
        count = values.shape[1]
        columns: NDArray[np.integer] = np.empty(values.shape, np.min_scalar_type(count))
        ordered = np.empty_like(values, order="C")
        for rows in _tiles(*values.shape):
            own = values[rows]
            every = np.broadcast_to(np.arange(count), own.shape)
            order = np.argsort(formula(own, every, rows), axis=1)
            ordered[rows], columns[rows] = np.take_along_axis(own, order, axis=1), order
        return cls(ordered, columns)

    def medians(self, formula: Formula) -> NDArray[np.float64]:
        """(n,) median of what a formula makes of each row: that of numpy.median, faster the nearer
        it is to ascending.
        """
        result = np.empty(len(self.values))
        for rows in _tiles(*self.values.shape):
            made = formula(self.values[rows], self.columns[rows].astype(np.intp), rows)
            result[rows] = row_medians(made)
        return result

    def only_rows(self, rows: NDArray[np.integer]) -> SortedRows:
        """Some rows of the table."""
        return SortedRows(self.values[rows], self.columns[rows])

    def only_columns(self, wanted: NDArray[np.bool_]) -> SortedRows:
        """Some columns, (m,); those left keep their numbers."""
        if wanted.all():
            return self
        chosen = wanted[self.columns]
        shape = (len(self.values), -1)
        return SortedRows(self.values[chosen].reshape(shape), self.columns[chosen].reshape(shape))


def median(values: NDArray[np.float32]) -> np.float32:
    """Median of (n,) finite values, in their precision."""
    middle = len(values) // 2
    parted = np.partition(values, middle)
    high = np.float32(parted[middle])
    return high if len(values) % 2 else np.float32((parted[:middle].max() + high) / 2)


def row_medians(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n,) median of each row of (n, m) finite values, which are reordered: numpy.median without
    its search for NaN.
    """
    middle = values.shape[1] // 2
    values.partition(middle, axis=1)
    high = values[:, middle].astype(np.float64)
    if values.shape[1] % 2:
        return high
    return (values[:, :middle].max(axis=1) + high) / 2


def _tiles(rows: int, columns: int) -> list[slice]:
    """Slices of so many rows that they stay in the cache of a processor."""
    height = max(1, constants.CACHED_VALUES // max(1, columns))
    return [slice(start, start + height) for start in range(0, rows, height)]
