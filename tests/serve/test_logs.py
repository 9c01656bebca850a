"""Logs as JSON lines, without floods of the same."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from seqdetect.serve import logs
from seqdetect.serve.logs import JsonLines, Repeats, say


@pytest.fixture
def written():
    """A logger, and what it has written so far."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    handler.addFilter(Repeats(every_s=3600))
    log = logging.Logger("test", logging.INFO)
    log.addHandler(handler)
    return log, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_fields(written):
    log, lines = written
    say(log, logging.INFO, "part_assigned", part="a\nb", position=[1, 2], path=logs)
    (line,) = lines()
    assert (line["event"], line["level"], line["part"], line["position"]) == (
        "part_assigned",
        "info",
        "a\nb",
        [1, 2],
    )
    assert line["time"].endswith("+00:00")


def test_what_others_log_is_a_line_too_with_its_exception(written):
    log, lines = written
    try:
        raise KeyError("gone")
    except KeyError:
        log.exception("%d of %s", 3, "them")
    (line,) = lines()
    assert (line["event"], line["message"], line["logger"]) == ("message", "3 of them", "test")
    assert "KeyError: 'gone'" in line["exception"]


def test_repeats_of_a_warning_are_left_out_and_counted(written):
    log, lines = written
    for tries in range(5):
        say(log, logging.ERROR, "sink_failed", output="a", tries=tries)
    say(log, logging.ERROR, "sink_failed", output="b", tries=0)
    for _ in range(3):
        say(log, logging.INFO, "reload_taken")
    assert [line["event"] for line in lines()] == ["sink_failed", "sink_failed", *["reload_taken"] * 3]
    assert [line.get("output") for line in lines()][:2] == ["a", "b"]


def test_the_next_line_says_how_many_were_left_out(monkeypatch):
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    repeats = Repeats(every_s=10)

    def passes() -> logging.LogRecord | None:
        record = logging.LogRecord("a", logging.WARNING, "", 0, "same", (), None)
        return record if repeats.filter(record) else None

    assert [passes() is not None for _ in range(4)] == [True, False, False, False]
    now = 111.0
    later = passes()
    assert json.loads(JsonLines().format(later))["left_out"] == 3
    assert passes() is None


def test_ever_new_warnings_do_not_fill_the_memory():
    repeats = Repeats()
    for number in range(10_000):
        assert repeats.filter(logging.LogRecord("a", logging.WARNING, "", 0, f"new {number}", (), None))
    assert sys.getsizeof(repeats._last) < 100_000
