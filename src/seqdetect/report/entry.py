"""Runs grouped by detector, and the one way the page reads numbers out of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from seqdetect.metrics.bootstrap import seeds_interval
from seqdetect.report import Run
from seqdetect.report.quantity import Estimate

BASELINES = ("static_threshold", "rolling_zscore", "ewma")
"""The statistical detectors that anything learnt has to beat."""
NEURAL = ("lstm", "gru", "transformer", "autoencoder", "deep", "tcn")
"""A detector whose name begins with one of these trains a neural network."""
TIERS = ("critical", "warning")
RANDOM = "random scores"

Role = Literal["champion", "baseline", "challenger", "random"]


@dataclass(frozen=True)
class Entry:
    """All runs of one detector, one per seed."""

    name: str
    runs: tuple[Run, ...]
    role: Role

    @property
    def neural(self) -> bool:
        """Whether it trains a neural network, judged by its name."""
        return self.name.startswith(NEURAL)

    def all(self, *path: str) -> list[Any]:
        """What stands at ``path`` in each run's metrics, runs without it left out."""
        found = (at(run.metrics, *path) for run in self.runs)
        return [value for value in found if value is not None]

    def first(self, *path: str) -> Any:
        """What stands at ``path`` in the first run that has it."""
        return next(iter(self.all(*path)), None)

    def estimate(self, *path: str, bounds: tuple[float, float] = (0.0, math.inf)) -> Estimate:
        """Mean over seeds with Student's interval, cut to ``bounds``.

        ``path`` leads to a number, or to a mapping with ``low``, ``high`` and one of ``value``, ``macro``,
        ``per_user_week``. Seeds that all agree say nothing about spread: then, and for one seed, the interval
        is the one over users, where it is known.
        """
        known = [each for each in (_estimate(found) for found in self.all(*path)) if each.value is not None]
        values = [each.value for each in known if each.value is not None]
        if len(values) > 1 and max(values) > min(values):
            low, high = seeds_interval(values)
            return Estimate(float(np.mean(values)), max(low, bounds[0]), min(high, bounds[1]))
        return Estimate(
            *(_mean([getattr(each, part) for each in known]) for part in ("value", "low", "high"))
        )

    def mean(self, *path: str) -> float | None:
        """Mean over the seeds that have the number."""
        return self.estimate(*path).value

    def point(self, tier: str, choice: str) -> tuple[str, ...]:
        """Path of what was measured at a tier's ``best`` or ``shipped`` threshold."""
        return ("test", "budgets", tier, choice)


def at(tree: Any, *path: str) -> Any:
    """What stands at ``path`` in nested mappings, None where anything on the way is missing."""
    for key in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def _estimate(found: Any) -> Estimate:
    if isinstance(found, Mapping):
        named = ("value", "macro", "per_user_week")
        value = next((found[name] for name in named if found.get(name) is not None), None)
        return Estimate(value, found.get("low"), found.get("high"))
    return Estimate(float(found))


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def entries(runs: Sequence[Run], champion: str | None) -> list[Entry]:
    """One entry per detector, best first: recall at the tightest budget's best threshold, then AUC-PR."""
    names = dict.fromkeys(run.detector for run in runs)
    found = [
        Entry(name, tuple(sorted((r for r in runs if r.detector == name), key=_seed)), _role(name, champion))
        for name in names
    ]
    return sorted(found, key=_rank)


def _seed(run: Run) -> int:
    return run.seed


def _role(name: str, champion: str | None) -> Role:
    if name == champion:
        return "champion"
    return "baseline" if name in BASELINES else "challenger"


def _rank(entry: Entry) -> tuple[float, float, str]:
    recall = entry.mean(*entry.point("critical", "best"), "recall")
    area = entry.mean("test", "auc_pr")
    return 1.0 if recall is None else -recall, 1.0 if area is None else -area, entry.name


def random_entry(runs: Sequence[Run]) -> Entry | None:
    """The random scorer, read like a detector: one run per run that has it. None where none has."""
    drawn = [
        Run(RANDOM, run.seed, {"test": run.metrics["test_random"]})
        for run in runs
        if run.metrics.get("test_random")
    ]
    return Entry(RANDOM, tuple(drawn), "random") if drawn else None


def budget_of(runs: Sequence[Run], tier: str) -> float | None:
    """The tier's false-alert budget per user-week, None where no run names it."""
    for run in runs:
        for path in (("test", "budgets", tier, "per_user_week"), _calibrated(tier, "budget_per_user_week")):
            found = at(run.metrics, *path)
            if found is not None:
                return float(found)
    return None


def _calibrated(tier: str, name: str) -> tuple[str, ...]:
    return ("calibration", "thresholds", tier, name)
