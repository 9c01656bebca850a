"""The broker goes and comes back: the client finds it again, and every message is handed on once, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from consuming import Notes, until

from broker import QUICK, Broker, Proxy, behind_proxy
from seqdetect.events import Tally
from seqdetect.source.live.kafka import Kafka
from seqdetect.source.parse.header import Layout

pytestmark = pytest.mark.slow


def lines(numbers: range) -> list[bytes]:
    event = {"timestamp": 1_772_409_600, "user_id": "ada", "completion_tokens": 1}
    return [json.dumps(event | {"prompt_tokens": number}).encode() for number in numbers]


@pytest.fixture
def cluster() -> Iterator[tuple[Broker, Proxy]]:
    with behind_proxy() as both:
        yield both


def cut(broker: Broker, proxy: Proxy) -> tuple[Callable[[], None], Callable[[], None]]:
    return proxy.cut, proxy.mend


def pause(broker: Broker, proxy: Proxy) -> tuple[Callable[[], None], Callable[[], None]]:
    return broker.pause, broker.go_on


@pytest.mark.parametrize("fault", [cut, pause])
def test_nothing_is_lost_or_repeated_while_the_broker_is_away(cluster, fault):
    broker, proxy = cluster
    go, come_back = fault(broker, proxy)
    topic, dead = broker.topic(2), broker.topic()
    # requests to a broker that does not answer are given up after this long
    client = {**QUICK, "socket.timeout.ms": 3000}
    source = Kafka(Tally(), Layout(), broker.servers, [topic], "g", dead, client)
    notes = Notes()
    source.start(notes)
    broker.put(topic, lines(range(500)), 0)
    broker.put(topic, lines(range(500)), 1)
    notes.take(source, 1000)
    go()
    until(lambda: source.errors.counts.total() > 0 if source.poll(0.2) is None else False, 40)
    source.commit(f"{topic}-0", 500)
    come_back()
    broker.put(topic, [*lines(range(500, 900)), b"poison", *lines(range(900, 1000))], 0)
    broker.put(topic, lines(range(500, 1000)), 1)
    seen = notes.take(source, 2000, 60)
    source.close()
    assert seen == {f"{topic}-{p}": list(range(1000)) for p in range(2)}
    assert [letter.value() for letter in broker.all(dead, 1)] == [b"poison"]


def held(source: Kafka) -> int:
    """Messages that have come and were not parsed yet."""
    return sum(one.rows for runs in source._held.values() for one in runs)


def test_a_batch_waits_for_its_dead_letters(cluster):
    broker, proxy = cluster
    topic, dead = broker.topic(), broker.topic()
    source, notes = Kafka(Tally(), Layout(), broker.servers, [topic], "g", dead, QUICK), Notes()
    source.start(notes)
    broker.put(topic, lines(range(10)))
    notes.take(source, 10)
    broker.put(topic, [*lines(range(10, 20)), b"poison"])
    # the messages are with the client already when the broker goes
    until(lambda: source._fetch(0.5) is None and held(source) == 11)
    proxy.cut()
    assert [source.poll(0.3) for _ in range(3)] == [None] * 3
    proxy.mend()
    assert notes.take(source, 20) == {f"{topic}-0": list(range(20))}
    assert [letter.value() for letter in broker.all(dead, 1)] == [b"poison"]
    source.close()


def test_errors_are_logged_with_a_limit(cluster, caplog):
    broker, proxy = cluster
    topic = broker.topic()
    client = {**QUICK, "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 20}
    source, notes = Kafka(Tally(), Layout(), broker.servers, [topic], "g", client=client), Notes()
    source.start(notes)
    broker.put(topic, lines(range(3)))
    notes.take(source, 3)
    proxy.cut()
    until(lambda: source.errors.counts.total() >= 20 if source.poll(0.2) is None else False)
    source.close()
    assert 1 <= len(caplog.records) <= len(source.errors.counts)
