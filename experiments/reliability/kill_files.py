"""``seqdetect score`` over files, killed at random moments and started again until it ends: are the alerts the same?

    python experiments/reliability/kill_files.py [--bundle BUNDLE] [--kills 100]

Each trial is one run over one kind of input (JSON lines, the same zipped, Parquet, all of them at once), killed with
SIGKILL again and again, each time at a moment drawn from the whole length of a run. It goes on with the same command.
The last state of every alert must be that of a run that nobody disturbed. Further kills are aimed: each strikes as soon
as a checkpoint is being written. Then a run is cut short with a good checkpoint before the newest one, the newest is
damaged in several ways, a line of alerts is left half written, and the run goes on.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from record import record

from seqdetect.events import MICROSECONDS, conform

ROOT = Path(__file__).resolve().parents[2]
START_US = 1_772_409_600 * MICROSECONDS
HOURS, USERS, BURSTS = 3, 100_000, 300
THRESHOLDS = ("warning=2", "critical=3")
"""Low for the traffic made here: a few thousand alerts."""
RUN = "import sys; from seqdetect.cli import main; sys.exit(main())"
SEED = 4
Alerts = dict[str, dict[str, object]]


def traffic(events: int, seed: int = SEED) -> pa.Table:
    """Requests of many users, now and then one much longer than usual, and bursts of a single user."""
    rng = np.random.default_rng(seed)
    span = HOURS * 3600
    seconds = [rng.uniform(0, span, events)]
    users = [rng.integers(0, USERS, events)]
    for _ in range(BURSTS):
        burst = int(rng.integers(40, 200))
        seconds.append(rng.uniform(0, span) + rng.uniform(0, 30, burst))
        users.append(np.full(burst, rng.integers(0, USERS)))
    second, user = np.concatenate(seconds), np.concatenate(users)
    order = np.argsort(second, kind="stable")
    second, user = second[order], user[order]
    rows = len(second)
    late = rng.random(rows) < 0.01  # a little disorder, within the lateness
    micros = START_US + np.rint((second - np.where(late, rng.uniform(0, 8, rows), 0)) * 1e6).astype(np.int64)
    names = pa.array([f"user-{number}" for number in range(USERS)])
    return conform(
        pa.table(
            {
                "timestamp": pa.array(micros).cast(pa.timestamp("us", "UTC")),
                "user_id": pa.DictionaryArray.from_arrays(user.astype(np.int32), names),
                "prompt_tokens": rng.lognormal(5, 1, rows).astype(np.int64),
                "completion_tokens": rng.lognormal(5.5, 1.2, rows).astype(np.int64),
                "event_id": pa.array(np.arange(rows) - (rng.random(rows) < 0.001)).cast(pa.string()),
            }
        )
    )


def jsonl(table: pa.Table) -> bytes:
    """The rows as JSON lines."""
    micros = table.column("timestamp").cast(pa.int64()).to_pylist()
    rest = table.drop_columns("timestamp").to_pylist()
    return b"".join(
        json.dumps({"timestamp": at / 1e6} | row).encode() + b"\n"
        for at, row in zip(micros, rest, strict=True)
    )


def inputs(folder: Path, events: int) -> dict[str, list[str]]:
    """Files by the kind of input; those of ``several`` share the users out among them."""
    table = traffic(events)
    number = pc.cast(pc.replace_substring(table.column("user_id").cast(pa.string()), "user-", ""), pa.int32())
    thirds = [
        table.filter(pc.equal(pc.subtract(number, pc.multiply(pc.divide(number, 3), 3)), k)) for k in range(3)
    ]
    text = jsonl(table)
    (folder / "one.jsonl").write_bytes(text)
    (folder / "one.jsonl.gz").write_bytes(gzip.compress(text, 1))
    pq.write_table(table, folder / "one.parquet")
    (folder / "part-a.jsonl").write_bytes(jsonl(thirds[0]))
    (folder / "part-b.jsonl.gz").write_bytes(gzip.compress(jsonl(thirds[1]), 1))
    pq.write_table(thirds[2], folder / "part-c.parquet")
    several = [str(folder / name) for name in ("part-a.jsonl", "part-b.jsonl.gz", "part-c.parquet")]
    return {
        "jsonl": [str(folder / "one.jsonl")],
        "gzip": [str(folder / "one.jsonl.gz")],
        "parquet": [str(folder / "one.parquet")],
        "several": several,
    }


@dataclass
class Job:
    """One run of the command, however often it is killed; its alerts and checkpoints lie in ``folder``."""

    bundle: str
    events: list[str]
    folder: Path
    every_s: float
    fell: Counter[str] = field(default_factory=Counter)
    """Where kills fell."""

    @property
    def checkpoint(self) -> Path:
        return self.folder / "memory.ckpt"

    @property
    def alerts(self) -> Path:
        return self.folder / "alerts.jsonl"

    def start(self) -> subprocess.Popen[str]:
        """The command, from the beginning or going on."""
        thresholds = [word for one in THRESHOLDS for word in ("--threshold", one)]
        words = [
            *(sys.executable, "-c", RUN, "score", "--bundle", self.bundle, "--events", *self.events),
            *("--alerts", str(self.alerts), "--checkpoint", str(self.checkpoint)),
            *("--checkpoint-every", str(self.every_s), *thresholds),
        ]
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def fresh(self) -> None:
        """Forget what was done so far."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def finish(self) -> str:
        """Let a run come to its end; what it said. Raises ``RuntimeError`` if it fails."""
        process = self.start()
        said = process.communicate()[1]
        if process.returncode:
            raise RuntimeError(said)
        return said

    def killed(self, after_s: float) -> bool:
        """Start, kill after so many seconds; False where the run had come to its end by itself."""
        process = self.start()
        try:
            said = process.communicate(timeout=after_s)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self._note(process.pid)
            return True
        if process.returncode:
            raise RuntimeError(said)
        return False

    def shot(self, after: int) -> bool:
        """Start, and kill in the checkpoint write after so many whole ones; False where the run ended before."""
        process = self.start()
        aside = Path(f"{self.checkpoint}.{process.pid}.part")
        whole, last = 0, _identity(self.checkpoint)
        while process.poll() is None:
            if whole >= after and aside.exists():
                break
            found = _identity(self.checkpoint)
            if found not in (last, None):
                whole, last = whole + 1, found
            time.sleep(0.0005)
        process.kill()
        process.communicate()
        if process.returncode == 0:
            return False
        self._note(process.pid)
        return True

    def _note(self, pid: int) -> None:
        before = self.checkpoint.with_name(self.checkpoint.name + ".previous")
        self.fell["kills"] += 1
        self.fell["while alerts were written"] += self._torn()
        if Path(f"{self.checkpoint}.{pid}.part").exists():
            self.fell["inside a checkpoint write"] += 1
        elif before.exists() and not self.checkpoint.exists():
            self.fell["between the two moves of a checkpoint"] += 1
        elif not self.checkpoint.exists():
            self.fell["before the first checkpoint"] += 1

    def _torn(self) -> bool:
        return self.alerts.exists() and not (self.alerts.read_bytes() or b"\n").endswith(b"\n")

    def found(self) -> Alerts:
        """The last state of each alert."""
        lines = self.alerts.read_text().splitlines()
        return {change["alert_id"]: change for change in map(json.loads, lines)}


def _identity(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def differences(found: Alerts, expected: Alerts) -> tuple[int, int]:
    """Alerts that are missing, and those that should not be there or whose last state is another."""
    lost = sum(name not in found for name in expected)
    other = sum(expected.get(name) != alert for name, alert in found.items())
    return lost, other


@dataclass
class Undisturbed:
    """Runs that nobody disturbs, by kind of input."""

    alerts: dict[str, Alerts] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def undisturbed(options: argparse.Namespace, kinds: dict[str, list[str]], folder: Path) -> Undisturbed:
    """Run each kind once."""
    found = Undisturbed()
    for kind, events in kinds.items():
        job = Job(options.bundle, events, folder / "undisturbed", options.every)
        job.fresh()
        begun = time.monotonic()
        job.finish()
        found.seconds[kind], found.alerts[kind] = time.monotonic() - begun, job.found()
    return found


def kill_all(
    options: argparse.Namespace, kinds: dict[str, list[str]], folder: Path, calm: Undisturbed, aimed: bool
) -> None:
    """Kill until there were enough kills, at any moment or ``aimed`` at checkpoint writes."""
    rng = random.Random(SEED)
    name, wanted = ("kill_files_aimed", options.aimed) if aimed else ("kill_files", options.kills)
    fell: Counter[str] = Counter()
    lost = other = left = trials = 0
    while fell["kills"] < wanted or trials < len(kinds):
        kind = list(kinds)[trials % len(kinds)]
        job = Job(options.bundle, kinds[kind], folder / "killed", options.every)
        job.fresh()
        struck = True
        while struck:
            struck = job.shot(rng.randint(0, 3)) if aimed else job.killed(rng.uniform(0, calm.seconds[kind]))
        missing, differing = differences(job.found(), calm.alerts[kind])
        lost, other, trials = lost + missing, other + differing, trials + 1
        fell += job.fell
        left += len(list(job.folder.glob("*.part")))
        print(f"{kind}: {dict(job.fell)}, {missing} lost, {differing} differ", flush=True)
    alerts = ", ".join(f"{kind} {len(found)}" for kind, found in calm.alerts.items())
    rows: list[tuple[str, object, object, str]] = [
        ("kills", fell["kills"], "", f"in {trials} runs over {', '.join(kinds)}"),
        *((f"kills {what}", count, fell["kills"], "") for what, count in fell.items() if what != "kills"),
        ("alerts lost", lost, "", f"alerts in one undisturbed run: {alerts}"),
        ("alerts repeated or with another last state", other, "", ""),
        ("unfinished checkpoints left behind", left, "", ""),
    ]
    record(name, rows)


def damage(options: argparse.Namespace, events: list[str], folder: Path, expected: Alerts) -> None:
    """Cut a run short, damage its newest checkpoint in several ways, and go on each time."""
    job = Job(options.bundle, events, folder / "damaged", options.every)
    before = Path(f"{job.checkpoint}.previous")
    while True:
        job.fresh()
        process = job.start()
        while process.poll() is None and not (before.exists() and job.checkpoint.exists()):
            time.sleep(0.01)
        process.kill()
        process.communicate()
        if before.exists() and job.checkpoint.exists() and b'"ended": false' in job.checkpoint.read_bytes():
            break
    whole = job.checkpoint.read_bytes()
    middle = len(whole) // 2
    ways = {
        "truncated": whole[:middle],
        "empty": b"",
        "foreign": Path(__file__).read_bytes(),
        "one bit flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
        "version 1": whole.replace(b"checkpoint 3\n", b"checkpoint 1\n", 1),
    }
    kept = folder / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(job.folder, kept)
    refused = same = 0
    for way, data in ways.items():
        job.fresh()
        shutil.copytree(kept, job.folder, dirs_exist_ok=True)
        job.checkpoint.write_bytes(data)
        with open(job.alerts, "a") as file:
            file.write('{"alert_id": "half a li')
        said = job.finish()
        refused += "the checkpoint before it is used" in said and "going on after" in said
        lost, other = differences(job.found(), expected)
        same += lost == other == 0
        print(f"{way}: {lost} lost, {other} differ: {said.splitlines()[0]}", flush=True)
    rows: list[tuple[str, object, object, str]] = [
        ("newest checkpoint refused, the one before it used", refused, len(ways), ", ".join(ways)),
        ("end result the same", same, len(ways), "each with a half line at the end of the alerts"),
    ]
    record("kill_files_damaged", rows)


def made_bundle(folder: Path) -> str:
    """The handmade bundle of the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    import handmade

    return str(handmade.write(folder / "bundle.onnx"))


def main() -> None:
    """Make the inputs, kill, damage."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--aimed", type=int, default=30)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--every", type=float, default=0.2)
    parser.add_argument("--out", default=str(ROOT / "out" / "reliability" / "kill"))
    options = parser.parse_args()
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    options.bundle = options.bundle or made_bundle(folder)
    kinds = inputs(folder, options.events)
    calm = undisturbed(options, kinds, folder)
    if options.kills:
        kill_all(options, kinds, folder, calm, aimed=False)
    if options.aimed:
        kill_all(options, kinds, folder, calm, aimed=True)
    damage(options, kinds["jsonl"], folder, calm.alerts["jsonl"])


if __name__ == "__main__":
    main()
