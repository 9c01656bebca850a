"""``seqdetect score``: the streaming scorer over files or standard input."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from seqdetect import events
from seqdetect.alert.prices import Price, Prices
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.score.checkpoint import latest
from seqdetect.score.writer import ScoreWriter
from seqdetect.scorer import Model, Scorer, score_stream
from seqdetect.sink import Sink
from seqdetect.sink.jsonl import JsonlAppender, JsonlSink
from seqdetect.source.files import Files, expand

LATE_SHARE = 0.01
"""From this share of late events on, the input is unsorted rather than jittery, and the user should know."""


def run(options: argparse.Namespace) -> None:
    """Stream the events through the bundle."""
    bundle, tally = load(options.bundle), Tally()
    prices = _pairs(options.price, ("prompt", "completion"), "--price")
    model = Model(
        bundle.metadata.detector,
        bundle,
        thresholds=_pairs(options.threshold, ("critical", "warning"), "--threshold"),
        prices=Prices(Price(**prices)) if prices else None,
    )
    scorer = Scorer([model], tally, max_users=options.max_users)
    done = _resumed(scorer, options)
    batches = _without(_events(options, bundle.metadata.key, tally), done)
    writer = ScoreWriter(options.scores) if options.scores else None
    if writer is not None:
        scorer.write = lambda name, scored: writer.write(scored)
    sinks = [_alerts(options, done)] if options.alerts else []
    keeper = _Keeper(scorer, options, done)
    progress = _Progress(options.quiet)

    def taken_in(events: int) -> None:
        progress(events)
        keeper(events)

    try:
        score_stream(scorer, batches, sinks, taken_in)
        keeper.close()
    finally:
        progress.done()
        for sink in sinks:
            sink.close()
        if writer is not None:
            writer.close()
        _closing_lines(scorer, bundle.metadata.lateness_s)


def _events(options: argparse.Namespace, key: str, tally: Tally) -> Iterator[pa.Table]:
    files = Files(
        options.events,
        key=options.key or key,
        timezone=options.timezone,
        timestamp_unit=options.timestamp_unit,
        epoch=options.epoch,
        columns=_columns(options.column),
        format=options.format,
        users=options.user,
        hash_users_env=options.hash_users_env,
    )
    batches = files.read(tally)
    return events.chunks(events.sort(events.concat(batches))) if options.sort else batches


def _alerts(options: argparse.Namespace, done: int) -> Sink:
    """Where alerts go. With a checkpoint they must be on the disk before it says that they are told."""
    if not options.checkpoint:
        return JsonlSink(options.alerts)
    if not done and os.path.isfile(options.alerts):
        os.truncate(options.alerts, 0)
    return JsonlAppender(Path(options.alerts))


def _inputs(options: argparse.Namespace) -> list[list[str | int]]:
    """The files by name, with their sizes: a checkpoint within other events must not be gone on from."""
    return [[path, os.path.getsize(path) if path != "-" else 0] for path in expand(options.events)]


def _resumed(scorer: Scorer, options: argparse.Namespace) -> int:
    """Take up a memory, if one is to be; the events of the input that it has seen already.

    A run that was cut short is gone on with when ``--checkpoint`` names the file that it left.
    """
    if options.resume:
        scorer.load(options.resume)
        return 0
    if not options.checkpoint or "-" in options.events or not _left_behind(options):
        return 0
    done = int(scorer.load(options.checkpoint)["events"])
    if options.scores:
        raise ValueError(
            f"{options.checkpoint} was left by a run that was cut short after {done} events, and a file of scores "
            "cannot be gone on with: leave --scores out, or remove the checkpoint to begin anew"
        )
    print(f"going on after {done} events, where {options.checkpoint} stands", file=sys.stderr)
    return done


def _left_behind(options: argparse.Namespace) -> bool:
    """Whether ``--checkpoint`` is of a run over the very same files that did not reach their end."""
    found = []
    try:
        latest(options.checkpoint, lambda document, _: found.append(document.get("position")))
    except ValueError:
        return False  # foreign or damaged: about to be replaced
    position = found[0] if found else None
    return position is not None and not position["ended"] and position["inputs"] == _inputs(options)


def _without(batches: Iterator[pa.Table], done: int) -> Iterator[pa.Table]:
    """The batches behind the first ``done`` events."""
    for batch in batches:
        if done < batch.num_rows:
            yield batch.slice(done)
        done = max(0, done - batch.num_rows)


class _Keeper:
    """Writes ``--checkpoint`` every so often and at the end; the sinks have answered by then."""

    def __init__(self, scorer: Scorer, options: argparse.Namespace, done: int) -> None:
        self.scorer = scorer
        self.path = options.checkpoint
        self.inputs = _inputs(options) if self.path else []
        self.every_s = options.checkpoint_every
        self.first = self.events = done
        self.saved = time.monotonic()

    def __call__(self, events: int) -> None:
        self.events = self.first + events
        if self.path and time.monotonic() - self.saved >= self.every_s:
            self._save(ended=False)
            self.saved = time.monotonic()

    def close(self) -> None:
        if self.path:
            self._save(ended=True)

    def _save(self, ended: bool) -> None:
        self.scorer.save(self.path, {"inputs": self.inputs, "events": self.events, "ended": ended})


def _closing_lines(scorer: Scorer, lateness_s: float) -> None:
    tally = scorer.tally
    for example in tally.examples:
        print(f"rejected: {example}", file=sys.stderr)
    if tally.late > LATE_SHARE * max(tally.read, 1):
        print(
            f"{tally.late} events came more than {lateness_s:g} s after later ones and were "
            "not scored; if the input is not in time order, add --sort",
            file=sys.stderr,
        )
    (stats,) = scorer.stats().values()
    gone = f" ({stats['evicted']} forgotten, --max-users)" if stats["evicted"] else ""
    print(
        f"steps: {stats['steps']} scored of {stats['users']} users{gone}, "
        f"{stats['warning']} at warning, {stats['critical']} at critical",
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
