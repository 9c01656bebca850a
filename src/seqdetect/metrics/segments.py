"""Runs of consecutive flagged samples, and the checks every label-based measure starts with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def segments(flags: npt.ArrayLike) -> tuple[Ints, Ints]:
    """First index and one past the last index of every run of true values.

    >>> starts, stops = segments([0, 1, 1, 0, 1])
    >>> starts.tolist(), stops.tolist()
    ([1, 4], [3, 5])
    """
    edges = np.diff(np.asarray(flags, dtype=np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1).astype(np.int64), np.flatnonzero(edges == -1).astype(np.int64)


def checked_labels(labels: npt.ArrayLike) -> Bools:
    """``labels`` [time] as booleans.

    Raises ``ValueError`` unless they are 0/1 and hold both classes: with one class alone every measure here
    is undefined, and a number would end up in somebody's mean.
    """
    values = np.asarray(labels)
    if values.ndim != 1 or not np.isin(values, (0, 1)).all():
        raise ValueError("labels must be a vector of 0 and 1")
    flags = values.astype(np.bool_)
    if flags.all() or not flags.any():
        held = "anomalous" if flags.size and flags.all() else "normal"
        raise ValueError(f"all {flags.size} samples are {held}; the measure needs both classes")
    return flags


def checked_pair(labels: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Bools, Floats]:
    """Labels as booleans and score as floats, both [time].

    Raises ``ValueError`` for what ``checked_labels`` refuses, for different lengths and for scores that are
    not finite (a missing score has to be given a rank by the caller, who knows what it means).
    """
    flags = checked_labels(labels)
    values = np.asarray(score, dtype=np.float64)
    if values.shape != flags.shape:
        raise ValueError(f"labels have shape {flags.shape}, scores {values.shape}; they must be equal")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} scores are not finite; fill them first")
    return flags, values
