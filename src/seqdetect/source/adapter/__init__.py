"""Records of gateways, proxies and providers as events: one file per program, listed in ``FORMATS``.

An adapter turns one record (a JSON document) into events, and says what is wrong with what is none. It takes the few
fields it needs while decoding, so prompts and responses are never more than bytes that came in: they are in no event,
journal, dead letter, log or error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from seqdetect.source.adapter.kong import Kong
from seqdetect.source.adapter.litellm import LiteLLM
from seqdetect.source.adapter.nginx import Nginx
from seqdetect.source.adapter.openai import OpenAI
from seqdetect.source.adapter.openai_usage import OpenAIUsage
from seqdetect.source.adapter.otlp import Otlp
from seqdetect.source.adapter.record import Outcome


class Adapter(Protocol):
    """Records of one kind. It keeps nothing from one record to the next."""

    @property
    def name(self) -> str:
        """What the format is called in a configuration."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """The record's own names of our columns, where they differ."""
        ...

    def read(self, record: bytes) -> Sequence[Outcome]:
        """What is in one record, in order of time.

        Raises ``msgspec.DecodeError`` for what is no such record, which names the field and shows no content.
        """
        ...


FORMATS: Final[Mapping[str, Callable[[Sequence[str]], Adapter]]] = {
    "litellm": LiteLLM,
    "otlp": Otlp,
    "nginx": Nginx,
    "kong": Kong,
    "openai": OpenAI,
    "openai_usage": OpenAIUsage,
}
