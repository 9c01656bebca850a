"""Coverage-guided fuzzing of the parsers, in an environment of its own:

    python -m venv out/reliability/venv
    out/reliability/venv/bin/pip install atheris -e .
    out/reliability/venv/bin/python experiments/reliability/guided.py 200000

The first byte of an input says whether the rest is JSON lines (read as columns and one by one), CSV or a checkpoint.
Inputs that found something new are kept in ``out/reliability/corpus`` and begun with the next time.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "reliability"
SEEDS = 400
MOST_BYTES = 2_000

with atheris.instrument_imports(include=["seqdetect", "fuzz"]):
    import fuzz
    import hostile
    from record import record

    from seqdetect.score import checkpoint
    from seqdetect.source.parse import csv, jsonl
    from seqdetect.source.parse.uniform import Uniform


def jsonl_alike(data: bytes) -> None:
    """Columns and one by one give the same."""
    lines = b'{"timestamp":1772409600,"user_id":"u","prompt_tokens":1,"completion_tokens":2}\n' + data
    together = fuzz.parsed(jsonl.read, lines, 2)
    block = Uniform.block
    Uniform.block = lambda *_: None  # type: ignore[method-assign, assignment]
    try:
        alone = fuzz.parsed(jsonl.read, lines, 2)
    finally:
        Uniform.block = block  # type: ignore[method-assign]
    if repr(together) != repr(alone):
        raise hostile.FailedError("columns and one by one differ", data)


def csv_alike(data: bytes) -> None:
    """The size of blocks does not matter."""
    lines = ",".join(hostile.CSV_NAMES).encode() + b"\n" + data
    small, large = (fuzz.parsed(csv.read, lines, rows) for rows in (1, 1000))
    if repr(small) != repr(large):
        raise hostile.FailedError("the size of blocks matters", data)


def checkpoint_refused(data: bytes) -> None:
    """Whatever the bytes are, they are no checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c"
        path.write_bytes(checkpoint.MAGIC * (data[:1] < b"\x80") + data)
        try:
            checkpoint.read(path)
        except ValueError:
            return
    raise hostile.FailedError("read without its checksum", data)


def one_input(data: bytes) -> None:
    """What the first byte says, on the rest."""
    kind = data[:1]
    if kind < b"\x80":
        jsonl_alike(data[1:])
    elif kind < b"\xf0":
        csv_alike(data[1:])
    else:
        checkpoint_refused(data[1:])


def seeded(folder: Path) -> None:
    """Begin with lines as ``fuzz.py`` makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for number in range(SEEDS):
        lines = [hostile.json_line(rng) if number % 2 else hostile.csv_line(rng) for _ in range(3)]
        data = (b"\0" if number % 2 else b"\x80") + b"\n".join(lines)
        if len(data) < MOST_BYTES:
            (folder / f"seed-{number}").write_bytes(data)


def main() -> None:
    """Run so many inputs in a process of its own and record what became of them."""
    if os.environ.get("GUIDED"):
        atheris.Setup(sys.argv, one_input)
        atheris.Fuzz()
    runs, corpus, failures = int(sys.argv[1]), OUT / "corpus", OUT / "guided"
    seeded(corpus)
    failures.mkdir(parents=True, exist_ok=True)
    words = [
        *(
            sys.executable,
            __file__,
            f"-runs={runs}",
            f"-max_len={MOST_BYTES}",
            "-timeout=20",
            "-rss_limit_mb=2000",
        ),
        *(f"-artifact_prefix={failures}/", "-print_final_stats=1", str(corpus)),
    ]
    begun = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"GUIDED": "1"})
    (OUT / "guided.log").write_text(done.stdout + done.stderr)
    told = [line for line in (done.stdout + done.stderr).splitlines() if "number_of_executed_units" in line]
    run = int(told[0].split()[-1]) if told else 0
    spent = f"{time.monotonic() - begun:.0f} s, atheris {atheris.__version__ if hasattr(atheris, '__version__') else ''}"
    rows: list[tuple[str, object, object, str]] = [
        ("inputs run", run, runs, spent.strip()),
        ("stopped by a failure, crash or hang", int(done.returncode != 0), "", ""),
    ]
    record("guided", rows)


if __name__ == "__main__":
    main()
