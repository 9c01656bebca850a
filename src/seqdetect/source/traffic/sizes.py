"""How many requests each user sends over the whole span: a heavy tail, cut before one user is the service."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LARGEST_SHARE = 0.12
"""No user holds more of the expected traffic than this (twice the equal share where users are few)."""

FEWEST_A_DAY = 20.0
"""Expected requests per day of the smallest users: with fewer there is no behaviour to learn."""


def volumes(
    active_share: Floats, log_rate_sd: float, mean_rate: float, days: float, rng: np.random.Generator
) -> Floats:
    """Expected requests [user] over ``days``; they add up to ``mean_rate`` (requests/s) for the average user.

    A user's weight is a lognormal rate while active times the share of time it is active; the two are
    independent in the ServeGen table (Spearman .03, 95 clients).
    """
    users = active_share.size
    weight = active_share * rng.lognormal(0.0, log_rate_sd, users)
    total = mean_rate * 86_400 * days * users
    fewest = min(max(FEWEST_A_DAY * days, FEWEST_A_DAY), total / users)
    return between(weight / weight.sum() * total, fewest, max(LARGEST_SHARE, 2 / users) * total)


def between(volume: Floats, fewest: float, most: float) -> Floats:
    """``volume`` with every entry in ``[fewest, most]`` and its sum kept; the others are scaled alike."""
    total = volume.sum()
    low, high = 0.0, float(most / volume.min())
    # The sum of the clipped, scaled volumes rises with the scale, so halving finds the scale that keeps it.
    for _ in range(100):
        scale = (low + high) / 2
        if np.clip(scale * volume, fewest, most).sum() < total:
            low = scale
        else:
            high = scale
    return np.asarray(np.clip(high * volume, fewest, most))
