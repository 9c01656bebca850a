"""Facts of one user in one tick: the only implementation of features, for training and streaming alike.

Everything a user has done before is reduced here to raw facts (time and size of the last request, a small
sketch of known addresses and models); running statistics belong to the detectors' state. Sums are integers in
fixed point, so no order of arrival and no batch size can change a bit of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS
from seqdetect.sequence.runs import distinct_values, starts

Columns = dict[str, NDArray[Any]]
"""The fields of request records, each contiguous."""
FIXED: Final = 1 << 14
"""Units per natural-log unit: squares of 40 log units, a million times over, still fit an int64."""
DAY_US: Final = 86_400 * MICROSECONDS
GAP_CAP_S: Final = 7 * 86_400
"""A longer silence counts as this long (seconds). Before a user's first request there is none: it is missing."""


class Feature(NamedTuple):
    """One column of the feature matrix."""

    name: str
    unit: str
    group: str
    """Features that move together, replaced together when an alert is attributed. ``context`` columns tell a
    detector the time and are no evidence by themselves."""
    column: str | None = None
    """The optional event column it needs."""
    neutral: float = 0.0
    """Its value where that column is absent."""


_LOG_DEVIATION: Final = "standard deviation of log(1 + tokens per request)"
FEATURES: Final = (
    Feature("requests", "log(1 + requests)", "requests"),
    Feature("prompt_tokens", "log(1 + tokens)", "prompt_tokens"),
    Feature("completion_tokens", "log(1 + tokens)", "completion_tokens"),
    Feature("prompt_mean", "mean log(1 + tokens per request)", "prompt_tokens"),
    Feature("prompt_dispersion", _LOG_DEVIATION, "dispersion"),
    Feature("completion_mean", "mean log(1 + tokens per request)", "completion_tokens"),
    Feature("completion_dispersion", _LOG_DEVIATION, "dispersion"),
    Feature("gap", "log(1 + ms since the last request before the tick)", "requests"),
    Feature("gap_mean", "mean log(1 + ms between requests)", "requests"),
    Feature("gap_dispersion", "standard deviation of log(1 + ms between requests)", "regularity"),
    Feature("repeats", "share of requests of the same two sizes as the one before", "regularity"),
    Feature("addresses", "log(1 + distinct addresses)", "addresses", "client_ip", float(np.log1p(1))),
    Feature("new_addresses", "log(1 + addresses not seen before)", "addresses", "client_ip"),
    Feature("new_models", "log(1 + models not seen before)", "models", "model"),
    Feature("errors", "share of requests with status >= 400", "errors", "status"),
    Feature("latency", "mean log(1 + ms)", "latency", "latency_ms"),
    Feature("elapsed", "seconds since the user's previous step, 0 at the first", "context"),
    Feature("second_of_day", "seconds since midnight UTC at the tick's end", "context"),
    Feature("weekday", "0 is Monday, UTC", "context"),
)
NAMES: Final = tuple(feature.name for feature in FEATURES)
SCORED: Final = sum(feature.group != "context" for feature in FEATURES)
"""The first ``SCORED`` columns are evidence, the rest context."""
INDEX: Final = {name: i for i, name in enumerate(NAMES)}


@dataclass(frozen=True)
class Steps:
    """One row per user and active tick, ordered by tick, then user. ``n`` rows, ``F`` features."""

    tick: NDArray[np.int64]
    """[n] the tick's end, microseconds."""
    user: NDArray[np.int32]
    """[n] row of the key table."""
    features: NDArray[np.float32]
    """[n, F] the columns of ``FEATURES``."""
    tokens: NDArray[np.int64]
    """[n, 2] prompt and completion tokens, exact."""

    def __len__(self) -> int:
        return len(self.tick)


class Facts:
    """What is remembered per user between ticks; rows follow the key table."""

    ADDRESS_WORDS = 4
    ARRAYS = ("last_time", "last_tick", "last_size", "addresses", "models")

    def __init__(self, reserve: int = 0) -> None:
        """Room for ``reserve`` rows is set apart at once, which costs memory only as rows come to be used."""
        self.last_time: NDArray[np.int64] = np.zeros(reserve, np.int64)
        self.last_tick: NDArray[np.int64] = np.zeros(reserve, np.int64)
        self.last_size: NDArray[np.int64] = np.zeros((reserve, 2), np.int64)
        self.addresses: NDArray[np.uint64] = np.zeros((reserve, self.ADDRESS_WORDS), np.uint64)
        self.models: NDArray[np.uint64] = np.zeros((reserve, 1), np.uint64)

    def grow(self, users: int) -> None:
        """Make room for ``users`` rows; a user without history has last time 0 and empty sketches."""
        have = len(self.last_time)
        if users <= have:
            return
        room = max(users, 2 * have, 64)
        for name in self.ARRAYS:
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[:have] = old
            setattr(self, name, new)

    def forget(self, rows: NDArray[np.int64]) -> None:
        """The users in ``rows`` are as if they had never been seen."""
        for name in self.ARRAYS:
            getattr(self, name)[rows] = 0


class Featurizer:
    """Turns the requests of complete ticks into steps, and remembers the facts that the next ones need."""

    def __init__(self, tick_s: float, reserve: int = 0) -> None:
        self.tick = round(tick_s * MICROSECONDS)
        self.facts = Facts(reserve)

    def __call__(self, batch: NDArray[np.void], users: int) -> Steps:
        """Steps of ``batch``: requests of whole ticks, ordered by user, time and all other fields.

        ``users`` is the size of the key table. Ticks must come in order over successive calls.
        """
        self.facts.grow(users)
        if len(batch) == 0:
            empty = np.zeros(0, np.int64)
            return Steps(
                empty, empty.astype(np.int32), np.zeros((0, len(FEATURES)), np.float32), empty[:, None]
            )
        columns = {name: np.ascontiguousarray(batch[name]) for name in batch.dtype.names or ()}
        user = columns["user"]
        tick = (columns["time"] // self.tick + 1) * self.tick
        first_of_user = starts(user)
        start = np.flatnonzero(first_of_user | starts(tick))
        gaps, known = self._gaps(columns, first_of_user)
        repeats = self._repeats(columns, first_of_user)
        features = self._columns(columns, start, gaps, known, repeats)
        row_user, row_tick = user[start], tick[start]
        self._clock_columns(features, row_user, row_tick)
        tokens = np.stack(
            [np.add.reduceat(columns[name], start) for name in ("prompt", "completion")], axis=1
        )
        self._remember(columns, tick)
        order = np.lexsort((row_user, row_tick))
        return Steps(row_tick[order], row_user[order], features[order].astype(np.float32), tokens[order])

    def _gaps(self, batch: Columns, first: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """[n] fixed-point log gap before each request, and where it has one (not a user's very first)."""
        before = _shifted(batch["time"], first, self.facts.last_time[batch["user"][first]])
        known = before > 0
        gap = np.where(known, batch["time"] - before, GAP_CAP_S * MICROSECONDS)
        return _fixed_log1p(np.clip(gap, 0, GAP_CAP_S * MICROSECONDS) / 1000.0), known

    def _repeats(self, batch: Columns, first: NDArray[np.bool_]) -> NDArray[np.int64]:
        same = np.ones(len(first), bool)
        last = self.facts.last_size[batch["user"][first]] - 1
        for i, name in enumerate(("prompt", "completion")):
            same &= batch[name] == _shifted(batch[name], first, last[:, i])
        return np.asarray(same, np.int64)

    def _columns(
        self,
        batch: Columns,
        start: NDArray[np.int64],
        gaps: NDArray[np.int64],
        known: NDArray[np.bool_],
        repeats: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        def total(values: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.add.reduceat(values, start)

        count = np.diff(np.append(start, len(gaps)))
        prompt, completion = _fixed_log1p(batch["prompt"]), _fixed_log1p(batch["completion"])
        latency_known = ~np.isnan(batch["latency"])
        latency = _fixed_log1p(np.where(latency_known, batch["latency"], 0.0))
        out = np.zeros((len(start), len(FEATURES)))
        out[:, INDEX["requests"]] = np.log1p(count)
        out[:, INDEX["prompt_tokens"]] = np.log1p(total(batch["prompt"]))
        out[:, INDEX["completion_tokens"]] = np.log1p(total(batch["completion"]))
        for name, values in (("prompt", prompt), ("completion", completion)):
            mean, deviation = _moments(total(values), total(values * values), count)
            out[:, INDEX[f"{name}_mean"]], out[:, INDEX[f"{name}_dispersion"]] = mean, deviation
        out[:, INDEX["gap"]] = np.where(known[start], gaps[start] / FIXED, np.nan)
        inner = np.where(known, gaps, 0)
        spans = total(known.astype(np.int64))
        mean, deviation = _moments(total(inner), total(inner * inner), np.maximum(spans, 1))
        out[:, INDEX["gap_mean"]] = np.where(spans > 0, mean, np.nan)
        out[:, INDEX["gap_dispersion"]] = deviation
        out[:, INDEX["repeats"]] = total(repeats) / count
        addresses, new_addresses = self._distinct(batch, start, "address", self.facts.addresses)
        _, new_models = self._distinct(batch, start, "model", self.facts.models)
        out[:, INDEX["addresses"]] = np.where(addresses > 0, np.log1p(addresses), np.nan)
        out[:, INDEX["new_addresses"]] = np.log1p(new_addresses)
        out[:, INDEX["new_models"]] = np.log1p(new_models)
        stated = total((batch["error"] >= 0).astype(np.int64))
        failed = total((batch["error"] > 0).astype(np.int64))
        out[:, INDEX["errors"]] = np.where(stated > 0, failed / np.maximum(stated, 1), np.nan)
        timed = total(latency_known.astype(np.int64))
        out[:, INDEX["latency"]] = np.where(timed > 0, total(latency) / FIXED / np.maximum(timed, 1), np.nan)
        return out

    def _clock_columns(
        self, out: NDArray[np.float64], user: NDArray[np.int32], tick: NDArray[np.int64]
    ) -> None:
        before = np.empty(len(tick), np.int64)
        before[1:] = tick[:-1]
        first = starts(user)
        before[first] = self.facts.last_tick[user[first]]
        elapsed = np.where(before > 0, (tick - before) / MICROSECONDS, 0.0)
        out[:, INDEX["elapsed"]] = np.minimum(elapsed, GAP_CAP_S)
        out[:, INDEX["second_of_day"]] = tick % DAY_US / MICROSECONDS
        out[:, INDEX["weekday"]] = (tick // DAY_US + 3) % 7  # the epoch began on a Thursday

    def _distinct(
        self, batch: Columns, start: NDArray[np.int64], name: str, sketch: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per row: distinct values of a hashed field, and those the user's sketch did not know; updates it."""
        value = batch[name]
        if not value.any():
            return np.zeros(len(start), np.int64), np.zeros(len(start), np.int64)
        row = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(value))))
        return distinct_values(value, row, start), self._new_values(batch, value, row, start, sketch)

    def _new_values(
        self,
        batch: Columns,
        value: NDArray[np.uint64],
        row: NDArray[np.int64],
        start: NDArray[np.int64],
        sketch: NDArray[np.uint64],
    ) -> NDArray[np.int64]:
        bit = value % np.uint64(64 * sketch.shape[1])
        word, mask = (bit // np.uint64(64)).astype(np.int64), np.uint64(1) << (bit % np.uint64(64))
        # nearly always nothing is new; what may be is looked at once per user and bit
        fresh = np.flatnonzero((value != 0) & ((sketch[batch["user"], word] & mask) == 0))
        new = np.zeros(len(start), np.int64)
        if len(fresh) == 0:
            return new
        user = batch["user"][fresh]
        pair = user.astype(np.int64) * (64 * sketch.shape[1]) + bit[fresh].astype(np.int64)
        fresh = fresh[np.unique(pair, return_index=True)[1]]
        # to a user without a history everything is new, which says nothing
        begin = batch["user"][start]
        debut = starts(begin) & (self.facts.last_time[begin] == 0)
        np.add.at(new, row[fresh[~debut[row[fresh]]]], 1)
        np.bitwise_or.at(sketch, (batch["user"][fresh], word[fresh]), mask[fresh])
        return new

    def _remember(self, batch: Columns, tick: NDArray[np.int64]) -> None:
        last = np.flatnonzero(np.append(starts(batch["user"])[1:], True))
        user = batch["user"][last]
        self.facts.last_time[user] = batch["time"][last]
        self.facts.last_tick[user] = tick[last]
        self.facts.last_size[user, 0] = batch["prompt"][last] + 1
        self.facts.last_size[user, 1] = batch["completion"][last] + 1


def _shifted(
    values: NDArray[np.int64], first: NDArray[np.bool_], before: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The value before each of ``values`` [n]; where ``first``, the one remembered in ``before``."""
    out = np.empty_like(values)
    out[1:] = values[:-1]
    out[first] = before
    return out


def _fixed_log1p(values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    # not log1p, which numpy does not vectorise: values are whole numbers or milliseconds, nothing near 0 is lost
    return np.asarray(np.rint(np.log(values + 1.0) * FIXED), np.int64)


def _moments(
    total: NDArray[np.int64], squares: NDArray[np.int64], count: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation in log units from fixed-point sums."""
    mean = total / count
    variance = np.maximum(squares / count - mean * mean, 0.0)
    variance[count == 1] = 0.0
    return mean / FIXED, np.sqrt(variance) / FIXED
