"""Changes that wait on disk for a far side, in order: a queue in a SQLite file."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from seqdetect.durable import sync_folder
from seqdetect.serve.logs import say
from seqdetect.sink import Change
from seqdetect.sink.identity import key

LOG = logging.getLogger(__name__)
SUFFIX: Final = ".queue"
_VERSION: Final = 1
KNOWN: Final = 20_000
"""So many changes are known again when they come a second time: more than a restart scores again."""
_MADE: Final = f"""
CREATE TABLE known (number INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE);
CREATE TABLE waiting (number INTEGER PRIMARY KEY, since REAL NOT NULL, change BLOB NOT NULL);
PRAGMA user_version = {_VERSION};
"""


class Waiting(NamedTuple):
    """A change and its number, which grows with every change that was ever put."""

    number: int
    change: Change


class Spool:
    """What is put is on disk when ``put`` returns, whatever happens to the process; what is removed is gone.

    A change that was put before is not put again: after a crash a scorer tells once more what it told since its last
    checkpoint, and an alert that has ended since would call somebody anew.

    One thread puts and another one removes. SQLite's write-ahead log drops a transaction that was not wholly written
    and uses the room of removed changes again. Its locking mode keeps every other process out and needs no shared
    memory, so the file may be on a network file system.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """A file that is damaged is set aside, which is logged as an error, and a new one begun.

        Raises ``ValueError`` for a file in use or of another version, ``OSError`` for one that cannot be opened.
        """
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._file = _opened(path)
        count, size = self._file.execute(
            "SELECT count(*), coalesce(sum(length(change)), 0) FROM waiting"
        ).fetchone()
        self.changes, self.bytes = int(count), int(size)
        self.last: int = self._file.execute("SELECT coalesce(max(number), 0) FROM known").fetchone()[0]
        """The number of the change that was put last."""
        self._since = self._oldest()

    @property
    def full(self) -> bool:
        """Whether there is no room; what is put all the same goes beyond the bound."""
        return self.bytes >= self._max_bytes

    @property
    def oldest_s(self) -> float:
        """For how long the first one has been waiting (seconds); 0 where none is."""
        since = self._since
        return 0.0 if since is None else max(0.0, time.time() - since)

    def put(self, changes: Sequence[Change]) -> None:
        """Add all that are new or, with ``sqlite3.Error``, none."""
        now, count, size = time.time(), 0, 0
        with self._lock:
            with self._file:
                for change in changes:
                    added = self._file.execute(
                        "INSERT OR IGNORE INTO known (identity) VALUES (?)", (key(change),)
                    )
                    if added.rowcount:
                        body = msgspec.json.encode(change)
                        self._file.execute(
                            "INSERT INTO waiting VALUES (?, ?, ?)", (added.lastrowid, now, body)
                        )
                        count, size = count + 1, size + len(body)
                (last,) = self._file.execute("SELECT coalesce(max(number), 0) FROM known").fetchone()
                self._file.execute("DELETE FROM known WHERE number <= ?", (last - KNOWN,))
            self.last = last
            self.changes += count
            self.bytes += size
            if count and self._since is None:
                self._since = now

    def first(self, count: int, until: int) -> list[Waiting]:
        """The oldest ones, at most ``count``, and none put after the one numbered ``until``."""
        with self._lock:
            found = self._file.execute(
                "SELECT number, change FROM waiting WHERE number <= ? ORDER BY number LIMIT ?",
                (until, count),
            ).fetchall()
        return [Waiting(number, msgspec.json.decode(change)) for number, change in found]

    def remove(self, until: int) -> None:
        """Forget all up to the one numbered ``until``."""
        with self._lock:
            with self._file:
                gone, size = self._file.execute(
                    "SELECT count(*), coalesce(sum(length(change)), 0) FROM waiting WHERE number <= ?",
                    (until,),
                ).fetchone()
                self._file.execute("DELETE FROM waiting WHERE number <= ?", (until,))
            self.changes -= gone
            self.bytes -= size
            self._since = self._oldest()
            if not self.changes:
                # give the disk back what a long outage has taken; execute would free one page alone
                self._file.executescript("PRAGMA incremental_vacuum")

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _oldest(self) -> float | None:
        found = self._file.execute("SELECT since FROM waiting ORDER BY number LIMIT 1").fetchone()
        return None if found is None else found[0]


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _checked(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise ValueError(
                f"{path} is in use by another process; give each its own delivery.folder"
            ) from None
        raise OSError(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        aside = _set_aside(path)
        say(LOG, logging.ERROR, "outbox_damaged", file=str(path), error=str(error), set_aside=str(aside))
        return _checked(path)


def _checked(path: Path) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        # before the first look at the file, so that no shared memory is used
        file.execute("PRAGMA locking_mode = EXCLUSIVE")
        file.execute("PRAGMA auto_vacuum = INCREMENTAL")
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        (found,) = file.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        (version,) = file.execute("PRAGMA user_version").fetchone()
        if version == 0:
            file.executescript(f"BEGIN EXCLUSIVE; {_MADE} COMMIT;")
            sync_folder(path.parent)
        elif version != _VERSION:
            raise ValueError(f"{path} is of version {version}; this program knows {_VERSION}")
    except BaseException:
        file.close()
        raise
    return file


def _set_aside(path: Path) -> Path:
    """Rename the file, and its log beside it, to the first name that is free."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for more in ("-wal", "-shm"):
        beside = path.with_name(path.name + more)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + more))
    return aside
