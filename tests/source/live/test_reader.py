"""An event means the same whatever it came with."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import event, jsonl

from seqdetect.events import SCHEMA, Tally
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout


def read(data: bytes, **layout: Any) -> tuple[pa.Table, Tally]:
    tally = Tally()
    return Reader(Layout(**layout)).read(data, "here", tally), tally


def users(data: bytes, **layout: Any) -> list[str]:
    return read(data, **layout)[0].column("user_id").to_pylist()


def renamed(**names: Any) -> dict[str, Any]:
    return {key: value for key, value in (event(0) | names).items() if value is not ...}


def test_other_names_of_a_user_count_but_nothing_else_stands_in() -> None:
    lines = jsonl(
        renamed(user_id=..., end_user="a", client_ip="10.0.0.1"),
        renamed(user_id=None, user="b"),
        renamed(user_id=..., client_ip="10.0.0.1"),
        renamed(user_id="", user="c"),
        renamed(user_id=..., api_key="k"),
    )
    table, tally = read(lines)
    assert table.column("user_id").to_pylist() == ["a", "b"]
    assert tally.rejected == {"empty_user": 3}


def test_what_was_named_stands_in() -> None:
    line = jsonl(renamed(user_id=..., api_key="k", client_ip="10.0.0.1"))
    assert users(line, columns={"user_id": "api_key"}) == ["k"]
    assert users(line, key="client_ip") == ["10.0.0.1"]


def test_numbers_of_lines_go_on() -> None:
    tally = Tally()
    Reader(Layout()).read(
        b"\n" + jsonl(event(0, prompt_tokens=-1)) + b"x\n", "f", tally, first=10, unit="item"
    )
    assert tally.examples[0].startswith("f item 11 field prompt_tokens")
    assert tally.examples[1].startswith("f item 12: ")


@pytest.mark.parametrize("data", [b"", b"\n", b"  \n\n"])
def test_nothing(data: bytes) -> None:
    table, tally = read(data)
    assert (table.num_rows, tally.read, tally.rejected.total()) == (0, 0, 0)


NAMES = ["timestamp", "ts", "user_id", "user", "end_user", "client_ip", "prompt_tokens", "input_tokens"]
NAMES += ["completion_tokens", "model", "status", "status_code", "event_id", "id", "note"]
VALUES = st.one_of(
    st.none(),
    st.integers(-3, 2_000_000_000),
    st.sampled_from(["", "a", "7", "7.5", "\\", '"user"', "ü"]),
    st.just(1.5),
)
MIXED = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6).map(lambda odd: event(1) | odd)


PLAIN = [jsonl(event(n)) for n in range(200)]  # enough for the way of many lines
ALONE = [read(line)[0].to_pylist() for line in PLAIN]


@settings(deadline=None, max_examples=60)
@given(odd=st.lists(MIXED, min_size=1, max_size=8), place=st.sampled_from([0, 100]))
def test_many_lines_at_once_are_read_like_each_alone(odd: list[dict[str, Any]], place: int) -> None:
    lines = [jsonl(one) for one in odd]
    together, tally = read(b"".join([*PLAIN[:place], *lines, *PLAIN[place:]]))
    alone = [read(line) for line in lines]
    assert tally.rejected == sum((other.rejected for _, other in alone), Tally().rejected)
    rows = [*ALONE[:place], *(table.to_pylist() for table, _ in alone), *ALONE[place:]]
    names = together.column_names
    assert together.to_pylist() == [{name: row.get(name) for name in names} for one in rows for row in one]
    assert set(names) <= set(SCHEMA.names)


def test_many_lines_have_their_own_names() -> None:
    lines = [renamed(user_id=..., end_user=f"u{n}", timestamp=..., ts=1_772_409_600 + n) for n in range(300)]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    table, tally = read(data)
    assert table.column("user_id").to_pylist() == [f"u{n}" for n in range(300)]
    assert tally.rejected.total() == 0


@pytest.mark.parametrize("other", [1.5, 10**30, True, [], {}, {"a": 1}, "text", None])
@pytest.mark.parametrize("column", ["user_id", "event_id", "prompt_tokens", "timestamp"])
def test_what_one_sender_writes_does_not_change_what_another_one_means(column: str, other: object) -> None:
    for value in (1_772_409_600_123_456_789, 17, "17", {}, [], True, 0.5):
        lines = [jsonl(event(0) | {column: value}), jsonl(event(1) | {column: other})]
        together, tally = read(b"".join(lines))
        alone = [read(line) for line in lines]
        rows = [row for table, _ in alone for row in table.to_pylist()]
        assert together.to_pylist() == [
            {name: row.get(name) for name in together.column_names} for row in rows
        ]
        assert tally.rejected == alone[0][1].rejected + alone[1][1].rejected
