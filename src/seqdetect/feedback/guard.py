"""How much people's word may weigh against what attacks look like.

Whoever may give verdicts could try to teach the detector that an attack is harmless, by calling alerts on it false.
Four things stand against that, for a threat model to count on:

- A true verdict is taken back by its own author alone (``settle``), and time that an incident touches is never taught
  as harmless, whoever says so (``labels``).
- What verdicts add to the weight of clean time, over alerts of one kind, is at most as much as the examples of that kind
  of attack weigh, and half of that (``AUTHOR_SHARE``) for one author. However many verdicts one person gives, an attack
  class keeps twice their weight.
- Simulated attacks are learned beside what happened, and no verdict reaches them.
- A challenger that finds fewer of the simulated attacks in the time held back is not promoted (``contest``).

What they do not stop: time that nobody labelled is taken for clean, with verdicts or without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

AUTHOR_SHARE: Final = 0.5
"""Most of what may be added against a kind of attack that one author may have."""

Names = NDArray[np.object_]
Floats = NDArray[np.float64]


def restrained(weight: Floats, kind: Names, author: Names, attacks: Mapping[str, float]) -> Floats:
    """What verdicts add to the ``weight`` [n] of clean time, scaled down where it would be too much.

    ``kind`` [n] is what their alerts were taken for, ``attacks`` how much the examples of each kind weigh; a kind that
    there are no examples of counts as the lightest that there are.
    """
    least = min(attacks.values(), default=0.0)
    out = weight.copy()
    for name in set(kind):
        most = attacks.get(name, least)
        of_kind = kind == name
        for one in set(author[of_kind]):
            _scale(out, of_kind & (author == one), AUTHOR_SHARE * most)
        _scale(out, of_kind, most)
    return out


def _scale(weight: Floats, rows: NDArray[np.bool_], most: float) -> None:
    total = weight[rows].sum()
    if total > most:
        weight[rows] *= most / total
