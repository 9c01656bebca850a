"""Simulated events as messages of a topic."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from broker import Broker, broker
from seqdetect.cli import main
from seqdetect.events import Tally
from seqdetect.source.files import Files

__all__ = ["broker"]


@pytest.mark.parametrize("rate", [[], ["--rate", "1000"]], ids=["at once", "paced"])
def test_the_messages_are_the_events_keyed_by_user(broker: Broker, tmp_path, rate):
    topic, path = broker.topic(3), str(tmp_path / "e.jsonl")
    traffic = ["--users", "5", "--days", "0.2", "--seed", "4"]
    assert main(["simulate", *traffic, "--out", path]) == 0
    assert (
        main(["simulate", *traffic, "--to", "kafka", "--brokers", broker.servers, "--topic", topic, *rate])
        == 0
    )
    events = pa.concat_tables(Files(path).read(Tally())).to_pylist()
    found = broker.all(topic, len(events), 3)
    sent = [json.loads(one.value()) for one in found]
    with open(path, encoding="utf-8") as file:
        written = [json.loads(line) for line in file]
    for one, event in zip(found, sent, strict=True):
        assert one.key() == event["user_id"].encode()
    (tmp_path / "again.jsonl").write_text("".join(json.dumps(event) + "\n" for event in sent))
    again = pa.concat_tables(Files(str(tmp_path / "again.jsonl")).read(Tally())).to_pylist()
    assert len(written) == len(sent) > 100
    assert sorted(again, key=repr) == sorted(events, key=repr)
    partitions = {}
    for one in found:
        partitions.setdefault(one.key(), set()).add(one.partition())
    assert all(len(own) == 1 for own in partitions.values())


@pytest.mark.parametrize("missing", [["--topic", "t"], ["--brokers", "127.0.0.1:1"]])
def test_where_to_must_be_said(missing, capsys):
    assert main(["simulate", "--users", "1", "--days", "0.01", "--to", "kafka", *missing]) == 2
    assert "--to kafka needs --brokers and --topic" in capsys.readouterr().err
