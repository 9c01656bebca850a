"""Generated traffic of a whole LLM API: users of every size and rhythm, and no attack in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect import events
from seqdetect.source.traffic import arrivals, clients, columns, lengths, rates, service, sizes
from seqdetect.source.traffic.population import POPULATION, Population

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEFAULT_RATE = 0.0145
"""Requests per second of the average user: 60 users and 6 days make about 450,000 events."""


@dataclass(frozen=True)
class Plan:
    """What users intend, before chance decides on single requests: both arrays [user, cell]."""

    rates: Floats
    """Expected requests per cell."""
    length_shift: Floats
    """Lasting changes of log(1 + tokens)."""


@dataclass(frozen=True)
class Synthetic:
    """Traffic of ``users`` users over ``days`` days from ``epoch``, fitted to real clients (``population``).

    ``mean_rate`` is the average user's requests per second over all time. The same arguments give the same
    events to the last bit; another ``seed`` gives other users altogether.

    >>> from seqdetect.events import Tally
    >>> batches = Synthetic(users=3, days=0.5).read(Tally())
    >>> next(batches).column_names[:2]
    ['timestamp', 'user_id']
    """

    users: int = 60
    days: float = 6.0
    seed: int = 0
    epoch: str = "2026-03-02T00:00:00Z"
    mean_rate: float = DEFAULT_RATE
    population: Population = POPULATION

    licence = "Apache-2.0"
    reference = (
        "constants fitted to ServeGen (Xiang et al., arXiv:2505.09999); see experiments/synthetic-traffic"
    )

    def __post_init__(self) -> None:
        if self.users < 1 or not 0 < self.days < np.inf or not 0 < self.mean_rate < np.inf:
            raise ValueError(
                f"synthetic traffic needs users >= 1, days > 0 and mean_rate > 0; "
                f"got users={self.users}, days={self.days}, mean_rate={self.mean_rate}"
            )

    def read(self, tally: events.Tally) -> Iterator[pa.Table]:
        """Batches in time order; nothing is ever rejected."""
        table = self._table()
        for batch in events.chunks(table):
            tally.read += batch.num_rows
            yield batch

    def incidents(self) -> pd.DataFrame | None:
        """None: attacks are injected by ``seqdetect.attack``."""
        return None

    def plan(self, rng: np.random.Generator) -> Plan:
        """Expected requests of each user and 600-s cell."""
        p = self.population
        cells = int(np.ceil(self.days * rates.DAY_CELLS))
        rhythms = rates.draw(self.users, p, rng)
        shape = rates.intensity(rhythms, cells, _cell_of_week(self.epoch), p, rng)
        rate_shift, length_shift = _regimes(self.users, cells, p, rng)
        shape *= np.exp(rate_shift)
        volume = sizes.volumes(rhythms.active_share, p.log_rate_sd, self.mean_rate, self.days, rng)
        return Plan(shape / shape.sum(axis=1, keepdims=True) * volume[:, None], length_shift)

    def _table(self) -> pa.Table:
        rng = np.random.default_rng(self.seed)
        p, users = self.population, self.users
        plan = self.plan(rng)
        user, time_s = _arrivals(plan.rates, self.days * 86_400, p, rng)
        cell = (time_s // rates.CELL_S).astype(np.int64)
        session = clients.sessions(user, time_s, p.session_gap_s)
        requests = lengths.Requests(user, cell, clients.conversations(user, session, p, users, rng))
        prompt, completion = lengths.sample(lengths.draw(users, p, rng), requests, plan.length_shift, p, rng)
        sky = service.weather(plan.rates, self.days * 86_400, p, rng)
        model = service.models(user, p, users, rng)
        status = service.statuses(user, time_s, _crowding(plan.rates)[user, cell], sky, p, users, rng)
        completion = np.where(status == service.OK, completion, 0)
        latency = service.latency_ms(model, prompt, completion, time_s, status, sky, p, rng)
        address, address_names = clients.addresses(user, session, p, users, rng)
        agent = clients.preferred(user, session, clients.AGENTS, p.second_agent, users, rng)
        endpoint = clients.preferred(user, session, clients.ENDPOINTS, p.second_agent, users, rng)
        made = {
            "timestamp": columns.timestamps(self.epoch, time_s),
            "user_id": columns.text(user, user_names(users)),
            "prompt_tokens": pa.array(prompt),
            "completion_tokens": pa.array(completion),
            "model": columns.text(model, service.MODELS),
            "client_ip": columns.text(address, address_names),
            "status": pa.array(status.astype(np.int16)),
            "latency_ms": pa.array(latency),
            "user_agent": columns.text(agent, clients.AGENTS),
            "endpoint": columns.text(endpoint, clients.ENDPOINTS),
        }
        return events.conform(events.sort(pa.table(made)))


def user_names(users: int) -> list[str]:
    """``user-000`` and so on, as wide as the largest number needs."""
    width = max(3, len(str(users - 1)))
    return [f"user-{number:0{width}d}" for number in range(users)]


def _cell_of_week(epoch: str) -> int:
    moment = columns.start(epoch)
    seconds = (moment.hour * 60 + moment.minute) * 60 + moment.second
    return moment.weekday() * rates.DAY_CELLS + seconds // rates.CELL_S


def _regimes(
    users: int, cells: int, population: Population, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Lasting changes [user, cell] of the log rate and of log tokens: each hits a few benign users, once."""
    after = np.arange(cells) >= (cells * rng.uniform(0.1, 0.9, users))[:, None]
    kind = rng.random(users)
    sign = rng.choice([-1.0, 1.0], users)
    rate = sign * rng.uniform(*population.regime_rate, users) * (kind < population.regime_users / 2)
    length = sign * rng.uniform(*population.regime_length, users)
    length *= (kind >= population.regime_users / 2) & (kind < population.regime_users)
    return after * rate[:, None], after * length[:, None]


def _arrivals(
    plan: Floats, span_s: float, population: Population, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """(user, seconds from the epoch) of every request, in order of user and time."""
    p, users, cells = population, len(plan), plan.shape[1]
    # Windows of random widths: on a fixed grid, every session would begin at a round time.
    edges = rates.CELL_S * (np.arange(cells + 1) - rng.random((users, cells + 1)))
    edges[:, 0], edges[:, -1] = 0.0, span_s
    counts = rng.poisson(plan)
    # Luck must not make a user vanish, whatever its expected number of requests.
    counts[np.arange(users), plan.argmax(axis=1)] += counts.sum(axis=1) == 0
    least, shape_of_cv, scale = p.log_cv
    log_cv = least + rng.gamma(shape_of_cv, scale, users)[:, None]
    log_cv = log_cv + p.log_cv_within * rates.wander(np.full(users, p.log_cv_hours), cells, rng)
    weibull = rng.random((users, cells)) < rng.beta(p.weibull_share[0], p.weibull_share[1], users)[:, None]
    shape = np.where(weibull, arrivals.weibull_shape(np.exp(log_cv)), arrivals.gamma_shape(np.exp(log_cv)))
    user, cell = np.nonzero(counts)
    busy = (user, cell)
    start, end = edges[:, :-1][busy], edges[:, 1:][busy]
    time_s = arrivals.fill(start, end - start, counts[busy], shape[busy], weibull[busy], rng)
    return np.repeat(user, counts[busy]), np.minimum(time_s, span_s - 1e-6)


def _crowding(plan: Floats) -> Floats:
    """Rate of each cell over the user's mean while active [user, cell]."""
    return np.asarray(plan * (plan > 0).sum(axis=1, keepdims=True) / plan.sum(axis=1, keepdims=True))
