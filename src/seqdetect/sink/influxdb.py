"""Changes of alerts as points of InfluxDB, in line protocol over its HTTP interface, version 1 or 2."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from urllib3.util import make_headers

from seqdetect.secret import Secret
from seqdetect.sink import Change
from seqdetect.sink.post import Address
from seqdetect.sink.words import cut, one_line

MEASUREMENT: Final = "llm_alert"
AT_ONCE: Final = 2000
"""Points in one request; InfluxDB itself advises 5,000 to 10,000 of smaller ones."""
TEXT_CHARACTERS: Final = 16_000
"""Of a field, whose limit is 64 KB: four bytes each at most, as UTF-8."""
TAG_CHARACTERS: Final = 128
NANOSECONDS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TEXTS: Final = ("alert_id", "user_id", "key", "start", "end", "into", "tier", "bundle_version")
_NUMBERS: Final = ("score", "threshold", "cost_usd")
_COUNTS: Final = ("users", "tokens", "reopened", "left_out")
_MARKS: Final = ("shadow", "muted")


def line(change: Change) -> str:
    """``change`` as one point, without a line feed.

    What there are only a few of is a tag: model, kind, severity, team (all of them, in order) and state, which is open,
    update or resolve. Users are a field, since each would be a series of its own. The time is when the change became
    known, and up to a second more that follows from the alert's id: points of the same tags and time would be one.
    """
    tags = {
        "kind": change["kind"],
        "model": change["model"],
        "severity": change["severity"],
        "state": change["change"],
        "team": ",".join(sorted(change["teams"])),
    }
    shown = {name: _tag(value) for name, value in tags.items()}
    head = ",".join([MEASUREMENT, *(f"{name}={value}" for name, value in shown.items() if value)])
    body = ",".join(f"{name}={value}" for name, value in _fields(change).items())
    return f"{head} {body} {_time(change)}"


class InfluxDBSink:
    """A point of the measurement ``llm_alert`` per change; the same change again is the same point.

    With ``database`` it writes to ``/write`` of version 1, with ``bucket`` and ``org`` to ``/api/v2/write`` of version 2
    and 3. A ``token`` is ``Authorization: Token``, as version 2 wants it (and 1.8 as ``USER:PASSWORD``); version 1 takes
    ``user`` and ``password``.

    https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/,
    https://docs.influxdata.com/influxdb/v2/api/
    """

    queued: ClassVar[bool] = True
    at_once: ClassVar[int] = AT_ONCE

    def __init__(
        self,
        url: str,
        database: str | None = None,
        retention_policy: str | None = None,
        user: str | None = None,
        password: Secret | None = None,
        org: str | None = None,
        bucket: str | None = None,
        token: Secret | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """``url`` is the server's, as ``http://influxdb:8086``. Raises ``ValueError`` where settings do not go together."""
        if (database is None) == (bucket is None):
            raise ValueError("name a database (version 1), or a bucket and an org (version 2)")
        if (bucket is None) != (org is None):
            raise ValueError("a bucket needs its org")
        if (user is None) != (password is None):
            raise ValueError("a user needs a password")
        where = _write(database, retention_policy) if database is not None else _write2(org, bucket)
        self._address = Address(f"{url.rstrip('/')}{where}", _login(user, password, token), timeout_s)

    def send(self, changes: Sequence[Change]) -> None:
        if changes:
            body = "\n".join(map(line, changes)) + "\n"
            self._address.post(body.encode(errors="replace"), "text/plain; charset=utf-8")

    def close(self) -> None:
        self._address.close()


def _write(database: str, retention_policy: str | None) -> str:
    policy = {} if retention_policy is None else {"rp": retention_policy}
    return f"/write?{urlencode({'db': database, 'precision': 'ns', **policy})}"


def _write2(org: str | None, bucket: str | None) -> str:
    return f"/api/v2/write?{urlencode({'org': org, 'bucket': bucket, 'precision': 'ns'})}"


def _login(user: str | None, password: Secret | None, token: Secret | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Token {token}"}
    if user is None or password is None:
        return {}
    return {"Authorization": make_headers(basic_auth=f"{user}:{password}")["authorization"]}


def _fields(change: Change) -> dict[str, str]:
    """Every field that is known, escaped; counts are integers (``i``), everything else that is a number a float."""
    found: dict[str, str] = {name: _text(str(change[name])) for name in _TEXTS if change[name] is not None}
    found |= {name: f"{int(change[name])}i" for name in _COUNTS if change[name] is not None}
    found |= {name: str(bool(change[name])).lower() for name in _MARKS}
    numbers: dict[str, Any] = {name: change[name] for name in _NUMBERS} | change["impact"]
    found |= {
        name: repr(float(value))
        for name, value in numbers.items()
        if value is not None and math.isfinite(value)
    }
    if change["triage"] is not None:
        found["triage"] = _text(change["triage"]["verdict"])
    if change["top_features"]:
        found["top_feature"] = _text(change["top_features"][0]["name"])
    return found


def _text(text: str) -> str:
    """Escaped. A line break becomes ``\\n``, since some versions would take what follows for a point of its own."""
    plain = cut(text, TEXT_CHARACTERS).replace("\n", "\\n").replace("\r", "\\r")
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _tag(text: str) -> str:
    """Escaped. A backslash becomes a slash: before a separator there is no way to write one."""
    plain = cut(one_line(text), TAG_CHARACTERS).replace("\\", "/")
    for special in (",", "=", " "):
        plain = plain.replace(special, f"\\{special}")
    return plain


def _time(change: Change) -> int:
    known = (datetime.fromisoformat(change["at"]) - _EPOCH) // timedelta(microseconds=1) * 1000
    digest = hashlib.blake2b(change["alert_id"].encode(), digest_size=8).digest()
    return known + int.from_bytes(digest) % NANOSECONDS
