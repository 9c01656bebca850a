"""The project's two commands that take events in as they come, started on one core, with their alerts on a pipe."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pinned import environment

COMMAND = (sys.executable, "-m", "seqdetect.cli")
ASKED_EVERY_S = 2.0
CONFIG = """
models: [{{name: champion, bundle: {bundle}}}]
input: {{http: {{}}}}
outputs: [{{jsonl: {{path: "-"}}}}]
checkpoint: {{folder: {folder}}}
http: {{host: 127.0.0.1, port: {port}}}
log: {{level: error}}
"""


class Receiver:
    """A running command; ``lines`` are its alerts."""

    def __init__(self, words: Sequence[str], stdin: int) -> None:
        self.process = subprocess.Popen(
            words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        )
        assert self.process.stdout is not None
        self.lines: IO[bytes] = self.process.stdout

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Piped(Receiver):
    """``seqdetect score --events -``."""

    def __init__(self, core: list[str], bundle: Path, folder: Path) -> None:
        options = ["score", "--quiet", "--bundle", str(bundle), "--events", "-", "--alerts", "-"]
        super().__init__([*core, *COMMAND, *options], subprocess.PIPE)

    def send(self, text: bytes) -> None:
        """Returns once the pipe has taken all of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def stop(self) -> dict[str, Any]:
        """End the input and wait."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        return {}


class Posted(Receiver):
    """``seqdetect serve`` with an HTTP input and its defaults."""

    def __init__(self, core: list[str], bundle: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = folder / "scorer.yaml"
        config.write_text(CONFIG.format(bundle=bundle, folder=folder / "state", port=self.port))
        super().__init__([*core, *COMMAND, "serve", "--config", str(config)], subprocess.DEVNULL)
        self.refused, self.queue, self.asked = 0, 0.0, time.time()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while True:
            try:
                self.connection.connect()
                break
            except ConnectionError:
                time.sleep(0.1)

    def send(self, text: bytes) -> None:
        """Returns once it was answered 202; what is refused because the queue is full is sent again."""
        while self._ask("POST", "/v1/events", text)[0] != 202:
            self.refused += 1
            time.sleep(0.1)
        if time.time() - self.asked > ASKED_EVERY_S:
            self.asked = time.time()
            _, told = self._ask("GET", "/metrics", None)
            found = re.search(rb"^seqdetect_queue_events (\S+)", told, re.MULTILINE)
            self.queue = max(self.queue, float(found.group(1)) if found else 0.0)

    def stop(self) -> dict[str, Any]:
        """Ask it to end and wait; its fullest queue of those seen, and bodies refused."""
        self.process.terminate()
        self.process.wait()
        return {"queue": self.queue, "refused": self.refused}

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        self.connection.request(method, path, body, {"Content-Type": "application/x-ndjson"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 202, 429):
            raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
        return answer.status, text
