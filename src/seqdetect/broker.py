"""What the Kafka source, sink and simulator share of a client: settings, an outbox, errors logged with a limit."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

LOG = logging.getLogger(__name__)
Settings = Mapping[str, str | int | float | bool]
"""Settings of librdkafka by their own names (``security.protocol``, ``sasl.username``, …); they go before ours."""

_LOG_EVERY_S = 60.0
# Errors reach us by callback, counted; the library's own lines on stderr would tell the same without a limit.
_CRITICAL = 2


class Errors:
    """Counts a client's errors by name; each name is logged at once, then at most once a minute."""

    def __init__(self, who: str) -> None:
        self.counts: Counter[str] = Counter()
        self._who = who
        self._logged: dict[str, tuple[float, int]] = {}

    def __call__(self, error: KafkaError) -> None:
        name = error.name()
        self.counts[name] += 1
        now = time.monotonic()
        when, count = self._logged.get(name, (-_LOG_EVERY_S, 0))
        if now - when >= _LOG_EVERY_S:
            since = self.counts[name] - count
            LOG.warning("%s: %s (%s, %d since the last such line)", self._who, error.str(), name, since)
            self._logged[name] = (now, self.counts[name])


def settings(brokers: str, errors: Errors, ours: Settings, theirs: Settings) -> dict[str, Any]:
    """A client's configuration: ``theirs`` before ``ours``."""
    return {
        "bootstrap.servers": brokers,
        "error_cb": errors,
        "log_level": _CRITICAL,
        # A broker that is back should be found within a second or two, not ten.
        "reconnect.backoff.max.ms": 2000,
        **ours,
        **theirs,
    }


class Outbox:
    """Messages on their way to a broker, in order, each delivered once where the broker knows idempotence.

    ``put`` waits where the client's queue is full. ``flush`` says when all are safe. ``timeout_s`` is how long a
    message may take, None for as long as it needs.
    """

    def __init__(
        self, brokers: str, client: Settings, errors: Errors, timeout_s: float | None = 30.0
    ) -> None:
        """Connects in the background. Raises ``ValueError`` for settings that the client does not know."""
        ours: Settings = {
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.type": "lz4",
            "message.timeout.ms": 0 if timeout_s is None else round(timeout_s * 1000),
        }
        self._settings = settings(brokers, errors, ours, client)
        self._errors = errors
        self._failed: list[KafkaError] = []
        self._producer = self._connected()

    def _connected(self) -> Producer:
        try:
            return Producer(self._settings)
        except KafkaException as error:
            raise ValueError(f"Kafka: {error.args[0].str()}") from error

    def put(
        self, topic: str, value: bytes, key: bytes, headers: Sequence[tuple[str, bytes]] | None = None
    ) -> None:
        """Queue one message. Raises ``ConnectionError``, as ``flush`` does, where the client refuses it."""
        extra: dict[str, Any] = {} if headers is None else {"headers": list(headers)}
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._answered, **extra)
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._failed.append(error.args[0])
                self._take_back()

    def poll(self) -> None:
        """Hear what the broker has answered so far."""
        self._producer.poll(0)

    def flush(self, timeout_s: float) -> bool:
        """Whether all is delivered within ``timeout_s`` seconds (-1: until each is delivered or has failed).

        Raises ``ConnectionError`` where the broker refused a message or its time ran out; what is still on its
        way is then taken back, so that putting all of it again is safe.
        """
        waiting: int = self._producer.flush(timeout_s)
        if self._failed:
            self._take_back()
        return waiting == 0

    def _take_back(self) -> None:
        failed, count = self._failed[0], len(self._failed)
        self._producer.purge()
        self._producer.flush(5)
        self._failed.clear()
        # An idempotent producer with a gap in its sequence is refused by some brokers, or by its own client.
        self._producer = self._connected()
        raise ConnectionError(f"Kafka did not take {count} message(s): {failed.str()} ({failed.name()})")

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._errors(error)
            self._failed.append(error)

    def close(self, timeout_s: float = 5.0) -> None:
        """Wait for what is under way; what is not delivered by then is given up."""
        self._producer.flush(timeout_s)
        self._producer.purge()
