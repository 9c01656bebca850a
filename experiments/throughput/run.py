"""How fast and how large is the scorer, beside what others need for the same work on the same core in the same run?

    .venv/bin/python experiments/throughput/run.py --bundle BUNDLE [--core N] [--rounds N] [--first]

Measures the last commit. Makes the traffic and the peers' environment in ``out/throughput`` where they are not there
yet, runs every measure in a process of its own on one core, references in turn with ours, and writes ``results.csv``,
``stages.png`` and the marked blocks of ``report.md``. About ten minutes. The bundle of the report was made by

    python train.py source=servegen source.clients=30 source.start_day=6 source.days=3 source.max_rate=0.333 \\
        exposure.copies=3 out=out/champion
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import results
import traffic
from pinned import HERE, TREE, Core

OUT = traffic.ROOT / "out" / "throughput"
Raw = dict[str, Any]
MEMORY_USERS, BOUND = "200000,1000000", "200000"
USERS_AND_RATES = (
    (100, 20),
    (1_000, 20),
    (5_000, 4),
    (5_000, 20),
    (5_000, 100),
    (20_000, 20),
    (100_000, 4),
    (100_000, 20),
)
LIVE_S, LIVE_RATE = 100, 50_000
FEW_ROUNDS = 3
_STEPS = re.compile(r"steps: (\d+) scored of (\d+) users, (\d+) at warning, (\d+) at critical")


class Run:
    """All measures of one run. ``bundle`` is the champion, ``rounds`` how often each measure is taken."""

    def __init__(self, bundle: Path, core: Core, rounds: int) -> None:
        self.bundle, self.core, self.rounds = bundle.resolve(), core, rounds
        self.peers = OUT / "peers" / "bin" / "python"

    def streams(self) -> Raw:
        """Bytes to rows and to alerts, evenly and flooded, beside decoders and streaming detectors."""
        self._warm()
        events = OUT / "events.jsonl"
        python = sys.executable
        measures: dict[str, Callable[[], Any]] = {
            "decode": lambda: self.core.script("peers", "decode", events, python=self.peers),
            "parse": lambda: self.core.run([python, HERE / "rows.py", "parse"], events).data,
            "jsonl": lambda: self.core.run([python, HERE / "rows.py", "jsonl"], events).data,
            "parquet": lambda: self.core.script("rows", "parquet", OUT / "events.parquet"),
            "arrow": lambda: self.core.script("rows", "arrow", OUT / "events.parquet"),
            "alerts": lambda: self._alerts("events", "head"),
            "flood": lambda: self._alerts("flood", "flood_head"),
            **{
                name: lambda name=name: self.core.script("peers", name, events, python=self.peers)
                for name in ("river", "river25", "pysad")
            },
        }
        return in_turns(measures, self.rounds)

    def graphs(self) -> Raw:
        """Step functions alone, and a windowed LSTM beside matrix products."""
        measures: dict[str, Callable[[], Any]] = {
            "champion": lambda: self.core.script("graphs", "champion", self.bundle),
            "windows": lambda: self.core.script("graphs", "windows", self.bundle),
            "products": lambda: self.core.script("graphs", "products"),
        }
        return in_turns(measures, FEW_ROUNDS)

    def memory(self) -> Raw:
        """Resident size by users seen, without and with a bound."""
        measures: dict[str, Callable[[], Any]] = {
            "free": lambda: self.core.script("memory", self.bundle, MEMORY_USERS),
            "bound": lambda: self.core.script("memory", self.bundle, MEMORY_USERS, BOUND),
        }
        return in_turns(measures, FEW_ROUNDS)

    def density(self) -> Raw:
        """Events already in memory, by number of users and by rate of each."""
        parquet = OUT / "events.parquet"
        measures: dict[str, Callable[[], Any]] = {
            f"{users} {rate}": lambda users=users, rate=rate: self.core.script(
                "scoring", "density", self.bundle, parquet, users, rate
            )
            for users, rate in USERS_AND_RATES
        }
        return in_turns(measures, FEW_ROUNDS)

    def live(self) -> Raw:
        """Event to alert, the scorer on the core and the sender on the others."""
        arguments = [self.bundle, OUT / "events.parquet", self.core.number, LIVE_S, LIVE_RATE]
        others = Core(self.core.others[0], first=True)
        return {way: others.script("live", way, *arguments) for way in ("serve", "score")}

    def profile(self) -> Raw:
        """Where the time goes, by function."""
        return self.core.script("scoring", "profile", self.bundle, OUT / "events.jsonl", OUT / "warm.ckpt")

    def _score(self, *options: object) -> list[object]:
        return [sys.executable, "-m", "seqdetect.cli", "score", "--quiet", "--bundle", self.bundle, *options]

    def _warm(self) -> None:
        """The memory of a scorer that has seen the warm-up."""
        (OUT / "warm.ckpt").unlink(missing_ok=True)
        events = ["--events", OUT / "warm.parquet", "--checkpoint", OUT / "warm.ckpt"]
        self.core.run(self._score(*events, "--alerts", OUT / "warm.alerts.jsonl"))

    def _alerts(self, whole: str, head: str) -> dict[str, float]:
        """What the events after the head cost the command that people run: all of them less the head alone."""
        found = []
        for name in (head, whole):
            alerts = OUT / f"{name}.alerts.jsonl"
            options = ["--events", "-", "--resume", OUT / "warm.ckpt", "--alerts", alerts]
            spent = self.core.run(self._score(*options), OUT / f"{name}.jsonl")
            (steps,) = (match.groups() for line in spent.said if (match := _STEPS.search(line)))
            found.append([spent.cpu_s, spent.wall_s, *map(int, steps)])
        (a_cpu, a_wall, a_steps, *_), (cpu, wall, steps, _, warning, critical) = found
        events = int((OUT / "done").read_text().split()[1]) - traffic.HEAD_EVENTS
        return {
            "events": events,
            "cpu_s": cpu - a_cpu,
            "wall_s": wall - a_wall,
            "steps": steps - a_steps,
            "hot_share": (warning + critical) / steps,
            "start_cpu_s": a_cpu,
        }


def in_turns(measures: dict[str, Callable[[], Any]], rounds: int) -> Raw:
    """What each measure said, round by round: noise meets all of them alike."""
    found: Raw = {name: [] for name in measures}
    for number in range(rounds):
        for name, measure in measures.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(measure())
    return found


def peers(folder: Path) -> None:
    """The peers' environment, from ``peers.txt``, unless it is there."""
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", "-r", HERE / "peers.txt"], check=True)


def take_out(folder: Path) -> None:
    """Put the sources of the last commit into ``folder``, and the commit's name beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(
        ["git", "archive", "--output", folder / "src.tar", name, "src"], cwd=traffic.ROOT, check=True
    )
    subprocess.run(["tar", "-xf", folder / "src.tar", "-C", folder], check=True)
    (folder / "commit").write_text(name)


def machine(core: Core) -> dict[str, Any]:
    """What was measured on."""
    found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": found.group(1) if found else platform.processor(),
        "cores": os.cpu_count(),
        "core": core.number,
        "first": bool(core.first),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "commit": (TREE / "commit").read_text(),
    }


SECTIONS = ("streams", "graphs", "memory", "density", "live", "profile")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the scorer beside its references.")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--first", action="store_true", help="at real-time priority, before the machine's other work"
    )
    parser.add_argument(
        "--only", nargs="*", default=SECTIONS, choices=SECTIONS, help="the rest from the last run"
    )
    options = parser.parse_args()
    peers(OUT / "peers")
    traffic.make(OUT)
    take_out(TREE)
    run, kept = Run(options.bundle, Core(options.core, options.first), options.rounds), OUT / "raw.json"
    raw: Raw = json.loads(kept.read_text()) if kept.exists() else {}
    for name in options.only:
        raw[name] = getattr(run, name)()
        raw["machine"] = machine(run.core)
        raw["traffic"] = [int(word) for word in (OUT / "done").read_text().split()]
        kept.write_text(json.dumps(raw))
    if all(name in raw for name in SECTIONS):
        results.write(raw)


if __name__ == "__main__":
    main()
