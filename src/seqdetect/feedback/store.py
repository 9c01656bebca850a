"""Where verdicts are kept: an SQLite file that several processes may write to at once.

Nothing in it is ever changed or removed: a second verdict on an alert counts in place of the first, which stays for
the record. The table refuses ``UPDATE`` and ``DELETE``, so that nobody rewrites by mistake what others said.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from seqdetect.feedback.verdict import Verdict, checked, judged

SCHEMA_VERSION: Final = 1
WAIT_S: Final = 30.0
"""How long another writer is waited for."""
COLUMNS: Final = tuple(name for name in Verdict.__struct_fields__ if name != "id")
SCHEMA: Final = f"""
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL, alert_id TEXT NOT NULL, model TEXT NOT NULL, key TEXT NOT NULL, user_id TEXT NOT NULL,
    start TEXT NOT NULL, "end" TEXT NOT NULL, kind TEXT NOT NULL, severity TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('true', 'false', 'benign')),
    author TEXT NOT NULL CHECK (author <> ''), note TEXT NOT NULL,
    score REAL, threshold REAL, bundle_version TEXT NOT NULL, corrected TEXT,
    UNIQUE (alert_id, at, author, verdict)
);
CREATE INDEX verdicts_by_alert ON verdicts (alert_id, at, id);
CREATE TRIGGER verdicts_stay BEFORE DELETE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are kept'); END;
CREATE TRIGGER verdicts_stand BEFORE UPDATE ON verdicts BEGIN SELECT RAISE(ABORT, 'verdicts are kept'); END;
PRAGMA user_version = {SCHEMA_VERSION};
"""


class Verdicts:
    """All verdicts on alerts. Safe for several threads and processes: every call has a connection of its own.

    The file is made where there is none. Raises ``ValueError`` for a file of something else, ``OSError`` for one that
    cannot be had.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        deadline = time.monotonic() + WAIT_S
        while not self._ready():  # turning on the log of a new file does not wait for others who do the same
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path} has been locked by another process for {WAIT_S:g} s")
            time.sleep(0.01)

    def add(
        self, alert: Mapping[str, Any], verdict: str, author: str, note: str = "", kind: str | None = None
    ) -> Verdict:
        """Keep a verdict on ``alert``, its last known change. Raises ``ValueError`` for what cannot be right."""
        one = judged(alert, verdict, author, note, kind)
        with self._open() as connection:
            cursor = connection.execute(_insert("INSERT"), _cells(one))
        return msgspec.structs.replace(one, id=cursor.lastrowid)

    def take(self, verdicts: Iterable[Verdict]) -> int:
        """Keep verdicts given elsewhere, all or none; how many were new. The same one twice is one."""
        rows = [_cells(checked(one)) for one in verdicts]
        with self._open() as connection:
            before = connection.total_changes
            connection.executemany(_insert("INSERT OR IGNORE"), rows)
            return connection.total_changes - before

    def all(self) -> list[Verdict]:
        """Every verdict ever given, oldest first."""
        return self._select("ORDER BY at, id")

    def by_alert(self, alert_id: str) -> list[Verdict]:
        """The history of one alert, oldest first; the last one counts."""
        return self._select("WHERE alert_id = ? ORDER BY at, id", alert_id)

    def latest(self) -> list[Verdict]:
        """The verdict that counts of each alert, oldest first."""
        last = {one.alert_id: one for one in self.all()}
        return sorted(last.values(), key=lambda one: (one.at, one.id))

    def counts(self) -> dict[str, int]:
        """How many alerts count as ``true``, ``false`` and ``benign``."""
        found = Counter(one.verdict for one in self.latest())
        return {name: found[name] for name in ("true", "false", "benign")}

    def _select(self, what: str, *values: str) -> list[Verdict]:
        with self._open() as connection:
            rows = connection.execute(f"SELECT * FROM verdicts {what}", values).fetchall()
        return [Verdict(**dict(row)) for row in rows]

    def _ready(self) -> bool:
        try:
            with self._open() as connection:
                if _version(connection) == 0:
                    self._make(connection)
                if _version(connection) != SCHEMA_VERSION:
                    raise ValueError(
                        f"{self.path} is a store of version {_version(connection)}; known is {SCHEMA_VERSION}"
                    )
        except BlockingIOError:
            return False
        return True

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) != 0:
            return  # another process was quicker
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise ValueError(f"{self.path} is no store of verdicts: it holds something else")
        for statement in _statements(SCHEMA):
            connection.execute(statement)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, whose changes are kept at the end unless an exception left."""
        connection = None
        try:
            connection = sqlite3.connect(self.path, timeout=WAIT_S)
            connection.row_factory = sqlite3.Row
            with connection:
                yield connection
        except sqlite3.OperationalError as error:
            kind = BlockingIOError if "locked" in str(error) else OSError
            raise kind(f"{self.path}: {error}") from error
        except sqlite3.IntegrityError as error:
            raise ValueError(f"{self.path} refuses it: {error}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path} is no store of verdicts: {error}") from error
        finally:
            if connection is not None:
                connection.close()


def existing(path: str | Path) -> Verdicts:
    """The store at ``path``. Raises ``FileNotFoundError`` where there is none."""
    if not Path(path).exists():
        raise FileNotFoundError(f"no store of verdicts at {path}")
    return Verdicts(path)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _insert(how: str) -> str:
    names, marks = ", ".join(f'"{name}"' for name in COLUMNS), ", ".join("?" * len(COLUMNS))
    return f"{how} INTO verdicts ({names}) VALUES ({marks})"


def _cells(one: Verdict) -> tuple[Any, ...]:
    return tuple(getattr(one, name) for name in COLUMNS)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, each whole: triggers hold semicolons of their own."""
    statement = ""
    for line in script.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
