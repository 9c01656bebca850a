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
BEGIN = (1000, 1000.5, 1000.6, 1000.7, 1000.8, 1000.9, 1001, 1001.2, 1001.5, 1002)
"""Enough events for time to begin."""
FAR = 80 * 365 * DAY


def batch(*seconds: float) -> np.ndarray:
    out = np.zeros(len(seconds), REQUEST)
    out["time"] = (np.array(seconds) * MICROSECONDS).astype(np.int64)
    out["user"] = np.arange(len(seconds)) % 2
    return out


def of_one_user(*seconds: float) -> np.ndarray:
    out = batch(*seconds)
    out["user"] = 7
    return out


def started() -> Clock:
    """A clock at 1002 seconds."""
    one = clock()
    one.push(batch(*BEGIN))
    return one


def clock(lateness_s: float = 10.0) -> Clock:
    return Clock(10.0, lateness_s, Tally())


def seconds(accepted: np.ndarray) -> list[float]:
    return sorted((accepted["time"] / MICROSECONDS).tolist())


def test_a_tick_is_closed_only_after_the_lateness():
    one = started()
    one.push(batch(1019.9))
    assert one.closed == 1000 * MICROSECONDS
    one.push(batch(1020))
    assert one.closed == 1010 * MICROSECONDS


def test_late_events_are_counted_and_dropped():
    one = started()
    accepted = one.push(batch(1030, 1011, 1019, 1020.5))
    # 1030 - 10 closes the ticks up to 1020
    assert seconds(accepted) == [1020.5, 1030]
    assert one.tally.late == 2


def test_one_clock_far_ahead_does_not_move_time():
    one = started()
    accepted = one.push(batch(FAR, 1003, 1004))
    assert seconds(accepted) == [1003, 1004]
    assert one.closed == 990 * MICROSECONDS
    assert len(one.flush()) == 0
    assert one.tally.rejected == {"far_future": 1}


def test_traffic_that_comes_back_after_a_silence_moves_time():
    one = started()
    later = 1000 + 8 * 3600
    assert len(one.push(batch(later))) == 0
    assert len(one.push(of_one_user(later + 5))) == 0
    assert seconds(one.push(batch(later + 9))) == [later, later + 5, later + 9]


def test_the_end_of_the_input_releases_what_is_plausible():
    one = started()
    one.push(batch(1000 + 2 * DAY))
    assert seconds(one.flush()) == [1000 + 2 * DAY]
    assert not one.tally.rejected


def test_an_input_of_a_single_event_is_believed():
    one = clock()
    one.push(batch(1000))
    assert seconds(one.flush()) == [1000]


def test_a_broken_first_clock_does_not_make_the_rest_late():
    one = clock()
    accepted = one.push(batch(FAR, *BEGIN, 1003))
    assert seconds(accepted) == [*BEGIN, 1003]
    assert one.tally.late == 0


def test_an_event_an_hour_ahead_is_scored_when_time_reaches_it():
    one = started()
    one.push(batch(1002 + 3700))
    times = np.arange(1003, 1002 + 3700, 50)
    assert seconds(one.push(batch(*times))) == times.tolist()
    assert seconds(one.push(batch(1002 + 3701))) == [1002 + 3700, 1002 + 3701]
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


@pytest.mark.parametrize("broken", [[FAR] * 5, [0.0, FAR, FAR, 0.0], [FAR, FAR + 60 * DAY]])
def test_some_broken_clocks_at_the_start_do_not_make_the_rest_late(broken):
    one = clock()
    rest = 60 * 365 * DAY + np.arange(200.0)
    accepted = np.concatenate((one.push(batch(*broken, *rest)), one.flush()))
    assert set(rest) <= set(seconds(accepted))


def test_a_start_at_a_broken_clocks_time_is_left_though_that_clock_goes_on():
    one = clock()
    one.push(batch(*[0.0] * 20))
    rest = 60 * 365 * DAY + np.arange(400.0)
    rest[::5] = 0.0
    accepted = np.concatenate((one.push(batch(*rest)), one.flush()))
    assert set(rest) <= set(seconds(accepted))


def test_one_user_alone_needs_more_to_move_time():
    one = started()
    ahead = 1000 + 2 * DAY
    assert len(one.push(of_one_user(*(ahead + np.arange(14.0))))) == 0
    assert seconds(one.push(batch(1003, 1004))) == [1003, 1004]
    assert one.tally.late == 0


def test_a_clock_that_is_wrong_all_the_time_does_not_move_time():
    one = started()
    rng = np.random.default_rng(0)
    steady = 1003 + np.arange(2000) * 0.1
    times = np.where(rng.random(2000) < 0.1, steady + 2 * DAY, steady)
    one.push(batch(*times))
    assert one.tally.late == 0
    assert one.closed is not None
    assert one.closed < 1300 * MICROSECONDS


def test_after_many_broken_times_a_silence_is_still_recognised():
    one = started()
    for _ in range(30):
        one.push(batch(*np.tile([FAR, 1003], 100)))
    later = 1000 + 8 * 3600
    assert seconds(one.push(batch(later, later + 1, later + 2))) == [later, later + 1, later + 2]
    assert sum(one.tally.rejected.values()) + len(one.held) == 3000


ODD = st.sampled_from([0.0, 0.0, 0.0, 0.0, 3700.0, 7200.0, 2.0 * DAY, 40.0 * DAY, -500.0])


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0, 900), ODD, st.integers(0, 3)), min_size=1, max_size=120),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_batches_do_not_matter_where_clocks_are_wrong(rows, cuts):
    times = 100 * DAY + np.cumsum([gap for gap, _, _ in rows]) + np.array([odd for _, odd, _ in rows])
    stream = batch(*times)
    stream["user"] = [user for _, _, user in rows]
    whole, parts = clock(), clock()
    expected = np.concatenate((whole.push(stream), whole.flush()))
    pieces = [parts.push(piece) for piece in np.split(stream, sorted(min(c, len(stream)) for c in cuts))]
    got = np.concatenate((*pieces, parts.flush()))
    assert got.tolist() == expected.tolist()
    assert whole.tally == parts.tally


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_without_a_lateness_nothing_is_late(order):
    one = clock(float("inf"))
    times = np.array([1000.0, 5000.0, 9000.0])
    accepted = np.concatenate((one.push(batch(*times[order])), one.flush()))
    assert len(accepted) == 3
    assert one.closed is None


def bounded(ahead_s: float) -> Clock:
    """A clock at 1002 seconds that believes no event further ahead than that."""
    one = Clock(10.0, 10.0, Tally(), ahead_s)
    one.push(batch(*BEGIN))
    return one


def test_a_clock_two_minutes_ahead_makes_nobody_late_within_a_bound_of_one():
    loose, tight = started(), bounded(60)
    for second in range(1003, 1200):
        for one in (loose, tight):
            one.push(np.concatenate((of_one_user(second + 120), batch(second, second + 0.5))))
    assert loose.tally.late > 300
    assert tight.tally.late == 0


def test_what_waits_for_tomorrow_does_not_hold_up_traffic_that_comes_back():
    one = bounded(60)
    for second in range(50):
        one.push(np.concatenate((of_one_user(1003 + second + DAY), batch(1003 + second))))
    assert len(one.held) == 50
    one.push(batch(1500, 1500.5, 1501))
    assert one.latest == 1501 * MICROSECONDS


def test_what_waits_for_the_same_time_holds_it_up():
    one = bounded(60)
    for second in range(5):
        one.push(np.concatenate((batch(1503 + second), batch(1003 + second))))
    one.push(batch(1500, 1500.5, 1501))
    assert one.latest == 1007 * MICROSECONDS


def test_a_bound_is_above_zero():
    with pytest.raises(ValueError, match="ahead_s is 0"):
        Clock(10.0, 10.0, Tally(), 0)
