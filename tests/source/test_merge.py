"""Several files become one stream that is as orderly as they are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect import events
from seqdetect.source.merge import HOUR, LOOKAHEAD_ROWS, Part, merge, times

SECOND = events.MICROSECONDS


def table_of(stamps: list[int], user: str) -> pa.Table:
    count = len(stamps)
    return events.conform(
        pa.table(
            {
                "timestamp": pa.array(stamps, pa.int64()).cast(pa.timestamp("us", "UTC")),
                "user_id": [user] * count,
                "prompt_tokens": list(range(count)),
                "completion_tokens": [0] * count,
            }
        )
    )


def parts_of(files: list[list[int]], rows: int, opened: list[int] | None = None) -> list[Part]:
    def reading(index: int) -> Iterator[pa.Table]:
        if opened is not None:
            opened.append(index)
        yield from events.chunks(table_of(files[index], f"u{index}"), rows)

    return [
        Part(min(stamps[:64], default=None), lambda index=index: reading(index))
        for index, stamps in enumerate(files)
    ]


def merged(files: list[list[int]], rows: int = 4) -> pa.Table:
    return events.concat(merge(parts_of(files, rows), rows))


def lateness(stamps: np.ndarray) -> int:
    """The most that a time lies behind an earlier one."""
    return int((np.maximum.accumulate(stamps) - stamps).max()) if len(stamps) else 0


# Within an hour of each other: nothing here is a broken clock.
FILE = st.lists(st.integers(0, HOUR), max_size=30)
SORTED = FILE.map(sorted)


@settings(max_examples=150, deadline=None)
@given(files=st.lists(FILE | SORTED, min_size=1, max_size=4), rows=st.integers(1, 8))
def test_the_stream_is_as_orderly_as_its_files(files: list[list[int]], rows: int) -> None:
    table = merged(files, rows)
    worst = max(lateness(np.array(stamps, np.int64)) for stamps in files)
    assert lateness(times(table)) <= worst
    for index, stamps in enumerate(files):
        mine = table.filter(pa.compute.equal(table.column("user_id").cast(pa.string()), f"u{index}"))
        assert times(mine).tolist() == stamps
        assert mine.column("prompt_tokens").to_pylist() == list(range(len(stamps)))


@settings(max_examples=50, deadline=None)
@given(files=st.lists(FILE | SORTED, min_size=1, max_size=4), rows=st.integers(1, 8))
def test_the_size_of_the_batches_does_not_show(files: list[list[int]], rows: int) -> None:
    assert merged(files, rows).to_pylist() == merged(files, 1_000).to_pylist()


def test_a_file_is_opened_when_the_stream_gets_there() -> None:
    opened: list[int] = []
    days = [[day * 1_000 + second for second in range(100)] for day in (2, 0, 1)]
    stream = merge(parts_of(days, 10, opened), 10)
    next(stream)
    assert opened == [1]
    rest = events.concat(stream)
    assert opened == [1, 2, 0]
    assert np.all(np.diff(times(rest)) >= 0)


def test_batches_have_the_rows_asked_for() -> None:
    sizes = [batch.num_rows for batch in merge(parts_of([list(range(25)), list(range(25))], 7), 7)]
    assert sizes == [7] * 7 + [1]


def test_a_broken_clock_does_not_hold_its_file_back() -> None:
    wrong = [second * SECOND for second in range(200)]
    for at in (0, 20, 21, 199 - LOOKAHEAD_ROWS):
        wrong[at] += 10_000 * HOUR
    right = [second * SECOND for second in range(200)]
    table = merged([wrong, right], 16)
    stamps = times(table)
    believed = stamps[stamps < 5_000 * HOUR]
    assert np.all(np.diff(believed) >= 0)
    assert len(believed) == 396


def test_files_may_be_empty_and_columns_may_differ() -> None:
    first = table_of([0, 2], "a").append_column("status", pa.array([200, 200], pa.int16()))
    second = table_of([1], "b")
    parts = [Part(None, lambda: iter([])), Part(0, lambda: iter([first])), Part(1, lambda: iter([second]))]
    table = events.concat(merge(parts, 10))
    assert table.column("status").to_pylist() == [200, None, 200]
    assert list(merge([], 10)) == []
