"""Posted events: who may send, how much, and what is answered to what could not be taken in."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from seqdetect.events import Tally
from seqdetect.secret import Secret
from seqdetect.source.live.body import Gzip, Plain, TooLargeError, UnreadableError
from seqdetect.source.live.door import Door
from seqdetect.source.live.intake import Counts, FullError, UnwritableError
from seqdetect.source.live.rate import Rates

LOG = logging.getLogger(__name__)

_PARSED_AT_ONCE = 1 << 14
"""Bytes of a body that is parsed between two other requests; a larger one, in a thread beside them."""

_CODINGS: dict[str, type[Plain] | type[Gzip]] = {
    "": Plain,
    "identity": Plain,
    "gzip": Gzip,
    "x-gzip": Gzip,
}
_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
_LINGER_SECONDS = 1.0
_CLOSE = {"Connection": "close"}


@dataclass(frozen=True)
class Limits:
    """What one client, and all together, may take of the server.

    ``max_body_bytes`` holds for a body as it comes and unzipped; up to ``max_requests`` bodies are in memory
    at a time. ``max_queue_rows`` and ``max_queue_bytes`` bound what waits to be scored. A request must have
    sent its header within ``header_timeout_s`` and its body within ``body_timeout_s``; a connection without
    a request is closed after ``keep_alive_s``. ``rate_events_s`` and ``burst_events`` are per client address
    (None: as fast as it can).
    """

    max_body_bytes: int = 8 << 20
    max_requests: int = 32
    max_connections: int = 512
    max_queue_rows: int = 500_000
    max_queue_bytes: int = 256 << 20
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    keep_alive_s: int = 30
    rate_events_s: float | None = None
    burst_events: float | None = None


class _RefusalError(Exception):
    """An answer other than 202."""

    def __init__(self, status: int, error: str, **headers: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class _Body:
    """The body of a request as it comes; ``left`` once the client has gone away."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.ended = self.left = False

    async def pieces(self) -> AsyncIterator[bytes]:
        while not (self.ended or self.left):
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                self.left = True
                return
            self.ended = not message.get("more_body", False)
            yield message.get("body", b"")

    async def discard(self, most: int) -> None:
        """Read on for a moment: a client that is still sending would not see the answer."""
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                async for piece in self.pieces():
                    most -= len(piece)
                    if most < 0:
                        return
        except TimeoutError:
            pass


class Endpoint:
    """Answers requests in the server's thread; what is accepted goes to ``put``, counts go to ``counts``."""

    def __init__(
        self,
        put: Callable[[pa.Table], Future[None]],
        counts: Counts,
        token: Secret | None,
        limits: Limits,
    ) -> None:
        self._put, self._counts, self._limits = put, counts, limits
        self._token = None if token is None else token.encode()
        self._parser = ThreadPoolExecutor(1, "events-parser")
        self._reading = 0
        self._rates: Rates | None = None
        if limits.rate_events_s is not None:
            self._rates = Rates(
                limits.rate_events_s, limits.burst_events or max(1.0, 10 * limits.rate_events_s)
            )
        self.answers: Counter[int] = Counter()
        """How many requests were answered with each status."""

    def route(self, door: Door) -> Route:
        """The route of ``door``."""

        async def answer(request: Request) -> JSONResponse:
            return await self._answer(request, door)

        return Route(door.path, answer, methods=["POST"])

    async def _answer(self, request: Request, door: Door) -> JSONResponse:
        """As ``door`` has it, or what is wrong."""
        body = _Body(request)
        try:
            response = await self._accepted(request, body, door)
        except _RefusalError as refusal:
            if refusal.status != 408 and "expect" not in request.headers:
                await body.discard(self._limits.max_body_bytes)
            ending = {} if body.ended else _CLOSE
            response = JSONResponse(door.refused(refusal.error), refusal.status, refusal.headers | ending)
        self.answers[response.status_code] += 1
        return response

    def close(self) -> None:
        self._parser.shutdown()

    async def _accepted(self, request: Request, body: _Body, door: Door) -> JSONResponse:
        self._authorise(request)
        collector = self._collector(request, door)
        client = request.client.host if request.client else ""
        self._admit(request, client)
        self._reading += 1
        try:
            data = await self._collected(body, collector)
            tally = Tally()
            table = await self._table(data, tally, door)
            if table.num_rows:
                await self._kept(table)
        finally:
            self._reading -= 1
        if self._rates is not None and tally.read > 1:
            self._rates.charge(client, tally.read - 1)
        self._counts.add(tally)
        return door.taken(table, tally)

    def _authorise(self, request: Request) -> None:
        if self._token is None:
            # a browser states the origin of every POST, and programs do not: without this any site that somebody
            # on this machine looks at could tell of users who never asked anything
            if "origin" in request.headers:
                raise _RefusalError(403, "pages in a browser post no events where no token is asked for")
            return
        given = b""
        for name, value in request.scope["headers"]:
            if name == b"authorization":
                given = value
        scheme, _, credentials = given.partition(b" ")
        known = hmac.compare_digest(credentials.strip(), self._token)
        if scheme.lower() != b"bearer" or not known:
            raise _RefusalError(401, "a valid bearer token is needed", WWW_Authenticate="Bearer")

    def _collector(self, request: Request, door: Door) -> Plain | Gzip:
        coding = request.headers.get("content-encoding", "").strip().lower()
        if coding not in _CODINGS:
            raise _RefusalError(
                415, "the content encoding is not supported; use gzip or none", Accept_Encoding="gzip"
            )
        kind, *parameters = request.headers.get("content-type", "").lower().split(";")
        unfit = door.unfit(kind.strip())
        if unfit is not None:
            raise _RefusalError(415, unfit)
        for part in parameters:
            name, _, value = part.partition("=")
            if name.strip() == "charset" and value.strip(" \t\"'") not in _CHARSETS:
                raise _RefusalError(415, "the charset is not supported; JSON is UTF-8")
        return _CODINGS[coding](self._limits.max_body_bytes)

    def _admit(self, request: Request, client: str) -> None:
        if self._rates is not None:
            wait_s = self._rates.wait_s(client)
            if wait_s:
                raise _RefusalError(429, "too many events from this client", Retry_After=str(wait_s))
            self._rates.charge(client, 1)
        if self._reading >= self._limits.max_requests:
            raise _RefusalError(429, "too many requests at once", Retry_After="1")
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._limits.max_body_bytes:
            raise self._too_large()

    def _too_large(self) -> _RefusalError:
        most = self._limits.max_body_bytes
        return _RefusalError(413, f"a body may have {most} bytes, also unzipped; send fewer events at a time")

    async def _collected(self, body: _Body, collector: Plain | Gzip) -> bytes:
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                async for piece in body.pieces():
                    collector.add(piece)
            if body.left:
                raise _RefusalError(400, "the body is cut off")
            return collector.whole()
        except TimeoutError:
            raise _RefusalError(408, "the body took too long") from None
        except TooLargeError:
            raise self._too_large() from None
        except UnreadableError as error:
            raise _RefusalError(400, str(error)) from None

    async def _table(self, data: bytes, tally: Tally, door: Door) -> pa.Table:
        try:
            if len(data) <= _PARSED_AT_ONCE:
                return door.read(data, tally)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._parser, door.read, data, tally)
        except UnreadableError as error:
            raise _RefusalError(400, str(error)) from None

    async def _kept(self, table: pa.Table) -> None:
        try:
            future = self._put(table)
            if not future.done():
                await asyncio.wrap_future(future)
            future.result()
        except FullError as full:
            raise _RefusalError(
                429, f"the queue is full: {full}", Retry_After=str(full.retry_after_s)
            ) from None
        except UnwritableError as error:
            raise _RefusalError(503, str(error), Retry_After="1") from None
