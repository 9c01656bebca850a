"""One scorer per part of the input, and its checkpoint: state follows the part."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from seqdetect.events import Tally
from seqdetect.score.engine import Scored
from seqdetect.scorer import Model, Scorer
from seqdetect.serve.config import Limits
from seqdetect.serve.logs import say
from seqdetect.serve.metrics import LONE, Metrics
from seqdetect.source.live import Batch

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Store:
    """Where checkpoints are kept, and what a part without one starts with."""

    folder: Path
    start: Path | None = None

    def path(self, part: str) -> Path:
        """The checkpoint of ``part``; the names of parts are safe as file names."""
        return self.folder / f"{part or LONE}.ckpt"


class Onlooker(Protocol):
    """Sees what happens in each part, in the scoring thread."""

    def begin(self, part: str, scorer: Scorer) -> None:
        """``scorer`` takes up the part, or goes on with other models."""
        ...

    def scored(self, part: str, model: str, scored: Scored) -> None:
        """Steps that ``model`` has scored; the changes of alerts that they cause come after."""
        ...

    def changed(self, part: str, changes: Sequence[dict[str, Any]]) -> None:
        """Changes of alerts, which are delivered next."""
        ...

    def forget(self, part: str) -> None:
        """The part is gone."""
        ...


class Scorers:
    """The ``Parts`` of a live source: makes, restores, saves and forgets the scorers of the parts at hand.

    ``commit`` tells the source, by part and position, what is safe.
    """

    def __init__(
        self,
        models: Sequence[Model],
        store: Store,
        tally: Tally,
        limits: Limits,
        metrics: Metrics,
        onlookers: Sequence[Onlooker] = (),
    ) -> None:
        self.by_part: dict[str, Scorer] = {}
        self.commit: Callable[[str, Any], None] = lambda part, position: None
        self._models = list(models)
        self._store = store
        self._tally = tally
        self._limits = limits
        self._metrics = metrics
        self._onlookers = onlookers
        self._reached: dict[str, Any] = {}
        self._unsaved: set[str] = set()

    def assigned(self, part: str) -> Any | None:
        """Raises ``ValueError`` for a checkpoint that these models cannot go on from."""
        scorer, path = self._made(part), self._store.path(part)
        position, origin = None, "nothing"
        try:
            position, origin = scorer.load(path), str(path)
        except FileNotFoundError:
            if self._store.start is not None:
                origin = self._begin(scorer, self._store.start)
        except ValueError as error:
            raise ValueError(
                f"{error}. Serve the bundle it was made with, or move {path} away to begin anew"
            ) from error
        self.by_part[part] = scorer
        self._reached[part] = position
        self._metrics.begin_part(part, scorer)
        self._tell_begin(part)
        say(LOG, logging.INFO, "part_assigned", part=part or LONE, restored=origin, position=position)
        return position

    def revoked(self, part: str) -> None:
        self._save(part)
        self.lost(part)

    def lost(self, part: str) -> None:
        if self.by_part.pop(part, None) is not None:
            self._reached.pop(part)
            self._unsaved.discard(part)
            self._metrics.forget_part(part)
            for one in self._onlookers:
                one.forget(part)
            say(LOG, logging.INFO, "part_gone", part=part or LONE)

    def push(self, batch: Batch) -> list[dict[str, Any]]:
        """The changes that the batch causes. They have to be delivered before ``reached`` is called."""
        changes = self.by_part[batch.part].push(batch.table)
        self._tell_changed(batch.part, changes)
        return changes

    def reached(self, batch: Batch) -> None:
        """All that the batch caused has been delivered."""
        self._reached[batch.part] = batch.position
        self._unsaved.add(batch.part)

    def standing(self) -> list[dict[str, Any]]:
        """Every alert of the parts at hand that is open now, as a change ``update``."""
        return [change for scorer in self.by_part.values() for change in scorer.standing()]

    def flush(self) -> list[dict[str, Any]]:
        """Complete every open tick, at the end of the input."""
        self._unsaved |= set(self.by_part)
        found = {part: scorer.flush() for part, scorer in self.by_part.items()}
        for part, changes in found.items():
            self._tell_changed(part, changes)
        return [change for changes in found.values() for change in changes]

    def save(self) -> None:
        """Write a checkpoint of every part that has moved, and commit it; what fails is tried again next time."""
        for part in sorted(self._unsaved):
            self._save(part)

    def abandon(self) -> None:
        """Forget everything and write nothing: what is in memory has not been delivered."""
        for part in list(self.by_part):
            self.lost(part)

    def swap(self, models: Sequence[Model]) -> None:
        """Go on with other models, in all parts or, with ``ValueError``, in none."""
        done: list[Scorer] = []
        try:
            for scorer in self.by_part.values():
                scorer.swap(models)
                done.append(scorer)
        except ValueError:
            for scorer in done:
                scorer.swap(self._models)
            raise
        self._models = list(models)
        self._unsaved |= set(self.by_part)
        for part in self.by_part:
            self._tell_begin(part)

    @staticmethod
    def _begin(scorer: Scorer, start: Path) -> str:
        try:
            scorer.load(start)
        except (FileNotFoundError, ValueError) as error:
            raise ValueError(f"checkpoint.start: {error}") from error
        return str(start)

    def _made(self, part: str) -> Scorer:
        told: list[Callable[[str, Scored], None]] = [
            partial(self._metrics.scored, part),
            *(partial(one.scored, part) for one in self._onlookers),
        ]

        def write(model: str, scored: Scored) -> None:
            for tell in told:
                tell(model, scored)

        return Scorer(
            self._models,
            self._tally,
            max_users=self._limits.max_users,
            ahead_s=self._limits.ahead_s,
            scope=part,
            write=write,
        )

    def _tell_begin(self, part: str) -> None:
        for one in self._onlookers:
            one.begin(part, self.by_part[part])

    def _tell_changed(self, part: str, changes: list[dict[str, Any]]) -> None:
        for one in self._onlookers if changes else ():
            one.changed(part, changes)

    def _save(self, part: str) -> None:
        if part not in self._unsaved:
            return
        begun = time.perf_counter()
        position = self._reached[part]
        try:
            size = self.by_part[part].save(self._store.path(part), position)
        except OSError as error:
            self._metrics.save_errors.inc()
            say(LOG, logging.ERROR, "checkpoint_failed", part=part or LONE, error=str(error))
            return
        self._unsaved.discard(part)
        seconds = time.perf_counter() - begun
        self._metrics.saved(seconds, size)
        say(LOG, logging.DEBUG, "checkpoint_saved", part=part or LONE, seconds=round(seconds, 4), bytes=size)
        if position is not None:
            self.commit(part, position)
