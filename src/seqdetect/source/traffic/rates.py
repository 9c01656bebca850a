"""How fast each user sends, cell by cell: rhythm, sessions, drift and lasting level changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqdetect.source.traffic.population import Population

Floats = NDArray[np.float64]

CELL_S = 600
DAY_CELLS = 86_400 // CELL_S

MOST_SKEW = 1.0
MOST_NOISE = 5.0
"""Bounds on skew and on bent noise, in deviations: a log rate is not as heavy in the tail as a lognormal."""


@dataclass(frozen=True)
class Rhythms:
    """When each user works; every array is [user]."""

    active_share: Floats
    """Share of cells with any traffic."""
    phase_h: Floats
    """Hour of the day, UTC, at which the user is busiest."""
    gate_rhythm: Floats
    """How strongly the clock decides whether the user is active (standard deviations of the gate)."""
    rate_rhythm: Floats
    """How strongly the clock moves the log rate while active."""
    weekend_drop: Floats
    """By how much Saturdays and Sundays lower gate and log rate."""
    gate_hours: Floats
    """Memory of the on/off process, hours."""
    rate_hours: Floats
    """Memory of the log rate, hours."""
    rate_sd: Floats
    """Standard deviation of the log rate while active, rhythm apart."""
    rate_skew: Floats
    """Above 0: quiet with bursts far above; below 0: a ceiling with dips far below."""


def draw(users: int, population: Population, rng: np.random.Generator) -> Rhythms:
    """Rhythms of ``users`` users."""
    p = population
    machine = rng.random(users) < p.always_on
    weekly = rng.random(users) < p.weekend_users
    return Rhythms(
        active_share=np.where(machine, 1.0, np.maximum(rng.beta(*p.active_share, users), p.least_share)),
        phase_h=(p.phase_h + rng.vonmises(0.0, p.phase_kappa, users) * 24 / (2 * np.pi)) % 24,
        gate_rhythm=rng.lognormal(np.log(p.gate_rhythm), p.gate_rhythm_log_sd, users),
        rate_rhythm=p.rate_rhythm * np.abs(rng.standard_normal(users)),
        weekend_drop=np.where(weekly, rng.exponential(p.weekend_drop, users), 0.0),
        gate_hours=rng.lognormal(np.log(p.gate_hours), p.gate_hours_log_sd, users),
        rate_hours=rng.lognormal(np.log(p.rate_hours), p.rate_hours_log_sd, users),
        rate_sd=rng.lognormal(np.log(p.rate_sd), p.rate_sd_log_sd, users),
        rate_skew=np.clip(rng.normal(p.rate_skew, p.rate_skew_sd, users), -MOST_SKEW, MOST_SKEW),
    )


def intensity(
    rhythms: Rhythms, cells: int, first: int, population: Population, rng: np.random.Generator
) -> Floats:
    """Relative request rates [user, cell], 0 where the user is idle.

    ``first`` is the first cell's place in the week (0: Monday 00:00 UTC).

    A user is active in exactly its share of cells (at least one): those where the gate, a sum of clock,
    weekend and noise with a memory, is highest. So runs of active cells are sessions, and the clock shapes
    them.
    """
    p, users = population, rhythms.active_share.size
    clock = daily(rhythms.phase_h, first + np.arange(cells), p.second_harmonic)
    weekend = np.isin((first + np.arange(cells)) // DAY_CELLS % 7, (5, 6)) * rhythms.weekend_drop[:, None]
    gate = rhythms.gate_rhythm[:, None] * clock - weekend
    gate += mixed(rhythms.gate_hours, cells, p.gate_white, rng)
    noise = np.sqrt(1 - p.drift_share) * mixed(rhythms.rate_hours, cells, p.rate_white, rng)
    noise += np.sqrt(p.drift_share) * wander(np.full(users, p.drift_hours), cells, rng)
    noise = skewed(noise, rhythms.rate_skew)
    log_rate = rhythms.rate_rhythm[:, None] * clock - weekend + rhythms.rate_sd[:, None] * noise
    log_rate += drift(users, cells, p.daily_walk_sd, rng)
    return np.asarray(np.where(active(gate, rhythms.active_share), np.exp(log_rate), 0.0))


def daily(phase_h: Floats, cell: NDArray[np.int64], second: float) -> Floats:
    """Clock [user, cell]: a wave of one day with its peak at ``phase_h``, and a weaker one of half a day."""
    angle = 2 * np.pi * (cell / DAY_CELLS - phase_h[:, None] / 24)
    return np.asarray(np.cos(angle) + second * np.cos(2 * angle))


def wander(hours: Floats, cells: int, rng: np.random.Generator) -> Floats:
    """Noise [user, cell] of unit variance whose correlation falls by e every ``hours[user]``."""
    keep = np.exp(-CELL_S / 3600 / hours)
    fresh = np.sqrt(1 - keep**2)
    steps = rng.standard_normal((cells, hours.size))
    for cell in range(1, cells):
        steps[cell] = keep * steps[cell - 1] + fresh * steps[cell]
    return np.ascontiguousarray(steps.T)


def mixed(hours: Floats, cells: int, white: float, rng: np.random.Generator) -> Floats:
    """``wander`` with a share ``white`` of its unit variance replaced by noise without memory."""
    slow = wander(hours, cells, rng)
    return np.asarray(np.sqrt(1 - white) * slow + np.sqrt(white) * rng.standard_normal(slow.shape))


def skewed(noise: Floats, skew: Floats) -> Floats:
    """Normal ``noise`` [user, cell] bent by Tukey's g transform, g being ``skew``; mean 0, deviation 1."""
    # Tukey (1977): (exp(g z) - 1) / g, which is z itself where g is 0; its moments are those of a lognormal.
    g = np.where(np.abs(skew) < 1e-3, 1e-3, skew)[:, None]
    bent = np.expm1(g * np.clip(noise, -4.0, 4.0)) / g
    mean = np.expm1(g**2 / 2) / g
    deviation = np.exp(g**2 / 2) * np.sqrt(np.expm1(g**2)) / np.abs(g)
    return np.asarray(np.clip((bent - mean) / deviation, -MOST_NOISE, MOST_NOISE))


def drift(users: int, cells: int, daily_sd: float, rng: np.random.Generator) -> Floats:
    """Random walks [user, cell] that start at 0 and move by ``daily_sd`` a day."""
    steps = rng.normal(0.0, daily_sd / np.sqrt(DAY_CELLS), (users, cells))
    steps[:, 0] = 0.0
    return np.asarray(np.cumsum(steps, axis=1))


def active(gate: Floats, share: Floats) -> NDArray[np.bool_]:
    """The ``share[user]`` of cells [user, cell] where ``gate`` is highest, at least one per user."""
    cells = gate.shape[1]
    idle = np.minimum(cells - np.ceil(share * cells).astype(int), cells - 1)
    ranked = np.sort(gate, axis=1)
    return np.asarray(gate >= np.take_along_axis(ranked, idle[:, None], axis=1))
