"""Alertmanager and the paid pagers, as they document themselves: what to answer, and what is open there then.

``far = PagerDuty()`` with ``receiver(far)``: what fits no schema is answered as the vendor answers it and listed in
``far.refused``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema

from receiver import Answer, Request

PAGERDUTY: Final[dict[str, Any]] = {
    # https://developer.pagerduty.com/docs/events-api-v2-overview
    "type": "object",
    "required": ["routing_key", "event_action"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
        "images": {"type": ["array", "null"]},
        "links": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["href"],
                "properties": {
                    "href": {"type": "string", "pattern": "^https?://"},
                    "text": {"type": "string"},
                },
            },
        },
        "client": {"type": "string"},
        "client_url": {"type": "string"},
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
PAGERDUTY_BYTES: Final = 512 * 1024

OPSGENIE_CREATE: Final[dict[str, Any]] = {
    # https://docs.opsgenie.com/docs/alert-api
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "message": {"type": "string", "minLength": 1, "maxLength": 130},
        "alias": {"type": "string", "maxLength": 512},
        "description": {"type": "string", "maxLength": 15_000},
        "responders": {"type": "array"},
        "tags": {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 50}},
        "details": {"type": "object", "additionalProperties": {"type": "string"}},
        "entity": {"type": "string", "maxLength": 512},
        "source": {"type": "string", "maxLength": 100},
        "priority": {"enum": ["P1", "P2", "P3", "P4", "P5"]},
        "user": {"type": "string", "maxLength": 100},
        "note": {"type": "string", "maxLength": 25_000},
    },
}
OPSGENIE_DETAILS_CHARACTERS: Final = 8_000
OPSGENIE_ACTION: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "user": {"type": "string", "maxLength": 100},
        "source": {"type": "string", "maxLength": 100},
        "note": {"type": "string", "maxLength": 25_000},
    },
}
ALERTMANAGER: Final[dict[str, Any]] = {
    # https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml: postableAlerts
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "additionalProperties": False,
        "properties": {
            "labels": {
                "type": "object",
                "required": ["alertname"],
                "propertyNames": {"pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"},
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
            "startsAt": {"type": "string", "format": "date-time"},
            "endsAt": {"type": "string", "format": "date-time"},
            "generatorURL": {"type": "string", "format": "uri"},
        },
    },
}
_FORMATS: Final = jsonschema.FormatChecker(())


@_FORMATS.checks("date-time", ValueError)
def _is_time(value: object) -> bool:
    """RFC 3339, of which a time with its zone is what others reject where it is missing."""
    return datetime.fromisoformat(str(value)).tzinfo is not None


@_FORMATS.checks("uri", ValueError)
def _is_uri(value: object) -> bool:
    return bool(urlsplit(str(value)).scheme)


@dataclass
class FarSide:
    """What is open and what was, by its key there: every message that was added to it."""

    open: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    closed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def __call__(self, request: Request) -> Answer:
        try:
            status = self.take(request)
        except (jsonschema.ValidationError, ValueError) as error:
            self.refused.append(str(error))
            status = 400
        return status, {"Content-Type": "application/json"}, b'{"status": "said"}'

    def take(self, request: Request) -> int:
        """The status to answer with. Raises for what the vendor would call invalid."""
        raise NotImplementedError

    def begin(self, key: str, message: dict[str, Any]) -> None:
        self.open.setdefault(key, []).append(message)

    def end(self, key: str) -> None:
        if key in self.open:
            self.closed.setdefault(key, []).extend(self.open.pop(key))


class PagerDuty(FarSide):
    """Events API v2: one open incident per ``dedup_key``; further triggers are added to it."""

    def take(self, request: Request) -> int:
        if request.path != "/v2/enqueue":
            return 404
        if len(request.body) > PAGERDUTY_BYTES:
            raise ValueError(f"{len(request.body)} bytes are too many")
        event = json.loads(request.body)
        jsonschema.validate(event, PAGERDUTY, format_checker=_FORMATS)
        if event["event_action"] == "trigger":
            self.begin(event["dedup_key"], event)
        else:
            self.end(event["dedup_key"])
        return 202


class Opsgenie(FarSide):
    """Alert API v2: one open alert per alias; notes are added to what is open."""

    def take(self, request: Request) -> int:
        where = urlsplit(request.path)
        if not request.headers.get("authorization", "").startswith("GenieKey "):
            return 401
        if not where.path.startswith("/v2/alerts"):
            return 404
        message = json.loads(request.body)
        parts = where.path.removeprefix("/v2/alerts").strip("/").split("/")
        if parts == [""]:
            self._create(message)
            return 202
        jsonschema.validate(message, OPSGENIE_ACTION)
        if len(parts) != 2 or parse_qs(where.query) != {"identifierType": ["alias"]}:
            return 404
        alias, action = unquote(parts[0]), parts[1]
        if action == "close":
            self.end(alias)
        elif action == "notes" and alias in self.open:
            self.begin(alias, message)
        return 202 if action in ("close", "notes") else 404

    def _create(self, alert: dict[str, Any]) -> None:
        jsonschema.validate(alert, OPSGENIE_CREATE)
        details = alert.get("details") or {}
        if sum(len(name) + len(value) for name, value in details.items()) > OPSGENIE_DETAILS_CHARACTERS:
            raise ValueError("details are too long")
        self.begin(alert["alias"], alert)


class Alertmanager(FarSide):
    """API v2: labels are the identity; open is what ends later than now. Keys are the labels as JSON."""

    def take(self, request: Request) -> int:
        if request.path != "/api/v2/alerts":
            return 404
        alerts = json.loads(request.body)
        jsonschema.validate(alerts, ALERTMANAGER, format_checker=_FORMATS)
        for alert in alerts:
            key = json.dumps(alert["labels"], sort_keys=True)
            ends, starts = (datetime.fromisoformat(alert[at]) for at in ("endsAt", "startsAt"))
            if ends < starts:
                raise ValueError("start time must be before end time")
            if ends > datetime.now(UTC):
                self.begin(key, alert)
            else:
                self.end(key)
        return 200
