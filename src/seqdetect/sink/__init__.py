"""Where alerts go. A sink is one file here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Sink(Protocol):
    """Takes changes of alerts; the same change twice must do no harm on the far side."""

    def send(self, changes: Sequence[dict[str, Any]]) -> None:
        """Deliver, in order; returns once they are safe."""
        ...

    def close(self) -> None:
        """Finish what is under way."""
        ...
