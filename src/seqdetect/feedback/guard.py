"""How much people's word may weigh against what attacks look like.

Whoever may give verdicts could try to teach the detector that an attack is harmless, by calling alerts on it false.
Four things stand against that, for a threat model to count on:

- A true verdict is taken back by its own author alone (``settle``), and time that an incident touches is never taught
  as harmless, whoever says so (``labels``).
- The hard negatives of alerts of one kind weigh together at most ``KIND_SHARE`` as much as the examples of that kind of
  attack, and those of one author at most ``AUTHOR_SHARE`` of that. So one author alone never has more than a quarter of
  the weight of an attack class against it, however many verdicts are given.
- Simulated attacks are learned beside what happened, and no verdict reaches them.
- A challenger that finds fewer of the simulated attacks in the time held back is not promoted (``contest``).

What they do not stop: time that nobody labelled is taken for clean, with verdicts or without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

KIND_SHARE: Final = 0.5
"""Most that hard negatives of one kind may weigh beside the attacks of that kind."""
AUTHOR_SHARE: Final = 0.5
"""Most of that which one author may have."""

Names = NDArray[np.object_]
Floats = NDArray[np.float64]


def restrained(weight: Floats, kind: Names, author: Names, attacks: Mapping[str, float]) -> Floats:
    """``weight`` [n] of hard negatives, scaled down where it would be too much.

    ``kind`` [n] is what their alerts were taken for, ``attacks`` how much the examples of each kind weigh; a kind that
    there are no examples of counts as the lightest that there are.
    """
    least = min(attacks.values(), default=0.0)
    out = weight.copy()
    for name in set(kind):
        most = KIND_SHARE * attacks.get(name, least)
        of_kind = kind == name
        for one in set(author[of_kind]):
            _scale(out, of_kind & (author == one), AUTHOR_SHARE * most)
        _scale(out, of_kind, most)
    return out


def _scale(weight: Floats, rows: NDArray[np.bool_], most: float) -> None:
    total = weight[rows].sum()
    if total > most:
        weight[rows] *= most / total
