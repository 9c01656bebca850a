"""The same checks on every source that ``seqdetect.source`` holds.

A new source needs one line in ``EXAMPLES``: how to build a small one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from seqdetect import events, incidents, source
from seqdetect.events import Tally
from seqdetect.source.merge import times

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "data" / "fixtures"
SHARED = ROOT / ".." / "shared" / "data"
DISORDER_US = 0
"""Nothing here is out of order: what generates events sorts them, and the fixtures are sorted."""

EXAMPLES: dict[str, dict[str, Any]] = {
    "files": {"events": str(FIXTURES / "requests.csv"), "incidents": str(FIXTURES / "incidents.csv")},
    "azure": {"events": str(SHARED / "azure" / "*.csv.gz")},
    "burstgpt": {"events": str(FIXTURES / "burstgpt.csv")},
    "synthetic": {"users": 3, "days": 2.0, "seed": 1},
    "servegen": {"path": str(SHARED / "servegen"), "clients": 3, "days": 1.0, "seed": 1},
}
NEEDS_SHARED = {"azure", "servegen"}
HEADERS = {
    "files": "timestamp,user_id,prompt_tokens,completion_tokens\n{time},u,{tokens},2\n",
    "azure": "TIMESTAMP,ContextTokens,GeneratedTokens\n{time},{tokens},2\n",
    "burstgpt": "Timestamp,Session ID,Request tokens,Response tokens\n{time},7,{tokens},2\n",
}
"""Of the sources that read rows somebody else wrote: a file with one row."""


def _is_source(value: object) -> bool:
    parts = ("read", "incidents")
    return (
        inspect.isclass(value) and value is not source.Source and all(hasattr(value, part) for part in parts)
    )


def _classes() -> list[tuple[str, Callable[..., source.Source]]]:
    modules = [
        importlib.import_module(f"{source.__name__}.{m.name}") for m in pkgutil.iter_modules(source.__path__)
    ]
    return [
        (module.__name__.rpartition(".")[2], value)
        for module in modules
        for value in vars(module).values()
        if _is_source(value) and value.__module__ == module.__name__
    ]


SOURCES = _classes()


def built(name: str, make: Callable[..., source.Source]) -> source.Source:
    if name in NEEDS_SHARED and not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    assert name in EXAMPLES, f"add an example of {name} to EXAMPLES"
    return make(**EXAMPLES[name])


def test_every_module_is_found() -> None:
    assert {"files", "azure", "burstgpt"} <= {name for name, _ in SOURCES}


@pytest.mark.parametrize(("name", "make"), SOURCES, ids=[name for name, _ in SOURCES])
def test_a_source_says_whose_data_it_is(name: str, make: Callable[..., source.Source]) -> None:
    made = built(name, make)
    assert made.licence.strip()
    assert made.reference.strip()


@pytest.mark.parametrize(("name", "make"), SOURCES, ids=[name for name, _ in SOURCES])
def test_a_source_gives_events_in_order(name: str, make: Callable[..., source.Source]) -> None:
    tally = Tally()
    batches = list(built(name, make).read(tally))
    assert batches
    for batch in batches:
        assert batch.schema.equals(events.conform(batch).schema)
    table = events.concat(batches)
    assert tally.read == table.num_rows + sum(tally.rejected.values())
    for column in ("prompt_tokens", "completion_tokens"):
        assert pa.compute.min(table.column(column)).as_py() >= 0
    users = np.array(table.column("user_id").to_pylist())
    assert (users != "").all()
    stamps = times(table)
    for user in np.unique(users):
        mine = stamps[users == user]
        assert (np.maximum.accumulate(mine) - mine).max() <= DISORDER_US


@pytest.mark.parametrize(("name", "make"), SOURCES, ids=[name for name, _ in SOURCES])
def test_a_source_labels_incidents_or_says_none(name: str, make: Callable[..., source.Source]) -> None:
    labelled = built(name, make).incidents()
    if labelled is not None:
        assert list(labelled.columns[: len(incidents.COLUMNS)]) == incidents.COLUMNS
        assert (labelled["end"] > labelled["start"]).all()


@pytest.mark.parametrize("name", HEADERS)
def test_bad_rows_are_counted(name: str, tmp_path: Path) -> None:
    make = dict(SOURCES)[name]
    path = tmp_path / "trace_code.csv"
    for time, tokens, reason in (("0", "-1", "negative_tokens"), ("then", "1", "bad_timestamp")):
        path.write_text(HEADERS[name].format(time=time, tokens=tokens))
        tally = Tally()
        assert list(make(events=str(path)).read(tally)) == []
        assert tally.rejected == {reason: 1}
        assert "trace_code.csv line 2 field" in tally.examples[0]
