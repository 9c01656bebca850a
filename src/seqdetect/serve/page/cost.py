"""What users' requests cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.prices import Price, Prices
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import digest


class Costs(NamedTuple):
    """Costs [n], each of one user at one time."""

    user: NDArray[np.int32]
    """Row of the key table."""
    time: NDArray[np.int64]
    """Microseconds."""
    usd: NDArray[np.float32]
    """NaN where an LLM has no price."""


def costs(scored: Scored, prices: Prices | None) -> Costs:
    """The costs of ``scored``: by steps where all LLMs have one price, else by requests; none without prices."""
    if prices is None:
        return Costs(scored.user[:0], scored.tick[:0], np.zeros(0, np.float32))
    if not prices.models:
        return Costs(scored.user, scored.tick - 1, _usd(scored.tokens @ np.array(_rate(prices.default))))
    requests = scored.requests
    named = sorted((digest(name), price) for name, price in prices.models.items())
    rates = np.array([_rate(prices.default), *(_rate(price) for _, price in named)])
    place = np.zeros(len(requests), np.int64)
    for number, (model, _) in enumerate(named, start=1):
        place[requests["model"] == model] = number
    spent = rates[place, 0] * requests["prompt"] + rates[place, 1] * requests["completion"]
    return Costs(requests["user"], requests["time"], _usd(spent))


def _usd(millionths: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(millionths / 1e6, np.float32)


def _rate(price: Price | None) -> tuple[float, float]:
    return (np.nan, np.nan) if price is None else (price.prompt, price.completion)
