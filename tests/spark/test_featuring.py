"""A group's memory in Spark's state: however time is cut into micro batches, the steps are those of the stream."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("pyspark", reason="Spark's tests need the extra [spark]")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "serving" / "spark"))

import spark_streams as streams
from seqdetect_spark.featuring import COUNT, Group
from seqdetect_spark.packs import Packer
from seqdetect_spark.scoring import rows_of

from seqdetect.events import Tally
from seqdetect.sequence.requests import Keys
from seqdetect.sequence.stream import Stream

TICK_S, LATENESS_S = 10.0, 20.0
TICK_US = round(TICK_S * 1e6)


def cut(events: pa.Table, seed: int) -> list[pa.Table]:
    edges = np.sort(np.random.default_rng(seed).integers(0, events.num_rows, 8)).tolist()
    return [events.slice(a, b - a) for a, b in zip([0, *edges], [*edges, events.num_rows], strict=True)]


@pytest.mark.parametrize("seed", range(5))
def test_the_cut_into_micro_batches_changes_nothing(events: pa.Table, seed: int) -> None:
    arrivals = streams.disordered(events.slice(0, 1_500))
    stream = Stream(TICK_S, LATENESS_S, Tally())
    want = stream.push(arrivals)
    packer, memory, keys = Packer(TICK_US, groups=1), None, Keys()
    steps, counts, duplicates, latest, closed = [], {}, 0, 0, 0
    for part in [*cut(arrivals, seed), None]:  # time comes one micro batch after the events that move it
        group = Group(TICK_US, memory)
        if part is not None and part.num_rows:
            content = pa.array(streams.lines(part), pa.binary())
            (packed,) = packer(iter([pa.record_batch([content], ["value"])]))
            rows = packed.slice(0, packed.num_rows - 1)
            group.take(rows.column("users").to_pylist(), rows.column("requests").to_pylist(), closed)
            latest = max(latest, int(part.column("timestamp").cast(pa.int64()).to_numpy().max()))
        row = group.complete(closed)
        if row is not None:
            steps.append(rows_of(row[0], row[1], keys))
            counts |= {int(one["number"]): one["counts"] for one in np.frombuffer(row[2], COUNT)}
            duplicates += row[3]
        due = group.due()
        assert due is None or due * 1000 > closed - 1000
        group.timer = due
        memory = group.memory()
        closed = round(latest - LATENESS_S * 1e6) // TICK_US * TICK_US
    found = np.concatenate(steps)
    order = np.lexsort(([stream.keys.names.index(keys.names[row]) for row in found["user"]], found["tick"]))
    np.testing.assert_array_equal(found["tick"][order], want.steps.tick)
    np.testing.assert_array_equal(found["features"][order], want.steps.features)
    np.testing.assert_array_equal(found["tokens"][order], want.steps.tokens)
    np.testing.assert_array_equal([(number + 1) * TICK_US for number in counts], want.ticks)
    assert duplicates == stream.tally.rejected["duplicate"] > 0


def test_an_open_tick_is_due_when_its_end_is_reached() -> None:
    group = Group(TICK_US, None)
    assert group.due() is None
    content = b'{"timestamp":"1970-01-01T00:00:12Z","user_id":"u","prompt_tokens":1,"completion_tokens":1}'
    (packed,) = Packer(TICK_US)(iter([pa.record_batch([pa.array([content])], ["value"])]))
    group.take(packed.column("users").to_pylist()[:1], packed.column("requests").to_pylist()[:1], 0)
    assert group.due() == 19_999
    assert group.complete(10_000_000) is None
    assert group.complete(20_000_000) is not None
    assert group.due() is None
