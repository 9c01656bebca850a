"""Alerts in Prometheus' Alertmanager, through its API v2."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

import msgspec

from seqdetect.secret import Secret
from seqdetect.sink import Change, RefusedError, UnavailableError
from seqdetect.sink.post import Address
from seqdetect.sink.words import causes, cut, description, impact, one_line, title, unmarked

LOG = logging.getLogger(__name__)
LASTS_RESENDS: Final = 4
"""An alert that is not sent again ends after as many times ``resend_s``, as one of Prometheus' own does
(rules/manager.go, ``sendAlerts``): what a scorer that died had open does not fire for ever."""
AT_ONCE: Final = 500
"""Alerts in one request."""
LABEL_CHARACTERS: Final = 256
USER_CHARACTERS: Final = 2048
LABEL_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
OWN: Final = frozenset({"alertname", "alert_id", "team", "scope", "shadow", "muted"})

Field = Literal["model", "key", "kind", "severity", "tier", "user_id", "bundle_version"]
Labels = dict[str, str]


@dataclass(frozen=True)
class Naming:
    """How an alert is labelled, besides ``alert_id``, ``scope`` (user, population or overflow) and ``team``."""

    alertname: str = "LLMUsageAnomaly"
    fields: Sequence[Field] = ("model", "key", "kind", "severity")
    """Fields of the alert that are labels too. ``user_id`` may be one: the ids of users are then kept, for as long as
    alerts are, by all that see the labels."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """The same on every alert, for example ``cluster``."""
    page_url: str | None = None

    def __post_init__(self) -> None:
        for name in self.fixed:
            if not LABEL_NAME.fullmatch(name) or name in OWN or name in self.fields:
                raise ValueError(f"{name!r} is no name for a label of your own")

    def labels(self, change: Change) -> list[Labels]:
        """The identities under which ``change`` is known there: one for each team, as routes go by a team."""
        found: Labels = {
            "alertname": self.alertname,
            "alert_id": change["alert_id"],
            "scope": _scope(change),
            **{name: cut(one_line(str(change[name])), LABEL_CHARACTERS) for name in self.fields},
            **dict.fromkeys((name for name in ("shadow", "muted") if change[name]), "true"),
            **self.fixed,
        }
        # an empty label is none to Alertmanager, and would be another identity to us
        found = {name: value for name, value in found.items() if value}
        return [found | ({"team": team} if team else {}) for team in change["teams"] or [""]]


def firing(
    change: Change, labels: Labels, page_url: str | None, now: float, lasts_s: float
) -> dict[str, Any]:
    """``change`` as an alert that is on, and ends by itself ``lasts_s`` after ``now`` (seconds since 1970)."""
    return {
        "labels": labels,
        "annotations": annotated(change),
        "startsAt": _iso(min(_seconds(change["start"]), now)),
        "endsAt": _iso(now + lasts_s),
        **({"generatorURL": page_url} if page_url else {}),
    }


def ended(change: Change, labels: Labels, page_url: str | None, now: float) -> dict[str, Any]:
    """``change`` as an alert that is over: at its end, or now where it goes on under other labels.

    Alertmanager goes by its own clock, so nothing ends or starts later than now, whatever the events say.
    """
    end = min(_seconds(change["end"]) if change["end"] else now, now)
    return firing(change, labels, page_url, end, 0.0)


def annotated(change: Change) -> dict[str, str]:
    """What people and templates read; what is not known is left out.

    Templates put the summary and the description into chats and mails, so they hold no markup; ``user_id`` is as it came.
    """
    told = ("users", "score", "threshold", "tier", "tokens", "cost_usd", "reopened", "left_out", "into", "runbook_url",
            "bundle_version")  # fmt: skip
    found = {name: change[name] for name in told} | {
        "summary": unmarked(title(change)),
        "description": unmarked(description(change)),
        "user_id": cut(change["user_id"], USER_CHARACTERS),
        "top_features": "; ".join(causes(change)),
        "impact": impact(change),
        "triage": (change["triage"] or {}).get("verdict"),
    }
    return {name: str(value) for name, value in found.items() if value not in (None, "")}


class AlertmanagerSink:
    """Every open alert fires there, under labels that routes and inhibitions can go by, until it is resolved.

    Labels are the identity, and some of them change: an alert becomes critical, gets another kind or another team. It
    fires under its new labels then, and the alert with the old ones is ended in the same request. What is open is sent
    again every ``resend_s`` seconds and lasts four times as long. After a restart the labels of before are forgotten:
    where they have changed meanwhile, the old alert ends when it has lasted.

    All of several Alertmanagers are told, as they share notifications and not alerts. It is enough that one of them
    takes it: what another one missed comes again with the next resending, or has ended there.

    https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
    """

    queued: ClassVar[bool] = True
    at_once: ClassVar[int] = AT_ONCE

    def __init__(
        self,
        urls: list[str],
        alertname: str = "LLMUsageAnomaly",
        label_fields: list[Field] | None = None,
        labels: dict[str, str] | None = None,
        page_url: str | None = None,
        token: Secret | None = None,
        resend_s: float = 60.0,
        timeout_s: float = 10.0,
    ) -> None:
        """``urls`` are the addresses that Prometheus would be given, as ``http://alertmanager:9093``; ``token`` is a
        bearer token for all of them. ``label_fields`` and ``labels``: see ``Naming``.

        Raises ``ValueError`` for addresses and labels that are none.
        """
        if not urls or resend_s <= 0:
            raise ValueError("name at least one address, and seconds above 0 to send again after")
        self.resend_s = resend_s
        fields = Naming.fields if label_fields is None else tuple(label_fields)
        self._naming = Naming(alertname, fields, labels or {}, page_url)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._addresses = [Address(f"{url.rstrip('/')}/api/v2/alerts", headers, timeout_s) for url in urls]
        self._known: dict[str, tuple[float, list[Labels]]] = {}
        """Of each alert that fires, until when and under which labels."""

    def send(self, changes: Sequence[Change]) -> None:
        self._tell(changes, dict(self._known))

    def refresh(self, standing: Sequence[Change]) -> None:
        now = time.time()
        self._tell(standing, {name: known for name, known in self._known.items() if known[0] > now})

    def close(self) -> None:
        for address in self._addresses:
            address.close()

    def _tell(self, changes: Sequence[Change], known: dict[str, tuple[float, list[Labels]]]) -> None:
        """Post the changes; what is known after them counts once all are safe."""
        alerts = [alert for change in changes for alert in self._alerts(change, known)]
        for begin in range(0, len(alerts), AT_ONCE):
            self._post(msgspec.json.encode(alerts[begin : begin + AT_ONCE]))
        self._known = known

    def _alerts(
        self, change: Change, known: dict[str, tuple[float, list[Labels]]]
    ) -> Iterator[dict[str, Any]]:
        now, lasts_s, page_url = time.time(), LASTS_RESENDS * self.resend_s, self._naming.page_url
        labels = self._naming.labels(change)
        _, before = known.pop(change["alert_id"], (now, []))
        if change["change"] == "resolve":
            left = labels + [one for one in before if one not in labels]
        else:
            left = [one for one in before if one not in labels]
            known[change["alert_id"]] = now + lasts_s, labels
            yield from (firing(change, one, page_url, now, lasts_s) for one in labels)
        yield from (ended(change, one, page_url, now) for one in left)

    def _post(self, body: bytes) -> None:
        failed: list[UnavailableError | RefusedError] = []
        for address in self._addresses:
            try:
                address.post(body)
            except (UnavailableError, RefusedError) as error:
                failed.append(error)
        if len(failed) == len(self._addresses):
            raise next((one for one in failed if isinstance(one, UnavailableError)), failed[0])
        for one in failed:
            LOG.warning("one Alertmanager of several did not take alerts: %s", one)


def _scope(change: Change) -> str:
    if change["kind"] == "overflow":
        return "overflow"
    return "population" if change["user_id"] == "*" else "user"


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
