"""The callback for LiteLLM: with LiteLLM's base class stood in for, and (slow, where it is installed) in a real proxy."""

from __future__ import annotations

import asyncio
import http.server
import importlib.util
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "litellm"
RECORDS = [one for body in json.loads((GOLDEN / "generic_api.json").read_text()) for one in body]
EVENTS = [one for body in json.loads((GOLDEN / "events.json").read_text()) for one in body]
PATIENCE_S = 60.0

pytest.importorskip("httpx")


def loaded(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module, with the least of LiteLLM that it needs."""
    base = ModuleType("litellm.integrations.custom_logger")
    base.CustomLogger = object  # type: ignore[attr-defined]
    for name in ("litellm", "litellm.integrations"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, base.__name__, base)
    module = loaded("seqdetect_callback", ROOT / "serving" / "litellm" / "seqdetect_callback.py")
    yield module
    module.logger.close()


class Receiver:
    """Answers with ``statuses`` one by one, then with 202; keeps what it answered 202 to."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.events: list[dict[str, Any]] = []
        self.tokens: set[str | None] = set()
        self.held = threading.Event()
        self.held.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.held.wait(PATIENCE_S)
                status = outer.statuses.pop(0) if outer.statuses else 202
                outer.tokens.add(self.headers["Authorization"])
                if status == 202:
                    outer.events += body
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/events"

    def close(self) -> None:
        self.held.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Callable[..., Receiver]]:
    made: list[Receiver] = []

    def make(*statuses: int) -> Receiver:
        made.append(Receiver(*statuses))
        return made[-1]

    yield make
    for one in made:
        one.close()


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def log(logger: Any, record: Any) -> None:
    method = (
        logger.async_log_failure_event if record["status"] == "failure" else logger.async_log_success_event
    )
    asyncio.run(
        method({"standard_logging_object": record, "messages": "a prompt nobody may keep"}, None, None, None)
    )


def test_what_is_sent_is_what_a_real_proxy_sent_and_nothing_that_was_said(callback, receiver):
    far = receiver()
    logger = callback.SeqDetect(far.url, "hunter2")
    for record in RECORDS:
        log(logger, record)
    until(lambda: len(far.events) == len(RECORDS))
    logger.close()
    assert far.events == EVENTS
    assert far.tokens == {"Bearer hunter2"}
    assert "nobody" not in str(far.events)


def test_who_the_user_is_follows_the_settings(callback):
    logger = callback.configured(
        {"SEQDETECT_USERS": "user_api_key_user_id, end_user", "SEQDETECT_URL": "http://x"}
    )
    assert callback.event(RECORDS[0], logger._users)["user_id"] == "default_user_id"
    assert "user_id" not in callback.event(RECORDS[0] | {"end_user": ""}, ("end_user",))
    logger.close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_go_well_later_is_sent_again(callback, receiver, status):
    far = receiver(status, status)
    logger = callback.SeqDetect(far.url)
    log(logger, RECORDS[0])
    until(lambda: far.events == EVENTS[:1])
    logger.close()
    assert (logger.refused, logger.dropped) == (0, 0)


def test_what_never_will_is_counted_and_lets_the_others_through(callback, receiver):
    far = receiver(400)
    logger = callback.SeqDetect(far.url)
    log(logger, RECORDS[0])
    until(lambda: logger.refused == 1)
    log(logger, RECORDS[1])
    until(lambda: far.events == EVENTS[1:2])
    logger.close()


def test_a_full_queue_drops_and_counts_and_holds_up_nobody(callback, receiver, monkeypatch, caplog):
    monkeypatch.setattr(callback, "_QUEUED", 10)
    far = receiver()
    far.held.clear()
    logger = callback.SeqDetect(far.url)
    for _ in range(2_000):
        log(logger, RECORDS[0])
    assert logger.dropped >= 2_000 - 10 - callback._AT_ONCE
    assert len([one for one in caplog.records if "queue is full" in one.message]) <= 3
    far.held.set()
    until(lambda: len(far.events) == 2_000 - logger.dropped)
    logger.close()


def test_a_record_like_no_other_costs_the_request_nothing(callback, receiver):
    logger = callback.SeqDetect(receiver().url)
    log(logger, {"status": "success", "metadata": "what"})
    asyncio.run(logger.async_log_success_event({}, None, None, None))
    assert logger.refused == 1
    logger.close()


LITELLM = shutil.which("litellm")


@pytest.mark.slow
@pytest.mark.skipif(LITELLM is None, reason="the program litellm is not on the path")
def test_a_real_proxy_tells_a_real_service_in_both_ways(tmp_path: Path):
    sys.path.insert(0, str(ROOT / "tests"))
    from serve.running import Service

    record = loaded("record_litellm", GOLDEN / "record.py")
    with Service(tmp_path, input={"http": {"adapters": {"litellm": {}}}}) as service:
        here = f"http://127.0.0.1:{service.port}"
        record.record(LITELLM, f"{here}/v1/events", f"{here}/v1/ingest/litellm")
        # generic_api loses what comes while it posts, so of its six some may be missing
        until(lambda: service.figure("seqdetect_events_read_total") >= 2 * len(record.REQUESTS) - 2)
        assert service.figure('seqdetect_http_requests_total{code="202"}') >= 2
        assert "nobody" not in service.log()
        assert service.stop() == 0
