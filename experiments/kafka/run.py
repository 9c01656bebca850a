"""How much of a bare Kafka client's rate is left once messages are events, and once events are feature rows?

    python experiments/kafka/run.py

One process on one core reads a topic of four partitions from a real broker, which has the other core; cases take
turns in every round. A case's time runs from its first message to its last. CPU time is that of all the process's
threads; on the wall also count the broker, the network stack and whatever else the machine does.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Consumer, Message, TopicPartition

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from broker import QUICK, Broker  # noqa: E402
from seqdetect.events import Tally  # noqa: E402
from seqdetect.sequence.stream import Stream  # noqa: E402
from seqdetect.source.live import kafka  # noqa: E402
from seqdetect.source.parse.header import Layout  # noqa: E402

PARTITIONS, USERS, PER_MESSAGE = 4, 5_000, (1, 10, 100)
RATE_S = USERS / 3
START_US = 1_772_409_600_000_000
BARE = "bare client"
Timed = tuple[float, float]


def events(count: int, seed: int = 0) -> list[tuple[str, bytes]]:
    """User and JSON of each event, in time order, about 190 bytes each."""
    rng = np.random.default_rng(seed)
    times = START_US + (np.cumsum(rng.exponential(1 / RATE_S, count)) * 1e6).astype(np.int64)
    stamps = np.datetime_as_string(times.astype("datetime64[us]"))
    users = rng.integers(0, USERS, count).tolist()
    prompt, completion = (rng.lognormal(6, 1, count).astype(int).tolist() for _ in range(2))
    latency = rng.lognormal(6.5, 0.6, count).round(1).tolist()
    return [
        (
            f"user-{u:05d}",
            f'{{"timestamp":"{t}Z","user_id":"user-{u:05d}","prompt_tokens":{p},"completion_tokens":{c},"model":"m-large"'
            f',"client_ip":"100.64.{u >> 8}.{u & 255}","status":200,"latency_ms":{ms}}}'.encode(),
        )
        for t, u, p, c, ms in zip(stamps, users, prompt, completion, latency, strict=True)
    ]


def fill(broker: Broker, made: list[tuple[str, bytes]], per_message: int) -> str:
    """A topic with these events, each user's in one partition, ``per_message`` lines in a message."""
    topic = broker.topic(PARTITIONS)
    for partition in range(PARTITIONS):
        own = [text for user, text in made if int(user[-5:]) % PARTITIONS == partition]
        broker.put(
            topic,
            [b"\n".join(own[i : i + per_message]) for i in range(0, len(own), per_message)],
            partition,
        )
    return topic


def timed(poll: Callable[[], int], count: int) -> Timed:
    """Poll until ``count`` are there: CPU and wall seconds since the first."""
    found = 0
    while not found:
        found = poll()
    begun, wall = time.process_time(), time.monotonic()
    while found < count:
        found += poll()
    return time.process_time() - begun, time.monotonic() - wall


def bare(
    broker: Broker, topic: str, messages: int, work: Callable[[list[Message]], Any], **own: Any
) -> Timed:
    """The client alone, in batches of 1,000 messages, of which ``work`` is done."""
    settings = {"bootstrap.servers": broker.servers, "group.id": "bare", "enable.auto.commit": False}
    consumer = Consumer(settings | {"enable.auto.offset.store": False} | own)
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])

    def poll() -> int:
        batch = consumer.consume(1000, 1.0)
        work(batch)
        return len(batch)

    try:
        return timed(poll, messages)
    finally:
        consumer.close()


class Nobody:
    """Parts that remember nothing."""

    def assigned(self, part: str) -> None: ...
    def revoked(self, part: str) -> None: ...
    def lost(self, part: str) -> None: ...


def ours(broker: Broker, topic: str, count: int, number: int, features: bool) -> Timed:
    """Our source to event tables or, with ``features``, on to feature rows, one stream per partition."""
    source = kafka.Kafka(Tally(), Layout(), broker.servers, [topic], f"ours-{topic}-{number}", client=QUICK)
    streams: dict[str, Stream] = {}

    def poll() -> int:
        batch = source.poll(1.0)
        if batch is None:
            return 0
        if features:
            if batch.part not in streams:
                streams[batch.part] = Stream(10.0, 10.0, Tally())
            streams[batch.part].push(batch.table)
        rows: int = batch.table.num_rows
        return rows

    source.start(Nobody())
    try:
        return timed(poll, count)
    finally:
        source.close()


def held(batch: list[Message]) -> None:
    """What our source does with the messages themselves: errors, place, offset, value, and all values as lines."""
    any(map(Message.error, batch))
    for _, values, offsets in kafka._by_place(batch):
        kafka.run(values, offsets)


def cases(broker: Broker, topic: str, count: int, messages: int) -> dict[str, Callable[[int], Timed]]:
    quick = {name: value for name, value in kafka._OURS.items() if name.startswith("fetch.")}
    return {
        BARE: lambda _: bare(broker, topic, messages, len),
        "bare client, our fetch settings": lambda _: bare(broker, topic, messages, len, **quick),
        "messages as lines": lambda _: bare(broker, topic, messages, held, **quick),
        "event tables": lambda number: ours(broker, topic, count, number, False),
        "feature rows": lambda number: ours(broker, topic, count, number, True),
    }


def measured(broker: Broker, made: list[tuple[str, bytes]], rounds: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for per_message in PER_MESSAGE:
        topic = fill(broker, made, per_message)
        messages = sum(
            -(-sum(int(user[-5:]) % PARTITIONS == p for user, _ in made) // per_message)
            for p in range(PARTITIONS)
        )
        found: dict[str, list[Timed]] = {}
        for number in range(rounds):
            for name, case in cases(broker, topic, len(made), messages).items():
                found.setdefault(name, []).append(case(number))
        for name, times in found.items():
            cpu, wall = ([len(made) / one[kind] for one in times] for kind in (0, 1))
            share = [[b[k] / a[k] for a, b in zip(times, found[BARE], strict=True)] for k in (0, 1)]
            rows.append(
                {
                    "events_per_message": per_message,
                    "case": name,
                    "events_per_cpu_s": round(statistics.median(cpu), -3),
                    "share_of_bare_cpu": round(statistics.median(share[0]), 3),
                    "events_per_wall_s": round(statistics.median(wall), -3),
                    "share_of_bare_wall": round(statistics.median(share[1]), 3),
                    "us_per_event": round(1e6 / statistics.median(cpu), 3),
                    "rounds": rounds,
                }
            )
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write ``results.csv``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    broker = Broker()
    subprocess.run(["taskset", "-acp", str(cores[0]), str(broker.pid)], check=True, capture_output=True)
    os.sched_setaffinity(0, {cores[-1]})
    try:
        made = events(options.events)
        size = sum(len(text) for _, text in made) / len(made)
        print(
            f"{len(made)} events of {size:.0f} bytes; {platform.processor()}, load {os.getloadavg()[0]:.1f}"
        )
        rows = measured(broker, made, options.rounds)
    finally:
        broker.close()
    with open(HERE / "results.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
