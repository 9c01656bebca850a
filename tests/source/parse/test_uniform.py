"""Lines read as columns at once give what they give one by one, or are left alone."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.events import Tally, concat
from seqdetect.source.parse import jsonl
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept
from seqdetect.source.parse.uniform import Uniform

GOOD = {"timestamp": "2026-03-02T10:00:00.5Z", "user_id": "u", "prompt_tokens": 3, "completion_tokens": 4}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 2000), st.sampled_from([2**53 + 1, 2**63, -(2**70), 1e300, 12.0, 12.5]),
    st.sampled_from(["", "7", "12.0", "x", "ü", "\ud800", "a\nb", "a\0b", "2026-03-02", "1e3", "0x1f", '"', "\\"]),
    st.lists(st.integers(0, 1), max_size=2), st.dictionaries(st.sampled_from(["a", "user_id"]), st.integers(), max_size=1),
)  # fmt: skip
KEYS = st.sampled_from(
    [
        *GOOD,
        "user",
        "model",
        "Model",
        "status",
        "status_code",
        "latency_ms",
        "event_id",
        "id",
        "path",
        "note",
        "ip",
    ]
)
LINES = st.one_of(
    st.dictionaries(KEYS, VALUES, max_size=4).map(lambda more: json.dumps(GOOD | more)),
    st.dictionaries(KEYS, VALUES, max_size=3).map(json.dumps),
    st.sampled_from([None, "", "NaN", "Infinity", 1]).map(lambda more: json.dumps(GOOD | {"note": float("nan"), "other": more})),
    st.sampled_from([300, 3000]).map(lambda deep: json.dumps(GOOD)[:-1] + ',"note":' + "[" * deep + "]" * deep + "}"),
    st.sampled_from(["", "{}", "{}{}", "[]", "{", '{"a":{}', '{"user_id":"u","user_id":"v"}', " {}", "{} ", "\ufeff{}", "{}\r"]),
)  # fmt: skip


def read(lines: list[str], rows: int, monkeypatch: Any, alone: bool) -> tuple[Any, ...]:
    data = b"".join(line.encode("utf-8", "surrogatepass") + b"\n" for line in lines)
    tally = Tally()
    pieces = [data[start : start + 64 * rows] for start in range(0, len(data), 64 * rows)]
    with monkeypatch.context() as patch:
        patch.setattr("seqdetect.source.parse.lines._BYTES_PER_ROW", 64)
        if alone:
            patch.setattr(Uniform, "block", lambda *_: None)
        try:
            blocks = list(jsonl.read(Stream("x", data, iter(pieces)), Layout(), rows))
        except ValueError as error:
            return (str(error),)
    tables = [accept(block, Layout(), tally) for block in blocks]
    return concat(tables).to_pylist(), tally.read, dict(tally.rejected), tally.examples


@settings(max_examples=400, deadline=None)
@given(lines=st.lists(LINES, min_size=1, max_size=12), rows=st.integers(1, 30))
def test_any_lines_are_read_as_they_are_one_by_one(lines, rows):
    with pytest.MonkeyPatch.context() as monkeypatch:
        both = [read([json.dumps(GOOD), *lines], rows, monkeypatch, alone) for alone in (False, True)]
    assert repr(both[0]) == repr(both[1])


def uniform(head: dict[str, Any], certain: set[str]) -> Uniform:
    spellings = {own: [own] for own in GOOD} | {"model": ["model", "Model"], "status": ["status"]}
    return Uniform(spellings, head, certain)


def lines(*objects: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in objects)


def test_lines_that_are_alike_are_read_as_columns():
    block = uniform(GOOD, set(GOOD)).block(lines(GOOD, GOOD | {"note": [1]}), 7, "x")
    assert block is not None
    assert block.numbers.tolist() == [7, 8]
    assert block.columns["prompt_tokens"].equals(pa.array([3, 3]))
    assert "model" not in block.columns


def test_another_spelling_counts_where_the_first_has_no_value():
    head = GOOD | {"model": "a", "Model": "b"}
    block = uniform(head, {*GOOD, "model"}).block(lines(GOOD | {"model": "a"}, GOOD | {"Model": "b"}), 1, "x")
    assert block is not None
    assert block.columns["model"].to_pylist() == ["a", "b"]


def test_a_key_that_comes_later_is_learned():
    one = uniform(GOOD, set(GOOD))
    block = one.block(lines(GOOD, GOOD | {"status": 200, "note": "x"}), 1, "x")
    assert block is not None
    assert block.columns["status"].to_pylist() == [None, 200]
    assert one.block(lines(GOOD | {"status": "odd"}), 1, "x") is None


@pytest.mark.parametrize(
    "data",
    [
        lines(GOOD)[:-2] + b"\n",
        lines(GOOD) + b"\n",
        b"{}{}\n",
        lines(GOOD | {"prompt_tokens": "3"}),
        lines(GOOD | {"user_id": 3}),
        b'{"user_id":"\xff"}\n',
        b'{"user_id":"\\ud800"}\n',
        b'{"user_id":"\0"}\n',
        b'{"user_id":"u",\n"prompt_tokens":1}\n',
        b'{"user_id":"u","note":NaN}\n',
        b'{"user_id":"u","note":[1, -Infinity]}\n',
        b'{"user_id":"u","note":' + b"[" * 3000 + b"]" * 3000 + b"}\n",
    ],
)
def test_what_is_odd_is_left_to_the_other_way(data):
    assert uniform(GOOD, set(GOOD)).block(data, 1, "x") is None


def test_a_whole_number_that_a_fraction_cannot_hold_is_left_to_the_other_way():
    fractions = uniform(GOOD | {"timestamp": 1.5}, set(GOOD))
    near = 2**53
    assert (
        fractions.block(lines(GOOD | {"timestamp": near - 1}, GOOD | {"timestamp": 1.5}), 1, "x") is not None
    )
    assert fractions.block(lines(GOOD | {"timestamp": near + 1}, GOOD | {"timestamp": 1.5}), 1, "x") is None


def test_a_stream_of_odd_blocks_is_not_tried_each_time(monkeypatch):
    tried = []
    one = uniform(GOOD, set(GOOD))
    monkeypatch.setattr(one, "_block", lambda *_: tried.append(1))
    for _ in range(1000):
        assert one.block(b"x\n", 1, "x") is None
    assert len(tried) < 30
