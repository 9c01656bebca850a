"""Lines of JSON that are all alike, read as columns at once: several times faster than object by object.

Only what both ways read alike is read this way: a block with anything odd in it (a line that is no object, a value of
another kind than before) is left to ``jsonl``, to the same rows and the same rejections.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from types import NoneType
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.events import REQUIRED
from seqdetect.source.parse import Block, Numbers
from seqdetect.source.parse.cells import exact_as_float
from seqdetect.source.parse.lines import LONGEST_LINE

_FRACTIONS: Final = ("timestamp", "prompt_tokens", "completion_tokens", "status", "latency_ms")
"""Columns of ours that may be fractions; all others are names, and a number among them is a whole one."""
_ARROW: Final = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_PIECE_BYTES: Final = 1 << 18
"""What is decoded at once: its objects stay in the processor's cache until their values have been taken out."""
_MOST_KEYS: Final = 512
_MOST_SKIPPED: Final = 64
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_ARRAY = (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError)
_UNNAMEABLE = re.compile(r'[\x00-\x1f"\\\ud800-\udfff]')
"""In a key: what no field can be named. Lines with such a key are left to the other way."""


class Uniform:
    """Reads blocks of one stream. ``spellings`` are the names of each of our columns in the file, best first, of
    which those ``certain`` are there; ``head`` holds a value of every key known so far."""

    def __init__(
        self, spellings: Mapping[str, list[str]], head: Mapping[str, Any], certain: set[str]
    ) -> None:
        self._spellings = spellings
        self._certain = certain
        self._own = {name: own for own, names in spellings.items() for name in names}
        self._kinds: dict[str, Any] = {}
        """Type of the values of each key met so far, those that nobody asks for included."""
        self._columns: dict[str, tuple[Callable[[Any], Any], pa.DataType]] = {}
        self._decode: Callable[[bytes], list[Any]] | None = None
        self._learn(head)
        self._failures = 0
        self._skip = 0

    def block(self, data: bytes, number: int, origin: str) -> Block | None:
        """The rows of ``data``, whole lines of which the first is ``number``; None where it is not uniform."""
        if self._skip:
            self._skip -= 1
            return None
        found = self._block(data, number, origin)
        self._failures = 0 if found is not None else self._failures + 1
        if found is None:  # what failed will most likely fail again, and trying is not free
            self._skip = min(2**self._failures - 2, _MOST_SKIPPED)
        return found

    def _block(self, data: bytes, number: int, origin: str) -> Block | None:
        feeds = _objects(data)
        parts: dict[str, list[pa.Array]] = {}
        done = 0
        for piece, lines in _pieces(data, feeds):
            cells = self._cells(piece, lines)
            if cells is None and self._learn(first_values(piece)):
                cells = self._cells(piece, lines)
            if cells is None:
                return None
            for name in self._own:
                if name in cells or name in parts:
                    before = parts.setdefault(name, [pa.nulls(done)] if done else [])
                    before.append(cells.get(name, pa.nulls(lines)))
            done += lines
        return self._assembled(parts, done, number, origin) if done else None

    def _cells(self, piece: bytes, lines: int) -> dict[str, pa.Array] | None:
        """By key, the values in the ``lines`` of ``piece`` [lines]; None where they are not what was seen so far."""
        try:
            decode = self._prepare() if self._decode is None else self._decode
            rows = decode(piece)
            if len(rows) != lines:
                return None
            return {name: pa.array(list(map(get, rows)), kind) for name, (get, kind) in self._columns.items()}
        except (*_BROKEN, *_NO_ARRAY):
            return None

    def _assembled(
        self, parts: Mapping[str, list[pa.Array]], rows: int, number: int, origin: str
    ) -> Block | None:
        columns: dict[str, pa.Array] = {}
        names: dict[str, str] = {}
        for own, spellings in self._spellings.items():
            cells = [(name, _joined(parts[name])) for name in spellings if name in parts]
            filled = [(name, cell) for name, cell in cells if cell.null_count < rows]
            if len({cell.type for _, cell in filled}) > 1 or not all(exact_as_float(c) for _, c in filled):
                return None
            if filled:
                names[own] = filled[0][0]
                columns[own] = filled[0][1] if len(filled) == 1 else pc.coalesce(*(c for _, c in filled))
            elif own in REQUIRED.names or own in self._certain:
                columns[own], names[own] = pa.nulls(rows), spellings[0]
        return Block(origin, "line", columns, names, number + np.arange(rows))

    def _learn(self, values: Mapping[str, Any]) -> bool:
        """Take in keys, and kinds of values, that were not known; whether there were any."""
        news = {
            name: _kind(self._own[name], value) if name in self._own else msgspec.Raw
            for name, value in values.items()
            if self._kinds.get(name, NoneType) is NoneType and not _UNNAMEABLE.search(name)
        }
        news = {name: kind for name, kind in news.items() if self._kinds.get(name) is not kind}
        if self._kinds and (not news or len(self._kinds) + len(news) > _MOST_KEYS):
            return False
        self._kinds |= news
        self._decode = None
        return True

    def _prepare(self) -> Callable[[bytes], list[Any]]:
        """Make a decoder for the keys known so far: not before it is needed, since it takes a while."""
        fields = {f"c{place}": name for place, name in enumerate(self._kinds)}
        row = msgspec.defstruct(
            "Row",
            [(field, _nullable(self._kinds[name]), None) for field, name in fields.items()],
            rename=fields,
            forbid_unknown_fields=True,  # a key never seen may be another spelling of one of ours
            gc=False,
        )
        self._decode = msgspec.json.Decoder(row).decode_lines
        self._columns = {
            name: (attrgetter(field), _ARROW.get(self._kinds[name], pa.null()))
            for field, name in fields.items()
            if name in self._own
        }
        return self._decode


def _kind(own: str, value: Any) -> Any:
    """The type that values like ``value`` are read as; none for those that are read one by one alone."""
    if own == "latency_ms" and type(value) is int:
        return float
    if type(value) is float:
        return float if own in _FRACTIONS else NoneType
    return type(value) if type(value) in _ARROW else NoneType


def _nullable(kind: Any) -> Any:
    return kind if kind is msgspec.Raw else kind | None  # raw JSON may be null as it is


def first_values(piece: bytes) -> dict[str, Any]:
    """Every key of the objects in the lines of ``piece``, in order of appearance, with its first value that is one."""
    values: dict[str, Any] = {}
    for line in piece.split(b"\n"):
        try:
            found = msgspec.json.decode(line, type=dict[str, Any])
        except _BROKEN:
            continue
        for name, value in found.items():
            if values.get(name) is None:
                values[name] = value
    return values


def _joined(arrays: list[pa.Array]) -> pa.Array:
    """The arrays as one; those of nulls alone become what the others are."""
    kind = next((array.type for array in arrays if not pa.types.is_null(array.type)), pa.null())
    return pa.concat_arrays([array if array.type == kind else array.cast(kind) for array in arrays])


def _pieces(data: bytes, feeds: Numbers) -> Iterator[tuple[bytes, int]]:
    """Whole lines of ``data``, whose line feeds are at ``feeds``, about ``_PIECE_BYTES`` at a time; their number."""
    begin = line = 0
    while line < len(feeds):
        upto = min(int(np.searchsorted(feeds, begin + _PIECE_BYTES)) + 1, len(feeds))
        end = int(feeds[upto - 1]) + 1
        yield data[begin:end], upto - line
        begin, line = end, upto


def _objects(data: bytes) -> Numbers:
    """Where the lines of ``data`` end, if each begins and ends as an object does and is text; otherwise nowhere.

    Where that holds, no object goes on in the next line: a line feed stands between a closing and an opening brace,
    which within an object is no JSON.
    """
    nowhere = np.zeros(0, np.int64)
    if data[:1] != b"{" or b"\0" in data or b"\r" in data or not _is_text(data):
        return nowhere
    characters = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(characters == ord("\n"))
    if not (characters[feeds - 1] == ord("}")).all() or not (characters[feeds[:-1] + 1] == ord("{")).all():
        return nowhere
    return feeds if int(np.diff(feeds, prepend=-1).max()) <= LONGEST_LINE else nowhere


def _is_text(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
