"""Whatever stands in a record, it is an event, rejected or skipped: nothing else happens, and its neighbours stay."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import GOLDEN, golden

from seqdetect.events import Tally
from seqdetect.source.adapter import FORMATS
from seqdetect.source.adapter.adapted import Adapted
from seqdetect.source.parse.header import Layout

KONG = [json.loads(line) for line in (GOLDEN / "kong" / "ai-proxy.jsonl").read_bytes().splitlines()]
RECORDS: dict[str, list[Any]] = {
    "litellm": [
        {k: v for k, v in body[0].items() if k not in ("messages", "response", "hidden_params", "model_map_information")}
        for body in golden("litellm/generic_api.json")[3:5]
    ],
    "otlp": golden("otlp/traces.json")[:1],
    "kong": [KONG[0], KONG[4]],
    "nginx": [{"time": "1772409600.5", "user": "ada", "prompt_tokens": "1", "completion_tokens": "2", "status": "200",
               "request_time": "0.1", "client_ip": "192.0.2.1"}],
    "openai": [{"id": "a", "object": "response", "created_at": 1_772_409_600, "completed_at": 1_772_409_601.5, "user": "ada",
                "model": "m", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}}],
    "openai_usage": [{"object": "page", "data": [{"object": "bucket", "start_time": 1_772_409_600,
                      "end_time": 1_772_409_660, "results": [{"input_tokens": 9, "output_tokens": 4,
                      "num_model_requests": 2, "user_id": "ada", "model": "m"}]}]}],
}  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [-1, 0, 2**31, 2**53, 2**62, 2**63, 2**64, 10**30, -(10**30), 10**18, 1e18, 1e300, 5e-324, -0.5]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["", " ", "-", "9" * 30, "9" * 5_000, "1e5", "nan", "0x10", "\u0664", "STATUS_CODE_ERROR", "\x00"]
    ),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in ``value``."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += places(value[key], (*path, key))
    return found


def changed(record: Any, path: tuple[Any, ...], value: Any) -> Any:
    record = copy.deepcopy(record)
    inner = record
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return record


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_strange_value_costs_no_more_than_its_record(format: str, data: st.DataObject):
    good = data.draw(st.sampled_from(RECORDS[format]))
    path = data.draw(st.sampled_from(places(good)))
    strange = changed(good, path, data.draw(VALUES))
    tally, alone = Tally(), Tally()
    reader = Adapted(FORMATS[format](()), Layout())
    usual = reader.read(json.dumps(good).encode() + b"\n", "x", alone).num_rows
    assert usual
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in (good, strange, good))
    table = reader.read(lines, "x", tally)
    assert table.num_rows + sum(tally.rejected.values()) == tally.read
    assert table.num_rows >= 2 * usual


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=50, deadline=None)
@given(line=st.binary(max_size=60).map(lambda one: one.replace(b"\n", b"")))
def test_any_bytes_are_at_most_one_rejected_line(format: str, line: bytes):
    tally = Tally()
    table = Adapted(FORMATS[format](()), Layout()).read(line + b"\n", "x", tally)
    assert table.num_rows == 0
    assert tally.read + tally.skipped <= 1


def test_half_a_surrogate_pair_hides_nobody() -> None:
    """Python reads ``"\\ud800"`` in a request and writes it into the log again; a prompt or a name may hold it."""
    for name in ("litellm", "kong", "openai", "nginx"):
        plain = json.dumps(
            RECORDS[name][0]
            | {"messages": "a\\ud800 \ud83d\ude00", "prompt": "\udc00\ud800", "end_user": "e\ud800"}
        )
        tally = Tally()
        table = Adapted(FORMATS[name](()), Layout()).read(plain.encode() + b"\n", "body", tally)
        assert (table.num_rows, tally.rejected) == (1, {}), name
