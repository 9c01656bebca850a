"""The far side of every sink, for the checks that all of them go through: a server, a broker or a file."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from chat import Channel
from far_side import Alertmanager, FarSide, Opsgenie, PagerDuty
from receiver import Answer, Receiver, Request, receiver

SECRET: Final = "hunter2hunter2hunter2hunter2hunt"
"""In every secret setting, in the form that the sink wants it in."""


class Side(Protocol):
    """Where a sink delivers to. Its output's settings, with secrets in ``environment``."""

    settings: Mapping[str, Any]
    environment: Mapping[str, str]

    def down(self) -> None:
        """Be away."""
        ...

    def up(self) -> None:
        """Be back."""
        ...

    def rude(self) -> None:
        """Refuse two requests, fail at a third one, and quote them in the answers, as far as it answers at all."""
        ...

    def alerts(self) -> dict[str, bool]:
        """By what each alert is known by there: whether it is open."""
        ...

    def refused(self) -> Sequence[str]:
        """What fitted no schema."""
        ...


class Posted:
    """A server that a sink posts to."""

    def __init__(
        self, server: Receiver, judge: FarSide, settings: Mapping[str, Any], **environment: str
    ) -> None:
        self._server, self._judge = server, judge
        self.settings, self.environment = settings, environment

    def down(self) -> None:
        self._server.down()

    def up(self) -> None:
        self._server.up()

    def rude(self) -> None:
        usual = self._server.usual
        statuses = [400, 400, 500]

        def answer(request: Request) -> Answer:
            if not statuses:
                return usual(request)
            return statuses.pop(0), {}, repr(request).encode()

        self._server.usual = answer

    def alerts(self) -> dict[str, bool]:
        return dict.fromkeys(self._judge.closed, False) | dict.fromkeys(self._judge.open, True)

    def refused(self) -> Sequence[str]:
        return self._judge.refused


class Hook(FarSide):
    """Verifies signatures, and drops a message whose id it has had."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self._key = base64.b64decode(secret)
        self._had: set[str] = set()

    def take(self, request: Request) -> int:
        message = request.headers["webhook-id"]
        content = f"{message}.{request.headers['webhook-timestamp']}.".encode() + request.body
        digest = base64.b64encode(hmac.digest(self._key, content, hashlib.sha256)).decode()
        if request.headers["webhook-signature"] != f"v1,{digest}":
            raise ValueError("not genuine")
        told = json.loads(request.body)
        if message not in self._had:
            self._had.add(message)
            self.begin(told["data"]["alert_id"], told)
            if told["type"] == "alert.resolved":
                self.end(told["data"]["alert_id"])
        return 204


class Series(FarSide):
    """Line protocol, as version 1 takes it: the same measurement, tags and time are the same point."""

    _LINE = re.compile(rb"llm_alert((?:,[a-z_]+=(?:[^ ,=\\]|\\[ ,=])+)*) ([a-z_]+=.*) (\d{19})")

    def take(self, request: Request) -> int:
        if not request.path.startswith("/write?db=llm") or "authorization" not in request.headers:
            return 404
        for line in request.body.rstrip(b"\n").split(b"\n"):
            found = self._LINE.fullmatch(line)
            if found is None:
                raise ValueError(f"no point: {line[:200]!r}")
            named = re.search(rb'alert_id="([^"]+)"', found[2])
            assert named is not None
            self.begin(named[1].decode(), {})
            if b",state=resolve" in found[1]:
                self.end(named[1].decode())
        return 204


class Lines:
    """A file of JSON lines, away while its folder is something else."""

    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._folder, self._aside = folder / "lines", folder / "aside"
        self._folder.mkdir()
        self.settings = {"path": str(self._folder / "alerts.jsonl")}

    def down(self) -> None:
        self._folder.rename(self._aside)
        self._folder.touch()

    def up(self) -> None:
        self._folder.unlink()
        self._aside.rename(self._folder)

    def rude(self) -> None:
        """It answers nothing."""

    def alerts(self) -> dict[str, bool]:
        told = map(json.loads, (self._folder / "alerts.jsonl").read_text(encoding="utf-8").split("\n")[:-1])
        return {one["alert_id"]: one["change"] != "resolve" for one in told}

    def refused(self) -> Sequence[str]:
        return ()


class Table:
    """A SQLite file, away while somebody else has it locked."""

    environment: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._path = folder / "alerts.sqlite"
        self._other: sqlite3.Connection | None = None
        self.settings = {"path": str(self._path)}

    def down(self) -> None:
        self._other = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._other.execute("BEGIN IMMEDIATE")

    def up(self) -> None:
        assert self._other is not None
        self._other.execute("ROLLBACK")
        self._other.close()

    def rude(self) -> None:
        """It answers nothing."""

    def alerts(self) -> dict[str, bool]:
        reader = sqlite3.connect(self._path)
        try:
            return {
                name: change != "resolve"
                for name, change in reader.execute("SELECT alert_id, change FROM alerts")
            }
        finally:
            reader.close()

    def refused(self) -> Sequence[str]:
        return ()


class Topic:
    """A topic of a broker behind a proxy that can be cut."""

    environment: Mapping[str, str] = {}

    def __init__(self, broker: Any, proxy: Any) -> None:
        self._broker, self._proxy = broker, proxy
        self._topic = broker.topic()
        self.settings = {
            "servers": broker.servers,
            "topic": self._topic,
            "settings": {"socket.timeout.ms": 1000},
            "timeout_s": 2.0,
        }

    def down(self) -> None:
        self._proxy.cut()

    def up(self) -> None:
        self._proxy.mend()

    def rude(self) -> None:
        """It has nothing to quote."""

    def alerts(self) -> dict[str, bool]:
        found = self._broker.all(self._topic, 10_000, seconds=1.0)
        assert all(json.loads(one.value())["alert_id"].encode() == one.key() for one in found)
        return {one.key().decode(): json.loads(one.value())["change"] != "resolve" for one in found}

    def refused(self) -> Sequence[str]:
        return ()


@contextmanager
def _posted(
    judge: FarSide, settings: Callable[[str], Mapping[str, Any]], secret: str = SECRET
) -> Iterator[Posted]:
    with receiver(judge) as server:
        made = settings(server.url)
        yield Posted(server, judge, made, SINK_SECRET=secret.replace("URL", server.url))


def _alertmanager(folder: Path) -> Any:
    return _posted(Alertmanager(), lambda url: {"urls": [url], "token": {"env": "SINK_SECRET"}})


def _influxdb(folder: Path) -> Any:
    return _posted(Series(), lambda url: {"url": url, "database": "llm", "token": {"env": "SINK_SECRET"}})


def _opsgenie(folder: Path) -> Any:
    return _posted(Opsgenie(), lambda url: {"url": url, "api_key": {"env": "SINK_SECRET"}})


def _pagerduty(folder: Path) -> Any:
    return _posted(
        PagerDuty(), lambda url: {"url": f"{url}/v2/enqueue", "routing_key": {"env": "SINK_SECRET"}}
    )


def _slack(folder: Path) -> Any:
    return _posted(Channel(), lambda url: {"url": {"env": "SINK_SECRET"}}, f"URL/services/{SECRET}")


def _webhook(folder: Path) -> Any:
    return _posted(Hook(SECRET), lambda url: {"url": f"{url}/hook", "secret": {"env": "SINK_SECRET"}})


@contextmanager
def _jsonl(folder: Path) -> Iterator[Side]:
    yield Lines(folder)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Side]:
    yield Table(folder)


@contextmanager
def _kafka(folder: Path) -> Iterator[Side]:
    from broker import behind_proxy

    with behind_proxy() as (broker, proxy):
        yield Topic(broker, proxy)


SIDES: Final[dict[str, Callable[[Path], Any]]] = {
    "alertmanager": _alertmanager,
    "influxdb": _influxdb,
    "jsonl": _jsonl,
    "kafka": _kafka,
    "opsgenie": _opsgenie,
    "pagerduty": _pagerduty,
    "slack": _slack,
    "sqlite": _sqlite,
    "webhook": _webhook,
}
