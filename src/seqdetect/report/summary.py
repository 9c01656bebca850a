"""The first screen: headline figures, and what they mean in sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqdetect.report import heat, quantity
from seqdetect.report.comparison import against_baselines
from seqdetect.report.entry import TIERS, Entry
from seqdetect.report.quantity import MISSING, Estimate

BLIND = 0.1
"""A kind of which less than this share is found is called a blind spot."""


@dataclass(frozen=True)
class Card:
    """One headline figure."""

    title: str
    value: str
    interval: str
    below: str


@dataclass(frozen=True)
class Subject:
    """What the summary is about: the entry shown, its rivals, the random scorer, and the tightest budget."""

    entry: Entry
    board: Sequence[Entry]
    chance: Entry | None
    budget: float

    @property
    def asked(self) -> str:
        return quantity.budget(self.budget)

    @property
    def alerts_asked(self) -> str:
        """``1 false alert per user-week``."""
        noun = "false alert" if self.asked.startswith("1 ") else "false alerts"
        return self.asked.replace("per", f"{noun} per", 1)

    def estimate(self, choice: str, *path: str, top: float = float("inf")) -> Estimate:
        """A figure at the tightest budget's threshold."""
        return self.entry.estimate(*self.entry.point("critical", choice), *path, bounds=(0.0, top))

    @property
    def recall(self) -> Estimate:
        return self.estimate("shipped", "recall", top=1.0)


def cards(subject: Subject) -> list[Card]:
    """Champion, recall, false alerts, time to detect, AUC-PR."""
    return [_who(subject), _recall(subject), _false_alerts(subject), _time(subject), _area(subject)]


def _who(subject: Subject) -> Card:
    score = subject.entry.mean("selection", "score")
    chosen = subject.entry.role == "champion"
    why = f"selection score {quantity.number(score)} on calibration" if score is not None else ""
    below = why or ("named as champion" if chosen else "leads the leaderboard; no champion was named")
    return Card("Champion" if chosen else "Shown here", subject.entry.name, "", below)


def _recall(subject: Subject) -> Card:
    recall, luck = subject.recall, subject.estimate("shipped", "chance_recall").value
    title = f"Event recall at {subject.alerts_asked}"
    if recall.value is None:
        return Card(title, MISSING, "", "not measured: no labelled incident on the test span")
    below = "shipped threshold, macro mean over kinds"
    return Card(
        title,
        quantity.number(recall.value),
        recall.interval,
        below + (f"; luck: {quantity.number(luck)}" if luck is not None else ""),
    )


def _false_alerts(subject: Subject) -> Card:
    rate = subject.estimate("shipped", "false_alerts")
    if rate.value is None:
        return Card("False alerts realised", MISSING, "", f"not measured; asked: {subject.asked}")
    return Card(
        "False alerts realised",
        quantity.number(rate.value),
        rate.interval,
        f"per user-week; asked: {subject.asked}",
    )


def _time(subject: Subject) -> Card:
    path = ("shipped", "time_to_detect")
    median = subject.estimate(*path, "median_s").value
    late, found = subject.estimate(*path, "p90_s").value, subject.estimate(*path, "found").value
    if median is None:
        return Card("Median time to detect", MISSING, "", "not measured: nothing labelled was found")
    below = f"90 % within {quantity.duration(late)}; {quantity.amount(found)} incident rows found"
    seeds = " (mean of seeds)" if len(subject.entry.runs) > 1 else ""
    return Card("Median time to detect", quantity.duration(median), "", below + seeds)


def _area(subject: Subject) -> Card:
    area = subject.entry.estimate("test", "auc_pr", bounds=(0.0, 1.0))
    luck = subject.chance.mean("test", "auc_pr") if subject.chance else None
    if area.value is None:
        return Card("AUC-PR", MISSING, "", "not measured: the test minutes are not of both classes")
    return Card(
        "AUC-PR",
        quantity.number(area.value),
        area.interval,
        f"pooled minutes; random scores: {quantity.number(luck)}",
    )


def paragraphs(subject: Subject) -> list[list[str]]:
    """The findings in sentences, grouped into paragraphs, most important first."""
    if subject.recall.value is None and subject.estimate("best", "recall").value is None:
        return [[*_scale(subject), *_unlabelled(subject), *_realised(subject)]]
    groups = ((_scale, _found), (_realised, _hindsight), (_kinds, _confounders))
    told = [[sentence for part in group for sentence in part(subject)] for group in groups]
    return [sentences for sentences in told if sentences]


def comparison(subject: Subject) -> list[str]:
    """How the learnt detectors stand beside the statistical baselines."""
    return against_baselines(subject.board, subject.asked)


def _scale(subject: Subject) -> list[str]:
    seeds = {run.seed for entry in subject.board for run in entry.runs}
    compared = f"{quantity.plural(len(subject.board), 'detector')} over {quantity.plural(len(seeds), 'seed')}"
    chosen = subject.entry.role == "champion"
    told = (
        f"{subject.entry.name} is the champion"
        if chosen
        else f"No champion was named; {subject.entry.name} is shown"
    )
    return [f"{told}, among {compared}."]


def _unlabelled(subject: Subject) -> list[str]:
    if subject.entry.first("test") is None:
        return ["Nothing was measured on a test span, so no recall, delay or false-alert rate can be stated."]
    return [
        "No attack is labelled on the test span: recall, time to detect and AUC-PR cannot be measured, and "
        "every alert counts as false. The detectors cannot be ranked by what they find here."
    ]


def _found(subject: Subject) -> list[str]:
    recall, luck = subject.recall, subject.estimate("shipped", "chance_recall").value
    if recall.value is None:
        return ["It was given no shipped threshold, so its recall is only known in hindsight."]
    kinds = heat.recall_by_kind([subject.entry], "critical", "shipped", "")
    over = f" over {quantity.plural(len(kinds.columns), 'kind')} of attack" if kinds else ""
    said = f"With the threshold shipped for {subject.alerts_asked} it finds {recall} of the incident rows (macro mean{over})"
    if luck is not None:
        said += f"; equally long clean spans of the same users would be “found” by luck at {quantity.number(luck)}"
    median = subject.estimate("shipped", "time_to_detect", "median_s").value
    told = (
        f" Half of those found are reported within {quantity.duration(median)}." if median is not None else ""
    )
    return [f"{said}.{told}"]


def _realised(subject: Subject) -> list[str]:
    rate = subject.estimate("shipped", "false_alerts")
    if rate.value is None:
        return []
    episodes = subject.estimate("shipped", "false_alerts", "episodes").value
    weeks = subject.entry.mean("test", "exposure_user_weeks")
    seeds = ", mean of seeds" if len(subject.entry.runs) > 1 else ""
    seen = f"{quantity.amount(episodes)} episodes in {quantity.number(weeks)} clean user-weeks{seeds}"
    said = f"On the test span that threshold raised {rate} false alerts per user-week ({seen}), where {subject.asked} was asked"
    if rate.value <= subject.budget:
        return [f"{said}: within the budget."]
    within = rate.low is not None and rate.low <= subject.budget
    return [
        f"{said}: {quantity.number(rate.value / subject.budget)} times the budget, "
        + ("though the interval includes it." if within else "and clearly over it.")
    ]


def _hindsight(subject: Subject) -> list[str]:
    best, rate = (
        subject.estimate("best", "recall", top=1.0),
        subject.estimate("shipped", "false_alerts").value,
    )
    if best.value is None or rate is None or subject.recall.value is None:
        return []
    return [f"Had the threshold been chosen in hindsight to keep the budget exactly, recall would be {best}."]


def _kinds(subject: Subject) -> list[str]:
    table = heat.recall_by_kind([subject.entry], "critical", "shipped", "")
    if table is None:
        return []
    shares = dict(zip(table.columns, table.rows[0][1], strict=True))
    blind = [
        f"{kind} ({one.hits} of {one.rows})" for kind, one in shares.items() if one and one.value < BLIND
    ]
    whole = [kind for kind, one in shares.items() if one and one.hits == one.rows]
    told = [f"It finds every row of {quantity.listed(whole)}."] if whole else []
    return told + ([f"It is nearly blind to {quantity.listed(blind)}."] if blind else [])


def _confounders(subject: Subject) -> list[str]:
    table = heat.benign_by_kind([subject.entry], "critical", "shipped", "")
    if table is None:
        return []
    shares = [one for one in table.rows[0][1] if one]
    hits, rows = sum(one.hits for one in shares), sum(one.rows for one in shares)
    return [f"Of the benign confounders, {hits} of {rows} raised an alert."]


def cautions(subject: Subject) -> list[str]:
    """What the figures rest on: the calibration's own statements, and what could not be measured."""
    told = [str(text) for text in dict.fromkeys(subject.entry.all("calibration", "statement"))]
    for tier in TIERS:
        stated = subject.entry.all("calibration", "thresholds", tier, "statement")
        told += [f"{tier}: {text}" for text in dict.fromkeys(stated)]
    notes = [text for found in subject.entry.all("test", "note") for text in found]
    said = [f"Test span: {text}" for text in dict.fromkeys(notes)]
    return [text[0].upper() + text[1:].rstrip(".") + "." for text in told + said if text]
