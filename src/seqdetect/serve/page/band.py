"""The band that a user's requests and tokens were expected in.

The bundle says for each step what it expected. How far off that usually is, is the user's own: of the calm steps at
hand (below warning), one in twenty lay below the band and one in twenty above it, measured as the ratio of what came
to what was expected. It is drawn with hindsight, for people to look at; no alert depends on it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEAST_STEPS: Final = 20
"""With fewer calm steps, one in twenty would be nobody."""
OUTSIDE: Final = 0.05


def band(steps: NDArray[np.void]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Lower and upper edge ``[n, 3]`` for ``STEP`` records ``[n]``, in requests and tokens; None for too few."""
    calm = steps[steps["level"] == 0]
    if len(calm) < LEAST_STEPS:
        return None
    off = calm["volume"].astype(np.float64) - calm["expected"]
    low, high = np.quantile(off, [OUTSIDE, 1 - OUTSIDE], axis=0)
    expected = steps["expected"].astype(np.float64)
    return np.maximum(np.expm1(expected + low), 0), np.expm1(expected + high)
