"""BurstGPT: requests to GPT services of one university, over months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.events import Tally, conform
from seqdetect.source.files import CHUNK_ROWS, expand, read
from seqdetect.source.parse.header import Layout
from seqdetect.source.parse.times import Clock

if TYPE_CHECKING:
    import pandas as pd

API_USER = "api"
_MS_PER_SECOND = 1_000.0


class BurstGPT:
    """A user is a ``Session ID``; rows without one, the calls by API, are together the user ``api``.

    Files of the first release have no such column: each is one user, ``all``. Failed requests stay, as rows
    whose completion has 0 tokens; the data gives no status.
    """

    def __init__(
        self, events: str | Sequence[str], epoch: str = "2023-01-01T00:00:00Z", chunk_rows: int = CHUNK_ROWS
    ) -> None:
        """``Timestamp`` is in seconds from a first day without a published date: ``epoch`` stands for it."""
        self.licence = "CC-BY-4.0"
        self.reference = (
            "Wang et al., BurstGPT: A real-world workload dataset to optimize LLM serving systems, "
            "arXiv:2401.17644; https://github.com/HPMLL/BurstGPT"
        )
        self._events = events
        self._layout = Layout(
            columns={"latency_ms": "Elapsed time"},
            clock=Clock(epoch=Clock().parse(epoch)),
            empty_user=API_USER,
        )
        self._chunk_rows = chunk_rows

    def read(self, tally: Tally) -> Iterator[pa.Table]:
        """Event batches; errors as in ``files.Files.read``."""
        batches = read(expand(self._events), lambda _: self._layout, self._chunk_rows, tally)
        return map(_in_milliseconds, batches)

    def incidents(self) -> pd.DataFrame | None:
        """None: nothing is labelled."""
        return None


def _in_milliseconds(table: pa.Table) -> pa.Table:
    if "latency_ms" not in table.column_names:
        return table
    place = table.column_names.index("latency_ms")
    seconds = table.column("latency_ms")
    return conform(table.set_column(place, "latency_ms", pc.multiply(seconds, _MS_PER_SECOND)))
