"""Which steps are no attack: what scores are calibrated on and detectors are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS
from seqdetect.incidents import is_benign

AFTERMATH_S: Final = 35 * 60
"""Time after an incident that is neither clean nor attack, as the measures have it."""


def clean_rows(
    user: NDArray[np.int32], tick: NDArray[np.int64], names: list[str], incidents: pd.DataFrame | None
) -> NDArray[np.bool_]:
    """[n] True for steps outside their user's labelled attacks and the time just after; benign kinds are clean.

    ``user`` [n] are rows of the key table ``names``, ``tick`` [n] the ticks' ends in microseconds.
    """
    clean = np.ones(len(tick), bool)
    if incidents is None or not len(incidents):
        return clean
    for _, rows in steps_during(user, tick, names, incidents[~is_benign(incidents["kind"])], AFTERMATH_S):
        clean[rows] = False
    return clean


def steps_during(
    user: NDArray[np.int32],
    tick: NDArray[np.int64],
    names: list[str],
    incidents: pd.DataFrame,
    grace_s: float,
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """For each incident row of a known user its number, and its user's steps in (start, end + ``grace_s``]."""
    row = {name: number for number, name in enumerate(names)}
    order = np.argsort(user, kind="stable")
    begin = np.searchsorted(user[order], np.arange(len(names) + 1))
    until = incidents["end"].to_numpy(np.int64) + round(grace_s * MICROSECONDS)
    spans = zip(incidents["user_id"].astype(str), incidents["start"].to_numpy(np.int64), until, strict=True)
    for number, (name, first, last) in enumerate(spans):
        if name in row:
            mine = order[begin[row[name]] : begin[row[name] + 1]]
            yield number, mine[(tick[mine] > first) & (tick[mine] <= last)]
