"""What waits in memory: in order, within its bounds, and counted once."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import event, ids, jsonl

from seqdetect.events import EXAMPLES_KEPT, Tally
from seqdetect.source.live import BATCH_ROWS
from seqdetect.source.live.intake import Counts, FullError, Queue
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout


def table(*numbers: int, **changes: object) -> pa.Table:
    return Reader(Layout()).read(jsonl(*(event(n, **changes) for n in numbers)), "here", Tally())


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(1, 40), max_size=12), most=st.integers(1, 100))
def test_what_is_put_comes_out_in_order_and_no_more_than_fits(sizes: list[int], most: int) -> None:
    queue = Queue(most, 1 << 30)
    put: list[str] = []
    for size in sizes:
        new = table(*range(len(put), len(put) + size))
        if queue.rows < most:
            queue.put(new).result(0)
            put += ids(new)
        else:
            with pytest.raises(FullError):
                queue.put(new)
    assert queue.rows == len(put) < most + 40
    assert ids(queue.take(0.0)) == put
    assert (queue.rows, queue.bytes, queue.empty) == (0, 0, True)


def test_tables_with_other_columns_come_together() -> None:
    queue = Queue(100, 1 << 30)
    queue.put(table(0, model="m"))
    queue.put(table(1, status=200))
    taken = queue.take(0.0)
    assert taken is not None
    assert taken.column("model").to_pylist() == ["m", None]
    assert taken.column("status").to_pylist() == [None, 200]


def test_large_tables_are_handed_on_in_batches() -> None:
    queue = Queue(10 * BATCH_ROWS, 1 << 30)
    many = pa.concat_tables([table(*range(1_000))] * 150)
    queue.put(many)
    sizes = [queue.take(0.0).num_rows for _ in range(3)]
    assert sizes == [BATCH_ROWS, BATCH_ROWS, 150_000 - 2 * BATCH_ROWS]
    assert queue.take(0.0) is None


def test_waiting_ends_when_something_comes_or_the_queue_is_closed() -> None:
    queue = Queue(100, 1 << 30)
    timers = [threading.Timer(0.05, queue.put, (table(0),)), threading.Timer(0.1, queue.close)]
    for timer in timers:
        timer.start()
    assert ids(queue.take(30.0)) == ["e0"]
    assert queue.take(30.0) is None
    for timer in timers:
        timer.join()


def test_a_queue_holds_something() -> None:
    for rows, size in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="nothing"):
            Queue(rows, size)


def test_counts_move_once() -> None:
    counts, into = Counts(), Tally()
    for number in range(20):
        tally = Tally(read=3)
        tally.reject("bad", f"line {number}", "x")
        counts.add(tally)
    counts.settle(into)
    counts.settle(into)
    assert (into.read, dict(into.rejected), len(into.examples)) == (60, {"bad": 20}, EXAMPLES_KEPT)
