"""What the board holds, as JSON; every text in it is to be shown as text, for users choose their own names."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from seqdetect.alert.payload import asdict_cause
from seqdetect.events import MICROSECONDS, iso
from seqdetect.score.engine import VOLUME
from seqdetect.serve.page import words
from seqdetect.serve.page.alerts import Change
from seqdetect.serve.page.band import band, calm
from seqdetect.serve.page.board import Board, Shown, Timeline, User
from seqdetect.serve.page.watch import Worst

MOST_ALERTS: Final = 200
"""Open alerts in one answer, and as many resolved ones; the rest is counted."""
TOP: Final = 20

Judged = Mapping[str, Mapping[str, Any]]
"""The verdict that counts, by alert."""


def alerts(board: Board, judged: Judged) -> dict[str, Any]:
    """The open alerts, the worst first, and those resolved lately."""
    open_now, left_out = board.open()
    resolved = board.resolved()
    models = board.models
    return {
        "now": _time(board.now()),
        "models": [_model(model) for model in models.values()],
        "open": [_alert(one, models, judged) for one in open_now[:MOST_ALERTS]],
        "open_total": len(open_now) + left_out,
        "resolved": [_alert(one, models, judged) for one in resolved[:MOST_ALERTS]],
        "resolved_total": len(resolved),
    }


def users(board: Board, model: str, by: str) -> dict[str, Any]:
    """The top of the last hour. Raises ``LookupError`` for a model that is not at work."""
    found = board.top(_known(board, model).name, by, TOP)
    return {
        "now": _time(board.now()),
        "model": model,
        "by": by,
        "users": [_user(model, one) for one in found],
    }


def timeline(board: Board, model: str, user: str, minutes: float) -> dict[str, Any]:
    """The last ``minutes`` of one user. Raises ``LookupError`` for a model that is not at work."""
    shown, now = _known(board, model), board.now()
    kept = board.timeline(model, user)
    since = 0 if now is None else now - round(minutes * 60 * MICROSECONDS)
    return {
        "now": _time(now),
        "since": None if now is None else _time(since),
        "model": model,
        "user": user,
        "tick_s": shown.tick_s,
        "thresholds": dict(shown.thresholds),
        "known": kept.known,
        "watched": kept.steps is not None,
        "alerts": [_span(one) for one in kept.alerts],
        "worst": [_worst(one, shown.tick_s) for one in kept.worst if one.tick > since],
        **_steps(kept, since),
    }


def named(user: str) -> str:
    """A user's name as a part of an address: base64url, for a name may be ``..`` or hold any character."""
    return base64.urlsafe_b64encode(user.encode()).decode().rstrip("=")


def unnamed(name: str) -> str:
    """The user whose ``named`` this is. Raises ``LookupError`` for what is none."""
    try:
        return base64.b64decode(name + "=" * (-len(name) % 4), altchars="-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise LookupError("there is no such user: a user's name stands in the address as base64url") from None


def _known(board: Board, model: str) -> Shown:
    shown = board.models.get(model)
    if shown is None:
        raise LookupError(f"there is no such model; there are {', '.join(board.models)}")
    return shown


def _alert(change: Change, models: Mapping[str, Shown], judged: Judged) -> dict[str, Any]:
    model = models.get(change["model"])
    tick_s = 10.0 if model is None else model.tick_s
    return {
        **change,
        "causes": [words.cause(one, tick_s) for one in change["top_features"]],
        "timeline": _link(change["model"], change["user_id"]),
        "verdict": judged.get(change["alert_id"]),
    }


def _span(change: Change) -> dict[str, Any]:
    return {name: change[name] for name in ("alert_id", "start", "end", "severity", "kind")}


def _user(model: str, user: User) -> dict[str, Any]:
    return {
        "user": user.name,
        "score": round(user.score, 3),
        "prompt_tokens": user.prompt_tokens,
        "completion_tokens": user.completion_tokens,
        "cost_usd": None if user.usd is None else round(user.usd, 4),
        "timeline": _link(model, user.name),
    }


def _model(model: Shown) -> dict[str, Any]:
    return {
        "name": model.name,
        "key": model.key,
        "shadow": model.shadow,
        "tick_s": model.tick_s,
        "thresholds": dict(model.thresholds),
        "version": model.version,
        "priced": model.prices is not None,
    }


def _worst(step: Worst, tick_s: float) -> dict[str, Any]:
    return {
        "at": _time(step.tick),
        "score": round(step.score, 3),
        "kind": step.kind,
        "causes": [words.cause(asdict_cause(one), tick_s) for one in step.causes],
        "contributions": [round(one.contribution, 3) for one in step.causes],
    }


def _steps(kept: Timeline, since: int) -> dict[str, Any]:
    """Columns of the steps: ``at`` (seconds), ``score``, ``level``, and of each volume what came and was expected."""
    if kept.steps is None:
        return {"steps": None, "first": None, "volumes": []}
    steps = kept.steps
    edges = band(steps, calm(steps, kept.alerts))  # of all that is kept, whatever is asked for
    chosen = steps["tick"] > since
    return {
        "steps": {
            "at": (steps["tick"][chosen] // MICROSECONDS).tolist(),
            "score": _short(steps["score"][chosen]),
            "level": steps["level"][chosen].tolist(),
        },
        "first": _time(int(steps["tick"][0])) if len(steps) else None,
        "volumes": [
            {
                "name": name,
                "value": _short(np.expm1(steps["volume"][chosen, place].astype(np.float64))),
                "expected": _short(np.expm1(steps["expected"][chosen, place].astype(np.float64))),
                "low": None if edges is None else _short(edges[0][chosen, place]),
                "high": None if edges is None else _short(edges[1][chosen, place]),
            }
            for place, name in enumerate(VOLUME)
        ],
    }


def _short(values: NDArray[Any]) -> Sequence[float]:
    """Three digits after the point, which are enough to draw with."""
    return [round(value, 3) for value in values.tolist()]


def _link(model: str, user: str) -> str:
    return f"api/users/{named(user)}/timeline?{urlencode({'model': model})}"


def _time(microseconds: int | None) -> str | None:
    return None if microseconds is None else iso(microseconds)
