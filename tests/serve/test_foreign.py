"""The whole service on other programs' records: what is scored, and what is nowhere on its disk."""

from __future__ import annotations

import copy
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from seqdetect.secret import Secret
from seqdetect.source.pseudonym import Pseudonyms

from .running import START, Service, event, lines, until

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RECORD: dict[str, Any] = json.loads((GOLDEN / "litellm" / "generic_api.json").read_text())[0][0]
KEY = "a key of more than sixteen characters"
LOUD = "loud-user-7"
ADDRESS = "203.0.113.77"


def record(second: float, user: str, tokens: int) -> dict[str, Any]:
    """A real proxy's record, moved in time and to another user."""
    one = copy.deepcopy(RECORD)
    end = START.timestamp() + second
    return one | {
        "id": f"{user}-{second}" if user != LOUD else f"id-{second}",
        "startTime": end - 0.5,
        "endTime": end,
        "end_user": user,
        "completion_tokens": tokens,
        "requester_ip_address": ADDRESS,
    }


def on_disk(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "bundle.onnx"]
    assert {"log.jsonl", "alerts.jsonl", "input.ckpt"} <= {path.name for path in files}
    assert any("journal" in str(path) for path in files)
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("hashed", [False, True])
def test_an_alert_comes_of_litellms_records_and_nothing_that_was_said_is_kept(tmp_path: Path, hashed: bool):
    source: dict[str, Any] = {"journal": "journal", "adapters": {"litellm": {"users": ["end_user"]}}}
    if hashed:
        source |= {"hash_users": {"env": "USERS_KEY"}, "hash_addresses": True}
    service = Service(tmp_path, input={"http": source})
    with service.start(USERS_KEY=KEY):
        records = [record(0, f"calm-{user}", 100) for user in range(20)]
        records += [record(second, LOUD, 20_000) for second in range(10, 70, 3)]
        records += [record(second, f"calm-{user}", 100) for second in (100, 130) for user in range(20)]
        bad = record(101, LOUD, 5) | {"prompt_tokens": f"a prompt nobody may keep of {LOUD}"}
        status, answer = service.request(
            "POST", "/v1/ingest/litellm", json.dumps([*records, bad, {"id": LOUD}]).encode()
        )
        assert status == 202, answer
        assert json.loads(answer)["rejected"] == 2
        found = until(lambda: [one for one in service.changes() if one["change"] == "open"], "an alert")
        until(lambda: (tmp_path / "state" / "input.ckpt").exists(), "a checkpoint")
        until(lambda: service.said("event_rejected"), "the rejected records in the log")
        assert service.stop() == 0
    name = Pseudonyms(Secret(KEY)).of(LOUD) if hashed else LOUD
    assert {one["user_id"] for one in found} == {name}
    kept = on_disk(tmp_path)
    assert b"nobody may keep" not in kept
    assert name.encode() in kept
    if hashed:
        assert LOUD.encode() not in kept
        assert ADDRESS.encode() not in kept
        assert KEY.encode() not in kept


def test_hashed_users_stay_the_same_over_a_restart_and_in_every_input(tmp_path: Path):
    """The alert that is open when the service stops is the one that goes on, told by posted events this time."""
    secret = {"hash_users": {"env": "USERS_KEY"}}
    service = Service(tmp_path, input={"http": {"journal": "journal", "adapters": {"litellm": {}}, **secret}})
    body = json.dumps([record(s, LOUD, 20_000) for s in range(0, 60, 3)] + [record(90, "calm", 100)]).encode()
    with service.start(USERS_KEY=KEY):
        assert service.request("POST", "/v1/ingest/litellm", body)[0] == 202
        until(service.changes, "an alert")
        assert service.stop() == 0
        service.start(USERS_KEY=KEY)
        service.post([event(second, LOUD, 20_000) for second in range(95, 150, 3)])
        service.post([event(second, "calm") for second in range(160, 1_200, 20)])
        until(lambda: any(one["change"] == "resolve" for one in service.changes()), "its end")
        assert service.stop() == 0
    changes = service.changes()
    assert len({one["alert_id"] for one in changes}) == 1
    assert {one["user_id"] for one in changes} == {Pseudonyms(Secret(KEY)).of(LOUD)}
    assert LOUD.encode() not in on_disk(tmp_path)


def test_a_log_of_nginx_is_followed(tmp_path: Path):
    path = tmp_path / "llm.log"
    log = [
        {"time": f"{START.timestamp() + second:.3f}", "user": user, "prompt_tokens": "10",
         "completion_tokens": str(tokens), "status": "200", "request_time": "0.2"}
        for second, user, tokens in [(0, "calm", 100), *((s, "loud", 20_000) for s in range(10, 70, 3)),
                                     (100, "calm", 100), (130, "calm", 100)]
    ]  # fmt: skip
    path.write_bytes(lines([*log, {"time": "1", "status": "200"}]))
    with Service(tmp_path, input={"file": {"path": "llm.log", "format": "nginx"}}) as service:
        service.reads(len(log))
        until(service.changes, "an alert")
        assert service.figure("seqdetect_events_skipped_total") == 1
        assert service.stop() == 0
    assert {one["user_id"] for one in service.changes()} == {"loud"}


class Counting(http.server.BaseHTTPRequestHandler):
    """A vLLM that has finished one more request of 9,000 tokens at every look."""

    looks = 0

    def do_GET(self) -> None:
        type(self).looks += 1
        labels, n = '{model_name="llama",finished_reason="stop"}', self.looks
        text = (
            f"vllm:request_success_total{labels} {n}\nvllm:prompt_tokens_total{labels} {n}\n"
            f"vllm:generation_tokens_total{labels} {9_000 * n}\n"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: Any) -> None:
        pass


def test_what_an_inference_server_counts_is_scored(tmp_path: Path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    targets = {"llama": f"http://127.0.0.1:{server.server_address[1]}/metrics"}
    scrape = {"metrics": {"targets": targets, "every_s": 0.1, "journal": "journal"}}
    try:
        with Service(tmp_path, input=scrape) as service:
            service.reads(5)
            until(lambda: service.figure('seqdetect_events_pending{model="tokens"}') >= 5, "events of now")
            assert not service.said("event_rejected")
            assert service.stop() == 0
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (
            {"file": {"path": "x", "format": "apache"}},
            "input.file.format: must be one of kong, litellm, nginx",
        ),
        ({"file": {"path": "x", "users": ["user"]}}, "input.file: users says where"),
        ({"file": {"path": "x", "format": "nginx", "users": ["usr"]}}, "there is no usr in these records"),
        (
            {"file": {"path": "x", "format": "nginx", "timezone": "Europe/Berlin"}},
            "their own columns and times",
        ),
        ({"http": {"adapters": {"apache": {}}}}, "input.http.adapters"),
        ({"http": {"adapters": {"kong": {"users": ["usr"]}}}}, "adapters.kong: users: there is no usr"),
        ({"http": {"hash_addresses": True}}, "hash_addresses needs the key"),
        ({"http": {"hash_users": "written here"}}, "a secret is not written here"),
        ({"http": {"hash_users": {"env": "SHORT_KEY"}}}, "fewer than 16 characters"),
        ({"metrics": {"targets": {}}}, "input.metrics.targets"),
        ({"metrics": {"targets": {"a": "file:///etc/passwd"}}}, "no http or https URL"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(settings, what, tmp_path: Path, monkeypatch):
    pytest.importorskip("starlette")
    from seqdetect.events import Tally
    from seqdetect.serve import config, inputs

    monkeypatch.setenv("SHORT_KEY", "hunter2")
    service = Service(tmp_path, input=settings)

    def built() -> Any:
        return inputs.build(*config.read(service.config), [], Tally(), [])

    with pytest.raises(ValueError, match=r"scorer\.yaml") as error:
        built()
    assert what in str(error.value)
    assert "hunter2" not in str(error.value)
