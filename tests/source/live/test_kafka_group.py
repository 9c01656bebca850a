"""Members of one group come and go: state follows the partition, and the alerts are those of one that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from consuming import Worker, last_states, until

import handmade
from broker import QUICK, Broker, broker
from conftest import traffic
from seqdetect.bundle.load import Bundle, load
from seqdetect.command.simulate import messages
from seqdetect.events import Tally
from seqdetect.source.live.kafka import Kafka
from seqdetect.source.parse.header import Layout

__all__ = ["broker"]

pytestmark = pytest.mark.slow

PARTITIONS = 4
EVENTS = traffic(users=20, hours=6, seed=3, rate_s=0.05)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load(handmade.write(tmp_path_factory.mktemp("bundle") / "b.onnx"))


def fill(broker: Broker, topic: str, table: pa.Table) -> None:
    broker.put(topic, messages(table), keys=table.column("user_id").to_pylist())


def source(broker: Broker, topic: str, group: str, **client: Any) -> Kafka:
    return Kafka(
        Tally(), Layout(), broker.servers, [topic], group, client={**QUICK, **client}, batch_rows=100
    )


def all_read(workers: list[Worker], count: int) -> bool:
    """One turn of everybody; whether all messages are scored."""
    for worker in workers:
        worker.turn()
    return sum(position or 0 for worker in workers for position in worker.reached.values()) == count


def undisturbed(broker: Broker, topic: str, bundle: Bundle, folder: Path, count: int) -> dict[str, Any]:
    folder.mkdir()
    sent: list[dict[str, Any]] = []
    worker = Worker(source(broker, topic, f"alone-{topic}"), bundle, folder, sent)
    until(lambda: all_read([worker], count))
    worker.source.close()
    return last_states(sent)


@pytest.mark.parametrize("strategy", ["cooperative-sticky", "range"])
def test_alerts_survive_rebalances(broker, bundle, tmp_path, strategy):
    topic, half = broker.topic(PARTITIONS), EVENTS.num_rows // 2
    fill(broker, topic, EVENTS.slice(0, half))
    sent: list[dict[str, Any]] = []
    client = {"partition.assignment.strategy": strategy}

    def member() -> Worker:
        return Worker(source(broker, topic, f"both-{strategy}", **client), bundle, tmp_path, sent)

    first = member()
    until(lambda: first.turn() or (len(first.scorers) == PARTITIONS and all(first.reached.values())))
    second = member()
    until(lambda: all_read([first, second], half) and len(first.scorers) == len(second.scorers) == 2)
    moved = dict(second.begun)
    assert any(position for position in moved.values()), "a part should have come with its memory"
    fill(broker, topic, EVENTS.slice(half))
    first.source.close()
    until(lambda: all_read([second], EVENTS.num_rows))
    second.source.close()
    expected = undisturbed(broker, topic, bundle, tmp_path / "alone", EVENTS.num_rows)
    assert len(expected) >= 10
    assert last_states(sent) == expected


def test_a_member_that_hangs_is_replaced_from_its_checkpoints_and_forgets(broker, bundle, tmp_path):
    topic = broker.topic(PARTITIONS)
    fill(broker, topic, EVENTS)
    sent: list[dict[str, Any]] = []
    client = {"max.poll.interval.ms": 6000}
    first = Worker(source(broker, topic, "hangs", **client), bundle, tmp_path, sent, every=7)
    until(lambda: first.turn() or sum(p or 0 for p in first.reached.values()) > EVENTS.num_rows // 2)
    second = Worker(source(broker, topic, "hangs"), bundle, tmp_path, sent)
    until(lambda: all_read([second], EVENTS.num_rows))
    assert any(position for _, position in second.begun), "a part should have come with its memory"
    until(lambda: first.turn() or len(first.gone) == PARTITIONS)
    first.source.close()
    second.source.close()
    expected = undisturbed(broker, topic, bundle, tmp_path / "alone", EVENTS.num_rows)
    assert last_states(sent) == expected
