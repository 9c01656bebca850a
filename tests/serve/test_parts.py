"""Scorers that come and go with the parts of the input, and their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import handmade
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.serve.config import Limits
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.parts import Scorers, Store
from seqdetect.source.live import Batch
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout

from .running import calm, event, last, lines, stream
from .test_reload import other_state


@pytest.fixture
def models(tmp_path):
    return [Model("tokens", load(handmade.write(tmp_path / "b.onnx")))]


def scorers(models: list[Model], folder: Path, **store: Any) -> Scorers:
    return Scorers(models, Store(folder, **store), Tally(), Limits(max_users=1000), Metrics())


def batch(events: list[dict[str, Any]], part: str, position: Any) -> Batch:
    return Batch(Reader(Layout()).read(lines(events), "test", Tally()), part, position)


def taken(parts: Scorers, one: Batch) -> list[dict[str, Any]]:
    changes = parts.push(one)
    parts.reached(one)
    return changes


def figure(parts: Scorers, name: str) -> float | None:
    parts._metrics.refresh(parts.by_part, Tally())
    return parts._metrics.registry.get_sample_value(f"seqdetect_{name}", {"model": "tokens"})


def test_state_follows_the_part_to_another_process(models, tmp_path):
    """Two processes share a folder; a part moves from one to the other in the middle of its events."""
    events = stream()
    half = len(events) // 2
    alone = scorers(models, tmp_path / "alone")
    alone.assigned("t-0")
    expected = taken(alone, batch(events, "t-0", 9))
    one, two = (scorers(models, tmp_path / "shared") for _ in range(2))
    committed: list[tuple[str, Any]] = []
    one.commit = lambda part, position: committed.append((part, position))
    assert one.assigned("t-0") is None
    changes = taken(one, batch(events[:half], "t-0", 17))
    one.revoked("t-0")
    assert committed == [("t-0", 17)]
    assert one.by_part == {}
    assert two.assigned("t-0") == 17
    changes += taken(two, batch(events[half:], "t-0", 99))
    assert changes == expected


def test_a_part_does_not_feel_the_others(models, tmp_path):
    events = stream(minutes=10)
    alone, beside = scorers(models, tmp_path / "a"), scorers(models, tmp_path / "b")
    alone.assigned("t-0")
    for part in ("t-0", "t-1"):
        beside.assigned(part)
    taken(beside, batch([*calm(80_000), *calm(90_000)], "t-1", 5))
    expected = taken(alone, batch(events, "t-0", 9))
    assert taken(beside, batch(events, "t-0", 9)) == expected
    beside.save()
    assert sorted(path.name for path in (tmp_path / "b").glob("*.ckpt")) == ["t-0.ckpt", "t-1.ckpt"]


def test_the_same_users_alert_in_two_parts_is_two_alerts(models, tmp_path):
    parts = scorers(models, tmp_path / "a")
    loud = [*calm(0), event(0, "loud", 50_000), *calm(25)]
    for part in ("t-0", "t-1"):
        parts.assigned(part)
    changes = [taken(parts, batch(loud, part, 1)) for part in ("t-0", "t-1")]
    assert len(last(changes[0] + changes[1])) == 2


def test_a_lost_part_writes_nothing(models, tmp_path):
    parts = scorers(models, tmp_path / "a")
    parts.assigned("t-0")
    taken(parts, batch(calm(), "t-0", 5))
    parts.lost("t-0")
    parts.lost("t-0")
    parts.save()
    assert not (tmp_path / "a").exists()


def test_a_batch_that_is_not_delivered_is_in_no_checkpoint(models, tmp_path):
    parts = scorers(models, tmp_path / "a")
    parts.assigned("")
    taken(parts, batch(calm(), "", 5))
    parts.save()
    taken(parts, batch(calm(30), "", 6))
    parts.push(batch(calm(60), "", 7))
    parts.abandon()
    parts.save()
    parts.revoked("")
    assert scorers(models, tmp_path / "a").assigned("") == 5


def test_only_parts_that_moved_are_saved(models, tmp_path):
    parts = scorers(models, tmp_path / "a")
    committed: list[tuple[str, Any]] = []
    parts.commit = lambda part, position: committed.append((part, position))
    for part in ("t-0", "t-1"):
        parts.assigned(part)
    taken(parts, batch(calm(), "t-1", 3))
    parts.save()
    parts.save()
    assert committed == [("t-1", 3)]


def test_a_checkpoint_that_cannot_be_written_is_tried_again_and_not_committed(models, tmp_path):
    blocked = tmp_path / "a"
    blocked.write_text("a file where the folder should be")
    parts = scorers(models, blocked)
    committed: list[tuple[str, Any]] = []
    parts.commit = lambda part, position: committed.append((part, position))
    parts.by_part[""] = Scorer(models, Tally())
    taken(parts, batch(calm(), "", 3))
    parts.save()
    assert committed == []
    assert parts._metrics.registry.get_sample_value("seqdetect_checkpoint_errors_total") == 1
    blocked.unlink()
    parts.save()
    assert committed == [("", 3)]


def test_a_fresh_part_begins_with_the_memory_that_training_left(models, tmp_path):
    trained = Scorer(models, Tally())
    trained.push(batch([*calm(), *calm(30)], "", None).table)
    trained.save(tmp_path / "state.ckpt", "a position in other data")
    parts = scorers(models, tmp_path / "a", start=tmp_path / "state.ckpt")
    assert parts.assigned("") is None
    assert figure(parts, "users_tracked") == 20
    taken(parts, batch([*calm(60), event(60, "new"), *calm(90)], "", 4))
    parts.save()
    again = scorers(models, tmp_path / "a", start=tmp_path / "none.ckpt")
    assert again.assigned("") == 4
    assert figure(again, "users_tracked") == 21
    with pytest.raises(ValueError, match=r"checkpoint\.start: no checkpoint at"):
        scorers(models, tmp_path / "b", start=tmp_path / "none.ckpt").assigned("")


def test_models_are_exchanged_in_all_parts_or_in_none(models, tmp_path, monkeypatch):
    parts = scorers(models, tmp_path / "a")
    for part in ("t-0", "t-1"):
        parts.assigned(part)
        taken(parts, batch(calm(), part, 1))
    foreign = [Model("tokens", load(other_state(tmp_path / "other.onnx", monkeypatch)))]
    with pytest.raises(ValueError, match="made in another way"):
        parts.swap(foreign)
    second = parts.by_part["t-1"]
    monkeypatch.setattr(second, "swap", lambda models: (_ for _ in ()).throw(ValueError("not here")))
    louder = [Model("tokens", models[0].bundle, thresholds={"warning": 0.01, "critical": 0.02})]
    with pytest.raises(ValueError, match="not here"):
        parts.swap(louder)
    changes = taken(parts, batch([event(40, "mild", 1_500), *calm(65)], "t-0", 2))
    assert changes == []
    monkeypatch.undo()
    parts.swap(louder)
    assert taken(parts, batch([event(80, "mild", 1_500), *calm(105)], "t-0", 3))[0]["severity"] == "critical"
    parts.assigned("t-2")
    loud = batch([*calm(), event(0, "mild", 1_500), *calm(25)], "t-2", 3)
    assert taken(parts, loud)[0]["severity"] == "critical"


def test_what_was_counted_before_a_restart_is_not_counted_again(models, tmp_path):
    parts = scorers(models, tmp_path / "a")
    parts.assigned("")
    taken(parts, batch([*calm(), *calm(30)], "", 1))
    assert figure(parts, "steps_scored_total") == 20
    assert figure(parts, "steps_scored_total") == 20
    parts.save()
    again = scorers(models, tmp_path / "a")
    again.assigned("")
    assert figure(again, "steps_scored_total") == 0
    taken(again, batch(calm(60), "", 2))
    assert figure(again, "steps_scored_total") == 20
    again.revoked("")
    again.assigned("")
    assert figure(again, "steps_scored_total") == 20
