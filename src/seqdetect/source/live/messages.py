"""Messages of one partition to event tables, a batch at a time; what is wrong is found again by its offset.

A message is one event as a JSON object; an array of such objects and JSON lines are taken too. Where the layout has
an adapter, they are records of another program.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa

from seqdetect.events import REQUIRED, Tally
from seqdetect.source.adapter import adapted
from seqdetect.source.live.reader import by_event
from seqdetect.source.parse import Block, Numbers, jsonl, rows
from seqdetect.source.parse.cells import Fault
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.lines import Stream

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# The parser hands on what it has at the empty piece after each batch, whatever the size of the batch.
_NEVER_FULL = 1 << 32


@dataclass(frozen=True)
class Run:
    """Consecutive messages of a partition, as lines.

    ``offsets`` [messages]; ``lines``: their text, every line ended by a line feed; ``counts`` [messages]: how many
    lines are each one's, and ``values``: their payloads. The last two are None where each message is one line.
    """

    offsets: Numbers
    lines: bytes
    counts: Numbers | None = None
    values: list[bytes] | None = None

    @property
    def rows(self) -> int:
        """How many lines there are."""
        return len(self.offsets) if self.counts is None else int(self.counts.sum())

    def places(self) -> Numbers:
        """The offset of each line [lines]."""
        return self.offsets if self.counts is None else np.repeat(self.offsets, self.counts)

    def payloads(self) -> list[bytes]:
        """The messages' payloads [messages], as they came."""
        return self.lines.split(b"\n")[:-1] if self.values is None else self.values


@dataclass(frozen=True)
class Rejected:
    """A message with at least one bad row, for the first one's reason.

    ``payload`` is empty where it may hold what nobody should keep: a prompt, or who the user is.
    """

    offset: int
    reason: str
    payload: bytes


def run(values: Sequence[bytes | None], offsets: Numbers) -> Run:
    """The messages' payloads as a run; a message without one is an empty message."""
    try:
        lines = b"\n".join(values) + b"\n"  # type: ignore[arg-type]
    except TypeError:
        return _folded([value or b"" for value in values], offsets)
    # Both in the way that is fastest on text that holds many of the one and none of the other.
    feeds = np.count_nonzero(np.frombuffer(lines, np.uint8) == 10)
    arrays = b"[" in lines and (lines.startswith(b"[") or b"\n[" in lines)
    if feeds != len(values) or arrays or lines.startswith(b"\n"):
        return _folded(values, offsets)  # type: ignore[arg-type]
    return Run(offsets, lines)


def _folded(values: Sequence[bytes], offsets: Numbers, odd: frozenset[int] = frozenset()) -> Run:
    """A run of messages that may hold several events each, or none; those at ``odd`` are looked at closely."""
    texts = [value.strip(b"\r\n") for value in values]
    texts = [
        _one_per_line(text) if text[:1] == b"[" or offset in odd else text
        for text, offset in zip(texts, offsets.tolist(), strict=True)
    ]
    counts = np.array([text.count(b"\n") + 1 if text else 0 for text in texts], np.int64)
    return Run(offsets, b"".join([text + b"\n" for text in texts if text]), counts, list(values))


def _one_per_line(text: bytes) -> bytes:
    """An array's elements, or an object that takes several lines, each on one line; other text as it is."""
    try:
        if text.lstrip()[:1] == b"[":
            elements = msgspec.json.decode(text, type=list[msgspec.Raw])
            return b"\n".join([_flat(bytes(element)) for element in elements])
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except _BROKEN:
        return text
    return _flat(text)


def _flat(text: bytes) -> bytes:
    # Inside a JSON string a line break is written as \n, so those that stand there are white space.
    return text.replace(b"\r", b" ").replace(b"\n", b" ")


class Messages:
    """The messages of one topic to events, each judged by itself (``reader.ByEvent``)."""

    def __init__(self, topic: str, layout: Layout, tally: Tally) -> None:
        self._adapter = layout.adapter
        self._layout = by_event(layout) if layout.adapter is None else adapted.layout(layout)
        self._shown = layout.adapter is None and layout.pseudonyms is None
        self._tally = tally
        self._fed = b""
        self._line = 1
        # One stream for good, so that the parser keeps what it has learnt about the topic's objects.
        self._blocks = jsonl.read(Stream(topic, b"", self._pieces()), self._layout, _NEVER_FULL)

    def read(self, part: str, runs: Sequence[Run]) -> tuple[pa.Table, list[Rejected]]:
        """The good rows as an event table, in order, and the messages with bad ones. Counted in the tally."""
        block = self._block(part, runs)
        if block.malformed:
            odd = frozenset(offset for offset, _ in block.malformed)
            again = [_folded(one.payloads(), one.offsets, odd) for one in runs]
            if any(a.lines != b.lines for a, b in zip(runs, again, strict=True)):
                runs, block = again, self._block(part, again)
        table = rows.accept(block, self._layout, self._tally)
        one_each = self._adapter is None and table.num_rows == sum(one.rows for one in runs)
        if one_each and all(one.counts is None or one.counts.all() for one in runs):
            return table, []
        return table, self._rejected(part, runs, block)

    def _block(self, part: str, runs: Sequence[Run]) -> Block:
        """The rows of all lines; ``numbers`` and ``malformed`` name offsets instead of lines."""
        data = b"".join([one.lines for one in runs])
        places = np.concatenate([one.places() for one in runs])
        if not data:
            return _nothing(part)
        block, first = self._parsed(data, len(places))
        return replace(
            block,
            origin=part,
            unit="offset",
            numbers=places[block.numbers - first],
            malformed=[(int(places[number - first]), detail) for number, detail in block.malformed],
            skipped=[int(places[number - first]) for number in block.skipped],
        )

    def _parsed(self, data: bytes, lines: int) -> tuple[Block, int]:
        """The block of ``data``, and the number of its first line."""
        if self._adapter is not None:
            return adapted.parsed(self._adapter, data, ""), 1
        self._fed, first = data, self._line
        self._line += lines
        return next(self._blocks), first

    def _pieces(self) -> Iterator[bytes]:
        while True:
            yield self._fed
            yield b""

    def _rejected(self, part: str, runs: Sequence[Run], block: Block) -> list[Rejected]:
        reasons = {offset: f"malformed_line: {detail}" for offset, detail in reversed(block.malformed)}
        fault = _faults(block, self._layout)
        for row in np.flatnonzero(fault).tolist():
            reasons.setdefault(int(block.numbers[row]), Fault(fault[row]).name.lower())
        told = np.union1d(block.numbers, np.array([*reasons, *block.skipped], np.int64))
        for one in runs:
            empty = np.setdiff1d(one.offsets, told).tolist()
            self._tally.read += len(empty)
            for offset in empty:
                self._tally.reject("empty_message", f"{part} offset {offset}", "nothing there")
                reasons[offset] = "empty_message"
        return [
            Rejected(offset, reasons[offset], payload if self._shown else b"")
            for one in runs
            for offset, payload in zip(one.offsets.tolist(), one.payloads(), strict=True)
            if offset in reasons
        ]


def _nothing(part: str) -> Block:
    return Block(part, "offset", {own: pa.nulls(0) for own in REQUIRED.names}, {}, np.zeros(0, np.int64))


def _faults(block: Block, layout: Layout) -> Numbers:
    """Why each row [rows] is rejected, 0 where it is not."""
    fault = np.zeros(len(block.numbers), np.int64)
    for found in reversed(rows.required(block, layout)[1].values()):
        fault = np.where(found != Fault.NONE, found, fault)
    return fault
