"""Fits the constants of ``seqdetect.source.traffic.population`` to ServeGen's m-large clients.

    python experiments/synthetic-traffic/fit.py [path/to/servegen] [--rounds 300]

Prints the constants and writes fitted.json beside this file. About one minute.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from moments import load, mean_active_rate, phase, regular, table
from search import RANGES, search

from seqdetect.source.traffic.population import POPULATION

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / ".." / "shared" / "data" / "servegen"
LEAST_SPREAD = 0.03
"""A spread in log(1 + tokens) below this is a constant length; its log would run to minus infinity."""
PROBABILITY = np.linspace(0, 1, 201)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", nargs="?", default=str(DATA))
    arguments.add_argument("--rounds", type=int, default=300)
    options = arguments.parse_args()
    windows, lengths, rates = load(options.data)
    clients = np.unique(windows.client)[regular(rates)]
    rates = rates[regular(rates)]
    fitted = sizes(rates) | gaps(windows[windows.client.isin(clients)]) | token_laws(lengths)
    start = replace(POPULATION, **{name: fitted[name] for name in sizes(rates)})
    best, distances = search(table(rates), start, options.rounds)
    fitted |= {name: getattr(best, name) for name in RANGES}
    document = {
        "clients": {"rates": len(rates), "lengths": int(lengths.client.nunique())},
        "constants": fitted,
    }
    document["distances"] = distances
    text = json.dumps(document, indent=1, default=float)
    print(text)
    (HERE / "fitted.json").write_text(text + "\n")


def sizes(rates: np.ndarray) -> dict[str, object]:
    """Shares of active cells, rates while active, hours of the day: by moments."""
    share = (rates > 0).mean(axis=1)
    others = share[share < 0.995]
    first = phase(rates)
    # Flat days have a phase too, but it means nothing: each client counts by the strength of its rhythm.
    mean = first.sum() / np.abs(first).sum()
    length = np.abs(mean)
    return {
        "always_on": (share >= 0.995).mean(),
        "active_share": beta(others),
        "log_rate_sd": np.log(mean_active_rate(rates)).std(),
        "phase_h": np.angle(mean) * 24 / (2 * np.pi) % 24,
        # Best and Fisher's approximation of the von Mises concentration for short mean vectors.
        "phase_kappa": 2 * length + length**3 + 5 * length**5 / 6,
    }


def gaps(windows: pd.DataFrame) -> dict[str, object]:
    """Burstiness: the CV of gaps between users, within users, and for how long it lasts."""
    frame = windows.assign(log_cv=np.log(windows.cv)).sort_values(["client", "window_start_s"])
    by_client = frame.groupby("client").log_cv
    centre = by_client.transform("median")
    residual = (frame.log_cv - centre).to_numpy()
    neighbour = (frame.window_start_s.diff() == 600) & (frame.client.diff() == 0)
    at = np.flatnonzero(neighbour)
    lag = float(np.corrcoef(residual[at], residual[at - 1])[0, 1])
    weibull = (frame.iat_dist == "Weibull").groupby(frame.client).mean()
    return {
        "log_cv": shifted_gamma(by_client.median().to_numpy()),
        "log_cv_within": by_client.std().median(),
        "log_cv_hours": memory_hours(lag, 1 / 6),
        "weibull_share": beta(weibull.to_numpy()),
    }


def token_laws(lengths: pd.DataFrame) -> dict[str, object]:
    """Median, spread and shape of each client's token counts, per field, and the correlation of the four."""
    frames = {
        field: field_table(lengths[lengths.field == field]) for field in ("input_tokens", "output_tokens")
    }
    prompt, completion = frames["input_tokens"], frames["output_tokens"]
    four = np.column_stack([prompt["median"], prompt.log_spread, completion["median"], completion.log_spread])
    memory = pd.concat([prompt.lag1, completion.lag1]).median()
    return {
        "prompt": marginal(prompt),
        "completion": marginal(completion),
        "length_correlation": np.corrcoef(four.T).round(2).tolist(),
        "length_hours": memory_hours(float(memory), 6.0),
    }


def field_table(lengths: pd.DataFrame) -> pd.DataFrame:
    """One row per client."""
    return pd.DataFrame(
        [client_row(frame.sort_values("window_start_s")) for _, frame in lengths.groupby("client")]
    )


def client_row(frame: pd.DataFrame) -> dict[str, float]:
    quantiles = np.log1p(np.stack(frame.q.to_list()))
    pooled = pool(quantiles, frame.n_est.to_numpy(float))
    spread = max((pooled[168] - pooled[32]) / 2, LEAST_SPREAD)
    medians = quantiles[:, 100]
    within = np.median(quantiles[:, 168] - quantiles[:, 32]) / 2
    many = len(medians) >= 8
    changing = many and medians.std() > 0
    weight, offset, scale = mixture(pooled)
    return {
        "median": pooled[100],
        "log_spread": np.log(spread),
        "tail": pooled[190] - pooled[100],
        "slow_share": medians.var() / (medians.var() + within**2) if changing else np.nan,
        "lag1": np.corrcoef(medians[1:], medians[:-1])[0, 1]
        if changing and np.ptp(medians[1:]) > 0
        else np.nan,
        "weight": weight if spread > LEAST_SPREAD else np.nan,
        "offset": offset,
        "log_scale": np.log(scale),
    }


def pool(quantiles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """201 quantiles of the mixture of rows [window, 201] with the windows' weights."""
    order = np.argsort(quantiles, axis=None)
    share = np.cumsum(np.repeat(weights / 201, 201)[order]) / weights.sum()
    return np.interp(PROBABILITY, share, quantiles.ravel()[order])


def mixture(sample: np.ndarray, rounds: int = 60) -> tuple[float, float, float]:
    """(weight, offset, scale) of the lighter of two normals, in deviations of the heavier from its mean."""
    least = 0.02 * sample.std() + 1e-3
    mean, sd, weight = (
        np.quantile(sample, [0.35, 0.9]),
        np.full(2, sample.std() / 2 + least),
        np.array([0.7, 0.3]),
    )
    for _ in range(rounds):
        log = -0.5 * ((sample[:, None] - mean) / sd) ** 2 - np.log(sd) + np.log(weight)
        part = np.exp(log - log.max(axis=1, keepdims=True))
        part /= part.sum(axis=1, keepdims=True)
        mass = part.sum(axis=0) + 1e-9
        weight = np.clip(mass / mass.sum(), 0.01, 0.99)
        mean = (part * sample[:, None]).sum(axis=0) / mass
        sd = np.sqrt((part * (sample[:, None] - mean) ** 2).sum(axis=0) / mass) + least
    main, other = (0, 1) if weight[0] >= weight[1] else (1, 0)
    return (
        weight[other],
        np.clip((mean[other] - mean[main]) / sd[main], -8, 8),
        np.clip(sd[other] / sd[main], 0.1, 10),
    )


def marginal(frame: pd.DataFrame) -> dict[str, object]:
    known = frame.dropna(subset="weight")
    varying = frame.log_spread[frame.log_spread > np.log(LEAST_SPREAD)]
    return {
        "median_mean": frame["median"].mean(),
        "median_sd": frame["median"].std(),
        "log_spread_mean": varying.mean(),
        "log_spread_sd": varying.std(),
        "constant_users": 1 - len(varying) / len(frame),
        "second_weight": beta(known.weight.to_numpy()),
        "second_offset": (known.offset.mean(), known.offset.std()),
        "second_log_scale": (known.log_scale.mean(), known.log_scale.std()),
        "slow_share": beta(frame.slow_share.dropna().to_numpy()),
    }


def beta(sample: np.ndarray) -> tuple[float, float]:
    """Parameters of the Beta law with the sample's mean and variance."""
    mean, variance = sample.mean(), sample.var()
    strength = mean * (1 - mean) / variance - 1
    return mean * strength, (1 - mean) * strength


def shifted_gamma(sample: np.ndarray) -> tuple[float, float, float]:
    """(least, shape, scale) of the Gamma law above ``least`` with the sample's first three moments."""
    skewness = ((sample - sample.mean()) ** 3).mean() / sample.std() ** 3
    shape = 4 / skewness**2
    scale = sample.std() / np.sqrt(shape)
    return sample.mean() - shape * scale, shape, scale


def memory_hours(correlation: float, step_hours: float) -> float:
    """Time in which an exponentially fading correlation, known at one step, falls by e."""
    return -step_hours / np.log(np.clip(correlation, 0.02, 0.98))


if __name__ == "__main__":
    main()
