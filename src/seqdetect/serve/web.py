"""``/metrics``, ``/healthz`` and ``/readyz``: beside ``/v1/events`` where that is served, else on their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from seqdetect.serve.config import Web
from seqdetect.serve.health import Health
from seqdetect.serve.metrics import Metrics
from seqdetect.source.live.endpoint import Limits
from seqdetect.source.live.server import Server


def routes(metrics: Metrics, health: Health) -> list[Route]:
    """These ask for no token and name no user."""

    async def tell_metrics(request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def tell_top(request: Request) -> Response:
        return Response(metrics.top.text(), media_type=CONTENT_TYPE_LATEST)

    async def tell_alive(request: Request) -> Response:
        return _answer(*health.alive())

    async def tell_ready(request: Request) -> Response:
        return _answer(*health.ready())

    return [
        Route("/metrics", tell_metrics),
        Route("/metrics/top", tell_top),
        Route("/healthz", tell_alive),
        Route("/readyz", tell_ready),
    ]


@contextmanager
def serving(where: Web, own: list[Route]) -> Iterator[Server]:
    """A server of these routes alone, while the context lasts. Raises ``OSError`` where it cannot listen."""
    server = Server(Starlette(routes=own), where.host, where.port, Limits())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _answer(good: bool, what: str) -> Response:
    return PlainTextResponse(what + "\n", 200 if good else 503)
