"""Which outputs a configuration names, and what is said of one that it cannot."""

from __future__ import annotations

import importlib
import inspect
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from changes import change
from seqdetect.secret import Secret
from seqdetect.serve import outputs
from seqdetect.serve.delivery import Output, close
from seqdetect.serve.document import Document
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued, Queues
from seqdetect.serve.spool import Spool
from seqdetect.serve.wanted import Wanted


class Memory:
    """A sink that keeps its settings."""

    def __init__(
        self, path: Path, key: Secret, failures: int = 0, words: dict[str, int] | None = None
    ) -> None:
        self.path, self.key, self.failures, self.words = path, key, failures, words
        self.closed = False

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Far(Memory):
    """One with a queue."""

    queued: ClassVar[bool] = True


@pytest.fixture
def known(monkeypatch):
    """``Memory`` under the name that an entry in the table gives it: this is all that a new sink takes."""
    monkeypatch.setenv("KEY", "hunter2")
    for name in ("Memory", "Far"):
        monkeypatch.setitem(outputs.SINKS, name.lower(), f"{__name__}.{name}")


def built(folder: Path, *entries: dict[str, Any]) -> list[Output]:
    chosen = outputs.read(Document(folder / "s.yaml", None), entries)
    return outputs.opened(chosen, Queues(folder / "outbox", 1 << 20, Metrics()))


GOOD = {"path": "a", "key": {"env": "KEY"}}


def test_a_sinks_settings_are_its_constructors_parameters(known, tmp_path):
    settings = {"path": "a/b", "key": {"env": "KEY"}, "failures": 2, "words": {"x": 1}}
    (output,) = built(tmp_path, {"memory": settings})
    sink = output.sink
    assert isinstance(sink, Memory)
    assert (output.name, output.wanted) == ("memory-0", Wanted())
    assert (sink.path, sink.key, sink.failures, sink.words) == (tmp_path / "a" / "b", "hunter2", 2, {"x": 1})
    assert not (tmp_path / "outbox").exists()


def test_every_output_says_what_it_wants_and_may_have_a_name(known, tmp_path):
    own = {"name": "night", "shadow": "too", "muted": "only", "teams": ["security"], "severity": "critical"}
    named, other = built(
        tmp_path, {"memory": GOOD | own}, {"memory": GOOD | {"shadow": False, "muted": False}}
    )
    assert (named.name, named.wanted) == ("night", Wanted("too", "only", ("security",), "critical"))
    # YAML reads "no" as false
    assert (other.name, other.wanted) == ("memory-1", Wanted())


@pytest.mark.parametrize("kind", outputs.SINKS)
def test_no_sink_has_a_setting_called_as_one_that_every_output_has(kind):
    module, _, name = outputs.SINKS[kind].rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert parameters.keys().isdisjoint(outputs.OWN)


def test_a_sink_with_a_queue_has_it_in_a_file_of_its_name(known, tmp_path):
    (output,) = built(tmp_path, {"far": GOOD | {"name": "pager"}})
    assert isinstance(output.sink, Queued)
    assert isinstance(output.sink.sink, Far)
    assert (tmp_path / "outbox" / "pager.queue").exists()
    close([output])
    assert output.sink.sink.closed


def test_a_queue_that_no_output_goes_by_any_more_is_said(known, tmp_path, caplog):
    for name, count in (("gone", 2), ("empty", 0), ("here", 1)):
        spool = Spool(tmp_path / "outbox" / f"{name}.queue", 1 << 20)
        spool.put([change(alert_id=str(number)) for number in range(count)])
        spool.close()
    close(built(tmp_path, {"far": GOOD | {"name": "here"}}))
    said = [one.fields for one in caplog.records if one.message == "outbox_unclaimed"]
    assert said == [{"file": str(tmp_path / "outbox" / "gone.queue"), "changes": 2}]
    assert caplog.records[0].levelno >= logging.WARNING


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"memory": {"key": {"env": "KEY"}}}, "outputs[0].memory.path: is missing"),
        ({"memory": {"path": "a", "key": "hunter2"}}, "outputs[0].memory.key: a secret is not written here"),
        ({"memory": GOOD | {"words": {"x": "y"}}}, "outputs[0].memory.words[...]: expected a whole number"),
        ({"memory": GOOD | {"failure": 1}}, "outputs[0].memory.failure: there is no such setting (did you mean failures?)"),
        ({"memory": GOOD | {"shadow": "yes"}}, "outputs[0].memory.shadow: must be one of no, only, too"),
        ({"memory": GOOD | {"muted": True}}, "outputs[0].memory.muted: must be one of no, only, too"),
        ({"memory": GOOD | {"teams": "sre"}}, "outputs[0].memory.teams: expected a list"),
        ({"memory": GOOD | {"severity": "info"}}, "outputs[0].memory.severity: must be one of "),
        ({"memory": GOOD | {"name": "../x"}}, "outputs[0].memory.name: expected text matching"),
        ({"memory": {}, "jsonl": {}}, "outputs[0]: name one sink"),
        ({"memroy": {}}, "outputs[0].memroy: there is no such sink (did you mean memory?)"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(known, tmp_path, entry, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        built(tmp_path, entry)
    assert "hunter2" not in str(caught.value)


def test_an_output_waits_for_teams_that_alerts_have(known, tmp_path):
    here, entry = Document(tmp_path / "s.yaml", None), {"memory": GOOD | {"teams": ["night", "sre"]}}
    chosen = outputs.read(here, [entry])
    outputs.check_teams(chosen, {"sre": (), "night": ("flood",)})
    with pytest.raises(
        ValueError, match=re.escape("outputs[0].memory.teams: there is no such team; there are night")
    ):
        outputs.check_teams(chosen, {"night": ("flood",)})


def test_two_outputs_of_one_name_are_refused(known, tmp_path):
    with pytest.raises(ValueError, match=r"outputs\[1\]\.memory\.name: x is taken by another output"):
        built(tmp_path, {"far": GOOD | {"name": "x"}}, {"memory": GOOD | {"name": "x"}})


def test_sinks_opened_before_one_that_cannot_be_are_closed(known, tmp_path, monkeypatch):
    closed: list[Memory] = []
    monkeypatch.setattr(Memory, "close", lambda self: closed.append(self))
    held = Spool(tmp_path / "outbox" / "far-2.queue", 1)
    with pytest.raises(ValueError, match=r"outputs\[3\]\.jsonl: "):
        built(
            tmp_path,
            {"memory": GOOD},
            {"far": GOOD},
            {"memory": GOOD},
            {"jsonl": {"path": "outbox/far-2.queue/x"}},
        )
    assert len(closed) == 3
    held.close()
