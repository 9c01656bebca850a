"""Changes of alerts as JSON messages of a Kafka topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from seqdetect.broker import Errors, Outbox
from seqdetect.secret import Secret


class KafkaSink:
    """One message per change, keyed by ``alert_id``: all changes of an alert are in one partition, in order.

    Delivery is at least once. A compacted topic keeps the last state of every alert.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        settings: dict[str, str | int | float | bool] | None = None,
        secrets: dict[str, Secret] | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """``servers`` is HOST:PORT[,HOST:PORT…]; ``settings`` and ``secrets`` are librdkafka's, by their names
        there, and go before ours. Within ``timeout_s`` seconds a change is delivered or ``send`` fails.

        Raises ``ValueError`` for settings that the client does not know.
        """
        self.errors = Errors(f"Kafka sink {topic}")
        self._topic = topic
        client = {**(settings or {}), **(secrets or {})}
        self._outbox = Outbox(servers, client, self.errors, timeout_s)

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        """Returns once the brokers have all of them. Raises ``ConnectionError`` where they don't in time."""
        for change in changes:
            self._outbox.put(self._topic, msgspec.json.encode(change), str(change["alert_id"]).encode())
        self._outbox.flush(-1)

    def close(self) -> None:
        self._outbox.close()
