"""Packs to steps, in Spark's state per group: open events, facts, known event ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.duplicates import Duplicates
from seqdetect.sequence.features import FEATURES, Facts, Featurizer, Steps
from seqdetect.sequence.population import NAMES, WIDTH, histograms
from seqdetect.sequence.requests import REQUEST, Keys, ordered
from seqdetect_spark.packs import unpacked

STEPS = "group string, users string, steps binary, counts binary, duplicates long"
"""One row per group and micro batch: ``STEP`` records, whose field ``user`` is a place in ``users`` (a JSON array),
and ``COUNT`` records, what the group adds to the population's histograms."""
MEMORY = "users string, facts binary, pending binary, ids binary, timer long"

STEP = np.dtype(
    [
        ("tick", "<i8"),  # the tick's end, microseconds
        ("user", "<i4"),
        ("features", "<f4", (len(FEATURES),)),  # NaN where missing
        ("tokens", "<i8", (2,)),
        ("population", "<f4", (len(NAMES),)),  # zero until the tick's vector is known
    ]
)
COUNT = np.dtype([("number", "<i8"), ("counts", "<i8", (WIDTH,))])
_ID = np.dtype([("id", "<u8"), ("time", "<i8")])
_NOBODY = {name: getattr(Facts(), name) for name in Facts.ARRAYS}
FACT = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in _NOBODY.items()])
"""One user's facts: 72 bytes."""


class Featuring(StatefulProcessor):
    """What happens to one group in one micro batch.

    A tick is complete when Spark's watermark has reached its end. Spark drops what comes later, calls
    ``handleInputRows`` once for all packs of a group, and a timer completes the ticks of those who sent nothing more.
    So each complete tick leaves in one micro batch, with all its groups.
    """

    def __init__(self, tick_us: int) -> None:
        self.tick_us = tick_us

    def init(self, handle: StatefulProcessorHandle) -> None:
        self.handle = handle
        self.memory = handle.getValueState("memory", MEMORY)

    def handleInputRows(  # noqa: N802
        self, key: Any, rows: Iterator[pd.DataFrame], timerValues: Any
    ) -> Iterator[pd.DataFrame]:
        group = Group(self.tick_us, self.memory.get())
        closed = _microseconds(timerValues)
        frames = list(rows)
        users = [names.tolist() for frame in frames for names in frame["users"]]
        group.take(users, [pack for frame in frames for pack in frame["requests"]], closed)
        return self._complete(key[0], group, closed)

    def handleExpiredTimer(  # noqa: N802
        self, key: Any, timerValues: Any, expiredTimerInfo: Any
    ) -> Iterator[pd.DataFrame]:
        group = Group(self.tick_us, self.memory.get())
        group.timer = None  # Spark deletes one that went off.
        return self._complete(key[0], group, _microseconds(timerValues))

    def _complete(self, name: str, group: Group, closed: int) -> Iterator[pd.DataFrame]:
        row = group.complete(closed)
        due = group.due()
        if due != group.timer:
            if group.timer is not None:
                self.handle.deleteTimer(group.timer)
            if due is not None:
                self.handle.registerTimer(due)
            group.timer = due
        self.memory.update(group.memory())
        if row is not None:
            yield pd.DataFrame([(name, *row)], columns=["group", "users", "steps", "counts", "duplicates"])


class Group:
    """The users of a group and their open events; ``memory`` is a row of ``MEMORY`` or None."""

    def __init__(self, tick_us: int, memory: tuple[Any, ...] | None) -> None:
        self.tally = Tally()
        self.duplicates = Duplicates(self.tally)
        self.featurizer = Featurizer(tick_us / MICROSECONDS)
        users, facts, pending, ids, self.timer = memory or ("[]", b"", b"", b"", None)
        self.keys = Keys(msgspec.json.decode(users, type=list[str]))
        self.pending = np.frombuffer(pending, REQUEST)
        known = np.frombuffer(ids, _ID)
        self.duplicates.ids, self.duplicates.times = known["id"].copy(), known["time"].copy()
        self.featurizer.facts = facts_of(facts)

    def take(self, users: list[list[str]], packs: list[bytes], closed: int) -> None:
        """Take in packs, in the order of time: Spark does not keep that of arrival."""
        batch = ordered(unpacked(users, packs, self.keys))
        self.pending = np.concatenate((self.pending, self.duplicates.push(batch, closed or None)))

    def complete(self, closed: int) -> tuple[str, bytes, bytes, int] | None:
        """A row of ``STEPS`` without its group: all ticks that end at or before ``closed``, microseconds."""
        ready = self.pending["time"] < closed
        repeated = self.tally.rejected.total()
        if not ready.any():
            return ("[]", b"", b"", repeated) if repeated else None
        batch = ordered(self.pending[ready])
        self.pending = self.pending[~ready]
        steps = self.featurizer(batch, len(self.keys))
        numbers, counts = histograms(batch, steps, self.featurizer.tick)
        histogram = np.zeros(len(numbers), COUNT)
        histogram["number"], histogram["counts"] = numbers, counts
        return *records(steps, self.keys.names), histogram.tobytes(), repeated

    def due(self) -> int | None:
        """When Spark's watermark completes the first open tick: milliseconds, one before the tick's end."""
        if not len(self.pending):
            return None
        tick = self.featurizer.tick
        return (int(self.pending["time"].min()) // tick + 1) * tick // 1000 - 1

    def memory(self) -> tuple[str, bytes, bytes, bytes, int | None]:
        """The row of ``MEMORY`` to go on from."""
        ids = np.zeros(len(self.duplicates.ids), _ID)
        ids["id"], ids["time"] = self.duplicates.ids, self.duplicates.times
        users = msgspec.json.encode(self.keys.names).decode()
        facts = bytes_of(self.featurizer.facts, len(self.keys))
        return users, facts, self.pending.tobytes(), ids.tobytes(), self.timer


def facts_of(rows: bytes) -> Facts:
    """Facts from the bytes of their rows."""
    stored, facts = np.frombuffer(rows, FACT), Facts(len(rows) // FACT.itemsize)
    for name in Facts.ARRAYS:
        getattr(facts, name)[:] = stored[name]
    return facts


def bytes_of(facts: Facts, users: int) -> bytes:
    """The bytes of the first ``users`` rows."""
    facts.grow(users)
    rows = np.zeros(users, FACT)
    for name in Facts.ARRAYS:
        rows[name] = getattr(facts, name)[:users]
    return rows.tobytes()


def records(steps: Steps, names: list[str]) -> tuple[str, bytes]:
    """Steps as the columns ``users`` and ``steps`` of ``STEPS``; only users with a step are named."""
    present, place = np.unique(steps.user, return_inverse=True)
    out = np.zeros(len(steps), STEP)
    out["tick"], out["user"], out["features"], out["tokens"] = steps.tick, place, steps.features, steps.tokens
    return msgspec.json.encode([names[row] for row in present.tolist()]).decode(), out.tobytes()


def _microseconds(timer_values: Any) -> int:
    """Spark's watermark; 0 before there is one."""
    return max(0, int(timer_values.getCurrentWatermarkInMs())) * 1000
