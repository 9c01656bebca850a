"""The programs around the scorer, each on a free port of the loopback address, gone when the demo ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0


class Program:
    """A process whose output goes to a file; ``close`` asks it to end and waits."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with open(log, "wb") as out:
            # a session of its own: Ctrl-C reaches the demo alone, which then stops them in order
            self._process = subprocess.Popen(
                [*guard, *command], stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def ready(self, url: str) -> None:
        """Wait until ``url`` answers. Raises ``RuntimeError`` with the end of its log where it doesn't."""
        until(lambda: self._alive() and answers(url), f"an answer of {url}")

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _alive(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.log.name} ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        return True


class Pager:
    """Stands for PagerDuty: takes what its Events API v2 takes, answers 202, and keeps it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2/enqueue"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        events = self.events

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                events.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = b'{"status": "success", "message": "Event processed", "dedup_key": "demo"}'
                self.send_response(202)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *what: Any) -> None:
                """Nothing: the commentary says what came."""

        return Handler


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def until(true: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The first true answer. Raises ``RuntimeError`` where there is none for ``patience_s`` seconds."""
    end = time.monotonic() + patience_s
    while not (found := true()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {patience_s:g} s in vain for {what}")
        time.sleep(0.2)
    return found


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)
