"""The sinks that the configuration names: a sink's file in ``sink/`` and its line in ``SINKS`` are all it takes.

The parameters of a sink's constructor are its settings, with their types and defaults: a ``Path`` is relative to the
file, a ``Secret`` is looked up in the environment or in a file.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_type_hints

import msgspec

from seqdetect.serve.document import Document, hint
from seqdetect.serve.logs import say
from seqdetect.serve.metrics import Metrics
from seqdetect.sink import Sink

LOG = logging.getLogger(__name__)
SINKS: Final = {
    "jsonl": "seqdetect.sink.jsonl.JsonlAppender",
    "kafka": "seqdetect.sink.kafka.KafkaSink",
    "opsgenie": "seqdetect.sink.opsgenie.OpsgenieSink",
    "pagerduty": "seqdetect.sink.pagerduty.PagerDutySink",
}
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
"""Until the next try at a sink that failed: doubled each time between these two."""

Shadow = Literal["no", "only", "too"]
Change = dict[str, Any]


class UndeliveredError(RuntimeError):
    """A sink did not take its changes before the service had to stop."""


@dataclass(frozen=True)
class Output:
    """A sink and which changes it gets: by default none of shadow models, so that they reach no person."""

    name: str
    sink: Sink
    shadow: Shadow = "no"

    def wants(self, change: Change) -> bool:
        return self.shadow == "too" or (self.shadow == "only") == bool(change.get("shadow"))


@dataclass
class Outputs:
    """All sinks as one, which fails for nobody: a sink that cannot deliver is tried again until it can.

    ``wait`` sleeps for so many seconds and returns True when trying has to end.
    """

    outputs: Sequence[Output]
    wait: Callable[[float], bool]
    metrics: Metrics

    def send(self, changes: Sequence[Change]) -> None:
        """Deliver to each sink what it wants, in order. Raises ``UndeliveredError`` where trying had to end."""
        for output in self.outputs:
            wanted = [change for change in changes if output.wants(change)]
            if wanted:
                self._deliver(output, wanted)

    def close(self) -> None:
        close(self.outputs)

    def _deliver(self, output: Output, changes: Sequence[Change]) -> None:
        wait_s, tries = FIRST_WAIT_S, 0
        while True:
            try:
                output.sink.send(changes)
                break
            # what a far side's client raises is its own affair; nothing may be lost over it
            except Exception as error:
                tries += 1
                self.metrics.sink_errors.labels(output.name).inc()
                what = f"{type(error).__name__}: {error}"
                say(
                    LOG,
                    logging.ERROR,
                    "sink_failed",
                    output=output.name,
                    error=what,
                    tries=tries,
                    next_s=wait_s,
                )
            if self.wait(wait_s):
                raise UndeliveredError(
                    f"{len(changes)} changes of alerts were not delivered to {output.name}"
                )
            self.metrics.sink_retries.labels(output.name).inc()
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        self.metrics.sink_changes.labels(output.name).inc(len(changes))
        if tries:
            say(LOG, logging.INFO, "sink_back", output=output.name, tries=tries)


def build(here: Document, entries: Sequence[dict[str, dict[str, Any]]]) -> list[Output]:
    """Open every sink in the section ``outputs``. Raises ``ValueError`` that names the setting."""
    outputs: list[Output] = []
    try:
        for place, entry in enumerate(entries):
            outputs.append(_opened(here.inside(f"outputs[{place}]", entry), place))
    except BaseException:
        close(outputs)
        raise
    return outputs


def close(outputs: Sequence[Output]) -> None:
    """Close every sink, whatever happens to the others."""
    for output in outputs:
        try:
            output.sink.close()
        except Exception as error:
            say(LOG, logging.ERROR, "sink_not_closed", output=output.name, error=str(error))


def _opened(here: Document, place: int) -> Output:
    if len(here.value) != 1:
        raise here.error(f"name one sink; there are {', '.join(SINKS)}")
    ((name, settings),) = here.value.items()
    if name not in SINKS:
        raise here.error(f"there is no such sink{hint(name, SINKS)}", name)
    inside = here.inside(name, settings)
    module, _, attribute = SINKS[name].rpartition(".")
    try:
        sink = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise inside.error(f"{error}; pip install 'seqdetect[{name}]'") from error
    chosen = inside.read(_settings(sink))
    given = {field: getattr(chosen, field) for field in chosen.__struct_fields__}
    shadow = given.pop("shadow")
    try:
        return Output(f"{name}-{place}", sink(**given), shadow)
    except (OSError, ValueError) as error:
        raise inside.error(str(error)) from error


def _settings(sink: Callable[..., Sink]) -> type[msgspec.Struct]:
    """The parameters of the sink's constructor as a Struct, and ``shadow``, which every output has."""
    hints = get_type_hints(sink.__init__ if inspect.isclass(sink) else sink)
    fields: list[Any] = [("shadow", Shadow, "no")]
    for parameter in inspect.signature(sink).parameters.values():
        required = parameter.default is inspect.Parameter.empty
        field = (parameter.name, hints[parameter.name])
        fields.append(field if required else (*field, parameter.default))
    return msgspec.defstruct("Settings", fields, kw_only=True, forbid_unknown_fields=True)
