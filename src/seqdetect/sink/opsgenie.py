"""Alerts of Opsgenie and of Jira Service Management's operations, which takes the same requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final
from urllib.parse import quote

import msgspec

from seqdetect.secret import Secret
from seqdetect.sink import Change
from seqdetect.sink.incident import key, outgrown
from seqdetect.sink.post import Address
from seqdetect.sink.words import cut, description, one_line, title, unmarked

MESSAGE_CHARACTERS: Final = 130
DESCRIPTION_CHARACTERS: Final = 15_000
ENTITY_CHARACTERS: Final = 512
SOURCE_CHARACTERS: Final = 100
TAGS: Final = 20
TAG_CHARACTERS: Final = 50
DETAIL_CHARACTERS: Final = 512
"""Of each detail; there are few enough of them for the 8,000 characters that all may have."""
NOTE_CHARACTERS: Final = 25_000
SHARE: Final = 0.25
"""Of all tokens: an alert beyond it is a matter for everybody."""
BURN: Final = 14.4
"""2 % of a month's error budget in an hour, the rate that the SRE workbook pages at (chapter 5, table 5-8)."""


def priority(change: Change, grave_usd_per_hour: float) -> str:
    """P1 and P2 for what is critical, P3 and P4 for warnings, the lower number where the impact is grave.

    P5 is for what shall call nobody: alerts of shadow models and muted ones.
    """
    if change["shadow"] or change["muted"]:
        return "P5"
    found = change["impact"]
    limits = ("cost_per_hour_usd", grave_usd_per_hour), ("traffic_share", SHARE), ("slo_burn", BURN)
    grave = any(found[name] is not None and found[name] >= limit for name, limit in limits)
    return {"critical": ("P2", "P1"), "warning": ("P4", "P3")}[change["severity"]][grave]


def requests(
    change: Change, source: str, grave_usd_per_hour: float = 100.0
) -> list[tuple[str, dict[str, Any]]]:
    """What to post for ``change``, in order: a path after the alerts' address, and a body.

    An update makes the alert where there is none, is counted as a repetition where there is one, and is noted on it.
    One that has become critical is an alert of its own, since a repetition calls nobody and keeps its priority.
    """
    by = {"source": cut(source, SOURCE_CHARACTERS)}
    over = [(_path(one, "close"), by | {"note": "It is critical now."}) for one in outgrown(change)]
    if change["change"] == "resolve":
        return [*over, (_path(key(change), "close"), by | {"note": _note(change)})]
    create = ("", by | _alert(change, priority(change, grave_usd_per_hour)))
    if change["change"] == "open":
        return [create]
    return [create, (_path(key(change), "notes"), by | {"note": _note(change)}), *over]


class OpsgenieSink:
    """One alert there per alert and severity that it reaches; its alias begins with the alert's id.

    ``url`` is ``https://api.opsgenie.com/`` or ``https://api.eu.opsgenie.com/``, and for Jira Service Management
    ``https://api.atlassian.com/jsm/ops/integration/``: Opsgenie's support ends on 5 April 2027, and its integrations
    move there with their keys. Only creating, noting and closing are used, which are all that both know. Both answer
    before they have done it (202), so an alert that their own rules drop is not reported here.

    Give each team an output of its own, with ``teams:`` and the key of that team's API integration: whom to call is
    that team's schedule to say.

    https://docs.opsgenie.com/docs/alert-api,
    https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events
    """

    queued: ClassVar[bool] = True

    def __init__(
        self,
        api_key: Secret,
        url: str = "https://api.opsgenie.com/",
        source: str = "seqdetect",
        grave_usd_per_hour: float = 100.0,
        timeout_s: float = 10.0,
    ) -> None:
        """An alert that costs at least ``grave_usd_per_hour`` is P1 or P3 rather than P2 or P4."""
        self._source, self._grave = source, grave_usd_per_hour
        self._address = Address(
            f"{url.rstrip('/')}/v2/alerts", {"Authorization": f"GenieKey {api_key}"}, timeout_s
        )

    def send(self, changes: Sequence[Change]) -> None:
        for change in changes:
            for path, body in requests(change, self._source, self._grave):
                self._address.post(msgspec.json.encode(body), more=path)

    def close(self) -> None:
        self._address.close()


def _alert(change: Change, priority: str) -> dict[str, Any]:
    tags = [change["kind"], change["severity"], change["model"], *change["teams"]]
    return {
        "message": cut(unmarked(title(change)), MESSAGE_CHARACTERS),
        "alias": key(change),
        "description": cut(unmarked(description(change)), DESCRIPTION_CHARACTERS),
        "tags": [cut(one_line(tag), TAG_CHARACTERS) for tag in tags][:TAGS],
        "details": _details(change),
        "entity": cut(one_line(change["user_id"]), ENTITY_CHARACTERS),
        "priority": priority,
    }


def _details(change: Change) -> dict[str, str]:
    """As texts, which is all that details can be; what is not known is left out."""
    told = ("alert_id", "key", "user_id", "users", "kind", "tier", "score", "threshold", "tokens", "cost_usd", "runbook_url",
            "bundle_version")  # fmt: skip
    found = {name: change[name] for name in told} | change["impact"]
    return {name: cut(str(value), DETAIL_CHARACTERS) for name, value in found.items() if value is not None}


def _note(change: Change) -> str:
    return cut(f"{unmarked(title(change))}\n{unmarked(description(change))}", NOTE_CHARACTERS)


def _path(alias: str, action: str) -> str:
    return f"/{quote(alias, safe='')}/{action}?identifierType=alias"
