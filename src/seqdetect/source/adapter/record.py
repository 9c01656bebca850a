"""What an adapter makes of a record, and the small conversions that several of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from seqdetect.events import MICROSECONDS

Count = Annotated[int, Meta(ge=-(2**62), le=2**62)]
"""Any whole number that the checks of ``parse.rows`` can judge."""
Seconds = Annotated[float, Meta(ge=0, le=1e10)]
"""A time since 1970, or a duration, in seconds."""
Name = str | int | None
"""A name as it stands in JSON."""


class Row(NamedTuple):
    """One request. The fields are the columns of ``seqdetect.events``, ``timestamp`` in microseconds, UTC.

    ``timestamp`` is when the request ended: only then is it in a log, and events of one stream have to come about
    in the order of their times.
    """

    timestamp: int | None
    user_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    model: str | None = None
    client_ip: str | None = None
    status: int | None = None
    latency_ms: float | None = None
    user_agent: str | None = None
    endpoint: str | None = None
    event_id: str | None = None


Outcome = Row | str | None
"""An event; or what is wrong with a record, by the name of its field and without its content; or None: a record of
something that is no request to a model, which is skipped."""


def micros(seconds: float | None) -> int | None:
    """Seconds since 1970 as microseconds."""
    return None if seconds is None else round(seconds * MICROSECONDS)


def text(value: object) -> str | None:
    """A name as text; None for an empty one and for what is no name."""
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def whole(value: str, field: str) -> int | None:
    """A whole number written as text, None for none. Raises ``ValueError`` that names ``field`` alone."""
    value = value.strip()
    if value in ("", "-"):
        return None
    if not value.isascii() or not value.removeprefix("-").isdigit() or len(value) > 18:
        raise ValueError(f"{field} is not a whole number")
    return int(value)


def places(
    known: Mapping[str, Callable[[Any], object]], wanted: Sequence[str]
) -> list[Callable[[Any], object]]:
    """Where the user is looked for, in the order of ``wanted``. Raises ``ValueError`` for a place not ``known``."""
    for name in wanted:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else f"; there are {', '.join(known)}"
            raise ValueError(f"users: there is no {name} in these records{hint}")
    return [known[name] for name in wanted or known]


def first(record: object, candidates: Iterable[Callable[[Any], object]]) -> str | None:
    """The first name that there is."""
    for candidate in candidates:
        found = text(candidate(record))
        if found is not None and not found.isspace():
            return found
    return None
