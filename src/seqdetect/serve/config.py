"""What ``serving/scorer.yaml`` may say, as Structs; the example there explains every setting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, field

from seqdetect.score.engine import LEVELS
from seqdetect.secret import Secret
from seqdetect.serve.alerts import Alerts, policy_of
from seqdetect.serve.document import Document, hint, load

Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(gt=0)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Share = Annotated[float, Meta(ge=0)]
Dollars = Annotated[float, Meta(ge=0, le=1e9)]
Format = Literal["litellm", "otlp", "nginx", "kong", "openai", "openai_usage"]
"""As in ``seqdetect.source.adapter.FORMATS``."""
FIXED: Final = (
    "input",
    "outputs",
    "delivery",
    "checkpoint",
    "limits",
    "http",
    "page",
    "feedback",
    "reload",
    "log",
)
"""Sections that only a restart changes."""
INPUTS: Final = ("stdin", "file", "http", "kafka", "metrics")
DEFAULT: Final = "default"
TIERS: Final = dict.fromkeys(LEVELS[1:])


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens."""

    prompt: Dollars = 0.0
    completion: Dollars = 0.0


class Model(Struct, frozen=True, forbid_unknown_fields=True):
    """One bundle at work on one key; ``key`` is the bundle's own where none is given. ``prices`` are a ``Price``, or
    one for each LLM and ``default`` for all others."""

    name: Name
    bundle: Path
    key: str | None = None
    shadow: bool = False
    thresholds: dict[str, float] = {}
    prices: dict[str, Any] | None = None
    runbooks: str | None = None


class Reading(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are read, whatever brings them: as ``seqdetect score`` has it in its options."""

    columns: dict[str, str] = {}
    timezone: str = "UTC"
    timestamp_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    epoch: str | None = None
    hash_users: Secret | None = None
    hash_addresses: bool = False


class Foreign(Reading, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Records of another program in place of events: which one, and where they name the user, best first."""

    format: Format | None = None
    users: list[str] = []


class Adapter(Struct, frozen=True, forbid_unknown_fields=True):
    """Where another program's records name the user, best first; without any, where they usually do."""

    users: list[str] = []


class Stdin(Foreign, frozen=True, forbid_unknown_fields=True):
    """JSON lines on standard input; ``journal`` is a folder to write them to before they are scored."""

    journal: Path | None = None


class File(Foreign, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON lines that others add to a file, followed over its renaming and truncation."""

    path: Path
    begin: Literal["beginning", "end"] = "beginning"


class Http(Reading, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``POST /v1/events`` on the address of the section ``http``; with an adapter, another path for its records."""

    adapters: dict[Format, Adapter] = {}
    journal: Path | None = None
    proxies: list[str] = []
    body_bytes: Count = 8 << 20
    requests: Count = 32
    connections: Count = 512
    header_timeout_s: Seconds = 10.0
    body_timeout_s: Seconds = 30.0
    rate_events_s: Positive | None = None
    burst_events: Positive | None = None


class Scrape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``/metrics`` of inference servers, by the name that is their user, looked at every so often."""

    targets: Annotated[dict[str, str], Meta(min_length=1)]
    every_s: Annotated[float, Meta(ge=0.1, le=10)] = 5.0
    timeout_s: Seconds = 3.0
    journal: Path | None = None


class Kafka(Foreign, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Topics of JSON objects keyed by user. ``settings`` and ``secrets`` are librdkafka's, by their names there."""

    servers: str
    topics: Annotated[list[str], Meta(min_length=1)]
    group: str = "seqdetect"
    dead_letters: str | None = None
    settings: dict[str, str | int | float | bool] = {}
    secrets: dict[str, Secret] = {}


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of these."""

    stdin: Stdin | None = None
    file: File | None = None
    http: Http | None = None
    kafka: Kafka | None = None
    metrics: Scrape | None = None


class Checkpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """One file per part of the input in ``folder``; ``start`` is the memory that a part without one begins with."""

    folder: Path
    every_s: Seconds = 30.0
    start: Path | None = None


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """Queues of outputs on disk, ``outbox`` in the folder of checkpoints where no other is named."""

    folder: Path | None = None
    max_bytes: Count = 64 << 20


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what is held, and patience."""

    max_users: Count = 1_000_000
    ahead_s: Annotated[float, Meta(gt=0, le=30 * 86_400)] = 3600.0
    queue_rows: Count = 500_000
    queue_bytes: Count = 256 << 20
    stop_s: Seconds = 20.0
    stall_s: Seconds = 60.0


class Web(Struct, frozen=True, forbid_unknown_fields=True):
    """Where ``/metrics`` and the others answer; the token is asked for where events are taken in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    token_env: str | None = None
    token_file: Path | None = None


class Page(Struct, frozen=True, forbid_unknown_fields=True):
    """The page at ``/`` of the section ``http``; ``hosts`` are further names that it is reached by."""

    enabled: bool = True
    users: Annotated[int, Meta(gt=0, le=10_000)] = 200
    steps: Annotated[int, Meta(gt=0, le=100_000)] = 2160
    hosts: list[str] = []


class Feedback(Struct, frozen=True, forbid_unknown_fields=True):
    """Where verdicts on alerts are kept."""

    path: Path


class Reload(Struct, frozen=True, forbid_unknown_fields=True):
    """How often bundle files are looked at; 0: only when asked to by SIGHUP."""

    every_s: Share = 5.0


class Log(Struct, frozen=True, forbid_unknown_fields=True):
    """From which level on something is written."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. ``outputs`` are read by ``serve.outputs``, which knows the sinks."""

    models: Annotated[list[Model], Meta(min_length=1)]
    input: Input
    outputs: Annotated[list[dict[str, dict[str, Any]]], Meta(min_length=1)]
    checkpoint: Checkpoint
    alerts: Alerts = field(default_factory=Alerts)
    delivery: Delivery = field(default_factory=Delivery)
    limits: Limits = field(default_factory=Limits)
    http: Web = field(default_factory=Web)
    page: Page = field(default_factory=Page)
    feedback: Feedback | None = None
    reload: Reload = field(default_factory=Reload)
    log: Log = field(default_factory=Log)


def read(path: str | Path) -> tuple[Config, Document]:
    """The file at ``path`` and the document for errors that show themselves later.

    Raises ``FileNotFoundError``, or ``ValueError`` that names the file and the key.
    """
    here = load(path)
    _fill_in(here.value)
    config = here.read(Config)
    _check_input(config.input, here)
    _check_models(config.models, here)
    policy_of(config.alerts, here)
    return config, here


def _fill_in(value: dict[str, Any]) -> None:
    """``stdin:`` with nothing after it is standard input with its defaults."""
    inputs = value.get("input")
    if isinstance(inputs, dict):
        value["input"] = {name: {} if one is None else one for name, one in inputs.items()}


def _check_input(inputs: Input, here: Document) -> None:
    given = [name for name in INPUTS if getattr(inputs, name) is not None]
    if len(given) != 1:
        found = f"there are {' and '.join(given)}" if given else "there is none"
        raise here.error(f"name exactly one of {', '.join(INPUTS)}; {found}", "input")


def _check_models(models: list[Model], here: Document) -> None:
    names: set[str] = set()
    for place, model in enumerate(models):
        one = here.inside(f"models[{place}]", None)
        if model.name in names:
            raise one.error(f"{model.name} is taken by another model", "name")
        names.add(model.name)
        prices(model, one)
        for tier in model.thresholds:
            if tier not in TIERS:
                raise one.error(f"there is no such tier{hint(tier, TIERS)}", f"thresholds.{tier}")


def prices(model: Model, here: Document) -> dict[str, Price]:
    """By LLM, ``default`` for all others; a lone price is that of all. ``here`` is the model's place."""
    given = model.prices or {}
    if given and not any(isinstance(price, dict) for price in given.values()):
        return {DEFAULT: here.inside("prices", given).read(Price)}
    return {name: here.inside(f"prices.{name}", price).read(Price) for name, price in given.items()}
