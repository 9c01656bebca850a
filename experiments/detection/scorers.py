"""A detector's jobs in one kind of traffic, one per seed, and their figures on the test span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from seqdetect import benchmark
from seqdetect.benchmark import RANDOM, Finished
from seqdetect.metrics.bootstrap import seeds_interval

TIERS: Final = ("critical", "warning")
SUBSETS: Final = {
    "": (),
    "_without_service_wide": ("degradation", "inflation"),
    "_without_drip_offhours": ("drip", "offhours"),
}
"""Kinds left out of a macro recall, by the ending of its name. Service-wide: one incident, a row per user."""


@dataclass(frozen=True)
class Scorer:
    """``part`` of ``metrics.json`` is "test", or "test_random" for the random scorer beside each job."""

    name: str
    jobs: tuple[Finished, ...]
    part: str = "test"

    def tests(self) -> list[dict[str, Any]]:
        """What was measured on the test span, per seed."""
        return [job.metrics[self.part] for job in self.jobs]

    def points(self, tier: str, threshold: str) -> list[dict[str, Any]]:
        """What stands at ``threshold`` ("best" or "shipped"), per seed; seeds without it left out."""
        cells = [test["budgets"][tier][threshold] for test in self.tests()]
        return [cell for cell in cells if cell is not None]

    def by_seed(self) -> pd.DataFrame:
        """Figures that are averaged over seeds [seed, figure], NaN where not measured."""
        rows = [_figures(test) for test in self.tests()]
        return pd.DataFrame(rows, index=[job.metrics["seed"] for job in self.jobs], dtype=np.float64)

    def mean(self, group: str, name: str) -> float | None:
        """Mean over seeds of ``metrics[group][name]``, a property of the detector; None for random scores."""
        values = [job.metrics[group][name] for job in self.jobs] if self.part == "test" else []
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True)
class Traffic:
    """All scorers on one kind of traffic, detectors by falling selection score, the random scorer last."""

    name: str
    scorers: tuple[Scorer, ...]
    champion: str | None
    peers: tuple[str, ...]
    """Detectors other than the learned ones, by falling selection score."""

    def scorer(self, name: str) -> Scorer:
        return next(one for one in self.scorers if one.name == name)


def by_traffic(runs: Sequence[Finished], learned: str) -> list[Traffic]:
    """``runs`` parted by source and length of the test span; names that begin with ``learned`` are no peers.

    Raises ``ValueError`` where a detector ran twice on a seed, or two runs of one seed saw other events.
    """
    parts: dict[str, list[Finished]] = {}
    for run in runs:
        parts.setdefault(_traffic(run), []).append(run)
    return [_traffic_of(name, part, learned) for name, part in sorted(parts.items())]


def _traffic(run: Finished) -> str:
    span = run.metrics["test"]["span"]
    days = (span["end_us"] - span["start_us"]) / 86_400e6
    return f"{run.metrics['data']['source']}, {days:.2g}-day test span"


def _traffic_of(name: str, runs: list[Finished], learned: str) -> Traffic:
    jobs: dict[str, dict[int, Finished]] = {}
    first: dict[int, Finished] = {}
    for run in sorted(runs, key=lambda run: int(run.metrics["seed"])):
        detector, seed = str(run.metrics["detector"]), int(run.metrics["seed"])
        twin = jobs.setdefault(detector, {}).setdefault(seed, run)
        if twin is not run:
            raise ValueError(f"{detector} ran twice on seed {seed}: {twin.folder} and {run.folder}")
        other = first.setdefault(seed, run)
        if other.metrics["data"]["hash"] != run.metrics["data"]["hash"]:
            raise ValueError(f"{other.folder} and {run.folder} have one seed, and saw different events")
    scorers = [Scorer(detector, tuple(own.values())) for detector, own in jobs.items()]
    scorers.sort(key=lambda one: -np.inf if (score := selection(one)) is None else score, reverse=True)
    best = benchmark.champion(runs)
    return Traffic(
        name,
        (*scorers, Scorer(RANDOM, tuple(first.values()), "test_random")),
        None if best is None else str(best.metrics["detector"]),
        tuple(one.name for one in scorers if not one.name.startswith(learned) and selection(one) is not None),
    )


def selection(scorer: Scorer) -> float | None:
    """Mean over seeds of the score on the calibration span that the champion is chosen by."""
    return scorer.mean("selection", "score")


def _figures(test: dict[str, Any]) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for tier in TIERS:
        best, shipped = test["budgets"][tier]["best"], test["budgets"][tier]["shipped"]
        row |= {f"recall_{tier}_best{end}": _macro(best, kinds) for end, kinds in SUBSETS.items()}
        row[f"recall_{tier}_shipped"] = shipped and _macro(shipped, ())
        rate = shipped and shipped["false_alerts"]["per_user_week"]
        row[f"false_alerts_{tier}_shipped"] = rate
        row[f"false_alerts_{tier}_over_budget"] = (
            None if rate is None else rate / test["budgets"][tier]["per_user_week"]
        )
    return row | {name: (test[name] or {}).get("value") for name in ("auc_pr", "vus_pr")}


def _macro(point: dict[str, Any], without: tuple[str, ...]) -> float | None:
    kept = [cell["recall"] for kind, cell in point["recall"]["kinds"].items() if kind not in without]
    return float(np.mean(kept)) if kept else None


def with_interval(figures: pd.DataFrame) -> dict[str, float]:
    """Means over seeds of ``figures`` [seed, figure], and Student's intervals as ``_low`` and ``_high``."""
    row: dict[str, float] = {}
    for name in figures.columns:
        known = figures[name].dropna().to_numpy()
        low, high = seeds_interval(known)
        row |= {
            str(name): float(known.mean()) if known.size else np.nan,
            f"{name}_low": low,
            f"{name}_high": high,
        }
    return row
