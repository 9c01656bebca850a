"""A file of JSON lines that others add to, followed over its rotation and truncation."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from seqdetect.events import REQUIRED, Tally
from seqdetect.source.live import BATCH_ROWS, Batch, Parts
from seqdetect.source.live.opened import Opened, Place, chain
from seqdetect.source.live.reader import reader
from seqdetect.source.parse.header import Layout

LOG = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1


class Tail:
    """Follows the file at ``path``, which need not exist yet; it can be gone back to.

    The position is ``{"inode", "offset", "line", "head"}``: the file, the byte after the last whole line read
    of it, how many lines were read of it, and a checksum of its first bytes, since inodes are used again.

    - A last line without its end waits for it, unless the file was rotated away.
    - Rotation (the file is renamed, a new one takes its place): the rest of the old file is read until the new
      one has something in it; so a writer that has not changed over yet loses nothing. Old files are looked for
      as ``PATH.1``, ``PATH.2`` ..., also after a restart; those between are read in turn. Where the old file is
      gone (deleted, zipped), the rest of it is lost: that is logged and counted in ``gaps``.
    - Truncation (the file has become shorter, or begins otherwise): reading goes on at its beginning. What was
      written and not read before cannot be told; that is logged and counted too.

    ``begin`` says where a run without a position begins: at the file's ``beginning``, or at its ``end``, where
    a last line that is not whole yet counts as to come.
    """

    def __init__(
        self,
        path: str | Path,
        tally: Tally,
        layout: Layout | None = None,
        begin: Literal["beginning", "end"] = "beginning",
    ) -> None:
        if begin not in ("beginning", "end"):
            raise ValueError(f"begin is {begin!r}; a file is followed from its beginning or its end")
        self.gaps = 0
        self.ended = False
        self._path = Path(path)
        self._tally = tally
        self._reader = reader(layout or Layout())
        self._begin = begin
        self._file: Opened | None = None
        self._older: set[int] = set()

    replayable = True

    def start(self, parts: Parts) -> None:
        """Raises ``ValueError`` for a position that is none, and for a path that is no file."""
        if self._path.exists() and not self._path.is_file():
            raise ValueError(f"{self._path} is not a file that can be followed")
        self._older = {inode for path, inode, _ in chain(self._path) if path != self._path}
        position = parts.assigned("")
        if position is not None:
            self._resume(Place.read(position))
        elif self._begin == "end" and self._path.exists():
            self._file = Opened.at_end(self._path)
        elif not self._path.exists():
            LOG.info("there is no file %s yet", self._path)

    def poll(self, timeout_s: float) -> Batch | None:
        """A batch may be without rows where all lines were rejected."""
        until = time.monotonic() + timeout_s
        while not self.ended:
            batch = self._next()
            if batch is not None:
                return batch
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(left, _LOOK_SECONDS))
        return None

    def commit(self, part: str, position: Any) -> None:
        """The file keeps itself."""

    def stats(self) -> dict[str, Any]:
        """``gaps``: how often lines may have been lost."""
        return {"gaps": self.gaps}

    def close(self) -> None:
        self.ended = True
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> Batch | None:
        """What can be read now, whatever it takes: the next lines, or the next file's."""
        for _ in range(len(chain(self._path)) + 2):
            if self._file is None and not self._open_first():
                return None
            assert self._file is not None
            if self._file.was_truncated():
                self._lost("%s was truncated; it is read from its beginning", self._file.path)
                self._file.rewind()
            batch = self._batch(self._file.lines(BATCH_ROWS))
            if batch is not None:
                return batch
            following = self._following(self._file)
            if following is None:
                return None
            batch = self._batch(self._file.lines(BATCH_ROWS))
            if batch is not None:  # Written between the two looks; there may be more.
                following.close()
                return batch
            batch = self._batch(self._file.rest())
            self._file.close()
            self._file = following
            if batch is not None:
                return batch
        return None

    def _batch(self, data: bytes) -> Batch | None:
        assert self._file is not None
        skipped = self._file.too_long()
        if not data and not skipped:
            return None
        if skipped:
            self._tally.read += 1
            where = f"{self._file.path} line {self._file.line}"
            self._tally.reject("malformed_line", where, "longer than a line may be")
        table: pa.Table = REQUIRED.empty_table()
        if data:
            first = self._file.line - data.count(b"\n") + 1
            table = self._reader.read(data, str(self._path), self._tally, first)
        return Batch(table, "", self._file.place().written())

    def _open_first(self) -> bool:
        """Open the oldest file that was not there, under an older name, when all began."""
        for path, inode, _ in chain(self._path):
            if inode not in self._older:
                self._file = _opened(path, inode)
                break
        return self._file is not None

    def _following(self, file: Opened) -> Opened | None:
        """The file that came after ``file``, once that has been rotated away and has a successor in use."""
        files = chain(self._path)
        inodes = [inode for _, inode, _ in files]
        if file.inode in inodes:
            later = files[inodes.index(file.inode) + 1 :]
        else:
            later = files[-1:] if files and files[-1][0] == self._path else []
        for path, inode, size in later:
            if size:
                return _opened(path, inode)
        return None

    def _resume(self, place: Place) -> None:
        for path, inode, _ in chain(self._path):
            file = _opened(path, inode) if inode == place.inode else None
            if file is not None and file.go_to(place):
                self._file = file
                return
            if file is not None:
                file.close()
        self._lost(
            "the file that was read until byte %d is gone; %s is read from its beginning",
            place.offset,
            self._path,
        )

    def _lost(self, what: str, *arguments: object) -> None:
        self.gaps += 1
        LOG.warning(what, *arguments)


def _opened(path: Path, inode: int) -> Opened | None:
    """The file if it is still there under this name; None while it is being renamed."""
    try:
        found = Opened(path)
    except FileNotFoundError:
        return None
    if found.inode == inode:
        return found
    found.close()
    return None
