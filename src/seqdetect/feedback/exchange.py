"""Verdicts as CSV or JSON lines, for spreadsheets and for other stores."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

import msgspec

from seqdetect.feedback.store import COLUMNS
from seqdetect.feedback.verdict import Verdict, checked

FORMS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
NULLABLE: Final = ("score", "threshold", "corrected")


def write(verdicts: Iterable[Verdict], path: str) -> int:
    """Write ``verdicts`` to a file, or as JSON lines to ``-``; how many. ``ValueError`` for another suffix."""
    rows = [{name: getattr(one, name) for name in COLUMNS} for one in verdicts]
    form = _form(path)
    with _opened(path) as file:
        if form == "csv":
            out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            out.writeheader()
            out.writerows(rows)
        else:
            file.writelines(msgspec.json.encode(row).decode() + "\n" for row in rows)
    return len(rows)


def read(path: str) -> list[Verdict]:
    """The verdicts of a file that ``write`` left, or one like it. ``ValueError`` names line and field."""
    found = []
    for number, row in _rows(path, _form(path)):
        try:
            found.append(checked(msgspec.convert(row, Verdict, strict=False)))
        except (msgspec.ValidationError, ValueError) as error:
            raise ValueError(f"{path} line {number}: {error}") from None
    return found


def _rows(path: str, form: str) -> Iterator[tuple[int, object]]:
    with open(path, encoding="utf-8", newline="") as file:
        if form == "csv":
            reader = csv.DictReader(file, strict=True)
            try:
                for row in reader:
                    yield reader.line_num, _row(row, f"{path} line {reader.line_num}")
            except csv.Error as error:
                raise ValueError(f"{path} line {reader.line_num}: {error}") from None
            return
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield number, msgspec.json.decode(line)
                except msgspec.DecodeError as error:
                    raise ValueError(f"{path} line {number}: {error}") from None


def _row(row: dict[str | None, str | None], where: str) -> dict[str, str | None]:
    if None in row or None in row.values():
        raise ValueError(f"{where}: it has another number of fields than the header")
    return {str(name): None if name in NULLABLE and value == "" else value for name, value in row.items()}


def _form(path: str) -> str:
    form = "jsonl" if path == "-" else FORMS.get(Path(path).suffix.lower())
    if form is None:
        raise ValueError(f"{path}: verdicts are kept as {', '.join(FORMS)}")
    return form


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    if path == "-":
        yield sys.stdout
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        yield file
