"""Waits between tries: spread out, longer and longer, and bounded."""

from __future__ import annotations

import random

from seqdetect.serve.backoff import FIRST_S, LONGEST_S, Backoff


def test_waits_are_spread_below_a_bound_that_doubles_until_it_is_reached():
    by_try = [[] for _ in range(10)]
    for seed in range(500):
        backoff = Backoff(random.Random(seed))
        for waits in by_try:
            waits.append(backoff.failed())
    for number, waits in enumerate(by_try):
        bound = min(FIRST_S * 2**number, LONGEST_S)
        assert 0 <= min(waits) < 0.1 * bound
        assert 0.9 * bound < max(waits) <= bound
        assert 0.4 * bound < sum(waits) / len(waits) < 0.6 * bound


def test_after_a_success_the_next_failure_is_a_first_one():
    backoff = Backoff(random.Random(0))
    for _ in range(5000):
        backoff.failed()
    assert backoff.tries == 5000
    backoff.succeeded()
    assert backoff.failed() <= FIRST_S
