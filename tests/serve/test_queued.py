"""A sink with a queue: order, tries, what is refused for ever, and alerts that stand."""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from changes import change
from seqdetect.serve.backoff import Backoff
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued
from seqdetect.serve.spool import Spool
from seqdetect.sink import RefusedError, UnavailableError

from .running import until


class Steady(Backoff):
    """Waits that a test can do with; those asked for are kept."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__(random.Random(0))
        self.wait_s = wait_s

    def failed(self) -> float:
        super().failed()
        return self.wait_s


class Far:
    """A sink that raises what it is told to, one after the other, and notes all that reaches it."""

    queued: ClassVar[bool] = True

    def __init__(self, *troubles: Exception | None, at_once: int = 1) -> None:
        self.troubles = list(troubles)
        self.at_once = at_once
        self.heard: list[str] = []
        self.tries: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        self.asked.set()
        self.open.wait(60)
        self.tries.append(len(changes))
        if self.troubles and (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        for one in changes:
            if one["kind"] == "unknown":
                raise RefusedError("answered 400: no such kind")
        self.heard += [f"{one['alert_id']} {one['change']}" for one in changes]

    def close(self) -> None:
        pass


class Forgetful(Far):
    """One whose far side has to be told again what is open."""

    def __init__(self, *troubles: Exception | None, resend_s: float = 3600.0, at_once: int = 1) -> None:
        super().__init__(*troubles, at_once=at_once)
        self.resend_s = resend_s

    def refresh(self, standing: Sequence[dict[str, Any]]) -> None:
        self.open.wait(60)
        if self.troubles and (trouble := self.troubles.pop(0)) is not None:
            raise trouble
        self.heard.append("open: " + " ".join(one["alert_id"] for one in standing))


@pytest.fixture
def made(tmp_path):
    """Makes queues for sinks, all in one folder, and ends them."""
    every: list[Queued] = []

    def make(sink: Far, backoff: Backoff | None = None, metrics: Metrics | None = None) -> Queued:
        name = f"far-{len(every)}"
        spool = Spool(tmp_path / f"{name}.queue", 1 << 20)
        refused = tmp_path / f"{name}.refused.jsonl"
        every.append(Queued(name, sink, spool, refused, backoff or Steady(), metrics or Metrics()))
        return every[-1]

    yield make
    for one in every:
        one.end(60)


def some(*names: str) -> list[dict[str, Any]]:
    """``a`` opens the alert a, ``a.`` resolves it, ``a?`` opens one that the far side refuses."""
    return [
        change(
            "resolve" if name[1:] == "." else "open",
            alert_id=name[0],
            kind="unknown" if name[1:] == "?" else "flood",
        )
        for name in names
    ]


def test_changes_arrive_in_order_through_every_failure(made):
    troubles = [ConnectionError("down"), None, TimeoutError(), ValueError("no JSON"), None, OSError("reset")]
    sink = Far(*troubles, at_once=2)
    queued = made(sink)
    for name in "abcdefg":
        queued.put(some(name))
    until(lambda: len(sink.heard) == 7, "all")
    assert sink.heard == [f"{name} open" for name in "abcdefg"]
    until(lambda: queued.spool.changes == 0, "an empty queue")


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_no_more_at_once_than_the_sink_can_take(made, at_once):
    sink = Far(at_once=at_once)
    sink.open.clear()
    queued = made(sink)
    queued.put(some(*"abcdefgh"))
    sink.open.set()
    until(lambda: len(sink.heard) == 8, "all")
    assert max(sink.tries) == min(at_once, 8)


def test_what_is_refused_for_ever_is_put_aside_and_the_rest_goes_on(made, tmp_path, caplog):
    metrics, sink = Metrics(), Far(at_once=10)
    sink.open.clear()
    queued = made(sink, metrics=metrics)
    queued.put(some("a", "b?", "c", "d?", "e"))
    sink.open.set()
    until(lambda: queued.spool.changes == 0, "the end")
    assert sink.heard == ["a open", "c open", "e open"]
    lines = [json.loads(line) for line in (tmp_path / "far-0.refused.jsonl").read_text().splitlines()]
    assert [line["change"] for line in lines] == some("b?", "d?")
    assert lines[0]["error"] == "answered 400: no such kind"
    figure = metrics.registry.get_sample_value
    assert figure("seqdetect_sink_refused_total", {"output": "far-0"}) == 2
    assert figure("seqdetect_sink_changes_total", {"output": "far-0"}) == 3
    said = [one.fields for one in caplog.records if one.message == "change_refused"]
    assert [one["alert_id"] for one in said] == ["b", "d"]


def test_a_change_that_cannot_be_put_aside_stays(made, tmp_path):
    sink = Far()
    queued = made(sink)
    (tmp_path / "far-0.refused.jsonl").mkdir()
    queued.put(some("a?", "b"))
    until(lambda: len(sink.tries) > 3, "some tries")
    assert queued.spool.changes == 2
    (tmp_path / "far-0.refused.jsonl").rmdir()
    until(lambda: sink.heard == ["b open"], "the next one")


def test_a_far_side_that_asks_for_time_gets_it(made):
    sink = Far(UnavailableError("answered 429", after_s=3600))
    queued = made(sink)
    queued.put(some("a"))
    until(lambda: sink.tries == [1], "the first try")
    queued.hurry()  # even then
    until(lambda: queued._backoff.tries == 1, "its answer")
    assert sink.tries == [1]
    assert queued.end(60)


def test_a_stop_does_not_wait_for_the_next_try(made):
    sink = Far(ConnectionError("down"))
    queued = made(sink, Steady(3600.0))
    queued.put(some("a"))
    until(lambda: queued._backoff.tries == 1, "a failure")
    queued.hurry()
    until(lambda: sink.heard == ["a open"], "a second try")
    assert queued.end(60)


def test_what_was_not_sent_is_sent_after_the_next_start(made, tmp_path):
    sink = Far(*[ConnectionError("down")] * 1000)
    queued = made(sink, Steady(3600.0))
    queued.put(some("a", "b", "a."))
    until(lambda: sink.tries, "a try")
    assert queued.end(60)
    sink.troubles.clear()
    again = Queued("far-0", sink, Spool(tmp_path / "far-0.queue", 1 << 20), Path("x"), Steady(), Metrics())
    until(lambda: sink.heard == ["a open", "b open", "a resolve"], "all")
    assert again.end(60)


def test_failures_are_counted_and_told_and_so_is_their_end(made, caplog):
    caplog.set_level(logging.INFO)
    metrics, sink = Metrics(), Far(ConnectionError("refused"), ConnectionError("refused"))
    queued = made(sink, metrics=metrics)
    queued.put(some("a"))
    until(lambda: sink.heard, "the third try")
    until(lambda: [one for one in caplog.records if one.message == "sink_back"], "a word of it")
    figure = metrics.registry.get_sample_value
    assert figure("seqdetect_sink_errors_total", {"output": "far-0"}) == 2
    assert figure("seqdetect_sink_retries_total", {"output": "far-0"}) == 2
    failed = [one.fields for one in caplog.records if one.message == "sink_failed"]
    assert [one["tries"] for one in failed] == [1, 2]
    assert failed[0]["error"] == "ConnectionError: refused"


def test_what_stands_is_told_between_the_changes_before_and_after_that_moment(made):
    sink = Forgetful(at_once=100)
    sink.open.clear()
    queued = made(sink)
    queued.put(some("a"))  # under way already, perhaps
    queued.put(some("b", "c", "b."))
    queued.stand(some("a", "c"))
    queued.put(some("c."))
    sink.open.set()
    until(lambda: queued.spool.changes == 0, "all")
    assert sink.heard == ["a open", "b open", "c open", "b resolve", "open: a c", "c resolve"]


def test_no_alert_is_told_of_again_after_its_end_whatever_comes_between(made):
    rng = random.Random(5)
    sink = Forgetful(
        *[rng.choice([None, None, ConnectionError("down")]) for _ in range(120)], resend_s=1e-9, at_once=3
    )
    queued = made(sink)
    alive: set[str] = set()
    for number in range(120):
        name = chr(ord("a") + number % 26)
        (one,) = some(f"{name}." if name in alive else name)
        queued.put([{**one, "reopened": number}])
        alive ^= {name}
        if queued.due:
            queued.stand(some(*sorted(alive)))
    queued.stand(some(*sorted(alive)))
    until(lambda: queued.spool.changes == 0 and queued._standing is None, "all")
    known: set[str] = set()
    told = 0
    for line in sink.heard:
        name, _, what = line.partition(" ")
        if name == "open:":
            assert set(what.split()) == known
            told += 1
        elif what == "open":
            known.add(name)
        else:
            known.remove(name)
    assert told > 5


def test_it_is_due_at_the_start_and_then_as_often_as_the_sink_says(made):
    sink, plain = Forgetful(resend_s=0.05), Far()
    queued = made(sink)
    assert queued.due
    assert not made(plain).due
    queued.stand(some("a"))
    until(lambda: sink.heard == ["open: a"], "it")
    until(lambda: queued.due, "the next time")
    slow = Forgetful(resend_s=3600.0)
    queued = made(slow)
    queued.stand([])
    until(lambda: slow.heard == ["open: "], "none, said so")
    assert not queued.due


def test_while_one_snapshot_waits_no_other_is_asked_for_and_a_failed_one_makes_it_due_again(made):
    sink = Forgetful(ConnectionError("down"), None)
    sink.open.clear()
    queued = made(sink)
    queued.stand(some("a"))
    queued.put(some("b"))
    sink.open.set()
    # the snapshot failed, the change after it went through
    until(lambda: sink.heard == ["b open"], "the change")
    assert queued.due
    queued.stand(some("a", "b"))
    until(lambda: sink.heard[-1] == "open: a b", "the next one")
    assert not queued.due


def test_what_stands_and_is_refused_is_told_and_no_change_is_lost(made, caplog):
    sink = Forgetful(RefusedError("answered 400"))
    queued = made(sink)
    queued.stand(some("a"))
    until(lambda: [one for one in caplog.records if one.message == "refresh_refused"], "a word of it")
    assert not queued.due
    queued.put(some("b"))
    until(lambda: sink.heard == ["b open"], "the change")


def test_a_request_under_way_does_not_hold_up_the_end(made):
    sink = Far()
    sink.open.clear()
    queued = made(sink)
    queued.put(some("a"))
    assert sink.asked.wait(60)
    assert not queued.end(0.05)
    sink.open.set()
