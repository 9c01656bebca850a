"""The life of an alert: one per user and episode, opened by a step at warning or above; one for all in a surge.

An open alert is held open by every step that is not far below the warning threshold, and resolved when none came for
a while. Who is hot again soon after has the same alert again. An alert is judged at every step that it takes in: by
the score, by what it means for the business, and by what the day's allowance leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from seqdetect.alert import route
from seqdetect.alert.alert import CALM, CRITICAL, EVERYBODY, Alert, begun, joined, opened_again
from seqdetect.alert.cap import OVERFLOW, Cap
from seqdetect.alert.concerned import Step, concerned, holding
from seqdetect.alert.cooldown import Cooldown
from seqdetect.alert.crowd import Crowd
from seqdetect.alert.impact import Counts, Traffic, impact
from seqdetect.alert.payload import Form
from seqdetect.alert.policy import Policy
from seqdetect.alert.population import TOGETHER_S, Active, Surge, least
from seqdetect.alert.prices import Prices
from seqdetect.bundle.schema import Metadata
from seqdetect.events import MICROSECONDS
from seqdetect.score.engine import Scored
from seqdetect.service import SERVICE

Changes = list[dict[str, Any]]
SERVICE_KINDS: Final = ("degradation",)
"""Kinds that are about how the service answers, whoever is asked: its error budget is their affair."""


@dataclass
class AlertBook:
    """Keeps the open alerts of one bundle and tells what changed."""

    metadata: Metadata
    prices: Prices | None = None
    """Without prices the cost of an alert is not stated."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds in force where they are not the bundle's own; the budget of such an alert is not stated."""
    runbooks: str | None = None
    """Address that a kind is appended to, for example a wiki's folder of runbooks."""
    policy: Policy = field(default_factory=Policy)
    labels: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every change: which model found it, on which key, whether in the shadow of another."""
    scope: str = ""
    """What tells the alerts of this book from those of others that name the same users."""
    open: dict[str, Alert] = field(default_factory=dict)
    """By user; the one that was held open last comes last."""

    surge: Surge | None = None
    """The open population alert, if there is one."""
    active: Active = field(default_factory=Active)

    def __post_init__(self) -> None:
        self.tick_us = round(self.metadata.tick_s * MICROSECONDS)
        self.quiet_us = round(self.policy.quiet_s * MICROSECONDS)
        self.cap = Cap(self.policy.cap_per_day)
        self.cooldown = Cooldown(round(self.policy.cooldown_s * MICROSECONDS))
        self.traffic = Traffic(self.tick_us, self.policy.objectives)
        self.crowd = Crowd(self.tick_us)
        self.tell = Form(self.metadata, self.thresholds, self.runbooks, self.labels, self.scope)
        self.holds = holding(self.tell, self.policy.hysteresis)

    def push(self, scored: Scored, now: int | None) -> Changes:
        """Changes caused by ``scored``, in order; ``now`` is the end of the last complete tick (microseconds)."""
        changes: Changes = []
        self.traffic.begin(scored)
        self.crowd.begin(scored)
        noted = 0
        # once per tick: many users at once must not cost the square of their number
        for tick, steps in groupby(self._concerned(scored), key=lambda step: step.tick):
            known = int(np.searchsorted(scored.tick, tick, "right"))
            self._note(scored, slice(noted, known))
            self.traffic.upto(tick)
            noted = known
            changes += self._resolve_before(tick)
            changes += self._tick(tick, self._begun(scored, steps))
        self._note(scored, slice(noted, len(scored)))
        self.traffic.rest()
        self.crowd.rest()
        if now is not None:
            changes += self._resolve_before(now)
        return changes

    def standing(self) -> Changes:
        """Every alert that is open now, muted ones included, as an update as of when it was last held open."""
        others = [self.surge.alert] if self.surge is not None else []
        others += [self.cap.overflow] if self.cap.overflow is not None else []
        return [self.tell(alert, "update", alert.until) for alert in (*others, *self.open.values())]

    def _concerned(self, scored: Scored) -> list[Step]:
        if not scored.causes and not self.open:
            return []
        return concerned(scored, self.open, self.holds, self.prices, self.tick_us)

    def _begun(self, scored: Scored, steps: Iterable[Step]) -> list[Alert]:
        """The steps of one tick that do concern an alert, as the ones they would begin."""
        return [
            begun(scored, step.row, self.tick_us, step.cost)
            for step in steps
            if step.row in scored.causes or step.user in self.open
        ]

    def _note(self, scored: Scored, rows: slice) -> None:
        """Take in who sent something; ``rows`` are those of whole ticks, and follow those of the last call."""
        self.crowd.note(scored.tick[rows], self.active.note(scored, rows))

    def _tick(self, now: int, steps: list[Alert]) -> Changes:
        """Changes caused by ``steps`` of the tick that ends at ``now`` (microseconds)."""
        hot = [step for step in steps if step.tier != CALM]
        active = self.active.count(now) if hot else 0
        changes = self._gather(hot, active) if hot and self.surge is None else []
        for step in steps:
            changes += self._step(step)
        if hot and self.surge is not None:
            self.surge.settle(now, active)
            self.surge.judge(self.crowd, now, active, self.policy.calendar)
            self.surge.alert = self._judged(self.surge.alert, now)
            news = self.surge.news()
            changes = [self.tell(self.surge.alert, news, now), *changes] if news else changes
        return changes + self._overflow(now)

    def _gather(self, steps: list[Alert], active: int) -> Changes:
        """Raise a population alert where many begin together, and resolve into it what is open of it."""
        now = steps[0].last
        since = now - round(TOGETHER_S * MICROSECONDS)
        fresh = [alert for alert in self.open.values() if alert.since >= since]
        began = [*fresh, *(step for step in steps if step.user_id not in self.open)]
        if len(began) < least(active):
            return []
        self.surge = surge = Surge.of(began)
        self._go_on(surge, now)
        changes = []
        for alert in sorted(fresh, key=lambda alert: (alert.since, alert.user_id)):
            if surge.takes(alert):
                surge.add(self.open.pop(alert.user_id))
                over = replace(alert, end=alert.last, into=surge.alert.alert_id)
                self.cooldown.put(over, now)
                changes.append(self.tell(over, "resolve", now))
            else:
                surge.leave(alert.user_id)
        return changes

    def _go_on(self, surge: Surge, now: int) -> None:
        """A surge of the same kind as the one before, soon after it, is the same population alert again."""
        before = self.cooldown.take(EVERYBODY, now)
        if before is not None and surge.may_be(before.kind):
            surge.alert = opened_again(before, surge.alert)

    def _step(self, step: Alert) -> Changes:
        before = self.open.pop(step.user_id, None)
        if before is not None:
            alert = self._judged(joined(before, step), step.last)
            return self._kept(before, alert)
        if step.tier == CALM:
            return []
        if self.surge is not None:
            if self.surge.takes(step):
                self.surge.add(step)
                return []
            self.surge.leave(step.user_id)
        rested = self.cooldown.take(step.user_id, step.last)
        alert = self._judged(step if rested is None else opened_again(rested, step), step.last)
        muted = not self.cap.admit(alert.severity, step.start)
        if muted:
            self.cap.leave_out()
        alert = self.open[step.user_id] = replace(alert, muted=muted)
        return [self.tell(alert, "open", step.last)]

    def _kept(self, before: Alert, alert: Alert) -> Changes:
        """``before`` has become ``alert``: told where that is news, and opened for people where it is grave enough."""
        change = "update"
        if alert.muted and alert.severity != before.severity:
            begun_us = alert.until - self.tick_us
            if self.cap.admit(CRITICAL, begun_us):
                change, alert = "open", replace(alert, muted=False)
        self.open[alert.user_id] = alert
        news = any(
            getattr(alert, name) != getattr(before, name) for name in ("severity", "tier", "kind", "teams")
        )
        return [self.tell(alert, change, alert.until)] if news else []

    def _judged(self, alert: Alert, now: int) -> Alert:
        """``alert`` with what it means at ``now`` (microseconds), how grave that is and whose."""
        whole = self.labels.get("key") == SERVICE
        burns = whole or alert.user_id == EVERYBODY or alert.kind in SERVICE_KINDS
        meant = impact(alert.recent, alert.since, now, self.traffic, burns)
        if whole:
            meant = meant._replace(traffic_share=None)  # all of it, always
        return replace(
            alert,
            impact=meant,
            severity=route.severity(alert, meant, self.policy),
            teams=route.teams(alert.kind, alert.teams, self.policy),
        )

    def _overflow(self, now: int) -> Changes:
        news = self.cap.news(now - self.tick_us, now, route.teams(OVERFLOW, (), self.policy))
        return [] if news is None else [self.tell(news[1], news[0], now)]

    def _resolve_before(self, now: int) -> Changes:
        """Resolve what nothing has held open, up to ``now``: each as of the first tick that shows it."""
        done: list[tuple[int, Alert]] = []
        for alert in self.open.values():
            at = self._quiet(alert.until)
            if at > now:
                break
            done.append((at, alert))
        for _, alert in done:
            del self.open[alert.user_id]
        if self.surge is not None and self._quiet(self.surge.broad) <= now:
            done.append((self._quiet(self.surge.broad), self.surge.alert))
            self.surge = None
        done.sort(key=lambda one: (one[0], one[1].user_id))
        changes = []
        for at, alert in done:
            over = replace(alert, end=alert.last)
            self.cooldown.put(over, at)
            changes.append((at, self.tell(over, "resolve", at)))
        midnight = self.cap.over()
        if midnight is not None and (at := -(-midnight // self.tick_us) * self.tick_us + self.tick_us) <= now:
            alert = self.cap.close()
            changes.append((at, self.tell(replace(alert, end=alert.last), "resolve", at)))
            changes.sort(key=lambda one: one[0])
        return [change for _, change in changes]

    def _quiet(self, last: int) -> int:
        """The end of the first tick that shows that nothing came for long enough after ``last`` (microseconds)."""
        return ((last + self.quiet_us) // self.tick_us + 1) * self.tick_us

    def take_over(self, before: AlertBook) -> None:
        """Go on with the alerts of ``before``, which is not to be used any more."""
        self.open, self.surge = before.open, before.surge
        self.cooldown.resting = before.cooldown.resting
        self.cap.recall(before.cap.memory())

    def know(self, before: AlertBook) -> None:
        """Go on from what ``before`` knows of the traffic, of which another may take a copy as well."""
        self.active, self.crowd = deepcopy(before.active), deepcopy(before.crowd)
        self.traffic.periods = dict(before.traffic.periods)

    def memory(self) -> dict[str, Any]:
        """What is open, as JSON can hold it; who was active is the stream's to remember."""
        memory: dict[str, Any] = msgspec.to_builtins(
            {
                "open": self.open,
                "surge": self.surge,
                "cooldown": self.cooldown.resting,
                "traffic": list(self.traffic.periods.items()),
            }
        )
        return memory | {"cap": self.cap.memory()}

    def recall(self, memory: Mapping[str, Any], last: NDArray[np.int64]) -> None:
        """Take up what ``memory`` gave, with the time of each user's last step (microseconds, [users]).

        Memories of before alerts had a cooldown hold less.
        """
        kept = msgspec.convert(memory["open"], dict[str, Alert])
        self.open = dict(sorted(kept.items(), key=lambda one: one[1].until))
        self.surge = msgspec.convert(memory["surge"], Surge | None)
        self.cooldown.resting = msgspec.convert(memory.get("cooldown", {}), dict[str, tuple[int, Alert]])
        self.traffic.periods = dict(msgspec.convert(memory.get("traffic", []), list[tuple[int, Counts]]))
        if "cap" in memory:
            self.cap.recall(memory["cap"])
        self.active.restore(last)
