"""When requests arrive inside a window: Gamma or Weibull renewals, stretched to fill it."""

from __future__ import annotations

from functools import lru_cache
from math import expm1, lgamma, log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CV_RANGE = (0.05, 30.0)
"""Coefficients of variation that shapes are made for; below it is a timer, above it one burst per window."""

LEAST_SHAPE = 0.04
"""Weibull shapes below this put all weight on one gap and overflow float64 in the tail."""


def fill(
    starts: Floats,
    widths: Floats,
    counts: Ints,
    shapes: Floats,
    weibull: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Floats:
    """Arrival times of ``counts[i]`` requests in each window ``[starts[i], starts[i] + widths[i])``.

    All arguments are [windows]; times come in the unit of ``starts``, window by window, rising within each.
    A window of n requests has n + 1 gaps, divided by their sum, so that counts are met exactly; the gaps'
    scale therefore cancels and only ``shapes`` (of the Gamma, or of the Weibull where ``weibull``) matters.
    """
    gaps_in = counts + 1
    shape = np.repeat(np.maximum(shapes, LEAST_SHAPE), gaps_in)
    is_weibull = np.repeat(weibull, gaps_in)
    gaps = np.empty(shape.size)
    gaps[is_weibull] = rng.weibull(shape[is_weibull])
    gaps[~is_weibull] = rng.standard_gamma(shape[~is_weibull])
    # Very bursty gaps underflow to zero; a window of nothing but zeros could not be normalised.
    gaps += 1e-12
    first = np.cumsum(gaps_in) - gaps_in
    gaps /= np.repeat(np.add.reduceat(gaps, first), gaps_in) if gaps.size else 1.0
    elapsed = np.cumsum(gaps)
    elapsed -= np.repeat(np.arange(counts.size, dtype=np.float64), gaps_in)
    is_arrival = np.ones(gaps.size, dtype=bool)
    is_arrival[first + counts] = False
    share = np.clip(elapsed[is_arrival], 0.0, 1.0 - 1e-9)
    return np.asarray(np.repeat(starts, counts) + np.repeat(widths, counts) * share)


def gamma_shape(cv: Floats) -> Floats:
    """Shape of the Gamma law whose coefficient of variation is ``cv``."""
    return np.asarray(np.clip(cv, *CV_RANGE) ** -2.0)


def weibull_shape(cv: Floats) -> Floats:
    """Shape of the Weibull law whose coefficient of variation is ``cv``, by interpolation (error < 0.1 %)."""
    log_cv, log_shape = _weibull_table()
    return np.asarray(np.exp(np.interp(np.log(np.clip(cv, *CV_RANGE)), log_cv, log_shape)))


@lru_cache(maxsize=1)
def _weibull_table() -> tuple[Floats, Floats]:
    """(log cv, log shape), rising in log cv: the variance of a Weibull law has no inverse in closed form."""
    shapes = np.exp(np.linspace(np.log(30.0), np.log(0.15), 400))
    squared = [expm1(lgamma(1 + 2 / k) - 2 * lgamma(1 + 1 / k)) for k in shapes]
    return np.array([0.5 * log(value) for value in squared]), np.log(shapes)
