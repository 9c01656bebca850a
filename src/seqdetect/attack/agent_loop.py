"""Runaway agent: a tight loop that sends its growing history again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seqdetect.attack import Outcome, Scene, Strength
from seqdetect.attack.arrivals import load, steady
from seqdetect.attack.strength import at, jittered, room, slot
from seqdetect.attack.usual import Usual, resized, usual
from seqdetect.attack.weave import woven


@dataclass(frozen=True)
class AgentLoop:
    """Regular requests; each prompt holds the one before and more, until the context is full."""

    kind: ClassVar[str] = "agent_loop"
    owasp: ClassVar[tuple[str, ...]] = ("LLM10:2025",)
    atlas: ClassVar[tuple[str, ...]] = ("AML.T0034.002",)
    for_good: ClassVar[bool] = False

    factors: tuple[float, ...] = (30.0, 10.0, 4.0, 1.8)
    """Request rate as a multiple of the user's rate in an active hour, [strength]."""
    growth: tuple[float, ...] = (12.0, 6.0, 3.0, 1.5)
    """Length of the prompt when the context is full, as a multiple of the first one, [strength]."""
    turns: tuple[int, int] = (15, 60)
    """Requests until the context is full (least, most)."""
    sizes: int = 3
    """Distinct completion lengths that the loop repeats."""
    least_added: tuple[float, ...] = (400.0, 150.0, 60.0, 25.0)
    """Requests added at least, [strength]."""
    most_added: int = 20_000
    """Requests added at most."""
    most_prompt: int = 200_000
    """Longest prompt, tokens: a usual context limit."""
    spread: float = 0.08
    """Coefficient of variation of the gaps between requests."""
    hours: tuple[float, float] = (0.5, 2.0)
    """How long it lasts, hours (least, most)."""

    def room(self, strength: Strength) -> tuple[int, int]:
        return room(self.hours)

    def targets(self, users: int, rng: np.random.Generator) -> int:
        return 1

    def __call__(self, scene: Scene, strength: Strength, rng: np.random.Generator) -> Outcome:
        start, end = slot(scene, self.hours, rng)
        own = usual(scene.events, start)
        rate = own.rate * (jittered(at(self.factors, strength), rng) - 1)
        bounds = (at(self.least_added, strength), self.most_added)
        count, end = load(rate, start, end, bounds, rng)
        rows = own.draw(steady(count, start, end, rng, self.spread), rng)
        prompt = self._prompts(own, strength, count, rng)
        completion = _repeated(own, self.sizes, count, rng)
        return woven(scene.events, resized(_alike(rows, rng), prompt, completion))

    def _prompts(
        self, own: Usual, strength: Strength, count: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Prompt lengths in a sawtooth, tokens, [request]."""
        first = own.length("prompt_tokens", 0.5)
        full = first * jittered(at(self.growth, strength), rng)
        turns = int(rng.integers(self.turns[0], self.turns[1] + 1))
        grown = (np.arange(count) % turns) / turns
        return np.minimum(first + (full - first) * grown, max(float(self.most_prompt), first))


def _repeated(own: Usual, sizes: int, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Completion lengths from a handful of the user's own, repeated in order, tokens, [request]."""
    kept = [own.length("completion_tokens", float(q)) for q in rng.uniform(0.3, 0.8, size=sizes)]
    return np.asarray(kept)[np.arange(count) % sizes]


def _alike(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A copy of ``rows`` that all come from one program: the address, model and so on of one of them."""
    one = int(rng.integers(len(rows)))
    names = [n for n in ("model", "client_ip", "user_agent", "endpoint") if n in rows.columns]
    return rows.assign(**{n: rows[n].array.take([one] * len(rows)) for n in names})
