"""The folder that a run leaves behind: its files' names, what is written beside the scores, the closing words."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow.parquet

from seqdetect.events import MICROSECONDS, Tally
from seqdetect.incidents import empty
from seqdetect.prepare import Data
from seqdetect.report import Run, Timeline
from seqdetect.report.page import write

BUNDLE: Final = "bundle.onnx"
SCORES: Final = "scores.parquet"
METRICS: Final = "metrics.json"
REPORT: Final = "report.html"
CHECKPOINT: Final = "state.ckpt"
ALERTS: Final = "alerts.jsonl"
INCIDENTS: Final = "incidents.csv"
USAGE: Final = "usage.parquet"
CONFIG: Final = "config.yaml"
MODEL_URI: Final = "model_uri.txt"
PLOTS: Final = "plots"
COMPARISON: Final = "comparison.json"
CHALLENGER: Final = "challenger"
"""Stem of the bundle and the memory of a challenger that lost: ``bundle.onnx`` is then the champion's."""
DELIVERABLES: Final = (BUNDLE, SCORES, METRICS, CHECKPOINT, ALERTS, INCIDENTS, USAGE, CONFIG)


def write_context(out: Path, data: Data) -> None:
    """Labels and usage per user and minute of the test span: what a report shows beside the scores."""
    if data.incidents is not None:
        data.incidents.to_csv(out / INCIDENTS, index=False)
    steps = data.history.steps
    rows = data.within(data.spans.test)
    minute = (steps.tick[rows] - 1) // (60 * MICROSECONDS) * (60 * MICROSECONDS)
    usage = pd.DataFrame(
        {
            "user_id": np.array(data.keys.names, dtype=object)[steps.user[rows]],
            "minute": minute,
            "requests": np.rint(np.expm1(steps.features[rows, 0].astype(np.float64))).astype(np.int64),
            "tokens": steps.tokens[rows].sum(axis=1),
        }
    )
    summed = usage.groupby(["user_id", "minute"], as_index=False).sum()
    summed["minute"] = pd.to_datetime(summed["minute"], unit="us", utc=True)
    summed.to_parquet(out / USAGE, index=False)


def read_timeline(folder: Path) -> Timeline | None:
    """Scores, usage, labels and alerts of the test span; None for a run that left no scores."""
    if not (folder / SCORES).exists():
        return None
    scores = pyarrow.parquet.read_table(folder / SCORES, filters=[("split", "=", "test")]).to_pandas()
    first = scores["timestamp"].min() if len(scores) else pd.Timestamp(0, tz="UTC")
    alerts = [json.loads(line) for line in (folder / ALERTS).read_text().splitlines()]
    metrics = json.loads((folder / METRICS).read_text())
    incidents = pd.read_csv(folder / INCIDENTS) if (folder / INCIDENTS).exists() else empty()
    return Timeline(
        user_scores=scores,
        usage=pd.read_parquet(folder / USAGE),
        incidents=incidents,
        alerts=[alert for alert in alerts if pd.Timestamp(alert["start"]) >= first],
        thresholds={name: one["value"] for name, one in metrics["calibration"]["thresholds"].items()},
    )


def write_report(
    path: Path,
    metrics: Sequence[Mapping[str, Any]],
    champion: str | None,
    provenance: Mapping[str, Any],
    folder: Path,
) -> None:
    """The page about one run or many, to ``path``; ``folder`` holds the scores of the one shown in detail."""
    runs = [Run(str(one["detector"]), int(one["seed"]), dict(one)) for one in metrics]
    title = "seqdetect benchmark" if len(runs) > 1 else f"seqdetect: {runs[0].detector}"
    write(path, title, runs, champion, read_timeline(folder), provenance)


def copy_deliverables(champion: Path, out: Path) -> None:
    """Lay the champion's files beside the report of the whole sweep."""
    for name in DELIVERABLES:
        if (champion / name).exists():
            shutil.copy2(champion / name, out / name)


def stand_back(out: Path) -> None:
    """Rename a lost challenger's bundle and memory, so that ``bundle.onnx`` is free for the champion's."""
    for name in (BUNDLE, CHECKPOINT):
        if (out / name).exists():
            (out / name).replace(out / f"{CHALLENGER}{Path(name).suffix}")


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that a run is compared by, with short names."""
    test = metrics["test"]
    tiers = {
        f"{kind}.{tier}": {
            "recall": point["recall"]["macro"],
            "false_alerts_per_user_week": point["false_alerts"]["per_user_week"],
            "seconds_to_detect": point["time_to_detect"].get("median_s"),
            "threshold": point["threshold"],
        }
        for tier, budget in test["budgets"].items()
        for kind in ("best", "shipped")
        if (point := budget[kind]) is not None
    }
    return {
        "test": tiers
        | {"auc_pr": (test["auc_pr"] or {}).get("value"), "vus_pr": (test["vus_pr"] or {}).get("value")},
        "selection": metrics["selection"]["score"],
        "timing": metrics["timing"],
        "state_bytes_per_user": metrics["state_bytes_per_user"],
        "events": metrics["data"]["events"],
        "users": metrics["data"]["users"],
    }


def print_summary(metrics: Mapping[str, Any], tally: Tally) -> None:
    """The closing lines of one experiment."""
    numbers = headline(metrics)["test"]
    print(f"\n{metrics['detector']} on the test span ({' to '.join(metrics['split']['test'])})")
    for tier, budget in metrics["test"]["budgets"].items():
        shipped = numbers.get(f"shipped.{tier}")
        if shipped is None:
            continue
        recall = "not measured" if shipped["recall"] is None else f"{shipped['recall']:.2f}"
        rate = shipped["false_alerts_per_user_week"]
        realised = "-" if rate is None else f"{rate:.2f}"
        print(
            f"  {tier:9s} event recall {recall}, false alerts {realised} per user-week "
            f"(asked: {budget['per_user_week']:g})"
        )
    print(f"  {metrics['calibration']['statement']}")
    for note in metrics["test"]["note"]:
        print(f"  note: {note}")
    for tier, threshold in metrics["calibration"]["thresholds"].items():
        print(f"  {tier}: {threshold['statement']}")
    print(tally.line(), file=sys.stderr)


def print_next(out: Path) -> None:
    """The three commands to go on with."""
    # an environment that is not activated is named, so that the lines can be pasted as they are
    programs = "" if shutil.which("seqdetect") else f"{os.path.relpath(Path(sys.executable).parent)}/"
    print("\nNext:")
    print(f"  open the report          {programs}python -m webbrowser {out / REPORT}")
    print("  open the MLflow UI       make mlflow")
    print(
        f"  score your own file      {programs}seqdetect score --bundle {out / BUNDLE} --events FILE --alerts -"
    )
