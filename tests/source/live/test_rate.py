"""Token buckets, by a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdetect.source.live.rate import Rates


class Hands:
    """A clock's hands."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_is_emptied_and_fills_again() -> None:
    clock = Hands()
    rates = Rates(10.0, 20.0, clock=clock)
    assert rates.wait_s("a") == 0
    rates.charge("a", 20)
    assert rates.wait_s("a") == 1
    assert rates.wait_s("b") == 0
    clock.now += 0.1
    assert rates.wait_s("a") == 0
    rates.charge("a", 100)
    assert rates.wait_s("a") == 10
    clock.now += 10
    assert rates.wait_s("a") == 0
    clock.now += 1_000
    rates.charge("a", 20)
    assert rates.wait_s("a") == 1


@given(clients=st.lists(st.text(max_size=100), max_size=60))
def test_the_table_is_bounded_and_remembers_the_latest(clients: list[str]) -> None:
    rates = Rates(1.0, 5.0, most=10, clock=Hands())
    for client in clients:
        rates.charge(client, 5)
    assert len(rates) <= 10
    for client in clients[-10:]:
        assert rates.wait_s(client) > 0


@given(sent=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 30)), max_size=50))
def test_nobody_sends_more_than_the_rate_for_long(sent: list[tuple[float, int]]) -> None:
    clock = Hands()
    rates = Rates(10.0, 20.0, clock=clock)
    passed = 0
    for pause_s, events in sent:
        clock.now += pause_s
        if rates.wait_s("a") == 0:
            rates.charge("a", events)
            passed += events
    assert passed <= 20 + 30 + 10 * (clock.now - 1_000.0) + 1e-6


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0), (float("nan"), 1)])
def test_a_rate_lets_something_through(per_s: float, burst: float) -> None:
    with pytest.raises(ValueError, match="nothing through"):
        Rates(per_s, burst)
