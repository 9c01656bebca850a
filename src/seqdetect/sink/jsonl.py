"""Alerts as JSON lines, in a file or on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO


class JsonlSink:
    """One line per change of an alert; ``-`` is standard output.

    A file is begun anew, or, with ``append``, gone on with: half a line that a crash left is cut off first.
    """

    def __init__(self, path: str | Path, append: bool = False) -> None:
        self._own = str(path) != "-"
        if self._own:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if append:
                _cut_torn_line(Path(path))
        mode = "a" if append else "w"
        self._out: TextIO = open(path, mode, encoding="utf-8") if self._own else sys.stdout  # noqa: SIM115

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        self._out.write("".join(json.dumps(change, ensure_ascii=False) + "\n" for change in changes))
        self._out.flush()

    def close(self) -> None:
        if self._own:
            self._out.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
