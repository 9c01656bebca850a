"""Degradation: the service is slow and fails, and every client tries again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.strength import at, busy_slot, jittered, room
from seqdetect.attack.usual import rewritten, stamped
from seqdetect.attack.weave import inside, labelled, lively, merged, overwritten
from seqdetect.events import MICROSECONDS

ERRORS = np.array([429, 500, 503, 504], dtype=np.int16)
"""What an overloaded service answers: too many requests, internal, unavailable, gateway time-out."""


@dataclass(frozen=True)
class Degradation:
    """Latency up, requests that fail without a completion, and retries a little later, for all users.

    Without ``status`` and ``latency_ms`` failures still show: empty completions, and the same prompt again.
    """

    kind: ClassVar[str] = "degradation"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0029",)
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (25.0, 8.0, 3.5, 1.8)
    """Latency as a multiple of what the request would have had, [strength]."""
    failing: tuple[float, ...] = (0.6, 0.3, 0.15, 0.06)
    """Share of the requests that fail, [strength]."""
    retries: int = 3
    """Times a client tries again at most."""
    wait_s: float = 4.0
    """Mean wait before a retry, seconds; it doubles with each."""
    most_added: int = 20_000
    """Retries added at most."""
    hours: tuple[float, float] = (0.5, 1.5)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return users

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        window = busy_slot(scene, self.hours, rng)
        events = lively(scene.events, scene.targets[0], window, 3, rng)
        places = inside(events, *window)
        rows = events.iloc[places].reset_index(drop=True)
        share = min(0.9, at(self.failing, strength) * float(rng.uniform(0.7, 1.3)))
        failed = rng.random(len(rows)) < share
        failed[rng.integers(len(rows))] = True
        # Requests that were put into a silent stretch are there to fail.
        failed |= len(events) > len(scene.events)
        factor = jittered(at(self.factors, strength), rng)
        again = self._retries(rows[failed], share, factor, window[1], rng)
        changed = _failing(_slowed(rows, factor, rng), failed, rng)
        # Slowness is seen where latency is logged; elsewhere only failures touch a user.
        seen = changed if "latency_ms" in changed.columns else changed[failed]
        touched = pd.concat([seen, again], ignore_index=True) if len(again) else seen
        return Outcome(merged(overwritten(events, places, changed), again), labelled(touched))

    def _retries(
        self, failed: pd.DataFrame, share: float, factor: float, end: int, rng: np.random.Generator
    ) -> pd.DataFrame:
        """The requests of ``failed`` sent again, until one comes through or patience ends, before ``end``."""
        needed = rng.geometric(1 - share, size=len(failed))
        sent = np.minimum(needed, self.retries)
        copied = np.repeat(np.arange(len(failed)), sent)
        attempt = np.arange(len(copied)) - np.repeat(np.cumsum(sent) - sent, sent)
        # Doubling waits add up to 2^(n+1) - 1 times the first one.
        wait = self.wait_s * (2.0 ** (attempt + 1) - 1) * rng.uniform(0.5, 1.5, size=len(copied))
        times = failed["timestamp"].to_numpy(dtype=np.int64)[copied] + (wait * MICROSECONDS).astype(np.int64)
        kept = np.flatnonzero(times < end)
        kept = kept[np.argsort(times[kept], kind="stable")][: self.most_added]
        again = stamped(failed.iloc[copied[kept]].reset_index(drop=True), times[kept], rng)
        return _failing(_slowed(again, factor, rng), (attempt + 1 < needed[copied])[kept], rng)


def _slowed(rows: pd.DataFrame, factor: float, rng: np.random.Generator) -> pd.DataFrame:
    """A copy of ``rows`` with latency about ``factor`` times as long, where it is known."""
    if "latency_ms" not in rows.columns:
        return rows
    by = np.maximum(factor * rng.lognormal(0.0, 0.3, size=len(rows)), 1.05)
    return rows.assign(latency_ms=rows["latency_ms"].to_numpy(dtype=np.float64) * by)


def _failing(rows: pd.DataFrame, failed: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """A copy of ``rows`` in which those of the mask ``failed`` [row] have failed, with no answer."""
    completion = rows["completion_tokens"].to_numpy(dtype=np.int64)
    changed = rows.assign(completion_tokens=np.where(failed, 0, completion))
    if "status" in rows.columns:
        status = rows["status"].to_numpy().copy()
        status[failed] = rng.choice(ERRORS, size=int(failed.sum()))
        changed = rewritten(changed, {"status": status})
    return changed
