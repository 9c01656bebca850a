"""The Kafka source against a real broker: where it begins, what it hands on, poison, lag."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from consuming import Notes, until

from broker import QUICK, Broker, broker
from seqdetect.events import Tally
from seqdetect.source.adapter import adapted
from seqdetect.source.adapter.litellm import LiteLLM
from seqdetect.source.live.kafka import Kafka
from seqdetect.source.parse.header import Layout

__all__ = ["broker"]

pytestmark = pytest.mark.slow
"""Joining a group takes three seconds."""


def one(number: int, **other: Any) -> bytes:
    event = {"timestamp": 1_772_409_600 + number, "user_id": "ada", "prompt_tokens": number}
    return json.dumps(event | {"completion_tokens": 1} | other).encode()


@pytest.fixture
def opened() -> Iterator[list[Kafka]]:
    """Sources to close at the end."""
    sources: list[Kafka] = []
    yield sources
    for source in sources:
        source.close()


def member(broker: Broker, topic: str, opened: list[Kafka], **settings: Any) -> Kafka:
    settings = {"tally": Tally(), "layout": Layout(), "group": f"group-{topic}"} | settings
    source = Kafka(servers=broker.servers, topics=[topic], client=QUICK, **settings)
    opened.append(source)
    return source


def test_partitions_are_parts_in_order(broker, opened):
    topic, notes = broker.topic(3), Notes()
    for partition in range(3):
        broker.put(topic, [one(1000 * partition + i) for i in range(700)], partition)
    source = member(broker, topic, opened)
    source.start(notes)
    seen = notes.take(source, 2100)
    assert seen == {f"{topic}-{p}": list(range(1000 * p, 1000 * p + 700)) for p in range(3)}
    assert notes.positions == {f"{topic}-{p}": 700 for p in range(3)}
    source.close()
    opened.clear()
    assert sorted(notes.told[-3:]) == [("revoked", f"{topic}-{p}") for p in range(3)]


def test_batches_are_bounded(broker, opened):
    topic, notes = broker.topic(), Notes()
    broker.put(topic, [one(i) for i in range(500)])
    source = member(broker, topic, opened, batch_rows=100)
    source.start(notes)
    batches: list[int] = []

    def enough() -> bool:
        batch = source.poll(0.5)
        if batch is not None:
            batches.append(batch.table.num_rows)
        return sum(batches) == 500

    until(enough)
    assert max(batches) <= 100


def test_it_begins_at_the_checkpoint_else_at_the_committed_offset_else_at_the_beginning(broker, opened):
    topic = broker.topic(3)
    for partition in range(3):
        broker.put(topic, [one(100 * partition + i) for i in range(10)], partition)
    first, notes = member(broker, topic, opened), Notes()
    first.start(notes)
    notes.take(first, 30)
    first.commit(f"{topic}-0", 7)
    first.commit(f"{topic}-1", 7)
    first.close()
    opened.clear()
    second, again = member(broker, topic, opened), Notes(**{f"{topic}_0": 4})
    second.start(again)
    seen = again.take(second, 6 + 3 + 10)
    assert seen == {
        f"{topic}-0": [4, 5, 6, 7, 8, 9],
        f"{topic}-1": [107, 108, 109],
        f"{topic}-2": list(range(200, 210)),
    }


def test_poison_goes_to_the_dead_letters_before_its_neighbours_are_handed_on(broker, opened):
    topic, dead = broker.topic(), broker.topic()
    mixed = b"[" + one(3) + b"," + one(-3) + b"]"
    huge = b"x" * 100_000
    broker.put(topic, [one(0), b"no json", b"\0", one(1), "Zoë".encode("latin-1"), None, mixed, huge, one(4)])
    tally, notes = Tally(), Notes()
    source = member(broker, topic, opened, tally=tally, dead_letters=dead)
    source.start(notes)
    until(lambda: notes._turn(source) > 0)
    letters = broker.all(dead, 7, seconds=3)
    assert notes.take(source, 4) == {f"{topic}-0": [0, 1, 3, 4]}
    assert [letter.value() for letter in letters] == [
        b"no json", b"\0", "Zoë".encode("latin-1"), b"", mixed, huge[:65_536]
    ]  # fmt: skip
    headers = [dict(letter.headers() or []) for letter in letters]
    assert [h["offset"] for h in headers] == [b"1", b"2", b"4", b"5", b"6", b"7"]
    assert {(h["topic"], h["partition"]) for h in headers} == {(topic.encode(), b"0")}
    assert [h["reason"].partition(b":")[0] for h in headers] == [
        b"malformed_line", b"malformed_line", b"malformed_line", b"empty_message", b"negative_tokens",
        b"malformed_line",
    ]  # fmt: skip
    assert headers[-1]["bytes"] == b"100000"
    assert letters[0].key() == f"{topic}-0-1".encode()
    assert source.dead == 6
    assert (tally.read, sum(tally.rejected.values())) == (10, 6)


def test_without_a_topic_for_them_dead_letters_are_counted(broker, opened):
    topic, notes = broker.topic(), Notes()
    broker.put(topic, [b"x", one(0)])
    source = member(broker, topic, opened)
    source.start(notes)
    notes.take(source, 1)
    assert source.stats()["dead_letters"] == 1


def test_lag_is_what_was_not_handed_on(broker, opened):
    topic, notes = broker.topic(2), Notes()
    broker.put(topic, [one(i) for i in range(250)], 0)
    broker.put(topic, [one(i) for i in range(40)], 1)
    source = member(broker, topic, opened, batch_rows=100)
    source.start(notes)
    notes.take(source, 290)
    until(lambda: notes._turn(source) == 290 and source.lag() == {f"{topic}-0": 0, f"{topic}-1": 0})
    broker.put(topic, [one(i) for i in range(250)], 0)
    batch = None
    while batch is None:
        batch = source.poll(0.5)
    # what the broker has said of its high watermark may be older than what it has sent meanwhile
    assert 0 <= source.lag()[f"{topic}-0"] <= 500 - batch.position
    until(lambda: (source.poll(0.2), source.lag())[1] == {f"{topic}-0": 0, f"{topic}-1": 0})


def test_unknown_settings_are_named(broker):
    with pytest.raises(ValueError, match=r"no\.such\.setting"):
        Kafka(Tally(), Layout(), broker.servers, ["t"], client={"no.such.setting": 1})


def test_records_of_another_program_leave_nothing_of_themselves_in_dead_letters(broker, opened):
    topic, dead, notes = broker.topic(), broker.topic(), Notes()
    good = {"id": "a", "status": "success", "endTime": 1_772_409_600.5, "end_user": "ada", "prompt_tokens": 7,
            "completion_tokens": 1, "messages": "a prompt nobody may keep"}  # fmt: skip
    bad = good | {"prompt_tokens": "a prompt nobody may keep"}
    broker.put(topic, [json.dumps(one).encode() for one in (good, bad, good | {"prompt_tokens": 8})])
    layout = adapted.layout(Layout(adapter=LiteLLM()))
    source = member(broker, topic, opened, layout=layout, dead_letters=dead)
    source.start(notes)
    assert notes.take(source, 2) == {f"{topic}-0": [7, 8]}
    (letter,) = broker.all(dead, 1)
    assert letter.value() == b""
    headers = dict(letter.headers())
    assert headers["offset"] == b"1"
    assert b"$.prompt_tokens" in headers["reason"]
    assert b"nobody" not in str(headers).encode()
