"""The live source that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from seqdetect.events import Tally
from seqdetect.scorer import USER, Model
from seqdetect.secret import Secret, reveal
from seqdetect.serve.config import Config, File, Foreign, Http, Kafka, Reading, Scrape, Stdin
from seqdetect.serve.document import Document
from seqdetect.service import SERVICE
from seqdetect.source.adapter import FORMATS, adapted
from seqdetect.source.live import Live
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.times import Clock
from seqdetect.source.pseudonym import Pseudonyms

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from seqdetect.source.live import http, scrape, stdin
    from seqdetect.source.live.door import Door


@dataclass(frozen=True)
class Around:
    """What a source is given beside its own settings."""

    tally: Tally
    layout: Layout
    token: Secret | None
    routes: Sequence[BaseRoute]


class Listening(Protocol):
    """Answers requests."""

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        ...


@dataclass(frozen=True)
class Input:
    """A source, who has figures to tell about it (``stats``), and the server that it brings along."""

    live: Live
    tellers: Sequence[Any]
    server: Listening | None = None

    def stats(self) -> dict[str, Any]:
        """The figures of all of them."""
        return {name: value for one in self.tellers for name, value in one.stats().items()}


def build(
    config: Config, here: Document, models: Sequence[Model], tally: Tally, routes: Sequence[BaseRoute]
) -> Input:
    """The source; nothing is opened yet. Raises ``ValueError`` that names the setting."""
    secret = token(config, here)
    inputs = (("stdin", _stdin), ("file", _file), ("http", _http), ("kafka", _kafka), ("metrics", _metrics))
    for name, opened in inputs:
        settings = getattr(config.input, name)
        if settings is None:
            continue
        place = here.inside("input", None).inside(name, None)
        try:
            layout = _layout(settings, models) if isinstance(settings, Reading) else Layout()
            return opened(settings, config, Around(tally, layout, secret, routes))
        except ValueError as error:
            raise place.error(str(error)) from error
        except ImportError as error:
            raise place.error(f"{error}; pip install 'seqdetect[{name}]'") from error
    raise AssertionError("the configuration was checked to name an input")


def token(config: Config, here: Document) -> Secret | None:
    """What who posts events has to show; None: nothing. Raises ``ValueError`` that names the setting."""
    try:
        return reveal(config.http.token_env, config.http.token_file)
    except ValueError as error:
        raise here.error(str(error), "http.token_env or http.token_file") from error


def _layout(settings: Reading, models: Sequence[Model]) -> Layout:
    """How events, or another program's records, are read."""
    found = replace(_named(settings, models), pseudonyms=_pseudonyms(settings))
    if not isinstance(settings, Foreign) or settings.format is None:
        if isinstance(settings, Foreign) and settings.users:
            raise ValueError(
                "users says where records of another program name the user; name their format, too"
            )
        return found
    if settings.columns or found.clock != Clock():
        raise ValueError(
            f"records of {settings.format} have their own columns and times; leave columns, timezone, timestamp_unit "
            "and epoch out"
        )
    return adapted.layout(replace(found, adapter=FORMATS[settings.format](settings.users)))


def _pseudonyms(settings: Reading) -> Pseudonyms | None:
    if settings.hash_users is None:
        if settings.hash_addresses:
            raise ValueError("hash_addresses needs the key that hash_users names")
        return None
    columns = ("user_id", "client_ip") if settings.hash_addresses else ("user_id",)
    return Pseudonyms(settings.hash_users, columns)


def _named(settings: Reading, models: Sequence[Model]) -> Layout:
    epoch = None if settings.epoch is None else Clock(settings.timezone).parse(settings.epoch)
    clock = Clock(settings.timezone, settings.timestamp_unit, epoch)
    if any(model.key == USER for model in models):
        return Layout(columns=settings.columns, clock=clock)
    # nobody asks for users: an event without one counts, too
    return Layout(columns=settings.columns, clock=clock, lone_user=SERVICE, empty_user=SERVICE)


def _stdin(settings: Stdin, config: Config, around: Around) -> Input:
    from seqdetect.source.live import stdin

    limits = config.limits
    source = stdin.Stdin(around.tally, around.layout, limits.queue_rows, limits.queue_bytes)
    return Input(*_safe(source, settings.journal, around.tally))


def _file(settings: File, config: Config, around: Around) -> Input:
    from seqdetect.source.live import tail

    source = tail.Tail(settings.path, around.tally, around.layout, settings.begin)
    return Input(source, _telling(source))


def _http(settings: Http, config: Config, around: Around) -> Input:
    from seqdetect.source.live import http
    from seqdetect.source.live.endpoint import Limits

    limits = Limits(
        max_body_bytes=settings.body_bytes,
        max_requests=settings.requests,
        max_connections=settings.connections,
        max_queue_rows=config.limits.queue_rows,
        max_queue_bytes=config.limits.queue_bytes,
        header_timeout_s=settings.header_timeout_s,
        body_timeout_s=settings.body_timeout_s,
        rate_events_s=settings.rate_events_s,
        burst_events=settings.burst_events,
    )
    where = config.http
    source = http.Http(
        around.tally,
        around.layout,
        where.host,
        where.port,
        around.token,
        limits,
        settings.proxies,
        around.routes,
        [_door(name, one.users, around.layout) for name, one in settings.adapters.items()],
    )
    return Input(*_safe(source, settings.journal, around.tally), source)


def _door(name: str, users: Sequence[str], layout: Layout) -> Door:
    """Where records of the program ``name`` are posted: OTLP has a path of its own."""
    from seqdetect.source.live.door import Lines, Traces

    try:
        reader = adapted.Adapted(FORMATS[name](users), layout)
    except ValueError as error:
        raise ValueError(f"adapters.{name}: {error}") from error
    return Traces(reader) if name == "otlp" else Lines(f"/v1/ingest/{name}", reader)


def _safe(
    source: http.Http | stdin.Stdin | scrape.Scrape, journal: Path | None, tally: Tally
) -> tuple[Live, list[Any]]:
    """The source, or a log that is written before what comes from it is accepted; and who has figures."""
    from seqdetect.source.live.log import WriteAhead

    if journal is None:
        return source, _telling(source)
    log = WriteAhead(source, journal, tally)
    return log, _telling(source, log)


def _telling(*sources: Any) -> list[Any]:
    return [source for source in sources if hasattr(source, "stats")]


def _metrics(settings: Scrape, config: Config, around: Around) -> Input:
    from seqdetect.source.live import scrape

    source = scrape.Scrape(around.tally, settings.targets, settings.every_s, settings.timeout_s)
    return Input(*_safe(source, settings.journal, around.tally))


def _kafka(settings: Kafka, config: Config, around: Around) -> Input:
    from seqdetect.source.live import kafka

    source = kafka.Kafka(
        around.tally,
        around.layout,
        settings.servers,
        settings.topics,
        settings.group,
        settings.dead_letters,
        {**settings.settings, **settings.secrets},
    )
    return Input(source, [source])
