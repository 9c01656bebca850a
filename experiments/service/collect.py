"""What the jobs of this experiment found, by kind and strength, pooled over seeds: results.csv and two tables.

python train.py experiment=service out=out/service
python experiments/service/collect.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute
import pyarrow.parquet

from seqdetect import rundir
from seqdetect.events import MICROSECONDS
from seqdetect.incidents import is_benign
from seqdetect.metrics.recall import attack_peaks
from seqdetect.metrics.ticks import Ticks

HERE = Path(__file__).parent
RUNS = HERE.parents[1] / "out" / "service"
AFTER_US = 35 * 60 * MICROSECONDS
"""An alert so long after an attack may still be its own: the measures ignore this time, too."""
ONSET_US = 24 * 3600 * MICROSECONDS
"""A migration is for good; whether it alerted is asked of its first day."""
BUDGETS = ("critical", "warning")


def main() -> None:
    """Write the table of all jobs, and print it pooled over seeds."""
    rows = [
        row
        for folder in sorted(RUNS.glob("*-seed*"))
        if (folder / rundir.METRICS).exists()
        for row in _job(folder)
    ]
    table = pd.DataFrame(rows)
    seeds = table.groupby("seed")["detector"].nunique()
    table = table[table["seed"].isin(seeds.index[seeds == seeds.max()])]  # all detectors on the same data
    table.to_csv(HERE / "results.csv", index=False)
    print("\n".join(_markdown(table)))


def _job(folder: Path) -> list[dict[str, Any]]:
    """One row per tier, kind and strength of the test span, and one per tier for the false alerts."""
    metrics = json.loads((folder / rundir.METRICS).read_text())
    scores = pyarrow.parquet.read_table(folder / rundir.SCORES)
    scores = scores.filter(pyarrow.compute.equal(scores.column("split"), "test"))
    frame = scores.select(["user_id", "score"]).to_pandas()
    frame["timestamp"] = scores.column("timestamp").cast("int64").to_numpy()
    incidents = pd.read_csv(folder / rundir.INCIDENTS)
    incidents = incidents[incidents["incident_id"].str.startswith("test-")]
    peaks = attack_peaks(Ticks.of(frame), incidents)
    name = {"detector": metrics["detector"], "seed": metrics["seed"]}
    rows = []
    for tier in BUDGETS:
        shipped = metrics["test"]["budgets"][tier]["shipped"]
        threshold = shipped["threshold"]
        found, seconds = peaks.found(threshold), peaks.seconds_to_detect(threshold)
        attacks = peaks.rows.assign(found=found, rows=1, seconds=seconds)
        benign = _benign(frame, incidents, threshold)
        for (kind, strength), part in pd.concat([attacks, benign]).groupby(["kind", "strength"]):
            rows.append(name | {"tier": tier, "kind": kind, "strength": strength, "rows": len(part), "found": int(part["found"].sum()), "seconds": part["seconds"].median()})  # fmt: skip
        weeks = metrics["test"]["exposure_user_weeks"]
        rows.append(name | {"tier": tier, "kind": "false alerts", "strength": "", "rows": weeks, "found": shipped["false_alerts"]["episodes"], "seconds": np.nan})  # fmt: skip
    return rows


def _benign(scores: pd.DataFrame, incidents: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Campaigns and the first day of migrations that alerted while no attack went on or had just ended."""
    quiet = np.ones(len(scores), bool)
    time = scores["timestamp"].to_numpy()
    for attack in incidents[~is_benign(incidents["kind"])].itertuples():
        quiet &= (time <= attack.start) | (time > attack.end + AFTER_US)
    hot = time[quiet & (scores["score"].to_numpy() >= threshold)]
    rows = incidents[is_benign(incidents["kind"])]
    end = np.minimum(rows["end"], rows["start"] + ONSET_US)
    alerted = [bool(((hot > a) & (hot <= b)).any()) for a, b in zip(rows["start"], end, strict=True)]
    return rows.assign(found=alerted, rows=1, seconds=np.nan)


def _markdown(table: pd.DataFrame) -> list[str]:
    lines = []
    for tier, part in table.groupby("tier"):
        kinds = part.assign(column=(part["kind"] + " " + part["strength"].fillna("")).str.strip())
        kinds.loc[kinds["kind"].str.startswith("benign_"), "column"] = kinds["kind"]
        sums = kinds.groupby(["detector", "column"])[["found", "rows"]].sum()
        sums["cell"] = [f"{found:g}/{rows:.3g}" for found, rows in sums.to_numpy()]
        cells = sums.reset_index().pivot_table(
            index="detector", columns="column", values="cell", aggfunc="first"
        )
        attacks = part[part["kind"].isin(["degradation", "inflation"]) & (part["found"] > 0)]
        cells["median s to detect"] = attacks.groupby("detector")["seconds"].median().round()
        cells["jobs"] = part.groupby("detector")["seed"].nunique()
        lines += [f"### {tier}", "", "| detector | " + " | ".join(cells.columns) + " |", "|---" * (len(cells.columns) + 1) + "|"]  # fmt: skip
        lines += [f"| {name} | " + " | ".join(map(str, row)) + " |" for name, row in zip(cells.index, cells.to_numpy(), strict=True)]  # fmt: skip
        lines.append("")
    return lines


if __name__ == "__main__":
    main()
