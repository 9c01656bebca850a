"""What happened, in words for people: the same sentences wherever a pager or a chat shows an alert.

User ids and other names come from whoever sends requests. Here they become one line without control characters, cut
where they are long; markup of the far side's own is its sink's to escape, or to take out with ``unmarked``.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

NAME_CHARACTERS: Final = 48
"""Of a user's id within a sentence; whole ids have fields of their own."""
_ENDING: Final = "…"


def cut(text: str, characters: int) -> str:
    """At most so many characters, with an ellipsis where some were left out; after a whole word if one ends in the latter half."""
    if len(text) <= characters:
        return text
    kept = text[: max(0, characters - len(_ENDING))]
    space = kept.rfind(" ")
    if space > len(kept) / 2:
        kept = kept[:space]
    return kept + _ENDING[:characters]


def one_line(text: str) -> str:
    """Without line breaks, control characters and those that turn the direction of writing."""
    shown = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text)
    return " ".join(shown.split())


def unmarked(text: str) -> str:
    """Without what begins a tag, a link or a mention where a far side takes texts for HTML or for a chat's markup."""
    return text.replace("<", "‹").replace(">", "›").replace("&", "＆")


def number(value: float) -> str:
    """Three digits that count, and no more; thousands are told apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def title(change: Mapping[str, Any]) -> str:
    """One line: how bad, what, who and the strongest cause."""
    parts = [part for part in (who(change), *causes(change)[:1]) if part]
    told = f"{change['severity'].capitalize()} {one_line(change['kind'])}: {', '.join(parts)}"
    told = f"Resolved: {told}" if change["change"] == "resolve" else told
    return f"Shadow: {told}" if change["shadow"] else told


def who(change: Mapping[str, Any]) -> str:
    """The user, how many users, or how many alerts."""
    if change["left_out"] is not None:
        return f"alerts left out by the daily cap: {change['left_out']}"
    if change["user_id"] == "*":
        return f"{change['users']} users"
    noun = "user" if change["key"] == "user_id" else change["key"]
    return f"{noun} {cut(one_line(change['user_id']), NAME_CHARACTERS)}"


def causes(change: Mapping[str, Any]) -> list[str]:
    """Each feature's value against what was expected, strongest first."""
    return [
        f"{cause['name']} {number(cause['value'])}"
        + ("" if cause.get("expected") is None else f" (expected {number(cause['expected'])})")
        for cause in change["top_features"]
    ]


def impact(change: Mapping[str, Any]) -> str:
    """What it costs and whom it touches, as far as that is known; empty where nothing is."""
    found = change["impact"]
    parts = []
    if change["cost_usd"] is not None:
        parts.append(f"{change['cost_usd']:,.2f} USD so far")
    if found["cost_per_hour_usd"] is not None:
        parts.append(f"{found['cost_per_hour_usd']:,.2f} USD per hour")
    if found["traffic_share"] is not None:
        parts.append(f"{found['traffic_share']:.0%} of all tokens")
    if found["slo_burn"] is not None:
        parts.append(f"SLO burn {number(found['slo_burn'])}")
    return ", ".join(parts)


def evidence(change: Mapping[str, Any]) -> list[str]:
    """What speaks for a campaign and what for an attack: the verdict first, nothing where there was no triage."""
    triage = change["triage"]
    if triage is None:
        return []
    return [
        f"triage: {triage['verdict']}",
        *(
            f"- {item['name']} {_value(item['value'])}, usually {_value(item['usual'])}"
            + (f": points to {item['points_to']}" if item["points_to"] else "")
            for item in triage["evidence"]
        ),
    ]


def description(change: Mapping[str, Any]) -> str:
    """Some lines: since when, why, what it costs, the evidence of a triage and the runbook."""
    lines = [f"since {change['start']}" + (f" until {change['end']}" if change["end"] else "")]
    if change["threshold"] is not None:
        budget = change["budget"]
        meaning = "" if budget is None else f" (false-alert budget: {number(budget)} per user-week)"
        lines.append(f"score {change['score']:.2f}, threshold {change['threshold']:.2f}{meaning}")
    lines += [line for line in ("; ".join(causes(change)), impact(change)) if line]
    lines += evidence(change)
    if change["into"]:
        lines.append(f"goes on as alert {change['into']}")
    if change["runbook_url"]:
        lines.append(f"runbook: {change['runbook_url']}")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    return number(value) if isinstance(value, int | float) else one_line(str(value))
