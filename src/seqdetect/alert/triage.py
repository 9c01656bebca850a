"""A surge's evidence: a campaign, which is many who do more of what they always do, or an attack by one hand?

The surge's present is compared with the time before it by its excess: per network, user agent, endpoint and class of
size what is there now beyond what the time before lets one expect, and beyond one standard deviation of chance (of
Poisson counts). A campaign's excess looks like the usual traffic, an attack's does not: it comes from networks that
nobody used, with one tool, one length, one endpoint, or it fails.

Each item of evidence votes by its weight in ``RULES``, or not at all where it is unknown or between the two. A verdict
needs votes of ``LEAST`` in all, and a lead of ``LEAD`` of them; else it is "unclear". The numbers are judgement, not
fitted: ``experiments/triage`` shows what they come to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.crowd import BINS, Crowd, Window

CAMPAIGN: Final = "campaign"
ATTACK: Final = "attack"
UNCLEAR: Final = "unclear"
LEAST: Final = 2.5
"""Votes below which nothing is said: two items of weight one and something more."""
LEAD: Final = 1 / 3
"""Share of all votes by which one side must lead: two thirds against one."""
LEAST_MINUTES: Final = 10.0
"""A shorter time before is no measure of the usual."""
LEAST_EXCESS: Final = 30.0
"""Requests in excess below which their composition is chance."""
LEAST_GROWTH: Final = 0.2
"""The same as a share of what was to be expected: lesser changes are any hour's."""

Points = str | None
Judge = Callable[[float, float], Points]
"""From an item's value and its usual value to the side that it points to."""
Calendar = Sequence[tuple[str, int, int]]
"""Launches: name, start and end (microseconds)."""


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


def varied(value: float, usual: float) -> Points:
    """Half as varied as usual is an attack's, nearly as varied a campaign's; what never varies says nothing."""
    return alike(0.5, np.inf, (0.7, np.inf))(value, usual) if usual >= 2.0 else None


def broad(share: float, _: float) -> Points:
    """Launches reach a third of those who are there; keys that one hand has stolen are few of many."""
    return CAMPAIGN if share >= 0.3 else ATTACK if share < 0.15 else None


def grown(users: float, usual: float) -> Points:
    """More users at work is what a campaign is for; fewer keys than usual at more work is not."""
    return None if usual <= 0 else CAMPAIGN if users >= 1.5 * usual else None


def fresh(share: float, usual: float) -> Points:
    """Many accounts that nobody has seen before, all at once, are cheap to make."""
    return ATTACK if share >= max(0.2, 5.0 * usual) else None


def single(share: float, usual: float) -> Points:
    """Nearly all of it on one endpoint which is not that dominant otherwise is an attack's."""
    if usual > 0.7:
        return None
    return ATTACK if share >= 0.9 else CAMPAIGN if abs(share - usual) <= 0.2 else None


def refused(share: float, usual: float) -> Points:
    """Many more requests that are the client's own fault: keys that fail, limits that are tried out."""
    return ATTACK if share >= max(0.05, 3.0 * usual) else None


def undecided(_: float, __: float) -> Points:
    """For the reader alone."""
    return None


RULES: Final = (
    Rule("surging", 1.5, "share of the users active in the last hour", broad),
    Rule("users", 0.5, "active users per tick, mean", grown),
    Rule("new_users", 0.5, "share of the users active in the last hour", fresh),
    Rule("known_networks", 2.0, "share of the excess", alike(0.5, np.inf, (0.8, np.inf))),
    Rule(
        "networks_per_user", 1.0, "exp(entropy) of the excess, per surging user", alike(0.25, 3.0, (0.5, 2.0))
    ),
    Rule("known_user_agents", 1.0, "share of the excess", alike(0.5, np.inf, (0.8, np.inf))),
    Rule("user_agents", 1.0, "exp(entropy) of the excess", varied),
    Rule("prompt_sizes", 1.0, "exp(entropy) of the excess over half octaves of tokens", varied),
    Rule("completion_sizes", 1.0, "exp(entropy) of the excess over half octaves of tokens", varied),
    Rule("endpoint_share", 1.0, "share of the excess on its most frequent endpoint", single),
    Rule("client_errors", 1.0, "share of requests answered with 4xx", refused),
    Rule("server_errors", 0.0, "share of requests answered with 5xx", undecided),
    Rule("completion_per_prompt", 0.5, "tokens per token, of the excess", alike(1 / 3, 3.0, (0.6, 1.6))),
)
"""Every item but ``calendar``. What the usual one of networks and agents is: the chance that a request comes from one
that was seen before, by Good and Turing's estimate (Biometrika 40, 1953)."""
CALENDAR: Final = Rule("calendar", 2.0, "name of the entry that the surge lies in", undecided)
_WEIGHT: Final = {rule.name: rule.weight for rule in (*RULES, CALENDAR)}
_OF_EXCESS: Final = frozenset(rule.name for rule in RULES if "excess" in rule.unit)
FAILING: Final = 0.05
"""Share of answers with 5xx from which on, and where it is three times the usual, the service is failing: clients
repeat what failed, and that looks like the usual. Then the excess tells of no campaign."""


@dataclass(frozen=True)
class Triage:
    """A verdict and what it stands on."""

    verdict: str
    evidence: tuple[Evidence, ...]

    def payload(self) -> dict[str, Any]:
        """As it stands in an alert."""
        return {"verdict": self.verdict, "evidence": [_rounded(one) for one in self.evidence]}


class Moment(NamedTuple):
    """When a surge began, since when it is open without a break, and what time it is, all in microseconds; how many
    users are in it, and how many are active at all."""

    start: int
    since: int
    now: int
    surging: int
    active: int


def triage(crowd: Crowd, moment: Moment, calendar: Calendar = ()) -> Triage:
    """What ``crowd`` says of a surge at this moment."""
    now, usual = crowd.since(moment.since, moment.now), crowd.before(moment.start)
    values = Comparison(now, usual).values(moment.surging, moment.active)
    found = [_judged(rule, *values.get(rule.name, (None, None))) for rule in RULES]
    if _failing(*values.get("server_errors", (None, None))):
        found = [_cautious(one) for one in found]
    return weighed((*found, *_planned(moment, calendar)))


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


class Comparison:
    """The present beside the time before."""

    def __init__(self, now: Window, usual: Window) -> None:
        self.now, self.usual = now, usual
        self.known = usual.minutes >= LEAST_MINUTES and now.minutes > 0
        self.scale = now.minutes / usual.minutes if self.known else 0.0

    def values(self, surging: int, active: int) -> dict[str, tuple[float | None, float | None]]:
        """Value and usual value by name; what is not known is left out."""
        found: dict[str, tuple[float | None, float | None]] = {
            "surging": (surging / active if active else None, None)
        }
        if not self.known:
            return found
        ticks = self.now.ticks, self.usual.ticks
        found["users"] = self.now.users[0] / ticks[0], self.usual.users[0] / ticks[1]
        if active:
            found["new_users"] = self.now.users[1] / active, self.usual.users[1] * self.scale / active
        found |= self._answers()
        expected = self.usual.requests * self.scale
        if self.now.requests - expected >= max(LEAST_EXCESS, LEAST_GROWTH * expected):
            found |= self._composition(max(surging, 1), max(active, 1))
        return found

    def _answers(self) -> dict[str, tuple[float | None, float | None]]:
        now, usual = self.now.of("answers")[1:], self.usual.of("answers")[1:]
        if not now.sum() or not usual.sum():
            return {}
        shares = now / now.sum(), usual / usual.sum()
        return {
            name: (float(shares[0][place]), float(shares[1][place]))
            for place, name in ((1, "client_errors"), (2, "server_errors"))
        }

    def _composition(self, surging: int, active: int) -> dict[str, tuple[float | None, float | None]]:
        found: dict[str, tuple[float | None, float | None]] = {}
        for name in BINS:
            excess, usual = self._excess(name), self._stated(self.usual, name)
            if name == "answers" or not excess.sum() or not usual.sum():
                continue
            varied = effective(excess), effective(usual)
            if name == "endpoints":
                top = int(excess.argmax())
                found["endpoint_share"] = excess[top] / excess.sum(), usual[top] / usual.sum()
                continue
            if name == "networks":
                found["networks_per_user"] = varied[0] / surging, varied[1] / active
            else:
                found[name] = varied
            if name in ("networks", "user_agents"):
                met = float(excess[usual > 0].sum() / excess.sum())
                found[f"known_{name}"] = met, 1.0 - float((usual == 1).sum() / usual.sum())
        prompt, completion = self.now.tokens - self.scale * self.usual.tokens
        if prompt > 0 and completion > 0 and self.usual.tokens.all():
            found["completion_per_prompt"] = completion / prompt, self.usual.tokens[1] / self.usual.tokens[0]
        return found

    def _excess(self, name: str) -> NDArray[np.float64]:
        expected = self._stated(self.usual, name) * self.scale
        chance = np.sqrt(expected * (1.0 + self.scale))
        return np.asarray(np.maximum(0.0, self._stated(self.now, name) - expected - chance))

    @staticmethod
    def _stated(window: Window, name: str) -> NDArray[np.int64]:
        """The counts without those of the unknown, which only hashes have."""
        return window.of(name) if name.endswith("_sizes") else window.of(name)[1:]


def effective(counts: NDArray[Any]) -> float:
    """How many equally frequent values are as varied as ``counts``: exp(entropy)."""
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _judged(rule: Rule, value: float | None, usual: float | None) -> Evidence:
    points = None if value is None else rule.judge(value, 0.0 if usual is None else usual)
    return Evidence(rule.name, value, usual, points)


def _failing(value: float | None, usual: float | None) -> bool:
    return value is not None and usual is not None and value >= max(FAILING, 3.0 * usual)


def _cautious(one: Evidence) -> Evidence:
    return one._replace(points_to=None) if one.name in _OF_EXCESS and one.points_to == CAMPAIGN else one


def _planned(moment: Moment, calendar: Calendar) -> list[Evidence]:
    """The calendar's entry that the surge began in, or that it is in now; nothing where there is no calendar."""
    if not calendar:
        return []
    for name, start, end in calendar:
        if start <= moment.since < end or start <= moment.now <= end:
            return [Evidence(CALENDAR.name, name, None, CAMPAIGN)]
    return [Evidence(CALENDAR.name, None, None, None)]


def _rounded(one: Evidence) -> dict[str, Any]:
    numbers = {
        name: round(float(number), 4) if number is not None and not isinstance(number, str) else number
        for name, number in (("value", one.value), ("usual", one.usual))
    }
    return {"name": one.name, **numbers, "points_to": one.points_to}
