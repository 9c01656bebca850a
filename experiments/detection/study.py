"""What each part of learned_evidence brings, and how kinds are found that nobody labelled.

    python experiments/detection/study.py parts 50 51       writes parts.csv: the head without one part at a time
    python experiments/detection/study.py kinds 200         writes kinds_left_out.csv: each kind left out of the labels

The evidence and the examples are made once per seed; only heads are trained again. Thresholds are the best ones within
the budget on test, as everywhere where rankings are compared. Run in the repository's root.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from numpy.typing import NDArray

from seqdetect.bundle.load import session
from seqdetect.calibration.tail import fit_tail
from seqdetect.detector import Detector, Examples, Rows
from seqdetect.detector.block.evidence import COLUMNS, WIDTH
from seqdetect.detector.block.normal import Prior
from seqdetect.detector.compose import rows_graph, values_graph
from seqdetect.detector.incident_head import IncidentHead, Squash
from seqdetect.experiment import frame
from seqdetect.incidents import ATTACK_KINDS
from seqdetect.metrics.episodes import EpisodeCurve
from seqdetect.metrics.grid import make_grid
from seqdetect.metrics.minutes import pooled_auc_pr
from seqdetect.metrics.recall import attack_peaks, macro_recall, recall_table
from seqdetect.metrics.ticks import Ticks
from seqdetect.pipeline import data_of, quiet
from seqdetect.prepare import Data
from seqdetect.score.replay import replay
from seqdetect.score.stepper import Stepper
from seqdetect.sequence.split import measured

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
BUDGETS = {"week": 1.0, "day": 7.0}
SERVICE_WIDE = ("degradation", "inflation")
LEFT_OUT = {
    "lengths": r"^(prompt|completion)_(mean|dispersion)",
    "gaps and repeats": r"^(gap|repeats)",
    "beside everybody": r"^everybody",
    "hours of the day": r"^hour|^usual_hour",
    "long-run rate": r"usual_rate|known_for",
    "own upper level": r"above_upper",
    "sums against chance": r"_sum$",
}
"""Parts of the evidence by the names of their columns."""


@dataclass(frozen=True)
class Material:
    """All that does not change between variants of one seed."""

    data: Data
    rows: NDArray[np.float32]
    examples: Examples
    squash: Squash
    floor: NDArray[np.float64]
    seed: int


def prepared(seed: int) -> Material:
    """The benchmark's data of a seed, the evidence of every step, the floor's scores, and the examples."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", ["experiment=detection", "detector=learned_evidence", f"seed={seed}"])
    data = data_of(config)
    detector: Any = instantiate(config.detector, _convert_="all")
    training = data.history.until(data.spans.train_end)
    usable = data.usable[: len(training.steps)]
    values = _replayed(values_graph(), data, len(training.steps), "values")
    prior = Prior.of(values[usable], training.steps.user[usable])
    rows = _rows(detector, prior, data)
    steps = data.history.steps
    past = slice(0, len(usable))
    detector.fit(Rows(rows[past], steps.user[past], steps.tick[past], usable), seed)
    floor = detector.floor.reference(Rows(rows[:, WIDTH:], steps.user, steps.tick, data.calibrating))
    exposure = instantiate(config.exposure, _convert_="all")
    examples = exposure.examples(data, lambda some: _rows(detector, prior, some), seed)
    examples = replace(examples, values=examples.values[:, :WIDTH])
    return Material(data, rows[:, :WIDTH], examples, detector.squash, floor, seed)


def _rows(detector: Detector, prior: Prior, data: Data) -> NDArray[np.float32]:
    return _replayed(rows_graph(detector, prior), data, len(data.history.steps), "rows")


def _replayed(made: Any, data: Data, count: int, output: str) -> NDArray[np.float32]:
    model, graph = made
    stepper = Stepper(session(model.SerializeToString()), graph.initial_row)
    until = data.spans.train_end if count < len(data.history.steps) else data.spans.end
    return replay(data.history.until(until), stepper, data.features[:count], output)


def logits(material: Material, examples: Examples, columns: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[n] of a head that learned ``examples``, seeing ``columns`` alone."""
    return _head(material, examples, columns).logits(material.rows[:, columns])


def learned(material: Material, examples: Examples, columns: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[n] the same as tail probabilities (minus logarithms).

    The tail is from clean calibration steps of half of the users, by a head that learned from the other half.
    """
    unseen = material.data.calibrating & (material.data.history.steps.user % 2 == 1)
    half = _head(material, examples.take(examples.user % 2 == 0), columns)
    tail = fit_tail(half.logits(material.rows[unseen][:, columns]))
    return tail(logits(material, examples, columns))


def _head(material: Material, examples: Examples, columns: NDArray[np.bool_]) -> IncidentHead:
    squash = Squash(material.squash.centre[columns], material.squash.scale[columns])
    head = IncidentHead()
    head.fit(replace(examples, values=examples.values[:, columns]), squash, material.seed)
    return head


def with_floor(material: Material, head: NDArray[np.float64]) -> NDArray[np.float64]:
    """[n] the larger of the head's and the floor's tail probability."""
    tail = fit_tail(material.floor[material.data.calibrating])
    return np.maximum(tail(material.floor), head)


def measures(material: Material, score: NDArray[np.float64]) -> dict[str, Any]:
    """Recall at both budgets, macro and per kind, and AUC-PR, on the test span."""
    data = material.data
    span = measured(data.spans.test)
    scores = frame(data, score)
    grid = make_grid(scores, data.incidents, span)
    curve = EpisodeCurve.of(grid)
    known = data.incidents
    assert known is not None
    inside = scores[(scores["timestamp"] >= span[0]) & (scores["timestamp"] < span[1])]
    rows = known[(known["start"] >= span[0]) & (known["start"] < span[1])]
    peaks = attack_peaks(Ticks.of(inside, grid.users), rows)
    own = attack_peaks(Ticks.of(inside, grid.users), rows[~rows["kind"].isin(SERVICE_WIDE)])
    area = pooled_auc_pr(grid, np.random.default_rng(0))
    out: dict[str, Any] = {"auc_pr": None if area is None else area["value"]}
    for name, budget in BUDGETS.items():
        threshold = curve.best_threshold(budget)
        out[f"recall_{name}"] = macro_recall(peaks, threshold)
        out[f"recall_{name}_own"] = macro_recall(own, threshold)
        out[f"kinds_{name}"] = {
            kind: cell["recall"] for kind, cell in recall_table(peaks, threshold)["kinds"].items()
        }
    return out


def parts(material: Material) -> Iterator[dict[str, Any]]:
    """One row per variant."""
    every = np.ones(WIDTH, bool)
    examples = material.examples

    def row(name: str, score: NDArray[np.float64]) -> dict[str, Any]:
        found = measures(material, score)
        return {"variant": name} | {key: value for key, value in found.items() if not key.startswith("kinds")}

    def alone(name: str, shown: Examples, columns: NDArray[np.bool_]) -> dict[str, Any]:
        return row(name, logits(material, shown, columns))

    head = learned(material, examples, every)
    yield row("head and floor", with_floor(material, head))
    yield row("floor alone", with_floor(material, np.zeros(len(head))))
    yield row("head alone", head)
    for name, pattern in LEFT_OUT.items():
        kept = np.array([re.search(pattern, column.name) is None for column in COLUMNS])
        yield alone(f"head alone, without {name}", examples, kept)
    short = np.array([column.scale_s <= 300 for column in COLUMNS])
    yield alone("head alone, up to 5 minutes", examples, short)
    rng = np.random.default_rng(material.seed)
    for share in (1 / 2, 1 / 8):
        kept_bags = ~examples.attack | (rng.random(len(examples.kind)) < share)
        yield alone(f"head alone, 1/{round(1 / share)} of the incidents", examples.take(kept_bags), every)
    yield alone("head alone, every step a bag of its own", _apart(examples, rng), every)


def _apart(examples: Examples, rng: np.random.Generator) -> Examples:
    """Every step labelled by itself, an eighth of them: what is usually done."""
    kept = np.flatnonzero(rng.random(len(examples.bag)) < 1 / 8)
    bag = examples.bag[kept]
    size = np.bincount(bag, minlength=len(examples.kind))
    weight = examples.weight[bag] / size[bag]
    return Examples(
        examples.values[kept], np.arange(len(kept)), examples.kind[bag], examples.user[bag], weight
    )


def kinds(material: Material) -> Iterator[dict[str, Any]]:
    """One row per kind: its recall where the head never saw it, and where it did."""
    every = np.ones(WIDTH, bool)
    whole = measures(material, with_floor(material, learned(material, material.examples, every)))
    floor = measures(material, with_floor(material, np.zeros(len(material.rows))))
    for kind in ATTACK_KINDS:
        rest = material.examples.take(material.examples.kind != kind)
        left_out = measures(material, with_floor(material, learned(material, rest, every)))
        row: dict[str, Any] = {"kind": kind}
        for budget in BUDGETS:
            for name, found in (("left_out", left_out), ("shown", whole), ("floor", floor)):
                row[f"{name}_{budget}"] = found[f"kinds_{budget}"].get(kind)
        yield row


def main(study: Callable[[Material], Iterator[dict[str, Any]]], path: Path, seeds: list[int]) -> None:
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        for row in study(prepared(seed)):
            rows.append({"seed": seed} | row)
            print(rows[-1], flush=True)
            pd.DataFrame(rows).round(4).to_csv(path, index=False)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    quiet()
    studies = {"parts": (parts, "parts.csv"), "kinds": (kinds, "kinds_left_out.csv")}
    chosen, file = studies[sys.argv[1]]
    main(chosen, HERE / file, [int(seed) for seed in sys.argv[2:]])
