"""Incidents to learn from: those that are labelled, and many simulated in copies of the clean history.

Outlier exposure (Hendrycks et al., arXiv:1812.04606): a detector shown many sorts of anomalies also finds others.
Each copy is the history up to the end of calibration with incidents of its own; nothing later is ever looked at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from seqdetect.attack.inject import Injector
from seqdetect.calibration.clean import steps_during
from seqdetect.detector import Examples
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.feedback.guard import restrained
from seqdetect.feedback.labels import hard_negatives
from seqdetect.incidents import is_benign
from seqdetect.prepare import Data
from seqdetect.sequence.stream import history

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]
HOUR_US: Final = 3600 * MICROSECONDS
WARM_UP_US: Final = 12 * HOUR_US
"""Users need some past of their own before their time teaches anything; at most a quarter of the training span."""


@dataclass(frozen=True)
class Exposure:
    """How many copies of the history to attack, and how hard. ``copies = 0`` learns from the labels alone.

    Labelled incidents are in every copy, too: what happened here weighs as much as so many that might.
    """

    injector: Injector | None = None
    copies: int = 8
    vary: tuple[float, float] = (0.5, 1.6)
    """Range of the factor on attack sizes: wider than any span that is measured."""
    without: Sequence[str] = ()
    """Kinds never to learn from, labelled or simulated: to see how a kind nobody labelled is found."""
    attack_steps: int = 32
    """Steps kept of an incident, drawn at random."""
    clean_steps: int = 96
    """Steps kept of a user's clean hour."""
    copied_share: float = 0.125
    """Share of the clean hours of a copy that are kept: most are as they were in the original."""
    clean_weight: float = 3.0
    """Weight of a user's clean hour of the original beside one in a copy."""
    verdict_weight: float = 20.0
    """Weight of an hour of an alert that somebody judged false or benign; ``feedback.guard`` limits their sum."""
    attack_share: float = 0.1
    """What all attacks weigh beside all clean time in the head that learns, which that limit goes by."""

    def examples(self, data: Data, rows: Callable[[Data], Floats], seed: int) -> Examples:
        """Bags from the labelled data and from all copies. ``rows`` gives a detector's rows [n, D] of a data set."""
        past = _past(data)
        gathered = _Gathered(self, data, np.random.default_rng([seed, 7]))
        gathered.add(past, rows(past), original=True)
        for number, copy in enumerate(self._copies(past, seed)):
            gathered.add(copy, rows(copy), original=False)
            log.info("copy %d of %d: %d incident rows so far", number + 1, self.copies, gathered.incidents)
        return gathered.examples()

    def _copies(self, past: Data, seed: int) -> Iterator[Data]:
        if self.injector is None or not self.injector.attacks:
            return
        start, end = _taught(past)
        for number in range(self.copies):
            rng = np.random.default_rng([seed, 11, number])
            table, added = self.injector.inject(past.events, start, end, rng, vary=self.vary)
            added["incident_id"] = [f"copy-{number}-{one}" for one in added["incident_id"]]
            known = [] if past.incidents is None else [past.incidents]
            yield _data(past, table, pd.concat([*known, added], ignore_index=True))


def _past(data: Data) -> Data:
    """The same data as they stood at the end of calibration."""
    times = data.events.column("timestamp").cast(pa.int64())
    table = data.events.filter(pc.less(times, data.spans.calibration_end))
    return _data(data, table, data.incidents)


def _data(like: Data, table: pa.Table, incidents: pd.DataFrame | None) -> Data:
    steps, keys = history(table, like.tick_s, Tally())
    return Data(
        like.source, table, incidents, like.spans, steps, keys, Tally(), like.tick_s, like.key, like.inputs
    )


def _taught(data: Data) -> tuple[int, int]:
    start, end = data.spans.train
    return start + min(WARM_UP_US, (end - start) // 4), data.spans.calibration_end


@dataclass
class _Gathered:
    """Bags so far."""

    exposure: Exposure
    data: Data
    rng: np.random.Generator
    parts: list[Examples] = field(default_factory=list)
    incidents: int = 0
    judged: tuple[int, pd.DataFrame] | None = None
    """Which part holds the time of alerts judged false or benign, and the incident row of each of its bags."""

    def add(self, data: Data, values: Floats, original: bool) -> None:
        """The bags of one data set, whose rows are ``values``."""
        steps = data.history.steps
        start, end = _taught(data)
        inside = (steps.tick > start) & (steps.tick <= end)
        attack, benign = _incident_rows(data)
        hour = steps.user.astype(np.int64) * 1_000_000 + steps.tick // HOUR_US
        labelled = (
            data.incidents if data.incidents is not None else pd.DataFrame({"kind": [], "incident_id": []})
        )
        kind = labelled["kind"].astype(str).to_numpy(object)
        wanted = inside & (attack >= 0)
        wanted[wanted] = ~np.isin(kind[attack[wanted]], list(self.exposure.without))
        # an incident of many users is one incident, if a large one
        size = labelled.groupby("incident_id")["kind"].transform("size").to_numpy(np.float64)
        self._bags(data, values, np.flatnonzero(wanted), attack, self.exposure.attack_steps, kind, size**-0.5)
        clean = inside & data.clean
        told = _judged_rows(data)
        if original:
            self._add_judged(data, values, clean, told)
            clean &= told < 0
        else:
            benign[told >= 0] = -1  # once is enough: the limit on what they weigh would not hold
        share, weight = (1.0, self.exposure.clean_weight) if original else (self.exposure.copied_share, 1.0)
        # confounders are new in every copy: all of their hours are kept
        for chosen, part in ((benign >= 0, 1.0), (benign < 0, share)):
            hours = np.unique(hour[clean & chosen])
            kept = self.rng.permutation(hours)[: round(part * len(hours))]
            rows = np.flatnonzero(clean & chosen & np.isin(hour, kept))
            self._bags(data, values, rows, hour, self.exposure.clean_steps, None, np.array([weight]))

    def _add_judged(
        self, data: Data, values: Floats, clean: NDArray[np.bool_], told: NDArray[np.int64]
    ) -> None:
        """A bag for each hour of an alert that was judged false or benign, of its clean steps; ``told`` [n] is its row."""
        rows = np.flatnonzero(clean & (told >= 0))
        if not len(rows):
            return
        assert data.incidents is not None
        hours = data.history.steps.tick // HOUR_US
        place = told * (int(hours.max()) + 1) + hours
        _, first = np.unique(place[rows], return_index=True)
        self.judged = len(self.parts), data.incidents.iloc[told[rows[first]]]
        weight = np.array([self.exposure.verdict_weight])
        self._bags(data, values, rows, place, self.exposure.clean_steps, None, weight)

    def _restrain(self) -> None:
        """Keep what alerts judged false weigh within the limit."""
        if self.judged is None:
            return
        place, rows = self.judged
        # what nobody judged: else the more is called false, the higher the limit
        usual = [part for number, part in enumerate(self.parts) if number != place]
        clean = sum(part.weight[~part.attack].sum() for part in usual)
        weight: dict[str, float] = {}
        for part in usual:
            for kind in set(part.kind[part.attack]):
                weight[kind] = weight.get(kind, 0.0) + float(part.weight[part.kind == kind].sum())
        unit = self.exposure.attack_share * clean / max(sum(weight.values()), 1e-9)
        usual_weight = self.exposure.clean_weight  # what that time would weigh had nobody said anything
        limited = restrained(
            np.maximum(self.parts[place].weight - usual_weight, 0.0),
            rows["alert_kind"].to_numpy(object),
            rows["author"].to_numpy(object),
            {kind: unit * one for kind, one in weight.items()},
        )
        self.parts[place] = replace(self.parts[place], weight=usual_weight + limited, harmless=limited)

    def _bags(
        self,
        data: Data,
        values: Floats,
        rows: NDArray[np.int64],
        group: NDArray[np.int64],
        limit: int,
        kind: NDArray[np.object_] | None,
        weight: NDArray[np.float64],
    ) -> None:
        """Bags of ``rows`` by their ``group`` [n], at most ``limit`` steps each; clean where no ``kind`` is given."""
        if not len(rows):
            return
        rows = rows[_thinned(group[rows], limit, self.rng)]
        names, first, bag = np.unique(group[rows], return_index=True, return_inverse=True)
        place = {name: number for number, name in enumerate(self.data.keys.names)}
        user = np.array(
            [place[data.keys.names[one]] for one in data.history.steps.user[rows[first]]], np.int64
        )
        kinds = np.full(len(names), "", object) if kind is None else kind[names]
        weights = np.broadcast_to(weight, len(names)) if kind is None else weight[names]
        tick = data.history.steps.tick[rows[first]]
        self.parts.append(
            Examples(values[rows], bag.astype(np.int64), kinds, user, weights.astype(np.float64), tick=tick)
        )
        self.incidents += 0 if kind is None else len(names)

    def examples(self) -> Examples:
        """All bags in one."""
        self._restrain()
        offset = np.cumsum([0, *(len(part.kind) for part in self.parts)])
        return Examples(
            np.concatenate([part.values for part in self.parts]),
            np.concatenate([part.bag + first for part, first in zip(self.parts, offset[:-1], strict=True)]),
            np.concatenate([part.kind for part in self.parts]),
            np.concatenate([part.user for part in self.parts]),
            np.concatenate([part.weight for part in self.parts]),
            None if self.judged is None else np.concatenate([_harmless(part) for part in self.parts]),
            np.concatenate([part.tick for part in self.parts if part.tick is not None]),
        )


def _harmless(part: Examples) -> NDArray[np.float64]:
    return np.zeros(len(part.kind)) if part.harmless is None else part.harmless


def _thinned(group: NDArray[np.int64], limit: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of at most ``limit`` members of each group, drawn at random, in order."""
    order = rng.permutation(len(group))
    order = order[np.argsort(group[order], kind="stable")]
    ranked = group[order]
    position = np.arange(len(ranked)) - np.searchsorted(ranked, ranked, side="left")
    return np.sort(order[position < limit])


def _incident_rows(data: Data) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[n] for each step the incident row it lies in, attacks and benign kinds apart; -1 in none."""
    steps = data.history.steps
    attack, benign = np.full(len(steps), -1), np.full(len(steps), -1)
    if data.incidents is None:
        return attack, benign
    harmless = is_benign(data.incidents["kind"])
    # the tick that holds an incident's last event ends after it
    for number, rows in steps_during(steps.user, steps.tick, data.keys.names, data.incidents, data.tick_s):
        (benign if harmless[number] else attack)[rows] = number
    return attack, benign


def _judged_rows(data: Data) -> NDArray[np.int64]:
    """[n] for each step the row of an alert judged false or benign that it lies in; -1 in none."""
    steps = data.history.steps
    judged = np.full(len(steps), -1)
    if data.incidents is None:
        return judged
    places = np.flatnonzero(hard_negatives(data.incidents))
    told = data.incidents.iloc[places]
    for number, rows in steps_during(steps.user, steps.tick, data.keys.names, told, data.tick_s):
        judged[rows] = places[number]
    return judged
