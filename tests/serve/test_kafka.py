"""Services in one group on a real broker: partitions move between processes, and their state with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import handmade
from broker import QUICK, Broker, broker
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout

from .running import Service, last, lines, stream, until

__all__ = ["broker"]
PARTITIONS = 3
STREAM = stream(users=6)


def alone(
    bundle: Path, topic: str, partition: int, events: list[dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The last states where a partition's events meet one scorer, undisturbed."""
    scorer = Scorer([Model("tokens", load(bundle))], Tally(), scope=f"{topic}-{partition}")
    return last(scorer.push(Reader(Layout()).read(lines(events), "test", Tally())))


def replica(folder: Path, shared: Path, broker: Broker, topic: str, alerts: str) -> Service:
    folder.mkdir()
    return Service(
        folder,
        input={"kafka": {"servers": broker.servers, "topics": [topic], "group": topic, "settings": QUICK}},
        outputs=[{"kafka": {"servers": broker.servers, "topic": alerts}}],
        checkpoint={"folder": str(shared), "every_s": 0.2},
    )


@pytest.mark.slow
def test_a_replica_that_dies_hands_its_partitions_to_the_other(broker, tmp_path):
    topic, alerts = broker.topic(PARTITIONS), broker.topic()
    parts = [[one for one in STREAM if int(one["user_id"][1:]) % PARTITIONS == n] for n in range(PARTITIONS)]
    bundle = handmade.write(tmp_path / "b.onnx")
    expected = {
        key: one for n, events in enumerate(parts) for key, one in alone(bundle, topic, n, events).items()
    }

    def put(begin: float, end: float) -> None:
        for n, events in enumerate(parts):
            some = events[int(len(events) * begin) : int(len(events) * end)]
            broker.put(topic, [json.dumps(one).encode() for one in some], partition=n)

    def told() -> dict[str, dict[str, Any]]:
        found = broker.all(alerts, 10_000, seconds=2.0)
        return last(json.loads(message.value()) for message in found)

    def lag(*services: Service) -> float:
        return sum(service.figure(f'seqdetect_kafka_lag_events{{part="{topic}-{n}"}}')
                   for service in services for n in range(PARTITIONS))  # fmt: skip

    shared = tmp_path / "shared"
    one = replica(tmp_path / "one", shared, broker, topic, alerts)
    two = replica(tmp_path / "two", shared, broker, topic, alerts)
    with one:
        put(0, 0.3)
        until(lambda: one.figure("seqdetect_events_read_total") >= 0.29 * len(STREAM), "the first events")
        with two:
            until(lambda: two.said("part_assigned"), "the other's share")
            put(0.3, 0.6)
            one.kill()
            put(0.6, 1)
            until(lambda: len(two.said("part_assigned")) >= PARTITIONS, "the share of the dead one")
            until(lambda: told() == expected, "the alerts")
            until(lambda: lag(two) == 0, "all to be read")
            assert two.stop() == 0
    assert all(line["restored"].startswith(str(shared)) for line in two.said("part_assigned"))
    assert not two.said("failed")
