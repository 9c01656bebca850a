"""Azure's LLM inference traces: requests to two production services, without user ids."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from seqdetect.events import Tally
from seqdetect.source.files import CHUNK_ROWS, expand, read
from seqdetect.source.parse.header import Layout

if TYPE_CHECKING:
    import pandas as pd


class Azure:
    """Splitwise's traces of 2023: each file is one user, named after the service (``code``, ``conv``).

    A service mixes thousands of people, so this is good for the law of prompt and completion lengths and for
    loads of a whole service, and not for the behaviour of single users.
    """

    def __init__(self, events: str | Sequence[str], chunk_rows: int = CHUNK_ROWS) -> None:
        """``events`` are paths or globs of ``AzureLLMInferenceTrace_SERVICE.csv`` files, gzipped or not."""
        self.licence = "CC-BY-4.0, Microsoft"
        self.reference = (
            "Patel et al., Splitwise: Efficient generative LLM inference using phase splitting, ISCA 2024; "
            "https://github.com/Azure/AzurePublicDataset"
        )
        self._events = events
        self._chunk_rows = chunk_rows

    def read(self, tally: Tally) -> Iterator[pa.Table]:
        """Event batches; errors as in ``files.Files.read``."""
        return read(
            expand(self._events), lambda path: Layout(lone_user=service(path)), self._chunk_rows, tally
        )

    def incidents(self) -> pd.DataFrame | None:
        """None: nothing is labelled."""
        return None


def service(path: str) -> str:
    """The service a trace is of: what stands between the first two underscores of its name, else all of it.

    >>> service("traces/AzureLLMInferenceTrace_code.csv.gz")
    'code'
    """
    words = os.path.basename(path).split(".")[0].split("_")
    return words[1] if len(words) > 1 else words[0]
