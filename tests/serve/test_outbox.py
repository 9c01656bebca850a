"""The service while a far side is away: nobody waits for it, and over a crash nothing is lost."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

import handmade
from receiver import Receiver, receiver
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout

from .running import Service, calm, event, last, lines, stream, until

STREAM = stream(minutes=60)
ENVIRONMENT = {"HOOK_SECRET": base64.b64encode(b"s3cret" * 5).decode()}


@pytest.fixture
def far() -> Iterator[Receiver]:
    with receiver() as one:
        yield one


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The last state of every alert of ``STREAM`` where nothing happens to the scorer."""
    bundle = load(handmade.write(tmp_path_factory.mktemp("bundle") / "b.onnx"))
    scorer = Scorer([Model("tokens", bundle)], Tally())
    return last(scorer.push(Reader(Layout()).read(lines(STREAM), "test", Tally())))


def hooked(far: Receiver, **more: Any) -> list[dict[str, Any]]:
    return [
        {"jsonl": {"path": "alerts.jsonl"}},
        {"webhook": {"url": f"{far.url}/hook", "secret": {"env": "HOOK_SECRET"}, "name": "hook"} | more},
    ]


def received(far: Receiver) -> list[dict[str, Any]]:
    return [json.loads(request.body)["data"] for request in far.requests]


def once(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what came twice."""
    return list({json.dumps(one): one for one in changes}.values())


def test_killed_while_the_far_side_is_down_everything_arrives_in_order_once_it_is_back(
    tmp_path, far, undisturbed
):
    far.down()
    events, half = tmp_path / "events.jsonl", len(STREAM) // 2
    events.write_bytes(lines(STREAM[:half]))
    service = Service(tmp_path, input={"file": {"path": "events.jsonl"}}, outputs=hooked(far))
    with service.start(**ENVIRONMENT):
        until(lambda: service.figure('seqdetect_outbox_changes{output="hook"}') >= 3, "changes in the queue")
        until(lambda: service.figure('seqdetect_sink_retries_total{output="hook"}') >= 1, "a second try")
        until(lambda: (tmp_path / "state" / "input.ckpt").exists(), "a checkpoint: nobody waits for the hook")
        service.kill()
        with open(events, "ab") as file:
            file.write(lines(STREAM[half:]))
        service.start(**ENVIRONMENT)
        service.reads(1)
        service.kill()
        far.up()
        service.start(**ENVIRONMENT)
        until(lambda: last(received(far)) == undisturbed, "the last state of every alert")
        until(lambda: service.figure('seqdetect_outbox_changes{output="hook"}') == 0, "an empty queue")
        assert service.stop() == 0
    # the file holds twice what was scored twice; the hook was told once
    assert received(far) == once(service.changes())
    assert ENVIRONMENT["HOOK_SECRET"] not in service._log.read_text()


def test_a_stop_leaves_on_disk_what_cannot_be_delivered_and_is_no_failure(tmp_path, far):
    far.down()
    service = Service(tmp_path, outputs=hooked(far), limits={"stop_s": 0.5})
    with service.start(**ENVIRONMENT):
        service.post([*calm(), event(1, "loud", 20_000), *calm(60)])
        until(lambda: service.figure('seqdetect_outbox_changes{output="hook"}') == 1, "the alert")
        assert service.stop() == 0
        assert [one["changes"] for one in service.said("outbox_left")] == [1]
        far.up()
        service.start(**ENVIRONMENT)
        until(lambda: [one["user_id"] for one in received(far)] == ["loud"], "the alert")
        assert service.stop() == 0
        assert not service.said("outbox_left")


def test_a_stop_delivers_what_can_be(tmp_path, far):
    far.answers.append((503, {}, b""))
    service = Service(tmp_path, outputs=hooked(far))
    with service.start(**ENVIRONMENT):
        service.post([*calm(), event(1, "loud", 20_000), *calm(60)])
        assert service.stop() == 0
    assert [one["user_id"] for one in received(far)] == ["loud", "loud"]  # the first time it was not taken


def test_a_queue_that_is_full_holds_up_the_service_but_loses_nothing(tmp_path, far):
    far.down()
    events, half = tmp_path / "events.jsonl", len(STREAM) // 2
    events.write_bytes(lines(STREAM[:half]))
    service = Service(
        tmp_path,
        input={"file": {"path": "events.jsonl"}},
        outputs=hooked(far),
        delivery={"folder": "elsewhere", "max_bytes": 1},
        limits={"stall_s": 1},
    )
    with service.start(**ENVIRONMENT):
        until(lambda: service.figure('seqdetect_outbox_changes{output="hook"}') >= 1, "a change in the queue")
        with open(events, "ab") as file:
            file.write(lines(STREAM[half:]))
        until(lambda: service.said("outbox_full"), "a word of it")
        # it waits, and knows what for
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert service.request("GET", "/healthz") == (200, "ok\n")
        assert (tmp_path / "elsewhere" / "hook.queue").exists()
        far.up()
        until(lambda: last(received(far)) == last(service.changes()) and len(received(far)) > 5, "all")
        assert service.stop() == 0
    assert once(received(far)) == once(service.changes())


def test_an_output_gets_the_alerts_of_its_team_and_severity(tmp_path, far):
    service = Service(tmp_path, outputs=hooked(far, severity="critical", muted=False))
    with service.start(**ENVIRONMENT):
        service.post([*calm(), event(1, "loud", 20_000), event(1, "louder", 3_000), *calm(60)])
        assert service.stop() == 0
    severities = {one["user_id"]: one["severity"] for one in service.changes()}
    assert severities == {"loud": "critical", "louder": "warning"}
    assert [one["user_id"] for one in received(far)] == ["loud"]


def test_check_finds_a_wrong_output(tmp_path, far, monkeypatch):
    from seqdetect.serve import process

    service = Service(tmp_path, outputs=hooked(far, secret={"env": "NOT_THERE"}))
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(
        ValueError, match=r"outputs\[1\]\.webhook\.secret: the environment variable NOT_THERE"
    ):
        process.plan(service.config)
    assert not os.path.exists(tmp_path / "state")
