"""Made-up requests of many users, as the scored steps that an alert book reads."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import REQUEST

SECOND = 1_000_000
MINUTE = 60 * SECOND
TICK = 10 * SECOND
NOON = 1_772_452_800 * SECOND
"""2026-03-02T12:00:00Z."""


def requests(
    start: int, end: int, each: int, users: range, rng: np.random.Generator, **fields: Any
) -> np.ndarray:
    """``each`` requests of every one of ``users`` in [start, end) microseconds; a user comes from a network of its own.

    ``fields`` are values, or arrays to draw from.
    """
    out = np.zeros(each * len(users), REQUEST)
    out["user"] = np.repeat(np.array(users), each)
    out["time"] = rng.integers(start, end, len(out))
    out["network"] = out["user"] + 1
    out["agent"] = 1 + out["user"] % 5
    out["endpoint"] = 1 + out["user"] % 3
    out["prompt"] = np.exp(rng.normal(6.0, 1.0, len(out)))
    out["completion"] = np.exp(rng.normal(5.0, 1.0, len(out)))
    for name, value in fields.items():
        out[name] = rng.choice(value, len(out)) if isinstance(value, list | range | np.ndarray) else value
    return out


def scored(batch: np.ndarray, length: int = TICK) -> Scored:
    """A step per user and tick (of ``length`` microseconds) of ``batch``, none of them hot."""
    batch = batch[np.lexsort((batch["time"], batch["user"]))]
    tick = batch["time"] // length * length + length
    pairs = np.unique(np.stack((tick, batch["user"].astype(np.int64))), axis=1)
    steps = pairs.shape[1]
    return Scored(
        pairs[1].astype(np.int32),
        [f"u{number}" for number in range(int(batch["user"].max(initial=-1)) + 1)],
        pairs[0],
        np.zeros(steps, np.float32),
        np.zeros(steps, np.int8),
        np.zeros((steps, 2), np.int64),
        requests=batch,
    )
