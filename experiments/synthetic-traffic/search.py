"""Simulated moments: the rhythm constants whose users look most like ServeGen's clients. Part of fit.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from moments import distances, table

from seqdetect.source.traffic.population import Population
from seqdetect.source.traffic.rates import DAY_CELLS, draw, intensity

USERS = 190
DAYS = 14
SEED = 7
RANGES = {
    "gate_rhythm": (0.1, 2.0),
    "gate_rhythm_log_sd": (0.3, 1.8),
    "gate_hours": (2.0, 60.0),
    "gate_hours_log_sd": (0.2, 2.0),
    "gate_white": (0.002, 0.3),
    "rate_rhythm": (0.1, 1.5),
    "rate_hours": (0.5, 24.0),
    "rate_hours_log_sd": (0.3, 2.0),
    "rate_white": (0.01, 0.4),
    "rate_sd": (0.5, 1.5),
    "rate_sd_log_sd": (0.1, 0.7),
    "rate_skew": (-0.8, -0.02),
    "rate_skew_sd": (0.1, 1.2),
    "drift_share": (0.02, 0.5),
    "weekend_drop": (0.2, 2.0),
}


def simulate(population: Population, users: int = USERS, seed: int = SEED) -> np.ndarray:
    """Relative rates [user, cell] over the span of the real table."""
    rng = np.random.default_rng(seed)
    return intensity(draw(users, population, rng), DAYS * DAY_CELLS, DAY_CELLS, population, rng)


def search(real: pd.DataFrame, start: Population, rounds: int) -> tuple[Population, dict[str, float]]:
    """Hill climbing from ``start``: the mean of the squared KS distances never rises.

    Every candidate is simulated from the same seed, so that candidates differ by constants and not by luck.
    """
    rng = np.random.default_rng(SEED)
    best, best_distances = start, _distances(real, start)
    for step in range(rounds):
        width = 0.5 * (1 - step / rounds) + 0.05
        candidate = _near(best, width, rng)
        found = _distances(real, candidate)
        if _loss(found) < _loss(best_distances):
            best, best_distances = candidate, found
    return best, best_distances


def _near(population: Population, width: float, rng: np.random.Generator) -> Population:
    names = rng.choice(list(RANGES), size=3, replace=False)
    moved = {n: getattr(population, n) * np.exp(width * rng.standard_normal()) for n in names}
    return replace(population, **{n: float(np.clip(v, *RANGES[n])) for n, v in moved.items()})


def _distances(real: pd.DataFrame, population: Population) -> dict[str, float]:
    # Day 0 of the simulation is a Tuesday, which puts its weekends on the days that moments.WEEKEND names.
    return distances(real, table(simulate(population)))


def _loss(found: dict[str, float]) -> float:
    return float(np.mean([value**2 for value in found.values()]))
