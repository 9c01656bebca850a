"""Changes of alerts in a topic of a real broker."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker import Broker, behind_proxy, broker
from seqdetect.sink.kafka import KafkaSink

__all__ = ["broker"]


def change(alert: str, what: str, **other: Any) -> dict[str, Any]:
    return {"alert_id": alert, "change": what, "user_id": "Zoë", "score": 4.25, "end": None} | other


def test_each_change_is_a_message_keyed_by_its_alert(broker: Broker) -> None:
    topic = broker.topic(3)
    sink = KafkaSink(broker.servers, topic)
    changes = [change(f"a{i % 5}", what) for what in ("open", "update", "resolve") for i in range(5)]
    sink.send(changes[:7])
    # send has returned: they are there
    assert len(broker.all(topic, 7, 3)) == 7
    sink.send(changes[7:])
    sink.send([])
    sink.close()
    found = broker.all(topic, 15, 3)
    assert sorted(json.loads(one.value())["alert_id"] for one in found) == sorted(
        c["alert_id"] for c in changes
    )
    for alert in range(5):
        own = [one for one in found if one.key() == f"a{alert}".encode()]
        assert len({one.partition() for one in own}) == 1
        assert [json.loads(one.value()) for one in own] == [
            c for c in changes if c["alert_id"] == f"a{alert}"
        ]


def test_what_cannot_be_delivered_is_an_error_and_can_be_sent_again() -> None:
    with behind_proxy() as (one, proxy):
        topic = one.topic()
        sink = KafkaSink(one.servers, topic, {"socket.timeout.ms": 1000}, timeout_s=2)
        sink.send([change("a", "open")])
        proxy.cut()
        with pytest.raises(ConnectionError, match=r"did not take 2 message\(s\)"):
            sink.send([change("a", "update"), change("a", "resolve")])
        assert sink.errors.counts
        proxy.mend()
        sink.send([change("a", "update"), change("a", "resolve")])
        sink.close()
        assert [json.loads(m.value())["change"] for m in one.all(topic, 4, seconds=2)] == [
            "open",
            "update",
            "resolve",
        ]


def test_a_change_that_is_too_large_is_an_error(broker: Broker) -> None:
    sink = KafkaSink(broker.servers, broker.topic(), {"message.max.bytes": 10_000})
    with pytest.raises(ConnectionError, match="MSG_SIZE_TOO_LARGE"):
        sink.send([change("a", "open", text="x" * 20_000)])
    sink.close()


def test_settings_that_the_client_does_not_know_are_named() -> None:
    with pytest.raises(ValueError, match=r"no\.such"):
        KafkaSink("127.0.0.1:1", "t", {"no.such": 1})
