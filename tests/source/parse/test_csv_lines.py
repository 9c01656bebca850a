"""Whatever quotes and line ends a CSV line holds, its neighbours are read as if it were not there."""

from __future__ import annotations

import csv
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqdetect.source.parse import csv as ours
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import LONGEST_LINE, Stream, blocks

NAMES = ["timestamp", "user_id", "prompt_tokens", "completion_tokens"]
FIELD = st.one_of(
    st.text('a", \r', max_size=5),
    st.sampled_from(["", "1", '"a"', '"a,b"', '"a""b"', '""', 'a""b', '"""a"""', '"a"b', "é"]),
)
LINE = st.lists(FIELD, min_size=1, max_size=5).map(",".join) | st.lists(FIELD, min_size=4, max_size=4).map(
    ",".join
)


def expected(line: str) -> list[str | None] | None:
    """The line's cells as Python's reader has them, or None when it is malformed."""
    if "\r" in line or line.count('"') % 2:
        return None
    try:
        fields = next(csv.reader([line], strict=True))
    except csv.Error:
        return None
    return [field or None for field in fields] if len(fields) == len(NAMES) else None


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINE, min_size=1, max_size=8), end=st.sampled_from(["\n", "\r\n"]))
@example(lines=['a,",b",c', "1,2,3,4"], end="\n")
@example(lines=['a",",1,2,3"', "1,2,3,4"], end="\r\n")
def test_each_line_for_itself(lines: list[str], end: str) -> None:
    text = end.join([",".join(NAMES), *lines, ""]).encode()
    good: list[tuple[int, list[str | None]]] = []
    bad: list[int] = []
    for block in ours.read(Stream("x.csv", text, iter([text])), Layout(), 10):
        cells = [block.columns[name].to_pylist() for name in NAMES]
        good += zip(block.numbers.tolist(), map(list, zip(*cells, strict=True)), strict=True)
        bad += [number for number, _ in block.malformed]
    stripped = [line.removesuffix("\r") if end == "\n" else line for line in lines]
    verdicts = {number: expected(line) for number, line in enumerate(stripped, 2) if line.strip()}
    assert good == [(number, cells) for number, cells in verdicts.items() if cells is not None]
    assert sorted(bad) == [number for number, cells in verdicts.items() if cells is None]


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")), max_size=9), data=st.data())
def test_lines_come_out_whole_however_the_bytes_arrive(lines: list[bytes], data: st.DataObject) -> None:
    text = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    got = list(blocks(Stream("x", text, iter(pieces)), 1))
    joined = b"".join(block for block, _ in got)
    assert joined == (text if text.endswith(b"\n") or not text else text + b"\n")
    assert [number for _, number in got[:1]] == [1] * bool(text)
    for (before, first), (_, second) in pairwise(got):
        assert before.endswith(b"\n")
        assert second == first + before.count(b"\n")


def test_a_line_without_end_is_held_to_its_bound() -> None:
    endless = (b"x" * 100_000 for _ in range(100))
    ((line, number),) = blocks(Stream("x", b"", endless), 65_536)
    assert (len(line), number) == (LONGEST_LINE + 2, 1)


def test_a_byte_order_mark_belongs_to_its_line_wherever_a_block_begins():
    line = "\ufeff1,2,3,4\n".encode()
    data = (",".join(NAMES) + "\n").encode() + line * 40
    stream = Stream("x", data, iter([data[:300], data[300:]]))
    times = [
        time for block in ours.read(stream, Layout(), 1) for time in block.columns["timestamp"].to_pylist()
    ]
    assert times == ["\ufeff1"] * 40
