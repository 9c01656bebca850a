"""The scorer as it is deployed and as training runs it: events in; scores, changes of alerts and a checkpoint out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqdetect.alert.lifecycle import AlertBook
from seqdetect.alert.policy import Policy
from seqdetect.alert.prices import Prices
from seqdetect.bundle.load import Bundle
from seqdetect.events import OPTIONAL, Tally
from seqdetect.lane import Head, Lane
from seqdetect.score import checkpoint
from seqdetect.score.engine import LEVELS, Judge, Scored
from seqdetect.sequence.order import AHEAD_S
from seqdetect.service import SERVICE
from seqdetect.sink import Sink

log = logging.getLogger(__name__)
USER = "user_id"
KEYS = (
    USER,
    *(name for name in OPTIONAL.names if pa.types.is_dictionary(OPTIONAL.field(name).type)),
    SERVICE,
)
"""What can tell sequences apart: a column of names, or nothing (``service``)."""


@dataclass(frozen=True)
class Model:
    """One bundle at work on one key."""

    name: str
    """Shown on alerts and metrics."""
    bundle: Bundle
    key: str = USER
    """One of ``KEYS``."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """By tier, in place of the bundle's own."""
    prices: Prices | None = None
    runbooks: str | None = None
    policy: Policy = field(default_factory=Policy)
    """How its alerts are kept."""
    shadow: bool = False
    """Its alerts carry ``"shadow": true``; they are for comparing, and go to no person."""


class Scorer:
    """Bundles at work over one stream of events: events in, changes of alerts out.

    Each key has its own sequences, shared by all bundles on it. At most ``max_users`` of a key are remembered. An
    event more than ``ahead_s`` seconds ahead of all others waits until others confirm it.
    ``scope`` tells this stream's alerts from those of another part of the same traffic. ``write`` gets the scored
    steps of each model, by its name. Raises ``ValueError`` for models that cannot work together.
    """

    def __init__(
        self,
        models: Sequence[Model],
        tally: Tally,
        *,
        max_users: int | None = None,
        ahead_s: float = AHEAD_S,
        scope: str = "",
        write: Callable[[str, Scored], None] = lambda name, scored: None,
    ) -> None:
        self.tally = tally
        self.max_users = max_users
        self.ahead_s = ahead_s
        self.scope = scope
        self.write = write
        self.counts: dict[str, Counter[str]] = {}
        self.lanes = self._built(models)

    def push(self, table: pa.Table) -> list[dict[str, Any]]:
        """Take in events in arrival order; the changes of alerts that they cause."""
        return [change for lane in self.lanes for change in self._told(lane, lane.push(table))]

    def flush(self) -> list[dict[str, Any]]:
        """Complete every open tick, at the end of the input."""
        return [change for lane in self.lanes for change in self._told(lane, lane.flush())]

    def standing(self) -> list[dict[str, Any]]:
        """Every alert that is open now, muted ones included, as a change ``update``."""
        return [change for lane in self.lanes for head in lane.heads for change in head.book.standing()]

    def save(self, path: str | Path, position: Any = None) -> int:
        """Put the whole memory into one file, with ``position`` (JSON-able) in the input; its bytes."""
        document: dict[str, Any] = {"position": position, "lanes": {}}
        arrays: checkpoint.Arrays = {}
        for lane in self.lanes:
            document["lanes"][lane.key], own = lane.remember()
            arrays |= {f"{lane.key}/{name}": array for name, array in own.items()}
        return checkpoint.write(path, document, arrays)

    def load(self, path: str | Path) -> Any:
        """Take up the memory at ``path`` in a scorer that has seen nothing; the position kept with it.

        Where the file is missing or damaged, the one before it is used. Raises ``FileNotFoundError`` without
        either, and ``ValueError`` for foreign files and for bundles of another state layout.
        """
        position = []

        def accept(document: dict[str, Any], arrays: checkpoint.Arrays) -> None:
            kept = document["lanes"]
            lone = next(iter(kept)) if len(kept) == len(self.lanes) == 1 else None
            for lane in self.lanes:
                key = lane.key if lone is None else lone  # training calls every key the user
                if key not in kept:
                    log.warning("%s holds nothing of the key %s, which starts anew", path, lane.key)
                    continue
                own = {name.removeprefix(f"{key}/"): a for name, a in arrays.items()}
                lane.recall(kept[key], own, str(path))
            position.append(document["position"])

        if not checkpoint.latest(path, accept):
            raise FileNotFoundError(f"no checkpoint at {path}")
        return position[0]

    def swap(self, models: Sequence[Model]) -> None:
        """Go on with other ``models``, which keep the state and the open alerts of those they replace.

        A model takes over from one on the same key whose states are made alike (equal hashes), that of its name
        first. Raises ``ValueError``, and changes nothing, where one that is no shadow finds none.
        """
        before = {lane.key: lane for lane in self.lanes}
        lanes = self._built(models)
        for lane in lanes:
            if lane.key in before:
                lane.check(before[lane.key])
        for lane in lanes:
            if lane.key in before:
                lane.take_over(before[lane.key])
        self.lanes = lanes

    def stats(self) -> dict[str, dict[str, Any]]:
        """By model: what it holds now and what it has counted since the start."""
        return {
            head.name: {
                "key": lane.key,
                "users": lane.stream.keys.used,
                "evicted": lane.stream.evicted,
                "pending": len(lane.stream.pending) + len(lane.stream.clock.held),
                "late": lane.stream.tally.late,
                "watermark_us": lane.stream.clock.closed,
                "open_alerts": len(head.book.open) + (head.book.surge is not None),
                "state_bytes": 4 * head.judge.stepper.users * len(head.judge.stepper.initial),
                **{what: self.counts[head.name][what] for what in ("steps", *LEVELS[1:])},
            }
            for lane in self.lanes
            for head in lane.heads
        }

    def _told(self, lane: Lane, found: Iterable[tuple[Head, Scored]]) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = []
        for head, scored in found:
            count = self.counts[head.name]
            count["steps"] += len(scored)
            for number, level in enumerate(LEVELS[1:], start=1):
                count[level] += int((scored.level == number).sum())
            self.write(head.name, scored)
            changes += head.book.push(scored, lane.stream.clock.closed)
        return changes

    def _built(self, models: Sequence[Model]) -> list[Lane]:
        """A lane for each key; the first one counts what is late and what came twice."""
        names = [model.name for model in models]
        if not models or len(set(names)) < len(names):
            raise ValueError(f"at least one model is needed, each with its own name; there are {names}")
        by_key: dict[str, list[Model]] = {}
        for model in models:
            if model.key not in KEYS:
                raise ValueError(f"model {model.name}: the key {model.key!r} is none of {', '.join(KEYS)}")
            by_key.setdefault(model.key, []).append(model)
        lanes: list[Lane] = []
        for key, own in by_key.items():
            tally = Tally() if lanes else self.tally
            heads = [self._head(model, first=model is own[0]) for model in own]
            lanes.append(Lane(key, heads, tally, self.max_users, self.ahead_s))
        self.counts = {name: self.counts.get(name, Counter()) for name in names}
        return lanes

    def _head(self, model: Model, first: bool) -> Head:
        scope = [self.scope, "" if model.key == USER else model.key, "" if first else model.name]
        judge = Judge(model.bundle, model.thresholds, self.max_users)
        book = AlertBook(
            model.bundle.metadata,
            model.prices,
            judge.thresholds,
            model.runbooks,
            policy=model.policy,
            labels={"model": model.name, "key": model.key, "shadow": model.shadow},
            scope="/".join(part for part in scope if part),
        )
        return Head(model.name, judge, book, model.shadow)


def score_stream(
    scorer: Scorer,
    batches: Iterable[pa.Table],
    sinks: Sequence[Sink],
    progress: Callable[[int], None] = lambda events: None,
) -> None:
    """Push every batch, then complete what is open. ``sinks`` get the changes of alerts, ``progress`` the number of
    events taken in so far."""

    def hand_on(changes: list[dict[str, Any]]) -> None:
        if changes:
            for sink in sinks:
                sink.send(changes)

    taken = 0
    for batch in batches:
        hand_on(scorer.push(batch))
        taken += batch.num_rows
        progress(taken)
    hand_on(scorer.flush())
