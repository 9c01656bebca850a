"""The service put together: from a configuration file to a process that runs until it is told to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seqdetect.events import Tally
from seqdetect.feedback.store import Verdicts
from seqdetect.scorer import Model, Scorer
from seqdetect.serve import config, inputs, logs, models, outputs, reload, web
from seqdetect.serve.alerts import policy_of
from seqdetect.serve.config import Config
from seqdetect.serve.delivery import Outputs
from seqdetect.serve.document import Document
from seqdetect.serve.health import Health
from seqdetect.serve.inputs import Listening
from seqdetect.serve.loop import Every, Loop
from seqdetect.serve.metrics import Metrics
from seqdetect.serve.models import Bundles
from seqdetect.serve.orders import Orders
from seqdetect.serve.outputs import Chosen
from seqdetect.serve.page import routes as page
from seqdetect.serve.page.board import Board
from seqdetect.serve.page.guard import Guard
from seqdetect.serve.page.verdicts import Judgements
from seqdetect.serve.page.vitals import Vitals
from seqdetect.serve.parts import Scorers, Store
from seqdetect.serve.queued import Queues

LOG = logging.getLogger(__name__)


class StoppedError(RuntimeError):
    """The service ended though nobody told it to, or before everything was delivered."""


@dataclass(frozen=True)
class Plan:
    """A configuration that was found good, and what it names."""

    settings: Config
    here: Document
    bundles: Bundles
    models: list[Model]
    outputs: list[Chosen]


def plan(path: str | Path) -> Plan:
    """Read the configuration and load its bundles. Raises ``ValueError`` or ``OSError`` that says what to do."""
    settings, here = config.read(path)
    bundles = models.open_all(settings.models, here)
    policy, chosen = policy_of(settings.alerts, here), outputs.read(here, settings.outputs)
    outputs.check_teams(chosen, policy.teams)
    built = models.build(settings.models, bundles, here, policy)
    try:
        Scorer(built, Tally())
    except ValueError as error:
        raise here.error(str(error), "models") from error
    return Plan(settings, here, bundles, built, chosen)


def serve(made: Plan) -> None:
    """Run until the input ends or a signal comes. Raises ``StoppedError``, or what is wrong at the start."""
    settings = made.settings
    logs.start(settings.log.level)
    health, metrics, tally = Health(settings.limits.stall_s), Metrics(), Tally()
    orders = Orders(settings.limits.stop_s, health.move)
    store = Store(settings.checkpoint.folder, settings.checkpoint.start)
    board = Board(settings.page.users, settings.page.steps)
    onlookers = [board] if settings.page.enabled else []
    scorers = Scorers(made.models, store, tally, settings.limits, metrics, onlookers)
    metrics.models(made.models, reload.digests(settings.models, made.bundles))
    reloader = reload.Reload(settings, made.here, made.bundles, made.outputs, scorers, metrics)
    routes = web.routes(metrics, health)
    judgements = _judgements(made, board, metrics)
    if settings.page.enabled:
        guard = Guard(settings.http.host, inputs.token(settings, made.here), settings.page.hosts)
        routes += page.routes(board, Vitals(metrics.registry, health), judgements, guard)
    source = inputs.build(settings, made.here, made.models, tally, routes)
    orders.listen()
    with ExitStack() as held:
        opened = outputs.opened(made.outputs, _queues(settings, metrics))
        sinks = Outputs(opened, orders.wait, metrics, settings.limits.stop_s)
        held.callback(sinks.close)
        server: Listening = source.server or held.enter_context(web.serving(settings.http, routes))
        loop = Loop(source, scorers, sinks, orders, health, metrics, tally, settings.checkpoint.every_s)
        loop.look = _looker(orders, reloader, settings.reload.every_s)
        loop.address = lambda: f"{settings.http.host}:{server.port}"
        _run(loop, health)


def _judgements(made: Plan, board: Board, metrics: Metrics) -> Judgements | None:
    """Where verdicts are kept, if they are. Raises ``ValueError`` for a place where they cannot be."""
    if made.settings.feedback is None:
        return None
    try:
        verdicts = Verdicts(made.settings.feedback.path)
    except (OSError, ValueError) as error:
        raise made.here.error(str(error), "feedback.path") from error
    metrics.follow_verdicts(verdicts.counts)
    return Judgements(verdicts, board)


def _run(loop: Loop, health: Health) -> None:
    try:
        loop.run()
    except Exception as error:
        if not health.connected:
            raise
        raise StoppedError(f"{type(error).__name__}: {error}") from error


def _queues(settings: Config, metrics: Metrics) -> Queues:
    folder = settings.delivery.folder or settings.checkpoint.folder / "outbox"
    return Queues(folder, settings.delivery.max_bytes, metrics)


def _looker(orders: Orders, reloader: reload.Reload, every_s: float) -> Callable[[], None]:
    due = Every(every_s or float("inf"))

    def look() -> None:
        if orders.reread:
            orders.reread = False
            reloader.reread()
        elif due():
            reloader.look()

    return look
