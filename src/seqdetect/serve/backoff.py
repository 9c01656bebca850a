"""How long to wait before the next try."""

from __future__ import annotations

import random
from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 60.0


class Backoff:
    """Exponential backoff with full jitter: a draw between nothing and a bound that doubles from 1 s to 60 s.

    Many who failed at the same moment then do not come back at the same moment (M. Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.tries = 0

    def failed(self) -> float:
        """Seconds to wait after one more failure in a row."""
        bound_s = min(FIRST_S * 2.0 ** min(self.tries, 16), LONGEST_S)
        self.tries += 1
        return self._rng.uniform(0.0, bound_s)

    def succeeded(self) -> None:
        """The next failure is a first one again."""
        self.tries = 0
