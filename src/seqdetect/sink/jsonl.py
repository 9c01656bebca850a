"""Alerts as JSON lines, in a file or on standard output."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

_PIECE = 1 << 16


class JsonlSink:
    """One line per change of an alert, in a file of its own; ``-`` is standard output."""

    def __init__(self, path: str | Path) -> None:
        self._own = str(path) != "-"
        if self._own:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._out: TextIO = open(path, "w", encoding="utf-8") if self._own else sys.stdout  # noqa: SIM115

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        self._out.write(_lines(changes))
        self._out.flush()

    def close(self) -> None:
        if self._own:
            self._out.close()


class JsonlAppender:
    """The same for a service that goes on after a restart: lines are added to what the file holds.

    A last line that a crash left unfinished is cut off. What ``send`` returned from is on the disk; what it
    raised at has left nothing behind, so it can be sent again. A file that was moved away, as logrotate does,
    is begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._opened()

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        if not changes:
            return
        if self._moved():
            os.close(self._file)
            self._file = self._opened()
        size = os.fstat(self._file).st_size
        left = memoryview(_lines(changes).encode())
        try:
            while left:
                left = left[os.write(self._file, left) :]
            if self._regular():
                os.fsync(self._file)
        except OSError:
            if self._regular():
                os.ftruncate(self._file, size)
            raise

    def close(self) -> None:
        os.close(self._file)

    def _opened(self) -> int:
        if str(self._path) == "-":
            return os.dup(1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and not self._path.is_file():
            # a pipe that nobody reads is an error now, rather than a start that never ends
            pipe = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(pipe, True)
            return pipe
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        _cut_torn_line(file)
        return file

    def _regular(self) -> bool:
        return str(self._path) != "-" and stat.S_ISREG(os.fstat(self._file).st_mode)

    def _moved(self) -> bool:
        if not self._regular():
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True


def _lines(changes: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(change, ensure_ascii=False) + "\n" for change in changes)


def _cut_torn_line(file: int) -> None:
    """End the file after its last line feed."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - _PIECE)
        feed = os.pread(file, end - start, start).rfind(b"\n")
        if feed >= 0:
            end = start + feed + 1
            break
        end = start
    if end != os.fstat(file).st_size:
        os.ftruncate(file, end)
