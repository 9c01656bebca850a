"""An HTTP server in a thread of its own, hardened against slow and many senders."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from seqdetect.source.live.endpoint import Limits

LOG = logging.getLogger(__name__)

_MOST_HEADER_BYTES = 1 << 15
_BACKLOG = 128
_GRACE_SECONDS = 5
_START_SECONDS = 10.0


class Connection(H11Protocol):
    """A connection that must send each header in time, and that is refused where there are too many.

    Uvicorn itself would wait for a header for ever: its only timer runs between two requests.
    """

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._limits.max_connections:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        try:
            super().handle_events()
        except h11.LocalProtocolError:  # Nonsense after an answer: there is nobody left to tell.
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP; an answer that is being made to what came before has nowhere to go."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        super().send_400_response(msg)

    def _watch(self) -> None:
        waiting = self.conn.their_state is h11.IDLE and not self.transport.is_closing()
        if not waiting:
            self._stop()
        elif self._header_timer is None:
            self._header_timer = self.loop.call_later(self._limits.header_timeout_s, self.transport.abort)

    def _stop(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class Server:
    """Serves ``app`` on ``host``:``port`` (0: any free port) between ``start`` and ``stop``.

    ``proxies`` are the addresses of reverse proxies whose ``X-Forwarded-For`` is believed.
    """

    def __init__(
        self, app: ASGIApp, host: str, port: int, limits: Limits, proxies: Sequence[str] = ()
    ) -> None:
        self._host, self._port = host, port
        self._socket: socket.socket | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=partial(Connection, limits=limits),  # type: ignore[arg-type]
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_keep_alive=limits.keep_alive_s,
                timeout_graceful_shutdown=_GRACE_SECONDS,
                h11_max_incomplete_event_size=_MOST_HEADER_BYTES,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._ready = threading.Event()

    @property
    def port(self) -> int:
        """The port listened on; after ``start``."""
        return self._port

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Returns once requests are answered. Raises ``OSError`` where the address cannot be had."""
        self._socket = _bound(self._host, self._port)
        self._port = self._socket.getsockname()[1]
        if not _is_loopback(self._host):
            LOG.warning("events are taken in at %s:%d, without TLS", self._host, self._port)
        self._thread.start()
        for _ in range(int(_START_SECONDS * 100)):
            if self._server.started or not self._thread.is_alive():
                break
            self._ready.wait(0.01)
        if not self._server.started:
            raise OSError(f"the HTTP server at {self._host}:{self._port} did not start; see the log")

    def stop(self) -> None:
        """Answers what is under way, for some seconds at most, and closes."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * _GRACE_SECONDS)
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run([self._socket] if self._socket else None)
        except Exception:
            LOG.exception("the HTTP server has stopped")
        finally:
            self._ready.set()


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error
    return bound


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
