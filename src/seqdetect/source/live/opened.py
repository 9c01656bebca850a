"""One file that is followed: how far it was read, and whether it is still the same."""

from __future__ import annotations

import codecs
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqdetect.source.parse.lines import LONGEST_LINE

_HEAD_BYTES = 256
_BYTES_PER_ROW = 128
_SEARCHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Place:
    """How far a file was read: up to ``offset`` (after a line's end), ``line`` lines since it was begun.

    ``head`` is the number of its first bytes looked at, and their CRC-32.
    """

    inode: int
    offset: int
    line: int
    head: tuple[int, int]

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"inode": self.inode, "offset": self.offset, "line": self.line, "head": list(self.head)}

    @classmethod
    def read(cls, position: Any) -> Place:
        """Raises ``ValueError`` for what is no position of a file."""
        try:
            size, crc = position["head"]
            place = cls(position["inode"], position["offset"], position["line"], (size, crc))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{position!r} is not a position in a file that is followed") from error
        numbers = (place.inode, place.offset, place.line, *place.head)
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or size > _HEAD_BYTES:
            raise ValueError(f"{position!r} is not a position in a file that is followed")
        return place


def chain(path: Path) -> list[tuple[Path, int, int]]:
    """(path, inode, size) of ``path`` and of what it was before rotations, ``PATH.N`` ... ``PATH.1``, oldest first."""
    numbered = re.compile(re.escape(path.name) + r"\.(\d{1,9})")
    found: list[tuple[int, Path, int, int]] = []
    try:
        with os.scandir(path.parent) as entries:
            for entry in entries:
                match = numbered.fullmatch(entry.name)
                if match or entry.name == path.name:
                    status = entry.stat()
                    age = int(match[1]) if match else -1
                    found.append((-age, path.parent / entry.name, status.st_ino, status.st_size))
    except FileNotFoundError:
        pass  # The folder is not there yet, or a file was renamed meanwhile: look again next time.
    return [(one, inode, size) for _, one, inode, size in sorted(found)]


class Opened:
    """A file being read line by line, by its descriptor, so that it stays the same whatever it is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        self.inode = os.fstat(self._file).st_ino
        self.line = 0
        self._offset = 0
        self._head = (0, 0)
        self._searched = 0
        self._too_long = False

    @classmethod
    def at_end(cls, path: Path) -> Opened:
        """The file with all its whole lines behind; they are not counted."""
        file = cls(path)
        end = os.fstat(file._file).st_size
        while end:
            begin = max(0, end - _SEARCHED_AT_ONCE)
            cut = os.pread(file._file, end - begin, begin).rfind(b"\n") + 1
            end = begin + cut
            if cut:
                break
        file._advance(end, 0)
        return file

    def go_to(self, place: Place) -> bool:
        """Go on from ``place``; False where the file is shorter, or begins otherwise."""
        if os.fstat(self._file).st_size < place.offset or self._crc(place.head[0]) != place.head[1]:
            return False
        self._offset, self.line, self._head = place.offset, place.line, place.head
        return True

    def place(self) -> Place:
        return Place(self.inode, self._offset, self.line, self._head)

    def was_truncated(self) -> bool:
        """Whether what was read is no longer there."""
        size = os.fstat(self._file).st_size
        return size < max(self._offset, self._searched) or self._crc(self._head[0]) != self._head[1]

    def rewind(self) -> None:
        self._offset = self.line = self._searched = 0
        self._head = (0, 0)

    def lines(self, rows: int) -> bytes:
        """Whole lines that were not read yet, about ``rows``; empty if there are none."""
        if self._searched:
            return self._find_end()
        begin = self._offset
        data = os.pread(self._file, max(rows * _BYTES_PER_ROW, LONGEST_LINE + 1), begin)
        cut = data.rfind(b"\n") + 1
        if cut:
            self._advance(self._offset + cut, data.count(b"\n"))
        elif len(data) > LONGEST_LINE:
            self._searched = self._offset + len(data)
            return self._find_end()
        return data[:cut] if begin else data[:cut].removeprefix(codecs.BOM_UTF8)

    def rest(self) -> bytes:
        """The last line, which never got its end, of a file that nobody adds to any more."""
        if self._searched:
            self._advance(self._searched, 1)
            self._searched, self._too_long = 0, True
            return b""
        data = os.pread(self._file, LONGEST_LINE + 1, self._offset)
        if data:
            self._advance(self._offset + len(data), 1)
            data += b"\n"
        return data

    def too_long(self) -> bool:
        """Whether the line before was too long, and was skipped; once for each."""
        was, self._too_long = self._too_long, False
        return was

    def close(self) -> None:
        os.close(self._file)

    def _find_end(self) -> bytes:
        """Skip a line that is too long, as far as it is there; nothing of it is kept."""
        while piece := os.pread(self._file, _SEARCHED_AT_ONCE, self._searched):
            cut = piece.find(b"\n") + 1
            self._searched += cut or len(piece)
            if cut:
                self._advance(self._searched, 1)
                self._searched, self._too_long = 0, True
                break
        return b""

    def _advance(self, offset: int, lines: int) -> None:
        self._offset = offset
        self.line += lines
        size = min(offset, _HEAD_BYTES)
        if size > self._head[0]:
            self._head = (size, self._crc(size))

    def _crc(self, size: int) -> int:
        return zlib.crc32(os.pread(self._file, size, 0)) if size else 0
