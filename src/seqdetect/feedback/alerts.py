"""The last known state of every alert, from what the outputs of a service left."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec

SQLITE_HEADER: Final = b"SQLite format 3\0"


def last_states(path: str | Path) -> dict[str, Mapping[str, Any]]:
    """The last change of each alert by its id, from JSON lines or from the file of the sqlite output.

    A last line that is unfinished, as in a file that is being written, is passed over. Raises ``ValueError`` that
    names any other line which is no change of an alert, and ``OSError`` where the file cannot be had.
    """
    with open(path, "rb") as file:
        stored = file.read(len(SQLITE_HEADER)) == SQLITE_HEADER
    return _stored(path) if stored else _lines(path)


def _lines(path: str | Path) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip() and line.endswith(b"\n"):
                one = _change(line, f"{path} line {number}")
                found[one["alert_id"]] = one
    return found


def _change(text: bytes | str, where: str) -> dict[str, Any]:
    try:
        one = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f"{where}: {error}") from None
    if not isinstance(one.get("alert_id"), str):
        raise ValueError(f"{where} field alert_id: it is {one.get('alert_id')!r}; it should be text")
    return one


def _stored(path: str | Path) -> dict[str, Mapping[str, Any]]:
    """What its table ``alerts`` holds: each alert's last change, as JSON in ``body``."""
    address = f"{Path(path).absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            rows = connection.execute("SELECT alert_id, body FROM alerts ORDER BY at").fetchall()
    except sqlite3.Error as error:
        raise ValueError(f"{path} holds no alerts: {error}") from error
    return {str(name): _change(text, f"{path} alert {name}") for name, text in rows}
