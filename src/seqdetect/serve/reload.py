"""New bundles and new settings of models, taken over while the service runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from seqdetect.serve import config, models
from seqdetect.serve.alerts import policy_of
from seqdetect.serve.config import Config
from seqdetect.serve.document import Document
from seqdetect.serve.logs import say
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.models import Bundles, Loaded, Stamp
from seqdetect.serve.outputs import Chosen, check_teams
from seqdetect.serve.parts import Scorers

LOG = logging.getLogger(__name__)
TAKEN: Final = "taken"
REFUSED: Final = "refused"
FAILED: Final = "failed"


class Reload:
    """Exchanges the models of all parts. What cannot be taken over is said and counted, and changes nothing."""

    def __init__(
        self,
        settings: Config,
        here: Document,
        bundles: Bundles,
        chosen: Sequence[Chosen],
        scorers: Scorers,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._outputs = chosen
        self._here = here
        self._bundles = bundles
        self._scorers = scorers
        self._metrics = metrics
        self._seen: dict[Path, Stamp | None] = {}
        self._tried: dict[Path, Stamp | None] = {}

    def look(self) -> None:
        """Take over the bundle files that have changed and have stayed the same since the last look."""
        stamps = {path: Stamp.of(path) for path in self._bundles}
        ready = [
            path
            for path, stamp in stamps.items()
            if stamp not in (None, self._bundles[path].stamp, self._tried.get(path))
            and stamp == self._seen.get(path)
        ]
        self._seen = stamps
        if ready:
            self._tried |= {path: stamps[path] for path in ready}
            self._exchange(ready)

    def reread(self) -> None:
        """Read the configuration again and take over its models and how alerts are kept; the rest needs a restart."""
        try:
            settings, here = config.read(self._here.file)
            bundles = models.open_all(settings.models, here, self._bundles)
        except (OSError, ValueError) as error:
            self._told(FAILED, str(error))
            return
        changed = [name for name in config.FIXED if getattr(settings, name) != getattr(self._settings, name)]
        if changed:
            say(LOG, logging.WARNING, "restart_needed", sections=", ".join(changed))
        self._take(settings, bundles, here)

    def _exchange(self, changed: Sequence[Path]) -> None:
        fresh: Bundles = {}
        for path in changed:
            try:
                fresh[path] = models.opened(path, self._bundles[path])
            except (OSError, ValueError) as error:
                self._told(FAILED, str(error))
        same = {path: one for path, one in fresh.items() if one.digest == self._bundles[path].digest}
        self._bundles |= same
        if len(same) < len(fresh):
            self._take(self._settings, self._bundles | fresh, self._here)

    def _take(self, wanted: Config, bundles: Bundles, here: Document) -> None:
        try:
            policy = policy_of(wanted.alerts, here)
            check_teams(self._outputs, policy.teams)
            built = models.build(wanted.models, bundles, here, policy)
            self._scorers.swap(built)
        except ValueError as error:
            self._told(REFUSED, str(error))
            return
        self._settings = msgspec.structs.replace(self._settings, models=wanted.models, alerts=wanted.alerts)
        self._bundles, self._here = bundles, here
        self._metrics.models(built, digests(wanted.models, bundles))
        self._told(TAKEN, ", ".join(f"{model.name} {model.bundle.metadata.version}" for model in built))

    def _told(self, result: str, what: str) -> None:
        self._metrics.reloads.labels(result).inc()
        level = logging.INFO if result == TAKEN else logging.ERROR
        field = {"models": what} if result == TAKEN else {"error": what, "still": "the models before it"}
        say(LOG, level, f"reload_{result}", **field)


def digests(wanted: Sequence[config.Model], bundles: dict[Path, Loaded]) -> dict[str, str]:
    """The SHA-256 of each model's bundle file, by the model's name."""
    return {model.name: bundles[model.bundle].digest for model in wanted}
