"""Which changes a sink gets, and what happens while it fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seqdetect.secret import Secret
from seqdetect.serve import outputs
from seqdetect.serve.document import Document
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.outputs import LONGEST_WAIT_S, Output, Outputs, UndeliveredError

MADE = [
    {"alert_id": "1", "shadow": False},
    {"alert_id": "2", "shadow": True},
    {"alert_id": "3", "shadow": False},
]


class Memory:
    """A sink that fails as often as told, and keeps what it took."""

    def __init__(
        self, path: Path, key: Secret, failures: int = 0, words: dict[str, int] | None = None
    ) -> None:
        self.path, self.key, self.failures, self.words = path, key, failures, words
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


def memory(failures: int = 0) -> Memory:
    return Memory(Path("x"), Secret("x"), failures)


def errors(metrics: Metrics, name: str) -> list[float]:
    return [
        metrics.registry.get_sample_value(f"seqdetect_sink_{what}_total", {"output": name}) or 0.0
        for what in ("errors", "retries", "changes")
    ]


def test_changes_of_shadow_models_go_only_where_they_are_asked_for():
    sinks = {shadow: memory() for shadow in ("no", "only", "too")}
    every = [Output(shadow, sink, shadow) for shadow, sink in sinks.items()]  # type: ignore[arg-type]
    Outputs(every, lambda seconds: True, Metrics()).send(MADE)
    taken = {shadow: "".join(change["alert_id"] for change in sink.taken) for shadow, sink in sinks.items()}
    assert taken == {"no": "13", "only": "2", "too": "123"}


def test_a_sink_that_fails_is_tried_again_alone_and_later_each_time():
    first, second, third, waits = memory(), memory(failures=9), memory(), []
    metrics = Metrics()
    every = [Output(name, sink) for name, sink in (("a", first), ("b", second), ("c", third))]
    Outputs(every, lambda seconds: bool(waits.append(seconds)), metrics).send(MADE)
    assert [len(sink.taken) for sink in (first, second, third)] == [2, 2, 2]
    assert waits == [0.5, 1, 2, 4, 8, 16, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]
    assert errors(metrics, "b") == [9, 9, 2]
    assert errors(metrics, "a") == [0, 0, 2]


def test_when_there_is_no_more_time_it_is_an_error():
    sink = memory(failures=3)
    told = iter([False, True])
    every = Outputs([Output("b", sink)], lambda seconds: next(told), Metrics())
    with pytest.raises(UndeliveredError, match="2 changes of alerts were not delivered to b"):
        every.send(MADE)
    assert sink.taken == []
    every.close()
    assert sink.closed


def test_all_are_closed_whatever_one_of_them_does():
    sinks = [memory(failures=1), memory()]
    Outputs([Output("a", sink) for sink in sinks], lambda seconds: True, Metrics()).close()
    assert all(sink.closed for sink in sinks)


@pytest.fixture
def known(monkeypatch):
    """``Memory`` under the name that an entry in the table gives it: this is all that a new sink takes."""
    monkeypatch.setitem(outputs.SINKS, "memory", f"{__name__}.Memory")


def built(entry: dict[str, Any], folder: Path) -> Output:
    (output,) = outputs.build(Document(folder / "s.yaml", None), [entry])
    return output


def test_a_sinks_settings_are_its_constructors_parameters(known, tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "hunter2")
    settings = {"path": "a/b", "key": {"env": "KEY"}, "failures": 2, "words": {"x": 1}, "shadow": "too"}
    output = built({"memory": settings}, tmp_path)
    sink = output.sink
    assert isinstance(sink, Memory)
    assert (output.name, output.shadow) == ("memory-0", "too")
    assert (sink.path, sink.key, sink.failures, sink.words) == (tmp_path / "a" / "b", "hunter2", 2, {"x": 1})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"memory": {"key": {"env": "KEY"}}}, "outputs[0].memory.path: is missing"),
        ({"memory": {"path": "a", "key": "hunter2"}}, "outputs[0].memory.key: a secret is not written here"),
        ({"memory": {"path": "a", "key": {"env": "KEY"}, "words": {"x": "y"}}}, "outputs[0].memory.words[...]: expected a whole number"),
        ({"memory": {"path": "a", "key": {"env": "KEY"}, "failure": 1}}, "outputs[0].memory.failure: there is no such setting (did you mean failures?)"),
        ({"memory": {}, "jsonl": {}}, "outputs[0]: name one sink"),
        ({"memroy": {}}, "outputs[0].memroy: there is no such sink (did you mean memory?)"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(known, tmp_path, monkeypatch, entry, said):
    monkeypatch.setenv("KEY", "hunter2")
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        built(entry, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_sinks_opened_before_a_wrong_one_are_closed(known, tmp_path, monkeypatch):
    monkeypatch.setenv("KEY", "x")
    opened: list[Memory] = []
    monkeypatch.setattr(Memory, "close", lambda self: opened.append(self))
    good = {"memory": {"path": "a", "key": {"env": "KEY"}}}
    with pytest.raises(ValueError, match=r"outputs\[1\]"):
        outputs.build(Document(tmp_path / "s.yaml", None), [good, {"jsonl": {}}])
    assert len(opened) == 1
