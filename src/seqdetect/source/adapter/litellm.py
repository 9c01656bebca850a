"""Records of LiteLLM's logging, as its proxy posts them with the callback ``generic_api``.

Each is a ``StandardLoggingPayload`` (https://docs.litellm.ai/docs/proxy/logging_spec), a batch of them an array. They
hold prompts and responses, too, which are passed over while decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec import Struct, field, json

from seqdetect.source.adapter.record import Count, Name, Outcome, Row, Seconds, first, micros, places, text

_FAILED = 500
"""The status of a failure whose own is not known."""


class _Error(Struct, frozen=True):
    error_code: Name = None


class _Metadata(Struct, frozen=True):
    user_api_key_hash: Name = None
    user_api_key_user_id: Name = None
    user_api_key_team_id: Name = None
    user_api_key_alias: Name = None
    user_api_key_request_route: Name = None
    requester_ip_address: Name = None
    user_agent: Name = None


class _Record(Struct, frozen=True):
    id: Name = None
    status: str | None = None
    start: Seconds | None = field(default=None, name="startTime")
    end: Seconds | None = field(default=None, name="endTime")
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    model: Name = None
    model_group: Name = None
    end_user: Name = None
    requester_ip_address: Name = None
    user_agent: Name = None
    metadata: _Metadata | None = field(default_factory=_Metadata)
    error_information: _Error | None = None


_NOTHING = _Metadata()
_USERS = {
    "end_user": lambda record: record.end_user,
    "user_api_key_user_id": lambda record: (record.metadata or _NOTHING).user_api_key_user_id,
    "user_api_key_hash": lambda record: (record.metadata or _NOTHING).user_api_key_hash,
    "user_api_key_alias": lambda record: (record.metadata or _NOTHING).user_api_key_alias,
    "user_api_key_team_id": lambda record: (record.metadata or _NOTHING).user_api_key_team_id,
}


class LiteLLM:
    """``end_user`` is what the client says of itself (``user`` in its request): who cannot trust that puts
    ``user_api_key_user_id`` or ``user_api_key_hash`` first."""

    name = "litellm"
    fields: ClassVar[Mapping[str, str]] = {"timestamp": "endTime"}

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the places where the user is looked for; of an empty one the next is taken."""
        self._users = places(_USERS, users or ("end_user", "user_api_key_user_id", "user_api_key_hash"))
        self._decode = json.Decoder(_Record).decode

    def read(self, record: bytes) -> list[Outcome]:
        one = self._decode(record)
        of = one.metadata or _NOTHING
        latency = None
        if one.start is not None and one.end is not None:
            latency = max(0.0, one.end - one.start) * 1e3
        return [
            Row(
                micros(one.end if one.end is not None else one.start),
                first(one, self._users),
                one.prompt_tokens,
                one.completion_tokens,
                text(one.model_group) or text(one.model),
                text(one.requester_ip_address) or text(of.requester_ip_address),
                _status(one),
                latency,
                text(one.user_agent) or text(of.user_agent),
                text(of.user_api_key_request_route),
                text(one.id),
            )
        ]


def _status(one: _Record) -> int | None:
    if one.status is None:
        return None
    if one.status != "failure":
        return 200
    code = text(one.error_information and one.error_information.error_code) or ""
    return int(code) if len(code) == 3 and code.isascii() and code.isdigit() else _FAILED
