"""The band that a user's requests and tokens were expected in.

The bundle says for each step what it expected. How far off that usually is, is the user's own: of the calm steps at
hand (below warning, outside of alerts), one in twenty lay below the band and one in twenty above it, measured as the ratio of what came
to what was expected. It is drawn with hindsight, for people to look at; no alert depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS

LEAST_STEPS: Final = 20
"""With fewer calm steps, one in twenty would be nobody."""
OUTSIDE: Final = 0.05


def band(
    steps: NDArray[np.void], calm: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Lower and upper edge ``[n, 3]`` for ``STEP`` records ``[n]``, in requests and tokens; None where few are ``calm``."""
    if int(calm.sum()) < LEAST_STEPS:
        return None
    off = steps["volume"][calm].astype(np.float64) - steps["expected"][calm]
    low, high = np.quantile(off, [OUTSIDE, 1 - OUTSIDE], axis=0)
    expected = steps["expected"].astype(np.float64)
    return np.maximum(np.expm1(expected + low), 0), np.expm1(expected + high)


def calm(steps: NDArray[np.void], alerts: Iterable[Mapping[str, Any]]) -> NDArray[np.bool_]:
    """Which of ``steps`` [n] are below warning and outside of the user's ``alerts``."""
    quiet = steps["level"] == 0
    for one in alerts:
        since, until = _microseconds(one["start"]), one["end"] and _microseconds(one["end"])
        quiet &= (steps["tick"] <= since) | (steps["tick"] > (until or np.iinfo(np.int64).max))
    return np.asarray(quiet, np.bool_)


def _microseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * MICROSECONDS)
