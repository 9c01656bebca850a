"""Addresses of the page.

| address | answers |
|---|---|
| ``/`` | the page; its scripts and styles are under ``/page/`` |
| ``/api/alerts`` | ``open`` and ``resolved`` alerts (changes as outputs get them, with ``causes`` in words, the ``timeline`` of the user and the ``verdict`` that counts), ``models`` at work, ``now`` in event time, ``verdicts``: whether they are taken |
| ``/api/users?model=M&by=score`` | the top of the last hour by ``score``, ``tokens`` or ``cost`` |
| ``/api/users/ID/timeline?model=M&minutes=120`` | columns of the user's steps with what was expected, alerts, the worst steps with their causes. ID is the user's name in base64url, as the other answers link to it; who is asked for is watched from then on |
| ``/api/health`` | what the service says of itself |
| ``POST /api/verdicts`` | ``{"model", "alert_id", "verdict": "true"\\|"false"\\|"benign", "author", "note"}``; 201, 400 for what cannot be right, 404 for an alert that is not kept any more, 503 where none are taken |

What goes wrong is ``{"error": ...}``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from seqdetect.serve.page import answers
from seqdetect.serve.page.board import RANKINGS, Board
from seqdetect.serve.page.guard import Guard, said_here
from seqdetect.serve.page.verdicts import Judgements
from seqdetect.serve.page.vitals import Vitals

MOST_BODY_BYTES: Final = 32 << 10
MOST_MINUTES: Final = 7 * 24 * 60
MINUTES: Final = 120.0
_KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_START: Final = "page.html"


def routes(board: Board, vitals: Vitals, judgements: Judgements | None, guard: Guard) -> list[Route]:
    """All of them, behind ``guard``. Without ``judgements`` no verdicts are taken."""

    def judged() -> Any:
        return {} if judgements is None else judgements.known()

    def alerts(request: Request) -> dict[str, Any]:
        return answers.alerts(board, judged()) | {"verdicts": judgements is not None}

    def users(request: Request) -> dict[str, Any]:
        by = request.query_params.get("by", "score")
        if by not in RANKINGS:
            raise ValueError(f"users are put in order by {', '.join(RANKINGS)}")
        return answers.users(board, _model(board, request), by)

    def timeline(request: Request) -> dict[str, Any]:
        user = answers.unnamed(request.path_params["user"])
        return answers.timeline(board, _model(board, request), user, _minutes(request))

    def health(request: Request) -> dict[str, Any]:
        return vitals.tell()

    async def verdict(request: Request) -> Response:
        refusal = said_here(request)
        if refusal is not None:
            return refusal
        if judgements is None:
            return _json({"error": "no verdicts are taken: set feedback.path"}, 503)
        body = await _body(request)
        if body is None:
            return _json({"error": f"a verdict has at most {MOST_BODY_BYTES} bytes"}, 413)
        return await _answered(lambda: judgements.say(body), 201)

    asked = {
        "/api/alerts": alerts,
        "/api/users": users,
        "/api/users/{user}/timeline": timeline,
        "/api/health": health,
    }
    return [
        *(Route(path, guard(file)) for path, file in _files().items()),
        *(Route(path, guard(_asking(ask))) for path, ask in asked.items()),
        Route("/api/verdicts", guard(verdict), methods=["POST"]),
    ]


def _asking(ask: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await _answered(lambda: ask(request), 200)

    return answer


async def _answered(work: Callable[[], dict[str, Any]], status: int) -> Response:
    """What ``work`` finds, which is done in a thread beside that of the events."""
    try:
        return _json(await run_in_threadpool(work), status)
    except LookupError as error:
        return _json({"error": str(error)}, 404)
    except OSError as error:
        return _json({"error": f"the verdicts cannot be had: {error}"}, 503)
    except ValueError as error:
        return _json({"error": str(error)}, 400)


def _json(value: dict[str, Any], status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _files() -> dict[str, Callable[[Request], Awaitable[Response]]]:
    """Everything of the page that is a file, by address."""
    found = {}
    for file in files(__package__).iterdir():
        kind = _KINDS.get(file.name[file.name.rfind(".") :])
        if kind is not None:
            path = "/" if file.name == _START else f"/page/{file.name}"
            found[path] = _file(file.read_bytes(), kind)
    return found


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(content, media_type=kind)

    return answer


def _model(board: Board, request: Request) -> str:
    """The model that is asked for, else the first one."""
    return str(request.query_params.get("model") or next(iter(board.models), ""))


def _minutes(request: Request) -> float:
    text = request.query_params.get("minutes", str(MINUTES))
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= MOST_MINUTES:
        raise ValueError(f"minutes is a number above 0, up to {MOST_MINUTES}")
    return minutes


async def _body(request: Request) -> bytes | None:
    """The body; None where it is too long."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BODY_BYTES:
            return None
    return body
