"""Counts of a stretch of time as requests: evenly spread over it, adding up exactly to what was counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seqdetect.source.adapter.record import Row


@dataclass(frozen=True)
class Counted:
    """What a user had between ``start`` and ``end`` (microseconds, UTC): requests, and the tokens of all of them."""

    start: int
    end: int
    requests: int
    prompt_tokens: int
    completion_tokens: int


def spread(counted: Counted, like: Row, most: int) -> Iterator[Row]:
    """At most ``most`` requests with the fields of ``like``, in order of time, the same ones for the same counts.

    Beyond ``most`` each stands for several: tokens add up all the same, requests do not. Tokens without a request are
    one request.
    """
    tokens = counted.prompt_tokens + counted.completion_tokens
    rows = min(most, max(counted.requests, 1 if tokens else 0))
    for place in range(rows):
        yield like._replace(
            timestamp=counted.start + (counted.end - counted.start) * (2 * place + 1) // (2 * rows),
            prompt_tokens=_share(counted.prompt_tokens, place, rows),
            completion_tokens=_share(counted.completion_tokens, place, rows),
        )


def _share(total: int, place: int, of: int) -> int:
    """The part of ``total`` that falls to ``place``, such that all parts differ by 1 at most and add up to it."""
    return total * (place + 1) // of - total * place // of
