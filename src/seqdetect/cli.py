"""The ``seqdetect`` command. Subcommands import what they need and no more: scoring never sees torch."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from seqdetect.score.engine import Engine, Scored

LATE_SHARE = 0.01
"""From this share of late events on, the input is unsorted rather than jittery, and the user should know."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status. Expected failures are one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="seqdetect", description="Find the users of an LLM API who behave strangely."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_score, _add_simulate, _add_inspect, _add_report):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        run = {"score": score, "simulate": simulate, "inspect": inspect, "report": report}[options.command]
        run(options)
    except BrokenPipeError:
        # whoever read our output has seen enough; point stdout elsewhere, or Python complains at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"seqdetect {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "score",
        help="run the streaming scorer over files or standard input",
        description="Stream request events through a bundle. Scores go to --scores, alerts to --alerts; the last "
        "line on stderr counts the events read, rejected and late.",
    )
    one.add_argument("--bundle", required=True, metavar="B", help="bundle.onnx, as train.py leaves it")
    one.add_argument(
        "--events", required=True, nargs="+", metavar="FILE",
        help="CSV, JSONL or Parquet (also .gz), globs, several as one stream by time, or - for standard input",
    )  # fmt: skip
    one.add_argument("--scores", metavar="F", help="write one row per user and active tick: .parquet or .csv")
    one.add_argument(
        "--alerts", metavar="F", help="write alerts as JSON lines to a file, or - for standard output"
    )
    one.add_argument(
        "--resume", metavar="CKPT", help="start with the memory in a checkpoint, for example state.ckpt"
    )
    one.add_argument("--checkpoint", metavar="CKPT", help="save the memory at the end of the input")
    one.add_argument("--key", help="column that tells users apart (default: the bundle's)")
    one.add_argument("--timezone", default="UTC", help="zone of times that state none (default: UTC)")
    one.add_argument(
        "--sort", action="store_true", help="sort all events by time first: holds them in memory"
    )
    one.add_argument(
        "--threshold", action="append", default=[], metavar="TIER=VALUE",
        help="override a threshold: critical=4.2 or warning=3.1; may be repeated",
    )  # fmt: skip
    one.add_argument(
        "--price", action="append", default=[], metavar="KIND=USD",
        help="USD per million tokens for the cost of alerts: prompt=2.5 and completion=10; may be repeated",
    )  # fmt: skip
    one.add_argument("--quiet", action="store_true", help="no progress on stderr")


def score(options: argparse.Namespace) -> None:
    """``seqdetect score``."""
    from seqdetect import events
    from seqdetect.alert.lifecycle import AlertBook, Prices
    from seqdetect.bundle.load import load
    from seqdetect.events import Tally
    from seqdetect.score.checkpoint import restore, save
    from seqdetect.score.engine import Engine
    from seqdetect.score.writer import ScoreWriter
    from seqdetect.scorer import score_stream
    from seqdetect.sink.jsonl import JsonlSink
    from seqdetect.source.files import Files

    bundle, tally = load(options.bundle), Tally()
    engine = Engine(bundle, tally, _pairs(options.threshold, ("critical", "warning"), "--threshold"))
    if options.resume:
        restore(engine, options.resume)
    files = Files(options.events, key=options.key or bundle.metadata.key, timezone=options.timezone)
    prices = _pairs(options.price, ("prompt", "completion"), "--price")
    book = AlertBook(bundle.metadata, Prices(**prices) if prices else None)
    batches: Iterator[pa.Table] = files.read(tally)
    if options.sort:
        batches = events.chunks(events.sort(events.concat(batches)))
    writer = ScoreWriter(options.scores) if options.scores else None
    sinks = [JsonlSink(options.alerts)] if options.alerts else []
    counts = {"steps": 0, "warning": 0, "critical": 0}

    def write(scored: Scored) -> None:
        counts["steps"] += len(scored)
        counts["warning"] += int((scored.level == 1).sum())
        counts["critical"] += int((scored.level == 2).sum())
        if writer is not None:
            writer.write(scored)

    progress = _Progress(options.quiet)
    try:
        score_stream(engine, batches, book, sinks, write, progress)
    finally:
        progress.done()
        for sink in sinks:
            sink.close()
        if writer is not None:
            writer.close()
        _closing_lines(engine, counts)
    if options.checkpoint:
        save(engine, options.checkpoint)


def _closing_lines(engine: Engine, counts: dict[str, int]) -> None:
    tally = engine.stream.tally
    for example in tally.examples:
        print(f"rejected: {example}", file=sys.stderr)
    if tally.late > LATE_SHARE * max(tally.read, 1):
        print(
            f"{tally.late} events came more than {engine.bundle.metadata.lateness_s:g} s after later ones and were "
            "not scored; if the input is not in time order, add --sort",
            file=sys.stderr,
        )
    print(
        f"steps: {counts['steps']} scored of {len(engine.stream.keys)} users, "
        f"{counts['warning']} at warning, {counts['critical']} at critical",
        file=sys.stderr,
    )
    print(tally.line(), file=sys.stderr)


def _pairs(given: list[str], names: tuple[str, ...], option: str) -> dict[str, float]:
    pairs = {}
    for text in given:
        name, _, value = text.partition("=")
        if name not in names:
            raise ValueError(f"{option} {text}: the part before = must be one of {', '.join(names)}")
        try:
            pairs[name] = float(value)
        except ValueError:
            raise ValueError(f"{option} {text}: {value!r} is not a number") from None
        if not math.isfinite(pairs[name]):
            raise ValueError(f"{option} {text}: the number must be finite")
    return pairs


class _Progress:
    """One line on a terminal, rewritten every second; nothing when stderr is a file."""

    def __init__(self, quiet: bool) -> None:
        self.shown = sys.stderr.isatty() and not quiet
        self.started = self.said = time.monotonic()

    def __call__(self, taken: int) -> None:
        now = time.monotonic()
        if self.shown and now - self.said > 1:
            self.said = now
            print(f"\r{taken:,} events, {taken / (now - self.started):,.0f}/s ", end="", file=sys.stderr)

    def done(self) -> None:
        if self.shown and self.said != self.started:
            print(file=sys.stderr)


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "simulate",
        help="make traffic, with or without attacks, as a file or a live stream",
        description="Write synthetic request events. With --incidents attacks are injected into the last part of "
        "the time and labelled there. With --rate events are written at that pace, as a live stream.",
    )
    one.add_argument(
        "--out", default="-", metavar="F", help=".csv, .jsonl or .parquet, or - for JSON lines (default)"
    )
    one.add_argument(
        "--incidents", metavar="F", help="inject attacks and write their labels to this CSV file"
    )
    one.add_argument("--users", type=int, default=60)
    one.add_argument("--days", type=float, default=4.0)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--attack", action="append", metavar="KIND", help="only this kind; may be repeated")
    one.add_argument(
        "--from-day",
        type=float,
        metavar="D",
        help="attacks start after this many days (default: half the time)",
    )
    one.add_argument(
        "--rate", type=float, metavar="R", help="events a second, as a live stream of JSON lines"
    )


def simulate(options: argparse.Namespace) -> None:
    """``seqdetect simulate``."""
    from seqdetect import simulation

    table, incidents = simulation.traffic(
        options.users,
        options.days,
        options.seed,
        options.attack,
        options.from_day,
        options.incidents is not None,
    )
    if incidents is not None:
        incidents.to_csv(options.incidents, index=False)
    simulation.emit(table, options.out, options.rate)
    print(
        f"{table.num_rows} events, {0 if incidents is None else len(incidents)} incident rows",
        file=sys.stderr,
    )


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("inspect", help="say what a bundle holds", description="Describe a bundle.")
    one.add_argument("bundle", metavar="B", help="bundle.onnx")
    one.add_argument("--json", action="store_true", help="the whole metadata document")


def inspect(options: argparse.Namespace) -> None:
    """``seqdetect inspect``."""
    import msgspec

    from seqdetect.bundle.load import load

    meta = load(options.bundle).metadata
    if options.json:
        print(json.dumps(msgspec.to_builtins(meta), indent=1))
        return
    size = Path(options.bundle).stat().st_size
    print(f"bundle      {options.bundle} ({size / 1024:.0f} kB), schema {meta.schema_version}")
    print(f"detector    {meta.detector}, version {meta.version}")
    print(f"key         {meta.key}; tick {meta.tick_s:g} s, lateness {meta.lateness_s:g} s")
    print(f"state       {meta.state.bytes_per_user} bytes per user, layout {meta.state.hash}")
    for name, threshold in meta.thresholds.items():
        print(f"{name:11s} {threshold.value:.4f}  {threshold.statement}")
    print(f"calibration {meta.calibration.get('statement', '')}")
    print(
        f"parity      {meta.parity.largest_difference:.1e} over {meta.parity.rows} rows ({meta.parity.reference})"
    )
    origin = {key: value for key, value in meta.provenance.items() if not isinstance(value, dict)}
    print("provenance  " + ", ".join(f"{key} {value}" for key, value in origin.items()))
    print("features")
    for feature in meta.features:
        absent = "" if feature.observed else "  (absent in training)"
        print(f"  {feature.name:22s} {feature.unit}; neutral {feature.neutral:.4g}{absent}")


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "report",
        help="write a benchmark report of one or more finished runs",
        description="Compare the runs in the given folders: each one that train.py wrote, or a sweep's.",
    )
    one.add_argument("folders", nargs="+", metavar="DIR")
    one.add_argument("--out", default="report.html", metavar="F")


def report(options: argparse.Namespace) -> None:
    """``seqdetect report``."""
    from seqdetect import benchmark, rundir

    runs = benchmark.find([Path(folder) for folder in options.folders])
    if not runs:
        raise ValueError(f"no {rundir.METRICS} in or directly below {', '.join(options.folders)}")
    champion = benchmark.champion(runs)
    shown = champion or runs[0]
    name = None if champion is None else str(champion.metrics["detector"])
    rundir.write_report(
        Path(options.out), [run.metrics for run in runs], name, shown.metrics["provenance"], shown.folder
    )
    print(options.out)


if __name__ == "__main__":
    sys.exit(main())
