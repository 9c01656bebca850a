"""Lines that a real nginx writes with ``serving/nginx/llm-usage.conf``, followed as they come."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from reading import read

from seqdetect.events import Tally
from seqdetect.source.adapter.adapted import layout
from seqdetect.source.adapter.nginx import Nginx
from seqdetect.source.live.tail import Tail
from seqdetect.source.parse.header import Layout

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0
CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {conf};
    server {{
        listen 127.0.0.1:{port};
        access_log {folder}/llm.log llm_usage;
        location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_hide_header X-LLM-User; }}
    }}
}}
"""


class Models(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that the request's JSON names, and a status."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = b'{"choices": "an answer nobody may keep"}'
        self.send_response(asked.get("status", 200))
        for name, value in asked["headers"].items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: Any) -> None:
        pass


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """The port of an nginx before ``Models``; another one is tried where somebody else was faster."""
    models = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Models)
    threading.Thread(target=models.serve_forever, daemon=True).start()
    conf = ROOT / "serving" / "nginx" / "llm-usage.conf"
    for _ in range(5):
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(
            CONFIG.format(folder=folder, conf=conf, port=port, upstream=models.server_address[1])
        )
        process = subprocess.Popen(
            ["nginx", "-c", str(config), "-e", str(folder / "start.log")], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            time.sleep(0.02)
        if process.poll() is None:
            break
    try:
        assert process.poll() is None, (folder / "start.log").read_text()
        yield port
    finally:
        process.kill()
        process.wait()
        models.shutdown()
        models.server_close()


def ask(port: int, status: int = 200, agent: str = "golden/1", **headers: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    body = {"prompt": "a prompt nobody may keep", "status": status,
            "headers": {name.replace("_", "-"): value for name, value in headers.items()}}  # fmt: skip
    connection.request(
        "POST",
        "/v1/chat/completions?x=1",
        json.dumps(body),
        {"User-Agent": agent, "Authorization": "Bearer sk-none"},
    )
    answer = connection.getresponse()
    assert answer.getheader("X-LLM-User") is None
    answer.read()
    connection.close()


class Parts:
    def assigned(self, part: str) -> None:
        return None


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_what_a_real_nginx_writes_is_followed(tmp_path: Path):
    tally = Tally()
    source = Tail(tmp_path / "llm.log", tally, layout(Layout(adapter=Nginx())))
    source.start(Parts())
    with nginx(tmp_path) as port:
        ask(
            port,
            X_LLM_Prompt_Tokens="120",
            X_LLM_Completion_Tokens="80",
            X_LLM_User='al"i\\ce',
            X_LLM_Model="m",
        )
        ask(port, X_Prompt_Tokens="17", X_Generated_Tokens="20", X_LLM_User="bob", agent='a "quoted" agent')
        ask(port)  # nothing that tells of tokens
        ask(port, status=429, X_LLM_User="bob")
        ask(port, X_LLM_Prompt_Tokens="many", X_LLM_User="bob")
        ask(port, X_LLM_Prompt_Tokens="1", X_LLM_Completion_Tokens="1")
        ask(port, X_LLM_Prompt_Tokens="2", X_LLM_User="bob", agent="no UTF-8: \u00e9")
        rows: list[dict[str, Any]] = []
        end = time.monotonic() + PATIENCE_S
        while tally.read + tally.skipped < 7 and time.monotonic() < end:
            batch = source.poll(0.2)
            rows += [] if batch is None else batch.table.to_pylist()
    source.close()
    assert tally.line() == "events: 6 read, 2 rejected (empty_user=1 malformed_line=1), 0 late, 1 skipped"
    found = [(r["prompt_tokens"], r["completion_tokens"], r["status"], r.get("model")) for r in rows]
    assert found == [(120, 80, 200, "m"), (17, 20, 200, None), (0, 0, 429, None), (2, 0, 200, None)]
    assert [row["user_id"] for row in rows[1:]] == ["bob", "bob", "bob"]
    assert rows[0]["user_id"] == 'al"i\\ce'
    assert rows[1]["user_agent"] == 'a "quoted" agent'
    assert rows[0]["client_ip"] == "127.0.0.1"
    assert rows[0]["endpoint"] == "/v1/chat/completions"
    assert len({row["event_id"] for row in rows}) == 4
    assert abs(rows[0]["timestamp"].timestamp() - time.time()) < 600
    assert all(0 <= row["latency_ms"] < 60_000 for row in rows)
    log = (tmp_path / "llm.log").read_text(errors="replace")
    assert "nobody" not in log
    assert "sk-none" not in log


LINE = {
    "time": "1772409600.123",
    "user": "ada",
    "prompt_tokens": "12",
    "completion_tokens": "5",
    "status": "200",
}


@pytest.mark.parametrize(
    ("change", "reason", "where"),
    [
        ({"prompt_tokens": "-4"}, "negative_tokens", "prompt_tokens"),
        ({"prompt_tokens": "4.5"}, "malformed_line", "prompt_tokens is not a whole number"),
        ({"prompt_tokens": "\u0664"}, "malformed_line", "prompt_tokens is not a whole number"),
        ({"prompt_tokens": "9" * 40}, "malformed_line", "prompt_tokens is not a whole number"),
        ({"time": ""}, "missing_value", "timestamp (time)"),
        ({"time": "nan"}, "malformed_line", "time is no number of seconds"),
        ({"request_time": "-1"}, "malformed_line", "request_time is no number of seconds"),
        ({"user": " "}, "empty_user", "user_id"),
        ({"status": 200}, "malformed_line", "$.status"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(change, reason, where):
    rows, tally = read("nginx", LINE, LINE | change)
    assert len(rows) == 1
    assert tally.rejected == {reason: 1}
    assert where in tally.examples[0]


def test_an_address_can_be_the_user():
    rows, _ = read("nginx", LINE | {"user": "", "client_ip": "192.0.2.1"}, users=("user", "client_ip"))
    assert rows[0]["user_id"] == "192.0.2.1"
