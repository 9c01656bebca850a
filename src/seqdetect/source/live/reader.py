"""JSON lines to event tables where lines come from many senders: each event is judged by itself.

A file's columns are known by its head. Here there is no head: what an event means must depend neither on the
events it came with nor on where reading began. So each event's columns go by the first accepted name that it
has a value under, names must be spelled exactly, and an event that names no user is rejected.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from seqdetect.events import REQUIRED, SCHEMA, Tally, concat
from seqdetect.source.adapter.adapted import Adapted
from seqdetect.source.live import BATCH_ROWS
from seqdetect.source.parse import Block, jsonl
from seqdetect.source.parse.header import KEY, Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

_FEW_BYTES = 1 << 14
"""Bytes below which reading object by object is faster than as columns."""

_NOT_A_USER = ("api_key", "Session ID", "client_ip")


@dataclass(frozen=True)
class ByEvent(Layout):
    """A layout under which a key, a session or an address does not stand in for a user left out.

    A whole file without users may go by one of them. Among events that have users, it would file one user's
    events under another name; whoever wants that names it: ``columns={"user_id": "api_key"}``.
    """

    def candidates(self, own: str) -> list[str]:
        names = super().candidates(own)
        return [names[0], *(n for n in names[1:] if n not in _NOT_A_USER)] if own == KEY else names


def by_event(layout: Layout) -> ByEvent:
    """``layout`` for events that are judged one by one."""
    return ByEvent(**{one.name: getattr(layout, one.name) for one in fields(layout)})


class Reads(Protocol):
    """Turns bytes of whole lines into event tables."""

    def read(self, data: bytes, origin: str, tally: Tally, first: int = 1, unit: str = "line") -> pa.Table:
        """The good events among the lines of ``data``, of which the first one is number ``first``.

        Every line that is not blank is counted in ``tally``; ``origin`` and ``unit`` say there where it was.
        """
        ...


def reader(layout: Layout) -> Reads:
    """Who reads what the layout describes: events, or records of another program."""
    return Reader(layout) if layout.adapter is None else Adapted(layout.adapter, layout)


class Reader:
    """Reads lines of events."""

    def __init__(self, layout: Layout) -> None:
        self._layout = by_event(layout)
        self._names = {own: self._layout.candidates(own) for own in SCHEMA.names}

    def read(self, data: bytes, origin: str, tally: Tally, first: int = 1, unit: str = "line") -> pa.Table:
        if len(data) < _FEW_BYTES:
            stream = Stream(origin, b"", iter([b" " + data]))  # With a blank before, no columns are tried.
        else:
            stream = Stream(origin, self._head(data), iter([data]))
        tables = [
            accept(_placed(block, first - 1, unit), self._layout, tally)
            for block in jsonl.read(stream, self._layout, BATCH_ROWS)
        ]
        return tables[0] if len(tables) == 1 else concat(tables)

    def _head(self, data: bytes) -> bytes:
        """An object with the names that all events of ``data`` go by, as far as the first one shows them.

        It makes them be read as columns, several times faster. Nothing where it could change what an event
        means: where a name that goes before one of these occurs at all, or another name of the user.
        """
        try:
            event = msgspec.json.decode(data[: data.find(b"\n") + 1], type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return b""
        used = {
            own: next((n for n in names if event.get(n) is not None), None)
            for own, names in self._names.items()
        }
        if any(used[own] is None for own in REQUIRED.names):
            return b""
        rivals = {
            name
            for own, found in used.items()
            if found is not None
            for name in (
                self._names[own] if own == KEY else self._names[own][: self._names[own].index(found)]
            )
            if name != found
        }
        if b"\\" in data or any(msgspec.json.encode(name) in data for name in rivals):
            return b""
        return msgspec.json.encode({name: event[name] for name in used.values() if name is not None})


def _placed(block: Block, before: int, unit: str) -> Block:
    malformed = [(number + before, fault) for number, fault in block.malformed]
    return replace(block, numbers=block.numbers + before, malformed=malformed, unit=unit)
