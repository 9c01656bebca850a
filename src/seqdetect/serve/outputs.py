"""The outputs that the configuration names: a sink's file in ``sink/`` and its line in ``SINKS`` are all it takes.

The parameters of a sink's constructor are its settings, with their types and defaults: a ``Path`` is relative to the
file, a ``Secret`` is looked up in the environment or in a file. Beside them every output has a ``name``, which its
queue goes by, and the settings of ``Wanted``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

import msgspec

from seqdetect.serve.config import Name
from seqdetect.serve.delivery import Output, close
from seqdetect.serve.document import Document, hint
from seqdetect.serve.queued import Queues
from seqdetect.serve.wanted import Severity, Share, Wanted
from seqdetect.sink import Sink

SINKS: Final = {
    "alertmanager": "seqdetect.sink.alertmanager.AlertmanagerSink",
    "influxdb": "seqdetect.sink.influxdb.InfluxDBSink",
    "jsonl": "seqdetect.sink.jsonl.JsonlAppender",
    "kafka": "seqdetect.sink.kafka.KafkaSink",
    "opsgenie": "seqdetect.sink.opsgenie.OpsgenieSink",
    "pagerduty": "seqdetect.sink.pagerduty.PagerDutySink",
    "slack": "seqdetect.sink.slack.SlackSink",
    "sqlite": "seqdetect.sink.sqlite.SqliteSink",
    "webhook": "seqdetect.sink.webhook.WebhookSink",
}
OWN: Final = ("name", "shadow", "muted", "teams", "severity")
"""Settings that every output has; no sink's parameter is called so."""


@dataclass(frozen=True)
class Chosen:
    """An output as the configuration has it, whose settings were found good; nothing is opened."""

    name: str
    make: Callable[..., Sink]
    settings: dict[str, Any]
    wanted: Wanted
    here: Document


def read(here: Document, entries: Sequence[dict[str, dict[str, Any]]]) -> list[Chosen]:
    """The section ``outputs``. Raises ``ValueError`` that names the setting."""
    chosen: list[Chosen] = []
    for place, entry in enumerate(entries):
        one = _read(here.inside(f"outputs[{place}]", entry), place)
        if one.name in {other.name for other in chosen}:
            raise one.here.error(f"{one.name} is taken by another output", "name")
        chosen.append(one)
    return chosen


def check_teams(chosen: Sequence[Chosen], teams: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for an output that waits for a team which no alert will ever have."""
    for one in chosen:
        for team in one.wanted.teams:
            if team not in teams:
                raise one.here.error(f"there is no such team{hint(team, teams)}", "teams")


def opened(chosen: Sequence[Chosen], queues: Queues) -> list[Output]:
    """Open every sink, and its queue where it has one. Raises ``ValueError`` that names the output."""
    outputs: list[Output] = []  # those before one that fails are to be closed
    try:
        for one in chosen:
            outputs.append(_opened(one, queues))  # noqa: PERF401
    except BaseException:
        close(outputs)
        raise
    queues.tell_unclaimed([one.name for one in chosen])
    return outputs


def _read(here: Document, place: int) -> Chosen:
    if len(here.value) != 1:
        raise here.error(f"name one sink; there are {', '.join(SINKS)}")
    ((kind, settings),) = here.value.items()
    if kind not in SINKS:
        raise here.error(f"there is no such sink{hint(kind, SINKS)}", kind)
    inside = here.inside(kind, _spelled(settings))
    module, _, attribute = SINKS[kind].rpartition(".")
    try:
        sink = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise inside.error(f"{error}; pip install 'seqdetect[{kind}]'") from error
    found = inside.read(_settings(sink))
    given = {field: getattr(found, field) for field in found.__struct_fields__}
    name, shadow, muted, teams, severity = (given.pop(own) for own in OWN)
    return Chosen(
        name or f"{kind}-{place}", sink, given, Wanted(shadow, muted, tuple(teams), severity), inside
    )


def _opened(chosen: Chosen, queues: Queues) -> Output:
    try:
        sink = chosen.make(**chosen.settings)
        if not getattr(sink, "queued", False):
            return Output(chosen.name, sink, chosen.wanted)
        try:
            return Output(chosen.name, queues.queued(chosen.name, sink), chosen.wanted)
        except BaseException:
            sink.close()
            raise
    except (OSError, ValueError) as error:
        raise chosen.here.error(str(error)) from error


def _spelled(settings: Any) -> Any:
    """``no`` as it stands in the file, which YAML takes for false."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: "no" if key in ("shadow", "muted") and value is False else value
        for key, value in settings.items()
    }


def _settings(sink: Callable[..., Sink]) -> type[msgspec.Struct]:
    """The parameters of the sink's constructor as a Struct, and what every output has."""
    hints = get_type_hints(sink.__init__ if inspect.isclass(sink) else sink)
    fields: list[Any] = [
        ("name", Name | None, None),
        ("shadow", Share, "no"),
        ("muted", Share, "no"),
        ("teams", list[str], []),
        ("severity", Severity, "warning"),
    ]
    for parameter in inspect.signature(sink).parameters.values():
        required = parameter.default is inspect.Parameter.empty
        field = (parameter.name, hints[parameter.name])
        fields.append(field if required else (*field, parameter.default))
    return msgspec.defstruct("Settings", fields, kw_only=True, forbid_unknown_fields=True)
