"""Events a second inside Spark, by user and by groups of users, on one core and two, against the single process.

    python experiments/spark/run.py BUNDLE out/spark

All of it is measured over the same files, after a first one that warms up. Each line of the result comes from a
process of its own on its own cores; CPU seconds are those of all processes that it started (JVM, Python workers).
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
USERS, RATE_S = 5_000, 1 / 3
PART_S, PARTS = 60, 3
BEGIN_S = 1_772_445_600  # 2026-03-02T10:00:00Z
GROUPS = 64
CONFIGS = [
    ("alone", 1), ("groups", 1), ("groups", 2), ("user", 1), ("user", 2), ("groups, no Spark", 1), ("user, no Spark", 1)
]  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One row of results.csv; ``stage`` is a query of the job, or all of it."""

    state: str
    cores: int
    stage: str
    events: int
    wall_s: float
    cpu_s: float
    events_per_s: float
    events_per_cpu_s: float
    unequal_scores: int | str = ""


def main(bundle: str, folder: Path) -> None:
    """Write the events, run every configuration in a process of its own, compare the scores, write results.csv."""
    shutil.rmtree(folder, ignore_errors=True)
    make(folder / "events")
    lines: list[Line] = []
    for state, cores in CONFIGS:
        place = folder / f"{state.split(',')[0]}-{cores}{'-bare' * state.endswith('no Spark')}"
        place.mkdir()
        command = [
            "taskset",
            "-c",
            ",".join(map(str, range(cores))),
            sys.executable,
            __file__,
            "--one",
            state,
            str(cores),
        ]
        with (place / "log.txt").open("w") as log:
            subprocess.run(
                [*command, bundle, str(folder / "events"), str(place)],
                check=True,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        lines += [Line(**one) for one in json.loads((place / "lines.json").read_text())]
        print(*lines[-3:], sep="\n", flush=True)
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(lines[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in lines)


def make(folder: Path) -> None:
    """``PARTS`` files of ``PART_S`` seconds of ``USERS`` steady users, as JSON lines."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in range(PARTS):
        count = rng.poisson(USERS * RATE_S * PART_S)
        times = np.sort(rng.uniform(part * PART_S, (part + 1) * PART_S, count)) + BEGIN_S
        user = rng.integers(0, USERS, count)
        prompt, completion = (np.exp(rng.normal(mean, 1.0, count)).astype(int) for mean in (6.5, 5.0))
        latency = rng.lognormal(6.0, 0.5, count)
        text = [
            f'{{"timestamp":{t:.6f},"user_id":"user-{u:05d}","model":"m-large","prompt_tokens":{p},'
            f'"completion_tokens":{c},"client_ip":"10.0.{u // 250}.{u % 250}","status":200,"latency_ms":{w:.1f}}}\n'
            for t, u, p, c, w in zip(times, user, prompt, completion, latency, strict=True)
        ]
        path = folder / f"{part}.jsonl"
        path.write_text("".join(text))
        os.utime(path, (BEGIN_S + part, BEGIN_S + part))


def one(state: str, cores: int, bundle: str, events: Path, place: Path) -> None:
    """Measure one configuration; runs on the cores that it was started on."""
    if state == "alone":
        lines = alone(bundle, events, place)
    elif state.endswith("no Spark"):
        lines = bare(state, bundle, events)
    else:
        lines = spark(state, cores, bundle, events, place)
    (place / "lines.json").write_text(json.dumps([asdict(line) for line in lines]))


def alone(bundle: str, events: Path, place: Path) -> list[Line]:
    """The single process; parsing is part of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from seqdetect.bundle.load import load
    from seqdetect.events import Tally
    from seqdetect.score.engine import Engine
    from seqdetect.score.writer import table
    from seqdetect.source.files import Files

    tally, scored = Tally(), []
    engine = Engine(load(bundle), tally)
    for number, path in enumerate(parts(events)):
        if number == 1:
            mark, before = Mark(), tally.read
        scored += [table(engine.push(batch)) for batch in Files(str(path)).read(tally)]
    line = mark.line("alone", 1, "all", tally.read - before)
    pq.write_table(pa.concat_tables(scored), place / "scores.parquet")
    return [line]


def spark(state: str, cores: int, bundle: str, events: Path, place: Path) -> list[Line]:
    """Both queries, one micro batch per file, over what is there."""
    sys.path.insert(0, str(HERE.parents[1] / "serving" / "spark"))
    from seqdetect_spark import queries

    session = queries.session(
        "throughput",
        spark__master=f"local[{cores}]",
        spark__ui__enabled="false",
        spark__sql__shuffle__partitions=str(cores),
        spark__driver__memory="3g",
    )
    job = queries.Job(str(place / "job"), bundle, 0 if state == "user" else GROUPS)
    queries.ship(session, job)
    once = {"availableNow": True}
    first, rest = parts(events)[0], parts(events)[1:]
    incoming = place / "in"
    incoming.mkdir()
    lines, counts = [], sum(line_count(path) for path in rest)
    progress = {}

    def steps() -> Any:
        return queries.start_steps(
            job, queries.json_lines(session, str(incoming), maxFilesPerTrigger="1"), once
        )

    def scores() -> Any:
        # One micro batch of steps at a time, which has a file per partition; those of the warming up all at once.
        limit = {"maxFilesPerTrigger": str(cores)} if lines else {}
        return queries.start_scores(job, session, once, **limit)

    for stage, start, fill in (
        ("warm", steps, [first]),
        ("warm", scores, []),
        ("steps", steps, rest),
        ("scores", scores, []),
    ):
        for path in fill:
            shutil.copy2(path, incoming)
        mark = Mark()
        query = start()
        query.awaitTermination()
        if stage != "warm":
            lines.append(mark.line(state, cores, stage, counts))
            progress[stage] = [json.loads(one.json) for one in query.recentProgress]
    (place / "progress.json").write_text(json.dumps(progress))
    unequal = compare(session, place)
    wall, cpu = (sum(getattr(line, name) for line in lines) for name in ("wall_s", "cpu_s"))
    return [*lines, result(state, cores, "all", counts, wall, cpu, unequal)]


def bare(state: str, bundle: str, events: Path) -> list[Line]:
    """What the job's own Python does with the same files, group by group, without Spark around it."""
    sys.path.insert(0, str(HERE.parents[1] / "serving" / "spark"))
    import pyarrow as pa
    from seqdetect_spark.featuring import Group
    from seqdetect_spark.packs import Packer, tick_us
    from seqdetect_spark.scoring import history, rows_of

    from seqdetect.bundle.load import load
    from seqdetect.score.engine import Judge
    from seqdetect.score.stepper import Stepper
    from seqdetect.score.writer import table
    from seqdetect.sequence.requests import Keys

    judge = Judge(load(bundle))
    tick = tick_us(judge.bundle.metadata.tick_s)
    packer = Packer(tick, groups=0 if state.startswith("user") else GROUPS)
    memories: dict[str, Any] = {}
    states: dict[str, tuple[list[str], np.ndarray]] = {}
    spent = {"pack": [0.0, 0.0], "steps": [0.0, 0.0], "scores": [0.0, 0.0]}

    def done(stage: str, mark: Mark) -> None:
        spent[stage][0] += time.perf_counter() - mark.wall
        spent[stage][1] += cpu_s() - mark.cpu

    closed = 0
    for number, path in enumerate(parts(events)):
        if number == 1:
            spent = {stage: [0.0, 0.0] for stage in spent}
        lines = path.read_bytes().splitlines()
        mark = Mark()
        batches = [
            pa.record_batch([pa.array(lines[i : i + 65_536])], ["value"])
            for i in range(0, len(lines), 65_536)
        ]
        packs: dict[str, tuple[list[list[str]], list[bytes]]] = {}
        for batch in packer(iter(batches)):
            for row in batch.slice(0, batch.num_rows - 1).select(["group", "users", "requests"]).to_pylist():
                users, requests = packs.setdefault(row["group"], ([], []))
                users.append(row["users"])
                requests.append(row["requests"])
        done("pack", mark)
        mark, rows = Mark(), {}
        for name, (users, requests) in packs.items():
            group = Group(tick, memories.get(name))
            group.take(users, requests, closed)
            rows[name] = group.complete(closed)
            group.timer = group.due()
            memories[name] = group.memory()
        done("steps", mark)
        mark = Mark()
        for name, row in rows.items():
            if row is not None:
                known, state_rows = states.get(
                    name, ([], np.zeros((0, len(judge.stepper.initial)), np.float32))
                )
                keys = Keys(known)
                steps = rows_of(row[0], row[1], keys)
                judge.stepper = Stepper(judge.stepper.session, judge.stepper.initial)
                judge.stepper.restore(state_rows)
                table(judge.score(history(steps), keys.names)).to_pandas()
                states[name] = keys.names, judge.stepper.state[: len(keys)].copy()
        done("scores", mark)
        closed = (BEGIN_S + (number + 1) * PART_S) * 1_000_000 - 2 * tick
    count = sum(line_count(path) for path in parts(events)[1:])
    return [result(state, 1, stage, count, wall, cpu) for stage, (wall, cpu) in spent.items()]


def compare(session: Any, place: Path) -> int:
    """Steps of the job that the single process scored otherwise or not at all, and the other way round."""
    import pyarrow.parquet as pq

    want = (
        pq.read_table(place.parent / "alone-1" / "scores.parquet")
        .to_pandas()
        .set_index(["user_id", "timestamp"])
    )
    found = session.read.parquet(str(place / "job" / "scores")).toPandas()
    found["timestamp"] = found["timestamp"].dt.tz_localize("UTC")
    both = want.join(found.set_index(["user_id", "timestamp"]), how="outer", rsuffix="_spark")
    return int((both["score"] != both["score_spark"]).sum())


def parts(events: Path) -> list[Path]:
    return sorted(events.iterdir())


def line_count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


class Mark:
    """A moment to measure from."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), cpu_s()

    def line(self, state: str, cores: int, stage: str, events: int) -> Line:
        return result(state, cores, stage, events, time.perf_counter() - self.wall, cpu_s() - self.cpu)


def result(
    state: str, cores: int, stage: str, events: int, wall: float, cpu: float, unequal: int | str = ""
) -> Line:
    rates = round(events / wall), round(events / cpu)
    return Line(state, cores, stage, events, round(wall, 2), round(cpu, 2), *rates, unequal)


def cpu_s() -> float:
    """CPU seconds of all processes of this session, and of those of their children that have ended."""
    ticks = sum(int(field) for stat in _stats() if int(stat[3]) == os.getsid(0) for field in stat[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _stats() -> Iterator[list[str]]:
    """The fields of /proc/PID/stat from the third on."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield path.read_text().rpartition(")")[2].split()
        except OSError:
            continue


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]), Path(sys.argv[6]))
    else:
        main(sys.argv[1], Path(sys.argv[2]))
