"""JSON lines: one object per physical line, whatever further keys it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from seqdetect.events import OPTIONAL, REQUIRED
from seqdetect.source.parse import Block, Numbers
from seqdetect.source.parse.header import KEY, Layout, match, missing
from seqdetect.source.parse.lines import HEAD_BYTES, Lines, Stream, blocks, scan
from seqdetect.source.parse.uniform import Uniform, first_values

_NUMBERS = ("timestamp", "prompt_tokens", "completion_tokens", "status", "latency_ms")
_EXACT = 2**53

Malformed = list[tuple[int, str]]
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Columns:
    """The keys worth reading: per column of ours the file's spellings, best first, and a decoder of those.

    A key that only later lines have counts too, but the user is under one key in the whole file: falling back
    to another one where it is empty would file one user's events under another's name.
    """

    def __init__(self, head: list[str], layout: Layout, origin: str) -> None:
        self.spellings: dict[str, list[str]] = {}
        self.certain: set[str] = set()
        for own in (*REQUIRED.names, *OPTIONAL.names):
            names, found = layout.candidates(own), match(head, layout.candidates(own))
            if found is not None:
                self.certain.add(own)
                self.spellings[own] = [found] if own == KEY else [found, *(n for n in names if n != found)]
            elif own in OPTIONAL.names or not head:
                self.spellings[own] = names
            elif own != KEY or layout.key != KEY:
                raise missing(own, head, layout, origin)
        every = sorted({name for names in self.spellings.values() for name in names})
        self._attributes = {name: f"c{place}" for place, name in enumerate(every)}
        renamed = {attribute: name for name, attribute in self._attributes.items()}
        row = msgspec.defstruct("Row", [(a, Any, None) for a in renamed], rename=renamed, gc=False)
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(row).decode

    def values(self, own: str, rows: list[Any]) -> tuple[list[Any] | None, str]:
        """The cells of our column ``own`` [rows], None where no row has one, and the spelling first found."""
        filled: list[Any] | None = None
        used = self.spellings[own][0]
        for name in self.spellings[own]:
            found = list(map(attrgetter(self._attributes[name]), rows))
            if found.count(None) == len(found):
                continue
            if filled is None:
                filled, used = found, name
            else:
                filled = [a if a is not None else b for a, b in zip(filled, found, strict=True)]
            if None not in filled:
                break
        return filled, used


def read(stream: Stream, layout: Layout, chunk_rows: int) -> Iterator[Block]:
    """Blocks of the stream's objects. Raises ``ValueError`` where no line of the head has a required key."""
    if stream.head.lstrip()[:1] == b"[":
        raise ValueError(
            f"{stream.origin}: this is a JSON array; write one object per line (for one: jq -c '.[]' FILE)"
        )
    head = first_values(stream.head[:HEAD_BYTES])
    columns = _Columns(list(head), layout, stream.origin)
    uniform = Uniform(columns.spellings, head, columns.certain)
    for data, number in blocks(stream, chunk_rows):
        block = uniform.block(data, number, stream.origin)
        if block is not None:
            yield block
            continue
        lines, malformed = scan(data, number)
        rows, numbers = _decoded(lines, columns.decode, malformed)
        yield _block(rows, numbers, malformed, columns, stream.origin)


def _decoded(lines: Lines, decode: Callable[[bytes], Any], malformed: Malformed) -> tuple[list[Any], Numbers]:
    texts = lines.texts()
    try:
        return list(map(decode, texts)), lines.numbers
    except _BROKEN:
        pass
    rows: list[Any] = []
    numbers: list[int] = []
    for number, text in zip(lines.numbers.tolist(), texts, strict=True):
        try:
            rows.append(decode(text))
            numbers.append(number)
        except _BROKEN as error:
            if text.strip():
                malformed.append((number, str(error)))
    return rows, np.array(numbers, np.int64)


def _block(rows: list[Any], numbers: Numbers, malformed: Malformed, columns: _Columns, origin: str) -> Block:
    cells: dict[str, pa.Array] = {}
    names: dict[str, str] = {}
    for own in columns.spellings:
        values, name = columns.values(own, rows)
        if values is not None or own in REQUIRED.names or own in columns.certain:
            cells[own] = pa.nulls(len(rows)) if values is None else _cells(own, values)
            names[own] = name
    return Block(origin, "line", cells, names, numbers, malformed)


def _cells(own: str, values: list[Any]) -> pa.Array:
    """Cells of our column ``own``; none of them depends on the values of the other rows."""
    if own not in _NUMBERS:
        try:
            return pa.array(values, pa.string())
        except (pa.ArrowException, UnicodeEncodeError):
            return pa.array([_name(value) for value in values], pa.string())
    kinds = set(map(type, values)) - {type(None)}
    if len(kinds) < 2 or (
        kinds == {int, float} and all(-_EXACT <= value <= _EXACT for value in values if type(value) is int)
    ):
        return inferred(values)
    return pa.array([_spelled(value) for value in values], pa.string())


def _name(value: Any) -> str | None:
    """A name as text; lists and objects are no names."""
    return None if isinstance(value, list | dict) else _spelled(value)


def inferred(values: list[Any]) -> pa.Array:
    """The values as Arrow infers them; where they are of several kinds, their spelling."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        return pa.array([_spelled(value) for value in values], pa.string())


def _spelled(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        # As Arrow spells it, so that 42.0 is the same user whatever else is in its block.
        spelled: str = pa.scalar(value).cast(pa.string()).as_py()
        return spelled
    return msgspec.json.encode(value).decode()
