"""Alerts as incidents of PagerDuty, through its Events API v2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from seqdetect.secret import Secret
from seqdetect.sink import Change
from seqdetect.sink.incident import key, outgrown
from seqdetect.sink.post import Address
from seqdetect.sink.words import cut, evidence, impact, one_line, title

SUMMARY_CHARACTERS: Final = 1024
FIELD_CHARACTERS: Final = 255
"""Of ``source``, ``component``, ``group`` and ``class``, for which PagerDuty states no limit."""
USER_CHARACTERS: Final = 2048
LINK_CHARACTERS: Final = 2048
SEVERITIES: Final = {"critical": "critical", "warning": "warning"}


def events(change: Change, source: str, page_url: str | None = None) -> list[dict[str, Any]]:
    """What to send for ``change``, in order, without the routing key.

    A trigger for what is open, which begins an incident or is added to the one with the same ``dedup_key``. An alert
    that has become critical begins an incident of its own, since PagerDuty calls nobody for what is added to one, and
    the incident of the warning is resolved after it.
    """
    if change["change"] == "open":
        return [_trigger(change, source, page_url)]
    over = [{"event_action": "resolve", "dedup_key": one} for one in outgrown(change)]
    if change["change"] == "resolve":
        return [*over, {"event_action": "resolve", "dedup_key": key(change)}]
    return [_trigger(change, source, page_url), *over]


class PagerDutySink:
    """One incident per alert, and per severity that it reaches; a resolved alert resolves it.

    What comes twice is added to the same incident. Europe's address is ``https://events.eu.pagerduty.com/v2/enqueue``.
    The routing key is that of an Events API v2 integration of one service: an output for each team, with ``teams:``,
    puts the alerts of each on a service of its own.

    https://developer.pagerduty.com/docs/events-api-v2-overview
    """

    queued: ClassVar[bool] = True

    def __init__(
        self,
        routing_key: Secret,
        url: str = "https://events.pagerduty.com/v2/enqueue",
        source: str = "seqdetect",
        page_url: str | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """``source`` names this system on incidents; ``page_url`` is where the service's own page is to be found."""
        self._routing_key, self._source, self._page_url = routing_key, source, page_url
        self._address = Address(url, timeout_s=timeout_s, hidden=[routing_key])

    def send(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for event in events(change, self._source, self._page_url):
                self._address.post(msgspec.json.encode({"routing_key": str(self._routing_key), **event}))

    def close(self) -> None:
        self._address.close()


def _trigger(change: Change, source: str, page_url: str | None) -> dict[str, Any]:
    links = [(change["runbook_url"], f"Runbook: {one_line(change['kind'])}"), (page_url, "Alerts now")]
    return {
        "event_action": "trigger",
        "dedup_key": key(change),
        "client": "seqdetect",
        **({"client_url": page_url} if page_url else {}),
        "payload": {
            "summary": cut(title(change), SUMMARY_CHARACTERS),
            "source": cut(source, FIELD_CHARACTERS),
            "severity": SEVERITIES[change["severity"]],
            "timestamp": change["start"],
            "component": _field(change["model"]),
            "group": _field(", ".join(change["teams"])),
            "class": _field(change["kind"]),
            "custom_details": _details(change),
        },
        "links": [
            {"href": href, "text": cut(text, FIELD_CHARACTERS)}
            for href, text in links
            if href and len(href) <= LINK_CHARACTERS
        ],
    }


def _details(change: Change) -> dict[str, Any]:
    """What helps whoever was called, with the user's whole id unless that is monstrous."""
    told = ("alert_id", "key", "users", "score", "threshold", "budget", "tier", "top_features", "tokens", "cost_usd",
            "impact", "triage", "left_out", "reopened", "shadow", "bundle_version")  # fmt: skip
    return {
        "user_id": cut(change["user_id"], USER_CHARACTERS),
        **{name: change[name] for name in told},
        "in_words": "\n".join(filter(None, [impact(change), *evidence(change)])),
    }


def _field(text: str) -> str:
    return cut(one_line(text), FIELD_CHARACTERS)
