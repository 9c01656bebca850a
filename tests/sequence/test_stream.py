"""Any chunking, any interleaving and any disorder within the lateness give the same steps, to the bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import traffic
from seqdetect.events import Tally, conform
from seqdetect.sequence.order import HELD_LIMIT
from seqdetect.sequence.stream import History, Stream, history

TABLE = traffic(users=4, hours=6, rate_s=0.05)


def steps_by_name(parts: list[History], names: list[str]) -> dict[tuple[str, int], bytes]:
    return {
        (names[user], int(tick)): features.tobytes()
        + part.population[np.searchsorted(part.ticks, tick)].tobytes()
        for part in parts
        for user, tick, features in zip(part.steps.user, part.steps.tick, part.steps.features, strict=True)
    }


def streamed(table: pa.Table, cuts: list[int]) -> dict[tuple[str, int], bytes]:
    stream = Stream(10.0, 10.0, Tally())
    edges = [0, *sorted(cuts), table.num_rows]
    parts = [stream.push(table.slice(a, b - a)) for a, b in pairwise(edges)]
    parts.append(stream.flush())
    assert stream.tally.late == 0
    return steps_by_name(parts, stream.keys.names)


@pytest.fixture(scope="module")
def whole() -> dict[tuple[str, int], bytes]:
    all_steps, keys = history(TABLE, 10.0, Tally())
    return steps_by_name([all_steps], keys.names)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, TABLE.num_rows), max_size=30), seed=st.integers(0, 2**31))
def test_chunks_and_disorder_do_not_matter(whole, cuts, seed):
    times = TABLE.column("timestamp").cast(pa.int64()).to_numpy()
    delay = np.random.default_rng(seed).uniform(0, 9.9e6, len(times))
    arrival = TABLE.take(pa.array(np.argsort(times + delay, kind="stable")))
    assert streamed(arrival, cuts) == whole


def test_one_event_at_a_time(whole):
    table = TABLE.slice(0, 300)
    expected, keys = history(table, 10.0, Tally())
    assert streamed(table, list(range(300))) == steps_by_name([expected], keys.names)


def test_ties_in_time_are_ordered_by_content(whole):
    early = TABLE.slice(0, 50)
    same = early.set_column(0, "timestamp", pa.array([early.column("timestamp")[0]] * 50))
    shuffled = same.take(pa.array(np.random.default_rng(1).permutation(50)))
    assert streamed(same, []) == streamed(shuffled, [7, 30])


def test_population_is_one_tick_late():
    all_steps, _ = history(TABLE, 10.0, Tally())
    assert all_steps.population[0].tolist() == [0.0] * 7
    assert all_steps.population[1][0] > 0


def test_duplicates_are_dropped_by_id_alone():
    table = TABLE.slice(0, 20)
    ids = pa.array([f"id-{i}" for i in range(20)])
    named = table.append_column("event_id", ids)
    tally = Tally()
    twice, _ = history(pa.concat_tables([named, named.slice(3, 5)]), 10.0, tally)
    assert tally.rejected == {"duplicate": 5}
    unnamed, _ = history(pa.concat_tables([table, table.slice(3, 5)]), 10.0, Tally())
    once, _ = history(named, 10.0, Tally())
    assert np.array_equal(twice.steps.tokens, once.steps.tokens)
    assert unnamed.steps.tokens.sum() > once.steps.tokens.sum()


def test_nobody_can_have_the_event_of_another_user_dropped():
    table = TABLE.slice(0, 20)
    named = table.append_column("event_id", pa.array([f"id-{i}" for i in range(20)]))
    place = named.column_names.index("user_id")
    replayed = named.set_column(place, "user_id", pa.array(["somebody else"] * 20).dictionary_encode())
    tally = Tally()
    stream = Stream(10.0, 10.0, tally)
    for part in (replayed, named, named):
        stream.push(conform(part))
    assert tally.rejected == {"duplicate": 20}


def test_ids_of_times_that_never_come_do_not_pile_up():
    stream = Stream(10.0, 10.0, Tally())
    stream.push(TABLE)
    for number in range(60):
        ids = pa.array([f"{number}-{i}" for i in range(60)])
        times = pa.array(np.full(60, 4_070_908_800_000_000 + number)).cast(pa.timestamp("us", "UTC"))
        flood = TABLE.slice(0, 60).append_column("event_id", ids)
        stream.push(conform(flood.set_column(0, "timestamp", times)))
        stream.push(TABLE.slice(TABLE.num_rows - 80))
    assert stream.tally.rejected["far_future"] == 60 * 60 - HELD_LIMIT
    assert len(stream.duplicates.ids) == HELD_LIMIT
