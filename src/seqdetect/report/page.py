"""Writes the report: one HTML file, plotly.js inside, no request to anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import markupsafe
from plotly.offline import get_plotlyjs

from seqdetect.report import (
    Run,
    Timeline,
    causes,
    confusion,
    details,
    heat,
    leaderboard,
    plots,
    quantity,
    summary,
    timeline,
)
from seqdetect.report.entry import BASELINES, TIERS, Entry, budget_of, entries, random_entry
from seqdetect.report.style import looks
from seqdetect.score.kind import UNKNOWN

ALERTS_LISTED = 20
DEFAULT_BUDGETS = {"critical": 1.0, "warning": 7.0}
"""False alerts per user-week, for runs that measured nothing and so name none."""


@dataclass(frozen=True)
class _Case:
    """The arguments of ``write``, read once."""

    board: list[Entry]
    chance: Entry | None
    shown: Entry
    budgets: dict[str, float]

    @property
    def words(self) -> dict[str, str]:
        """Budgets in words by tier."""
        return {tier: quantity.budget(value) for tier, value in self.budgets.items()}


def write(
    path: Path | str,
    title: str,
    runs: Sequence[Run],
    champion: str | None,
    timelines: Timeline | None,
    provenance: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Write the report on ``runs``, one per detector and seed, to ``path``; its folder is made.

    Without a ``champion`` the leader of the board is shown in its place. ``timelines`` are those of the shown
    detector. Raises ``ValueError`` without runs, and for a champion that has none.
    """
    case = _case(runs, champion)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(_render(case, title, timelines, provenance, notes), encoding="utf-8")


def _case(runs: Sequence[Run], champion: str | None) -> _Case:
    if not runs:
        raise ValueError("a report needs at least one run")
    board = entries(runs, champion)
    shown = [entry for entry in board if champion in (None, entry.name)]
    if not shown:
        known = ", ".join(sorted(entry.name for entry in board))
        raise ValueError(f"the champion {champion!r} has no run; there are runs of {known}")
    budgets = {tier: budget_of(runs, tier) or DEFAULT_BUDGETS[tier] for tier in TIERS}
    return _Case(board, random_entry(runs), shown[0], budgets)


def _render(
    case: _Case, title: str, timelines: Timeline | None, provenance: Mapping[str, Any], notes: Sequence[str]
) -> str:
    here = files("seqdetect.report")
    loader = jinja2.FunctionLoader(lambda name: (here / name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": quantity.number,
        "amount": quantity.amount,
        "percent": quantity.percent,
        "duration": quantity.duration,
        "moment": _moment,
        "prose": _prose,
    }
    return environment.get_template("page.html").render(
        title=title,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        css=(here / "page.css").read_text(encoding="utf-8"),
        plotly_js=get_plotlyjs(),
        notes=[note for note in notes if note],
        details=details.details(case.board, case.shown, provenance),
        subtitle=_subtitle(case.shown),
        **_measures(case),
        **_timelines(timelines),
    )


def _prose(text: str) -> markupsafe.Markup:
    """Text in which no line ends between a number and its interval."""
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(re.sub(r"[\d.,]+ \[[^\]]*\]", r'<span class="whole">\g<0></span>', escaped))


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _subtitle(shown: Entry) -> list[str]:
    data = shown.first("data") or {}
    named = [str(data["source"])] if data.get("source") else []
    counted = [
        quantity.plural(int(data[name]), name[:-1])
        for name in ("events", "users")
        if data.get(name) is not None
    ]
    days = [str(data[name])[:10] for name in ("start", "end") if data.get(name)]
    span = [f"{days[0]} to {days[1]}"] if len(days) == 2 else []
    return [*named, *counted, *span]


def _measures(case: _Case) -> dict[str, Any]:
    """What the template needs of all detectors."""
    look, subject = (
        looks(case.board),
        summary.Subject(case.shown, case.board, case.chance, case.budgets["critical"]),
    )
    columns = leaderboard.columns(*case.words.values())
    return {
        "shown": case.shown,
        "baselines": BASELINES,
        "looks": look,
        "budgets": case.words,
        "cards": summary.cards(subject),
        "findings": summary.paragraphs(subject),
        "comparison": summary.comparison(subject),
        "cautions": summary.cautions(subject),
        "columns": columns,
        "groups": leaderboard.groups(columns),
        "board": leaderboard.lines(case.board, case.chance),
        "seeds": max(len(entry.runs) for entry in case.board),
        "kinds": _tables(
            case, heat.recall_by_kind, [*case.board, case.chance] if case.chance else case.board
        ),
        "strengths": _strengths(case),
        "confusions": _confusions(case),
        "accuracies": _accuracies(case),
        "benign": _tables(case, heat.benign_by_kind, case.board),
        "recall_plot": plots.recall_curves(case.board, case.chance, look, case.budgets),
        "delay_plot": plots.delays(case.board, look),
        "delay_rows": plots.kind_delays(case.shown),
        "pr_plot": plots.pr_curves(case.board, case.chance, look),
        "training_plots": plots.training_curves(case.board, look),
    }


def _tables(case: _Case, table: Any, board: Sequence[Entry]) -> list[heat.Table]:
    """Heat tables per choice of threshold and budget, those that hold something."""
    wanted = [
        table(board, tier, choice, f"{case.words[tier]}, {told}")
        for choice, told in (("shipped", "as shipped"), ("best", "best threshold"))
        for tier in TIERS
    ]
    return [one for one in wanted if one is not None]


def _strengths(case: _Case) -> list[heat.Table]:
    wanted = [
        heat.recall_by_strength(case.shown, tier, "shipped", f"{case.words[tier]}, as shipped")
        for tier in TIERS
    ]
    return [one for one in wanted if one is not None]


def _confusions(case: _Case) -> list[heat.Table]:
    wanted = [confusion.table(case.shown, tier, f"{case.words[tier]}, as shipped") for tier in TIERS]
    return [one for one in wanted if one is not None]


def _accuracies(case: _Case) -> list[str]:
    """How often a kind was named right, by tier; said beside the tables."""
    found = [(case.words[tier], confusion.accuracy(case.shown, tier)) for tier in TIERS]
    return [
        f"At the threshold shipped for {asked}, {one.hits} of {quantity.plural(one.rows, 'row')} found "
        f"({quantity.percent(one.value)}) are named right."
        for asked, one in found
        if one is not None
    ]


def _timelines(timelines: Timeline | None) -> dict[str, Any]:
    """Panels and the first alerts; empty without timelines."""
    if timelines is None:
        return {"panels": [], "alerts": [], "named": False, "alerts_total": 0}
    alerts = causes.told(timelines.alerts, timelines.incidents)
    listed = alerts[:ALERTS_LISTED]
    return {
        "panels": timeline.panels(timelines, alerts),
        "alerts": listed,
        "named": any(alert.kind != UNKNOWN for alert in listed),
        "alerts_total": len(alerts),
    }
