"""A second opinion by librdkafka's own mock cluster, whose offsets are exact."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from consuming import Notes, until

confluent_kafka = pytest.importorskip("confluent_kafka")

from confluent_kafka import Consumer, Producer, TopicPartition  # noqa: E402

from broker import QUICK  # noqa: E402
from seqdetect.events import Tally  # noqa: E402
from seqdetect.source.live.kafka import Kafka  # noqa: E402
from seqdetect.source.parse.header import Layout  # noqa: E402

pytestmark = pytest.mark.slow

TOPIC = "events"


def one(number: int) -> bytes:
    return json.dumps(
        {
            "timestamp": 1_772_409_600 + number,
            "user_id": "ada",
            "prompt_tokens": number,
            "completion_tokens": 1,
        }
    ).encode()


class Mock:
    """The cluster, which lives in a producer. Its topic has four partitions."""

    def __init__(self) -> None:
        self.producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 2})
        self.servers = ",".join(
            f"{broker.host}:{broker.port}" for broker in self.producer.list_topics(TOPIC, 20).brokers.values()
        )

    def put(self, count: int, partition: int, first: int = 0) -> None:
        for i in range(first, first + count):
            self.producer.produce(TOPIC, one(i), partition=partition)
        assert self.producer.flush(20) == 0

    def committed(self, group: str) -> dict[int, int]:
        consumer = Consumer({"bootstrap.servers": self.servers, "group.id": group, "log_level": 2})
        try:
            found = consumer.committed([TopicPartition(TOPIC, p) for p in range(4)], timeout=20)
        finally:
            consumer.close()
        return {one.partition: one.offset for one in found if one.offset >= 0}


@pytest.fixture
def mock() -> Iterator[Mock]:
    return Mock()


def member(mock: Mock, group: str) -> Kafka:
    return Kafka(Tally(), Layout(), mock.servers, [TOPIC], group, client=QUICK)


def test_what_is_committed_is_what_was_said_and_lag_is_exact(mock):
    for partition in range(4):
        mock.put(10 + partition, partition)
    source, notes = member(mock, "g"), Notes()
    source.start(notes)
    notes.take(source, 46)
    until(lambda: source.lag() == {f"{TOPIC}-{p}": 0 for p in range(4)} or source.poll(0.1) is not None)
    source.commit(f"{TOPIC}-1", 5)
    source.commit(f"{TOPIC}-2", 12)
    mock.put(3, 2, 12)
    until(lambda: len(notes.seen[f"{TOPIC}-2"]) == 15 or notes._turn(source) == 0)
    source.close()
    assert mock.committed("g") == {1: 5, 2: 12}
    again, more = member(mock, "g"), Notes()
    again.start(more)
    more.take(again, 10 + 6 + 3 + 13)
    again.close()
    assert {part: values[0] for part, values in more.seen.items()} == {
        f"{TOPIC}-0": 0, f"{TOPIC}-1": 5, f"{TOPIC}-2": 12, f"{TOPIC}-3": 0,
    }  # fmt: skip


def test_an_offset_may_be_committed_while_a_part_goes(mock):
    mock.put(10, 3)

    class Leaving(Notes):
        def revoked(self, part: str) -> None:
            if part in self.positions:
                source.commit(part, self.positions[part])

    source, notes = member(mock, "leaving"), Leaving()
    source.start(notes)
    notes.take(source, 10)
    source.close()
    assert mock.committed("leaving") == {3: 10}


def test_a_position_that_is_gone_is_said_and_reading_begins_again(mock, caplog):
    mock.put(5, 0)
    source, notes = member(mock, "far"), Notes(**{f"{TOPIC}_0": 900})
    source.start(notes)
    assert notes.take(source, 5) == {f"{TOPIC}-0": list(range(5))}
    source.close()
    assert "offset 900 is not there; reading goes on at offset 0" in caplog.text


def test_a_checkpoint_that_cannot_be_taken_up_ends_the_poll(mock):
    class Refusing(Notes):
        def assigned(self, part: str) -> None:
            raise ValueError(f"{part}: a foreign checkpoint")

    source = member(mock, "refusing")
    source.start(Refusing())
    with pytest.raises(ValueError, match="a foreign checkpoint"):
        until(lambda: source.poll(0.2) is not None)
    source.close()
    assert mock.committed("refusing") == {}
