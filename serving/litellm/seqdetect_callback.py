"""A LiteLLM callback that tells seqdetect who used how much: no prompt and no answer leaves the proxy.

Put this file beside the proxy's config.yaml and name it there:

    litellm_settings:
      callbacks: seqdetect_callback.logger

Settings are environment variables: SEQDETECT_URL (default http://127.0.0.1:8080/v1/events), SEQDETECT_TOKEN (a bearer
token, where the service asks for one), SEQDETECT_USERS (where the user is looked for, best first; default
end_user,user_api_key_user_id,user_api_key_hash).

Requests to the proxy never wait for seqdetect: events are put into a queue of 10,000 and posted by a thread of its own
up to 500 at a time, again and again while the far side is away. Events that find the queue full are dropped, and how
many is logged.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
from litellm.integrations.custom_logger import CustomLogger

LOG = logging.getLogger("seqdetect")
USERS = ("end_user", "user_api_key_user_id", "user_api_key_hash")

_QUEUED = 10_000
_AT_ONCE = 500
_EVERY_S = 0.5
_TIMEOUT_S = 5.0
_LONGEST_WAIT_S = 30.0
_AT_EXIT_S = 5.0


class SeqDetect(CustomLogger):
    """Posts one event per request, whether it succeeded or not."""

    def __init__(self, url: str, token: str | None = None, users: tuple[str, ...] = USERS) -> None:
        super().__init__()
        self.dropped = 0
        self.refused = 0
        self._users = users
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._queue: queue.Queue[dict[str, Any]] = queue.Queue(_QUEUED)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="seqdetect", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self._take(kwargs)

    async def async_log_failure_event(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        self._take(kwargs)

    def close(self) -> None:
        """Post what is left, for some seconds at most."""
        self._closing.set()
        self._thread.join(_AT_EXIT_S)

    def _take(self, kwargs: Mapping[str, Any]) -> None:
        record = kwargs.get("standard_logging_object")
        if record is None:
            return
        try:
            self._queue.put_nowait(event(record, self._users))
        except queue.Full:
            if self.dropped % 1_000 == 0:
                LOG.warning("seqdetect: the queue is full; %d events dropped before this one", self.dropped)
            self.dropped += 1
        except Exception:  # whatever the record is, the request it tells about was served
            self.refused += 1
            LOG.exception("seqdetect: a record could not be read")

    def _run(self) -> None:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            while True:
                batch = self._batch()
                if batch:
                    self._post(client, batch)
                elif self._closing.is_set():
                    return

    def _batch(self) -> list[dict[str, Any]]:
        """What has come within a moment of the first one."""
        batch: list[dict[str, Any]] = []
        until = time.monotonic() + _EVERY_S
        while len(batch) < _AT_ONCE:
            left = until - time.monotonic()
            try:
                batch.append(self._queue.get(timeout=max(0.0, 0.0 if self._closing.is_set() else left)))
            except queue.Empty:
                break
        return batch

    def _post(self, client: httpx.Client, batch: list[dict[str, Any]]) -> None:
        wait_s = 0.5
        while True:
            try:
                status = client.post(self._url, json=batch, headers=self._headers).status_code
            except httpx.HTTPError as error:
                status, why = 503, type(error).__name__
            else:
                why = f"it answered {status}"
            if status < 300:
                return
            if status not in (408, 429) and status < 500:
                self.refused += len(batch)
                LOG.error("seqdetect: %d events were refused: %s", len(batch), why)
                return
            LOG.warning("seqdetect: %s; trying again in %.1f s", why, wait_s)
            if self._closing.wait(wait_s):
                LOG.warning("seqdetect: %d events are lost: the proxy ends", len(batch))
                return
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def event(record: Mapping[str, Any], users: tuple[str, ...] = USERS) -> dict[str, Any]:
    """What of a StandardLoggingPayload seqdetect is told: its columns, without the fields that are empty."""
    metadata = record.get("metadata") or {}
    named = (record.get(name) or metadata.get(name) for name in users)
    started, ended = record.get("startTime"), record.get("endTime")
    found = {
        "timestamp": ended or started,
        "user_id": next((str(name) for name in named if name), None),
        "prompt_tokens": record.get("prompt_tokens") or 0,
        "completion_tokens": record.get("completion_tokens") or 0,
        "model": record.get("model_group") or record.get("model"),
        "client_ip": record.get("requester_ip_address") or metadata.get("requester_ip_address"),
        "status": _status(record),
        "latency_ms": 1e3 * (ended - started) if started and ended else None,
        "user_agent": record.get("user_agent") or metadata.get("user_agent"),
        "endpoint": metadata.get("user_api_key_request_route"),
        "event_id": record.get("id"),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _status(record: Mapping[str, Any]) -> int:
    if record.get("status") != "failure":
        return 200
    code = str((record.get("error_information") or {}).get("error_code") or "")
    return int(code) if len(code) == 3 and code.isdigit() else 500


def configured(environment: Mapping[str, str]) -> SeqDetect:
    """The callback as the environment has it."""
    users = tuple(name.strip() for name in environment.get("SEQDETECT_USERS", ",".join(USERS)).split(","))
    url = environment.get("SEQDETECT_URL", "http://127.0.0.1:8080/v1/events")
    return SeqDetect(url, environment.get("SEQDETECT_TOKEN"), users)


logger = configured(os.environ)
