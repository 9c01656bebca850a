"""How much of clean traffic the demo's bundle holds for anomalous: what the alarms' levels were chosen by.

make demo; .venv/bin/python experiments/alarm-levels/run.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import pandas as pd

HERE: Final = Path(__file__).parent
BUNDLE: Final = "out/demo/bundle.onnx"
USERS, DAYS, SEED = 60, 4, 6
QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)


def scores(folder: Path) -> pd.DataFrame:
    """Scored steps of users that the bundle never saw, without attacks, from an empty memory on."""
    seqdetect = [sys.executable, "-m", "seqdetect.cli"]
    events, scored = folder / "events.jsonl", folder / "scores.csv"
    traffic = ["--users", str(USERS), "--days", str(DAYS), "--seed", str(SEED), "--out", str(events)]
    subprocess.run([*seqdetect, "simulate", *traffic], check=True)
    score = ["--bundle", BUNDLE, "--events", str(events), "--scores", str(scored), "--quiet"]
    subprocess.run([*seqdetect, "score", *score], check=True)
    return pd.read_csv(scored, keep_default_na=False, parse_dates=["timestamp"])


def shares(steps: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of the share of steps over all windows of so many hours, one row per figure and window."""
    counted = pd.DataFrame(
        {
            "hour": steps["timestamp"].dt.floor("h"),
            "steps": 1,
            "at warning and above": steps["level"] != "none",
            "at critical": steps["level"] == "critical",
            "score above 2": steps["score"] > 2,
        }
    )
    hours = counted.groupby("hour").sum()
    rows = []
    for window in (1, 6, 24):
        whole = hours.rolling(window, min_periods=window).sum().dropna()
        for figure in hours.columns[1:]:
            found = (whole[figure] / whole["steps"]).quantile(list(QUANTILES))
            named = {f"q{share:g}": round(value, 4) for share, value in found.items()}
            rows.append({"figure": figure, "window_h": window, **named})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        table = shares(scores(Path(place)))
    table.to_csv(HERE / "results.csv", index=False)
    print(table.to_string(index=False))
