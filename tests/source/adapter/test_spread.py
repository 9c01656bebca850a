"""Counts as requests that add up to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqdetect.source.adapter.record import Row
from seqdetect.source.adapter.spread import Counted, spread

COUNTS = st.integers(0, 10**15)


@given(st.integers(0, 2**50), st.integers(1, 10**9), st.integers(0, 500), COUNTS, COUNTS, st.integers(1, 300))
def test_tokens_add_up_and_times_lie_within(start, width, requests, prompt, completion, most):
    of = Counted(start, start + width, requests, prompt, completion)
    rows = list(spread(of, Row(0, "u", 0, 0, "m"), most))
    assert len(rows) == min(most, requests) or (requests == 0 and len(rows) == (prompt + completion > 0))
    assert sum(row.prompt_tokens for row in rows) == (prompt if rows else 0)
    assert sum(row.completion_tokens for row in rows) == (completion if rows else 0)
    times = [row.timestamp for row in rows]
    assert times == sorted(times)
    assert all(start <= one <= start + width for one in times)
    for counts in ([row.prompt_tokens for row in rows], [row.completion_tokens for row in rows]):
        assert not counts or max(counts) - min(counts) <= 1
    assert rows == list(spread(of, Row(0, "u", 0, 0, "m"), most))
    assert all(row.user_id == "u" and row.model == "m" for row in rows)
