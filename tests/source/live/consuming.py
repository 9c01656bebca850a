"""A small service around the Kafka source: parts with checkpoints in a shared folder, one scorer for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqdetect.bundle.load import Bundle
from seqdetect.events import Tally
from seqdetect.scorer import Model, Scorer
from seqdetect.source.live.kafka import Kafka

LOW = {"warning": 0.02, "critical": 0.2}


class Notes:
    """Parts without any memory but positions; keeps what it was told, and the prompt tokens of every event."""

    def __init__(self, **positions: int) -> None:
        self.positions = {part.replace("_", "-"): position for part, position in positions.items()}
        self.told: list[tuple[str, str]] = []
        self.seen: dict[str, list[int]] = {}

    def assigned(self, part: str) -> Any | None:
        self.told.append(("assigned", part))
        return self.positions.get(part)

    def revoked(self, part: str) -> None:
        self.told.append(("revoked", part))

    def lost(self, part: str) -> None:
        self.told.append(("lost", part))

    def take(self, source: Kafka, events: int, seconds: float = 30.0) -> dict[str, list[int]]:
        """Poll until so many events were seen, in all."""
        until(lambda: self._turn(source) >= events, seconds)
        return self.seen

    def _turn(self, source: Kafka) -> int:
        batch = source.poll(0.2)
        if batch is not None:
            self.seen.setdefault(batch.part, []).extend(batch.table.column("prompt_tokens").to_pylist())
            self.positions[batch.part] = batch.position
        return sum(map(len, self.seen.values()))


class Worker:
    """One member of a group. ``sent`` is where all members' changes of alerts arrive."""

    def __init__(
        self, source: Kafka, bundle: Bundle, folder: Path, sent: list[dict[str, Any]], every: int = 3
    ) -> None:
        self.source = source
        self.scorers: dict[str, Scorer] = {}
        self.reached: dict[str, Any] = {}
        self.begun: list[tuple[str, Any]] = []
        self.gone: list[str] = []
        self._models = [Model("m", bundle, thresholds=LOW)]
        self._folder = folder
        self._sent = sent
        self._every = every
        self._turns = 0
        source.start(self)

    def assigned(self, part: str) -> Any | None:
        scorer = self.scorers[part] = Scorer(self._models, Tally(), scope=part)
        path = self._folder / f"{part}.ckpt"
        position = scorer.load(path) if path.exists() else None
        self.reached[part] = position
        self.begun.append((part, position))
        return position

    def revoked(self, part: str) -> None:
        self._save(part)
        del self.scorers[part], self.reached[part]

    def lost(self, part: str) -> None:
        del self.scorers[part], self.reached[part]
        self.gone.append(part)

    def turn(self) -> None:
        """Poll once; every few turns all parts are saved."""
        batch = self.source.poll(0.1)
        if batch is not None:
            self._sent.extend(self.scorers[batch.part].push(batch.table))
            self.reached[batch.part] = batch.position
        self._turns += 1
        if self._turns % self._every == 0:
            for part in self.scorers:
                self._save(part)

    def _save(self, part: str) -> None:
        if self.reached[part] is not None:
            self.scorers[part].save(self._folder / f"{part}.ckpt", self.reached[part])
            self.source.commit(part, self.reached[part])


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Ask again and again; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"


def last_states(changes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {change["alert_id"]: change for change in changes}
