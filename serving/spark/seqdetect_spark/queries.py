"""The two queries: events to steps, steps to scores. Between them lies a table of steps with their population."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as fn
from pyspark.sql.streaming import DataStreamWriter, StreamingQuery

from seqdetect.bundle.load import load
from seqdetect.bundle.schema import Metadata
from seqdetect.service import SERVICE
from seqdetect_spark import featuring, packs, population, scoring

PACKAGE = Path(__file__).resolve().parent
ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
STATE_SERVER = "org.apache.spark.sql.execution.python.streaming.TransformWithStateInPySparkStateServer"
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    # transformWithState has no other store; its log of changes makes a commit cost what changed.
    "spark.sql.streaming.stateStore.providerClass": ROCKSDB,
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
}
Trigger = Mapping[str, Any]
"""Arguments of Spark's ``trigger``: ``{"availableNow": True}``, ``{"processingTime": "10 seconds"}``."""


@dataclass(frozen=True)
class Job:
    """One bundle on one stream of events; ``folder`` holds all that the job keeps, on any file system of Spark's.

    ``groups`` 0 keys Spark's state by user; more makes that many groups of users, each of them one row of state. An
    event more than ``ahead_s`` seconds ahead of the wall clock is dropped, for Spark's watermark would follow it.
    """

    folder: str
    bundle: str
    groups: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    thresholds: tuple[tuple[str, float], ...] = ()
    ahead_s: float = 3600.0
    meta: Metadata = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meta", load(self.bundle).metadata)
        if self.meta.key == SERVICE:
            raise ValueError(
                "a bundle for the whole service has one sequence, which no cluster can share: seqdetect serve"
            )

    @property
    def tick_us(self) -> int:
        return packs.tick_us(self.meta.tick_s)


def session(name: str, **settings: str) -> SparkSession:
    """A session with ``SETTINGS``; ``settings`` (two underscores for a dot) go before them."""
    # Spark's helpers beside the driver are started by the JVM, which takes its environment from here.
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    for key, value in (SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _quieten(spark)
    return spark


def _quieten(spark: SparkSession) -> None:
    """Spark warns of every key that has no state yet: one line per new user."""
    logging = spark._jvm.org.apache.logging.log4j
    logging.core.config.Configurator.setLevel(STATE_SERVER, logging.Level.ERROR)


def ship(spark: SparkSession, job: Job) -> None:
    """Give this package and the bundle to all workers."""
    into = str(Path(tempfile.mkdtemp()) / PACKAGE.name)
    archive = shutil.make_archive(into, "zip", PACKAGE.parent, PACKAGE.name)
    spark.sparkContext.addPyFile(archive)
    spark.sparkContext.addFile(job.bundle)


def json_lines(spark: SparkSession, folder: str, **options: str) -> DataFrame:
    """The lines of a folder's files, new ones as they come; ``options`` are those of Spark's file source."""
    lines = spark.readStream.options(**options).text(folder)
    return lines.select(fn.col("value").cast("binary"))


def kafka(spark: SparkSession, **options: str) -> DataFrame:
    """The messages of a topic, by ``seqdetect_spark.kafka``."""
    from seqdetect_spark.kafka import Kafka

    spark.dataSource.register(Kafka)
    return spark.readStream.format(Kafka.name()).options(**options).load()


def start_steps(job: Job, lines: DataFrame, trigger: Trigger) -> StreamingQuery:
    """Events to steps: the first query. ``lines`` has one binary column of JSON objects."""
    packer = packs.Packer(job.tick_us, job.meta.key, job.columns, job.groups)
    horizon = fn.current_timestamp() + fn.expr(f"make_dt_interval(0, 0, 0, {job.ahead_s})")
    packed = lines.mapInArrow(packer, packs.PACK).withColumn("far", fn.col("closes") > horizon)
    counted = packed.observe("events", *_counts())
    believed = counted.where("not far").select("group", "closes", "users", "requests")
    # A tick is complete when time has come past its end by the lateness; an event is late when its tick is complete.
    ticks = 1 + -(-packs.tick_us(job.meta.lateness_s) // job.tick_us)
    marked = believed.withWatermark("closes", f"{ticks * job.tick_us // 1000} milliseconds")
    steps = marked.groupBy("group").transformWithStateInPandas(
        featuring.Featuring(job.tick_us), featuring.STEPS, "Append", "EventTime"
    )
    writer = steps.writeStream.foreachBatch(population.Lagged(job.folder, job.tick_us))
    fixed = {
        "tick_us": job.tick_us,
        "key": job.meta.key,
        "groups": job.groups,
        "request": list(packs.REQUEST.names or ()),  # open events lie in the state as these records
    }
    return _started(lines.sparkSession, job, writer, "steps", trigger, fixed)


def start_scores(job: Job, spark: SparkSession, trigger: Trigger, **options: str) -> StreamingQuery:
    """Steps to scores: the second query. ``options`` are those of Spark's file source, such as ``cleanSource``."""
    table = f"{job.folder}/steps"
    population.make(spark, table)  # It may be that the first query has not written anything yet.
    reader = spark.readStream.schema(population.SCORABLE).options(recursiveFileLookup="true", **options)
    steps = reader.parquet(table)
    scored = steps.groupBy("group").transformWithStateInPandas(
        scoring.Scoring(Path(job.bundle).name, job.thresholds), scoring.SCORES, "Append", "None"
    )
    writer = scored.writeStream.format("parquet").option("path", f"{job.folder}/scores")
    fixed = {"state": job.meta.state.hash, "groups": job.groups}
    return _started(spark, job, writer, "scores", trigger, fixed)


def _counts() -> list[Column]:
    """What a micro batch's progress tells of it, under ``observedMetrics``."""
    far = fn.when(fn.col("far"), fn.length("requests") / packs.REQUEST.itemsize)
    return [
        fn.sum("read").alias("read"),
        fn.sum("rejected").alias("rejected"),
        fn.sum(far).cast("long").alias("far_future"),
        fn.max("example").alias("example"),
    ]


def _started(
    spark: SparkSession,
    job: Job,
    writer: DataStreamWriter,
    name: str,
    trigger: Trigger,
    fixed: dict[str, Any],
) -> StreamingQuery:
    """Start a query, unless its checkpoint was made with other settings than ``fixed``."""
    place = f"{job.folder}/checkpoint/{name}"
    _check(spark, f"{place}.json", fixed)
    return (
        writer.option("checkpointLocation", place)
        .queryName(f"seqdetect-{name}")
        .outputMode("append")
        .trigger(**trigger)
        .start()
    )


def _check(spark: SparkSession, path: str, fixed: dict[str, Any]) -> None:
    if not population.exists(spark, path):
        spark.createDataFrame([(json.dumps(fixed),)], "value string").coalesce(1).write.text(path)
        return
    kept = json.loads(spark.read.text(path).first()["value"])
    if kept != fixed:
        raise ValueError(
            f"the checkpoint beside {path} was made with {kept}, this job has {fixed}: start in a new folder"
        )
