"""JSON lines to event tables where lines come from many senders: each event is judged by itself.

A file's columns are known by its head. Here there is no head: what an event means must depend neither on the
events it came with nor on where reading began. So each event's columns go by the first accepted name that it
has a value under, names must be spelled exactly, and an event that names no user is rejected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from seqdetect.events import Tally, concat
from seqdetect.source.live import BATCH_ROWS
from seqdetect.source.parse import Block, jsonl
from seqdetect.source.parse.header import KEY, Layout
from seqdetect.source.parse.lines import Stream
from seqdetect.source.parse.rows import accept

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
    return ByEvent(layout.key, layout.columns, layout.clock, layout.lone_user, layout.empty_user)


class Reader:
    """Turns bytes of whole lines into event tables."""

    def __init__(self, layout: Layout) -> None:
        self._layout = by_event(layout)

    def read(self, data: bytes, origin: str, tally: Tally, first: int = 1, unit: str = "line") -> pa.Table:
        """The good events among the lines of ``data``, of which the first one is number ``first``.

        Every line that is not blank is counted in ``tally``; ``origin`` and ``unit`` say there where it was.
        """
        stream = Stream(origin, b"", iter([data]))
        tables = [
            accept(_placed(block, first - 1, unit), self._layout, tally)
            for block in jsonl.read(stream, self._layout, BATCH_ROWS)
        ]
        return tables[0] if len(tables) == 1 else concat(tables)

    def stream(self, stream: Stream) -> Iterator[Block]:
        """Blocks of a stream that goes on; its head is not looked at."""
        return jsonl.read(replace(stream, head=b""), self._layout, BATCH_ROWS)


def _placed(block: Block, before: int, unit: str) -> Block:
    malformed = [(number + before, fault) for number, fault in block.malformed]
    return replace(block, numbers=block.numbers + before, malformed=malformed, unit=unit)
