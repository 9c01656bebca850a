"""The last steps of a user, kept in the state for detectors that need to see a whole window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector.graph import Graph, Value


def last_steps(graph: Graph, name: str, values: Value, width: int, steps: int) -> tuple[Value, Value]:
    """The last ``steps`` rows of each user, oldest first, present step included, and their mask.

    Returns ``[n, steps * width]`` and ``[n, steps]``: 1 where a step is there, 0 where the window is still short.
    """
    rows = graph.state(f"{name}_rows", np.zeros((steps - 1) * width))
    mask = graph.state(f"{name}_mask", np.zeros(steps - 1))
    window = graph.concat(rows, values)
    present = graph.concat(mask, values.columns(0, 1) * 0.0 + 1.0)
    graph.update(f"{name}_rows", window.columns(width, steps * width))
    graph.update(f"{name}_mask", present.columns(1, steps))
    return window, present


def windows(
    values: NDArray[np.float32], user: NDArray[np.int32], steps: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For every row, the rows of its window: indices ``[n, steps]`` and mask, oldest first.

    ``values`` are in tick order; the window of a row holds the same user's last steps. Masked entries point at
    row 0 and must be set to zero by the caller.
    """
    order = np.argsort(user, kind="stable")
    position = np.empty(len(user), np.int64)
    sorted_user = user[order]
    begin = np.searchsorted(sorted_user, sorted_user, side="left")
    back = np.arange(steps)[::-1]
    place = np.arange(len(user))[:, None] - back[None, :]
    valid = place >= begin[:, None]
    index = np.where(valid, order[np.maximum(place, 0)], 0)
    position[order] = np.arange(len(user))
    return index[position], valid[position]
