"""Champion against challenger, over the time that neither was trained on.

Both run through the real scorer over the same events, from an empty memory, at the thresholds that each ships for the
same false-alert budget. Counted are, user by user,

- false alerts: episodes (``metrics.episodes``) in the held-back time that is not labelled an attack, whether somebody
  judged them or not. Were only judged alerts counted, the challenger would be flattered: people judge what the champion
  told them, so what the challenger alone would tell has no verdict;
- recall: attacks found, macro mean over kinds: true verdicts and labelled incidents that began in the held-back time,
  and attacks simulated in it. Verdicts alone flatter the champion, which found every one of them, and nobody's word
  reaches the simulated ones.

Differences are paired, challenger minus champion, with intervals by bootstrap over users. ``Rule.decide`` has the rule.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect.attack.inject import Injector
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import Tally, chunks
from seqdetect.metrics.bootstrap import ratio_interval
from seqdetect.metrics.episodes import false_alert_episodes
from seqdetect.metrics.grid import make_grid, microseconds
from seqdetect.metrics.recall import attack_peaks, benign_peaks
from seqdetect.metrics.ticks import Ticks
from seqdetect.prepare import TEST_VARIES, Data
from seqdetect.score.writer import table
from seqdetect.scorer import Model, Scorer, score_stream
from seqdetect.sequence.split import measured
from seqdetect.service import SERVICE

log = logging.getLogger(__name__)
Floats = NDArray[np.float64]
TIER: Final = "warning"
"""Where alerts begin: whatever reaches it is told to somebody."""
APART: Final = 9_201
"""Seed of the simulated attacks, apart from those of training."""


@dataclass(frozen=True)
class Difference:
    """One measure of both, and challenger minus champion with its interval over users."""

    champion: float
    challenger: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Rule:
    """When a challenger is better: in one measure beyond the interval, and not worse in the other."""

    recall_margin: float = 0.05
    """Recall that may be lost at most, at the interval's lower end."""
    alerts_margin: float = 0.1
    """Further false alerts that are tolerated for more recall, as a share of the budget, at the upper end."""
    kind_loss: float = 0.25
    """A kind's recall that is lost, where it is beyond its interval, bars promotion whatever else is won."""
    least_incidents: int = 8
    """Incidents of a kind, and of all kinds together, below which nothing is said of recall."""

    def decide(
        self, alerts: Difference, recall: Difference | None, lost: Mapping[str, float], budget: float
    ) -> tuple[bool, str]:
        """Whether the challenger is promoted, and why. ``budget`` is in false alerts per user-week."""
        if recall is None:
            return (
                False,
                f"fewer than {self.least_incidents} attacks are held back: recall cannot be compared",
            )
        if lost:
            return False, f"it no longer finds {', '.join(sorted(lost))} as the champion does"
        if recall.low < -self.recall_margin:
            return False, f"it may lose more than {self.recall_margin:g} of recall ({_words(recall)})"
        if alerts.high < 0:
            return True, f"fewer false alerts ({_words(alerts)}) and no less recall ({_words(recall)})"
        if recall.low > 0 and alerts.high <= self.alerts_margin * budget:
            return True, f"more recall ({_words(recall)}) and no more false alerts ({_words(alerts)})"
        return (
            False,
            f"not better beyond the interval: false alerts {_words(alerts)}, recall {_words(recall)}",
        )


@dataclass(frozen=True)
class _Found:
    """What one bundle did: ``episodes`` and ``weeks`` [user] of clean time, attacks found [row]."""

    episodes: Floats
    weeks: Floats
    found: NDArray[np.bool_]
    quiet: int
    """Alerts judged false or benign that it does not tell again."""


def contest(
    champion: Path,
    challenger: Path,
    data: Data,
    injector: Injector | None,
    seed: int,
    rule: Rule | None = None,
) -> dict[str, Any]:
    """Compare two bundles on the test span of ``data``; a plain dictionary with ``promoted`` and ``reason``.

    ``injector`` simulates attacks in that span. Raises ``ValueError`` where the two keep to different budgets.
    """
    rule = rule or Rule()
    bundles = {"champion": load(champion), "challenger": load(challenger)}
    budget = _budget(bundles)
    attacked = None
    if injector is not None and data.key != SERVICE:
        rng = np.random.default_rng([seed, APART])
        attacked = injector.inject(data.events, *data.spans.test, rng, vary=TEST_VARIES)
    rows = _rows(data, None if attacked is None else attacked[1])
    found = {name: _found(one, data, rows, attacked) for name, one in bundles.items()}
    alerts, recall, lost = _compared(found["champion"], found["challenger"], rows, seed, rule)
    promoted, reason = rule.decide(alerts, recall, lost, budget)
    judged = int((_held_back(data)["verdict"] != "true").sum()) if "verdict" in rows else 0
    return {
        "promoted": promoted,
        "reason": reason,
        "champion": bundles["champion"].metadata.version,
        "challenger": bundles["challenger"].metadata.version,
        "budget_per_user_week": budget,
        "false_alerts_per_user_week": asdict(alerts),
        "recall": None if recall is None else asdict(recall),
        "kinds_lost": lost,
        "user_weeks": float(found["champion"].weeks.sum()),
        "attacks": {str(kind): int(count) for kind, count in rows["kind"].value_counts().items()},
        "judged_harmless": {
            "held_back": judged,
            **{f"quiet_{name}": one.quiet for name, one in found.items()},
        },
        "rule": asdict(rule),
    }


def scored(bundle: Bundle, events: pa.Table) -> pd.DataFrame:
    """The scorer's scores of ``events`` from an empty memory: user_id, timestamp (microseconds), score."""
    parts: list[pa.Table] = []
    scorer = Scorer(
        [Model(bundle.metadata.detector, bundle)], Tally(), write=lambda _, one: parts.append(table(one))
    )
    score_stream(scorer, chunks(events), [])
    scores = pa.concat_tables(parts).select(["user_id", "timestamp", "score"])
    frame: pd.DataFrame = scores.select(["user_id", "score"]).to_pandas()
    frame["timestamp"] = scores.column("timestamp").cast(pa.int64()).to_numpy()
    return frame


def _budget(bundles: Mapping[str, Bundle]) -> float:
    budgets = {name: one.metadata.thresholds[TIER].budget_per_user_week for name, one in bundles.items()}
    if len(set(budgets.values())) > 1:
        raise ValueError(
            f"champion and challenger keep to different budgets of {TIER} ({budgets}): train with budgets.{TIER}="
            f"{budgets['champion']:g}, or promote by hand"
        )
    return budgets["champion"]


def _held_back(data: Data) -> pd.DataFrame:
    """Incident rows that began in the test span."""
    first, last = measured(data.spans.test)
    assert data.incidents is not None
    began = microseconds(data.incidents["start"])
    return data.incidents[(began >= first) & (began < last)]


def _rows(data: Data, simulated: pd.DataFrame | None) -> pd.DataFrame:
    """Attacks to be found: those of the data, then the simulated ones, which are marked so."""
    parts = []
    if data.incidents is not None:
        parts.append(_held_back(data).assign(simulated=False))
    if simulated is not None:
        parts.append(simulated.assign(simulated=True))
    if not parts:
        return pd.DataFrame({"kind": [], "user_id": [], "start": [], "end": [], "simulated": []})
    rows = pd.concat(parts, ignore_index=True)
    return rows[~rows["kind"].astype(str).str.startswith("benign_")].reset_index(drop=True)


def _found(
    bundle: Bundle, data: Data, rows: pd.DataFrame, attacked: tuple[pa.Table, pd.DataFrame] | None
) -> _Found:
    threshold = bundle.metadata.thresholds[TIER].value
    span = measured(data.spans.test)
    log.info("streaming the events through %s", bundle.metadata.version)
    scores = scored(bundle, data.events)
    grid = make_grid(scores, data.incidents, span, data.keys.names)
    found = np.zeros(len(rows), bool)
    simulated = rows["simulated"].to_numpy(bool)
    found[~simulated] = _reached(scores, rows[~simulated], span, threshold)
    if attacked is not None:
        log.info("streaming them with simulated attacks through %s", bundle.metadata.version)
        found[simulated] = _reached(scored(bundle, attacked[0]), rows[simulated], span, threshold)
    quiet = 0
    if data.incidents is not None and "verdict" in data.incidents:
        told = _held_back(data)
        told = told[told["verdict"].isin(["false", "benign"])]
        quiet = int((~benign_peaks(_ticks(scores, span), told).found(threshold)).sum())
    return _Found(
        false_alert_episodes(grid, threshold).astype(np.float64), grid.exposure_user_weeks(), found, quiet
    )


def _ticks(scores: pd.DataFrame, span: tuple[int, int]) -> Ticks:
    return Ticks.of(scores[(scores["timestamp"] >= span[0]) & (scores["timestamp"] < span[1])])


def _reached(
    scores: pd.DataFrame, rows: pd.DataFrame, span: tuple[int, int], threshold: float
) -> NDArray[np.bool_]:
    return attack_peaks(_ticks(scores, span), rows).found(threshold)


def _compared(
    before: _Found, after: _Found, rows: pd.DataFrame, seed: int, rule: Rule
) -> tuple[Difference, Difference | None, dict[str, float]]:
    """False alerts, recall, and the kinds that are lost with how much of them."""

    def interval(top: Floats, bottom: Floats) -> tuple[float, float]:
        return ratio_interval(top, bottom, np.random.default_rng([seed, APART]))

    weeks = before.weeks.sum()
    alerts = Difference(
        float(before.episodes.sum() / weeks),
        float(after.episodes.sum() / weeks),
        float((after.episodes - before.episodes).sum() / weeks),
        *interval(after.episodes - before.episodes, before.weeks),
    )
    if len(rows) < rule.least_incidents:
        return alerts, None, {}
    _, user = np.unique(rows["user_id"].astype(str), return_inverse=True)
    names, kind = np.unique(rows["kind"].astype(str), return_inverse=True)
    count, old, new = (np.zeros((user.max() + 1, len(names))) for _ in range(3))
    np.add.at(count, (user, kind), 1.0)
    np.add.at(old, (user, kind), before.found.astype(np.float64))
    np.add.at(new, (user, kind), after.found.astype(np.float64))
    share = {name: one.sum(axis=0) / count.sum(axis=0) for name, one in (("old", old), ("new", new))}
    macro = {name: float(one.mean()) for name, one in share.items()}
    recall = Difference(macro["old"], macro["new"], macro["new"] - macro["old"], *interval(new - old, count))
    lost = {}
    for place, name in enumerate(names):
        loss = float(share["old"][place] - share["new"][place])
        enough = count[:, place].sum() >= rule.least_incidents
        if enough and loss >= rule.kind_loss and interval((new - old)[:, place], count[:, place])[1] < 0:
            lost[str(name)] = loss
    return alerts, recall, lost


def _words(one: Difference) -> str:
    return f"{one.champion:.2f} to {one.challenger:.2f}, difference {one.low:+.2f} to {one.high:+.2f}"
