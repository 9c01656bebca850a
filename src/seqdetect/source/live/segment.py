"""Files of a write-ahead log: records of Arrow tables, each with its length and checksum."""

from __future__ import annotations

import fcntl
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqdetect.events import conform

MAGIC = b"SQDWAL1\n"
START = len(MAGIC)
"""The byte of a segment where its first record begins."""

_HEADER_BYTES = 8
_NAME = re.compile(r"(\d{12})\.wal")


class DamagedError(Exception):
    """What stands at this place of a segment is no whole record."""


@dataclass(frozen=True, order=True)
class Place:
    """A place between two records: the segment's number, and the byte in it."""

    segment: int
    offset: int

    def written(self) -> list[int]:
        """As JSON."""
        return [self.segment, self.offset]

    @classmethod
    def read(cls, position: Any) -> Place:
        """Raises ``ValueError`` for what is no position in a log."""
        try:
            segment, offset = position
        except (TypeError, ValueError) as error:
            raise ValueError(f"{position!r} is not a position in a write-ahead log") from error
        if not (isinstance(segment, int) and isinstance(offset, int) and segment >= 0 and offset >= 0):
            raise ValueError(f"{position!r} is not a position in a write-ahead log")
        return cls(segment, offset)


def path(folder: Path, segment: int) -> Path:
    return folder / f"{segment:012d}.wal"


def numbers(folder: Path) -> list[int]:
    """The numbers of the segments in ``folder``, oldest first."""
    return sorted(int(match[1]) for name in os.listdir(folder) if (match := _NAME.fullmatch(name)))


def record(table: pa.Table) -> bytes:
    """Length and CRC-32 (of the length and what follows), 4 bytes each, little endian; then Arrow IPC."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    payload: bytes = sink.getvalue().to_pybytes()
    length = len(payload).to_bytes(4, "little")
    return length + zlib.crc32(payload, zlib.crc32(length)).to_bytes(4, "little") + payload


def read(file: int, offset: int) -> tuple[pa.Table, int] | None:
    """The record at ``offset`` and the offset after it; None at the end. Raises ``DamagedError``."""
    header = os.pread(file, _HEADER_BYTES, offset)
    if not header:
        return None
    length = int.from_bytes(header[:4], "little")
    if length > max(0, os.fstat(file).st_size - offset - _HEADER_BYTES):
        raise DamagedError
    payload = os.pread(file, length, offset + _HEADER_BYTES)
    if zlib.crc32(payload, zlib.crc32(header[:4])).to_bytes(4, "little") != header[4:]:
        raise DamagedError
    try:
        table = conform(pa.ipc.open_stream(payload).read_all())
    except (pa.ArrowException, ValueError) as error:
        raise DamagedError from error
    return table, offset + _HEADER_BYTES + length


def sound_until(where: Path) -> int:
    """The byte after the last whole record of a segment; 0 where not even its beginning was written.

    Raises ``ValueError`` for a file that is no segment.
    """
    file = os.open(where, os.O_RDONLY)
    try:
        begin = os.pread(file, len(MAGIC), 0)
        if begin != MAGIC:
            if begin.strip(b"\0") and not MAGIC.startswith(begin):
                raise ValueError(f"{where} is no segment of a write-ahead log; move it away to begin anew")
            return 0
        offset = START
        for after in _ends(file, offset):
            offset = after
        return offset
    finally:
        os.close(file)


def _ends(file: int, offset: int) -> Iterator[int]:
    try:
        while (found := read(file, offset)) is not None:
            offset = found[1]
            yield offset
    except DamagedError:
        return


def lock(folder: Path) -> int:
    """A descriptor that keeps other processes out while it is open. Raises ``ValueError`` if one is there."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ValueError(f"the write-ahead log {folder} is in use by another process") from None
    return descriptor
