"""The watermark: what is late, what is too far ahead, and that batches do not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.order import Clock
from seqdetect.sequence.requests import REQUEST

DAY = 86_400


def batch(*seconds: float) -> np.ndarray:
    out = np.zeros(len(seconds), REQUEST)
    out["time"] = (np.array(seconds) * MICROSECONDS).astype(np.int64)
    return out


def clock(lateness_s: float = 10.0) -> Clock:
    return Clock(10.0, lateness_s, Tally())


def seconds(accepted: np.ndarray) -> list[float]:
    return sorted((accepted["time"] / MICROSECONDS).tolist())


def test_a_tick_is_closed_only_after_the_lateness():
    one = clock()
    one.push(batch(1000, 1001, 1002, 1019.9))
    assert one.closed == 1000 * MICROSECONDS
    one.push(batch(1020))
    assert one.closed == 1010 * MICROSECONDS


def test_late_events_are_counted_and_dropped():
    one = clock()
    accepted = one.push(batch(1000, 1001, 1002, 1030, 1011, 1019, 1020.5))
    # 1030 - 10 closes the ticks up to 1020
    assert seconds(accepted) == [1000, 1001, 1002, 1020.5, 1030]
    assert one.tally.late == 2


def test_one_clock_far_ahead_does_not_move_time():
    one = clock()
    accepted = one.push(batch(1000, 1001, 1002, 80 * 365 * DAY, 1003, 1004))
    assert seconds(accepted) == [1000, 1001, 1002, 1003, 1004]
    assert one.closed == 990 * MICROSECONDS
    assert len(one.flush()) == 0
    assert one.tally.rejected == {"far_future": 1}


def test_traffic_that_comes_back_after_a_silence_moves_time():
    one = clock()
    one.push(batch(1000, 1001, 1002))
    later = 1000 + 8 * 3600
    assert len(one.push(batch(later))) == 0
    assert len(one.push(batch(later + 5))) == 0
    assert seconds(one.push(batch(later + 9))) == [later, later + 5, later + 9]


def test_the_end_of_the_input_releases_what_is_plausible():
    one = clock()
    one.push(batch(1000, 1001, 1002, 1000 + 2 * DAY))
    assert seconds(one.flush()) == [1000 + 2 * DAY]
    assert not one.tally.rejected


def test_an_input_of_a_single_event_is_believed():
    one = clock()
    one.push(batch(1000))
    assert seconds(one.flush()) == [1000]


def test_a_broken_first_clock_does_not_make_the_rest_late():
    one = clock()
    accepted = one.push(batch(80 * 365 * DAY, 1000, 1001, 1002, 1003))
    assert seconds(accepted) == [1000, 1001, 1002, 1003]
    assert one.tally.late == 0


def test_an_event_an_hour_ahead_is_scored_when_time_reaches_it():
    one = clock()
    one.push(batch(1000, 1001, 1002, 1002 + 3700))
    accepted = one.push(batch(*np.arange(1003, 1300, 50)))
    assert 1002 + 3700 in seconds(accepted)
    assert one.tally.late == 0


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.floats(0, 30), min_size=3, max_size=60),
    jitter=st.lists(st.floats(0, 9.9), min_size=60, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_batches_do_not_matter(gaps, jitter, cuts):
    times = 1000 + np.cumsum(gaps)
    arrival = np.argsort(times + np.array(jitter[: len(times)]), kind="stable")
    whole, parts = clock(), clock()
    stream = batch(*times[arrival])
    expected = np.concatenate((whole.push(stream), whole.flush()))
    pieces = [parts.push(piece) for piece in np.split(stream, sorted(min(c, len(stream)) for c in cuts))]
    got = np.concatenate((*pieces, parts.flush()))
    assert seconds(got) == seconds(expected)
    assert whole.tally.late == parts.tally.late == 0  # disorder within the lateness loses nothing


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_without_a_lateness_nothing_is_late(order):
    one = clock(float("inf"))
    times = np.array([1000.0, 5000.0, 9000.0])
    accepted = np.concatenate((one.push(batch(*times[order])), one.flush()))
    assert len(accepted) == 3
    assert one.closed is None
