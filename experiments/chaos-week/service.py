"""``seqdetect serve`` as it is deployed, and the far side that its alerts go to."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import yaml

PATIENCE_S: Final = 600.0
SECRET: Final = "whsec_" + "c2VxZGV0ZWN0LWNoYW9zLXdlZWstMDAwMQ=="


class FarSide:
    """Takes what the webhook sink posts, with the time of its arrival; answers 503 while it is ``down``."""

    def __init__(self) -> None:
        self.down = False
        self.refused = 0
        self.taken: list[tuple[float, dict[str, Any]]] = []
        far = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if far.down:
                    far.refused += 1
                else:
                    found = json.loads(body)
                    far.taken.append((time.time(), found.get("data", found)))
                self.send_response(503 if far.down else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *words: object) -> None:
        """A sender that was killed is no news."""


class Service:
    """The process, with a write-ahead log before it, a checkpoint behind it and two outputs; ``kill`` is SIGKILL."""

    def __init__(self, folder: Path, bundle: Path, start: Path, far: FarSide) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._port = _free_port()
        self._log = folder / "log.jsonl"
        self._config = folder / "scorer.yaml"
        self.alerts = folder / "alerts.jsonl"
        settings = {
            "models": [
                {"name": "champion", "bundle": str(bundle), "prices": {"prompt": 2.5, "completion": 10.0}}
            ],
            "input": {"http": {"journal": str(folder / "journal")}},
            "outputs": [
                {"jsonl": {"path": str(self.alerts), "muted": "too"}},
                {"webhook": {"url": far.url, "secret": {"env": "CHAOS_SECRET"}, "muted": "too"}},
            ],
            "checkpoint": {"folder": str(folder / "state"), "every_s": 5, "start": str(start)},
            "limits": {"ahead_s": 60},
            "http": {"port": self._port},
        }
        self._config.write_text(yaml.safe_dump(settings))
        self.starts = 0
        self._posting = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        self.begin()

    def begin(self) -> None:
        """Start, or start again; returns once events are taken in."""
        self.starts += 1
        words = [sys.executable, "-m", "seqdetect.cli", "serve", "--config", str(self._config)]
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(words, stderr=log, env=os.environ | {"CHAOS_SECRET": SECRET})
        end = time.monotonic() + PATIENCE_S
        while self._ask("/readyz") is None:
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"the service did not start; see {self._log}")
            time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE_S)

    def post(self, body: bytes) -> int:
        """The status of the answer; where the queue is full, after having waited for room. 0: no answer."""
        while True:
            try:
                self._posting.request("POST", "/v1/events", body)
                answer = self._posting.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self._posting.close()
                return 0
            if answer.status != 429:
                return answer.status
            time.sleep(0.1)

    def figures(self) -> dict[str, float]:
        """Everything that ``/metrics`` says."""
        found = {}
        for line in (self._ask("/metrics") or "").splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def idle(self) -> None:
        """Returns once everything that was taken in is scored."""
        end = time.monotonic() + PATIENCE_S
        time.sleep(2.5)  # the figures are brought up to date once a second
        while self.figures().get("seqdetect_journal_unread_bytes", 1.0) > 0:
            if time.monotonic() > end:
                raise RuntimeError("the queue is never empty")
            time.sleep(0.5)

    def _ask(self, path: str) -> str | None:
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        try:
            asking.request("GET", path)
            answer = asking.getresponse()
            body = answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            asking.close()
        return body if answer.status == 200 else None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
