"""Signed webhooks, verified as a receiver does."""

from __future__ import annotations

import base64
import hmac
import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from changes import change
from receiver import Request, receiver
from seqdetect.secret import Secret
from seqdetect.sink.webhook import WebhookSink, signed

RAW = bytes(range(32))
SECRET = Secret("whsec_" + base64.b64encode(RAW).decode())
OLD = Secret(base64.b64encode(RAW[::-1]).decode())


def verified(request: Request, secret: str, now_s: float) -> dict:
    """As the documentation shows a receiver how to."""
    page = (Path(__file__).parents[2] / "serving" / "README.md").read_text()
    program = page.split("### Verifying a webhook")[1].split("```python\n")[1].split("```")[0]
    clock = SimpleNamespace(time=lambda: now_s)
    names = {"base64": base64, "hmac": hmac, "json": json, "time": clock}
    exec(program, names)
    return names["verified"](request.headers, request.body, secret)


@pytest.fixture
def far():
    with receiver() as one:
        yield one


def test_the_example_of_the_specification():
    # the id, time, body, key and signature that the reference libraries are tested with
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_verify_and_gets_the_whole_change(far):
    sink = WebhookSink(far.url, SECRET)
    life = [change(what) for what in ("open", "update", "resolve")]
    sink.send(life)
    sink.close()
    bodies = [verified(request, SECRET, time.time()) for request in far.requests]
    assert [body["type"] for body in bodies] == ["alert.opened", "alert.updated", "alert.resolved"]
    assert [body["data"] for body in bodies] == life
    assert bodies[0]["timestamp"] == "2026-03-02T10:00:20Z"
    assert far.requests[0].headers["content-type"] == "application/json"


def test_nobody_can_forge_change_or_replay_one(far):
    WebhookSink(far.url, SECRET).send([change()])
    (real,) = far.requests
    verified(real, SECRET, time.time())
    for forged in (
        Request(real.path, real.headers, real.body.replace(b"critical", b"warning!")),
        Request(real.path, real.headers | {"webhook-id": "other"}, real.body),
        Request(real.path, real.headers | {"webhook-timestamp": str(int(time.time()) + 9)}, real.body),
    ):
        with pytest.raises(PermissionError, match="genuine"):
            verified(forged, SECRET, time.time())
    with pytest.raises(PermissionError, match="genuine"):
        verified(real, OLD, time.time())
    with pytest.raises(PermissionError, match="old"):
        verified(real, SECRET, time.time() + 3600)


def test_what_comes_again_has_the_same_id_and_every_other_change_another(far):
    sink = WebhookSink(far.url, SECRET)
    for what in ("open", "open", "update", "resolve"):
        sink.send([change(what)])
    first, again, *others = [request.headers["webhook-id"] for request in far.requests]
    assert first == again
    assert len({first, *others}) == 3
    assert "." not in first  # which ends the id in what is signed


def test_while_receivers_change_over_both_secrets_sign(far):
    WebhookSink(far.url, SECRET, previous=OLD, headers={"X-Gate": Secret("hunter2")}).send([change()])
    (request,) = far.requests
    assert verified(request, SECRET, time.time()) == verified(request, OLD, time.time())
    assert request.headers["x-gate"] == "hunter2"


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "hunter2", "whsec_aHVudGVyMg==", "hunter2 hunter2 hunter2 hunter2 hunter2", "hünter2"],
)
def test_a_secret_that_is_too_short_or_none_is_refused_without_showing_it(secret):
    with pytest.raises(ValueError, match="24 bytes or more in base64") as caught:
        WebhookSink("http://127.0.0.1:1", Secret(secret))
    assert "nter2" not in str(caught.value)
