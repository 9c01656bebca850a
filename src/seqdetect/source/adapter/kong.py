"""Records of Kong's logging plugins (``file-log``, ``http-log`` and others, which all write the same).

The object is described at https://developer.konghq.com/plugins/http-log/#log-format, what the AI plugins add to it
under ``ai`` at https://developer.konghq.com/ai-gateway/ai-audit-log-reference/. Their ``payload``, which holds prompts
and responses where ``log_payloads`` is on, is passed over while decoding. Where there is no AI plugin, usage is read
from the same headers of the answer as in ``serving/nginx/llm-usage.conf``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Raw, Struct, json

from seqdetect.source.adapter.nginx import ERROR
from seqdetect.source.adapter.record import Count, Name, Outcome, Row, first, places, text, whole

_HEADERS: Final = {
    "prompt_tokens": ("x-llm-prompt-tokens", "x-prompt-tokens"),
    "completion_tokens": ("x-llm-completion-tokens", "x-generated-tokens"),
    "model": ("x-llm-model",),
}
_PROXIES: Final = ("proxy", "ai-proxy", "ai-proxy-advanced")
"""Where the usage of the request itself stands, by version; other AI plugins ask models of their own accord."""
_MILLISECOND: Final = 1_000  # microseconds
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]


class _Consumer(Struct, frozen=True):
    id: Name = None
    username: Name = None
    custom_id: Name = None


class _Request(Struct, frozen=True):
    id: Name = None
    uri: str | None = None
    headers: Raw = Raw(b"null")


class _Response(Struct, frozen=True):
    status: Count | None = None
    headers: Raw = Raw(b"null")


class _Latencies(Struct, frozen=True):
    request: Number | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: Number | None = None
    completion_tokens: Number | None = None
    prompt_token: Number | None = None  # as the documentation of 3.7 to 3.9 has it
    completion_token: Number | None = None


class _Model(Struct, frozen=True):
    request_model: Name = None
    response_model: Name = None


# Lua cannot tell an empty object from an empty list, so either may stand where there is nothing.
class _Plugin(Struct, frozen=True):
    usage: _Usage | list[Any] | None = None
    meta: _Model | list[Any] | None = None


class _Record(Struct, frozen=True):
    started_at: Number | None = None  # milliseconds
    client_ip: Name = None
    request: _Request = _Request()
    response: _Response = _Response()
    latencies: _Latencies = _Latencies()
    consumer: _Consumer | list[Any] | None = None
    authenticated_entity: _Consumer | list[Any] | None = None
    ai: dict[str, Raw] | list[Any] | None = None


_USERS = {
    "consumer.username": lambda one: getattr(one.consumer, "username", None),
    "consumer.custom_id": lambda one: getattr(one.consumer, "custom_id", None),
    "consumer.id": lambda one: getattr(one.consumer, "id", None),
    "authenticated_entity.id": lambda one: getattr(one.authenticated_entity, "id", None),
    "client_ip": lambda one: one.client_ip,
}
_headers = json.Decoder(dict[str, Any] | list[Any] | None).decode
_plugin = json.Decoder(_Plugin).decode


class Kong:
    """Records without usage are skipped, those of refused and failed requests excepted."""

    name = "kong"
    fields: ClassVar[Mapping[str, str]] = {"timestamp": "started_at"}

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the places where the user is looked for; of an empty one the next is taken."""
        self._users = places(_USERS, users or tuple(_USERS)[:-1])
        self._decode = json.Decoder(_Record).decode

    def read(self, record: bytes) -> list[Outcome]:
        one = self._decode(record)
        status = one.response.status
        try:
            prompt, completion, model = _used(one)
        except ValueError as error:
            return [str(error)]
        if prompt is None and completion is None and (status or 0) < ERROR:
            return [None]
        took = one.latencies.request
        end = None if one.started_at is None else round((one.started_at + (took or 0)) * _MILLISECOND)
        return [
            Row(
                end,
                first(one, self._users),
                prompt or 0,
                completion or 0,
                model,
                text(one.client_ip),
                status,
                took,
                _header(_headers(one.request.headers), "user-agent"),
                one.request.uri and one.request.uri.partition("?")[0],
                text(one.request.id),
            )
        ]


def _used(one: _Record) -> tuple[int | None, int | None, str | None]:
    """The prompt's and the completion's tokens and the model. Raises ``ValueError`` naming the field."""
    if isinstance(one.ai, dict):
        for place in _PROXIES:
            if place not in one.ai:
                continue
            plugin = _plugin(one.ai[place])
            if isinstance(plugin.usage, _Usage):
                used = plugin.usage
                prompt = used.prompt_tokens if used.prompt_tokens is not None else used.prompt_token
                completion = (
                    used.completion_tokens if used.completion_tokens is not None else used.completion_token
                )
                return (
                    _whole(prompt, f"ai.{place}.usage.prompt_tokens"),
                    _whole(completion, f"ai.{place}.usage.completion_tokens"),
                    _model(plugin.meta),
                )
    headers = _headers(one.response.headers)
    found = {
        name: next(filter(None, (_header(headers, spelling) for spelling in spellings)), "")
        for name, spellings in _HEADERS.items()
    }
    return (
        whole(found["prompt_tokens"], "the header of prompt tokens"),
        whole(found["completion_tokens"], "the header of completion tokens"),
        found["model"] or None,
    )


def _model(meta: object) -> str | None:
    if not isinstance(meta, _Model):
        return None
    return text(meta.response_model) or text(meta.request_model)


def _whole(value: float | None, field: str) -> int | None:
    if value is None:
        return None
    if not value.is_integer():
        raise ValueError(f"{field} is not a whole number")
    return int(value)


def _header(headers: object, name: str) -> str | None:
    """A header's value; of several the first, which Kong writes as a list."""
    value = headers.get(name) if isinstance(headers, dict) else None
    return text(value[0] if isinstance(value, list) and value else value)
