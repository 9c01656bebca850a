"""Kill ``seqdetect serve`` at random moments while it reads Kafka, start it again each time, and compare the alerts.

    python experiments/reliability/kill_kafka.py [--kills 100] [--events 1500000]

A real broker holds a topic of four partitions that is fed all the time. Most kills fall at a random moment after a
random number of checkpoints, one in five while the process starts or joins its group. At the end the last state of
every alert, in the file and in the topic that the service writes to, is compared with an undisturbed run over the
same topic.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from confluent_kafka import Consumer, Producer, TopicPartition
from kill_files import ROOT, RUN, SEED, THRESHOLDS, Alerts, differences, jsonl, made_bundle, traffic
from record import record

sys.path.insert(0, str(ROOT / "tests"))
from broker import Broker

PARTITIONS = 4
GROUP = {"session.timeout.ms": 1500, "heartbeat.interval.ms": 300}
"""The group waits this long for a killed member, and the broker lets a new one join after half of it."""
START_S, SAVE_S, PATIENCE_S, MOST_SAVES = 3.0, 0.3, 60.0, 12
POISON = (b"no json", b"\0\0\0", b'{"user_id": "x"}', b"", b"\xff\xfe", b'[{"prompt_tokens": -1}]')


@dataclass
class Feed:
    """Puts the events into the topic, at an even rate until ``hurry`` is set; poison among them."""

    broker: Broker
    topic: str
    texts: list[bytes]
    partitions: list[int]
    rate_s: float
    hurry: threading.Event = field(default_factory=threading.Event)
    ends: list[int] = field(default_factory=lambda: [0] * PARTITIONS)
    done: bool = False

    def run(self) -> None:
        producer = Producer({"bootstrap.servers": self.broker.servers, "log_level": 2, "linger.ms": 20})
        rng, begun = random.Random(SEED), time.monotonic()
        for number, (text, partition) in enumerate(zip(self.texts, self.partitions, strict=True)):
            if rng.random() < 0.001:
                producer.produce(self.topic, rng.choice(POISON), partition=partition)
                self.ends[partition] += 1
            producer.produce(self.topic, text, partition=partition)
            self.ends[partition] += 1
            if number % 1000 == 0:
                while producer.poll(0) or len(producer) > 50_000:
                    time.sleep(0.01)
                self.hurry.wait(max(0.0, begun + number / self.rate_s - time.monotonic()))
        if producer.flush(60):
            raise RuntimeError("the broker did not take all events")
        self.done = True


@dataclass
class Service:
    """``seqdetect serve`` in a folder of its own, however often it is killed."""

    folder: Path
    broker: Broker
    topic: str
    dead: str
    bundle: str
    fell: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.alerts = self.broker.topic(PARTITIONS)
        servers, name = self.broker.servers, self.folder.name
        kafka = {
            "servers": servers,
            "topics": [self.topic],
            "group": name,
            "dead_letters": self.dead,
            "settings": GROUP,
        }
        thresholds = {tier: float(value) for tier, value in (one.split("=") for one in THRESHOLDS)}
        settings = {
            "models": [{"name": "m", "bundle": self.bundle, "thresholds": thresholds}],
            "input": {"kafka": kafka},
            "outputs": [
                {"jsonl": {"path": "alerts.jsonl"}},
                {"kafka": {"servers": servers, "topic": self.alerts}},
            ],
            "checkpoint": {"folder": "state", "every_s": SAVE_S},
            "http": {"port": 0},
            "log": {"level": "debug"},
        }
        (self.folder / "scorer.yaml").write_text(yaml.safe_dump(settings))
        self._consumer = Consumer({"bootstrap.servers": servers, "group.id": name, "log_level": 2})

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", RUN, "serve", "--config", str(self.folder / "scorer.yaml")]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def killed(self, rng: random.Random) -> None:
        """Start, and kill at a random moment."""
        process = self.start()
        assigned, enough, lines = threading.Event(), threading.Event(), list[str]()
        early, saves = rng.random() < 0.2, rng.randrange(MOST_SAVES + 1)

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if "part_assigned" in line:
                    assigned.set()
                if assigned.is_set() and sum("checkpoint_saved" in one for one in lines) >= saves:
                    enough.set()

        thread = threading.Thread(target=listen)
        thread.start()
        if early:
            assigned.wait(rng.uniform(0, START_S))
        else:
            enough.wait(PATIENCE_S)
            time.sleep(rng.uniform(0, 2 * SAVE_S))
        if process.poll() is not None:
            raise RuntimeError("".join(lines))
        process.kill()
        process.wait()
        thread.join()
        self.fell["kills"] += 1
        saved = any("checkpoint_saved" in line for line in lines)
        self.fell[
            "after a checkpoint" if saved else "before one" if assigned.is_set() else "while it joined"
        ] += 1
        if any(line for line in self.folder.glob("state/*.part*")):
            self.fell["inside a checkpoint write"] += 1

    def finish(self, feed: Feed) -> None:
        """Run until everything is committed, then stop."""
        process = self.start()
        listener = threading.Thread(target=process.communicate)
        listener.start()
        while not (feed.done and self.committed() == feed.ends):
            if process.poll() is not None:
                raise RuntimeError("the service ended by itself")
            time.sleep(0.2)
        process.terminate()
        listener.join()

    def committed(self) -> list[int]:
        places = [TopicPartition(self.topic, partition) for partition in range(PARTITIONS)]
        return [one.offset for one in self._consumer.committed(places, timeout=20)]

    def written(self) -> tuple[Alerts, int]:
        """The last states in the file, and how many changes were written."""
        return _last((self.folder / "alerts.jsonl").read_text().splitlines())

    def sent(self) -> tuple[Alerts, int]:
        """The same of the topic."""
        messages = self.broker.all(self.alerts, 1_000_000, PARTITIONS, seconds=10)
        return _last(message.value() for message in messages)


def _last(lines: Iterable[bytes | str]) -> tuple[Alerts, int]:
    changes = [json.loads(line) for line in lines]
    return {change["alert_id"]: change for change in changes}, len(changes)


def main() -> None:
    """Feed, kill, compare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--events", type=int, default=1_500_000)
    parser.add_argument("--out", default=str(ROOT / "out" / "reliability" / "kill_kafka"))
    options = parser.parse_args()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    table = traffic(options.events)
    users = table.column("user_id").to_pylist()
    partitions = [int(user.rpartition("-")[2]) % PARTITIONS for user in users]
    texts = jsonl(table).splitlines()
    broker, rng = Broker(), random.Random(SEED)
    try:
        topic, dead = broker.topic(PARTITIONS), broker.topic()
        feed = Feed(broker, topic, texts, partitions, options.events / (options.kills * 4.5))
        feeding = threading.Thread(target=feed.run)
        feeding.start()
        killed = Service(folder / "killed", broker, topic, dead, made_bundle(folder))
        while killed.fell["kills"] < options.kills:
            killed.killed(rng)
            if killed.fell["kills"] % 10 == 0:
                print(
                    dict(killed.fell),
                    sum(feed.ends),
                    "fed,",
                    sum(map(max, killed.committed(), [0] * 4)),
                    "safe",
                )
        feed.hurry.set()
        killed.finish(feed)
        feeding.join()
        alone = Service(folder / "undisturbed", broker, topic, broker.topic(), killed.bundle)
        alone.finish(feed)
        compare(killed, alone, sum(feed.ends))
    finally:
        broker.close()


def compare(killed: Service, alone: Service, messages: int) -> None:
    """Say what differs, and write it down."""
    expected, once = alone.written()
    rows: list[tuple[str, object, object, str]] = [
        (
            "kills",
            killed.fell["kills"],
            "",
            f"{messages} messages, {PARTITIONS} partitions, file and topic written",
        ),
        *(
            (f"kills {what}", n, killed.fell["kills"], "")
            for what, n in killed.fell.items()
            if what != "kills"
        ),
    ]
    for where, (found, changes) in (("file", killed.written()), ("topic", killed.sent())):
        lost, other = differences(found, expected)
        rows += [
            (f"alerts lost, {where}", lost, len(expected), ""),
            (f"alerts repeated or with another last state, {where}", other, len(expected), ""),
            (f"changes told again, {where}", changes - once, once, "harmless: the same ids and states"),
        ]
    record("kill_kafka", rows)


if __name__ == "__main__":
    main()
