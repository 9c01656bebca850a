"""New bundles and settings while the service runs."""

from __future__ import annotations

import os
import signal

import pytest

import handmade
from seqdetect.bundle.load import load

from .running import Service, calm, event, until

LOUD = {"warning": 0.5, "critical": 1.5}


def other_state(path, monkeypatch):
    """A bundle whose state is made in another way."""
    plain = handmade.new_graph

    def with_memory():
        graph = plain()
        seen = graph.state("seen", [0.0])
        graph.update("seen", seen + 1.0)
        return graph

    monkeypatch.setattr(handmade, "new_graph", with_memory)
    handmade.write(path)
    monkeypatch.undo()
    return path


def reloads(service: Service, result: str) -> float:
    return service.figure(f'seqdetect_reloads_total{{result="{result}"}}')


def replace(path, new) -> None:
    """As a careful deployment does it: written aside, then moved."""
    os.replace(new, path)


def test_a_changed_bundle_is_taken_over_and_what_is_known_of_users_stays(tmp_path):
    with Service(tmp_path) as service:
        service.post([*calm(0), event(0, "loud", 50_000), *calm(25)])
        until(lambda: service.changes(), "an alert")
        replace(tmp_path / "bundle.onnx", handmade.write(tmp_path / "new.onnx", kinds=["unknown", "a", "b"]))
        until(lambda: reloads(service, "taken") == 1, "the new bundle")
        service.post([*calm(40), event(40, "other", 50_000), *calm(1000)])
        until(lambda: len(service.changes()) == 4, "the alert of the new one and the ends of both")
        assert service.stop() == 0
    opened = {one["user_id"]: one for one in service.changes() if one["change"] == "open"}
    assert (opened["loud"]["kind"], opened["other"]["kind"]) == ("wallet", "b")
    assert [one["user_id"] for one in service.changes() if one["change"] == "resolve"] == ["loud", "other"]
    assert not service.said("message")


def test_a_file_touched_or_half_written_changes_nothing(tmp_path):
    bundle = tmp_path / "bundle.onnx"
    with Service(tmp_path) as service:
        whole = bundle.read_bytes()
        os.utime(bundle, (1, 1))
        bundle.write_bytes(whole[: len(whole) // 2])
        until(lambda: reloads(service, "failed") == 1, "the refusal")
        assert "not an ONNX model" in service.said("reload_failed")[0]["error"]
        service.post([*calm(0), event(0, "loud", 50_000), *calm(25)])
        until(lambda: service.changes(), "an alert of the bundle before")
        bundle.write_bytes(handmade.write(tmp_path / "new.onnx", kinds=["unknown", "a", "b"]).read_bytes())
        until(lambda: reloads(service, "taken") == 1, "the whole one")
        assert service.stop() == 0
    assert len(service.said("reload_failed")) == 1


def test_a_broken_bundle_does_not_keep_another_models_from_its_new_one(tmp_path):
    one, two = (handmade.write(tmp_path / name) for name in ("one.onnx", "two.onnx"))
    models = [{"name": "a", "bundle": "one.onnx"}, {"name": "b", "bundle": "two.onnx", "key": "service"}]
    with Service(tmp_path, models=models) as service:
        new = handmade.write(tmp_path / "new.onnx", kinds=["unknown", "a", "b"])
        one.write_bytes(b"not a bundle")
        replace(two, new)
        until(lambda: (reloads(service, "failed"), reloads(service, "taken")) == (1, 1), "both")
        assert service.stop() == 0
    assert "one.onnx" in service.said("reload_failed")[0]["error"]


def test_another_state_is_refused_and_the_old_bundle_keeps_running(tmp_path, monkeypatch):
    with Service(tmp_path) as service:
        new = other_state(tmp_path / "new.onnx", monkeypatch)
        assert load(new).metadata.state.hash != load(tmp_path / "bundle.onnx").metadata.state.hash
        before = service.request("GET", "/metrics")[1]
        replace(tmp_path / "bundle.onnx", new)
        until(lambda: reloads(service, "refused") == 1, "the refusal")
        said = service.said("reload_refused")[0]
        assert said["level"] == "error"
        assert "its state is made in another way" in said["error"]
        info = [line for line in before.splitlines() if line.startswith("seqdetect_bundle_info")]
        assert info[0] in service.request("GET", "/metrics")[1]
        service.post([*calm(0), event(0, "loud", 50_000), *calm(25)])
        until(lambda: service.changes(), "an alert of the old one")
        # nobody goes on trying what is known not to go
        assert reloads(service, "refused") == 1
        assert service.stop() == 0


def test_a_checkpoint_of_another_state_stops_the_start_with_what_to_do(tmp_path, monkeypatch):
    with Service(tmp_path) as service:
        service.post([event(0)])
        assert service.stop() == 0
    other_state(tmp_path / "bundle.onnx", monkeypatch)
    with pytest.raises(AssertionError, match=r"move .*input\.ckpt away to begin anew"):
        service.start()
    assert service.ended() == 2


def test_on_sighup_thresholds_and_shadows_are_read_again(tmp_path):
    outputs = [{"jsonl": {"path": "alerts.jsonl"}}, {"jsonl": {"path": "shadow.jsonl", "shadow": "only"}}]
    with Service(tmp_path, outputs=outputs) as service:
        service.post([*calm(0), event(0, "a", 3_000), *calm(25)])
        until(lambda: service.changes(), "a warning")
        assert service.changes()[0]["severity"] == "warning"
        model = {"name": "tokens", "bundle": "bundle.onnx", "thresholds": {"warning": 0.1, "critical": 0.9}}
        shadow = {"name": "next", "bundle": "bundle.onnx", "shadow": True, "thresholds": LOUD}
        service.settings["models"] = [model, shadow]
        service.write()
        service.signal(signal.SIGHUP)
        until(lambda: reloads(service, "taken") == 1, "the new settings")
        service.post([*calm(40), event(40, "b", 3_000), *calm(65)])
        until(lambda: service.changes("shadow.jsonl"), "an alert of the shadow")
        until(lambda: len(service.changes()) == 2, "the second alert")
        service.settings["models"] = [model]
        service.settings["limits"] = {"max_users": 7}
        service.write()
        service.signal(signal.SIGHUP)
        until(lambda: reloads(service, "taken") == 2, "the shadow's end")
        assert service.said("restart_needed")[0]["sections"] == "limits"
        assert 'seqdetect_bundle_info{key="user_id",model="next"' not in service.request("GET", "/metrics")[1]
        service.post([*calm(80), event(80, "c", 3_000), *calm(105)])
        until(lambda: len(service.changes()) == 3, "the third alert")
        assert service.stop() == 0
    assert [(one["user_id"], one["severity"]) for one in service.changes()] == [
        ("a", "warning"), ("b", "critical"), ("c", "critical")]  # fmt: skip
    assert not any(one["shadow"] for one in service.changes())
    assert [(one["user_id"], one["severity"], one["model"]) for one in service.changes("shadow.jsonl")] == [
        ("b", "warning", "next")]  # fmt: skip
    assert all(one["shadow"] for one in service.changes("shadow.jsonl"))


def test_a_broken_configuration_on_sighup_changes_nothing(tmp_path):
    with Service(tmp_path) as service:
        service.config.write_text("models: [")
        service.signal(signal.SIGHUP)
        until(lambda: reloads(service, "failed") == 1, "the refusal")
        service.settings["models"] = [{"name": "tokens", "bundle": "gone.onnx"}]
        service.write()
        service.signal(signal.SIGHUP)
        until(lambda: reloads(service, "failed") == 2, "the second refusal")
        assert "models[0].bundle: no bundle at" in service.said("reload_failed")[-1]["error"]
        service.post([*calm(0), event(0, "loud", 50_000), *calm(25)])
        until(lambda: service.changes(), "an alert")
        assert service.stop() == 0
