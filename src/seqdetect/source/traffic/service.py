"""What the service answers: models, status codes and latency, under load and in rare bad minutes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqdetect.source.traffic.population import Population
from seqdetect.source.traffic.rates import CELL_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MODELS = ("chat-large", "chat-small", "chat-mini", "reason-large", "code-medium")
TOKENS_PER_S = np.array([55.0, 95.0, 170.0, 40.0, 80.0])
"""Completion speed of each model on an idle service."""
FIRST_TOKEN_MS = np.array([420.0, 260.0, 150.0, 900.0, 320.0])
PROMPT_TOKENS_PER_MS = 8.0
"""Prompt tokens are read in parallel, hence orders of magnitude faster than completions are written."""

OK, BAD_REQUEST, TOO_MANY, FAILED = 200, 400, 429, 500


@dataclass(frozen=True)
class Weather:
    """State of the whole service."""

    load: Floats
    """[cell] slowdown, 1 on average."""
    bad_start_s: Floats
    bad_end_s: Floats
    """[burst] service-wide bursts of errors."""


def weather(rates: Floats, span_s: float, population: Population, rng: np.random.Generator) -> Weather:
    """Load follows the requests of all users [user, cell]; bursts of errors are rare and pass in minutes."""
    p = population
    total = np.convolve(np.pad(rates.sum(axis=0), 3, mode="edge"), np.ones(7) / 7, mode="valid")
    load = np.clip(1 + p.load_effect * (total / total.mean() - 1), 0.7, 3.0)
    bursts = rng.poisson(p.bad_bursts_a_day * span_s / 86_400)
    start = rng.uniform(0.0, span_s, bursts)
    return Weather(load, start, start + rng.uniform(*p.bad_length_s, bursts))


def models(user: Ints, population: Population, users: int, rng: np.random.Generator) -> Ints:
    """Index into ``MODELS`` [request]: the user's main model, else any; some users mix a lot, most hardly."""
    popularity = np.array(population.model_popularity)
    main = rng.choice(len(MODELS), size=users, p=popularity)
    mixing = rng.beta(*population.model_mixing, users)
    other = rng.choice(len(MODELS), size=user.size, p=popularity)
    return np.where(rng.random(user.size) < mixing[user], other, main[user])


def statuses(
    user: Ints,
    time_s: Floats,
    crowding: Floats,
    sky: Weather,
    population: Population,
    users: int,
    rng: np.random.Generator,
) -> Ints:
    """HTTP status [request]; ``crowding`` is the user's rate in the cell over its own mean while active."""
    p = population
    bad_request = rng.lognormal(np.log(p.bad_request_rate), p.error_log_sd, users)[user]
    too_many = rng.lognormal(np.log(p.too_many_rate), p.error_log_sd, users)[user] * np.maximum(crowding, 0.1)
    failed = p.failed_rate + p.bad_failed_rate * in_burst(time_s, sky)
    chance = rng.random(user.size)
    edges = np.cumsum([failed, np.minimum(bad_request, 0.2), np.minimum(too_many, 0.3)], axis=0)
    status = np.select(list(chance < edges), [FAILED, BAD_REQUEST, TOO_MANY], OK)
    return np.asarray(status, dtype=np.int64)


def in_burst(time_s: Floats, sky: Weather) -> NDArray[np.bool_]:
    """Which times [request] fall into a burst of errors."""
    hit = np.zeros(time_s.size, dtype=bool)
    for start, end in zip(sky.bad_start_s, sky.bad_end_s, strict=True):
        hit |= (time_s >= start) & (time_s < end)
    return hit


def latency_ms(
    model: Ints,
    prompt: Ints,
    completion: Ints,
    time_s: Floats,
    status: Ints,
    sky: Weather,
    population: Population,
    rng: np.random.Generator,
) -> Floats:
    """Milliseconds [request] until the last token; refusals (400, 429) answer at once."""
    load = sky.load[(time_s // CELL_S).astype(np.int64)]
    reading = FIRST_TOKEN_MS[model] + prompt / PROMPT_TOKENS_PER_MS
    writing = 1000.0 * completion / TOKENS_PER_S[model]
    slow = np.where(in_burst(time_s, sky), population.bad_slowdown, 1.0)
    noise = rng.lognormal(0.0, population.latency_log_sd, model.size)
    served = (reading + writing) * load * slow * noise
    refused = 25.0 * noise
    answered = (status == OK) | (status == FAILED)
    return np.asarray(np.where(answered, served, refused).round(1), dtype=np.float64)
