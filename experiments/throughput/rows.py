"""Events to feature rows, no model: one way of reading, in one process.

    python experiments/throughput/rows.py parse|jsonl < EVENTS.jsonl
    python experiments/throughput/rows.py parquet|arrow EVENTS.parquet

``parse`` stops at the event table. Time runs from the ``HEAD_EVENTS``-th event on: imports, first-time work and the
users' first ticks are before it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pinned import say
from traffic import HEAD_EVENTS

from seqdetect.events import Tally, chunks, conform
from seqdetect.sequence.stream import Stream
from seqdetect.source.files import Files

TICK_S = LATENESS_S = 10.0


def source(way: str, path: str, tally: Tally) -> Iterator[pa.Table]:
    """Event tables: read from ``path``, or already there."""
    if way == "arrow":
        return chunks(conform(pq.read_table(path)))
    return Files(path).read(tally)


def measure(way: str, path: str) -> dict[str, float]:
    """Events and steps after the head, and what they took."""
    tally = Tally()
    stream = Stream(TICK_S, LATENESS_S, tally)
    events = steps = warm = 0
    for table in source(way, path, tally):
        events += table.num_rows
        if way != "parse":
            steps += len(stream.push(table).steps)
        if not warm and events >= HEAD_EVENTS:
            warm, before = events, steps
            cpu, wall = time.process_time(), time.perf_counter()
    steps += len(stream.flush().steps)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"events": events - warm, "steps": steps - before, "cpu_s": cpu, "wall_s": wall}


if __name__ == "__main__":
    pa.set_cpu_count(1)
    say(**measure(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "-"))
