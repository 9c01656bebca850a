"""Events in, everything that training reads out: one table, its labels, its spans, its steps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqdetect import events
from seqdetect.attack.inject import Injector
from seqdetect.calibration.clean import clean_rows
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.sequence.requests import Keys
from seqdetect.sequence.split import Spans, Split
from seqdetect.sequence.stream import History, fill, history, neutral_values
from seqdetect.service import SERVICE, as_service
from seqdetect.source import Source

log = logging.getLogger(__name__)
APART_US: Final = 30 * 86_400 * MICROSECONDS
"""A silence this long parts a file's events into pieces; a piece of few events is a broken clock's."""
KEY: Final = "user_id"
USER: Final = "user"
"""Every user is a sequence of its own; the other choice is ``SERVICE``, all events as one sequence."""
LEAST_PIECE: Final = 100
TEST_VARIES: Final = (0.7, 1.4)
"""Range of the factor on attack sizes in the test span: the calibration span never shows the exact same attacks."""
WARM_UP_S: Final = 1800.0
"""Steps of a user's first half hour are not trained on: its context still stands near the population's."""


@dataclass(frozen=True)
class Data:
    """One data set, ready for any detector."""

    source: str
    events: pa.Table
    """In time order, attacks included."""
    incidents: pd.DataFrame | None
    spans: Spans
    history: History
    keys: Keys
    tally: Tally
    tick_s: float
    key: str = KEY
    """Column that told users apart: the one by which the bundle will, too."""
    stated_inputs: tuple[NDArray[np.float32], NDArray[np.bool_]] | None = None
    """The ``inputs`` of the data set that this one is a copy of, if it is one."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all events."""
        return events.fingerprint(self.events)

    @cached_property
    def inputs(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Neutral value and presence of every feature in the training span."""
        if self.stated_inputs is not None:
            return self.stated_inputs
        return neutral_values(self.history.until(self.spans.train_end).steps.features)

    @cached_property
    def features(self) -> NDArray[np.float32]:
        """[n, F] all steps' features, missing values filled."""
        return fill(self.history.steps.features, *self.inputs)

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """[n] steps outside labelled attacks and the time just after them."""
        steps = self.history.steps
        return clean_rows(steps.user, steps.tick, self.keys.names, self.incidents)

    @cached_property
    def warm(self) -> NDArray[np.bool_]:
        """[n] steps after their user's first half hour; all of them where nothing else would be left to train on."""
        steps = self.history.steps
        first = np.full(len(self.keys), np.iinfo(np.int64).max)
        np.minimum.at(first, steps.user, steps.tick)
        warm = steps.tick - first[steps.user] >= WARM_UP_S * MICROSECONDS
        return warm if warm[self.within(self.spans.train)].any() else np.ones(len(steps), bool)

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """[n] training steps to fit on: clean and warm, or clean alone. Raises ``ValueError`` where none is clean."""
        clean = self.clean & self.within(self.spans.train)
        if not clean.any():
            raise ValueError(
                "no step before split.train_end is clean: all of that time is labelled as incidents, or too little of it "
                "has events"
            )
        return clean & self.warm if (clean & self.warm).any() else clean

    @cached_property
    def calibrating(self) -> NDArray[np.bool_]:
        """[n] clean steps of the calibration span. Raises ``ValueError`` where there are too few to calibrate on."""
        rows = self.clean & self.within(self.spans.calibration)
        if rows.sum() < 2:
            raise ValueError(
                f"the calibration span holds {rows.sum()} clean steps, too few to calibrate on: move split.train_end or "
                "split.calibration_end, and see that the incidents leave some of its time clean"
            )
        return rows

    def within(self, span: tuple[int, int]) -> NDArray[np.bool_]:
        """[n] steps whose tick ends in (start, end]."""
        tick = self.history.steps.tick
        return (tick > span[0]) & (tick <= span[1])

    def describe(self) -> dict[str, object]:
        """For reports and provenance."""
        incidents = {} if self.incidents is None else self.incidents["kind"].value_counts().to_dict()
        return {
            "source": self.source,
            "events": self.events.num_rows,
            "users": len(self.keys),
            "steps": len(self.history.steps),
            "columns": self.events.column_names,
            "hash": self.fingerprint,
            "incidents": {str(kind): int(count) for kind, count in incidents.items()},
            "rejected": dict(self.tally.rejected),
        }


def prepare(
    source: Source,
    split: Split,
    tick_s: float = 10.0,
    injector: Injector | None = None,
    seed: int = 0,
    key: str = USER,
) -> Data:
    """Read, order, label, attack and featurise. Raises ``ValueError`` where there is nothing to work on.

    ``key`` is ``USER`` or ``SERVICE``; users are attacked either way, and counted as one only then.
    """
    if key not in (USER, SERVICE):
        raise ValueError(f"key is {key!r}; a sequence is what one {USER!r} does, or the whole {SERVICE!r}")
    tally = Tally()
    name = type(source).__name__
    log.info("reading %s", name)
    table = settle(events.concat(source.read(tally)), tally)
    if table.num_rows == 0:
        raise ValueError(
            f"{name} gave no usable event ({tally.line()}): {'; '.join(tally.examples) or 'it is empty'}"
        )
    for example in tally.examples:
        log.warning("rejected: %s", example)
    tick = round(tick_s * MICROSECONDS)
    times = table.column("timestamp").cast(pa.int64())
    spans = split.spans(times[0].as_py(), times[-1].as_py(), tick)
    incidents = source.incidents()
    if incidents is not None:
        _name_idle(incidents, table)
    if injector is not None:
        table, incidents = _attack(table, incidents, spans, injector, seed)
    column = str(getattr(source, "key", KEY))  # a source of one kind of traffic has no choice of keys
    if key == SERVICE:
        column = SERVICE
        table, incidents = as_service(table, incidents)
    log.info(
        "%d events of %d users: computing steps", table.num_rows, len(pc.unique(table.column("user_id")))
    )
    steps, keys = history(table, tick_s, Tally())
    return Data(name, table, incidents, spans, steps, keys, tally, tick_s, column)


def settle(table: pa.Table, tally: Tally) -> pa.Table:
    """All believable events, in time order: a few that stand 30 days apart from the rest are rejected."""
    table = events.sort(table)
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    if len(times) == 0:
        return table
    piece = np.concatenate(([0], np.cumsum(np.diff(times) > APART_US)))
    size = np.bincount(piece)
    keep = (size >= LEAST_PIECE) | (size == size.max())
    for number in np.flatnonzero(~keep):
        when = np.datetime64(int(times[piece == number][0]), "us")
        tally.reject(
            "far_from_others", "event", f"{when}Z is over 30 days from all others", int(size[number])
        )
    return table.filter(pa.array(keep[piece]))


def _name_idle(incidents: pd.DataFrame, table: pa.Table) -> None:
    """Warn of labels that say nothing about these events: a misspelt user would pass for one never found."""
    users = set(pc.unique(table.column("user_id").cast(pa.string())).to_pylist())
    strangers = ~incidents["user_id"].isin(users)
    if strangers.any():
        first = incidents["user_id"][strangers].iloc[0]
        log.warning("%d incident rows name users without an event, for example %r", strangers.sum(), first)
    times = table.column("timestamp").cast(pa.int64())
    apart = (incidents["end"] <= times[0].as_py()) | (incidents["start"] > times[-1].as_py())
    if apart.any():
        log.warning("%d incident rows lie before the first or after the last event", apart.sum())


def _attack(
    table: pa.Table, known: pd.DataFrame | None, spans: Spans, injector: Injector, seed: int
) -> tuple[pa.Table, pd.DataFrame | None]:
    """Incidents in the calibration and in the test span, drawn apart from each other."""
    labels = [] if known is None else [known]
    for number, (span, vary) in enumerate(((spans.calibration, (1.0, 1.0)), (spans.test, TEST_VARIES))):
        rng = np.random.default_rng([seed, number])
        table, added = injector.inject(table, *span, rng, vary=vary)
        added["incident_id"] = [f"{('calibration', 'test')[number]}-{one}" for one in added["incident_id"]]
        labels.append(added)
    log.info("injected %d incident rows", sum(len(part) for part in labels))
    return table, pd.concat(labels, ignore_index=True)
