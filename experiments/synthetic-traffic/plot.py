"""Compares generated traffic with ServeGen's clients, marginal by marginal.

    python experiments/synthetic-traffic/plot.py [path/to/servegen]

Writes marginals.png and distances.csv beside this file; report.md quotes them. Under a minute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pyarrow as pa
from fit import DATA, field_table
from moments import DAY, ks, load, mean_active_rate, regular, table

from seqdetect.events import Tally
from seqdetect.source.servegen import ServeGen
from seqdetect.source.synthetic import Synthetic

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
USERS, DAYS, SEED = 190, 14, 100
"""Twice as many users as real clients; as long as the real table; a seed that the fit has not seen."""
EVENT_DAYS = 4
LEVELS = (5, 25, 50, 75, 95)

Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data", nargs="?", default=str(DATA))
    folder = arguments.parse_args().data
    _, lengths, rates = load(folder)
    rates = rates[regular(rates)]
    source = Synthetic(users=USERS, days=DAYS, seed=SEED, epoch="2026-03-03T00:00:00Z")
    planned = source.plan(np.random.default_rng(SEED)).rates
    made = frame(
        Synthetic(users=USERS, days=EVENT_DAYS, seed=SEED, epoch="2026-03-03T00:00:00Z", mean_rate=0.05)
    )
    thinned = frame(ServeGen(folder, start_day=6, days=EVENT_DAYS, max_rate=0.05, seed=SEED))
    pairs = rate_pairs(rates, planned) | gap_pairs(thinned, made) | length_pairs(lengths, made)
    distances = pd.DataFrame([summary(name, *pair) for name, pair in pairs.items()])
    distances.to_csv(HERE / "distances.csv", index=False, float_format="%.3g")
    print(distances.to_string(index=False, float_format="%.3g"))
    draw(pairs, hourly(rates), hourly(planned), HERE / "marginals.png")


def frame(source: ServeGen | Synthetic) -> pd.DataFrame:
    """All events; refused requests hold no completion and are left out, as ServeGen has none of them."""
    events = pa.concat_tables(list(source.read(Tally()))).to_pandas()
    return events[events.status == 200] if "status" in events else events


def rate_pairs(real: np.ndarray, made: np.ndarray) -> dict[str, Pair]:
    """Sizes are compared up to a factor: the demo is a service of a hundredth of the size."""
    size = [np.log10(mean_active_rate(rates)) for rates in (real, made)]
    pairs = {
        "log10 mean active rate over median": (size[0] - np.median(size[0]), size[1] - np.median(size[1]))
    }
    tables = table(real), table(made)
    titles = {
        "share": "share of active cells",
        "stay": "P(active after active)",
        "median_run": "median run of active cells",
        "log_sd": "sd of log rate while active",
        "skew": "log upper over lower spread of log rate",
        "peak": "log of 99 % over median rate",
        "lag1": "lag-1 correlation of log rate",
        "day_sd": "sd of daily log rate",
        "rhythm": "strength of the daily rhythm",
        "weekend": "log weekend over other days",
    }
    return pairs | {
        title: (tables[0][name].to_numpy(), tables[1][name].to_numpy()) for name, title in titles.items()
    }


def gap_pairs(real: pd.DataFrame, made: pd.DataFrame) -> dict[str, Pair]:
    return {"log10 CV of gaps, per cell": (gap_cv(real), gap_cv(made))}


def gap_cv(events: pd.DataFrame, least: int = 20) -> np.ndarray:
    """log10 CV of the gaps inside user and 600-s cell; both sides' events, as few events bound a CV."""
    seconds = events.timestamp.astype("int64").to_numpy() / 1e6
    ordered = pd.DataFrame({"user": events.user_id.astype(str).to_numpy(), "s": seconds}).sort_values(
        ["user", "s"]
    )
    ordered["cell"] = ordered.s // 600
    gaps = ordered.groupby(["user", "cell"]).s.diff()
    by_cell = gaps.groupby([ordered.user, ordered.cell]).agg(["mean", "std", "size"])
    by_cell = by_cell[(by_cell["size"] >= least) & (by_cell["std"] > 0)]
    # Every user counts alike, whatever its number of cells: 60 cells of each at most.
    few = by_cell.groupby("user").sample(60, replace=True, random_state=SEED)
    return np.log10(few["std"] / few["mean"]).to_numpy()


def length_pairs(real: pd.DataFrame, made: pd.DataFrame) -> dict[str, Pair]:
    pairs: dict[str, Pair] = {}
    for field, column in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        clients = field_table(real[real.field == field])
        logs = np.log1p(made[column])
        by_user = logs.groupby(made.user_id.astype(str))
        users = {level: by_user.quantile(level) for level in (0.16, 0.5, 0.84, 0.95)}
        name = column.split("_")[0]
        pairs[f"{name}: log10 median, per user"] = clients["median"] / np.log(10), users[0.5] / np.log(10)
        spread = np.log10(np.maximum((users[0.84] - users[0.16]) / 2, 0.03))
        pairs[f"{name}: log10 spread, per user"] = clients.log_spread / np.log(10), spread
        tail = (users[0.95] - users[0.5]) / np.log(10)
        pairs[f"{name}: log10 (95 % over median)"] = clients["tail"] / np.log(10), tail
    return {title: (np.asarray(a, float), np.asarray(b, float)) for title, (a, b) in pairs.items()}


def summary(name: str, real: np.ndarray, made: np.ndarray) -> dict[str, object]:
    quantiles = [np.nanpercentile(side, LEVELS) for side in (real, made)]
    row: dict[str, object] = {"marginal": name, "n_real": np.isfinite(real).sum(), "ks": ks(real, made)}
    for label, values in zip(("real", "made"), quantiles, strict=True):
        row |= {f"{label}_{level}": value for level, value in zip(LEVELS, values, strict=True)}
    return row


def hourly(rates: np.ndarray) -> np.ndarray:
    """Mean over users of each hour's share of the user's traffic [24]."""
    day = rates.reshape(len(rates), -1, 24, DAY // 24).sum(axis=(1, 3))
    return (day / day.sum(axis=1, keepdims=True)).mean(axis=0)


def draw(pairs: dict[str, Pair], real_day: np.ndarray, made_day: np.ndarray, path: Path) -> None:
    figure, axes = plt.subplots(5, 4, figsize=(15, 15))
    for axis, (name, (real, made)) in zip(axes.flat, pairs.items(), strict=False):
        for side, colour, label in ((real, "black", "ServeGen"), (made, "tab:orange", "synthetic")):
            known = np.sort(side[np.isfinite(side)])
            axis.step(known, np.arange(1, known.size + 1) / known.size, color=colour, label=label)
        if "run" in name:
            axis.set_xscale("log")
        axis.set_title(f"{name}\nKS {ks(real, made):.2f}", fontsize=9)
    last = axes.flat[len(pairs)]
    last.plot(real_day, color="black")
    last.plot(made_day, color="tab:orange")
    last.set_ylim(0)
    last.set_title("share of traffic by hour, mean over users", fontsize=9)
    for axis in axes.flat[len(pairs) + 1 :]:
        axis.axis("off")
    axes.flat[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=70)


if __name__ == "__main__":
    main()
