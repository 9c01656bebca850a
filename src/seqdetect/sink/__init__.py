"""Where alerts go. A sink is one file here.

What a sink may have beside ``send`` and ``close``, as attributes of its class or of the object:

- ``queued = True``: changes wait for it in a queue on disk and are sent by a thread of its own, which tries again
  until the far side takes them. A sink without it is delivered to by the scoring thread itself, which waits for it.
- ``at_once`` (1 where there is none): as many changes as a queued sink can be given in one ``send``. When that fails,
  all of them come again; a sink that sends each in a request of its own has 1.
- ``resend_s`` and ``refresh(standing)``: about every ``resend_s`` seconds, and once after the start, a queued sink gets
  all alerts that are open now, as changes ``update``, between the changes before and those after that moment. That an
  alert is absent means nothing. What fails comes again with the alerts open then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

Change = dict[str, Any]


class UnavailableError(ConnectionError):
    """The far side did not take it now; ``after_s`` is how many seconds it asked to be left alone, if it did."""

    def __init__(self, what: str, after_s: float | None = None) -> None:
        super().__init__(what)
        self.after_s = after_s


class RefusedError(Exception):
    """The far side will not take this, however often it is sent."""


class Sink(Protocol):
    """Takes changes of alerts; the same change twice must do no harm on the far side.

    The first change of an alert that a sink sees can be an ``update``: an output may want alerts only from a severity
    on. It stands for ``open`` then.
    """

    def send(self, changes: Sequence[Change]) -> None:
        """Deliver, in order; returns once they are safe.

        Raises ``RefusedError`` for what the far side will never take, and anything else for what may go well later.
        """
        ...

    def close(self) -> None:
        """Finish what is under way."""
        ...


@runtime_checkable
class Refreshed(Protocol):
    """A sink whose far side forgets alerts that it is not told of again and again."""

    resend_s: float

    def refresh(self, standing: Sequence[Change]) -> None:
        """Tell of all alerts that are open. Raises what ``send`` raises."""
        ...
