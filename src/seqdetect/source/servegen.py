"""Requests drawn from ServeGen: real rates, burstiness and token counts of an LLM API's clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect import events
from seqdetect.source.traffic import arrivals, columns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW_S = 600
LENGTH_WINDOW_S = 21_600
DAY_S = 86_400
POOLS = {"m-large": 14, "deepseek-r1": 1}
"""Days each pool covers."""


@dataclass(frozen=True)
class ServeGen:
    """Clients of ``pool`` between day ``start_day`` and ``days`` later, sampled from the tables in ``path``.

    ``path`` is a folder with ``windows.parquet`` and ``lengths.parquet``. A client qualifies when it has
    token counts and, where ``steady``, traffic on each day of the first half of the span (where a detector
    trains) and on the last day; otherwise any traffic in the span is enough, so that clients come and go.
    Of those, ``clients`` are drawn by ``seed`` (all, where None or fewer). A client keeps its requests
    whichever others are drawn with it.

    ``max_rate`` (requests/s) bounds each client's mean rate over its active windows: busier clients are
    thinned by one factor for the whole span, which keeps the shape in time. Within a window, requests
    follow the window's own law of gaps. Prompt and completion are independent draws, as the tables hold
    marginals only (in Azure's traces the two have Spearman correlations of -.02 and .07). Rows have
    ``model`` and the required columns: the source records no address, status or latency.
    """

    path: str
    clients: int | None = None
    pool: str = "m-large"
    start_day: int = 0
    days: float = 4.0
    max_rate: float = 0.2
    steady: bool = True
    seed: int = 0
    epoch: str = "2025-01-06T00:00:00Z"

    licence = "Apache-2.0"
    reference = "Xiang et al., ServeGen, arXiv:2505.09999; https://github.com/alibaba/ServeGen"

    def __post_init__(self) -> None:
        if self.pool not in POOLS:
            raise ValueError(f"ServeGen has the pools {sorted(POOLS)}; got {self.pool!r}")
        if self.days <= 0 or self.start_day < 0 or self.start_day + self.days > POOLS[self.pool]:
            raise ValueError(
                f"ServeGen's pool {self.pool} covers days 0 to {POOLS[self.pool]}; "
                f"start_day={self.start_day} and days={self.days} do not fit (deepseek-r1 needs days=1)"
            )
        if self.max_rate <= 0 or (self.clients is not None and self.clients < 1):
            raise ValueError(f"max_rate and clients must be positive; got {self.max_rate} and {self.clients}")

    def read(self, tally: events.Tally) -> Iterator[pa.Table]:
        """Batches in time order; nothing is ever rejected."""
        for batch in events.chunks(self._table()):
            tally.read += batch.num_rows
            yield batch

    def incidents(self) -> pd.DataFrame | None:
        """None: the data holds no labels."""
        return None

    def _table(self) -> pa.Table:
        windows, lengths = self._windows(), self._lengths()
        chosen = self._chosen(windows, lengths)
        by_client, laws = dict(list(windows.groupby("client"))), dict(list(lengths.groupby("client")))
        parts = [self._client(client, by_client[client], laws[client]) for client in chosen]
        made = {
            "timestamp": columns.timestamps(self.epoch, np.concatenate([part[0] for part in parts])),
            "user_id": columns.text(
                np.repeat(np.arange(len(parts)), [p[0].size for p in parts]), self._names(chosen)
            ),
            "prompt_tokens": pa.array(np.concatenate([part[1] for part in parts])),
            "completion_tokens": pa.array(np.concatenate([part[2] for part in parts])),
            "model": columns.text(np.zeros(sum(part[0].size for part in parts), dtype=np.int64), [self.pool]),
        }
        return events.conform(events.sort(pa.table(made)))

    def _names(self, chosen: list[int]) -> list[str]:
        return [f"{self.pool}/{client}" for client in chosen]

    def _windows(self) -> pd.DataFrame:
        """Windows that start within the span."""
        start = self.start_day * DAY_S
        frame = _pool(Path(self.path) / "windows.parquet", self.pool)
        inside = (frame.window_start_s >= start) & (frame.window_start_s < start + self.days * DAY_S)
        return frame[inside].sort_values(["client", "window_start_s"])

    def _lengths(self) -> pd.DataFrame:
        frame = _pool(Path(self.path) / "lengths.parquet", self.pool)
        return frame.sort_values(["client", "field", "window_start_s"])

    def _chosen(self, windows: pd.DataFrame, lengths: pd.DataFrame) -> list[int]:
        """Client numbers, rising. Raises ``ValueError`` where none qualifies."""
        known = set(lengths.client.unique())
        if not self.steady and (anyone := known & set(windows.client.unique())):
            return self._drawn(sorted(anyone))
        days = int(np.ceil(self.days))
        wanted = {*range((days + 1) // 2), days - 1}
        day = windows.window_start_s // DAY_S - self.start_day
        present = day[day.isin(wanted)].groupby(windows.client).nunique() == len(wanted)
        qualified = sorted(set(present[present].index) & known)
        if not qualified:
            raise ValueError(
                f"no client of {self.pool} has traffic on days {sorted(wanted)} from {self.start_day}"
            )
        return self._drawn(qualified)

    def _drawn(self, qualified: list[int]) -> list[int]:
        order = np.random.default_rng(self.seed).permutation(qualified)
        return sorted(int(client) for client in order[: self.clients])

    def _client(self, client: int, windows: pd.DataFrame, lengths: pd.DataFrame) -> tuple[Floats, Ints, Ints]:
        """(seconds from the span's start, prompt tokens, completion tokens) of one client, in time order."""
        rng = np.random.default_rng([self.seed, list(POOLS).index(self.pool), client])
        rate = windows.rate.to_numpy(np.float64)
        thinning = min(1.0, self.max_rate / rate.mean())
        counts = rng.poisson(rate * thinning * WINDOW_S)
        # Luck must not make a qualified client vanish.
        counts[rate.argmax()] += counts.sum() == 0
        start = windows.window_start_s.to_numpy(np.float64)
        time_s = arrivals.fill(
            start,
            np.full(start.size, float(WINDOW_S)),
            counts,
            windows.iat_p1.to_numpy(np.float64),
            (windows.iat_dist == "Weibull").to_numpy(),
            rng,
        )
        window = (
            np.repeat(windows.window_start_s.to_numpy(np.int64), counts) // LENGTH_WINDOW_S * LENGTH_WINDOW_S
        )
        prompt = _tokens(lengths[lengths.field == "input_tokens"], window, rng)
        completion = _tokens(lengths[lengths.field == "output_tokens"], window, rng)
        inside = time_s < (self.start_day + self.days) * DAY_S
        return (time_s - self.start_day * DAY_S)[inside], prompt[inside], completion[inside]


def _pool(path: Path, pool: str) -> pd.DataFrame:
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: ServeGen's `path` must be the folder that holds its tables"
        )
    frame = pd.read_parquet(path, filters=[("pool", "==", pool)])
    return frame.astype({"client": "int64", "window_start_s": "int64"})


def _tokens(laws: pd.DataFrame, window: Ints, rng: np.random.Generator) -> Ints:
    """Token counts [request] by inverse CDF; ``window`` [request] is the start of its 6 h.

    A window without a law takes the client's nearest earlier one, or its first.
    """
    known = laws.window_start_s.to_numpy()
    quantiles = np.stack(laws.q.to_list()).astype(np.float64)
    row = np.maximum(np.searchsorted(known, window, side="right") - 1, 0)
    place = rng.random(window.size) * (quantiles.shape[1] - 1)
    below = place.astype(np.int64)
    low, high = quantiles[row, below], quantiles[row, below + 1]
    return np.asarray(np.rint(low + (high - low) * (place - below)).astype(np.int64))
