"""What people say of alerts, taken by the page and kept in the store of verdicts."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from threading import Lock
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from seqdetect.feedback.store import Verdicts
from seqdetect.feedback.verdict import LONGEST_NAME, LONGEST_NOTE
from seqdetect.serve.logs import say
from seqdetect.serve.page.board import Board

LOG = logging.getLogger(__name__)
REFRESH_S: Final = 3.0
"""Verdicts that were given elsewhere show after this long."""
_SHOWN: Final = ("verdict", "author", "note", "at", "corrected")


class Said(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /api/verdicts``; ``verdict`` is ``true``, ``false`` or ``benign`` (real but expected)."""

    model: str
    alert_id: str
    verdict: str
    author: Annotated[str, Meta(max_length=LONGEST_NAME)]
    note: Annotated[str, Meta(max_length=LONGEST_NOTE)] = ""


class Judgements:
    """The verdicts of ``store``, remembered for a moment. For several threads."""

    def __init__(self, store: Verdicts, board: Board) -> None:
        self._store = store
        self._board = board
        self._lock = Lock()
        self._known: dict[str, dict[str, Any]] = {}
        self._read_at = -REFRESH_S

    def known(self) -> Mapping[str, Mapping[str, Any]]:
        """The verdict that counts, by alert. While the store cannot be read it is as it was: alerts are shown anyway."""
        with self._lock:
            if time.monotonic() >= self._read_at + REFRESH_S:
                try:
                    self._known = {one.alert_id: _shown(one) for one in self._store.latest()}
                except (OSError, ValueError) as error:
                    say(LOG, logging.WARNING, "verdicts_not_read", error=str(error))
                self._read_at = time.monotonic()
            return self._known

    def say(self, body: bytes) -> dict[str, Any]:
        """Keep what ``body`` says of an alert on the board, and give it back as it is shown.

        Raises ``ValueError`` for what cannot be right and ``LookupError`` for an alert that is not known any more.
        """
        try:
            said = msgspec.json.decode(body, type=Said)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        alert = self._board.alert(said.model, said.alert_id)
        if alert is None:
            raise LookupError("there is no such alert here any more; seqdetect feedback add takes older ones")
        shown = _shown(self._store.add(alert, said.verdict, said.author, said.note))
        with self._lock:
            self._read_at = -REFRESH_S
        return shown


def _shown(verdict: Any) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in _SHOWN}
