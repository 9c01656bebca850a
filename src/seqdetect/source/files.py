"""Events in the user's own files: CSV, JSON lines, Parquet, gzip of the first two, or stdin."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from seqdetect.events import Tally, chunks
from seqdetect.secret import reveal
from seqdetect.service import SERVICE, as_one
from seqdetect.source.adapter import FORMATS, Adapter, adapted
from seqdetect.source.merge import Part, merge, times
from seqdetect.source.parse import Block, csv, jsonl, parquet
from seqdetect.source.parse.header import KEY, Layout
from seqdetect.source.parse.lines import STDIN, opened
from seqdetect.source.parse.rows import accept
from seqdetect.source.parse.times import Clock, Unit
from seqdetect.source.pseudonym import Pseudonyms

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger(__name__)
CHUNK_ROWS = 65_536
SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".parquet": "parquet"}
EVERYBODY = ("*", SERVICE)
"""In incidents, users that are nobody in particular."""

_PEEK_ROWS = 64
# Below this the fixed cost of a block outweighs its rows; a thousand open files still fit into memory.
_LEAST_ROWS = 4_096


class Files:
    """Events from files; several are one stream in the order of time, a single one is read as it stands.

    >>> from seqdetect.events import Tally
    >>> tally = Tally()
    >>> rows = sum(batch.num_rows for batch in Files("data/fixtures/requests.csv").read(tally))
    >>> rows == tally.read
    True
    """

    def __init__(
        self,
        events: str | Sequence[str],
        incidents: str | None = None,
        key: str = KEY,
        timezone: str = "UTC",
        timestamp_unit: Unit = "auto",
        epoch: str | None = None,
        columns: Mapping[str, str] | None = None,
        chunk_rows: int = CHUNK_ROWS,
        format: str | None = None,
        users: Sequence[str] | None = None,
        hash_users_env: str | None = None,
    ) -> None:
        """Nothing is opened yet.

        ``events`` are paths, globs, or ``-`` for stdin; ``incidents`` is one path. ``key`` names the column
        that tells users apart; without it and without any of its aliases a file is one user, ``all``. The
        key ``service`` is no column: whoever sent them, all events are those of one user of that name.
        ``columns`` maps our column names to the files'. Times without a zone are in ``timezone``. Numbers
        count from ``epoch`` (a time; then in seconds) or from 1970, in ``timestamp_unit`` or in the unit of
        their magnitude. ``chunk_rows`` bounds the rows of a batch, and those held per open file.

        ``format`` names a program whose records the files hold (``seqdetect.source.adapter.FORMATS``), ``users``
        the places in them where the user is looked for; names of columns and how times are written then follow from
        it. ``hash_users_env`` is the environment variable with the key of ``seqdetect.source.pseudonym``: events and
        incidents then have pseudonyms for users.
        """
        if chunk_rows < 1:
            raise ValueError(f"chunk_rows is {chunk_rows}; a batch holds at least one row")
        clock = Clock(timezone, timestamp_unit, None if epoch is None else Clock(timezone).parse(str(epoch)))
        self.licence = "the user's own"
        self.reference = "the user's own files"
        self.key = key
        self._incidents_clock = clock
        self._events = events
        self._incidents = incidents
        self._layout = _layout(key, dict(columns or {}), clock, _adapter(format, users or ()))
        secret = reveal(hash_users_env, None)
        if secret is not None:
            self._layout = replace(self._layout, pseudonyms=Pseudonyms(secret))
        self._chunk_rows = chunk_rows

    def read(self, tally: Tally) -> Iterator[pa.Table]:
        """Event batches of at most ``chunk_rows`` rows; bad rows are counted in ``tally``, the first named.

        Raises ``FileNotFoundError`` for a path or glob without files, and ``ValueError`` for a file whose
        format is unknown or that lacks a required column. Empty files are logged and have no rows.
        """
        return read(expand(self._events), lambda _: self._layout, self._chunk_rows, tally)

    def incidents(self) -> pd.DataFrame | None:
        """The incidents file's rows, or None without one. Raises ``ValueError`` for the first bad row."""
        if self._incidents is None:
            return None
        from seqdetect.source.parse import incidents

        (path,) = expand(self._incidents)
        rows = incidents.read(path, form(path) or "csv", self._incidents_clock)
        if self._layout.pseudonyms is not None:
            named = ~rows["user_id"].isin(EVERYBODY)
            rows.loc[named, "user_id"] = rows.loc[named, "user_id"].map(self._layout.pseudonyms.of)
        return rows


def read(
    paths: Sequence[str], layout: Callable[[str], Layout], chunk_rows: int, tally: Tally
) -> Iterator[pa.Table]:
    """The events of ``paths`` as one stream; ``layout`` says how to read each of them."""
    if len(paths) == 1:
        return _batches(paths[0], layout(paths[0]), chunk_rows, tally)
    rows = min(chunk_rows, max(_LEAST_ROWS, 4 * chunk_rows // len(paths)))
    parts = [
        Part(_first(path, layout(path)), partial(_batches, path, layout(path), rows, tally)) for path in paths
    ]
    return merge(parts, chunk_rows)


def expand(events: str | Sequence[str]) -> list[str]:
    """The files that paths and globs name, each once; those of one glob in the order of their names.

    Raises ``FileNotFoundError`` where there are none, ``IsADirectoryError`` for a folder.
    """
    patterns = [events] if isinstance(events, str | os.PathLike) else list(events)
    if not patterns:
        raise FileNotFoundError("no event files are named; give a path, a glob, or - for stdin")
    return list(dict.fromkeys(path for pattern in patterns for path in _matches(os.fspath(pattern))))


def _matches(pattern: str) -> list[str]:
    if pattern == STDIN:
        return [pattern]
    if os.path.isdir(pattern):
        raise IsADirectoryError(
            f"{pattern} is a folder; name its files, for example {pattern.rstrip('/')}/*.csv"
        )
    if os.path.exists(pattern):
        return [pattern]
    found = [path for path in sorted(glob.glob(pattern, recursive=True)) if not os.path.isdir(path)]
    if not found:
        what = "no file matches" if glob.has_magic(pattern) else "there is no file"
        raise FileNotFoundError(f"{what} {pattern} (looked from {os.getcwd()})")
    return found


def form(path: str) -> str | None:
    """``csv``, ``jsonl`` or ``parquet`` by the suffix; None for stdin and pipes, which show it themselves.

    Raises ``ValueError`` for a file with another suffix.
    """
    stem, suffix = os.path.splitext(path.lower())
    zipped = suffix == ".gz"
    found = SUFFIXES.get(os.path.splitext(stem)[1] if zipped else suffix)
    if (found is None or (zipped and found == "parquet")) and os.path.isfile(path):
        raise ValueError(f"{path}: unknown format; accepted are {', '.join(SUFFIXES)}, .csv.gz and .jsonl.gz")
    return found


def _layout(key: str, columns: Mapping[str, str], clock: Clock, adapter: Adapter | None) -> Layout:
    if adapter is not None:
        if columns or clock != Clock() or key not in (KEY, SERVICE):
            raise ValueError(
                f"records of {adapter.name} have their own columns, times and users; leave columns, timezone, "
                "timestamp_unit, epoch and key out, and say with users which of their names is the user"
            )
        found = adapted.layout(Layout(adapter=adapter))
        return replace(found, lone_user=SERVICE, empty_user=SERVICE) if key == SERVICE else found
    if key == SERVICE:  # rows without a user count, too
        return Layout(columns=columns, clock=clock, lone_user=SERVICE, empty_user=SERVICE)
    return Layout(key=key, columns=columns, clock=clock)


def _adapter(format: str | None, users: Sequence[str]) -> Adapter | None:
    if format is None:
        if users:
            raise ValueError(
                "users says where records of another program name the user; name their format, too"
            )
        return None
    if format not in FORMATS:
        raise ValueError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    return FORMATS[format](users)


def _batches(path: str, layout: Layout, chunk_rows: int, tally: Tally) -> Iterator[pa.Table]:
    seen = 0
    for block in _blocks(path, layout, chunk_rows):
        seen += len(block.numbers) + len(block.malformed)
        table = accept(block, layout, tally)
        yield from chunks(as_one(table) if layout.lone_user == SERVICE else table, chunk_rows)
    if not seen:
        LOG.warning("%s holds no events", "stdin" if path == STDIN else path)


def _blocks(path: str, layout: Layout, chunk_rows: int) -> Iterator[Block]:
    known = form(path) if layout.adapter is None else None
    if known == "parquet":
        yield from parquet.read(path, layout, chunk_rows)
        return
    for stream in opened(path, chunk_rows):
        if layout.adapter is not None:
            yield from adapted.read(stream, layout.adapter, chunk_rows)
            continue
        found = known or ("jsonl" if stream.head.lstrip()[:1] in (b"{", b"[") else "csv")
        yield from (jsonl if found == "jsonl" else csv).read(stream, layout, chunk_rows)


def _first(path: str, layout: Layout) -> int | None:
    """The earliest time among the file's first rows, which are read again later; None where unknown."""
    if not os.path.isfile(path):
        return None
    for table in _batches(path, layout, _PEEK_ROWS, Tally()):
        return int(times(table).min())
    return None
