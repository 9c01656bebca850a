"""Messages to events: lines, arrays, poison, and which message it was."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.events import Tally
from seqdetect.source.live.messages import Messages, Rejected, run
from seqdetect.source.parse.header import Layout


def event(number: int, **other: Any) -> dict[str, Any]:
    return {
        "timestamp": f"2026-03-02T00:00:{number % 60:02d}Z",
        "user_id": "ada",
        "prompt_tokens": number,
        "completion_tokens": 1,
        **other,
    }


def one(number: int, **other: Any) -> bytes:
    return json.dumps(event(number, **other)).encode()


def read(values: list[bytes | None], *cuts: int, first: int = 10) -> tuple[list[int], list[Rejected], Tally]:
    """The prompt tokens of the good rows, which are numbers that tell them apart, and what was rejected."""
    tally = Tally()
    messages = Messages("t", Layout(), tally)
    offsets = first + np.arange(len(values))
    edges = [0, *cuts, len(values)]
    runs = [run(values[a:b], offsets[a:b]) for a, b in itertools.pairwise(edges) if a < b]
    table, rejected = messages.read("t-0", runs)
    return table.column("prompt_tokens").to_pylist(), rejected, tally


def test_one_event_per_message():
    good, rejected, tally = read([one(i) for i in range(200)], 50, 120)
    assert good == list(range(200))
    assert (rejected, tally.read) == ([], 200)


@pytest.mark.parametrize(
    "several",
    [
        json.dumps([event(1), event(2)]).encode(),
        json.dumps([event(1), event(2)], indent=2).encode(),
        b" \n" + json.dumps([event(1), event(2)]).encode() + b"\n",
        one(1) + b"\n" + one(2),
        one(1) + b"\r\n" + one(2) + b"\r\n",
        one(1) + b"\n\n" + one(2) + b"\n",
    ],
    ids=["array", "spread", "padded", "lines", "crlf", "blank"],
)
def test_several_events_in_one_message(several):
    good, rejected, tally = read([one(0), several, one(3)])
    assert good == [0, 1, 2, 3]
    assert (rejected, tally.read) == ([], 4)


def test_an_object_over_several_lines_is_one_event():
    good, rejected, _ = read([one(0), json.dumps(event(1), indent=1).encode(), one(2)])
    assert good == [0, 1, 2]
    assert rejected == []


POISON = {
    "no json": (b"hello", "malformed_line"),
    "nul": (b'{"timestamp": "\0"}', "malformed_line"),
    "encoding": ('{"user_id": "Zoë"}'.encode("latin-1"), "malformed_line"),
    "utf-16": (one(1).decode().encode("utf-16"), "malformed_line"),
    "cut": (one(1)[:-1], "malformed_line"),
    "scalar": (b"17", "malformed_line"),
    "array of scalars": (b"[1]", "malformed_line"),
    "deep": (b"[" * 100_000, "malformed_line"),
    "binary": (bytes(range(256)), "malformed_line"),
    "empty": (b"", "empty_message"),
    "none": (None, "empty_message"),
    "blank": (b"\n\r\n", "empty_message"),
    "empty array": (b"[]", "empty_message"),
    "another object": (b'{"hello": 1}', "missing_value"),
    "negative": (one(-1), "negative_tokens"),
    "no user": (one(1, user_id=""), "empty_user"),
    "time": (one(1, timestamp="yesterday"), "bad_timestamp"),
}


@pytest.mark.parametrize(("poison", "reason"), POISON.values(), ids=POISON)
def test_poison_is_named_by_its_offset_and_harms_nobody(poison, reason):
    good, rejected, tally = read([one(0), one(1), poison, one(2)], 1)
    assert good == [0, 1, 2]
    ((offset, why, payload),) = [(r.offset, r.reason, r.payload) for r in rejected]
    assert offset == 12
    assert why.partition(":")[0] == reason
    assert payload == (poison or b"")
    assert tally.read - sum(tally.rejected.values()) == 3
    assert tally.rejected[reason] >= 1
    assert "t-0 offset 12" in tally.examples[0]


def test_good_rows_of_a_message_with_a_bad_one_are_kept():
    mixed = json.dumps([event(1), event(-5), event(2), "x"]).encode()
    good, rejected, tally = read([one(0), mixed, one(3)])
    assert good == [0, 1, 2, 3]
    assert [(r.offset, r.payload) for r in rejected] == [(11, mixed)]
    assert tally.rejected == {"negative_tokens": 1, "malformed_line": 1}


def test_nothing_but_poison():
    good, rejected, tally = read([b"", b"x", b"[]"])
    assert good == []
    assert [r.offset for r in rejected] == [10, 11, 12]
    assert tally.read == 3


def test_an_address_does_not_stand_in_for_a_user():
    _, rejected, _ = read([one(1, client_ip="10.0.0.1"), one(2, user_id=None, client_ip="10.0.0.1")])
    assert [(r.offset, r.reason) for r in rejected] == [(11, "empty_user")]


PARTS = st.one_of(
    st.integers(0, 10**6).map(lambda n: ([n], one(n))),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=4).map(
        lambda ns: (ns, json.dumps([event(n) for n in ns]).encode())
    ),
    st.sampled_from([([], value) for value, _ in POISON.values()]),
    st.binary(max_size=30).map(lambda junk: ([], junk)),
)


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=12), data=st.data())
def test_any_mixture_in_any_runs(parts, data):
    values = [value for _, value in parts]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(values)), max_size=3)))
    good, rejected, _ = read(values, *cuts)
    assert good == [number for numbers, _ in parts for number in numbers]
    assert [r.offset for r in rejected] == [10 + i for i, (numbers, _) in enumerate(parts) if not numbers]
