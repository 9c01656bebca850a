"""Bodies of requests: bounded, unzipped, and brought into lines."""

from __future__ import annotations

import codecs
import re
import zlib

import msgspec

_MOST_MEMBERS = 64
"""Members of a gzip body; whoever joins more small ones than that means us to work for nothing."""

_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_WITHOUT_BREAKS = bytes.maketrans(b"\r\n", b"  ")
_SIGNS = re.compile(rb'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)
"""Whole texts, and what gives JSON its shape; a lone quote begins a text that does not end."""


class TooLargeError(Exception):
    """The body has more bytes than are allowed, zipped or unzipped."""


class UnreadableError(ValueError):
    """The body is not what its headers say, or no JSON at all."""


class Plain:
    """Collects a body of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Raises ``TooLargeError``."""
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLargeError
        self._pieces.append(piece)

    def whole(self) -> bytes:
        return b"".join(self._pieces)


class Gzip:
    """Collects a gzip body, unzipped as it comes; neither form may pass ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._unzipped = Plain(limit)
        self._zipped = 0
        self._limit = limit
        self._members = 0
        self._inflate = zlib.decompressobj(wbits=31)

    def add(self, piece: bytes) -> None:
        """Raises ``TooLargeError``, and ``UnreadableError`` for what is not gzip."""
        self._zipped += len(piece)
        if self._zipped > self._limit:
            raise TooLargeError
        while piece:
            if self._inflate.eof:
                self._next_member()
            try:
                self._unzipped.add(self._inflate.decompress(piece, self._limit + 1))
            except zlib.error as error:
                raise UnreadableError(f"the body is not gzip: {error}") from error
            piece = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def whole(self) -> bytes:
        """Raises ``UnreadableError`` where the body stopped before its end."""
        if not self._inflate.eof:
            raise UnreadableError("the gzip body is cut off")
        return self._unzipped.whole()

    def _next_member(self) -> None:
        self._members += 1
        if self._members >= _MOST_MEMBERS:
            raise UnreadableError(f"the gzip body has more than {_MOST_MEMBERS} members")
        self._inflate = zlib.decompressobj(wbits=31)


def lines(body: bytes) -> tuple[bytes, str]:
    """The events of ``body`` one per line, and what to call one: a ``line`` or an ``item`` of an array.

    An object may span lines. Raises ``UnreadableError`` for an empty body and for a broken array; a broken object
    among lines is left to whoever reads the lines.
    """
    text = body.removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n")
    if not text:
        raise UnreadableError("the body is empty")
    if text[:1] == b"[":
        return _array(text), "item"
    if text[:1] == b"{" and b"\n" in text and _is_one(text):
        text = text.translate(_WITHOUT_BREAKS)
    return text + b"\n", "line"


def _array(text: bytes) -> bytes:
    items: list[msgspec.Raw] | list[bytes]
    try:
        items = msgspec.json.decode(text, type=list[msgspec.Raw])
    except _BROKEN as error:
        items = _parted(text)
        if not any(map(_is_one, items)):
            raise UnreadableError(f"the body is not JSON: {error}") from error
    # Only white space and broken strings hold line breaks as they stand.
    rows = [bytes(item).translate(_WITHOUT_BREAKS) for item in items]
    return b"".join(row + b"\n" for row in rows)


def _parted(text: bytes) -> list[bytes]:
    """The items of an array of which one is broken, or too deep: its sender is often not who sent the others.

    None where the array itself is broken, for then it is not known where an item ends.
    """
    items: list[bytes] = []
    depth, begin = 0, 1
    for found in _SIGNS.finditer(text):
        sign = found[0]
        if sign == b'"':
            return []
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        if depth == 0 or (depth == 1 and sign == b","):
            items.append(text[begin : found.start()].strip() or b"null")
            begin = found.end()
        if depth == 0:
            return items if begin == len(text) and sign == b"]" else []
    return []


def _is_one(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except _BROKEN:
        return False
    return True
