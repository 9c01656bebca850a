"""Rows of ``results.csv``: a test that is run again replaces what it said before."""

from __future__ import annotations

import csv
import fcntl
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("results.csv")
COLUMNS = ("test", "what", "value", "of", "note")


def record(test: str, rows: Sequence[tuple[str, object, object, str]]) -> None:
    """Print ``rows`` (what, value, of, note) and put them into ``results.csv`` in place of those of ``test``."""
    for what, value, of, note in rows:
        print(f"{test}: {what}: {value}{f' of {of}' if of != '' else ''}{f' ({note})' if note else ''}")
    with open(RESULTS, "a+", newline="") as file:  # several tests may end at the same time
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        kept = [row for row in csv.DictReader(file) if row["test"] != test]
        file.truncate(0)
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        said = [[row[name] for name in COLUMNS] for row in kept] + [[test, *row] for row in rows]
        out.writerows(sorted(said, key=lambda row: row[0]))
