"""Real Prometheus, Alertmanager and InfluxDB 1.x, each in a folder of its own and on a free loopback port.

``with alertmanager(tmp_path, CONFIG) as one: one.get("/api/v2/alerts")``. They listen on port 0 and say in their log
which port that became, so no two tests can want the same. A test that needs a program skips where it is absent.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

PATIENCE_S = 60.0
_LISTENS = re.compile(r"Listening on.* addr(?:ess)?=127\.0\.0\.1:(\d+)")

INFLUXD = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
"""


def until(true: Callable[[], Any], what: str) -> Any:
    """The first true answer; fails where there is none for a long time."""
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Program:
    """A process that is being run, and where it answers."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        # dies with the test process, even where that is killed
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        with open(log, "wb") as out:
            self._process = subprocess.Popen([*guard, *command], stdout=out, stderr=subprocess.STDOUT)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self, health: str) -> None:
        """Wait until it says its port and answers at ``health``; fails with its log where it doesn't."""
        end = time.monotonic() + PATIENCE_S
        while not self._answers(health):
            assert self._process.poll() is None, f"it ended:\n{self.log()}"
            assert time.monotonic() < end, f"waited in vain:\n{self.log()}"
            time.sleep(0.02)

    def _answers(self, health: str) -> bool:
        said = _LISTENS.search(self.log())
        if said is None:
            return False
        self.port = int(said[1])
        try:
            with urllib.request.urlopen(self.url + health, timeout=PATIENCE_S) as answer:
                return bool(200 <= answer.status < 300)
        except OSError:
            return False

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str, **query: str) -> Any:
        """The JSON that it answers."""
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return json.load(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def prometheus(folder: Path, config: str, port: int = 0) -> Iterator[Program]:
    """With ``config`` as its whole configuration; rule files in it are found relative to ``folder``."""
    file = _written(folder / "prometheus.yml", config)
    with _running(
        ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}",
         f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"],
        folder / "prometheus.log", "/-/ready",
    ) as one:  # fmt: skip
        yield one


@contextmanager
def alertmanager(folder: Path, config: str, port: int = 0) -> Iterator[Program]:
    """With ``config`` as its whole configuration; alone, with no cluster."""
    file = _written(folder / "alertmanager.yml", config)
    with _running(
        ["prometheus-alertmanager", f"--config.file={file}", f"--storage.path={folder / 'alertmanager'}",
         f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
        folder / "alertmanager.log", "/-/ready",
    ) as one:  # fmt: skip
        yield one


@contextmanager
def influxd(folder: Path, port: int = 0) -> Iterator[Program]:
    """Without databases; ``create(one, NAME)`` makes one."""
    file = _written(folder / "influxdb.conf", INFLUXD.format(folder=folder / "influxdb", port=port))
    with _running(["influxd", "run", "-config", str(file)], folder / "influxd.log", "/ping") as one:
        yield one


def create(influx: Program, database: str) -> None:
    query(influx, database, f'CREATE DATABASE "{database}"')


def query(influx: Program, database: str, text: str) -> list[dict[str, Any]]:
    """The rows of all series that InfluxQL ``text`` finds, tags of a ``GROUP BY`` among their columns."""
    body = urlencode({"db": database, "q": text}).encode()
    with urllib.request.urlopen(f"{influx.url}/query", body, timeout=PATIENCE_S) as answer:
        (result,) = json.load(answer)["results"]
    assert "error" not in result, result
    return [
        one.get("tags", {}) | dict(zip(one["columns"], row, strict=True))
        for one in result.get("series", [])
        for row in one.get("values", [])
    ]


def _written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@contextmanager
def _running(command: Sequence[str], log: Path, health: str) -> Iterator[Program]:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    one = Program(command, log)
    try:
        one.ready(health)
        yield one
    finally:
        one.close()
