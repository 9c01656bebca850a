"""A surge's evidence: a campaign, which is many who do more of what they always do, or an attack by one hand?

The surge's present is compared with the time before it by its excess: what is there now beyond what the time before lets
one expect, per network, user agent, endpoint and class of size, and beyond two standard deviations of chance (of Poisson
counts). A campaign's excess looks like the usual traffic; an attack's comes from networks that nobody used until now,
with one tool, of one length, on one endpoint, or it fails. What that comes to is ``evidence``'s affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.crowd import HASHED, Crowd, Window
from seqdetect.alert.evidence import CALENDAR, CAMPAIGN, Evidence, Triage, judged, weighed

LEAST_MINUTES: Final = 10.0
"""A shorter time before is no measure of the usual."""
LEAST_SURGING: Final = 3
"""Users below which the excess is not the surge's."""
LEAST_EXCESS: Final = 30.0
"""Requests in excess below which their composition is chance."""
LEAST_GROWTH: Final = 0.2
"""The same as a share of what was to be expected: lesser changes are any hour's."""

Calendar = Sequence[tuple[str, int, int]]
"""Launches: name, start and end (microseconds)."""
Values = dict[str, tuple[float, float | None]]
"""Value and usual value by name; what is not known is left out."""


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
    for name in crowd.full():
        values.pop(name, None)
    return weighed((*judged(values), *_planned(moment, calendar)))


class Comparison:
    """The present beside the time before."""

    def __init__(self, now: Window, usual: Window) -> None:
        self.now, self.usual = now, usual
        self.known = usual.minutes >= LEAST_MINUTES and now.minutes > 0
        self.scale = now.minutes / usual.minutes if self.known else 0.0

    def values(self, surging: int, active: int) -> Values:
        """The items of evidence, for a surge of ``surging`` users among ``active``."""
        if not active:
            return {}
        found: Values = {"surging_users": (surging / active, None)}
        if not self.known:
            return found
        found["users"] = self.now.users[0] / self.now.ticks, self.usual.users[0] / self.usual.ticks
        found["new_users"] = self.now.users[1] / active, self.usual.users[1] * self.scale / active
        found |= self._answers()
        expected = self.usual.requests * self.scale
        excess = self.now.requests - expected
        if surging >= LEAST_SURGING and excess >= max(LEAST_EXCESS, LEAST_GROWTH * expected):
            found |= self._new(excess) | self._variety(active) | self._lengths()
        return found

    def _answers(self) -> Values:
        now, usual = self.now.of("answers")[1:], self.usual.of("answers")[1:]
        if not now.sum() or not usual.sum():
            return {}
        shares = now / now.sum(), usual / usual.sum()
        return {
            name: (shares[0][place], shares[1][place])
            for place, name in ((1, "client_errors"), (2, "server_errors"))
        }

    def _new(self, excess: float) -> Values:
        """Share of the excess, and of the usual requests, that comes from networks and user agents which are new."""
        found: Values = {}
        for name in ("new_networks", "new_user_agents"):
            now, usual = self.now.of(name), self.usual.of(name)
            if now.sum() and usual.sum():
                beyond = float(now[1] - usual[1] * self.scale) / excess
                found[name] = min(1.0, max(0.0, beyond)), usual[1] / usual.sum()
        return found

    def _variety(self, active: int) -> Values:
        found: Values = {}
        for name in (*HASHED.values(), "prompt_sizes", "completion_sizes"):
            above, usual = self._above(name), _stated(self.usual, name)
            if not above.sum() or not usual.sum():
                continue
            if name == "endpoints":
                top = int(above.argmax())
                found["endpoint_share"] = above[top] / above.sum(), usual[top] / usual.sum()
            elif name == "networks":
                found["networks_per_user"] = effective(above) / active, effective(usual) / active
            else:
                found[name] = effective(above), effective(usual)
        return found

    def _lengths(self) -> Values:
        prompt, completion = self.now.tokens - self.scale * self.usual.tokens
        if prompt <= 0 or completion <= 0 or not self.usual.tokens.all():
            return {}
        return {"completion_per_prompt": (completion / prompt, self.usual.tokens[1] / self.usual.tokens[0])}

    def _above(self, name: str) -> NDArray[np.float64]:
        """The excess beyond chance, by hash or class of size."""
        expected = _stated(self.usual, name) * self.scale
        chance = 2.0 * np.sqrt(expected * (1.0 + self.scale))
        return np.asarray(np.maximum(0.0, _stated(self.now, name) - expected - chance))


def _stated(window: Window, name: str) -> NDArray[np.int64]:
    """The counts without those of the unknown, which only hashes have."""
    return window.of(name)[1:] if name in HASHED.values() else window.of(name)


def effective(counts: NDArray[Any]) -> float:
    """How many equally frequent values are as varied as ``counts``: exp(entropy)."""
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def _planned(moment: Moment, calendar: Calendar) -> list[Evidence]:
    """The calendar's entry that the surge began in, or that it is in now; nothing where there is no calendar."""
    if not calendar:
        return []
    for name, start, end in calendar:
        if start <= moment.since < end or start <= moment.now <= end:
            return [Evidence(CALENDAR.name, name, None, CAMPAIGN)]
    return [Evidence(CALENDAR.name, None, None, None)]
