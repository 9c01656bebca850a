"""``/metrics`` of inference servers over HTTP, looked at again and again."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from senders import Keeper

from seqdetect.events import Tally
from seqdetect.source.adapter.counters import Totals
from seqdetect.source.live.log import WriteAhead
from seqdetect.source.live.scrape import MOST, Scrape, requests

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "inference"
PATIENCE_S = 60.0


class Server:
    """Tells ``text`` at every path; nothing but 500 while ``text`` is None."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        self.looks = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.looks += 1
                body = (outer.text or "").encode()
                self.send_response(500 if outer.text is None else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/metrics"

    def seen(self, more: int = 2) -> None:
        """Wait until it was looked at so often again: at least one look was wholly after now."""
        wanted, end = self.looks + more, time.monotonic() + PATIENCE_S
        while self.looks < wanted:
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def vllm() -> Iterator[Server]:
    server = Server((GOLDEN / "vllm.txt").read_text())
    yield server
    server.close()


@pytest.fixture
def tgi() -> Iterator[Server]:
    server = Server((GOLDEN / "tgi.txt").read_text())
    yield server
    server.close()


def grown(text: str, **more: float) -> str:
    """The text with ``more`` added to the first sample of each name (``vllm__`` for ``vllm:``)."""
    for name, step in more.items():
        pattern = rf"^({re.escape(name.replace('__', ':'))}(?:{{[^}}]*}})? )([\d.]+)$"
        text, changed = re.subn(
            pattern, lambda m, step=step: f"{m[1]}{float(m[2]) + step}", text, count=1, flags=re.MULTILINE
        )
        assert changed, name
    return text


def polled(source: Any, rows: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < rows and time.monotonic() < end:
        batch = source.poll(0.1)
        found += [] if batch is None else batch.table.to_pylist()
    return found


def test_what_a_server_counts_becomes_requests_that_add_up(vllm: Server, tgi: Server):
    tally = Tally()
    source = Scrape(tally, {"llama": vllm.url, "tgi": tgi.url}, every_s=0.1)
    source.start(Keeper())
    try:
        vllm.seen(), tgi.seen()
        begun = time.time()
        vllm.text = grown(
            vllm.text, vllm__request_success_total=4, vllm__request_prompt_tokens_sum=403,
            vllm__request_generation_tokens_sum=40, vllm__e2e_request_latency_seconds_sum=2,
            vllm__e2e_request_latency_seconds_count=4,
        )  # fmt: skip
        tgi.text = grown(
            tgi.text, tgi_request_failure=1, tgi_request_input_length_sum=50, tgi_request_generated_tokens_sum=9,
        )  # fmt: skip
        rows = polled(source, 5)
        vllm.seen(4)
        rows += polled(source, 0)
    finally:
        source.close()
    llama = [row for row in rows if row["user_id"] == "llama"]
    assert [row["prompt_tokens"] for row in llama] == [100, 101, 101, 101]
    assert {(row["completion_tokens"], row["model"], row["status"], row["latency_ms"]) for row in llama} == {
        (10, "llama", 200, 500.0)
    }
    other = [row for row in rows if row["user_id"] == "tgi"]
    assert [(row["prompt_tokens"], row["completion_tokens"], row["status"]) for row in other] == [
        (50, 9, 500)
    ]
    assert all(begun - 5 <= row["timestamp"].timestamp() <= time.time() for row in rows)
    assert tally.read == len(rows) == 5
    assert source.ended


def test_a_server_that_was_away_is_begun_anew_and_counted(vllm: Server, caplog: pytest.LogCaptureFixture):
    source = Scrape(Tally(), {"llama": vllm.url}, every_s=0.05)
    source.start(Keeper())
    try:
        vllm.seen()
        text, vllm.text = vllm.text, None
        vllm.seen()
        vllm.text = grown(text, vllm__request_success_total=1_000)  # nobody knows when
        vllm.seen()
        vllm.text = grown(vllm.text, vllm__request_success_total=3)
        rows = polled(source, 3)
        vllm.seen()
        rows += polled(source, 0)
    finally:
        source.close()
    assert len(rows) == 3
    assert source.stats()["gaps"] == 1
    assert sum("tells nothing" in record.message for record in caplog.records) == 1


def test_what_was_seen_is_safe_in_a_journal(vllm: Server, tmp_path: Path):
    tally = Tally()
    source = Scrape(tally, {"llama": vllm.url}, every_s=0.05)
    log = WriteAhead(source, tmp_path / "journal", tally)
    log.start(Keeper())
    vllm.seen()
    vllm.text = grown(vllm.text, vllm__request_success_total=5)
    while not (batch := log.poll(0.1)):
        pass
    log.close()
    again = WriteAhead(Scrape(tally, {"llama": vllm.url}), tmp_path / "journal", tally)
    again.start(Keeper())
    replayed = again.poll(1.0)
    again.close()
    assert replayed is not None
    assert batch.table.num_rows == replayed.table.num_rows == 5


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8000", "ftp://a/b", "http://"])
def test_only_http_is_looked_at(url: str):
    with pytest.raises(ValueError, match=r"targets\.x: .* no http or https URL"):
        Scrape(Tally(), {"x": url})


@given(st.integers(0, 3_000), st.data())
def test_failures_and_aborts_are_as_many_as_were_counted(count: int, data: st.DataObject):
    failed = data.draw(st.integers(0, count))
    aborted = data.draw(st.integers(0, count - failed))
    now = Totals(count, failed, aborted, 17 * count, 3 * count, 0.5 * count, count)
    rows = list(requests("u", (0, {}), (10_000_000, {"m": now})))
    assert len(rows) == min(count, MOST)
    assert sum(row.prompt_tokens for row in rows) == 17 * count
    statuses = [row.status for row in rows]
    if count <= MOST:
        assert (statuses.count(500), statuses.count(499)) == (failed, aborted)
    else:
        assert abs(statuses.count(500) / MOST - failed / count) < 0.01
