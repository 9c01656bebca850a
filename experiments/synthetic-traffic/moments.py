"""What fit.py matches and plot.py shows: per-user statistics of request rates in 600-s cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAY = 144
WEEKEND = (4, 5, 11, 12)
"""Days of ServeGen that look like weekends: its weekday is not published; of the four pairs of consecutive
days tried, this one has the lowest median traffic."""
STATISTICS = (
    "rhythm",
    "stay",
    "log_sd",
    "lag1",
    "step_sd",
    "day_sd",
    "median_run",
    "weekend",
    "skew",
    "peak",
)


def load(folder: str, pool: str = "m-large") -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """(windows, lengths, rates [client, cell]) of one pool; the rates' rows follow the client numbers."""
    windows = pd.read_parquet(f"{folder}/windows.parquet").query("pool == @pool")
    lengths = pd.read_parquet(f"{folder}/lengths.parquet").query("pool == @pool")
    clients = np.unique(windows.client)
    rates = np.zeros((clients.size, 14 * DAY))
    rates[np.searchsorted(clients, windows.client), windows.window_start_s // 600] = windows.rate
    return windows, lengths, rates


def regular(rates: np.ndarray) -> np.ndarray:
    """Which rows were active on at least half of the days: one-off clients are not users of a service."""
    days = (rates.reshape(len(rates), -1, DAY) > 0).any(axis=2)
    return days.mean(axis=1) >= 0.5


def mean_active_rate(rates: np.ndarray) -> np.ndarray:
    return rates.sum(axis=1) / np.maximum((rates > 0).sum(axis=1), 1)


def phase(rates: np.ndarray) -> np.ndarray:
    """First Fourier coefficient of each mean day: modulus 0 (flat) to 1 (one moment), argument the peak."""
    day = rates.reshape(len(rates), -1, DAY).mean(axis=1)
    return (day @ np.exp(2j * np.pi * np.arange(DAY) / DAY)) / day.sum(axis=1)


def table(rates: np.ndarray, weekend: tuple[int, ...] = WEEKEND) -> pd.DataFrame:
    """One row per row of ``rates`` [user, cell], one column per statistic."""
    rows = [_row(rate) for rate in rates]
    frame = pd.DataFrame(rows)
    days = rates.reshape(len(rates), -1, DAY).mean(axis=2)
    is_weekend = np.isin(np.arange(days.shape[1]), weekend)
    small = 0.01 * days.mean(axis=1)
    frame["weekend"] = np.log((days[:, is_weekend].mean(1) + small) / (days[:, ~is_weekend].mean(1) + small))
    frame["rhythm"] = np.abs(phase(rates))
    return frame


def _row(rate: np.ndarray) -> dict[str, float]:
    on = rate > 0
    logs = np.log(np.where(on, rate, 1.0))
    both = on[1:] & on[:-1]
    steps = (logs[1:] - logs[:-1])[both]
    edges = np.diff(np.r_[0, on.astype(int), 0])
    runs = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    days_on, sums = on.reshape(-1, DAY).sum(axis=1), np.where(on, logs, 0.0).reshape(-1, DAY).sum(axis=1)
    days = (sums / np.maximum(days_on, 1))[days_on > 5]
    return {
        "share": on.mean(),
        "stay": on[1:][on[:-1]].mean() if on[:-1].any() else np.nan,
        "log_sd": logs[on].std(),
        "skew": low_high(logs[on]),
        "peak": np.quantile(logs[on], 0.99) - np.median(logs[on]),
        "lag1": np.corrcoef(logs[:-1][both], logs[1:][both])[0, 1] if both.sum() > 20 else np.nan,
        "step_sd": steps.std() if steps.size > 5 else np.nan,
        "day_sd": np.std(days) if len(days) > 2 else np.nan,
        "median_run": float(np.median(runs)),
    }


def low_high(logs: np.ndarray) -> float:
    """log of (95 % quantile - median) / (median - 5 % quantile): 0 where symmetric, NaN below 30 values."""
    low, middle, high = np.quantile(logs, [0.05, 0.5, 0.95])
    return float(np.log((high - middle + 0.01) / (middle - low + 0.01))) if logs.size >= 30 else np.nan


def ks(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples, NaN left out."""
    a, b = np.sort(a[np.isfinite(a)]), np.sort(b[np.isfinite(b)])
    both = np.r_[a, b]
    return float(
        np.abs(np.searchsorted(a, both, "right") / a.size - np.searchsorted(b, both, "right") / b.size).max()
    )


def distances(real: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    return {name: ks(real[name].to_numpy(), made[name].to_numpy()) for name in STATISTICS}
