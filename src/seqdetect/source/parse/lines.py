"""Physical lines of a stream of bytes, in blocks; what is no line of text is put aside with its number."""

from __future__ import annotations

import codecs
import select
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

import numpy as np

from seqdetect.source.parse import Mask, Numbers

STDIN = "-"
LONGEST_LINE = 1 << 20
"""Bytes of the longest line; a longer one is damage (a lost line break, a binary file), not an event."""

HEAD_BYTES = 1 << 16
"""Bytes of a file that its columns are judged by, whatever the size of the blocks it is read in."""

_BYTES_PER_ROW = 128
_READ_AT_MOST = 1 << 18
# A live stream hands over what it has at least this often, though its block is not full.
_PATIENCE_SECONDS = 0.2
_GZIP_MAGIC = b"\x1f\x8b"
_MARKS = ((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"), (b"PAR1", "Parquet"))


@dataclass(frozen=True)
class Stream:
    """Text to come: ``head`` (a line at least, or ``HEAD_BYTES`` of a stored file) and all ``pieces``.

    The pieces begin with the head's bytes, whose last line may be cut; an empty piece asks for what has come
    so far to be handed on.
    """

    origin: str
    head: bytes
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class Lines:
    """Lines [rows] of ``data``: where each starts, where it stops, and its number from 1.

    ``stops`` leaves the line end out, ``ends`` takes it in.
    """

    data: bytes
    starts: Numbers
    stops: Numbers
    ends: Numbers
    numbers: Numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, rows: Mask) -> Lines:
        """The lines for which ``rows`` is true."""
        return Lines(self.data, self.starts[rows], self.stops[rows], self.ends[rows], self.numbers[rows])

    def joined(self) -> bytes:
        """These lines and no others, each with its line end."""
        if not len(self):
            return b""
        gaps = np.flatnonzero(self.starts[1:] != self.ends[:-1])
        begins, ends = self.starts[np.r_[0, gaps + 1]], self.ends[np.r_[gaps, -1]]
        return b"".join(self.data[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True))

    def texts(self) -> list[bytes]:
        """The lines one by one; a carriage return before the line feed stays."""
        return self.joined().split(b"\n")[:-1]


def opened(path: str, chunk_rows: int) -> Iterator[Stream]:
    """The one stream of ``path`` (``-``: stdin), gunzipped where it is gzip, or nothing when it is empty.

    Raises ``ValueError`` for text in UTF-16 and for Parquet on stdin.
    """
    if path == STDIN:
        yield from sniffed("stdin", _live(sys.stdin.buffer), 1)
        return
    with open(path, "rb") as file:
        yield from sniffed(path, _stored(file, chunk_rows), HEAD_BYTES)


def sniffed(origin: str, pieces: Iterator[bytes], head_bytes: int) -> Iterator[Stream]:
    """The one stream of text in ``pieces``, unzipped where they are gzip, or nothing where they are empty.

    ``head_bytes`` are waited for, to judge the columns by. Raises ``ValueError`` for UTF-16 and Parquet.
    """
    first = _taken(pieces, lambda held: len(held) >= 4)
    pieces = chain([first], pieces)
    if first.startswith(_GZIP_MAGIC):
        pieces = _gunzipped(pieces)
    head = _taken(
        pieces, lambda held: len(held) >= head_bytes and (b"\n" in held or len(held) > LONGEST_LINE)
    )
    for mark, name in _MARKS:
        if head.startswith(mark):
            raise ValueError(f"{origin}: this is {name}, expected lines of UTF-8 text (CSV or JSON)")
    head = head.removeprefix(codecs.BOM_UTF8)
    if head:
        yield Stream(origin, head, chain([head], pieces))


def _taken(pieces: Iterator[bytes], enough: Callable[[bytes], bool]) -> bytes:
    held = b""
    for piece in pieces:
        held += piece
        if enough(held):
            break
    return held


def _stored(file: BinaryIO, chunk_rows: int) -> Iterator[bytes]:
    size = min(_READ_AT_MOST, chunk_rows * _BYTES_PER_ROW)
    return iter(lambda: file.read(size), b"")


def _live(stream: BinaryIO) -> Iterator[bytes]:
    """Pieces as they come; an empty one after each lull, and at least every ``_PATIENCE_SECONDS``."""
    read = getattr(stream, "read1", stream.read)
    handed_on = time.monotonic()
    while piece := read(_READ_AT_MOST):
        yield piece
        waiting = time.monotonic() - handed_on
        if waiting >= _PATIENCE_SECONDS or not _more_within(stream, _PATIENCE_SECONDS - waiting):
            yield b""
            handed_on = time.monotonic()


def _more_within(stream: BinaryIO, seconds: float) -> bool:
    try:
        return bool(select.select([stream], [], [], seconds)[0])
    except (OSError, ValueError):
        return True  # Not a file the system can wait for: then nothing comes late either.


def _gunzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Inflated pieces of one or more gzip members; damage ends the stream in a line of its own.

    What came before it is kept, and the NUL byte makes the place where it stopped a malformed line.
    """
    inflate = zlib.decompressobj(wbits=31)
    for piece in pieces:
        if not piece:
            yield piece
        while piece:
            if inflate.eof:
                inflate = zlib.decompressobj(wbits=31)
            try:
                yield inflate.decompress(piece, _READ_AT_MOST)
            except zlib.error:
                yield b"\0"
                return
            piece = inflate.unused_data.lstrip(b"\0") if inflate.eof else inflate.unconsumed_tail
    if not inflate.eof:
        yield inflate.flush() + b"\0"


def blocks(stream: Stream, chunk_rows: int, longest: int = LONGEST_LINE) -> Iterator[tuple[bytes, int]]:
    """Whole lines, about ``chunk_rows`` at a time, with the number of the first one.

    Of a line past ``longest`` bytes only the beginning is kept, one byte more than allowed.
    """
    enough, number = chunk_rows * _BYTES_PER_ROW, 1
    held: list[bytes] = []
    size, broken, skipping = 0, False, False
    for piece in stream.pieces:
        if skipping:
            cut = piece.find(b"\n")
            piece, skipping = (piece[cut:], False) if cut >= 0 else (b"", True)
        held.append(piece)
        size += len(piece)
        broken = broken or b"\n" in piece
        if broken and (size >= enough or not piece):
            data = b"".join(held)
            cut = data.rfind(b"\n") + 1
            yield data[:cut], number
            number += int(np.count_nonzero(np.frombuffer(data, np.uint8, cut) == ord("\n")))
            held, size, broken = [data[cut:]], len(data) - cut, False
        if not broken and size > longest:
            held, size, skipping = [b"".join(held)[: longest + 1]], longest + 1, True
    if size:
        rest = b"".join(held)
        yield rest if rest.endswith(b"\n") else rest + b"\n", number


def scan(data: bytes, first: int) -> tuple[Lines, list[tuple[int, str]]]:
    """The lines of ``data`` that are text and not blank, and the (number, fault) of those that are no text.

    ``data`` ends with a line feed; ``first`` is the number of its first line.
    """
    stops = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    starts = np.concatenate([[0], stops[:-1] + 1])
    returns = np.frombuffer(data, np.uint8)[np.maximum(stops - 1, 0)] == 13
    bare = stops - (returns & (stops > starts))
    lines = Lines(data, starts, bare, stops + 1, first + np.arange(len(stops)))
    lines = lines.only(lines.stops > lines.starts)
    faults: list[tuple[int, str]] = []
    lengths = lines.stops - lines.starts
    lines = _without(lines, lengths > LONGEST_LINE, f"longer than {LONGEST_LINE} bytes", faults)
    if b"\0" in data:
        lines = _without(lines, holding(lines, 0), "holds a NUL byte, or the file is cut off here", faults)
    if not data.isascii():
        lines = _without(lines, _undecodable(lines), "not UTF-8", faults)
    return lines, faults


def holding(lines: Lines, byte: int) -> Mask:
    """Which lines [rows] hold ``byte`` before their line end."""
    places = np.flatnonzero(np.frombuffer(lines.data, np.uint8) == byte)
    held: Mask = np.searchsorted(places, lines.stops) > np.searchsorted(places, lines.starts)
    return held


def _undecodable(lines: Lines) -> Mask:
    bad = np.zeros(len(lines), bool)
    try:
        codecs.utf_8_decode(lines.data, "strict", True)
    except UnicodeDecodeError:
        high = np.flatnonzero(np.frombuffer(lines.data, np.uint8) >= 128)
        suspects = np.searchsorted(high, lines.stops) > np.searchsorted(high, lines.starts)
        for row in np.flatnonzero(suspects).tolist():
            bad[row] = not _is_text(lines.data[lines.starts[row] : lines.stops[row]])
    return bad


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without(lines: Lines, rows: Mask, fault: str, faults: list[tuple[int, str]]) -> Lines:
    if not rows.any():
        return lines
    faults.extend((number, fault) for number in lines.numbers[rows].tolist())
    return lines.only(~rows)
