"""Pages of OpenAI's usage export (``GET /v1/organization/usage/completions``), as downloaded.

https://platform.openai.com/docs/api-reference/usage/completions: buckets of time with results by whatever the export
was grouped by. Ask for ``group_by=user_id`` (or ``api_key_id``) and the smallest ``bucket_width``, ``1m``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from msgspec import DecodeError, Raw, Struct, json

from seqdetect.events import MICROSECONDS
from seqdetect.source.adapter.record import Count, Name, Outcome, Row, first, places, text
from seqdetect.source.adapter.spread import Counted, spread

MOST: Final = 10_000
"""Requests that one result is spread into at most: a minute's of 166 a second, or a day's of one every 9 s."""


class _Bucket(Struct, frozen=True):
    start_time: Count = -1
    end_time: Count = -1
    results: list[Raw] = []


class _Page(Struct, frozen=True):
    object: str = ""
    data: list[Raw] = []


class _Result(Struct, frozen=True):
    input_tokens: Count = 0
    output_tokens: Count = 0
    num_model_requests: Count = 0
    user_id: Name = None
    api_key_id: Name = None
    project_id: Name = None
    model: Name = None


_USERS = {
    "user_id": lambda one: one.user_id,
    "api_key_id": lambda one: one.api_key_id,
    "project_id": lambda one: one.project_id,
}
_page = json.Decoder(_Page).decode
_bucket = json.Decoder(_Bucket).decode
_result = json.Decoder(_Result).decode


class OpenAIUsage:
    """A record is a page, or a bucket of one. Each result is spread evenly over its bucket.

    When within a bucket somebody asked, and how unlike its requests were, is not in the export: alerts come no sooner
    than at a bucket's end, and scores compare users with themselves in the same coarseness.
    """

    name = "openai_usage"
    fields: ClassVar[Mapping[str, str]] = {}

    def __init__(self, users: Sequence[str] = ()) -> None:
        """``users`` are the places where the user is looked for; of an empty one the next is taken."""
        self._users = places(_USERS, users)

    def read(self, record: bytes) -> list[Outcome]:
        page = _page(record)
        found: list[Outcome] = []
        for raw in [record] if page.object == "bucket" else page.data:
            try:
                found += self._of_bucket(_bucket(raw))
            except DecodeError as error:
                found.append(f"a bucket: {error}")
        rows = [one for one in found if isinstance(one, Row)]
        rows.sort(key=lambda row: row.timestamp or 0)
        return [*rows, *(one for one in found if not isinstance(one, Row))]

    def _of_bucket(self, bucket: _Bucket) -> list[Outcome]:
        found: list[Outcome] = []
        if not 0 <= bucket.start_time < bucket.end_time < 2**33:
            return ["a bucket: start_time and end_time are no stretch of time in seconds"]
        for raw in bucket.results:
            try:
                found += self._requests(bucket, _result(raw))
            except DecodeError as error:
                found.append(f"a result: {error}")
        return found

    def _requests(self, bucket: _Bucket, result: _Result) -> Sequence[Outcome]:
        counts = (result.num_model_requests, result.input_tokens, result.output_tokens)
        if min(counts) < 0:
            return ["a result: a count is negative"]
        if not any(counts):
            return [None]
        of = Counted(bucket.start_time * MICROSECONDS, bucket.end_time * MICROSECONDS, *counts)
        return list(spread(of, Row(0, first(result, self._users), 0, 0, text(result.model)), MOST))
