"""Is a campaign told from an attack when both make many users surge at once?

    .venv/bin/python experiments/triage/run.py --bundle out/demo/bundle.onnx [--seeds N] [--out FILE]

Per seed and traffic: a day without attacks, into whose second half one incident of each kind in turn is injected. It
goes through the scorer from an empty state; the first half is the same for all kinds and is scored once. A row is one population alert that
opened during the incident, or one of the traffic's own, or an incident without any.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from seqdetect.alert.alert import EVERYBODY
from seqdetect.attack import Attack, Strength
from seqdetect.attack.benign_campaign import BenignCampaign
from seqdetect.attack.botnet import Botnet
from seqdetect.attack.credential_sharing import CredentialSharing
from seqdetect.attack.degradation import Degradation
from seqdetect.attack.inflation import Inflation
from seqdetect.attack.inject import Injector
from seqdetect.bundle.load import Bundle, load
from seqdetect.events import MICROSECONDS, Tally, concat
from seqdetect.scorer import Model, Scorer
from seqdetect.source import Source
from seqdetect.source.servegen import ServeGen
from seqdetect.source.synthetic import Synthetic

HERE: Final = Path(__file__).resolve().parent
SERVEGEN: Final = HERE.parents[2] / "shared" / "data" / "servegen"
DAYS: Final = 1.0
HOUR_US: Final = 3600 * MICROSECONDS
END_OF_TIME: Final = 2**62
STRENGTHS: Final[tuple[Strength, Strength]] = ("blatant", "strong")
LATER_US: Final = 300 * MICROSECONDS
ONCE: Final = ("degradation", "inflation", "credential_sharing", "none")
"""Neither campaign nor botnet: looked at in one traffic."""
REQUIRED: Final = ["timestamp", "user_id", "prompt_tokens", "completion_tokens"]
FIELDS: Final = (
    "traffic",
    "seed",
    "injected",
    "strength",
    "hit",
    "opened_after_s",
    "users",
    "verdict_open",
    "verdict_last",
    "kind_open",
    "kind_last",
    "changes_of_verdict",
    "evidence",
)


def attacks(users: int) -> dict[str, Attack | None]:
    """One incident each; a botnet must hold a tenth of the users to be a population alert at all, and a campaign be
    felt."""
    bots = max(6, users // 8)
    return {
        "benign_campaign": BenignCampaign(factors=(12.0, 8.0, 5.0, 3.0), share=(0.4, 0.7), hours=(1.5, 3.0)),
        "botnet": Botnet(users=(bots, 2 * bots), hours=(0.5, 1.0)),
        "degradation": Degradation(),
        "inflation": Inflation(),
        "credential_sharing": CredentialSharing(),
        "none": None,
    }


def sources(seed: int) -> dict[str, tuple[Source, int, bool]]:
    """Traffic by name: its source, about how many users it has, and whether it keeps its optional columns."""
    found: dict[str, tuple[Source, int, bool]] = {
        "synthetic, 60 users": (Synthetic(users=60, days=DAYS, seed=1000 + seed), 60, True),
        "synthetic, 200 users": (Synthetic(users=200, days=DAYS, seed=2000 + seed), 200, True),
        "synthetic, 60 users, required columns": (
            Synthetic(users=60, days=DAYS, seed=1000 + seed),
            60,
            False,
        ),
    }
    if SERVEGEN.is_dir():
        day = 6 + seed % 4
        servegen = ServeGen(
            str(SERVEGEN), 60, start_day=day, days=DAYS, max_rate=0.03, steady=False, seed=seed
        )
        found["ServeGen, 60 clients"] = servegen, 60, True
    return found


def incident(
    table: pa.Table, half_us: int, attack: Attack | None, strength: Strength, rng: np.random.Generator
) -> tuple[pa.Table, pd.DataFrame | None]:
    """``table`` with one incident of ``attack`` in its second half, and its label rows."""
    if attack is None:
        return table, None
    injector = Injector({attack.kind: attack}, clean=0.3, strengths=(strength,), seldom=())
    return injector.inject(
        table, half_us, table.column("timestamp").cast(pa.int64())[-1].as_py(), rng, count=1
    )


class Warm:
    """A scorer that has seen the first half of ``table``, to go on from with different second halves."""

    def __init__(self, bundle: Bundle, warning: float, table: pa.Table, folder: Path) -> None:
        self.models = [Model("m", bundle, thresholds={"warning": warning})]
        self.path = folder / "half.ckpt"
        times = table.column("timestamp").cast(pa.int64()).to_numpy()
        self.half_us = int(times[0] + times[-1]) // 2
        scorer = Scorer(self.models, Tally())
        for part in _hours(table, 0, self.half_us):
            scorer.push(part)
        scorer.save(self.path)

    def changes(self, table: pa.Table, end_us: int) -> Iterator[dict[str, Any]]:
        """All changes of alerts from then on until ``end_us`` (microseconds)."""
        scorer = Scorer(self.models, Tally())
        scorer.load(self.path)
        for part in _hours(table, self.half_us, end_us):
            yield from scorer.push(part)
        yield from scorer.flush()


def _hours(table: pa.Table, start_us: int, end_us: int) -> Iterator[pa.Table]:
    times = table.column("timestamp").cast(pa.int64()).to_numpy()
    first, last = np.searchsorted(times, [start_us, end_us]).tolist()
    hours = times[first:last] // HOUR_US
    for a, b in pairwise([first, *(first + 1 + np.flatnonzero(np.diff(hours))).tolist(), last]):
        yield table.slice(a, b - a)


def alerts(found: Iterator[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The lives of population alerts."""
    lives: dict[str, list[dict[str, Any]]] = {}
    for change in found:
        if change["user_id"] == EVERYBODY and change["kind"] != "overflow":
            lives.setdefault(change["alert_id"], []).append(change)
    return list(lives.values())


def rows(bundle: Bundle, seed: int, warning: float, folder: Path) -> Iterator[dict[str, Any]]:
    """What became of each incident of one seed."""
    strength: Strength = STRENGTHS[seed % 2]
    for traffic, (source, users, whole) in sources(seed).items():
        events = concat(source.read(Tally()))
        events = events if whole else events.select(REQUIRED)
        warm = Warm(bundle, warning, events, folder)
        for kind, attack in attacks(users).items():
            if kind in ONCE and (users != 60 or not whole):
                continue
            table, labels = incident(
                events, warm.half_us, attack, strength, np.random.default_rng([seed, users])
            )
            span = None if labels is None else (int(labels["start"].min()), int(labels["end"].max()))
            until = END_OF_TIME if span is None else span[1] + HOUR_US
            head = {
                "traffic": traffic,
                "seed": seed,
                "injected": kind,
                "strength": "" if attack is None else strength,
                "hit": 0 if labels is None else labels["user_id"].nunique(),
            }
            lives = alerts(warm.changes(table, until))
            # what began apart from the incident is the traffic's own: it is counted in the runs without one
            told = [_told(life, span) for life in lives if span is None or _caused(life, span)]
            if span is not None and not told:
                yield head
            yield from (head | one for one in told)


def _caused(life: list[dict[str, Any]], span: tuple[int, int]) -> bool:
    """Whether the alert opened while the incident went on, or just after."""
    return span[0] < _us(life[0]["at"]) <= span[1] + LATER_US


def _told(life: list[dict[str, Any]], span: tuple[int, int] | None) -> dict[str, Any]:
    verdicts = [change["triage"]["verdict"] for change in life]
    evidence = {
        one["name"]: [one["value"], one["usual"], one["points_to"]] for one in life[-1]["triage"]["evidence"]
    }
    return {
        "opened_after_s": "" if span is None else round((_us(life[0]["at"]) - span[0]) / MICROSECONDS),
        "users": life[-1]["users"],
        "verdict_open": verdicts[0],
        "verdict_last": verdicts[-1],
        "kind_open": life[0]["kind"],
        "kind_last": life[-1]["kind"],
        "changes_of_verdict": sum(a != b for a, b in pairwise(verdicts)),
        "evidence": evidence,
    }


def _us(text: str) -> int:
    return int(np.datetime64(text.rstrip("Z"), "us").astype(np.int64))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--warning", type=float, required=True, help="threshold: the lower, the more surges")
    parser.add_argument("--out", type=Path, default=HERE / "results.csv")
    arguments = parser.parse_args()
    bundle = load(arguments.bundle)
    with open(arguments.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                for row in rows(bundle, seed, arguments.warning, Path(folder)):
                    writer.writerow(row)
                    file.flush()


if __name__ == "__main__":
    main()
