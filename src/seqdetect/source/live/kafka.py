"""Events from Kafka: each partition is a part, a position is the offset of the next message."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from seqdetect.broker import Errors, Outbox, Settings, settings
from seqdetect.events import Tally
from seqdetect.source.live import BATCH_ROWS, Batch, Parts
from seqdetect.source.live.messages import Messages, Rejected, Run, run
from seqdetect.source.parse import Numbers
from seqdetect.source.parse.header import Layout

LOG = logging.getLogger(__name__)

MESSAGES_AT_ONCE = 1_000
"""More in one call of the client cost more each: they no longer fit into the processor's cache."""
_LINGER_S = 0.05
_COMMITTED_S = 10.0
_DEAD_PAYLOAD_BYTES = 1 << 16
_Place = tuple[str, int]

_OURS: Settings = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # Where neither a checkpoint nor the group says where to begin, and where what they say is there no more.
    "auto.offset.reset": "earliest",
    # Members keep what they have when others come and go.
    "partition.assignment.strategy": "cooperative-sticky",
    # By default a client that has caught up waits a second before it fetches again.
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
}


class Kafka:
    """Reads ``topics`` as a member of ``group``: JSON objects, arrays of them or JSON lines, keyed by user.

    A partition begins at the position that its checkpoint holds, else at the offset that the group has committed,
    else at its beginning. Messages with a bad row go to the topic ``dead_letters`` as they came (their good rows
    are scored), with the headers ``topic``, ``partition``, ``offset`` and ``reason``; they are there before the
    events around them are handed on, so also before an offset is committed. Without such a topic they are counted
    alone. While the brokers are away nothing comes and nothing is lost.
    """

    replayable = True
    ended = False

    def __init__(
        self,
        tally: Tally,
        layout: Layout,
        servers: str,
        topics: Sequence[str],
        group: str = "seqdetect",
        dead_letters: str | None = None,
        client: Mapping[str, str | int | float | bool] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        """``servers`` is HOST:PORT[,HOST:PORT…]; ``client`` are settings of librdkafka, which go before ours.

        Raises ``ValueError`` for settings that the client does not know.
        """
        self.errors = Errors(f"Kafka {','.join(topics)}")
        self.dead = 0
        self._topics = list(topics)
        self._dead_letters = dead_letters
        self._batch_rows = batch_rows
        self._messages = {topic: Messages(topic, layout, tally) for topic in topics}
        self._next: dict[_Place, int | None] = {}
        self._begun: set[str] = set()
        self._held: dict[_Place, list[Run]] = {}
        self._ready: deque[Batch] = deque()
        self._parts: Parts
        self._outbox = None if dead_letters is None else Outbox(servers, client or {}, self.errors, None)
        made = settings(servers, self.errors, {**_OURS, "group.id": group}, client or {})
        self._incremental = "cooperative" in str(made["partition.assignment.strategy"])
        self._moving = False
        self._member: str | None = None
        try:
            self._consumer = Consumer({**made, "on_commit": self._committed})
        except KafkaException as error:
            raise ValueError(f"Kafka: {error.args[0].str()}") from error

    def start(self, parts: Parts) -> None:
        """Joins the group; parts are assigned in ``poll``, once the members have agreed."""
        self._parts = parts
        self._consumer.subscribe(
            self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def poll(self, timeout_s: float) -> Batch | None:
        """Parts come and go in here. Raises ``ConnectionError`` where a dead letter is refused, and
        ``KafkaException`` where the client cannot go on."""
        if not self._ready:
            self._fetch(timeout_s)
            self._parse()
        if self._ready and self._bury(timeout_s):
            return self._ready.popleft()
        return None

    def commit(self, part: str, position: Any) -> None:
        """Tells the group; what goes wrong is counted and logged alone, since the checkpoint holds the position."""
        topic, _, partition = part.rpartition("-")
        offsets = [TopicPartition(topic, int(partition), position)]
        try:
            if self._moving:  # Its next owner may ask for the offset at once.
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._note(error.args[0])

    def lag(self) -> dict[str, int]:
        """By part: messages of the partition that were not handed on yet, as of the last answer of its broker."""
        lags = {}
        for (topic, partition), following in self._next.items():
            # Asking the broker instead would take a round trip, and not all brokers answer rightly.
            low, high = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if high >= 0:
                lags[f"{topic}-{partition}"] = max(
                    0, high - (max(low, 0) if following is None else following)
                )
        return lags

    def stats(self) -> dict[str, Any]:
        """For the metrics: ``lag`` by part, ``errors`` of the client by name, ``dead_letters`` so far."""
        return {"lag": self.lag(), "errors": dict(self.errors.counts), "dead_letters": self.dead}

    def close(self) -> None:
        """Leaves the group; ``parts.revoked`` is called for what is still here."""
        self._ready.clear()
        self._consumer.close()
        if self._outbox is not None:
            self._outbox.close()

    def _fetch(self, timeout_s: float) -> None:
        """Hold what has come, up to a batch: one message is waited for, a few more briefly, others not at all."""
        size = min(MESSAGES_AT_ONCE, self._batch_rows)
        messages = self._consumer.consume(1, timeout_s)
        if messages and size > 1:
            messages += self._consumer.consume(size - 1, min(_LINGER_S, timeout_s))
        rows = 0
        while messages:
            rows += self._hold(messages)
            if len(messages) < size or rows >= self._batch_rows:
                break
            messages = self._consumer.consume(size, 0)

    def _hold(self, messages: list[Message]) -> int:
        """Keep their payloads; how many rows there are, or one for each message."""
        if any(map(Message.error, messages)):
            for message in messages:
                self._note(message.error())
            messages = [message for message in messages if message.error() is None]
        rows = 0
        for place, values, offsets in _by_place(messages):
            if place in self._next:
                one = run(values, offsets)
                self._held.setdefault(place, []).append(one)
                rows += one.rows
        return rows

    def _parse(self) -> None:
        for (topic, partition), runs in self._held.items():
            part = f"{topic}-{partition}"
            table, rejected = self._messages[topic].read(part, runs)
            self._warn_of_gap(part, self._next[topic, partition], int(runs[0].offsets[0]))
            following = int(runs[-1].offsets[-1]) + 1
            self._next[topic, partition] = following
            for one in rejected:
                self._dead(topic, partition, one)
            self._ready.append(Batch(table, part, following))
        self._held.clear()

    def _warn_of_gap(self, part: str, expected: int | None, found: int) -> None:
        """Where a part begins elsewhere than it was left: its messages were deleted meanwhile, or the topic was."""
        if part in self._begun:
            return
        self._begun.add(part)
        if expected is not None and found != expected:
            LOG.warning("%s: offset %d is not there; reading goes on at offset %d", part, expected, found)

    def _dead(self, topic: str, partition: int, one: Rejected) -> None:
        self.dead += 1
        if self._outbox is None or self._dead_letters is None:
            return
        headers = [
            ("topic", topic.encode()),
            ("partition", b"%d" % partition),
            ("offset", b"%d" % one.offset),
            ("reason", one.reason.encode()),
        ]
        if len(one.payload) > _DEAD_PAYLOAD_BYTES:
            headers.append(("bytes", b"%d" % len(one.payload)))
        # The same message again, after a crash, has the same key.
        key = f"{topic}-{partition}-{one.offset}".encode()
        self._outbox.put(self._dead_letters, one.payload[:_DEAD_PAYLOAD_BYTES], key, headers)

    def _bury(self, timeout_s: float) -> bool:
        """Whether all dead letters are delivered; if not, in time, they are waited for in the next poll."""
        return self._outbox is None or self._outbox.flush(timeout_s)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._member = consumer.memberid()
        committed = self._committed_offsets(consumer, partitions)
        for one in partitions:
            position = self._parts.assigned(f"{one.topic}-{one.partition}")
            if position is None:
                position = committed.get((one.topic, one.partition))
            self._next[one.topic, one.partition] = position
            if position is not None:
                one.offset = position
        (consumer.incremental_assign if self._incremental else consumer.assign)(partitions)

    def _committed_offsets(self, consumer: Consumer, partitions: list[TopicPartition]) -> dict[_Place, int]:
        try:
            found = consumer.committed(partitions, timeout=_COMMITTED_S) if partitions else []
        except KafkaException as error:
            self._note(error.args[0])  # The client will find them itself.
            return {}
        return {(one.topic, one.partition): one.offset for one in found if one.offset >= 0}

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if consumer.memberid() != self._member:
            # It has left the group since then, for example by not polling in time: others are at work there.
            self._lost(consumer, partitions)
            return
        self._moving = True
        try:
            for one in partitions:
                self._parts.revoked(f"{one.topic}-{one.partition}")
        finally:
            self._moving = False
            self._forget(consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._parts.lost(f"{one.topic}-{one.partition}")
        self._forget(consumer, partitions)

    def _forget(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._begun.discard(f"{one.topic}-{one.partition}")
            self._next.pop((one.topic, one.partition), None)
            self._held.pop((one.topic, one.partition), None)
        if self._incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def _committed(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for one in [error, *(one.error for one in partitions)]:
            self._note(one)

    def _note(self, error: KafkaError | None) -> None:
        if error is None or error.code() == KafkaError._NO_OFFSET:
            return
        self.errors(error)
        if error.fatal():
            raise KafkaException(error)


def _by_place(messages: list[Message]) -> Iterator[tuple[_Place, list[bytes | None], Numbers]]:
    """Payloads and offsets of each partition's messages, in order."""
    # One call over all messages for each thing, since a loop in Python costs more than what the client does.
    values = list(map(Message.value, messages))
    offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
    topics = list(map(Message.topic, messages))
    partitions = np.fromiter(map(Message.partition, messages), np.int64, len(messages))
    if len(set(topics)) > 1:
        codes = {topic: code for code, topic in enumerate(set(topics))}
        groups = partitions + (np.fromiter(map(codes.__getitem__, topics), np.int64, len(topics)) << 32)
    else:
        groups = partitions
    for group in np.unique(groups).tolist():
        own = np.flatnonzero(groups == group)
        first = int(own[0])
        place = (cast(str, topics[first]), int(partitions[first]))
        if len(own) == len(messages):
            yield place, values, offsets
        else:
            yield place, [values[row] for row in own.tolist()], offsets[own]
