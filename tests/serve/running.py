"""A service in a process of its own, and events for the bundle written by hand."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

import handmade

PATIENCE_S = 60.0
START = datetime(2026, 3, 2, tzinfo=UTC)


def event(second: float, user: str = "calm", tokens: int = 100, **more: Any) -> dict[str, Any]:
    """A request; one with more than about 4,500 completion tokens is critical to the bundle written by hand."""
    return {
        "timestamp": (START + timedelta(seconds=second)).isoformat(),
        "user_id": user,
        "prompt_tokens": 10,
        "completion_tokens": tokens,
    } | more


def calm(second: float = 0) -> list[dict[str, Any]]:
    """Twenty users who do nothing odd: enough for time to begin, and to go on, at ``second``."""
    return [event(second, f"calm-{user}") for user in range(20)]


def stream(minutes: int = 30, users: int = 4) -> list[dict[str, Any]]:
    """Requests every few seconds; every user is critical for a minute now and then."""
    found = []
    for second in range(0, minutes * 60, 3):
        for user in range(users):
            loud = (second // 60 + 3 * user) % 13 == 5
            found.append(event(second + user / 8, f"u{user}", 20_000 if loud else 100))
    return found


def lines(events: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def until(true: Callable[[], Any], what: str = "it") -> Any:
    """The first true answer; fails where there is none for a long time."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


class Service:
    """``seqdetect serve`` in ``folder``, with a bundle written by hand in place of ``bundle.onnx``."""

    def __init__(self, folder: Path, **sections: Any) -> None:
        self.folder = folder
        self.config = folder / "scorer.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self._log = folder / "log.jsonl"
        self._from = 0
        if not (folder / "bundle.onnx").exists():
            handmade.write(folder / "bundle.onnx")
        self.settings: dict[str, Any] = {
            "models": [{"name": "tokens", "bundle": "bundle.onnx"}],
            "input": {"http": {}},
            "outputs": [{"jsonl": {"path": "alerts.jsonl"}}],
            "checkpoint": {"folder": "state", "every_s": 0.2},
            "http": {"port": 0},
            "reload": {"every_s": 0.05},
            "log": {"level": "debug"},
        } | sections
        self.write()

    def __enter__(self) -> Service:
        return self if self.process is not None else self.start()

    def __exit__(self, *fault: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def write(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings))

    def start(self, stdin: int = subprocess.DEVNULL, **environment: str) -> Service:
        """Returns once it says that it has started; fails with its log where it ends before."""
        self._from = self._log.stat().st_size if self._log.exists() else 0
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "seqdetect.cli", "serve", "--config", str(self.config)],
                stdin=stdin, stderr=log, env=os.environ | environment,
            )  # fmt: skip
        until(lambda: self.said("started") or self.process.poll() is not None, "the start")  # type: ignore[union-attr]
        assert self.said("started"), self.log()
        self.port = int(self.said("started")[0]["address"].rpartition(":")[2])
        return self

    def log(self) -> str:
        """What this start has written to standard error so far."""
        return self._log.read_bytes()[self._from :].decode()

    def said(self, event: str) -> list[dict[str, Any]]:
        whole = [line for line in self.log().splitlines(keepends=True) if line.endswith("\n")]
        found = [json.loads(line) for line in whole if line.startswith("{")]
        return [one for one in found if one["event"] == event]

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def post(self, events: Iterable[dict[str, Any]]) -> dict[str, Any]:
        status, body = self.request("POST", "/v1/events", lines(events))
        assert status == 202, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    def figure(self, name: str) -> float:
        """A figure of ``/metrics`` by its name and labels, 0 where there is none."""
        for line in self.request("GET", "/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def reads(self, count: int) -> None:
        """Wait until that many events were read."""
        until(lambda: self.figure("seqdetect_events_read_total") >= count, f"{count} events")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.ended()

    def ended(self) -> int:
        assert self.process is not None
        return self.process.wait(PATIENCE_S)

    def changes(self, path: str = "alerts.jsonl") -> list[dict[str, Any]]:
        file = self.folder / path
        if not file.exists():
            return []
        return [
            json.loads(line) for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        ]


def last(changes: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last state of every alert."""
    return {change["alert_id"]: change for change in changes}
