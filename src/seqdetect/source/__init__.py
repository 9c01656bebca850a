"""Where events come from. A source is one file here and one yaml in ``configs/source``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from seqdetect.events import Tally

if TYPE_CHECKING:
    import pandas as pd


class Source(Protocol):
    """A stream of event batches, and the incidents known in them."""

    licence: str
    """Licence of the data, as its publisher states it."""
    reference: str
    """Paper, repository or vendor page the data is described in."""

    def read(self, tally: Tally) -> Iterator[pa.Table]:
        """Event batches (``seqdetect.events``) in arrival order; bad rows are counted in ``tally``."""
        ...

    def incidents(self) -> pd.DataFrame | None:
        """Incidents (``seqdetect.incidents.COLUMNS``), or None when nothing is labelled."""
        ...
