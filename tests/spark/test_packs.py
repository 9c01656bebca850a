"""Lines to packs and back: nothing lost, nothing filed under another user. Needs no Spark."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "serving" / "spark"))

import spark_streams as streams
from seqdetect_spark.packs import Packer, tick_us, unpacked

from seqdetect.sequence.requests import Keys, ordered, requests

TICK_US = 10_000_000


def packed(content: list[bytes], groups: int = 0) -> pa.RecordBatch:
    (found,) = Packer(TICK_US, groups=groups)(
        iter([pa.record_batch([pa.array(content, pa.binary())], ["value"])])
    )
    return found


@pytest.mark.parametrize("groups", [0, 2])
def test_packs_hold_each_request_once(events: pa.Table, groups: int) -> None:
    some = events.slice(0, 500)
    found = packed(streams.lines(some), groups)
    rows = found.slice(0, found.num_rows - 1)
    keys, own = Keys(), Keys()
    users, packs = rows.column("users").to_pylist(), rows.column("requests").to_pylist()
    got, want = unpacked(users, packs, keys), requests(some, own)
    for records, table in ((got, keys), (want, own)):
        names = sorted(table.names)
        records["user"] = [names.index(table.names[row]) for row in records["user"]]
    np.testing.assert_array_equal(ordered(got), ordered(want))


def test_a_pack_is_one_group_in_one_tick(events: pa.Table) -> None:
    found = packed(streams.lines(events.slice(0, 500)), 2)
    rows = found.slice(0, found.num_rows - 1).to_pylist()
    places = [(row["group"], row["closes"]) for row in rows]
    assert len(set(places)) == len(places)
    assert {group for group, _ in places} == {"0", "1"}
    for row in rows:
        times = unpacked([row["users"]], [row["requests"]], Keys())["time"]
        closes = round(row["closes"].timestamp() * 1e6)
        assert ((times >= closes - TICK_US) & (times < closes)).all()


def test_bad_lines_are_counted() -> None:
    good = b'{"timestamp":"2026-03-02T00:00:00Z","user_id":"u","prompt_tokens":1,"completion_tokens":1}'
    bad = [b"{", b'{"timestamp":1}', good.replace(b'u"', b'"'), good.replace(b":1}", b":-1}")]
    folded = good.replace(b",", b",\n")
    *rows, counts = packed([good, *bad, folded]).to_pylist()
    assert (counts["read"], counts["rejected"], counts["group"]) == (6, 4, None)
    assert "Spark line" in counts["example"]
    assert [row["group"] for row in rows] == ["u"]
    assert len(unpacked([row["users"] for row in rows], [row["requests"] for row in rows], Keys())) == 2


def test_no_lines_are_no_packs() -> None:
    assert packed([]).to_pylist()[0]["read"] == 0


def test_a_tick_must_be_whole_milliseconds() -> None:
    assert tick_us(2.5) == 2_500_000
    with pytest.raises(ValueError, match="milliseconds"):
        tick_us(0.0005)
