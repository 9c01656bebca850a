"""The sequences of one key, and the bundles that score them: all read the same steps."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqdetect.alert.alert import EVERYBODY
from seqdetect.alert.lifecycle import AlertBook
from seqdetect.events import Tally
from seqdetect.score.engine import Judge, Scored
from seqdetect.sequence.memory import recall, remember
from seqdetect.sequence.stream import History, Stream
from seqdetect.service import SERVICE, as_one

log = logging.getLogger(__name__)
LONGEST_NAME: Final = 2048
"""Bytes of a user's name, as UTF-8, that are kept."""
SHOWN: Final = 256
"""Characters that are left of a longer one."""


@dataclass
class Head:
    """One bundle at work on a lane, and the alerts it has open."""

    name: str
    judge: Judge
    book: AlertBook
    shadow: bool = False

    @property
    def state_hash(self) -> str:
        return self.judge.bundle.metadata.state.hash


class Lane:
    """One stream, keyed by one column, and its heads. Raises ``ValueError`` where their ticks differ."""

    def __init__(
        self, key: str, heads: Sequence[Head], tally: Tally, max_users: int | None, ahead_s: float
    ) -> None:
        metas = [head.judge.bundle.metadata for head in heads]
        times = {(meta.tick_s, meta.lateness_s) for meta in metas}
        if len(times) > 1:
            raise ValueError(
                f"the bundles on the key {key} have different (tick_s, lateness_s) {sorted(times)}: they cannot "
                "share its sequences"
            )
        self.key = key
        self.heads = list(heads)
        self.stream = Stream(*times.pop(), tally, max_users, ahead_s)

    def push(self, table: pa.Table) -> Iterator[tuple[Head, Scored]]:
        """Each head's scores of the ticks that the events complete."""
        return self._scored(self.stream.push(keyed(table, self.key)))

    def flush(self) -> Iterator[tuple[Head, Scored]]:
        """Each head's scores of every tick that is open."""
        return self._scored(self.stream.flush())

    def _scored(self, history: History) -> Iterator[tuple[Head, Scored]]:
        for head in self.heads:
            yield head, head.judge.score(history, self.stream.keys.names)

    def remember(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The lane's memory as a document and arrays."""
        document, arrays = remember(self.stream)
        document["heads"] = [
            {"name": head.name, "state_hash": head.state_hash, "book": head.book.memory()}
            for head in self.heads
        ]
        for place, head in enumerate(self.heads):
            head.judge.stepper.grow(len(self.stream.keys))
            arrays[f"state_{place}"] = head.judge.stepper.state[: len(self.stream.keys)]
            crowd = head.book.crowd.memory()
            arrays |= {f"crowd_{place}/{name}": array for name, array in crowd.items()}
        return document, arrays

    def recall(self, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], origin: str) -> None:
        """Take up what ``remember`` gave, in a lane that has seen nothing.

        Raises ``ValueError`` where the state of a head that is no shadow was made in another way.
        """
        kept = [self._match(head, document["heads"]) for head in self.heads]
        for head, place in zip(self.heads, kept, strict=True):
            if place is None and not head.shadow:
                raise ValueError(
                    f"{origin} was made by a bundle with another state layout; it cannot be kept for {head.name}"
                )
        recall(self.stream, document, arrays)
        users = len(self.stream.keys)
        for head, place in zip(self.heads, kept, strict=True):
            if place is None:
                log.warning("%s holds no state for the shadow %s, which starts anew", origin, head.name)
                continue
            head.judge.stepper.restore(arrays[f"state_{place}"][:users])
            head.book.recall(document["heads"][place]["book"], self.stream.featurizer.facts.last_tick[:users])
            prefix = f"crowd_{place}/"
            crowd = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
            if crowd:
                head.book.crowd.recall(crowd)

    def check(self, before: Lane) -> None:
        """Raise ``ValueError`` where this lane cannot go on from ``before``."""
        listed = [{"name": head.name, "state_hash": head.state_hash} for head in before.heads]
        for head in self.heads:
            if self._match(head, listed) is None and not head.shadow:
                hashes = ", ".join(f"{one['name']} {one['state_hash']}" for one in listed)
                raise ValueError(
                    f"{head.name}: its state is made in another way (hash {head.state_hash}) than that at hand "
                    f"({hashes}); what is known of the users would be lost. Start it as a shadow to warm it up"
                )
        ours, theirs = (lane.stream.featurizer.tick for lane in (self, before))
        if (ours, self.stream.clock.lateness) != (theirs, before.stream.clock.lateness):
            raise ValueError(f"the key {self.key} cannot change its tick or its lateness while it runs")

    def take_over(self, before: Lane) -> None:
        """Go on from ``before``, which is not to be used any more."""
        self.stream = before.stream
        listed = [{"name": head.name, "state_hash": head.state_hash} for head in before.heads]
        taken = set()
        for head in self.heads:
            place = self._match(head, listed)
            if place is None:
                continue
            old = before.heads[place]
            # two heads must not write to one state
            head.judge.stepper.restore(old.judge.stepper.state[: old.judge.stepper.users])
            if old.name == head.name or (place not in taken and not old.shadow and not head.shadow):
                head.book.take_over(old.book)
                taken.add(place)
            head.book.know(old.book)

    def _match(self, head: Head, others: Sequence[Mapping[str, Any]]) -> int | None:
        """The place among ``others`` of one whose state ``head`` can keep."""
        alike = [place for place, other in enumerate(others) if other["state_hash"] == head.state_hash]
        return min(alike, key=lambda place: (others[place]["name"] != head.name, place), default=None)


def keyed(table: pa.Table, key: str) -> pa.Table:
    """``table`` with the column ``key`` as the user; events that lack it are left out."""
    if key == SERVICE:
        return as_one(table)
    if key not in table.column_names:
        return table.slice(0, 0)
    named = table if key == "user_id" else table.filter(pc.is_valid(table.column(key)))
    place, field = table.column_names.index("user_id"), table.schema.field("user_id")
    return named.set_column(place, field, _own_names(named.column(key)).cast(field.type))


def _own_names(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """``column`` with other names for those that nobody can have as they are.

    Alerts of everybody have a name for their user, and whoever called himself so would pass for all. Names are kept for
    as long as users are known and go into alerts, so a monstrous one is known by its beginning and a hash.
    """
    if not any(_nobodys(part.dictionary) for part in column.chunks):
        return column
    names = [None if name is None else _renamed(name) for name in column.to_pylist()]
    return pa.chunked_array([pa.array(names, pa.string()).dictionary_encode()])


def _nobodys(names: pa.StringArray) -> bool:
    """Whether one of ``names`` cannot be kept as it is."""
    found = pc.or_(pc.equal(names, EVERYBODY), pc.greater(pc.binary_length(names), LONGEST_NAME))
    return bool(pc.any(found).as_py())


def _renamed(name: str) -> str:
    if name == EVERYBODY:
        return f"'{EVERYBODY}'"
    whole = name.encode()
    if len(whole) <= LONGEST_NAME:
        return name
    return f"{name[:SHOWN]}…{hashlib.blake2b(whole, digest_size=16).hexdigest()}"
