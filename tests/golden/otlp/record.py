"""Records what OpenTelemetry's own SDK, exporter and OpenAI instrumentation send, as golden input.

    python tests/golden/otlp/record.py

in an environment of its own: opentelemetry-sdk, opentelemetry-exporter-otlp-json-http, opentelemetry-instrumentation-
openai-v2, openai. The "provider" is a server on loopback. ``traces.json`` is every body that the exporter posts.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import threading
from pathlib import Path
from typing import Any

os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_ONLY"

import openai
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

HERE = Path(__file__).resolve().parent
ANSWER = {
    "id": "chatcmpl-golden",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "an answer nobody may keep"},
        }
    ],
    "usage": {"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28},
}
bodies: list[Any] = []


class Server(http.server.BaseHTTPRequestHandler):
    """The provider and the receiver of traces."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/traces":
            bodies.append(body)
        limited = body.get("model") == "limited"
        answer = {"error": {"message": "too many"}} if limited else ANSWER
        text = b"{}" if self.path == "/v1/traces" else json.dumps(answer).encode()
        self.send_response(429 if limited else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: Any) -> None:
        pass


class UserOfBaggage(SpanProcessor):
    """Writes the user that the application put into the baggage on every span, as applications do."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        user = baggage.get_baggage("user.id", parent_context)
        if user is not None:
            span.set_attribute("user.id", str(user))


def spans_by_hand(tracer: trace.Tracer) -> None:
    """What other instrumentations write."""
    with tracer.start_as_current_span("GET /health"):
        pass
    with tracer.start_as_current_span("invoke_agent planner") as around:
        around.set_attributes({"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 300})
        with tracer.start_as_current_span("chat old") as old:
            old.set_attributes(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": "old-names",
                    "gen_ai.usage.prompt_tokens": 300,
                    "gen_ai.usage.completion_tokens": 40,
                    "enduser.id": "bob",
                    "client.address": "203.0.113.7",
                    "user_agent.original": "golden/1",
                }
            )
            old.add_event("gen_ai.content.prompt", {"gen_ai.prompt": "a prompt nobody may keep"})
    with tracer.start_as_current_span("chat failed") as failed:
        failed.set_attributes(
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "error.type": "timeout"}
        )
        failed.set_status(Status(StatusCode.ERROR, "it took too long"))


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_address[1]}"
    provider = TracerProvider(
        resource=Resource.create({"service.name": "golden", "enduser.pseudo.id": "tenant-1"})
    )
    provider.add_span_processor(UserOfBaggage())
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{here}/v1/traces")))
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    client = openai.OpenAI(api_key="none", base_url=f"{here}/v1", max_retries=0)
    token = context.attach(baggage.set_baggage("user.id", "alice"))
    messages = [{"role": "user", "content": "a prompt nobody may keep"}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    with contextlib.suppress(openai.RateLimitError):
        client.chat.completions.create(model="limited", messages=messages)
    context.detach(token)
    spans_by_hand(provider.get_tracer("by-hand"))
    provider.shutdown()
    (HERE / "traces.json").write_text(json.dumps(bodies, indent=1) + "\n")
    print(len(bodies), "bodies")


if __name__ == "__main__":
    main()
