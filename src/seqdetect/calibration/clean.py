"""Which steps are no attack: what scores are calibrated on and detectors are trained on."""

from __future__ import annotations

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
    attacks = incidents[~is_benign(incidents["kind"])]
    row = {name: number for number, name in enumerate(names)}
    order = np.argsort(user, kind="stable")
    begin = np.searchsorted(user[order], np.arange(len(names) + 1))
    until = attacks["end"].to_numpy(np.int64) + AFTERMATH_S * MICROSECONDS
    spans = zip(attacks["user_id"].astype(str), attacks["start"].to_numpy(np.int64), until, strict=True)
    for name, first, last in spans:
        if name in row:
            mine = order[begin[row[name]] : begin[row[name] + 1]]
            clean[mine[(tick[mine] > first) & (tick[mine] <= last)]] = False
    return clean
