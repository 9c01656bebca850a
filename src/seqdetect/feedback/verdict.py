"""A verdict: what a person found an alert to be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

VERDICTS: Final = ("true", "false", "benign")
"""An attack; nothing; real but expected, and not to be told again."""
BENIGN: Final = "benign_"
"""How the kinds of harmless time begin."""
LONGEST_NAME: Final = 200
"""Characters of an author or a kind."""
LONGEST_NOTE: Final = 4000
"""Characters."""


class Verdict(msgspec.Struct, frozen=True):
    """One person's word on one alert, with what the alert said when it was given. Times are ISO-8601 in UTC."""

    at: str
    """When it was given."""
    alert_id: str
    model: str
    key: str
    user_id: str
    start: str
    end: str
    """Of an alert that was still open: how far it was known."""
    kind: str
    """As the alert had it; ``corrected`` is the author's own word, where there is one."""
    severity: str
    verdict: str
    author: str
    note: str = ""
    score: float | None = None
    threshold: float | None = None
    bundle_version: str = ""
    corrected: str | None = None
    id: int = 0
    """Number in the store, 0 outside of it."""


def judged(
    alert: Mapping[str, Any], verdict: str, author: str, note: str = "", kind: str | None = None
) -> Verdict:
    """The verdict on ``alert``, the last known change of one; ``kind`` corrects the alert's own.

    Raises ``ValueError`` that says what is wrong with it.
    """
    return checked(
        Verdict(
            at=text(datetime.now(UTC)),
            alert_id=_named(alert, "alert_id"),
            model=_named(alert, "model", ""),
            key=_named(alert, "key", "user_id"),
            user_id=_named(alert, "user_id"),
            start=_named(alert, "start"),
            end=str(alert.get("end") or alert.get("at") or ""),
            kind=_named(alert, "kind", "unknown"),
            severity=_named(alert, "severity", ""),
            verdict=verdict,
            author=author.strip(),
            note=note.strip(),
            score=_number(alert, "score"),
            threshold=_number(alert, "threshold"),
            bundle_version=_named(alert, "bundle_version", ""),
            corrected=kind,
        )
    )


def checked(one: Verdict) -> Verdict:
    """``one`` with its times in one form; raises ``ValueError`` that names the field which cannot be right."""
    for name in ("alert_id", "user_id"):
        if not getattr(one, name):
            raise ValueError(f"a verdict needs the alert's {name}")
    if one.verdict not in VERDICTS:
        raise ValueError(f"verdict {one.verdict!r} is none of {', '.join(VERDICTS)}")
    if not one.author or len(one.author) > LONGEST_NAME:
        raise ValueError(f"a verdict needs an author, of 1 to {LONGEST_NAME} characters")
    if len(one.note) > LONGEST_NOTE:
        raise ValueError(f"the note has {len(one.note)} characters; the most are {LONGEST_NOTE}")
    _check_kind(one)
    if not one.end:
        raise ValueError(
            f"alert {one.alert_id} is open and does not say how far it is known: it needs 'end' or 'at'"
        )
    times = {name: text(_moment(name, getattr(one, name))) for name in ("at", "start", "end")}
    if times["end"] <= times["start"]:
        raise ValueError(f"end {one.end} is not after start {one.start}")
    return msgspec.structs.replace(one, **times)


def text(moment: datetime) -> str:
    """ISO-8601 to the microsecond, so that texts sort as times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _check_kind(one: Verdict) -> None:
    kind = one.corrected
    if kind is None:
        return
    if not kind or kind != kind.strip() or len(kind) > LONGEST_NAME:
        raise ValueError(f"kind {kind!r} is not a name of 1 to {LONGEST_NAME} characters")
    if one.verdict == "false":
        raise ValueError("a false alert has no kind")
    if (one.verdict == "benign") != kind.startswith(BENIGN):
        raise ValueError(f"kind {kind!r}: those of a benign verdict begin with {BENIGN}, and no others do")


def _named(alert: Mapping[str, Any], name: str, missing: str | None = None) -> str:
    value = alert.get(name)
    if value is None and missing is not None:
        return missing
    if not isinstance(value, str):
        raise ValueError(f"the alert's {name} is {value!r}; it should be text")
    return value


def _number(alert: Mapping[str, Any], name: str) -> float | None:
    value = alert.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"the alert's {name} is {value!r}; it should be a number")
    return float(value)


def _moment(name: str, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{name} {value!r} is not an ISO-8601 time") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
