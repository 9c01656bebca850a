"""Alerts as JSON lines, in a file or on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO


class JsonlSink:
    """One line per change of an alert; ``-`` is standard output."""

    def __init__(self, path: str | Path) -> None:
        self._own = str(path) != "-"
        if self._own:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._out: TextIO = open(path, "w", encoding="utf-8") if self._own else sys.stdout  # noqa: SIM115

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        for change in changes:
            self._out.write(json.dumps(change, ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        if self._own:
            self._out.close()
