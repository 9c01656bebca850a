"""How many tokens requests hold: each user's own laws of prompt and completion, and their dependence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqdetect.source.traffic.population import Marginal, Population
from seqdetect.source.traffic.rates import drift, wander

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = np.linspace(-4.0, 4.0, 161)
"""Normal quantiles at which a user's law is tabulated; draws beyond are cut, 1 in 16,000."""


CONSTANT_SPREAD = 0.005
"""Spread of log(1 + tokens) of users who send the same prompt again and again, give or take a word."""


@dataclass(frozen=True)
class Laws:
    """One field's quantile functions."""

    quantiles: Floats
    """log(1 + tokens) [user, len(GRID)] at the normal quantiles of ``GRID``."""
    slow_share: Floats
    """[user] part of the latent variance that wanders over hours instead of changing with each request."""


def draw(users: int, population: Population, rng: np.random.Generator) -> tuple[Laws, Laws]:
    """Laws of prompt and completion tokens; users with long prompts tend to have long completions."""
    z = rng.multivariate_normal(
        np.zeros(4), np.array(population.length_correlation), users, method="cholesky"
    )
    return (
        _laws(population.prompt, z[:, 0], z[:, 1], rng),
        _laws(population.completion, z[:, 2], z[:, 3], rng),
    )


def _laws(marginal: Marginal, z_median: Floats, z_spread: Floats, rng: np.random.Generator) -> Laws:
    m, users = marginal, z_median.size
    median = m.median_mean + m.median_sd * z_median
    spread = np.exp(m.log_spread_mean + m.log_spread_sd * z_spread)
    spread = np.where(rng.random(users) < m.constant_users, CONSTANT_SPREAD, spread)
    shape = mixture_quantiles(
        rng.beta(*m.second_weight, users),
        rng.normal(*m.second_offset, users),
        np.exp(rng.normal(*m.second_log_scale, users)),
    )
    return Laws(median[:, None] + spread[:, None] * shape, rng.beta(*m.slow_share, users))


def mixture_quantiles(weight: Floats, offset: Floats, scale: Floats) -> Floats:
    """Quantiles [user, len(GRID)] of two normals mixed, N(0, 1) and N(offset, scale); median 0, spread 1."""
    reach = np.maximum(np.abs(offset) + 5 * scale, 5.0)
    probability = normal_cdf(GRID)
    rows = np.empty((weight.size, GRID.size))
    for user in range(weight.size):
        x = np.linspace(-reach[user], reach[user], 801)
        cdf = (1 - weight[user]) * normal_cdf(x) + weight[user] * normal_cdf((x - offset[user]) / scale[user])
        rows[user] = np.interp(probability, cdf, x)
    middle = GRID.size // 2
    one = int(np.searchsorted(GRID, 1.0 - 1e-9))
    half = (rows[:, one] - rows[:, GRID.size - 1 - one]) / 2
    return np.asarray((rows - rows[:, [middle]]) / np.maximum(half, 1e-6)[:, None])


def normal_cdf(x: Floats) -> Floats:
    """Standard normal distribution function, by a logistic form whose error is below 2e-4."""
    # Bowling et al. (2009), "A logistic approximation to the cumulative normal distribution", eq. 10.
    x = np.clip(x, -8.0, 8.0)
    return np.asarray(1.0 / (1.0 + np.exp(-(0.07056 * x**3 + 1.5976 * x))))


@dataclass(frozen=True)
class Requests:
    """User, cell and conversation of each request; every array is [request], in order of user and time."""

    user: Ints
    cell: Ints
    conversation: Ints
    """Number of the conversation, or -1 where the user does not hold any."""


def sample(
    laws: tuple[Laws, Laws],
    requests: Requests,
    shift: Floats,
    population: Population,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """(prompt, completion) tokens [request]; ``shift`` [user, cell] is added to log(1 + tokens) of both.

    Each field has a normal latent: a slow part per cell and a fresh part per request. Within a conversation
    the prompts' latents are put in rising order: so history grows with each turn, and the user's law stays
    as it is.
    """
    p, users, cells = population, len(shift), shift.shape[1]
    correlation = rng.normal(p.request_correlation[0], p.request_correlation[1], users)[requests.user]
    prompt = _latent(laws[0], requests, cells, p.length_hours, rng)
    prompt = _rising(prompt, requests.conversation)
    completion = _latent(laws[1], requests, cells, p.length_hours, rng)
    completion = correlation * prompt + np.sqrt(1 - correlation**2) * completion
    walk = drift(users, cells, p.daily_length_walk_sd, rng)
    moved = (shift + walk)[requests.user, requests.cell]
    limit = rng.choice(np.array(p.completion_limits), users)[requests.user]
    return (
        _tokens(laws[0], requests.user, prompt, moved, np.full(limit.size, p.prompt_limit)),
        _tokens(laws[1], requests.user, completion, moved, limit),
    )


def _latent(laws: Laws, requests: Requests, cells: int, hours: float, rng: np.random.Generator) -> Floats:
    slow = wander(np.full(laws.slow_share.size, hours), cells, rng)[requests.user, requests.cell]
    share = laws.slow_share[requests.user]
    return np.asarray(np.sqrt(share) * slow + np.sqrt(1 - share) * rng.standard_normal(slow.size))


def _rising(latent: Floats, conversation: Ints) -> Floats:
    """``latent`` sorted within each conversation; a conversation's requests need not be neighbours."""
    talking = np.flatnonzero(conversation >= 0)
    by_turn = talking[np.argsort(conversation[talking], kind="stable")]
    by_size = talking[np.lexsort((latent[talking], conversation[talking]))]
    ordered = latent.copy()
    ordered[by_turn] = latent[by_size]
    return ordered


def _tokens(laws: Laws, user: Ints, latent: Floats, shift: Floats, limit: Ints) -> Ints:
    place = np.clip((latent - GRID[0]) / (GRID[1] - GRID[0]), 0.0, GRID.size - 1.001)
    below = place.astype(np.int64)
    part = place - below
    logs = laws.quantiles[user, below] * (1 - part) + laws.quantiles[user, below + 1] * part + shift
    return np.asarray(np.clip(np.rint(np.expm1(np.clip(logs, 0.0, 15.0))), 1, limit).astype(np.int64))
