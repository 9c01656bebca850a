"""Facts per user and tick, against a plain loop."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from conftest import traffic
from seqdetect.events import MICROSECONDS, Tally, conform
from seqdetect.sequence.features import INDEX
from seqdetect.sequence.stream import fill, history, neutral_values

TICK = 10 * MICROSECONDS


def by_hand(table: pa.Table) -> dict[tuple[str, int], dict[str, float]]:
    """A straightforward reading of the features' units."""
    rows = table.to_pylist()
    last: dict[str, dict] = {}
    seen = defaultdict(set)
    seen_models = defaultdict(set)
    groups = defaultdict(list)
    for row in rows:
        groups[row["user_id"], int(row["timestamp"].timestamp() * 1e6) // TICK].append(row)
    out = {}
    ticks_of = defaultdict(list)
    for (user, number), group in sorted(groups.items(), key=lambda item: item[0][1]):
        gaps, repeats = [], 0
        first_gap = None
        for row in group:
            before = last.get(user)
            gap = None if before is None else (row["timestamp"] - before["timestamp"]).total_seconds() * 1000
            if first_gap is None:
                first_gap = math.nan if gap is None else math.log1p(gap)
            if gap is not None:
                gaps.append(math.log1p(gap))
            if before is not None and all(
                row[k] == before[k] for k in ("prompt_tokens", "completion_tokens")
            ):
                repeats += 1
            last[user] = row
        debut = not seen[user]
        new = set() if debut else {row["client_ip"] for row in group} - seen[user]
        seen[user] |= {row["client_ip"] for row in group}
        new_models = set() if debut else {row["model"] for row in group} - seen_models[user]
        seen_models[user] |= {row["model"] for row in group}
        prompt = np.log1p([row["prompt_tokens"] for row in group])
        previous = ticks_of[user][-1] if ticks_of[user] else None
        ticks_of[user].append(number)
        out[user, (number + 1) * TICK] = {
            "requests": math.log1p(len(group)),
            "prompt_tokens": math.log1p(sum(row["prompt_tokens"] for row in group)),
            "completion_tokens": math.log1p(sum(row["completion_tokens"] for row in group)),
            "prompt_mean": prompt.mean(),
            "prompt_dispersion": prompt.std(),
            "gap": first_gap,
            "gap_mean": np.mean(gaps) if gaps else first_gap,
            "gap_dispersion": np.std(gaps) if gaps else 0.0,
            "repeats": repeats / len(group),
            "addresses": math.log1p(len({row["client_ip"] for row in group})),
            "new_addresses": math.log1p(len(new)),
            "new_models": math.log1p(len(new_models)),
            "errors": np.mean([row["status"] >= 400 for row in group]),
            "latency": np.mean(np.log1p([row["latency_ms"] for row in group])),
            "elapsed": 0 if previous is None else (number - previous) * 10,
            "second_of_day": (number + 1) * 10 % 86_400,
            "weekday": 0 if (number + 1) * 10 % (7 * 86_400) < 86_400 * 5 else None,
        }
    return out


def test_features_are_what_their_units_say():
    table = traffic(users=3, hours=20, rate_s=0.05)
    steps, keys = history(table, 10.0, Tally())
    expected = by_hand(table)
    assert len(steps.steps) == len(expected)
    for row in range(0, len(steps.steps), 7):
        user, tick = keys.names[steps.steps.user[row]], int(steps.steps.tick[row])
        wanted = expected[user, tick]
        for name, value in wanted.items():
            if name != "weekday":
                # sums are kept in units of 2**-14
                assert steps.steps.features[row, INDEX[name]] == pytest.approx(
                    value, abs=3e-4, nan_ok=True
                ), name


def test_the_second_of_march_2026_is_a_monday():
    table = traffic(users=1, hours=5)
    steps, _ = history(table, 10.0, Tally())
    assert set(steps.steps.features[:, INDEX["weekday"]]) == {0.0}


def test_tokens_are_exact():
    table = traffic(users=2, hours=10)
    steps, _ = history(table, 10.0, Tally())
    assert steps.steps.tokens.sum(axis=0).tolist() == [
        sum(table.column(name).to_pylist()) for name in ("prompt_tokens", "completion_tokens")
    ]


def test_absent_columns_take_their_neutral_value():
    table = traffic(users=2, hours=10).select(["timestamp", "user_id", "prompt_tokens", "completion_tokens"])
    steps, _ = history(conform(table), 10.0, Tally())
    neutral, observed = neutral_values(steps.steps.features)
    absent = {"addresses", "errors", "latency"}
    for name in absent:
        assert not observed[INDEX[name]]
    filled = fill(steps.steps.features, neutral, observed)
    assert np.isfinite(filled).all()
    assert filled[:, INDEX["addresses"]] == pytest.approx(math.log(2))


def test_a_column_that_training_never_saw_is_ignored():
    features = np.ones((2, len(INDEX)), np.float32)
    neutral, observed = np.zeros(len(INDEX), np.float32), np.ones(len(INDEX), bool)
    observed[INDEX["latency"]] = False
    assert fill(features, neutral, observed)[:, INDEX["latency"]].tolist() == [0.0, 0.0]
