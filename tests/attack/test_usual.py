from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqdetect.attack.strength import DAY, HOUR
from seqdetect.attack.usual import addressed, own_events, resized, rewritten, stamped, usual


def events(times: list[int], prompt: list[int] | None = None) -> pd.DataFrame:
    n = len(times)
    return pd.DataFrame(
        {
            "timestamp": np.array(times, dtype=np.int64),
            "user_id": ["a"] * n,
            "prompt_tokens": np.array(prompt or [100] * n, dtype=np.int64),
            "completion_tokens": np.full(n, 50, dtype=np.int64),
            "client_ip": ["10.0.0.1"] * n,
            "user_agent": ["app"] * n,
            "latency_ms": np.full(n, 1_000.0),
            "event_id": [f"e{i}" for i in range(n)],
        }
    )


def test_rate_is_that_of_the_median_active_hour() -> None:
    times = sorted([0, 1, HOUR, HOUR + 1, *range(5 * HOUR, 5 * HOUR + 900)])
    assert usual(events(times), DAY).rate == 2 / 3_600


def test_a_past_flood_does_not_become_usual() -> None:
    calm = [i * HOUR for i in range(20)]
    flood = list(range(20 * HOUR, 20 * HOUR + 5_000))
    own = usual(events(calm + flood, [100] * 20 + [9_999] * 5_000), DAY)
    assert own.length("prompt_tokens", 0.5) == 100
    drawn = own.draw(np.arange(2_000), np.random.default_rng(0))
    assert (drawn["prompt_tokens"] == 9_999).mean() < 0.1


def test_only_the_week_before_counts_unless_there_is_nothing() -> None:
    frame = events([0, 20 * DAY, 30 * DAY], [1, 2, 3])
    assert usual(frame, 21 * DAY).rows["prompt_tokens"].tolist() == [2]
    assert usual(frame, 15 * DAY).rows["prompt_tokens"].tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="present"):
        usual(frame.iloc[:0], DAY)


def test_hours_are_shares() -> None:
    own = usual(events([8 * HOUR, 9 * HOUR, DAY + 8 * HOUR]), 2 * DAY)
    assert own.hours[8] == pytest.approx(2 / 3)
    assert own.hours.sum() == pytest.approx(1.0)


def test_drawn_rows_have_fresh_ids() -> None:
    frame = events([0, HOUR])
    rng = np.random.default_rng(0)
    drawn = [usual(frame, DAY).draw(np.array([5, 6]), rng) for _ in range(2)]
    ids = pd.concat([frame, *drawn])["event_id"]
    assert ids.is_unique
    assert drawn[0]["timestamp"].tolist() == [5, 6]


def test_columns_keep_their_types() -> None:
    frame = events([0, 1])
    rng = np.random.default_rng(0)
    changed = addressed(stamped(frame, np.array([3, 4]), rng), np.array([0, 1]), rng)
    changed = rewritten(changed, {"prompt_tokens": np.array([1.0, 2.0])})
    assert (changed.dtypes == frame.dtypes).all()
    assert changed["client_ip"].nunique() == 2
    assert not set(changed["client_ip"]) & set(frame["client_ip"])


def test_longer_answers_take_longer() -> None:
    frame = events([0])
    longer = resized(frame, None, np.array([500.0]))
    assert longer["latency_ms"].iloc[0] > 3_000
    assert longer["prompt_tokens"].tolist() == [100]
    assert resized(frame, np.array([-5.0]), None)["prompt_tokens"].tolist() == [0]


def test_own_events_of_several() -> None:
    frame = events([0, 1, 2]).assign(user_id=["a", "b", "a"])
    assert own_events(frame, "a")["timestamp"].tolist() == [0, 2]
    assert own_events(events([0]), "a")["timestamp"].tolist() == [0]
