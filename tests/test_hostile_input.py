"""Whatever else comes in, every row is accounted for and nobody else's steps and scores change by a bit."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import handmade
from conftest import traffic
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import Tally
from seqdetect.score.engine import Scored
from seqdetect.scorer import Model, Scorer
from seqdetect.sequence.features import Featurizer, Steps
from seqdetect.source.parse import jsonl
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

BEGUN = 30
"""Lines of ordinary users before the first hostile one."""
ROWS = [row | {"event_id": f"e{number}"} for number, row in enumerate(traffic(5, 0.9, 3, 0.04).to_pylist())]
TIMES = [row["timestamp"].timestamp() for row in ROWS]
LINES = [json.dumps(row | {"timestamp": at}).encode() for row, at in zip(ROWS, TIMES, strict=True)]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5),
    st.sampled_from(["2099-01-01T00:00:00Z", "1970-01-01", 4_070_908_800, 10**10, "\0", "\ud800", "user", [], {}]),
)  # fmt: skip
COLUMNS = st.sampled_from(
    [
        "timestamp",
        "ts",
        "prompt_tokens",
        "completion_tokens",
        "model",
        "client_ip",
        "status",
        "event_id",
        "note",
    ]
)
ODD = st.dictionaries(COLUMNS, VALUES, max_size=3)
USER = st.sampled_from(["h", "user", "user-0\u200b", "", " "]) | st.integers(0, 10**9).map(str)
BYTES = st.binary(min_size=1, max_size=30).map(lambda data: data.replace(b"\n", b" "))


@st.composite
def hostile(draw: st.DrawFn) -> tuple[int, bytes]:
    """Where a line stands, and the line: garbage, a replay, or an event of somebody else at a time gone by."""
    place = draw(st.integers(BEGUN, len(LINES)))
    earlier = draw(st.integers(0, place - 1))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return place, draw(BYTES)
    if kind == 1:
        return place, LINES[earlier]
    row = ROWS[earlier] | {"timestamp": TIMES[earlier]} | draw(ODD) | {"user_id": draw(USER)}
    return place, json.dumps(row).encode("utf-8", "surrogatepass")


class Watched(Featurizer):
    """Keeps what each user's steps are made of."""

    def __init__(self, tick_s: float) -> None:
        super().__init__(tick_s)
        self.events = 0
        self.steps: list[Steps] = []

    def __call__(self, batch, users):
        self.events += len(batch)
        self.steps.append(super().__call__(batch, users))
        return self.steps[-1]


def scored(bundle: Bundle, lines: list[bytes], rows: int) -> dict[tuple[str, int], tuple[bytes, bytes]]:
    """Features and score by user and tick; every row read is accounted for."""
    tally, found = Tally(), {}

    def keep(_: str, scored: Scored) -> None:
        steps = [(steps, row) for steps in watched.steps for row in range(len(steps))]
        for (part, row), score in zip(steps, scored.score, strict=True):
            key = (scored.names[part.user[row]], int(part.tick[row]))
            found[key] = (part.features[row].tobytes(), score.tobytes())
        watched.steps.clear()

    scorer = Scorer([Model("handmade", bundle)], tally, write=keep)
    stream = scorer.lanes[0].stream
    watched = stream.featurizer = Watched(bundle.metadata.tick_s)
    for block in jsonl.read(Stream("x", lines[0], iter([b"\n".join(lines) + b"\n"])), Layout(), 1000):
        table = accept(block, Layout(), tally)
        for begin, end in pairwise([*range(0, table.num_rows, rows), table.num_rows]):
            scorer.push(table.slice(begin, end - begin))
    waiting = scorer.stats()["handmade"]["pending"]
    assert tally.read == sum(tally.rejected.values()) + tally.late + waiting + watched.events
    scorer.flush()
    assert tally.read == sum(tally.rejected.values()) + tally.late + watched.events
    return {key: value for key, value in found.items() if key[0].startswith("user-") and key[0].isascii()}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(handmade.write(Path(tmp_path_factory.mktemp("hostile")) / "bundle.onnx"))


@pytest.fixture(scope="module")
def alone(bundle: Bundle) -> dict[tuple[str, int], tuple[bytes, bytes]]:
    return scored(bundle, LINES, 50)


@settings(max_examples=30, deadline=None)
@given(more=st.lists(hostile(), max_size=25), rows=st.integers(20, 400))
def test_others_are_scored_as_if_they_were_alone(bundle, alone, more, rows):
    placed = sorted([*((place, line) for place, line in more), *((i, b"") for i in range(len(LINES)))])
    lines = [LINES[place] if line == b"" else line for place, line in placed]
    assert scored(bundle, lines, rows) == alone
