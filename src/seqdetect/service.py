"""The whole service as one sequence: everybody's events under one name, and the incidents that are everybody's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.events import SCHEMA

if TYPE_CHECKING:
    import pandas as pd

SERVICE: Final = "service"
"""The one user that every event is counted as, and the key of a bundle for it."""
LEAST_SHARE: Final = 0.5
"""Share of the users present in an incident's time that it must hit to be the service's."""
LEAST_USERS: Final = 3
"""What fewer users share is theirs, even at an hour when nobody else is there."""


def as_service(table: pa.Table, incidents: pd.DataFrame | None) -> tuple[pa.Table, pd.DataFrame | None]:
    """All events as those of one user, ``SERVICE``, and of the incidents the service-wide ones, one row each."""
    return as_one(table), None if incidents is None else service_wide(table, incidents)


def as_one(table: pa.Table) -> pa.Table:
    """``table`` with ``SERVICE`` as the user of every event."""
    place = table.column_names.index("user_id")
    nobody = pa.array(np.zeros(table.num_rows, np.int32))
    return table.set_column(place, SCHEMA.field("user_id"), pa.DictionaryArray.from_arrays(nobody, [SERVICE]))


def service_wide(table: pa.Table, incidents: pd.DataFrame) -> pd.DataFrame:
    """One row per incident that hits most of the users present: from its first user's start to its last one's end.

    ``table`` holds the users' events in time order. Incidents that name ``SERVICE`` as their user are the
    service's, whoever was there; all others are dropped: what one user does is not the service's fault.
    """
    if incidents.empty:
        return incidents
    others = {name: "first" for name in incidents.columns if name not in ("incident_id", "start", "end")}
    groups = incidents.groupby("incident_id", sort=False)
    rows = groups.agg({"start": "min", "end": "max", **others})
    hit = groups["user_id"].nunique().to_numpy()
    present = _present(table, rows["start"].to_numpy(np.int64), rows["end"].to_numpy(np.int64))
    wide = (hit >= LEAST_USERS) & (hit >= LEAST_SHARE * present)
    named = (rows["user_id"] == SERVICE).to_numpy()
    kept = rows[wide | named].assign(user_id=SERVICE).reset_index()
    return kept[list(incidents.columns)].sort_values(["start", "incident_id"]).reset_index(drop=True)


def _present(table: pa.Table, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How many users sent something in each of the stretches [start, end) (microseconds)."""
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    names = table.column("user_id").cast(pa.string())
    user = pc.index_in(names, pc.unique(names)).to_numpy()
    first, stop = np.searchsorted(times, start), np.searchsorted(times, end)
    return np.array([len(np.unique(user[a:b])) for a, b in zip(first, stop, strict=True)])
