"""A million hostile inputs: the parsers, the scorer behind them, and checkpoint files.

    python experiments/reliability/fuzz.py [--budget 1000000] [--seconds 1500]

The budget is shared out in pieces; each runs in a process of its own, so that a crash or a hang is seen and the next
piece goes on. What fails is written to ``out/reliability/failures`` with the seed that makes it again:
``fuzz.py --piece NAME SEED COUNT``.

| piece | one input is | what must hold |
|---|---|---|
| jsonl | a line | read as columns or one by one, blocks of any size: same rows, same rejections, every line counted |
| csv | a line | the same rows and rejections for blocks of any size |
| file | a file of any kind | it is read, or refused with a message |
| scorer | a line | counts add up; other users' steps and scores are the same to the bit |
| checkpoint | a file | it is read, or refused with a message |
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from hostile import FailedError
from record import record

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "reliability"
SHARES = {"jsonl": 0.45, "csv": 0.2, "scorer": 0.29, "file": 0.03, "checkpoint": 0.03}
PIECE = {"jsonl": 15_000, "csv": 50_000, "scorer": 15_000, "file": 5_000, "checkpoint": 5_000}
"""Inputs of one process."""
HANG_CPU_S = 240
"""Of one process; several times what it takes."""
MOST_FAILURES = 5
"""A piece stops after so many: they are most likely the same."""


def parsed(read: Callable[..., Any], data: bytes, rows: int) -> tuple[Any, ...]:
    """Rows and counts of ``data`` in blocks of about ``rows`` rows, or the message of its refusal."""
    from seqdetect.events import Tally, concat
    from seqdetect.source.parse.header import Layout
    from seqdetect.source.parse.lines import Stream
    from seqdetect.source.parse.rows import accept

    tally, layout = Tally(), Layout()
    pieces = [data[start : start + 128 * rows] for start in range(0, len(data), 128 * rows)]
    try:
        tables = [
            accept(block, layout, tally) for block in read(Stream("x", data, iter(pieces)), layout, rows)
        ]
    except ValueError as error:
        return (str(error), None)
    found = concat(tables)
    total = found.num_rows + sum(tally.rejected.values())
    if total != tally.read:
        raise FailedError(f"{tally.read} read, {total} accounted for", data)
    return found.to_pylist(), tally.read, sorted(tally.rejected.items()), tally.examples


def fuzz_jsonl(rng: random.Random, count: int) -> int:
    """Lines as columns and one by one."""
    import hostile

    from seqdetect.source.parse import jsonl
    from seqdetect.source.parse.uniform import Uniform

    first = json.dumps(hostile.good(rng, spelled=False)).encode()
    lines = [first, *(hostile.json_line(rng) for _ in range(min(count, rng.randint(1, 200))))]
    if rng.random() < 0.4:  # alike but for one or two
        lines = [first] * rng.randint(0, 20) + lines[: rng.randint(1, 3)] + [first] * rng.randint(0, 20)
    data = b"\n".join(lines) + (b"\n" if rng.random() < 0.8 else b"")
    rows = rng.choice((10, 50, 200, 1000)) if rng.random() < 0.97 else 1
    together = parsed(jsonl.read, data, rows)
    block = Uniform.block
    try:
        Uniform.block = lambda *_: None  # type: ignore[method-assign, assignment]
        alone = parsed(jsonl.read, data, rows)
    finally:
        Uniform.block = block  # type: ignore[method-assign]
    if repr(together) != repr(alone):
        raise FailedError("columns and one by one differ", (rows, data, together, alone))
    return len(lines)


def fuzz_csv(rng: random.Random, count: int) -> int:
    """Records in blocks of two sizes."""
    import hostile

    from seqdetect.source.parse import csv

    delimiter = rng.choice(",;\t")
    header = delimiter.join(hostile.CSV_NAMES).encode()
    if rng.random() < 0.02:
        header = hostile.mutated(header, rng)
    lines = [header, *(hostile.csv_line(rng, delimiter) for _ in range(min(count, rng.randint(1, 200))))]
    data = rng.choice((b"\n", b"\n", b"\r\n")).join(lines) + b"\n"
    small, large = (parsed(csv.read, data, rows) for rows in (rng.choice((1, 10, 10, 50)), 1000))
    if repr(small) != repr(large):
        raise FailedError("the size of blocks matters", (data, small, large))
    return len(lines)


def fuzz_file(rng: random.Random, count: int) -> int:
    """A whole file through the source."""
    import hostile

    from seqdetect.events import Tally
    from seqdetect.source.files import Files

    suffix, data = hostile.whole_file(rng)
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(data)
        file.flush()
        tally = Tally()
        try:
            rows = sum(batch.num_rows for batch in Files(file.name).read(tally))
        except ValueError as error:
            if str(error).startswith(f"{file.name}: "):
                return 1
            raise
    if rows + sum(tally.rejected.values()) != tally.read:
        raise FailedError("rows are unaccounted for", (suffix, data))
    return 1


def fuzz_scorer(rng: random.Random, count: int) -> int:
    """Hostile lines among those of others."""
    from crowd import crowd

    return crowd(rng, count)


def fuzz_checkpoint(rng: random.Random, count: int) -> int:
    """A damaged checkpoint; half of them carry the right checksum of their damage."""
    import crowd
    import hostile

    data = crowd.checkpoint()
    signed = rng.random() < 0.5
    if signed:
        body = hostile.mutated(data[:-32], rng) if rng.random() < 0.3 else crowd.redocumented(data, rng)
        data = body + hashlib.sha256(body).digest()
    elif rng.random() < 0.3:
        data = data[: rng.randrange(len(data))]
    else:
        data = hostile.mutated(data, rng)
    if crowd.loaded(data) and not signed and data != crowd.checkpoint():
        raise FailedError("a damaged checkpoint was read", data)
    return 1


def piece(name: str, seed: int, inputs: int) -> None:
    """Run inputs of one kind; the last line says how many, and how many failed."""
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CPU, (HANG_CPU_S, HANG_CPU_S))
    one = {
        "jsonl": fuzz_jsonl, "csv": fuzz_csv, "file": fuzz_file, "scorer": fuzz_scorer, "checkpoint": fuzz_checkpoint,
    }[name]  # fmt: skip
    failures = OUT / "failures"
    done = failed = case = 0
    while done < inputs and failed < MOST_FAILURES:
        rng = random.Random(f"{name} {seed} {case}")
        try:
            done += one(rng, inputs - done)
        except Exception as error:
            failures.mkdir(parents=True, exist_ok=True)
            shown = repr(error.case) if isinstance(error, FailedError) else ""
            path = failures / f"{name}-{seed}-{case}.txt"
            path.write_text(f"{type(error).__name__}: {error}\n{shown}\n{_trace(error)}")
            failed, done = failed + 1, done + 1
        case += 1
    told = {"inputs": done, "cases": case, "failed": failed}
    if name == "scorer":
        import crowd

        told |= crowd.SEEN
    print(json.dumps(told))


def _trace(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def run(name: str, seed: int, inputs: int) -> Counter[str]:
    """One piece in a process of its own."""
    words = [sys.executable, __file__, "--piece", name, str(seed), str(inputs)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=10 * HANG_CPU_S)
    except subprocess.TimeoutExpired:
        return Counter({"hangs": 1})
    if done.returncode == -signal.SIGXCPU:
        return Counter({"hangs": 1})
    if done.returncode:
        (OUT / "failures").mkdir(parents=True, exist_ok=True)
        (OUT / "failures" / f"{name}-{seed}-crash.txt").write_text(
            f"{done.returncode}\n{done.stderr[-5000:]}"
        )
        return Counter({"crashes": 1})
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Run the pieces by turns until the budget or the time is used up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budget", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1500.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="pieces at a time")
    parser.add_argument("--only", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--piece", nargs=3, metavar=("NAME", "SEED", "COUNT"))
    options = parser.parse_args()
    if options.piece:
        name, seed, inputs = options.piece
        piece(name, int(seed), int(inputs))
        return
    for name in options.only:
        for old in (OUT / "failures").glob(f"{name}-*"):
            old.unlink()
    totals = pieces(options)
    for name, total in totals.items():
        record(f"fuzz_{name}", told(name, total, int(SHARES[name] * options.budget)))


def pieces(options: argparse.Namespace) -> dict[str, Counter[str]]:
    """What became of the inputs by kind; the kind that lags most goes on."""
    totals: dict[str, Counter[str]] = {name: Counter() for name in options.only}
    wanted = {name: int(SHARES[name] * options.budget) for name in totals}
    given: Counter[str] = Counter()
    seeds = count(options.seed)
    end = time.monotonic() + options.seconds
    lock = threading.Lock()

    def work() -> None:
        while time.monotonic() < end:
            with lock:
                name = min(wanted, key=lambda one: given[one] / wanted[one])
                some, seed = min(wanted[name] - given[name], PIECE[name]), next(seeds)
                given[name] += some
            if some <= 0:
                return
            found = run(name, seed, some)
            with lock:
                totals[name] += found
                print(name, seed, dict(totals[name]), flush=True)

    workers = [threading.Thread(target=work) for _ in range(options.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return totals


def told(name: str, total: Counter[str], wanted: int) -> list[tuple[str, object, object, str]]:
    """What became of one kind of inputs."""
    what = "files" if name in ("file", "checkpoint") else f"lines in {total['cases']} streams"
    rows: list[tuple[str, object, object, str]] = [("inputs run", total["inputs"], wanted, what)]
    rows += [(fault, total[fault], "", "") for fault in ("failed", "crashes", "hangs")]
    if name == "scorer":
        rows += [
            ("streams whose clock was moved", total["moved"], total["cases"], "others not compared"),
            ("steps and scores of others compared", total["compared"], "", "to the bit"),
            ("hostile events scored beside them", total["scored"], "", ""),
            ("lines rejected", total["rejected"], "", f"{total['late']} late, in all streams"),
        ]
    return rows


if __name__ == "__main__":
    main()
