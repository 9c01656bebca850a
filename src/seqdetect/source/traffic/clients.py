"""From where users call: sessions, conversations, addresses, client software and endpoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqdetect.source.traffic.population import Population

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGENTS = (
    "openai-python/1.66.3",
    "openai-python/1.40.0",
    "openai-node/4.86.1",
    "langchain/0.3.19",
    "litellm/1.61.20",
    "python-requests/2.32.3",
    "okhttp/4.12.0",
    "curl/8.9.1",
)
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/responses")


def sessions(user: Ints, time_s: Floats, gap_s: float) -> Ints:
    """Session number [request] of requests in order of user and time; a pause of ``gap_s`` ends one."""
    starts = np.ones(user.size, dtype=bool)
    starts[1:] = (user[1:] != user[:-1]) | (np.diff(time_s) > gap_s)
    return np.asarray(np.cumsum(starts) - 1)


def conversations(
    user: Ints, session: Ints, population: Population, users: int, rng: np.random.Generator
) -> Ints:
    """Number of the conversation [request], -1 for users who send single requests.

    A user holds several conversations at once where it sends fast, so the requests of one need not be
    neighbours: each request picks one of the user's open threads, which end with a fixed chance per turn.
    """
    p = population
    talks = rng.random(users) < p.conversing_users
    turns = 1 + rng.exponential(p.mean_turns - 1, users)
    threads = 1 + rng.poisson(p.extra_threads, users)
    thread = np.floor(rng.random(user.size) * threads[user]).astype(np.int64)
    order = np.lexsort((np.arange(user.size), thread, session))
    ends = rng.random(user.size) < 1 / turns[user]
    fresh = np.ones(user.size, dtype=bool)
    fresh[1:] = (session[order][1:] != session[order][:-1]) | (thread[order][1:] != thread[order][:-1])
    fresh[1:] |= ends[1:]
    numbers = np.empty(user.size, dtype=np.int64)
    numbers[order] = np.cumsum(fresh) - 1
    return np.where(talks[user], numbers, -1)


def addresses(
    user: Ints, session: Ints, population: Population, users: int, rng: np.random.Generator
) -> tuple[Ints, list[str]]:
    """(index [request], names): each user's few addresses, the first ones used most.

    People keep one address per session, and now and then come from one never seen before; fleets of machines
    spread single requests over many.
    """
    p = population
    fleet = rng.random(users) < p.fleet_users
    pool = np.where(fleet, rng.integers(*p.fleet_addresses, users), 1 + rng.geometric(0.5, users))
    first = np.cumsum(pool) - pool
    count = int(session[-1]) + 1 if session.size else 0
    by_session, by_request = rng.random(count), rng.random(user.size)
    chance = np.where(fleet[user], by_request, by_session[session])
    # The square favours low numbers: a pool of four is used 50, 21, 16 and 13 % of the time.
    picked = first[user] + np.floor(pool[user] * chance**2).astype(np.int64)
    strange = (rng.random(count) < p.new_address)[session] & ~fleet[user]
    picked = np.where(strange, int(pool.sum()) + session, picked)
    used, index = np.unique(picked, return_inverse=True)
    return index.astype(np.int64), _names(used.size, rng)


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Distinct addresses of 100.64.0.0/10 (RFC 6598), which belong to nobody on the Internet."""
    numbers = rng.choice(2**22, size=count, replace=False) + (100 << 24) + (64 << 16)
    return [f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in numbers.tolist()]


def preferred(
    user: Ints, session: Ints, names: Sequence[str], stray: float, users: int, rng: np.random.Generator
) -> Ints:
    """Index into ``names`` [request]: the user's choice, in a share ``stray`` of sessions its second."""
    popularity = 1.0 / np.arange(1, len(names) + 1)
    choices = rng.choice(len(names), size=(users, 2), p=popularity / popularity.sum())
    count = int(session[-1]) + 1 if session.size else 0
    second = (rng.random(count) < stray)[session].astype(np.int64)
    return np.asarray(choices[user, second].astype(np.int64))
