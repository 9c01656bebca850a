"""Many runs side by side: who wins on the calibration span, and how everybody does on the test span."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqdetect.metrics.bootstrap import seeds_interval
from seqdetect.rundir import BUNDLE, METRICS, headline

RANDOM = "random"


@dataclass(frozen=True)
class Finished:
    """A job's folder and the content of its ``metrics.json``."""

    folder: Path
    metrics: dict[str, Any]


def collect(out: Path) -> list[Finished]:
    """All finished jobs directly below ``out``."""
    return [_read(path) for path in sorted(out.glob(f"*/{METRICS}"))]


def _read(path: Path) -> Finished:
    try:
        metrics = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(metrics, dict) or "detector" not in metrics or "test" not in metrics:
        raise ValueError(f"{path} was not written by train.py: it has no 'detector' and 'test'")
    return Finished(path.parent, metrics)


def find(folders: Sequence[Path]) -> list[Finished]:
    """The jobs in ``folders``: each is one job's folder, or one that holds several; ``ValueError`` if neither."""
    runs: list[Finished] = []
    for folder in folders:
        below = collect(folder)
        own = folder / METRICS
        if not below and not own.exists():
            raise ValueError(f"no {METRICS} in or directly below {folder}")
        runs += below or [_read(own)]
    return runs


def champion(runs: Sequence[Finished]) -> Finished | None:
    """The exportable detector of the best mean selection score (made on calibration data alone), its best seed.

    None where nothing could be compared: without labels in the calibration span there is no winner to pick.
    """
    able = [
        run
        for run in runs
        if (run.folder / BUNDLE).exists() and run.metrics["selection"]["score"] is not None
    ]
    if not able:
        return None

    def score(run: Finished) -> float:
        return float(run.metrics["selection"]["score"])

    names = {run.metrics["detector"] for run in able}
    mean = {name: np.mean([score(run) for run in able if run.metrics["detector"] == name]) for name in names}
    best = max(sorted(names), key=lambda name: mean[name])
    return max((run for run in able if run.metrics["detector"] == best), key=score)


def leaderboard(metrics: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per detector, the random scorer last: means over seeds with intervals (``_low``, ``_high``).

    With several seeds an interval is over seeds (Student's t), with one it is the bootstrap over users.
    """
    names = dict.fromkeys(str(one["detector"]) for one in metrics)
    rows = [_row(name, [one for one in metrics if one["detector"] == name], "test") for name in names]
    chance = _row(RANDOM, metrics, "test_random")
    table = pd.DataFrame(rows).sort_values("selection", ascending=False, na_position="last")
    return pd.concat([table, pd.DataFrame([chance])], ignore_index=True)


def _row(name: str, metrics: Sequence[Mapping[str, Any]], part: str) -> dict[str, Any]:
    row: dict[str, Any] = {"detector": name, "seeds": len({one["seed"] for one in metrics})}
    chance = part == "test_random"
    row["selection"] = None if chance else _mean([one["selection"]["score"] for one in metrics])
    for tier in metrics[0][part]["budgets"]:
        for threshold in ("best",) if chance else ("best", "shipped"):
            points = [one[part]["budgets"][tier][threshold] for one in metrics]
            row |= _interval(f"recall_{tier}_{threshold}", [(p or {}).get("recall") for p in points], "macro")
            row |= _interval(
                f"false_alerts_{tier}_{threshold}",
                [(p or {}).get("false_alerts") for p in points],
                "per_user_week",
            )
    row |= _interval("auc_pr", [one[part]["auc_pr"] for one in metrics], "value")
    row |= _interval("vus_pr", [one[part]["vus_pr"] for one in metrics], "value")
    if not chance:
        numbers = [headline(one) for one in metrics]
        row["seconds_to_detect_critical"] = _mean(
            [one["test"].get("shipped.critical", {}).get("seconds_to_detect") for one in numbers]
        )
        row["us_per_step"] = _mean([one["timing"]["us_per_step"] for one in metrics])
        row["fit_s"] = _mean([one["timing"]["fit_s"] for one in metrics])
        row["state_bytes_per_user"] = metrics[0]["state_bytes_per_user"]
        row["research_only"] = metrics[0]["research_only"]
    return row


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _interval(name: str, cells: Sequence[Mapping[str, Any] | None], value: str) -> dict[str, float | None]:
    known = [cell for cell in cells if cell is not None and cell.get(value) is not None]
    if not known:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    if len(known) == 1:
        return {
            name: known[0][value],
            f"{name}_low": known[0].get("low"),
            f"{name}_high": known[0].get("high"),
        }
    values = [float(cell[value]) for cell in known]
    low, high = seeds_interval(values)
    return {name: float(np.mean(values)), f"{name}_low": low, f"{name}_high": high}


def print_leaderboard(table: pd.DataFrame, winner: str | None) -> None:
    """A short table for the terminal."""
    print("\n                         recall at 1 false alert per        realised, shipped critical")
    print("detector              user-week   user-day   AUC-PR   recall  false alerts/user-week  us/step")
    for row in table.to_dict("records"):
        mark = "*" if row["detector"] == winner else " "
        cells = [
            row.get("recall_critical_best"),
            row.get("recall_warning_best"),
            row.get("auc_pr"),
            row.get("recall_critical_shipped"),
            row.get("false_alerts_critical_shipped"),
        ]
        text = ["-".rjust(6) if value is None or pd.isna(value) else f"{value:6.2f}" for value in cells]
        cost = row.get("us_per_step")
        last = "" if cost is None or pd.isna(cost) else f"{cost:8.0f}"
        print(
            f"{mark}{row['detector']:20s}  {text[0]}     {text[1]}   {text[2]}   {text[3]}        {text[4]}          {last}"
        )
    if winner is not None:
        print("* champion, chosen on the calibration span")
