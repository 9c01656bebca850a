"""What happened, as JSON lines on standard error: one object per event, with its fields."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

REPEAT_S: Final = 10.0
"""A warning or error that stays the same is written at most this often; the next one says how many were left out."""
_KEPT: Final = 256


def say(log: logging.Logger, level: int, event: str, **fields: Any) -> None:
    """Write ``event`` (a name with underscores, the same for every case of its kind) with ``fields``."""
    log.log(level, event, extra={"fields": fields})


class JsonLines(logging.Formatter):
    """``{"time", "level", "event", ...}``; what a library logs has the event ``message``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"event": "message", "logger": record.name, "message": record.getMessage()}
        else:
            line |= {"event": record.getMessage(), **fields}
        if getattr(record, "left_out", 0):
            line["left_out"] = record.left_out  # type: ignore[attr-defined]
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Repeats(logging.Filter):
    """Lets the same warning through once per ``every_s``; what differs in one field is not the same."""

    def __init__(self, every_s: float = REPEAT_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[tuple[str, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        fields = getattr(record, "fields", None) or {}
        # numbers count things up and would make every repeat a new event
        words = {name: value for name, value in fields.items() if isinstance(value, str)}
        key, now = (record.name, str(record.msg), str(words)), time.monotonic()
        said, left_out = self._last.get(key, (-self._every_s, 0))
        if now - said < self._every_s:
            self._last[key] = (said, left_out + 1)
            return False
        if len(self._last) >= _KEPT and key not in self._last:
            self._last.clear()
        self._last[key] = (now, 0)
        record.left_out = left_out
        return True


def start(level: str) -> None:
    """Write every log record of this process from ``level`` on to standard error, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("asyncio", "uvicorn"):  # a line per request would be a line per event
        logging.getLogger(name).setLevel(logging.WARNING)
