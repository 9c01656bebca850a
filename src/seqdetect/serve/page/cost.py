"""What requests cost, one by one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.prices import Price, Prices
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import digest


def usd(scored: Scored, prices: Prices | None) -> NDArray[np.float32]:
    """USD of each request of ``scored`` [n]: NaN where its LLM has no price, 0 for all where nothing has."""
    requests = scored.requests
    if prices is None:
        return np.zeros(len(requests), np.float32)
    named = sorted((digest(name), price) for name, price in prices.models.items())
    rates = np.array([_rate(prices.default), *(_rate(price) for _, price in named)])
    place = np.zeros(len(requests), np.int64)
    for number, (model, _) in enumerate(named, start=1):
        place[requests["model"] == model] = number
    cost = rates[place, 0] * requests["prompt"] + rates[place, 1] * requests["completion"]
    return np.asarray(cost / 1e6, np.float32)


def _rate(price: Price | None) -> tuple[float, float]:
    return (np.nan, np.nan) if price is None else (price.prompt, price.completion)
