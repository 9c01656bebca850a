"""``seqdetect score``: the streaming scorer over files or standard input."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator

import pyarrow as pa

from seqdetect import events
from seqdetect.alert.lifecycle import AlertBook, Prices
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.score.checkpoint import restore, save
from seqdetect.score.engine import Engine, Scored
from seqdetect.score.writer import ScoreWriter
from seqdetect.scorer import score_stream
from seqdetect.sink.jsonl import JsonlSink
from seqdetect.source.files import Files

LATE_SHARE = 0.01
"""From this share of late events on, the input is unsorted rather than jittery, and the user should know."""


def run(options: argparse.Namespace) -> None:
    """Stream the events through the bundle."""
    bundle, tally = load(options.bundle), Tally()
    engine = Engine(bundle, tally, _pairs(options.threshold, ("critical", "warning"), "--threshold"))
    if options.resume:
        restore(engine, options.resume)
    files = Files(
        options.events,
        key=options.key or bundle.metadata.key,
        timezone=options.timezone,
        timestamp_unit=options.timestamp_unit,
        epoch=options.epoch,
        columns=_columns(options.column),
    )
    prices = _pairs(options.price, ("prompt", "completion"), "--price")
    book = AlertBook(bundle.metadata, Prices(**prices) if prices else None, thresholds=engine.thresholds)
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


def _columns(given: list[str]) -> dict[str, str]:
    known = events.SCHEMA.names
    pairs = dict(text.partition("=")[::2] for text in given)
    for ours, theirs in pairs.items():
        if ours not in known or not theirs:
            raise ValueError(f"--column {ours}={theirs}: write OURS=THEIRS, ours one of {', '.join(known)}")
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
