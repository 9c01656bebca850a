"""Cost per hour, share of the traffic and burn rate, over an alert's recent time."""

from __future__ import annotations

import numpy as np
import pytest

from seqdetect.alert.impact import PERIODS, PICO_USD, Impact, Spent, Traffic, added, impact
from seqdetect.alert.policy import Objectives
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import REQUEST

SECOND = 1_000_000
TICK = 10 * SECOND
MINUTE = 60 * SECOND
START = 1_000_000_200 * SECOND  # a period begins here


def quiet(*ticks: tuple[int, int], error: float = 0.0, slow: float = 0.0, count: int = 0) -> Scored:
    """Steps of (end of the tick, tokens); ``count`` requests at the beginning of each tick, some of them bad."""
    requests = np.zeros(count * len(ticks), REQUEST)
    requests["error"], requests["latency"] = 0, 100.0
    for place, (tick, _) in enumerate(ticks):
        own = requests[place * count : (place + 1) * count]
        own["time"] = tick - TICK
        own["error"][: round(error * count)] = 2
        own["latency"][: round(slow * count)] = 9_000.0
    n = len(ticks)
    tokens = np.array([[tick[1], 0] for tick in ticks], np.int64).reshape(n, 2)
    return Scored(
        np.zeros(n, np.int32),
        ["a"],
        np.array([tick[0] for tick in ticks], np.int64),
        np.zeros(n, np.float32),
        np.zeros(n, np.int8),
        tokens,
        requests=requests,
    )


def traffic(scored: Scored, objectives: Objectives | None = None) -> Traffic:
    found = Traffic(TICK, objectives or Objectives())
    found.begin(scored)
    found.rest()
    return found


def spent(tick: int, usd: float | None, tokens: int = 0) -> Spent:
    return Spent.at(tick, tokens, None if usd is None else round(usd * PICO_USD))


def test_one_tick_is_not_taken_for_a_rate_and_an_hour_is_an_hour() -> None:
    none = traffic(quiet())
    first = impact([spent(START + TICK, 1.0)], START, START + TICK, none, burns=False)
    assert first == Impact(6.0, None, None)
    ticks = [START + minute * MINUTE for minute in range(1, 121)]
    recent: tuple[Spent, ...] = ()
    for tick in ticks:
        recent = added(recent, (spent(tick, 0.5),))
    assert len(recent) == PERIODS
    assert impact(recent, START, ticks[-1], none, burns=False).cost_per_hour_usd == 30.0


def test_a_price_that_is_missing_leaves_the_cost_unknown() -> None:
    recent = added((spent(START + TICK, 1.0),), (spent(START + 2 * TICK, None),))
    assert impact(recent, START, START + 2 * TICK, traffic(quiet()), burns=False).cost_per_hour_usd is None


def test_the_share_is_of_all_tokens_of_the_same_time_and_of_two_periods_at_least() -> None:
    before = (START - MINUTE, 900)
    now = START + TICK
    all_of_it = traffic(quiet(before, (now, 100)))
    assert impact([spent(now, 0.0, 100)], START, now, all_of_it, burns=False).traffic_share == 0.1
    later = START + 11 * MINUTE
    busy = traffic(quiet((START - MINUTE, 900), (now, 100), (later, 300)))
    recent = [spent(now, 0.0, 100), spent(later, 0.0, 200)]
    assert impact(recent, START, later, busy, burns=False).traffic_share == 0.75


@pytest.mark.parametrize(
    ("bad", "objectives", "burn"),
    [
        ({"error": 0.1}, Objectives(0.99), 10.0),
        ({"error": 0.1}, Objectives(0.999), 100.0),
        ({"slow": 0.5}, Objectives(0.99, 0.95, 5_000.0), 10.0),
        ({"slow": 0.5}, Objectives(0.99, 0.95), 0.0),
        ({"slow": 0.5, "error": 0.2}, Objectives(0.99, 0.95, 5_000.0), 20.0),
    ],
)
def test_the_burn_rate_is_that_of_the_objective_that_fares_worst(bad, objectives, burn) -> None:
    found = traffic(quiet((START + TICK, 1), count=100, **bad), objectives)
    assert impact([], START, START + TICK, found, burns=True).slo_burn == pytest.approx(burn)
    assert impact([], START, START + TICK, found, burns=False).slo_burn is None


def test_few_requests_or_none_of_known_outcome_burn_nothing() -> None:
    few = traffic(quiet((START + TICK, 1), count=10, error=1.0))
    assert impact([], START, START + TICK, few, burns=True).slo_burn is None
    unknown = quiet((START + TICK, 1), count=100)
    unknown.requests["error"], unknown.requests["latency"] = -1, np.nan
    assert impact([], START, START + TICK, traffic(unknown), burns=True).slo_burn is None


def test_traffic_is_forgotten_after_an_hour_and_counted_up_to_the_tick_at_hand() -> None:
    ticks = [(START + minute * MINUTE, 1) for minute in range(1, 181)]
    whole = Traffic(TICK, Objectives())
    whole.begin(quiet(*ticks))
    whole.upto(START + 90 * MINUTE)
    assert len(whole.periods) == PERIODS
    assert whole.over(0, START + 90 * MINUTE).tokens == 60
    whole.rest()
    parts = Traffic(TICK, Objectives())
    for tick in ticks:
        parts.begin(quiet(tick))
        parts.rest()
    assert whole.periods == parts.periods
