"""A far side for sinks that post over HTTP: keeps what came, answers as told, can be away and come back."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes


class Receiver:
    """A server on a free port of 127.0.0.1, there from the beginning. ``answers`` are used up first, then ``usual``."""

    def __init__(self, usual: Callable[[Request], Answer] = lambda request: (200, {}, b"ok")) -> None:
        self.usual = usual
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.port = 0
        self.secure: ssl.SSLContext | None = None
        """With one it speaks TLS, from the next ``up`` on."""
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self) -> None:
        """Come (back), on the same port."""
        self._server = _Server(("127.0.0.1", self.port), self._handler())
        self.port = self._server.server_address[1]
        if self.secure is not None:
            self._server.socket = self.secure.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Be away: connections are refused, and those kept are cut."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            # one connection per request: none is left over when the server goes
            protocol_version = "HTTP/1.0"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(
                    self.path, {name.lower(): value for name, value in self.headers.items()}, body
                )
                status, headers, answer = receiver._taken(request)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *what: Any) -> None:
                pass

        return Handler

    def _taken(self, request: Request) -> Answer:
        answer = self.answers.popleft() if self.answers else self.usual(request)
        self.requests.append(request)
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who went away without waiting for the answer is no news."""


@contextmanager
def receiver(usual: Callable[[Request], Answer] = lambda request: (200, {}, b"ok")) -> Iterator[Receiver]:
    """A ``Receiver`` while the context lasts."""
    one = Receiver(usual)
    try:
        yield one
    finally:
        one.down()
