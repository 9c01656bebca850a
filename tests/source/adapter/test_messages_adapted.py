"""Foreign records as Kafka messages: which message it was, and that nothing of it is kept."""

from __future__ import annotations

import json

import numpy as np
from reading import golden

from seqdetect.events import Tally
from seqdetect.source.adapter import FORMATS
from seqdetect.source.live.messages import Messages, run
from seqdetect.source.parse.header import Layout

RECORDS = [record for body in golden("litellm/generic_api.json") for record in body]
TRACES = golden("otlp/traces.json")


def read(format, values):
    tally = Tally()
    messages = Messages("t", Layout(adapter=FORMATS[format](())), tally)
    table, rejected = messages.read("t-0", [run(values, 10 + np.arange(len(values)))])
    return table.to_pylist(), rejected, tally


def test_a_message_is_a_record_an_array_of_them_or_lines():
    values = [
        json.dumps(RECORDS[0]).encode(),
        json.dumps(RECORDS[1:3]).encode(),
        b"\n".join(json.dumps(one).encode() for one in RECORDS[3:5]),
        json.dumps(RECORDS[5], indent=2).encode(),
    ]
    rows, rejected, tally = read("litellm", values)
    assert [row["status"] for row in rows] == [200, 200, 200, 200, 500, 429]
    assert rejected == []
    assert tally.read == 6


def test_a_bad_record_is_named_by_its_offset_and_its_payload_is_dropped():
    secret = json.dumps(RECORDS[1] | {"prompt_tokens": "a prompt nobody may keep"}).encode()
    values = [json.dumps(RECORDS[0]).encode(), secret, b"a prompt nobody may keep", None]
    rows, rejected, tally = read("litellm", values)
    assert len(rows) == 1
    assert [(one.offset, one.payload) for one in rejected] == [(11, b""), (12, b""), (13, b"")]
    assert "$.prompt_tokens" in rejected[0].reason
    assert "nobody" not in str(rejected) + str(tally)
    assert tally.rejected == {"malformed_line": 2, "empty_message": 1}


def test_a_message_of_many_spans_or_of_none_is_none_that_is_wrong():
    many = {"resourceSpans": [one for body in TRACES for one in body["resourceSpans"]]}
    rows, rejected, tally = read("otlp", [json.dumps(many).encode(), json.dumps(TRACES[2]).encode()])
    assert len(rows) == 4
    assert rejected == []
    assert tally.line() == "events: 4 read, 0 rejected (), 0 late, 3 skipped"
