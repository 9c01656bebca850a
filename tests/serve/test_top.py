"""The highest users by rank: bounded, nameless, and over the time that is stated."""

from __future__ import annotations

import re

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from seqdetect.score.engine import Scored
from seqdetect.serve.top import RANKS, SPAN_S, Top


def scored(steps: list[tuple[int, float, float, int]], users: int = 60, **more) -> Scored:
    """Steps (user, end of tick in seconds, score, tokens)."""
    user, tick, score, tokens = (np.array(column) for column in zip(*steps, strict=True))
    return Scored(
        user.astype(np.int32),
        [f"secret-{number}" for number in range(users)],
        (tick * 1e6).astype(np.int64),
        score.astype(np.float32),
        np.zeros(len(user), np.int8),
        np.stack([tokens, np.zeros_like(tokens)], axis=1).astype(np.int64),
        **more,
    )


def told(top: Top, name: str) -> list[float]:
    families = list(text_string_to_metric_families(top.text().decode()))
    samples = [one for family in families for one in family.samples if one.name == f"seqdetect_top_{name}"]
    assert [one.labels["rank"] for one in samples] == [str(rank + 1) for rank in range(len(samples))]
    return [one.value for one in samples]


def test_it_shows_the_largest_and_no_names():
    top = Top()
    top.add("", "m", scored([(user, 1010, user / 10, 10 * user) for user in range(50)]))
    assert told(top, "score") == [np.float32(user / 10) for user in range(49, 49 - RANKS, -1)]
    assert len(told(top, "tokens_per_second")) == RANKS
    assert not re.search("secret", top.text().decode())


def test_parts_are_looked_at_together_and_forgotten_apart():
    top = Top()
    top.add("t-0", "m", scored([(0, 1010, 1.0, 5), (1, 1010, 4.0, 5)]))
    top.add("t-1", "m", scored([(0, 1010, 3.0, 5)]))
    assert told(top, "score") == [4.0, 3.0, 1.0]
    top.forget_part("t-0")
    assert told(top, "score") == [3.0]


def test_models_that_are_gone_leave_nothing():
    top = Top()
    top.add("", "old", scored([(0, 1010, 1.0, 5)]))
    top.keep({"new"})
    assert told(top, "score") == []


def test_a_score_lasts_for_the_span_it_fell_in_and_the_next():
    top = Top()
    at = [int(SPAN_S * number + 10) for number in (1, 2, 3)]
    top.add("", "m", scored([(0, at[0], 5.0, 600), (1, at[1], 1.0, 0)]))
    assert told(top, "score") == [5.0, 1.0]
    assert told(top, "tokens_per_second") == [600 / (SPAN_S + 10)]
    top.add("", "m", scored([(1, at[2], 2.0, 0)]))
    assert told(top, "score") == [2.0]
    assert told(top, "tokens_per_second") == []


def test_a_step_at_the_end_of_a_span_belongs_to_it():
    top = Top()
    top.add("", "m", scored([(0, int(SPAN_S), 5.0, 1), (1, int(2 * SPAN_S), 1.0, 1)]))
    assert told(top, "score") == [5.0, 1.0]


def test_whoever_gets_a_forgotten_users_row_begins_anew():
    top = Top()
    top.add("", "m", scored([(0, 1010, 5.0, 1)]))
    top.add("", "m", scored([(1, 1020, 1.0, 1)], forgotten={1_020_000_000: np.array([0])}))
    assert told(top, "score") == [1.0]


def test_batches_of_any_size_add_up_to_the_same():
    rng = np.random.default_rng(7)
    steps = [
        (int(rng.integers(40)), 10 * tick, float(rng.gamma(1.0)), int(rng.integers(500)))
        for tick in range(1, 400)
        for _ in range(3)
    ]
    whole, pieces = Top(), Top()
    whole.add("", "m", scored(steps))
    for begin in range(0, len(steps), 7):
        pieces.add("", "m", scored(steps[begin : begin + 7]))
    assert pieces.text() == whole.text()
