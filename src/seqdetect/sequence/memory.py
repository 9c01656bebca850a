"""What a stream remembers, as a document and arrays; a stream restored from them goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from seqdetect.sequence.requests import Keys, widened
from seqdetect.sequence.stream import Stream

_DOCUMENT = ("latest", "run", "lead")


def remember(stream: Stream) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The document and the arrays, not copied."""
    users = len(stream.keys)
    facts = stream.featurizer.facts
    facts.grow(users)
    document = {
        "keys": stream.keys.table(),
        "free": stream.keys.free,
        "tick_us": stream.featurizer.tick,
        "evicted": stream.evicted,
        **{name: getattr(stream.clock, name) for name in _DOCUMENT},
    }
    arrays: dict[str, NDArray[Any]] = {
        "held": stream.clock.held,
        "pending": stream.pending,
        "duplicate_ids": stream.duplicates.ids,
        "duplicate_times": stream.duplicates.times,
        "population_ring": stream.population.ring,
        "population_ticks": stream.population.ticks,
        **{f"facts_{name}": getattr(facts, name)[:users] for name in facts.ARRAYS},
    }
    return document, arrays


def recall(stream: Stream, document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Put what ``remember`` gave into a fresh ``stream``. Raises ``ValueError`` for one with another tick."""
    if document["tick_us"] != stream.featurizer.tick:
        raise ValueError(
            f"the memory is of ticks of {document['tick_us'] / 1e6:g} s, the bundle's are of "
            f"{stream.featurizer.tick / 1e6:g} s; it cannot be kept"
        )
    stream.keys = Keys(document["keys"])
    stream.keys.free = list(document["free"])
    stream.evicted = document["evicted"]
    for name in _DOCUMENT:
        setattr(stream.clock, name, document[name])
    stream.clock.held, stream.pending = widened(arrays["held"]), widened(arrays["pending"])
    stream.duplicates.ids, stream.duplicates.times = arrays["duplicate_ids"], arrays["duplicate_times"]
    stream.population.ring, stream.population.ticks = arrays["population_ring"], arrays["population_ticks"]
    facts, users = stream.featurizer.facts, len(stream.keys)
    facts.grow(users)
    for name in facts.ARRAYS:
        getattr(facts, name)[:users] = arrays[f"facts_{name}"]
