"""What a user usually does: its rate, its lengths and its hours, and rows that could be its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqdetect.attack.strength import DAY, HOUR

RECENT = 7 * DAY
"""How far back "usual" looks, microseconds: a week holds every weekday once."""

AGENTS = ("python-requests/2.32.3", "curl/8.9.1", "okhttp/4.12.0", "aiohttp/3.10.5", "Go-http-client/2.0")


@dataclass(frozen=True)
class Usual:
    """A user's recent past.

    Rows are drawn hour by hour rather than row by row: one earlier flood would otherwise be most of the past.
    """

    rows: pd.DataFrame
    chance: NDArray[np.float64]
    """Probability of each row to be drawn, [row]; every active hour weighs the same."""
    rate: float
    """Requests per second in the median active hour."""
    hours: NDArray[np.float64]
    """Share of the active hours that fall on each hour of the day (UTC), [24]."""

    def draw(self, times: NDArray[np.int64], rng: np.random.Generator) -> pd.DataFrame:
        """One usual row for each of ``times`` (microseconds, ascending), under fresh ids if it has ids."""
        picks = rng.choice(len(self.rows), size=len(times), p=self.chance)
        drawn = self.rows.iloc[picks].reset_index(drop=True)
        return stamped(drawn, times, rng)

    def length(self, column: str, quantile: float) -> float:
        """A quantile of ``prompt_tokens`` or ``completion_tokens``, tokens, at least 1."""
        values = self.rows[column].to_numpy(dtype=np.int64)
        order = np.argsort(values, kind="stable")
        reached = np.searchsorted(np.cumsum(self.chance[order]), quantile)
        return float(max(1, values[order[min(int(reached), len(order) - 1)]]))


def usual(events: pd.DataFrame, before: int) -> Usual:
    """What the one user of ``events`` did in the week before ``before`` (microseconds).

    Where nothing lies before, whatever the user did at all stands in. Raises ``ValueError`` without events.
    """
    times = events["timestamp"].to_numpy(dtype=np.int64)
    first, stop = np.searchsorted(times, [before - RECENT, before])
    if stop == first:
        first, stop = 0, len(times)
    if stop == 0:
        raise ValueError("a user without events has no usual behaviour; attack users that are present")
    active, inverse, counts = np.unique(times[first:stop] // HOUR, return_inverse=True, return_counts=True)
    chance = 1.0 / counts[inverse]
    per_day = np.bincount(active % 24, minlength=24)
    return Usual(
        rows=events.iloc[first:stop],
        chance=chance / chance.sum(),
        rate=float(np.median(counts)) / 3_600,
        hours=per_day / per_day.sum(),
    )


def own_events(events: pd.DataFrame, user: str) -> pd.DataFrame:
    """The rows of ``user``, in their order; ``events`` itself where there is nobody else in it."""
    mine = (events["user_id"] == user).to_numpy(dtype=bool)
    return events if mine.all() else events[mine]


def rewritten(rows: pd.DataFrame, columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """A copy of ``rows`` with these ``columns`` (name to values [row]), each in the type the column had."""
    new = {
        name: pd.Series(values, index=rows.index).astype(rows[name].dtype) for name, values in columns.items()
    }
    return rows.assign(**new)


def stamped(rows: pd.DataFrame, times: NDArray[np.int64], rng: np.random.Generator) -> pd.DataFrame:
    """A copy of ``rows`` at ``times`` (microseconds), each under an ``event_id`` never seen before."""
    columns: dict[str, NDArray[Any]] = {"timestamp": times}
    if "event_id" in rows.columns:
        stem = rng.bytes(8).hex()
        columns["event_id"] = np.array([f"{stem}-{i}" for i in range(len(rows))], dtype=object)
    return rewritten(rows, columns)


def resized(
    rows: pd.DataFrame, prompt: NDArray[np.float64] | None, completion: NDArray[np.float64] | None
) -> pd.DataFrame:
    """A copy of ``rows`` with these lengths (tokens, [row]; None leaves them), and latency to match.

    Latency grows with the tokens written, and a tenth as much with those read: decoding is what takes time.
    """
    given = {"prompt_tokens": prompt, "completion_tokens": completion}
    changed = rewritten(
        rows, {name: np.maximum(0.0, np.rint(tokens)) for name, tokens in given.items() if tokens is not None}
    )
    if "latency_ms" not in rows.columns:
        return changed
    # Part of the latency is the network and the queue, which length leaves alone.
    longer = 0.3 + 0.7 * _work(changed) / _work(rows)
    return rewritten(changed, {"latency_ms": rows["latency_ms"].to_numpy(dtype=np.float64) * longer})


def _work(rows: pd.DataFrame) -> NDArray[np.float64]:
    """What answers cost, in tokens written, [row]; the 20 stand for the fixed part of any answer."""
    prompt = rows["prompt_tokens"].to_numpy(dtype=np.float64)
    completion = rows["completion_tokens"].to_numpy(dtype=np.float64)
    return 20.0 + completion + 0.1 * prompt


def addressed(rows: pd.DataFrame, client: NDArray[np.int64], rng: np.random.Generator) -> pd.DataFrame:
    """A copy of ``rows`` sent by strangers, each with an address and agent of its own.

    Row i comes from stranger number ``client[i]``. Addresses are from 198.18.0.0/15, which RFC 2544 sets
    aside: nobody's traffic comes from there.
    """
    strangers = int(client.max()) + 1 if len(client) else 0
    columns: dict[str, NDArray[Any]] = {}
    if "client_ip" in rows.columns:
        numbers = rng.choice(2 * 65_536, size=strangers, replace=False)
        ips = [f"198.{18 + n // 65_536}.{n // 256 % 256}.{n % 256}" for n in numbers]
        columns["client_ip"] = np.array(ips, dtype=object)[client]
    if "user_agent" in rows.columns:
        columns["user_agent"] = np.array(AGENTS, dtype=object)[rng.integers(0, len(AGENTS), size=strangers)][
            client
        ]
    return rewritten(rows, columns)
