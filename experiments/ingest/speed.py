"""How many events a second one core makes of each adapter's records, from lines in memory to accepted tables.

    python experiments/ingest/speed.py

Records are the golden ones of ``tests/golden``, repeated; CPU time, the median of the rounds.
"""

from __future__ import annotations

import copy
import csv
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from seqdetect.events import Tally
from seqdetect.secret import Secret
from seqdetect.source.adapter import FORMATS
from seqdetect.source.adapter.adapted import Adapted
from seqdetect.source.parse.header import Layout
from seqdetect.source.pseudonym import Pseudonyms

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden"
ROUNDS = 9
START = 1_772_409_600


def nginx(number: int) -> dict[str, str]:
    return {
        "time": f"{START + number // 100}.{number % 1_000:03d}",
        "user": f"user-{number % 97}",
        "prompt_tokens": str(100 + number % 900),
        "completion_tokens": str(number % 500),
        "model": "gpt-4o-mini",
        "client_ip": f"192.0.2.{number % 250}",
        "status": "200",
        "request_time": "0.250",
        "user_agent": "OpenAI/Python 2.1.0",
        "endpoint": "/v1/chat/completions",
        "event_id": f"{number:032x}",
    }


def traces(spans: int) -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(json.loads((GOLDEN / "otlp" / "traces.json").read_text())[0])
    scope = body["resourceSpans"][0]["scopeSpans"][0]
    scope["spans"] = [scope["spans"][0] | {"spanId": f"{number:016x}"} for number in range(spans)]
    return body


def page(buckets: int, users: int) -> dict[str, Any]:
    used = {"num_model_requests": 5, "input_tokens": 1_003, "output_tokens": 507, "model": "gpt-5"}
    return {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": START + 60 * minute,
                "end_time": START + 60 * minute + 60,
                "results": [used | {"user_id": f"user-{user}"} for user in range(users)],
            }
            for minute in range(buckets)
        ],
    }


def records() -> dict[str, list[Any]]:
    litellm = [
        one for body in json.loads((GOLDEN / "litellm" / "generic_api.json").read_text()) for one in body
    ]
    kong = [json.loads(line) for line in (GOLDEN / "kong" / "ai-proxy.jsonl").read_bytes().splitlines()[:2]]
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": START,
        "model": "gpt-5",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 100}}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10},
        "user": "user-1",
    }
    return {
        "nginx": [nginx(number) for number in range(20_000)],
        "kong": kong * 10_000,
        "litellm": litellm[:4] * 1_500,
        "otlp": [traces(100)] * 100,
        "openai": [answer] * 20_000,
        "openai_usage": [page(100, 40)],
    }


def measured(format: str, data: bytes, layout: Layout) -> tuple[int, float]:
    """Events, and the events per second of CPU time."""
    reader = Adapted(FORMATS[format](()), layout)
    rates = []
    for _ in range(ROUNDS):
        tally, begun = Tally(), time.process_time()
        rows = reader.read(data, format, tally).num_rows
        rates.append(rows / (time.process_time() - begun))
        assert not tally.rejected, tally
    return rows, statistics.median(rates)


def main() -> None:
    hidden = Layout(pseudonyms=Pseudonyms(Secret("k" * 32), ("user_id", "client_ip")))
    with open(HERE / "results.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["format", "users", "events", "bytes_per_event", "events_per_s"])
        for format, some in records().items():
            data = b"".join(json.dumps(one).encode() + b"\n" for one in some)
            for users, layout in (("named", Layout()), ("hashed", hidden)):
                rows, rate = measured(format, data, layout)
                table.writerow([format, users, rows, len(data) // rows, round(rate, -2)])
                print(f"{format:13} {users:7} {rate:10,.0f} events/s", file=sys.stderr)


if __name__ == "__main__":
    main()
