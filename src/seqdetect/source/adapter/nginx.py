"""Lines of nginx's access log in the format of ``serving/nginx/llm-usage.conf``.

The usage is what the upstream says in headers of its answer. nginx writes every variable as text, an unset one as an
empty text (https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format, ``escape=json``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import Struct, json

from seqdetect.source.adapter.record import Outcome, Row, first, micros, places, whole

ERROR = 400
"""From this status on a request without usage counts, as one of no tokens; below, it asked for no tokens."""


class _Line(Struct, frozen=True):
    time: str = ""
    user: str = ""
    prompt_tokens: str = ""
    completion_tokens: str = ""
    model: str = ""
    client_ip: str = ""
    status: str = ""
    request_time: str = ""
    user_agent: str = ""
    endpoint: str = ""
    event_id: str = ""


_USERS = {"user": lambda line: line.user, "client_ip": lambda line: line.client_ip}


class Nginx:
    """Lines without usage are skipped, those of refused and failed requests excepted."""

    name = "nginx"
    fields: ClassVar[Mapping[str, str]] = {"timestamp": "time"}

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the places where the user is looked for: ``user`` alone unless given."""
        self._users = places(_USERS, users or ("user",))
        self._decode = json.Decoder(_Line).decode

    def read(self, record: bytes) -> list[Outcome]:
        line = self._decode(record)
        try:
            prompt = whole(line.prompt_tokens, "prompt_tokens")
            completion = whole(line.completion_tokens, "completion_tokens")
            status = whole(line.status, "status")
            end, took = _seconds(line.time, "time"), _seconds(line.request_time, "request_time")
        except ValueError as error:
            return [str(error)]
        if prompt is None and completion is None and (status or 0) < ERROR:
            return [None]
        return [
            Row(
                micros(end),
                first(line, self._users),
                prompt or 0,
                completion or 0,
                line.model or None,
                line.client_ip or None,
                status,
                None if took is None else took * 1e3,
                line.user_agent or None,
                line.endpoint or None,
                line.event_id or None,
            )
        ]


def _seconds(value: str, field: str) -> float | None:
    if not value:
        return None
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1e10:
        raise ValueError(f"{field} is no number of seconds")
    return found
