"""Logs of answers in OpenAI's form, one object per line: chat completions, completions, responses, embeddings.

Both spellings of the usage are read (https://platform.openai.com/docs/api-reference/chat/object,
https://platform.openai.com/docs/api-reference/responses/object). The answers' texts are passed over while decoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct, field, json

from seqdetect.source.adapter.record import Count, Name, Outcome, Row, Seconds, first, micros, places, text

_STATUS = {"failed": 500, "cancelled": 499}
"""Of a response object that came to no answer, as HTTP would have it."""


class _Usage(Struct, frozen=True):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None


class _Metadata(Struct, frozen=True):
    user_id: Name = None


class _Answer(Struct, frozen=True):
    id: Name = None
    object: str | None = None
    created: Seconds | None = None
    created_at: Seconds | None = None
    completed_at: Seconds | None = None
    model: Name = None
    user: Name = None
    safety_identifier: Name = None
    status: str | None = None
    metadata: _Metadata | None = field(default_factory=_Metadata)
    usage: _Usage | None = None


_USERS = {
    "user": lambda one: one.user,
    "safety_identifier": lambda one: one.safety_identifier,
    "metadata.user_id": lambda one: one.metadata and one.metadata.user_id,
}


class OpenAI:
    """An answer knows its user only where the request named one, or whoever wrote the log added it.

    ``created`` is in whole seconds, and of chat completions the only time there is. Answers without usage are skipped.
    """

    name = "openai"
    fields: ClassVar[Mapping[str, str]] = {"timestamp": "created", "user_id": "user"}

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the places where the user is looked for; of an empty one the next is taken."""
        self._users = places(_USERS, users)
        self._decode: Any = json.Decoder(_Answer).decode

    def read(self, record: bytes) -> list[Outcome]:
        one = self._decode(record)
        if one.usage is None:
            return [None]
        used = one.usage
        began = one.created if one.created is not None else one.created_at
        end = one.completed_at if one.completed_at is not None else began
        return [
            Row(
                micros(end),
                first(one, self._users),
                _either(used.prompt_tokens, used.input_tokens),
                _either(used.completion_tokens, used.output_tokens),
                text(one.model),
                status=_STATUS.get(one.status or "", 200),
                latency_ms=None if one.completed_at is None or began is None else max(0.0, end - began) * 1e3,
                endpoint=one.object,
                event_id=text(one.id),
            )
        ]


def _either(one: int | None, other: int | None) -> int:
    """Embeddings have no completion."""
    return (one if one is not None else other) or 0
