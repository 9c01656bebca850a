"""Alerts in a SQLite file, for whoever wants to ask questions of them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from seqdetect.durable import sync_folder
from seqdetect.sink import Change
from seqdetect.sink.identity import key

VERSION: Final = 1
DAY_S: Final = 86_400.0
_TIDY_S: Final = 3600.0
_AT_ONCE: Final = 10_000
"""Rows deleted in one transaction, so that readers and the next alert need not wait for long."""
_COLUMNS: Final = (
    "model", "alert_id", "change", "at", "user_id", "key", "users", "kind", "severity", "tier", "start", "end",
    "score", "tokens", "cost_usd", "shadow", "muted", "reopened",
)  # fmt: skip
_SCHEMA: Final = f"""
CREATE TABLE changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    identity TEXT NOT NULL UNIQUE,
    written REAL NOT NULL,
    model TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    change TEXT NOT NULL,
    at TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX changes_of_alert ON changes (model, alert_id, number);
CREATE INDEX changes_by_age ON changes (written);
CREATE TABLE alerts (
    model TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    change TEXT NOT NULL,
    at TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key TEXT NOT NULL,
    users INTEGER NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    tier TEXT NOT NULL,
    start TEXT NOT NULL,
    "end" TEXT,
    score REAL NOT NULL,
    tokens INTEGER NOT NULL,
    cost_usd REAL,
    shadow INTEGER NOT NULL,
    muted INTEGER NOT NULL,
    reopened INTEGER NOT NULL,
    written REAL NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (model, alert_id)
) WITHOUT ROWID;
CREATE INDEX alerts_of_user ON alerts (user_id, start);
CREATE INDEX alerts_by_age ON alerts (written);
PRAGMA user_version = {VERSION};
"""
_ADD: Final = "INSERT OR IGNORE INTO changes (identity, written, model, alert_id, change, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_NAMES: Final = ", ".join(f'"{name}"' for name in (*_COLUMNS, "written", "body"))
_SET: Final = f"INSERT OR REPLACE INTO alerts ({_NAMES}) VALUES ({', '.join('?' * (len(_COLUMNS) + 2))})"


class SqliteSink:
    """Every change in the table ``changes``, and every alert as it stands in ``alerts``, each with the whole JSON as
    ``body``.

    On the disk when ``send`` returns. A change that comes again is known by its content and changes nothing, not even
    where later ones have come meanwhile. Others can read the file at any time (``sqlite3 -readonly``), on the same
    machine. It is kept small: what was written more than ``keep_days`` days ago goes, but for alerts that are open.
    """

    def __init__(self, path: Path, keep_days: float = 90.0) -> None:
        """Raises ``ValueError`` for a file that is none of these, ``OSError`` where it cannot be opened."""
        if keep_days <= 0:
            raise ValueError("keep_days must be more than 0")
        self._keep_s = keep_days * DAY_S
        self._tidy_at = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._file = _opened(path)
        except sqlite3.OperationalError as error:
            raise OSError(f"{path}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path}: {error}; move it away to begin anew") from error

    def send(self, changes: Sequence[Change]) -> None:
        now = time.time()
        with self._file:
            for change in changes:
                self._write(change, now)
        if now >= self._tidy_at:
            self._tidy(now)
            self._tidy_at = now + _TIDY_S

    def close(self) -> None:
        self._file.close()

    def _write(self, change: Change, now: float) -> None:
        body = msgspec.json.encode(change).decode()
        head = (change["model"], change["alert_id"], change["change"], change["at"])
        if self._file.execute(_ADD, (key(change), now, *head, body)).rowcount:
            self._file.execute(_SET, (*(change[name] for name in _COLUMNS), now, body))

    def _tidy(self, now: float) -> None:
        """Delete what is too old."""
        old = now - self._keep_s
        for table, rows, which in (
            ("changes", "number", "written < ?"),
            ("alerts", "(model, alert_id)", "written < ? AND change = 'resolve'"),
        ):
            found = f"SELECT {rows.strip('()')} FROM {table} WHERE {which} LIMIT {_AT_ONCE}"
            gone = _AT_ONCE
            while gone == _AT_ONCE:
                with self._file:
                    gone = self._file.execute(
                        f"DELETE FROM {table} WHERE {rows} IN ({found})", (old,)
                    ).rowcount


def _opened(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=1.0)
    try:
        (version,) = file.execute("PRAGMA user_version").fetchone()
        found: list[Any] = file.execute("SELECT name FROM sqlite_master").fetchall()
        if version not in (0, VERSION) or (version == 0 and found):
            raise ValueError(
                f"{path} holds something else, or version {version}; this program knows {VERSION}"
            )
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        if version == 0:
            file.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
            sync_folder(path.parent)
    except BaseException:
        file.close()
        raise
    return file
