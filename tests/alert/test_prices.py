"""Costs are exact, by the LLM that each request was for, and not stated where a price is missing."""

from __future__ import annotations

import numpy as np
import pytest

from seqdetect.alert.prices import Price, Prices
from seqdetect.score.engine import Scored
from seqdetect.sequence.requests import REQUEST, digest

SECOND = 1_000_000
TICK = 10 * SECOND

Request = tuple[int, float, str, int, int]
"""User, second, LLM, prompt and completion tokens."""


def steps(*rows: Request) -> Scored:
    requests = np.zeros(len(rows), REQUEST)
    for place, (user, second, model, prompt, completion) in enumerate(rows):
        requests[place]["user"], requests[place]["time"] = user, round(second * SECOND)
        requests[place]["model"] = digest(model) if model else 0
        requests[place]["prompt"], requests[place]["completion"] = prompt, completion
    requests = requests[np.lexsort((requests["time"], requests["user"]))]
    tick = (requests["time"] // TICK + 1) * TICK
    pairs, place = np.unique(np.stack([tick, requests["user"]]), axis=1, return_inverse=True)
    tokens = np.zeros((pairs.shape[1], 2), np.int64)
    np.add.at(tokens, place.ravel(), np.stack([requests["prompt"], requests["completion"]], axis=1))
    n = pairs.shape[1]
    return Scored(
        pairs[1].astype(np.int32),
        [f"u{i}" for i in range(3)],
        pairs[0],
        np.zeros(n, np.float32),
        np.zeros(n, np.int8),
        tokens,
        requests=requests,
    )


def test_one_price_for_all_needs_no_requests() -> None:
    scored = steps((0, 3, "big", 1000, 10), (1, 4, "", 7, 0))
    assert Prices(Price(2.5, 10.0)).costs(scored, [1, 0], TICK) == [7 * 2_500_000, 2_600_000_000]


def test_each_llm_has_its_price_and_others_the_default() -> None:
    prices = Prices(Price(1.0, 2.0), {"big": Price(15.0, 75.0)})
    scored = steps((0, 3, "big", 10, 1), (0, 4, "small", 10, 1), (0, 9, "", 10, 1), (0, 12, "big", 1, 0))
    one, other = prices.costs(scored, [0, 1], TICK)
    assert one == 10 * 15_000_000 + 75_000_000 + 2 * (10 * 1_000_000 + 2_000_000)
    assert other == 15_000_000


def test_a_request_without_a_price_leaves_its_step_without_a_cost() -> None:
    prices = Prices(None, {"big": Price(15.0, 75.0), "free": Price()})
    scored = steps((0, 3, "big", 10, 1), (1, 3, "big", 10, 1), (1, 4, "new", 1, 0), (2, 5, "free", 1, 1))
    assert prices.costs(scored, [0, 1, 2], TICK) == [225_000_000, None, 0]


@pytest.mark.parametrize("price", [0.0375, 0.000001, 1234.567891])
def test_prices_are_exact_to_six_decimals_and_sums_in_any_order(price: float) -> None:
    parts = [Price(price, 0.0).exact(tokens, 0) for tokens in (1, 7, 999_999_999_999)]
    assert sum(parts) == Price(price, 0.0).exact(1_000_000_000_007, 0)
    assert Price(price, 0.0).cost(1_000_000, 0) == pytest.approx(price)
