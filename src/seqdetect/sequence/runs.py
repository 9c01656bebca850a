"""Runs of equal values, and what differs within the rows that requests fall into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def starts(values: NDArray[np.int64] | NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where a run of equal values starts."""
    first = np.ones(len(values), bool)
    first[1:] = values[1:] != values[:-1]
    return first


def distinct_values(
    value: NDArray[np.uint64], row: NDArray[np.int64], start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """How many different values other than 0 each row has; most rows have one, and only the others are sorted.

    ``value [n]`` and ``row [n]`` are the requests', ``start [rows]`` is the first request of each row.
    """
    distinct = np.minimum(np.add.reduceat(np.asarray(value != 0, np.int64), start), 1)
    other = value != value[start][row]
    if other.any():
        mixed = np.logical_or.reduceat(other, start)
        some = np.flatnonzero(mixed[row] & (value != 0))
        order = np.lexsort((value[some], row[some]))
        rows, values = row[some][order], value[some][order]
        changes = starts(rows) | starts(values.view(np.int64))
        distinct[mixed] = np.bincount(rows[changes], minlength=len(start))[mixed]
    return distinct
