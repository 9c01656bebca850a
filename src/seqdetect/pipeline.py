"""What ``python train.py`` does: build the objects that the configuration names, run them, keep what comes out."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from seqdetect import benchmark, experiment, rundir, tracking
from seqdetect.attack.inject import Injector
from seqdetect.bundle.load import load
from seqdetect.events import Tally, chunks
from seqdetect.feedback.labels import with_verdicts
from seqdetect.feedback.promotion import challenge
from seqdetect.feedback.store import existing
from seqdetect.metrics.confusion import Guesses, confusions
from seqdetect.prepare import Data, prepare
from seqdetect.report import figure
from seqdetect.score.engine import Scored
from seqdetect.score.writer import SCHEMA, table
from seqdetect.scorer import Model, Scorer, score_stream
from seqdetect.sequence.split import measured
from seqdetect.sink.jsonl import JsonlSink

log = logging.getLogger(__name__)
_prepared: dict[str, Data] = {}
"""The last data set: the jobs of a sweep that share a seed share it too."""


def main(config: DictConfig) -> None:
    """One job. What is wrong with the input or a setting ends as one line on stderr and exit status 2."""
    try:
        run_job(config)
    except (ValueError, OSError, InstantiationException, MissingMandatoryValue) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        mistake = isinstance(cause, ValueError | OSError | MissingMandatoryValue)
        if not mistake or os.environ.get("HYDRA_FULL_ERROR"):
            raise
        print(f"train.py: {(str(cause) or repr(cause)).splitlines()[0]}", file=sys.stderr)
        sys.exit(2)


def run_job(config: DictConfig) -> None:
    """Train, calibrate, export, stream, measure, report."""
    quiet()
    out = Path(os.path.relpath(HydraConfig.get().runtime.output_dir))
    name = str(HydraConfig.get().runtime.choices["detector"])
    tracker = hydra.utils.instantiate(config.tracking)
    data = data_of(config)
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    source = str(HydraConfig.get().runtime.choices["source"])
    if config.feedback and HydraConfig.get().mode != RunMode.RUN:
        raise ValueError("feedback= brings one challenger before the champion: give one detector, and no -m")
    with tracker.run(
        f"{name}-seed{config.seed}", {str(k): v for k, v in settings.items()}, {"source": source}
    ) as run:
        metrics = run_once(name, config, data, out, run)
        (out / rundir.CONFIG).write_text(OmegaConf.to_yaml(config, resolve=True))
        rundir.write_report(out / rundir.REPORT, [metrics], name, metrics["provenance"], out)
        figure.write(out / rundir.PLOTS, metrics)
        keep(tracker, out, metrics)
        if config.feedback:
            injector = hydra.utils.instantiate(config.exposure, _convert_="all").injector
            print(f"\n{challenge(tracker, out, data, injector, int(config.seed))}")
    rundir.print_summary(metrics, data.tally)
    if HydraConfig.get().mode == RunMode.RUN:  # a sweep says it once, at its end
        rundir.print_next(out)


def data_of(config: DictConfig) -> Data:
    """The data set that the configuration describes; computed once for jobs that agree on it."""
    name = _key(config)
    if name not in _prepared:
        _prepared.clear()
        _prepared[name] = prepare(
            hydra.utils.instantiate(config.source),
            hydra.utils.instantiate(config.split),
            config.tick_s,
            injector_of(config.attack),
            config.seed,
            config.key,
        )
        if config.feedback:
            verdicts = existing(config.feedback).all()
            _prepared[name] = with_verdicts(_prepared[name], verdicts)
    return _prepared[name]


def injector_of(config: DictConfig) -> Injector | None:
    """The configured injector; one attack alone (``attack=flood``) is injected by one with the usual settings."""
    made = hydra.utils.instantiate(config, _convert_="all")
    injector = made if isinstance(made, Injector) else Injector({made.kind: made})
    return injector if injector.attacks else None


def _key(config: DictConfig) -> str:
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    return json.dumps(
        [resolved[key] for key in ("source", "attack", "split", "tick_s", "seed", "key", "feedback")],
        default=str,
    )


def run_once(name: str, config: DictConfig, data: Data, out: Path, run_id: str) -> dict[str, Any]:
    """Fit one detector on ``data`` and write its folder; returns the content of ``metrics.json``."""
    out.mkdir(parents=True, exist_ok=True)
    budgets = {str(tier): float(budget) for tier, budget in config.budgets.items()}
    detector = hydra.utils.instantiate(config.detector, _convert_="all")
    exposure = hydra.utils.instantiate(config.exposure, _convert_="all")
    trained = experiment.fit(name, detector, data, int(config.seed), budgets, exposure)
    origin = tracking.provenance(data.fingerprint, int(config.seed)) | {"run_id": run_id}
    guesses = None
    if detector.research_only is None:
        experiment.write_bundle(trained, data, out / rundir.BUNDLE, float(config.lateness_s), origin)
        scores, guesses, speed = stream(data, out)
        trained.timing.update(speed)
    else:
        scores = experiment.frame(data, trained.tail(trained.raw))
    log.info("%s: measuring", name)
    metrics = experiment.measure(trained, data, scores, budgets, int(config.seed)) | {"provenance": origin}
    if guesses is not None and data.incidents is not None:
        thresholds = {tier: one.value for tier, one in trained.thresholds.items()}
        span = measured(data.spans.test)
        metrics["test"]["confusion"] = confusions(scores, data.incidents, span, thresholds, guesses)
    (out / rundir.METRICS).write_text(json.dumps(metrics, indent=1))
    rundir.write_context(out, data)
    return metrics


def stream(data: Data, out: Path) -> tuple[pd.DataFrame, Guesses, dict[str, float]]:
    """Stream all events through the exported bundle, with empty state at first, as a deployment would.

    Writes the scores of calibration and test, the alerts of the test span and the checkpoint at the end. Gives
    the scores of all steps, what those at warning or above were taken for, and the speed.
    """
    bundle = load(out / rundir.BUNDLE)
    parts: list[pa.Table] = []
    kinds: dict[tuple[str, int], str] = {}
    started = time.monotonic()
    sink = JsonlSink(out / rundir.ALERTS)

    def keep_part(name: str, scored: Scored) -> None:
        parts.append(table(scored))
        kinds.update(
            ((scored.names[scored.user[row]], int(scored.tick[row])), kind)
            for row, kind in scored.kind.items()
        )

    log.info("streaming %d events through the bundle", data.events.num_rows)
    scorer = Scorer([Model(bundle.metadata.detector, bundle)], Tally(), write=keep_part)
    score_stream(scorer, chunks(data.events), [sink], _Progress(data.events.num_rows))
    sink.close()
    seconds = time.monotonic() - started
    scorer.save(out / rundir.CHECKPOINT)
    scores = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    write_scores(scores, data, out)
    frame = scores.select(["user_id", "score"]).to_pandas()
    frame["timestamp"] = scores.column("timestamp").cast(pa.int64()).to_numpy()
    speed = {
        "score_s": seconds,
        "events_per_s": data.events.num_rows / seconds,
        "steps_per_s": scores.num_rows / seconds,
    }
    return frame, Guesses(bundle.metadata.kinds, kinds), speed


def write_scores(scores: pa.Table, data: Data, out: Path) -> None:
    """``scores.parquet``: calibration and test steps with their split."""
    tick = scores.column("timestamp").cast(pa.int64())
    scores = scores.append_column(
        "split", pc.if_else(pc.greater(tick, data.spans.calibration_end), "test", "calibration")
    )
    pyarrow.parquet.write_table(scores.filter(pc.greater(tick, data.spans.train_end)), out / rundir.SCORES)


def keep(tracker: tracking.Tracker, out: Path, metrics: Mapping[str, Any]) -> None:
    """Log measures, files and bundle of a finished job under its open MLflow run."""
    tracker.metrics(rundir.headline(metrics), metrics["history"])
    for name in (rundir.METRICS, rundir.CONFIG, rundir.REPORT, rundir.ALERTS):
        if (out / name).exists():
            tracker.artifact(out / name)
    for plot in sorted((out / rundir.PLOTS).glob("*.png")):
        tracker.artifact(plot)
    if (out / rundir.BUNDLE).exists():
        uri = tracker.bundle(out / rundir.BUNDLE)
        (out / rundir.MODEL_URI).write_text(uri)
    tracker.tags(
        {"git_revision": metrics["provenance"]["git_revision"], "data_hash": metrics["data"]["hash"]}
    )


class Sweep(Callback):
    """Puts the runs of a sweep under one parent, and closes it with a leaderboard and a champion."""

    def __init__(self) -> None:
        self.parent: str | None = None
        self.folders: list[Path] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Open the parent run."""
        quiet()
        tracker = hydra.utils.instantiate(config.tracking)
        with tracker.run(f"sweep {Path(config.hydra.sweep.dir).name}", {}, {"kind": "sweep"}) as run:
            self.parent = run
        os.environ[tracking.PARENT] = run

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Remember where the job left its files: the folder may hold those of an earlier sweep, too."""
        self.folders.append(Path(config.hydra.runtime.output_dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Compare the jobs on the calibration span, crown the winner, write the common report."""
        os.environ.pop(tracking.PARENT, None)
        out = Path(config.hydra.sweep.dir)
        runs = benchmark.find(self.folders)
        if not runs or self.parent is None:
            return
        table = benchmark.leaderboard([run.metrics for run in runs])
        table.to_csv(out / "results.csv", index=False)
        champion = benchmark.champion(runs)
        tracker = hydra.utils.instantiate(config.tracking)
        tracker.start()
        if champion is not None:
            rundir.copy_deliverables(champion.folder, out)
            version = tracker.crown((champion.folder / rundir.MODEL_URI).read_text())
            log.info(
                "champion: %s, version %d of the registered model", champion.metrics["detector"], version
            )
        metrics = [run.metrics for run in runs]
        name = None if champion is None else str(champion.metrics["detector"])
        shown = champion or runs[0]
        rundir.write_report(out / rundir.REPORT, metrics, name, shown.metrics["provenance"], shown.folder)
        with tracker.resumed(self.parent):
            tracker.artifact(out / "results.csv")
            tracker.artifact(out / rundir.REPORT)
        benchmark.print_leaderboard(table, name)
        rundir.print_next(out)


class _Progress:
    """Says every ten seconds how far a stream has come."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.said = time.monotonic()

    def __call__(self, taken: int) -> None:
        if time.monotonic() - self.said > 10:
            self.said = time.monotonic()
            log.info("%d of %d events", taken, self.total)


def quiet() -> None:
    """Leave the terminal to our own progress lines."""
    for name in ("lightning.pytorch", "mlflow", "alembic", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|mlflow|pyod|torch|sklearn)(\..*)?")
