"""Tokens and their cost, by the LLM models that have a price."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, Counter

from seqdetect.serve.usage import OTHER, Usage


@dataclass(frozen=True)
class Price:
    prompt: float
    completion: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return prompt_tokens * self.prompt + completion_tokens * self.completion


@pytest.fixture
def counted():
    registry = CollectorRegistry()
    tokens = Counter("tokens", "t", ["direction", "llm_model"], registry=registry)
    cost = Counter("cost_usd", "c", ["llm_model"], registry=registry)
    return Usage(tokens, cost), registry.get_sample_value


def events(models: list[list[str | None]] | None) -> pa.Table:
    """Requests of 10 and 1, 20 and 2, ... tokens, in as many chunks as there are lists of models."""
    names = models or [[None] * 3]
    count = sum(map(len, names))
    table = {
        "prompt_tokens": pa.array([10 * (i + 1) for i in range(count)], pa.int64()),
        "completion_tokens": pa.array([i + 1 for i in range(count)], pa.int64()),
    }
    if models is not None:
        table["model"] = pa.chunked_array(
            [pa.array(chunk, pa.string()).dictionary_encode() for chunk in models]
        )
    return pa.table(table)


def test_each_llm_model_has_its_price_and_others_share_one(counted):
    usage, told = counted
    usage.price({OTHER: Price(1, 0), "big": Price(100, 1000), "small": Price(2, 2)})
    usage.add(events([["big", None], ["small", "invented", "big"]]))
    assert told("tokens_total", {"direction": "prompt", "llm_model": "big"}) == 60
    assert told("tokens_total", {"direction": "completion", "llm_model": "small"}) == 3
    assert told("tokens_total", {"direction": "prompt", "llm_model": OTHER}) == 60
    assert told("cost_usd_total", {"llm_model": "big"}) == 6 * 1000 + 60 * 100
    assert told("cost_usd_total", {"llm_model": OTHER}) == 60
    assert told("tokens_total", {"direction": "prompt", "llm_model": "invented"}) is None


@pytest.mark.parametrize("models", [None, [["a", "b", "c"]]])
def test_without_prices_tokens_are_counted_and_no_cost_is_stated(counted, models):
    usage, told = counted
    usage.add(events(models))
    assert told("tokens_total", {"direction": "prompt", "llm_model": OTHER}) == 60
    assert told("cost_usd_total", {"llm_model": OTHER}) is None


def test_no_events_are_no_tokens(counted):
    usage, told = counted
    usage.price({OTHER: Price(1, 1), "big": Price(1, 1)})
    usage.add(events([[]]).slice(0, 0))
    assert told("tokens_total", {"direction": "prompt", "llm_model": OTHER}) is None
