"""What tokens cost, by the LLM that they were for: exact integers, so that no order of adding them shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from seqdetect.alert.impact import PICO_USD
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import digest


@dataclass(frozen=True)
class Price:
    """USD per million tokens, to six decimals."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD."""
        return self.exact(prompt_tokens, completion_tokens) / PICO_USD

    def exact(self, prompt_tokens: int, completion_tokens: int) -> int:
        """In millionths of a millionth of a USD."""
        return prompt_tokens * round(self.prompt * 1e6) + completion_tokens * round(self.completion * 1e6)


@dataclass(frozen=True)
class Prices:
    """A price for each LLM that has one of its own, and one for all others.

    Without ``default`` a request of another LLM, or of one that is not stated, has no price, and what it is part
    of has no cost: a sum that leaves something out would be taken for the whole.
    """

    default: Price | None = None
    models: Mapping[str, Price] = field(default_factory=dict)

    def costs(self, scored: Scored, rows: Sequence[int], tick_us: int) -> list[int | None]:
        """What each of ``rows`` cost (millionths of a millionth of a USD); None where a price is missing."""
        if not self.models:
            price = self.default
            return [None if price is None else price.exact(*scored.tokens[row].tolist()) for row in rows]
        by_hash = {digest(name): price for name, price in self.models.items()}
        found = _by_model(scored, rows, tick_us)
        steps = [found.get((int(scored.user[row]), int(scored.tick[row])), []) for row in rows]
        return [self._sum(by_hash, step) for step in steps]

    def _sum(self, by_hash: Mapping[int, Price], step: list[tuple[int, int, int]]) -> int | None:
        total = 0
        for model, prompt, completion in step:
            price = by_hash.get(model, self.default)
            if price is None:
                return None
            total += price.exact(prompt, completion)
        return total


def _by_model(
    scored: Scored, rows: Sequence[int], tick_us: int
) -> dict[tuple[int, int], list[tuple[int, int, int]]]:
    """By user (row of the key table) and end of the tick: hash of the LLM, prompt and completion tokens."""
    wanted = np.zeros(len(scored.names), bool)
    wanted[scored.user[list(rows)]] = True
    some = scored.requests[wanted[scored.requests["user"]]]
    tick = (some["time"] // tick_us + 1) * tick_us
    order = np.lexsort((some["model"], tick, some["user"]))
    some, tick = some[order], tick[order]
    first = np.ones(len(some), bool)
    first[1:] = (tick[1:] != tick[:-1]) | (some["user"][1:] != some["user"][:-1])
    first[1:] |= some["model"][1:] != some["model"][:-1]
    starts = np.flatnonzero(first)
    found: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    if len(starts):
        prompt, completion = (np.add.reduceat(some[name], starts) for name in ("prompt", "completion"))
        columns = (some["user"][starts], tick[starts], some["model"][starts], prompt, completion)
        for user, end, model, prompts, completions in zip(*(c.tolist() for c in columns), strict=True):
            found[user, end].append((model, prompts, completions))
    return found
