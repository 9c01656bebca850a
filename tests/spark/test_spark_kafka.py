"""The Kafka source's reader against a real broker, without Spark: offsets, limits, what is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyspark", reason="Spark's tests need the extra [spark]")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "serving" / "spark"))

from confluent_kafka import KafkaException
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows
from seqdetect_spark.kafka import Kafka, Range, Reader

from broker import Broker, broker  # noqa: F401


def reader(broker: Broker, topic: str, **options: str) -> Reader:  # noqa: F811
    found = Kafka({"topic": topic, "bootstrap.servers": broker.servers, "timeout_s": "10", **options})
    opened = found.streamReader(None)
    assert isinstance(opened, Reader)
    return opened


def values(one: Reader, part: Range) -> list[bytes]:
    return [value for batch in one.read(part) for value in batch.column("value").to_pylist()]


def test_reads_exactly_what_lies_between_two_offsets(broker: Broker) -> None:  # noqa: F811
    topic = broker.topic(2)
    for number in range(5):
        broker.put(topic, [b"%d" % number], partition=0)
    broker.put(topic, [b"x"], partition=1)
    one = reader(broker, topic)
    begin = one.initialOffset()
    assert begin == {"0": 0, "1": 0}
    end = one.latestOffset(begin, ReadAllAvailable())
    assert end == {"0": 5, "1": 1}
    assert [values(one, part) for part in one.partitions(begin, end)] == [
        [b"0", b"1", b"2", b"3", b"4"],
        [b"x"],
    ]
    assert [values(one, part) for part in one.partitions({"0": 2, "1": 1}, {"0": 4, "1": 1})] == [
        [b"2", b"3"]
    ]
    assert one.partitions(end, end) == []


def test_a_partition_that_is_new_is_read_from_its_beginning(broker: Broker) -> None:  # noqa: F811
    topic = broker.topic(2)
    broker.put(topic, [b"x"], partition=1)
    one = reader(broker, topic)
    (part,) = one.partitions({"0": 0}, {"0": 0, "1": 1})
    assert (part.partition, part.start, part.end) == (1, 0, 1)


def test_a_limit_is_shared_by_the_partitions(broker: Broker) -> None:  # noqa: F811
    topic = broker.topic(2)
    for number in range(4):
        broker.put(topic, [b"%d" % number], partition=0)
    one = reader(broker, topic, max_rows="4")
    limit = one.getDefaultReadLimit()
    assert limit == ReadMaxRows(4)
    assert one.latestOffset({"0": 0, "1": 0}, limit) == {"0": 2, "1": 0}
    assert one.latestOffset({"0": 3, "1": 0}, limit) == {"0": 4, "1": 0}


def test_what_comes_after_now_is_left_for_later(broker: Broker) -> None:  # noqa: F811
    topic = broker.topic()
    broker.put(topic, [b"0"])
    one = reader(broker, topic)
    one.prepareForTriggerAvailableNow()
    broker.put(topic, [b"1"])
    assert one.latestOffset({"0": 0}, ReadAllAvailable()) == {"0": 1}
    assert reader(broker, topic).latestOffset({"0": 0}, ReadAllAvailable()) == {"0": 2}


def test_what_the_broker_has_not_is_an_error(broker: Broker) -> None:  # noqa: F811
    topic = broker.topic()
    broker.put(topic, [b"x"])
    one = reader(broker, topic, timeout_s="2")
    with pytest.raises((KafkaException, TimeoutError)):
        values(one, Range(0, 5, 9))
    with pytest.raises(ValueError, match=r"bootstrap\.servers"):
        Kafka({"topic": "t"}).streamReader(None)
