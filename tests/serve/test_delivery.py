"""All outputs as one: who waits for whom while one of them fails."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from changes import change
from seqdetect.serve.backoff import Backoff
from seqdetect.serve.delivery import LONGEST_WAIT_S, Output, Outputs, UndeliveredError
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued
from seqdetect.serve.spool import Spool
from seqdetect.serve.wanted import Wanted

from .running import until

MADE = [change(alert_id="1"), change(alert_id="2", shadow=True), change(alert_id="3")]


class Memory:
    """A sink that fails as often as told, and keeps what it took."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[dict[str, Any]] = []
        self.closed = False

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the far side is down")
        self.taken += changes

    def close(self) -> None:
        self.closed = True
        if self.failures:
            raise OSError("still down")


class Far(Memory):
    """One with a queue."""

    queued: ClassVar[bool] = True


def figures(metrics: Metrics, name: str) -> list[float]:
    return [
        metrics.registry.get_sample_value(f"seqdetect_sink_{what}_total", {"output": name}) or 0.0
        for what in ("errors", "retries", "changes")
    ]


def give_up(seconds: float) -> bool:
    return True


def outputs(
    every: Sequence[Output], wait=give_up, metrics: Metrics | None = None, stop_s: float = 60
) -> Outputs:
    return Outputs(every, wait, metrics or Metrics(), stop_s)


def queue(folder: Path, sink: Far, metrics: Metrics, max_bytes: int = 1 << 20, name: str = "far") -> Output:
    spool = Spool(folder / f"{name}.queue", max_bytes)
    queued = Queued(name, sink, spool, folder / f"{name}.refused.jsonl", Backoff(random.Random(0)), metrics)
    return Output(name, queued)


def test_each_output_gets_what_it_wants():
    sinks = {shadow: Memory() for shadow in ("no", "only", "too")}
    outputs([Output(shadow, sink, Wanted(shadow)) for shadow, sink in sinks.items()]).send(MADE)
    taken = {shadow: "".join(change["alert_id"] for change in sink.taken) for shadow, sink in sinks.items()}
    assert taken == {"no": "13", "only": "2", "too": "123"}


def test_a_sink_that_fails_is_tried_again_alone_and_later_each_time():
    first, second, third, waits = Memory(), Memory(failures=9), Memory(), []
    metrics = Metrics()
    every = [Output(name, sink) for name, sink in (("a", first), ("b", second), ("c", third))]
    outputs(every, lambda seconds: bool(waits.append(seconds)), metrics).send(MADE)
    assert [len(sink.taken) for sink in (first, second, third)] == [2, 2, 2]
    assert waits == [0.5, 1, 2, 4, 8, 16, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert figures(metrics, "b") == [9, 9, 2]
    assert figures(metrics, "a") == [0, 0, 2]


def test_when_there_is_no_more_time_it_is_an_error():
    sink = Memory(failures=3)
    told = iter([False, True])
    every = outputs([Output("b", sink)], lambda seconds: next(told))
    with pytest.raises(UndeliveredError, match="2 changes of alerts were not delivered to b"):
        every.send(MADE)
    assert sink.taken == []
    every.close()
    assert sink.closed


def test_all_are_closed_whatever_one_of_them_does():
    sinks = [Memory(failures=1), Memory()]
    outputs([Output("a", sink) for sink in sinks]).close()
    assert all(sink.closed for sink in sinks)


def test_a_far_side_that_is_down_holds_up_nobody(tmp_path):
    metrics, down, near = Metrics(), Far(failures=1 << 30), Memory()
    every = outputs([Output("near", near), queue(tmp_path, down, metrics)], metrics=metrics)
    for number in range(3):
        every.send([{**one, "score": number} for one in MADE])
    assert len(near.taken) == 6
    assert metrics.registry.get_sample_value("seqdetect_outbox_changes", {"output": "far"}) == 6
    assert metrics.registry.get_sample_value("seqdetect_outbox_bytes", {"output": "far"}) > 1000
    assert metrics.registry.get_sample_value("seqdetect_outbox_oldest_seconds", {"output": "far"}) > 0
    every.drain()  # there is no more time
    every.close()
    assert down.closed


def test_a_near_sink_that_fails_does_not_keep_the_pager_waiting(tmp_path):
    metrics, far, near = Metrics(), Far(), Memory(failures=1)
    every = outputs([Output("near", near), queue(tmp_path, far, metrics)], metrics=metrics)
    with pytest.raises(UndeliveredError):
        every.send(MADE)
    until(lambda: len(far.taken) == 2, "the pager")
    every.close()


def test_a_queue_that_is_full_makes_the_service_wait_and_loses_nothing(tmp_path):
    metrics, far = Metrics(), Far(failures=1 << 30)
    waits = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 5:
            far.failures = 0
        every.outputs[0].sink.hurry()
        time.sleep(0.01)
        return False

    every = outputs([queue(tmp_path, far, metrics, max_bytes=1)], wait, metrics)
    every.send(MADE[:1])
    every.send(MADE[2:])
    assert len(waits) >= 5
    until(lambda: [one["alert_id"] for one in far.taken] == ["1", "3"], "both")
    every.close()


def test_a_queue_that_stays_full_until_the_end_is_an_error_before_anything_is_saved(tmp_path):
    metrics = Metrics()
    every = outputs([queue(tmp_path, Far(failures=1 << 30), metrics, max_bytes=1)], metrics=metrics)
    every.send(MADE[:1])
    with pytest.raises(UndeliveredError, match="the queue of far is full"):
        every.send(MADE)
    every.close()


def test_draining_waits_for_what_can_be_delivered_and_keeps_the_rest(tmp_path, caplog):
    metrics, well, ill = Metrics(), Far(failures=2), Far(failures=1 << 30)
    every = outputs(
        [queue(tmp_path, well, metrics, name="well"), queue(tmp_path, ill, metrics, name="ill")],
        lambda seconds: every.outputs[0].sink.spool.changes == 0,
        metrics,
    )
    every.send(MADE)
    every.drain()
    every.close()
    assert len(well.taken) == 2
    said = [one.fields for one in caplog.records if one.message == "outbox_left"]
    assert said == [{"output": "ill", "changes": 2}]
    ill.failures = 0
    again = queue(tmp_path, ill, metrics, name="ill")
    until(lambda: [one["alert_id"] for one in ill.taken] == ["1", "3"], "what was left")
    outputs([again]).close()


def test_draining_ends_at_its_own_bound(tmp_path):
    metrics = Metrics()
    every = outputs(
        [queue(tmp_path, Far(failures=1 << 30), metrics)], lambda seconds: False, metrics, stop_s=0.05
    )
    every.send(MADE)
    every.drain()
    every.close()
