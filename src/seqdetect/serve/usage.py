"""What the traffic uses: tokens, and their cost, by the LLM models that the configuration names a price of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import numpy as np
import prometheus_client as prometheus
import pyarrow as pa
from numpy.typing import NDArray

OTHER: Final = "other"
"""Every LLM model without a price of its own: names come with the events, and anybody may invent some."""
_COLUMNS: Final = ("prompt_tokens", "completion_tokens")


class Priced(Protocol):
    """What tokens cost."""

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """USD."""
        ...


class Usage:
    """Adds up the events that are taken in, late and repeated ones among them."""

    def __init__(self, tokens: prometheus.Counter, cost: prometheus.Counter) -> None:
        self._tokens = tokens
        self._cost = cost
        self._prices: Mapping[str, Priced] = {}

    def price(self, prices: Mapping[str, Priced]) -> None:
        """From now on count at these ``prices``, by LLM model; that of ``OTHER`` is for all others."""
        self._prices = prices

    def add(self, table: pa.Table) -> None:
        """Count the events of ``table``."""
        for name, prompt, completion in self._sums(table):
            self._tokens.labels("prompt", name).inc(prompt)
            self._tokens.labels("completion", name).inc(completion)
            price = self._prices.get(name)
            if price is not None:
                self._cost.labels(name).inc(price.cost(prompt, completion))

    def _sums(self, table: pa.Table) -> Iterator[tuple[str, int, int]]:
        """Prompt and completion tokens of the table by LLM model."""
        named = [name for name in self._prices if name != OTHER]
        place = np.zeros(table.num_rows, np.int64)
        if named and "model" in table.column_names:
            place = _places(table.column("model"), named)
        else:
            named = []
        # a batch's tokens are exact in a double
        sums = [np.bincount(place, table.column(column).to_numpy()) for column in _COLUMNS]
        for name, prompt, completion in zip([*named, OTHER], *sums, strict=False):
            if prompt or completion:
                yield name, int(prompt), int(completion)


def _places(column: pa.ChunkedArray, named: list[str]) -> NDArray[np.int64]:
    """The place among ``named`` of each value; their number where it is none of them."""
    parts = []
    for chunk in column.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        known = [named.index(name) if name in named else len(named) for name in coded.dictionary.to_pylist()]
        codes = coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        parts.append(np.array([*known, len(named)], np.int64)[codes])
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
