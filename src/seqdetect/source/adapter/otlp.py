"""Traces of OpenTelemetry in OTLP's JSON form, of which the spans of requests to models are events.

The form: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding; what instrumentations write on spans:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. The names are written out here, since those of the
Python package move. Prompts and responses are attributes and events of spans, too; none of them is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import DecodeError, Raw, Struct, json

from seqdetect.source.adapter.record import Name, Outcome, Row, first, places, text

_PROMPT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
_COMPLETION: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
_MODEL: Final = ("gen_ai.response.model", "gen_ai.request.model")
_USER: Final = ("user.id", "enduser.id", "enduser.pseudo.id")
_OPERATION: Final = "gen_ai.operation.name"
_AROUND: Final = {"invoke_agent", "create_agent", "invoke_workflow", "execute_tool"}
"""Operations around requests to models, which may state the sum of the usage of those."""
_STATUS: Final = ("http.response.status_code", "http.status_code", "error.type")
_OTHERS: Final = (
    "gen_ai.response.id", "client.address", "user_agent.original", "url.path", "http.route", "user_agent",
)  # fmt: skip
_WANTED: Final = {*_PROMPT, *_COMPLETION, *_MODEL, *_USER, *_STATUS, *_OTHERS, _OPERATION}
_FAILED: Final = 2
"""``STATUS_CODE_ERROR``."""


class _Value(Struct, frozen=True, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None  # int64, which JSON has as text
    double_value: float | None = None

    def plain(self) -> Name:
        """A name or a whole number; None for what is neither."""
        if self.string_value is not None:
            return self.string_value
        if self.int_value is not None:
            return int(self.int_value)
        return (
            int(self.double_value)
            if self.double_value is not None and self.double_value.is_integer()
            else None
        )


class _Attribute(Struct, frozen=True):
    key: str = ""
    value: Raw = Raw(b"{}")


class _Status(Struct, frozen=True):
    code: int | str = 0


class _Span(Struct, frozen=True, rename="camel"):
    trace_id: str = ""
    span_id: str = ""
    start_time_unix_nano: int | str = 0
    end_time_unix_nano: int | str = 0
    attributes: list[_Attribute] = []
    status: _Status = _Status()


class _ScopeSpans(Struct, frozen=True, rename="camel"):
    spans: list[Raw] = []


class _Resource(Struct, frozen=True):
    attributes: list[_Attribute] = []


class _ResourceSpans(Struct, frozen=True, rename="camel"):
    resource: _Resource = _Resource()
    scope_spans: list[_ScopeSpans] = []


class _Request(Struct, frozen=True, rename="camel"):
    resource_spans: list[_ResourceSpans] = []


Attributes = Mapping[str, Name]
_value = json.Decoder(_Value).decode
_span = json.Decoder(_Span).decode


class Otlp:
    """A record is what one request brings, or one line of the Collector's file exporter: any number of spans.

    Spans without usage are skipped, and those around others; one of a request that failed counts as one of no tokens.
    The user is looked for on the span, then on its resource.
    """

    name = "otlp"
    fields: ClassVar[Mapping[str, str]] = {
        "timestamp": "endTimeUnixNano",
        "prompt_tokens": _PROMPT[0],
        "completion_tokens": _COMPLETION[0],
    }

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the attributes that may name the user; of an empty one the next is taken."""
        known: dict[str, Callable[[Any], object]] = {
            name: _getter(name) for name in (*_USER, "client.address")
        }
        self._users = places(known, users or _USER)
        self._decode = json.Decoder(_Request).decode

    def read(self, record: bytes) -> list[Outcome]:
        return [
            outcome
            for of in self._decode(record).resource_spans
            for outcome in self._of_resource(_wanted(of.resource.attributes), of.scope_spans)
        ]

    def _of_resource(self, resource: Attributes, scopes: Sequence[_ScopeSpans]) -> Iterator[Outcome]:
        for scope in scopes:
            for raw in scope.spans:
                try:
                    yield self._event(_span(raw), resource)
                except (DecodeError, ValueError) as error:
                    yield f"a span: {error}"

    def _event(self, span: _Span, resource: Attributes) -> Outcome:
        found = _wanted(span.attributes)
        prompt, completion = _count(found, _PROMPT), _count(found, _COMPLETION)
        failed = span.status.code in (_FAILED, "STATUS_CODE_ERROR")
        asked = (
            prompt is not None or completion is not None or (failed and first(found, map(_getter, _MODEL)))
        )
        if not asked or found.get(_OPERATION) in _AROUND:
            return None
        start, end = _nanos(span.start_time_unix_nano), _nanos(span.end_time_unix_nano)
        return Row(
            end // 1_000 or None,
            first(found, self._users) or first(resource, self._users),
            prompt or 0,
            completion or 0,
            first(found, map(_getter, _MODEL)),
            text(found.get("client.address")),
            _status(found, failed),
            max(0, end - start) / 1e6 if start and end else None,
            text(found.get("user_agent.original")) or text(found.get("user_agent")),
            first(found, map(_getter, ("url.path", "http.route", _OPERATION))),
            text(found.get("gen_ai.response.id")) or f"{span.trace_id}-{span.span_id}".strip("-") or None,
        )


def _getter(name: str) -> Callable[[Any], object]:
    return lambda attributes: attributes.get(name)


def _wanted(attributes: Sequence[_Attribute]) -> Attributes:
    """The attributes that events are made of, an empty text for what is no value; the others stay undecoded."""
    found: dict[str, Name] = {}
    for one in attributes:
        if one.key in _WANTED:
            try:
                found[one.key] = _value(one.value).plain()
            except (DecodeError, ValueError):
                found[one.key] = ""
    return found


def _count(found: Attributes, names: Sequence[str]) -> int | None:
    for name in names:
        value = found.get(name)
        if value is None:
            continue
        # an empty text, too: a count that is there and cannot be read is not one that is not there
        if not isinstance(value, int) or abs(value) > 2**62:
            raise ValueError(f"the attribute {name} is not a whole number")
        return value
    return None


def _nanos(value: int | str) -> int:
    try:
        nanos = int(value or 0)
    except ValueError:
        nanos = -1
    if not 0 <= nanos < 2**64:
        raise ValueError("its time is no number of nanoseconds")
    return nanos


def _status(found: Attributes, failed: bool) -> int:
    """As HTTP has it: what the attributes say, or else what the span's status comes to."""
    for name in _STATUS:
        code = text(found.get(name)) or ""
        if len(code) == 3 and code.isascii() and code.isdigit():
            return int(code)
    return 500 if failed else 200
