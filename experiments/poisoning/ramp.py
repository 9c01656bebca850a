"""How far can a user grow slowly before the scorer says so?

    python experiments/poisoning/ramp.py out/demo/bundle.onnx 200 201 202

Sixteen days of sixty users by seed. From the fifth day on, three users each send tokens that grow by so much a day, and
three jump at once and stay there; what is said of them by day is set beside what is said of the others. The bundle was
trained on other users and knows none of these. Writes ``results.csv`` and prints the table of the report.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from seqdetect import events
from seqdetect.events import MICROSECONDS, Tally
from seqdetect.source.synthetic import Synthetic
from seqdetect.source.write import write

USERS, DAYS, BEGIN_DAY = 60, 16, 4
EACH = 3
GROWTH = (1.1, 1.25, 1.5, 2.0)
"""Per day."""
JUMP = 8.0
MOST = 64.0
"""A ramp ends at this many times the usual."""
BRACKETS = (1.0, 2.0, 4.0, 8.0, MOST + 1)
HERE = Path(__file__).parent
DAY_US = 86_400 * MICROSECONDS


def factor(plan: str, day: np.ndarray) -> np.ndarray:
    """How many times the usual a user of ``plan`` sends, ``day`` [n] days (with fractions) after the beginning."""
    since = np.clip(day - BEGIN_DAY, 0, None)
    if plan == "as always":
        return np.ones_like(day)
    if plan == "jump":
        return np.where(since > 0, JUMP, 1.0)
    return np.minimum(float(plan) ** since, MOST)


def plans(table: pa.Table, seed: int) -> dict[str, str]:
    """What each user does. Those who grow send something on most days."""
    days = table.column("timestamp").cast(pa.int64()).to_numpy() // DAY_US
    active = pd.Series(days).groupby(table.column("user_id").cast(pa.string()).to_numpy()).nunique()
    steady = np.random.default_rng(seed).permutation(sorted(active.index[active >= DAYS - 3]))
    kinds = [*map(str, GROWTH), "jump"]
    chosen = dict(zip(steady, np.repeat(kinds, EACH), strict=False))
    return {user: chosen.get(user, "as always") for user in active.index}


def grown(table: pa.Table, plan: dict[str, str]) -> pa.Table:
    """The traffic with every user's tokens multiplied as planned."""
    users = table.column("user_id").cast(pa.string()).to_numpy()
    stamps = table.column("timestamp").cast(pa.int64()).to_numpy()
    day = (stamps - stamps.min()) / DAY_US
    times = np.ones(len(day))
    for user, name in plan.items():
        rows = users == user
        times[rows] = factor(name, day[rows])
    for name in ("prompt_tokens", "completion_tokens"):
        tokens = np.rint(table.column(name).to_numpy() * times).astype(np.int64)
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(tokens).cast(field.type))
    return table


def scored(bundle: Path, table: pa.Table, folder: Path) -> pd.DataFrame:
    """user, tick and level of every step, from ``seqdetect score``."""
    write(table, str(folder / "events.parquet"))
    command = [sys.executable, "-m", "seqdetect.cli", "score", "--bundle", str(bundle)]
    command += ["--events", str(folder / "events.parquet"), "--scores", str(folder / "scores.parquet")]
    subprocess.run([*command, "--alerts", str(folder / "alerts.jsonl")], check=True)
    return pd.read_parquet(folder / "scores.parquet", columns=["user_id", "timestamp", "level"])


def by_day(steps: pd.DataFrame, plan: dict[str, str]) -> pd.DataFrame:
    """A row for each user and day with traffic: its plan, its factor at noon, and whether anything was said."""
    first = steps["timestamp"].min().floor("D")
    steps = steps.assign(day=(steps["timestamp"] - first) // pd.Timedelta(days=1))
    told = steps.groupby(["user_id", "day"], observed=True)["level"].agg(
        warning=lambda level: (level != "none").any(), critical=lambda level: (level == "critical").any()
    )
    out = told.reset_index()
    out["plan"] = out["user_id"].map(plan)
    out["factor"] = [
        float(factor(p, np.array([d + 0.5]))[0]) for p, d in zip(out["plan"], out["day"], strict=True)
    ]
    return out[out["day"].between(BEGIN_DAY, DAYS - 1)]


def table_of(rows: pd.DataFrame) -> str:
    """Share of user-days with something said, by plan and how many times the usual was sent."""
    lines = ["| plan | times the usual | user-days | at warning | at critical |", "|---|---|---|---|---|"]
    for plan, of_plan in rows.groupby("plan"):
        if plan == "jump":
            parts = [(f"{JUMP:g}, day {day - BEGIN_DAY + 1}", one) for day, one in of_plan.groupby("day")]
        else:
            bins = pd.cut(of_plan["factor"], BRACKETS, right=False)
            parts = [
                (f"{at.left:g} to {min(at.right, MOST):g}", one)
                for at, one in of_plan.groupby(bins, observed=True)
            ]
        lines += [
            f"| {plan} | {what} | {len(one)} | {one['warning'].mean():.0%} | {one['critical'].mean():.0%} |"
            for what, one in parts
        ]
    return "\n".join(lines)


def main(bundle: str, *seeds: str) -> None:
    found = []
    for seed in map(int, seeds):
        traffic = events.sort(events.concat(Synthetic(USERS, DAYS, seed).read(Tally())))
        plan = plans(traffic, seed)
        with tempfile.TemporaryDirectory() as folder:
            steps = scored(Path(bundle), grown(traffic, plan), Path(folder))
        found.append(by_day(steps, plan).assign(seed=seed))
    rows = pd.concat(found)
    rows.to_csv(HERE / "results.csv", index=False, float_format="%.4g")
    print(table_of(rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
