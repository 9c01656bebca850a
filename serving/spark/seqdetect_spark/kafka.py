"""A Kafka topic as a source of Spark, over confluent-kafka alone. Offsets are those of Spark's own checkpoint.

For a cluster, Spark's connector (``spark-sql-kafka``) does the same in the JVM; this one needs no jar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)

CONSUMED = 10_000
DEFAULTS = {"enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"}


class Kafka(DataSource):
    """Format ``seqdetect_kafka``; rows are ``value binary``.

    Options: ``topic``; ``timeout_s`` (30); ``max_rows`` (a micro batch's bound, none by default); every other option
    with a dot in its name, such as ``bootstrap.servers``, is confluent-kafka's own.
    """

    @classmethod
    def name(cls) -> str:
        return "seqdetect_kafka"

    def schema(self) -> str:
        return "value binary"

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: N802
        return Reader(dict(self.options))


class Range(InputPartition):
    """Offsets from ``start`` up to but not ``end`` of one partition."""

    def __init__(self, partition: int, start: int, end: int) -> None:
        super().__init__((partition, start, end))
        self.partition, self.start, self.end = partition, start, end


class Reader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads what lies between two sets of offsets (partition number as text to offset)."""

    def __init__(self, options: dict[str, str]) -> None:
        missing = {"topic", "bootstrap.servers"} - set(options)
        if missing:
            raise ValueError(f"the source seqdetect_kafka needs the options {sorted(missing)}")
        self.topic = options["topic"]
        self.timeout_s = float(options.get("timeout_s", "30"))
        self.max_rows = int(options["max_rows"]) if "max_rows" in options else None
        own = {name: value for name, value in options.items() if "." in name}
        self.last: dict[str, int] | None = None
        """Where to stop, once Spark has asked for what is there now and no more."""
        self.config = {"group.id": "seqdetect-spark", **own, **DEFAULTS}

    def initialOffset(self) -> dict[str, int]:  # noqa: N802
        return {partition: low for partition, (low, _) in self._bounds().items()}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        return ReadAllAvailable() if self.max_rows is None else ReadMaxRows(self.max_rows)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        self.last = {partition: high for partition, (_, high) in self._bounds().items()}

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        """The ends of all partitions, or as far towards them as ``limit`` lets each go in equal parts."""
        bounds = self._bounds()
        part = limit.max_rows // max(len(bounds), 1) if isinstance(limit, ReadMaxRows) else None
        ends = {}
        for partition, (low, high) in bounds.items():
            begin = start.get(partition, low)
            high = high if self.last is None else min(high, self.last.get(partition, low))
            ends[partition] = max(begin, high if part is None else min(high, begin + max(part, 1)))
        return ends

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> Sequence[Range]:
        new = [partition for partition in end if partition not in start]
        low = {partition: bound[0] for partition, bound in self._bounds().items()} if new else {}
        begin = {partition: start.get(partition, low.get(partition, 0)) for partition in end}
        return [Range(int(p), begin[p], stop) for p, stop in sorted(end.items()) if stop > begin[p]]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Everything in the range, in order. Raises where the broker has lost it or does not answer in time."""
        assert isinstance(partition, Range)
        consumer = Consumer(self.config)
        place = TopicPartition(self.topic, partition.partition, partition.start)
        consumer.assign([place])
        reached = partition.start
        try:
            while reached < partition.end:
                messages = consumer.consume(min(CONSUMED, partition.end - reached), self.timeout_s)
                if not messages:
                    raise TimeoutError(
                        f"{self.topic}[{partition.partition}] gave nothing for {self.timeout_s:g} s at offset "
                        f"{reached}, where {partition.end} was to be reached"
                    )
                values = []
                for message in messages:
                    if message.error() is not None and message.error().code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(message.error())
                    if message.error() is None and message.offset() < partition.end:
                        values.append(message.value())
                # Behind gaps (compaction, transactions) the position is further on than the last message.
                reached = max(reached, consumer.position([place])[0].offset)
                yield pa.RecordBatch.from_arrays([pa.array(values, pa.binary())], ["value"])
        finally:
            consumer.close()

    def _bounds(self) -> dict[str, tuple[int, int]]:
        """First offset and end of each partition."""
        consumer = Consumer(self.config)
        try:
            found = consumer.list_topics(self.topic, self.timeout_s).topics[self.topic]
            if found.error is not None:
                raise KafkaException(found.error)
            places = {str(number): TopicPartition(self.topic, number) for number in found.partitions}
            return {
                name: consumer.get_watermark_offsets(place, self.timeout_s) for name, place in places.items()
            }
        finally:
            consumer.close()
