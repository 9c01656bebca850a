"""Records what a real LiteLLM proxy sends, both ways, as golden inputs.

    python tests/golden/litellm/record.py LITELLM_PROGRAM

LITELLM_PROGRAM is the ``litellm`` of an environment of its own (``pip install 'litellm[proxy]==1.106.2'``). The proxy
runs on loopback with a model that answers by itself (``mock_response``) and one whose provider cannot be reached.
``generic_api.json`` is every body that the callback ``generic_api`` posts, ``events.json`` every body that
``serving/litellm/seqdetect_callback.py`` posts about the same requests.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CALLBACK = HERE.parents[2] / "serving" / "litellm" / "seqdetect_callback.py"
KEY = "sk-golden"
REQUESTS: list[dict[str, Any]] = [
    {"model": "mock", "user": "alice", "messages": [{"role": "user", "content": "a prompt nobody may keep"}]},
    {"model": "mock", "user": "bob", "messages": [{"role": "user", "content": "another prompt, twice as long as that"}]},
    {"model": "mock", "messages": [{"role": "user", "content": "a prompt of nobody"}]},
    {"model": "mock", "user": "alice", "stream": True, "messages": [{"role": "user", "content": "a streamed prompt"}]},
    {"model": "away", "user": "alice", "messages": [{"role": "user", "content": "a prompt that fails"}]},
    {"model": "limited", "user": "bob", "messages": [{"role": "user", "content": "a prompt too many"}]},
]  # fmt: skip
CONFIG = """\
model_list:
  - model_name: mock
    litellm_params: {model: openai/gpt-4o-mini, api_key: none, mock_response: an answer nobody may keep}
  - model_name: away
    litellm_params: {model: openai/gpt-4o, api_key: none, api_base: "http://127.0.0.1:9", max_retries: 0}
  - model_name: limited
    litellm_params: {model: openai/gpt-4o, api_key: none, mock_response: litellm.RateLimitError}
general_settings: {master_key: sk-golden}
litellm_settings:
  callbacks: [seqdetect_callback.logger, generic_api]
  num_retries: 0
router_settings: {num_retries: 0, disable_cooldowns: true}
"""


class Receiver:
    """Keeps the bodies that are posted, by path."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[Any]] = {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.bodies.setdefault(self.path, []).append(body)
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def count(self, path: str) -> int:
        return sum(len(body) for body in self.bodies.get(path, []))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def request(port: int, method: str, path: str, body: Any = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "User-Agent": "golden/1"}
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def until(true: Any, seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.2)


def record(program: str, events_url: str | None = None, records_url: str | None = None) -> Receiver:
    """Run the proxy, send the requests, and return what was posted.

    With ``events_url`` or ``records_url`` the callback or ``generic_api`` post there instead.
    """
    receiver, port = Receiver(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.yaml").write_text(CONFIG)
        shutil.copy(CALLBACK, folder)
        environment = os.environ | {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "GENERIC_LOGGER_ENDPOINT": records_url or f"{receiver.url}/generic_api",
            "SEQDETECT_URL": events_url or f"{receiver.url}/events",
            "NO_PROXY": "127.0.0.1",
            "DEFAULT_FLUSH_INTERVAL_SECONDS": "1",
        }
        command = [program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        with open(Path(folder) / "log", "wb") as log:
            proxy = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            until(lambda: request(port, "GET", "/health/liveliness") == 200, 240, "the proxy")
            for sent, one in enumerate(REQUESTS, 1):
                print(one["model"], request(port, "POST", "/v1/chat/completions", one), flush=True)
                # One by one: generic_api drops what comes while it posts.
                for path, url in (("/events", events_url), ("/generic_api", records_url)):
                    if url is None:
                        until(lambda path=path, sent=sent: receiver.count(path) >= sent, 30, path)
            time.sleep(3)
        except TimeoutError:
            print((Path(folder) / "log").read_text()[-5_000:], file=sys.stderr)
            raise
        finally:
            proxy.terminate()
            proxy.wait(30)
    return receiver


if __name__ == "__main__":
    bodies = record(sys.argv[1]).bodies
    for path, found in bodies.items():
        text = json.dumps(found, indent=1, sort_keys=True)
        for place in (Path(sys.argv[1]).absolute().parents[1], sys.base_prefix):  # tracebacks name them
            text = text.replace(f"{place}/", "")
        (HERE / f"{path[1:]}.json").write_text(text + "\n")
        print(f"{path}: {[len(body) for body in found]} records")
