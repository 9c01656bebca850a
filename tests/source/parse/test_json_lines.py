"""JSON lines with keys of any kind."""

from __future__ import annotations

import json

import pytest

from seqdetect.events import Tally, concat
from seqdetect.source.parse import jsonl
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

GOOD = {"timestamp": 1_772_409_600, "user_id": "u", "prompt_tokens": 3, "completion_tokens": 4}


@pytest.mark.parametrize("key", ['a"b', "a\\b", "a\0b", "\n", "", "ü", "💥", "c0", "__init__", "user_id\t"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_key_that_is_no_name_spoils_nothing(key, place):
    lines = [GOOD] * 3
    lines[place] = GOOD | {key: "more"}
    data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    tally = Tally()
    blocks = jsonl.read(Stream("x", data, iter([data])), Layout(), 1000)
    assert concat(accept(block, Layout(), tally) for block in blocks).num_rows == 3
    assert (tally.read, tally.rejected) == (3, {})
