"""The same step function over events of the past: what training, calibration and reports read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seqdetect.score.stepper import Stepper
from seqdetect.sequence.stream import History


def replay(
    history: History,
    stepper: Stepper,
    features: NDArray[np.float32],
    name: str,
    progress: Callable[[int], None] = lambda rows: None,
) -> NDArray[np.float32]:
    """Run ``stepper`` over all of ``history``; output ``name`` of every step, ``[n, width]``.

    ``features [n, F]`` are the history's own, missing values filled; ``progress`` is told rows done.
    """
    out: NDArray[np.float32] | None = None
    users = history.steps.user
    for rows, population in history.each_tick():
        result = stepper.step(users[rows], features[rows], population)[name]
        if out is None:
            out = np.empty((len(history.steps), result.shape[1]), np.float32)
        out[rows] = result
        progress(rows.stop)
    return out if out is not None else np.zeros((0, 1), np.float32)
