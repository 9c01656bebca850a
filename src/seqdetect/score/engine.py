"""The streaming scorer: event tables in, scored steps out. It knows no detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect.bundle.load import Bundle
from seqdetect.events import Tally
from seqdetect.score.attribution import Attribution, Cause
from seqdetect.score.kind import UNKNOWN, named
from seqdetect.score.stepper import Outputs, Stepper
from seqdetect.sequence.features import INDEX, NAMES
from seqdetect.sequence.population import NAMES as POPULATION
from seqdetect.sequence.requests import REQUEST
from seqdetect.sequence.stream import History, Stream, fill, reserved

AT_ONCE: Final = 1024
"""Rows of one graph call: with more, what passes between the graph's nodes no longer fits the processor's cache."""
LEVELS: Final = ("none", "warning", "critical")
VOLUME: Final = ("requests", "prompt_tokens", "completion_tokens")
"""Features that are kept of every step, beside what was expected of them: how much a user does."""
_VOLUME: Final = [INDEX[name] for name in VOLUME]


@dataclass(frozen=True)
class Scored:
    """Scored steps ``[n]``, by tick, then by order of the users' first appearance."""

    user: NDArray[np.int32]
    """Row of the key table."""
    names: list[str]
    """The key table."""
    tick: NDArray[np.int64]
    """The tick's end, microseconds."""
    score: NDArray[np.float32]
    level: NDArray[np.int8]
    """Index into ``LEVELS``."""
    tokens: NDArray[np.int64]
    """[n, 2] prompt and completion tokens."""
    causes: dict[int, list[Cause]] = field(default_factory=dict)
    """For rows at warning or above: what caused the score, largest first."""
    kind: dict[int, str] = field(default_factory=dict)
    """For the same rows: what the step is taken for, "unknown" where the bundle cannot tell."""
    forgotten: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    """By the end of a tick (microseconds): rows of the key table whose users are forgotten after it."""
    requests: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, REQUEST))
    """The ``REQUEST`` records that the steps were made of."""
    volume: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, len(VOLUME)), np.float32))
    """[n, 3] the features ``VOLUME``, log(1 + count)."""
    expected: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, len(VOLUME)), np.float32))
    """[n, 3] the same as the bundle expected them."""

    def __len__(self) -> int:
        return len(self.tick)


class Judge:
    """One bundle at work on the steps of a stream. ``thresholds`` (by tier) override the bundle's own."""

    def __init__(
        self, bundle: Bundle, thresholds: Mapping[str, float] | None = None, max_users: int | None = None
    ) -> None:
        meta = bundle.metadata
        self.bundle = bundle
        self.stepper = Stepper(bundle.session, bundle.initial, reserved(max_users))
        self.attribution = Attribution(meta.features)
        self.thresholds = {name: one.value for name, one in meta.thresholds.items()} | dict(thresholds or {})
        unknown = set(self.thresholds) - set(LEVELS[1:])
        if unknown:
            raise ValueError(f"unknown tiers {sorted(unknown)}: a threshold is for one of {list(LEVELS[1:])}")
        names = [column.name for column in meta.features]
        if names != list(NAMES) or meta.population != list(POPULATION):
            raise ValueError("the bundle was made for other features than this version computes: retrain it")
        width = {node.name: node.shape[1] for node in bundle.session.get_outputs()}.get("kind")
        if width not in (None, len(meta.kinds)):
            raise ValueError(
                f"the bundle's graph tells {width} kinds apart and its metadata names {len(meta.kinds)}: export it again"
            )
        self.neutral = np.array([column.neutral for column in meta.features], np.float32)
        self.observed = np.array([column.observed for column in meta.features])

    def score(self, history: History, names: list[str]) -> Scored:
        """The scores of ``history``, whose users are rows of the key table ``names``."""
        steps = history.steps
        features = fill(steps.features, self.neutral, self.observed)
        score = np.zeros(len(steps), np.float32)
        expected = np.zeros((len(steps), len(VOLUME)), np.float32)
        causes: dict[int, list[Cause]] = {}
        kind: dict[int, str] = {}
        lowest = min(self.thresholds.values(), default=np.inf)
        for place, rows, population in _batches(history):
            users = steps.user[rows]
            before = self.stepper.rows(users)
            out = self.stepper.run(features[rows], population, before)
            self.stepper.put(users, out["state"])
            score[rows] = out["score"][:, 0]
            expected[rows] = out["expected"][:, _VOLUME]
            hot = np.flatnonzero(score[rows] >= lowest)
            if len(hot):
                at = hot + rows.start
                told = {name: values[hot] for name, values in out.items()}
                found = self.attribution(self.stepper, features[at], population, before[hot], told)
                causes.update(zip(at.tolist(), found, strict=True))
                kind.update(zip(at.tolist(), self._kinds(told), strict=True))
            if place is not None:
                self.stepper.forget(history.forgotten[place])
        forgotten = {int(history.ticks[place]): gone for place, gone in history.forgotten.items()}
        return Scored(
            steps.user,
            names,
            steps.tick,
            score,
            self._level(score),
            steps.tokens,
            causes,
            kind,
            forgotten,
            history.requests,
            features[:, _VOLUME],
            expected,
        )

    def _kinds(self, outputs: Outputs) -> list[str]:
        """What each of the rows ``[n]`` is taken for; a graph need not tell."""
        if "kind" in outputs:
            return named(self.bundle.metadata.kinds, outputs["kind"])
        return [UNKNOWN] * len(outputs["score"])

    def _level(self, score: NDArray[np.float32]) -> NDArray[np.int8]:
        level = np.zeros(len(score), np.int8)
        for number, name in enumerate(LEVELS[1:], start=1):
            level[score >= self.thresholds.get(name, np.inf)] = number
        return level


def _batches(history: History) -> Iterator[tuple[int | None, slice, NDArray[np.float32]]]:
    """Rows to be scored at once, with their population vector; at a tick's last ones its place, where it forgets."""
    for place, (rows, population) in enumerate(history.each_tick()):
        for begin in range(rows.start, rows.stop, AT_ONCE):
            end = min(begin + AT_ONCE, rows.stop)
            last = end == rows.stop and place in history.forgotten
            yield place if last else None, slice(begin, end), population


class Engine:
    """One stream of events and one bundle that scores it."""

    def __init__(
        self,
        bundle: Bundle,
        tally: Tally,
        thresholds: Mapping[str, float] | None = None,
        max_users: int | None = None,
    ) -> None:
        self.stream = Stream(bundle.metadata.tick_s, bundle.metadata.lateness_s, tally, max_users)
        self.judge = Judge(bundle, thresholds, max_users)

    def push(self, table: pa.Table) -> Scored:
        """Take in events in arrival order; the steps of the ticks that they complete."""
        return self.judge.score(self.stream.push(table), self.stream.keys.names)

    def flush(self) -> Scored:
        """Complete every open tick, at the end of the input."""
        return self.judge.score(self.stream.flush(), self.stream.keys.names)
