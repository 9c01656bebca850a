"""What a step is taken for: the name of the most probable kind, or that it is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNKNOWN: Final = "unknown"
SURE: Final = 0.5
"""A less probable name would be wrong more often than right, and send its reader to the wrong runbook."""


def named(kinds: Sequence[str], probability: NDArray[np.float32]) -> list[str]:
    """The most probable of ``kinds`` for each row of ``probability [n, K]``, ``UNKNOWN`` where none is sure."""
    best = probability.argmax(axis=1)
    sure = probability.max(axis=1) >= SURE
    return [kinds[place] if known else UNKNOWN for place, known in zip(best, sure, strict=True)]
