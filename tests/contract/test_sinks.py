"""The same checks on every sink that an output can be: a new one needs its far side in ``sides``, and passes them."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sides import SECRET, SIDES, Side

from changes import change
from seqdetect.serve import outputs
from seqdetect.serve.delivery import Outputs, close
from seqdetect.serve.document import Document
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.queued import Queued, Queues

PATIENCE_S = 60.0
HOSTILE = [
    "x" * 20_000,
    "a\nb\r\nc\x00d\u2028e\u202ef",
    '"; DROP TABLE alerts; -- \\" , = ` <!channel> <b>&amp;',
    "Zoë 北京 👩‍👩‍👧‍👦",
    "\ud7ff\ue000\uffff",
    " ",
]


def until(true: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture(params=sorted(outputs.SINKS))
def side(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    assert request.param in SIDES, "add its far side to tests/contract/sides.py"
    with SIDES[request.param](tmp_path) as one:
        for name, value in one.environment.items():
            monkeypatch.setenv(name, value)
        one.kind = request.param
        yield one


@pytest.fixture
def delivery(side: Side, tmp_path: Path) -> Iterator[Outputs]:
    """The sink as the service has it: with a queue on disk where it wants one."""
    metrics = Metrics()
    chosen = outputs.read(Document(tmp_path / "scorer.yaml", {}), [{side.kind: dict(side.settings)}])
    tries = []

    def wait(seconds: float) -> bool:
        """A sink without a queue waits here: its far side comes back at the third time."""
        tries.append(seconds)
        if len(tries) == 3:
            side.up()
        return len(tries) > 1000

    opened = outputs.opened(chosen, Queues(tmp_path / "outbox", 1 << 20, metrics))
    yield Outputs(opened, wait, metrics, 60.0)
    close(opened)


def queue(delivery: Outputs) -> Queued | None:
    (output,) = delivery.outputs
    return output.sink if isinstance(output.sink, Queued) else None


def emptied(delivery: Outputs) -> None:
    """Wait until all has been taken."""
    queued = queue(delivery)
    if queued is not None:
        queued.hurry()
        until(lambda: queued.spool.changes == 0, "an empty queue")


def told(delivery: Outputs, *changes: dict[str, Any]) -> None:
    delivery.send(changes)
    emptied(delivery)


def test_what_is_sent_is_valid_whatever_senders_call_themselves(side, delivery, tmp_path):
    triage = {"verdict": "unclear", "evidence": [
        {"name": "networks", "value": 3, "usual": 120.5, "points_to": "attack"},
        {"name": "user_agents", "value": HOSTILE[2], "usual": None, "points_to": None},
    ]}  # fmt: skip
    unknown = {"threshold": None, "budget": None, "cost_usd": None, "runbook_url": None, "top_features": [],
               "impact": {"cost_per_hour_usd": None, "traffic_share": None, "slo_burn": None}}  # fmt: skip
    lives = [
        *({"user_id": name} for name in HOSTILE),
        {"user_id": "*", "users": 5000, "kind": "botnet", "triage": triage, "teams": ["security", "sre"]},
        {"user_id": "*", "kind": "overflow", "left_out": 17},
        {"severity": "warning", "tier": "warning", "reopened": 3},
        {"kind": "a kind, of = their own", "model": "next.v2", "key": "client_ip", "user_id": "2001:db8::1"},
        unknown,
    ]
    for number, more in enumerate(lives):
        for what in ("open", "update", "resolve"):
            told(delivery, change(what, alert_id=f"{number:016x}", **more))
    assert not side.refused()
    assert not list((tmp_path / "outbox").glob("*.refused.jsonl"))
    found = side.alerts()
    # one of two teams may be two alerts there
    assert all(any(f"{number:016x}" in key for key in found) for number in range(len(lives)))
    assert not any(found.values())


def test_the_same_alert_twice_is_one_there(side, delivery):
    sink = queue(delivery)
    send = delivery.outputs[0].sink.send if sink is None else sink.sink.send
    one = change("open")
    send([one])
    first = side.alerts()
    assert list(first.values()) == [True]
    send([one])
    assert side.alerts() == first
    send([change("update", at="2026-03-02T10:01:00Z", score=6.0)])
    assert side.alerts() == first


def test_a_resolve_ends_what_an_open_began_and_nothing_else(side, delivery):
    told(delivery, change("open", alert_id="a" * 16), change("open", alert_id="b" * 16))
    both = side.alerts()
    assert list(both.values()) == [True, True]
    told(delivery, change("resolve", alert_id="a" * 16))
    after = side.alerts()
    assert after.keys() == both.keys()
    assert sorted(after.values()) == [False, True]
    # an output may see an update first, and a resolve of what it never saw
    told(delivery, change("update", alert_id="c" * 16))
    assert sum(side.alerts().values()) == 2
    told(delivery, change("resolve", alert_id="c" * 16))
    assert sum(side.alerts().values()) == 1


def test_nothing_is_lost_while_the_far_side_is_down(side, delivery):
    told(delivery, change("open", alert_id="0" * 16))
    side.down()
    ended = {f"{number:016x}" for number in range(1, 4)}
    for number in range(1, 6):
        delivery.send([change("open", alert_id=f"{number:016x}")])
    delivery.send([change("resolve", alert_id=name) for name in sorted(ended)])
    queued = queue(delivery)
    if queued is not None:
        until(lambda: queued._backoff.tries > 0, "a failure")
        assert queued.spool.changes == 8
        side.up()
    emptied(delivery)
    assert not side.refused()
    found = side.alerts()
    assert len(found) == 6
    assert sum(found.values()) == 3
    for key, is_open in found.items():
        assert is_open == (not any(name in key for name in ended))


def test_no_log_and_no_error_tells_a_secret(side, delivery, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    side.rude()
    (output,) = delivery.outputs
    sink = output.sink.sink if isinstance(output.sink, Queued) else output.sink
    shown = [repr(sink), repr(output)]
    for number in range(3):
        try:
            sink.send([change("open", alert_id=f"{number:016x}")])
        except Exception as error:
            shown.append("".join(traceback.format_exception(error)))
    if isinstance(output.sink, Queued):
        assert len(shown) == 5, "it was not rude"
        side.rude()
        told(delivery, *(change("open", alert_id=letter * 16) for letter in "def"))
        assert (tmp_path / "outbox" / f"{output.name}.refused.jsonl").exists()
        shown += [path.read_text(errors="replace") for path in (tmp_path / "outbox").iterdir()]
    shown += [str(vars(record)) for record in caplog.records]
    for secret in (SECRET, SECRET[:12]):
        assert secret not in "".join(shown)


def test_no_far_side_is_left_over():
    assert SIDES.keys() == outputs.SINKS.keys()
