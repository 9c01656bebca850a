"""Event columns from arrays: timestamps that count from an epoch, and text by number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS


def start(epoch: str) -> datetime:
    """``epoch`` (ISO-8601) in UTC, as which it counts without an offset. ``ValueError`` where no date."""
    try:
        moment = datetime.fromisoformat(epoch)
    except ValueError as error:
        raise ValueError(
            f"epoch must be an ISO-8601 time such as 2026-03-02T00:00:00Z; got {epoch!r}"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def timestamps(epoch: str, time_s: NDArray[np.float64]) -> pa.Array:
    """Times [request] ``time_s`` seconds after ``epoch``, in microseconds."""
    first = round(start(epoch).timestamp() * MICROSECONDS)
    microseconds = first + np.floor(time_s * MICROSECONDS).astype(np.int64)
    return pa.array(microseconds).cast(pa.timestamp("us", tz="UTC"))


def text(codes: NDArray[np.int64], names: Sequence[str]) -> pa.Array:
    """``names[codes]`` [request], stored once per name."""
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(names)))
