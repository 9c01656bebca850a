"""What tells a campaign from an attack, item by item, and what the items come to together.

Each item of evidence votes by its weight in ``RULES``, or not at all where it is unknown or between the two. A verdict
needs votes of ``LEAST`` in all, and a lead of ``LEAD`` of them; else it is "unclear". Weights and limits are judgement,
not fitted to anything: ``experiments/triage`` shows what they come to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

CAMPAIGN: Final = "campaign"
ATTACK: Final = "attack"
UNCLEAR: Final = "unclear"
LEAST: Final = 2.5
"""Votes below which nothing is said: two items of weight one and something more."""
LEAD: Final = 1 / 3
"""Share of all votes by which one side must lead: two thirds against one."""
FAILING: Final = 0.05
"""Share of answers with 5xx from which on, and where it is three times the usual, the service is failing. Clients then
repeat what failed, which looks like the usual, and answers are missing or refused whoever asks: only who asks counts."""

Points = str | None
Judge = Callable[[float, float], Points]
"""From an item's value and its usual value to the side that it points to."""


class Evidence(NamedTuple):
    """One item; a value that is not known is None."""

    name: str
    value: float | str | None
    usual: float | None
    points_to: Points


class Rule(NamedTuple):
    """How one item is judged, and what its vote weighs."""

    name: str
    weight: float
    unit: str
    judge: Judge


@dataclass(frozen=True)
class Triage:
    """A verdict and what it stands on."""

    verdict: str
    evidence: tuple[Evidence, ...]

    def payload(self) -> dict[str, Any]:
        """As it stands in an alert."""
        return {"verdict": self.verdict, "evidence": [_rounded(one) for one in self.evidence]}


def alike(least: float, most: float, campaign: tuple[float, float]) -> Judge:
    """An attack below ``least`` or above ``most`` times the usual, a campaign within the two of ``campaign``."""

    def judged(value: float, usual: float) -> Points:
        if usual <= 0:
            return None
        ratio = value / usual
        if ratio < least or ratio > most:
            return ATTACK
        return CAMPAIGN if campaign[0] <= ratio <= campaign[1] else None

    return judged


def varied(uniform: float, mixed: float) -> Judge:
    """An attack at ``uniform`` or below where the usual is ``mixed`` at least, a campaign at half the usual or more.

    Not by the usual alone: a few heavy users, who make up most of many a surge, are less varied than all together.
    """

    def judged(value: float, usual: float) -> Points:
        if usual < mixed:
            return None
        return ATTACK if value <= uniform else CAMPAIGN if value >= 0.5 * usual else None

    return judged


def strange(share: float, usual: float) -> Points:
    """Half of it from where nobody came from until now; not soon after the start, when everything is new."""
    if usual > 0.3:
        return None
    return ATTACK if share >= 0.5 else CAMPAIGN if share <= 0.2 else None


def broad(share: float, _: float) -> Points:
    """Launches reach a third of those who are there; keys that one hand has stolen are few of many."""
    return CAMPAIGN if share >= 0.3 else ATTACK if share < 0.15 else None


def grown(users: float, usual: float) -> Points:
    """More users at work is what a campaign is for. Fewer say nothing: few keys can send much."""
    return CAMPAIGN if usual > 0 and users >= 1.5 * usual else None


def fresh(share: float, usual: float) -> Points:
    """Many accounts that nobody has seen before, all at once, are cheap to make."""
    return ATTACK if share >= max(0.2, 5.0 * usual) else None


def single(share: float, usual: float) -> Points:
    """Nearly all of it on one endpoint which is not that dominant otherwise is an attack's."""
    if usual > 0.5:
        return None
    return ATTACK if share >= 0.9 else CAMPAIGN if abs(share - usual) <= 0.2 else None


def refused(share: float, usual: float) -> Points:
    """Many more requests that are the client's own fault: keys that fail, limits that are tried out."""
    return ATTACK if share >= max(0.05, 3.0 * usual) else None


def undecided(_: float, __: float) -> Points:
    """For the reader alone."""
    return None


_SIZES: Final = "exp(entropy) of the excess over half octaves of tokens"
RULES: Final = (
    Rule("surging_users", 1.0, "share of the users active in the last hour", broad),
    Rule("users", 0.5, "active users per tick, mean", grown),
    Rule("new_users", 0.5, "share of the users active in the last hour", fresh),
    Rule("new_networks", 2.0, "share of the excess", strange),
    Rule(
        "networks_per_user", 1.0, "exp(entropy) of the excess, per active user", alike(0.1, 2.5, (0.25, 1.7))
    ),
    Rule("new_user_agents", 1.0, "share of the excess", strange),
    Rule("user_agents", 0.5, "exp(entropy) of the excess", varied(1.3, 2.5)),
    Rule("prompt_sizes", 1.5, _SIZES, varied(3.0, 6.0)),
    Rule("completion_sizes", 0.5, _SIZES, varied(3.0, 6.0)),
    Rule("endpoint_share", 0.5, "share of the excess on its most frequent endpoint", single),
    Rule("client_errors", 1.0, "share of requests answered with 4xx", refused),
    Rule("server_errors", 0.0, "share of requests answered with 5xx", undecided),
    Rule("completion_per_prompt", 0.5, "tokens per token, of the excess", alike(1 / 3, 3.0, (0.6, 1.6))),
)
"""Every item but ``calendar``. Networks and user agents are new for an hour and a quarter after they were met first.
What is sent weighs more than what comes back: prompts are the sender's choice, completions the model's."""
CALENDAR: Final = Rule("calendar", 1.5, "name of the entry that the surge lies in", undecided)
WHO: Final = frozenset(
    ("surging_users", "users", "new_users", "new_networks", "networks_per_user", "new_user_agents")
)
"""Items about who asks, which a failing service leaves as they are."""
_WEIGHT: Final = {rule.name: rule.weight for rule in (*RULES, CALENDAR)}
_OF_EXCESS: Final = frozenset(rule.name for rule in RULES if "excess" in rule.unit)


def judged(values: dict[str, tuple[float, float | None]]) -> list[Evidence]:
    """All items of ``RULES`` with their values and usual values by name, of which those not known may be absent."""
    found = []
    for rule in RULES:
        value, usual = values.get(rule.name, (None, None))
        points = None if value is None else rule.judge(value, 0.0 if usual is None else usual)
        found.append(Evidence(rule.name, value, usual, points))
    share, before = values.get("server_errors", (0.0, 0.0))
    if share >= max(FAILING, 3.0 * (before or 0.0)):
        return [_cautious(one) for one in found]
    return found


def weighed(evidence: Sequence[Evidence]) -> Triage:
    """The verdict that ``evidence`` comes to."""
    votes = dict.fromkeys((CAMPAIGN, ATTACK), 0.0)
    for one in evidence:
        if one.points_to is not None:
            votes[one.points_to] += _WEIGHT[one.name]
    total, lead = sum(votes.values()), votes[CAMPAIGN] - votes[ATTACK]
    if total < LEAST or abs(lead) < LEAD * total:
        return Triage(UNCLEAR, tuple(evidence))
    return Triage(CAMPAIGN if lead > 0 else ATTACK, tuple(evidence))


def _cautious(one: Evidence) -> Evidence:
    """``one`` as it counts while the service is failing."""
    repeated = one.name in _OF_EXCESS and one.points_to == CAMPAIGN
    return one._replace(points_to=None) if repeated or one.name not in WHO else one


def _rounded(one: Evidence) -> dict[str, Any]:
    value = round(float(one.value), 4) if isinstance(one.value, float | np.floating) else one.value
    usual = None if one.usual is None else round(float(one.usual), 4)
    return {"name": one.name, "value": value, "usual": usual, "points_to": one.points_to}
