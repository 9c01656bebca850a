"""Events posted to ``/v1/events`` as JSON, and other programs' records beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from seqdetect.events import Tally
from seqdetect.secret import Secret
from seqdetect.source.live import Batch, Parts
from seqdetect.source.live.door import EVENTS, Door, Lines
from seqdetect.source.live.endpoint import Endpoint, Limits
from seqdetect.source.live.intake import Counts, Intake, Queue
from seqdetect.source.live.reader import Reader
from seqdetect.source.live.server import Server
from seqdetect.source.parse.header import Layout


class Http:
    """An HTTP server whose accepted events can be polled; without a token anybody who reaches it may post.

    By itself it cannot be gone back to: 202 means "accepted into memory", and what was accepted but is in no
    checkpoint is lost if the process dies. In a ``log.WriteAhead`` 202 means "on disk".

    A body is one JSON object, an array of them, or one per line, in UTF-8, zipped or not. The answers:

    - 202: ``{"accepted": n, "rejected": m, "reasons": {reason: count}, "examples": [...]}``
    - 400: no JSON, or no HTTP; 401: wrong or missing token; 404, 405; 408: the body came too slowly;
      413: too large; 415: encoded otherwise
    - 429 with ``Retry-After``: the queue is full, or this client or all of them send too much
    - 503: what was sent could not be made safe
    """

    def __init__(
        self,
        tally: Tally,
        layout: Layout | None = None,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: Secret | None = None,
        limits: Limits | None = None,
        proxies: Sequence[str] = (),
        routes: Sequence[BaseRoute] = (),
        doors: Sequence[Door] = (),
    ) -> None:
        """Nothing is listened on yet.

        ``layout`` names columns and says how times are meant. ``routes`` are served beside the events, with
        no token asked for. ``proxies``: reverse proxies whose word on the client's address is taken. ``doors`` are
        further paths that take something in.
        """
        if token is not None and len(token.split()) != 1:
            raise ValueError("the token for posting events is not one word")
        limits = limits or Limits()
        self._tally = tally
        self._counts = Counts()
        self._queue = Queue(limits.max_queue_rows, limits.max_queue_bytes)
        self._intake: Intake = self._queue
        self._endpoint = Endpoint(lambda table: self._intake.put(table), self._counts, token, limits)
        taking = [Lines(EVENTS, Reader(layout or Layout())), *doors]
        self.app = Starlette(routes=[*map(self._endpoint.route, taking), *routes])
        self._server = Server(self.app, host, port, limits, proxies)
        self._closed = False

    replayable = False

    @property
    def port(self) -> int:
        """The port listened on; after ``start``."""
        return self._server.port

    @property
    def done(self) -> bool:
        return self._closed

    @property
    def ended(self) -> bool:
        return self._closed and self._queue.empty

    def start(self, parts: Parts) -> None:
        """Raises ``OSError`` where the address cannot be had."""
        parts.assigned("")
        self.feed(self._queue)

    def feed(self, intake: Intake) -> None:
        """As ``start``, with accepted events going to ``intake`` in place of the queue in memory."""
        self._intake = intake
        self._server.start()

    def poll(self, timeout_s: float) -> Batch | None:
        """Raises ``RuntimeError`` where the server is gone, once all that it accepted was polled."""
        table = self._queue.take(timeout_s)
        if table is not None:
            self._counts.settle(self._tally)
            return Batch(table, "", None)
        self.settle()
        return None

    def settle(self) -> None:
        self._counts.settle(self._tally)
        if not self._server.running and not self._closed:
            raise RuntimeError("the HTTP server has stopped; see the log")

    def commit(self, part: str, position: Any) -> None:
        """There is nothing to go back to."""

    def stats(self) -> dict[str, Any]:
        """``answers``: requests by status; ``queue_rows``, ``queue_bytes``: what waits to be scored."""
        answers = dict(self._endpoint.answers)
        return {"answers": answers, "queue_rows": self._queue.rows, "queue_bytes": self._queue.bytes}

    def close(self) -> None:
        self._server.stop()
        self._endpoint.close()
        self._closed = True
        self._queue.close()
