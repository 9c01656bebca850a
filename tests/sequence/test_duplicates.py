"""Repeated deliveries: the same decisions however the stream is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.duplicates import Duplicates
from seqdetect.sequence.requests import REQUEST


def batch(rows: list[tuple[int, int]]) -> np.ndarray:
    out = np.zeros(len(rows), REQUEST)
    out["event_id"] = [name for name, _ in rows]
    out["time"] = [second * MICROSECONDS for _, second in rows]
    return out


def test_an_id_that_keeps_coming_is_one_event_as_long_as_the_gaps_are_short():
    kept = Duplicates(Tally()).push(batch([(1, 0), (1, 500), (1, 1000), (1, 2000)]), None)
    assert (kept["time"] / MICROSECONDS).tolist() == [0, 2000]


def test_only_the_latest_time_of_an_id_is_remembered():
    one = Duplicates(Tally())
    one.push(batch([(1, second) for second in range(300)] + [(2, 5)]), None)
    assert sorted(one.ids.tolist()) == [1, 2]


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000)), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
)
def test_batches_do_not_matter(rows, cuts):
    whole, parts = Duplicates(Tally()), Duplicates(Tally())
    stream = batch(rows)
    pieces = np.split(stream, sorted(min(cut, len(rows)) for cut in cuts))
    got = np.concatenate([parts.push(piece, None) for piece in pieces])
    assert got.tolist() == whole.push(stream, None).tolist()
    assert parts.tally.rejected == whole.tally.rejected
