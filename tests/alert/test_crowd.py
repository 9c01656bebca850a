"""The crowd's counts are exact whatever the batches, forget what is old, and survive a restart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from crowds import MINUTE, NOON, SECOND, TICK, requests, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.alert.crowd import MINUTES, SIZES, Crowd, Window, sizes
from seqdetect.alert.met import HASHES, WEEK, Met
from seqdetect.alert.population import Active


class Reader:
    """A crowd as the book feeds it."""

    def __init__(self, tick_us: int = TICK) -> None:
        self.tick_us = tick_us
        self.crowd, self.active = Crowd(tick_us), Active()

    def push(self, batch: np.ndarray, ask: tuple[int, ...] = ()) -> list[Window]:
        """Take in ``batch``; the last minutes as they were at the ends ``ask`` of ticks."""
        steps, found, noted = scored(batch, self.tick_us), [], 0
        self.crowd.begin(steps)
        for tick in ask:
            known = int(np.searchsorted(steps.tick, tick, "right"))
            self._note(steps, slice(noted, known))
            noted = known
            found.append(self.crowd.between(0, tick))
        self._note(steps, slice(noted, len(steps)))
        self.crowd.rest()
        return found

    def _note(self, steps, rows):
        self.crowd.note(steps.tick[rows], self.active.note(steps, rows))


def day(seed: int = 0, minutes: int = 150) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return requests(NOON, NOON + minutes * MINUTE, 40, range(30), rng, error=[-1, 0, 1, 2])


def same(one: Window, other: Window) -> bool:
    return one.minutes == other.minutes and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("counts", "tokens", "users")
    )


def test_a_window_holds_what_was_sent_in_it():
    batch = day(minutes=30)
    reader = Reader()
    reader.push(batch)
    window = reader.crowd.between(NOON // MINUTE + 10, NOON + 20 * MINUTE)
    inside = batch[(batch["time"] >= NOON + 10 * MINUTE) & (batch["time"] < NOON + 20 * MINUTE)]
    assert (window.minutes, window.ticks) == (10.0, 60.0)
    assert window.requests == len(inside)
    assert window.tokens.tolist() == [inside["prompt"].sum(), inside["completion"].sum()]
    assert window.of("answers").tolist() == [(inside["error"] == code).sum() for code in (-1, 0, 1, 2)]
    assert (
        window.of("prompt_sizes").tolist() == np.bincount(sizes(inside["prompt"]), minlength=SIZES).tolist()
    )
    assert sorted(window.of("networks")[window.of("networks") > 0]) == sorted(
        np.unique(inside["user"], return_counts=True)[1]
    )
    assert window.users[0] == len(np.unique(np.stack((inside["time"] // TICK, inside["user"])), axis=1).T)


def test_users_count_as_new_once():
    reader = Reader()
    rng = np.random.default_rng(0)
    reader.push(requests(NOON, NOON + 10 * MINUTE, 50, range(20), rng))
    reader.push(requests(NOON + 10 * MINUTE, NOON + 20 * MINUTE, 50, range(30), rng))
    assert reader.crowd.between(0, NOON + 10 * MINUTE).users[1] == 20
    assert reader.crowd.between(NOON // MINUTE + 10, NOON + 20 * MINUTE).users[1] == 10


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 150 * 6), max_size=6), st.sampled_from([TICK, 7 * SECOND, 300 * SECOND]))
def test_cuts_do_not_show(cuts, tick):
    batch = day()
    moments = tuple(NOON + minute * MINUTE // tick * tick for minute in (20, 95, 140))
    whole, parts = Reader(tick), Reader(tick)
    expected = whole.push(batch, moments)
    found = []
    edges = [NOON, *sorted(NOON + cut * TICK for cut in cuts), NOON + 200 * MINUTE]
    number = batch["time"] // tick * tick
    for start, end in pairwise(edges):
        asked = tuple(moment for moment in moments if start < moment <= end)
        found += parts.push(batch[(number >= start) & (number < end)], asked)
    assert all(same(*pair) for pair in zip(found, expected, strict=True))
    last = NOON + 150 * MINUTE
    assert same(parts.crowd.between(0, last), whole.crowd.between(0, last))
    assert whole.crowd.between(0, last).minutes >= MINUTES


def test_what_is_old_is_forgotten_also_after_a_silence():
    reader = Reader()
    rng = np.random.default_rng(0)
    reader.push(requests(NOON, NOON + MINUTE, 5, range(4), rng))
    later = NOON + 60 * MINUTE
    reader.push(requests(later, later + MINUTE, 5, range(3), rng))
    assert reader.crowd.between(0, later + MINUTE).requests == 35
    after = NOON + 3000 * MINUTE
    reader.push(requests(after, after + MINUTE, 5, range(2), rng))
    assert reader.crowd.between(0, after + MINUTE).requests == 10


def test_the_time_before_a_surge_is_kept_while_it_goes_on():
    reader = Reader()
    rng = np.random.default_rng(0)
    start = NOON + 70 * MINUTE
    reader.push(requests(NOON, start, 50, range(20), rng))
    before = reader.crowd.before(start)
    assert (before.minutes, before.requests > 0) == (45.0, True)
    reader.push(requests(start, start + 200 * MINUTE, 500, range(20), rng))
    assert same(reader.crowd.before(start), before)
    assert not same(reader.crowd.before(start + 190 * MINUTE), before)


def test_a_stream_that_has_just_begun_has_no_time_before():
    reader = Reader()
    assert Crowd(TICK).before(NOON).minutes == 0.0
    reader.push(requests(NOON, NOON + 20 * MINUTE, 50, range(20), np.random.default_rng(0)))
    assert reader.crowd.before(NOON + 18 * MINUTE).minutes == 3.0


def test_a_memory_taken_up_goes_on_alike():
    batch = day()
    cut = NOON + 100 * MINUTE
    kept = Reader()
    kept.push(batch[batch["time"] < cut])
    kept.crowd.before(cut)
    again = Reader()
    again.crowd.recall({name: array.copy() for name, array in kept.crowd.memory().items()})
    again.active = kept.active
    assert same(again.crowd.before(cut), kept.crowd.before(cut))
    again.push(batch[batch["time"] >= cut])
    whole = Reader()
    whole.push(batch)
    last = NOON + 150 * MINUTE
    assert same(again.crowd.between(0, last), whole.crowd.between(0, last))


def test_sizes_are_two_classes_per_doubling():
    assert sizes(np.array([0, 1, 2, 3, 4, 5, 7, 1023, 2**62])).tolist() == [
        0,
        2,
        3,
        4,
        4,
        5,
        6,
        20,
        SIZES - 1,
    ]


def test_networks_are_new_for_an_hour_and_a_quarter():
    reader = Reader()
    rng = np.random.default_rng(0)
    for minute in (15, 50, 90):
        begin = NOON + minute * MINUTE
        reader.push(requests(begin, begin + MINUTE, 2, range(3), rng))
    assert reader.crowd.between(0, NOON + 91 * MINUTE).of("new_networks").tolist() == [0, 18]
    reader.push(requests(NOON + 91 * MINUTE, NOON + 92 * MINUTE, 2, range(4), rng))
    assert reader.crowd.between(NOON // MINUTE + 91, NOON + 92 * MINUTE).of("new_networks").tolist() == [6, 2]


def test_what_does_not_come_for_a_week_is_forgotten():
    met = Met()
    first = 10 * WEEK + 5
    value = np.array([7], np.uint16)
    for minute in (first, first + WEEK, first + 2 * WEEK):
        met.note(value, np.array([minute]))
        assert met.first(value) == first
    met.note(np.array([8], np.uint16), np.array([first + 3 * WEEK]))
    met.note(value, np.array([first + 4 * WEEK]))
    assert met.first(value) == first + 4 * WEEK
    assert met.fill == pytest.approx(2 / HASHES)
    again = Met()
    again.recall(met.memory())
    assert np.array_equal(again.first_met, met.first_met)
    assert again.week == met.week


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5 * WEEK), st.integers(0, 3)), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_weeks_and_cuts_do_not_matter_to_what_was_met(rows, cut):
    rows.sort()
    minute = np.array([row[0] for row in rows])
    value = np.array([row[1] for row in rows], np.uint16)
    whole, parts = Met(), Met()
    whole.note(value, minute)
    for part in (slice(0, cut), slice(cut, None)):
        if len(value[part]):
            parts.note(value[part], minute[part])
    assert np.array_equal(whole.first_met, parts.first_met)
