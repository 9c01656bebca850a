"""What is true of everybody: added up over all groups once a tick is complete, and read by the ticks after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as fn

from seqdetect.sequence.population import NAMES, WINDOW_TICKS, Population
from seqdetect_spark.featuring import COUNT, STEP

log = logging.getLogger(__name__)
SUMS = "counts binary, steps long, duplicates long"
TABLE = "number long, counts array<long>, vector array<float>"
SCORABLE = "batch long, group string, users string, steps binary"
"""Steps with their population vectors; ``batch`` is that of the query that made them."""


@dataclass(frozen=True)
class Vectors:
    """The population vectors of some ticks. Spark calls it on steps to write each tick's vector beside its steps."""

    ticks: np.ndarray
    """[T] ends of the ticks, microseconds, ascending."""
    vectors: np.ndarray
    """[T, P]"""
    batch: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            packs = rows.column("steps").to_pylist()
            steps = np.frombuffer(b"".join(packs), STEP).copy()
            steps["population"] = self.vectors[np.searchsorted(self.ticks, steps["tick"])]
            begin = np.cumsum([0, *map(len, packs)]) // STEP.itemsize
            parts = [steps[a:b].tobytes() for a, b in pairwise(begin)]
            number = pa.array(np.full(len(packs), self.batch, np.int64))
            columns = [number, rows.column("group"), rows.column("users"), pa.array(parts, pa.binary())]
            yield pa.RecordBatch.from_arrays(columns, ["batch", "group", "users", "steps"])


class Lagged:
    """Gives each micro batch of steps its population vectors: a function for ``foreachBatch``.

    Micro batches hold whole ticks, so their histograms are added up, go into ``Population`` in the order of time, and
    become the table ``FOLDER/population``. Steps go to ``FOLDER/steps``, one folder per micro batch, which appears
    when it is whole. A micro batch that comes again after a crash finds what it wrote, or writes the same.
    """

    def __init__(self, folder: str, tick_us: int) -> None:
        self.folder = folder.rstrip("/")
        self.tick_us = tick_us
        self.population = Population()
        self.batch: int | None = None

    def __call__(self, steps: DataFrame, batch: int) -> None:
        spark = steps.sparkSession
        target = f"{self.folder}/steps/{batch:012d}"
        if exists(spark, target):  # Spark's state still has to be brought up to this micro batch.
            steps.write.format("noop").mode("overwrite").save()
            return
        if self.batch != batch - 1:
            self.population = recalled(spark, f"{self.folder}/population", batch)
        steps.persist()
        try:
            numbers, counts, told = _added(steps)
            if len(numbers):
                vectors = self._write_population(spark, numbers, counts, batch)
                attach = Vectors((numbers + 1) * self.tick_us, vectors, batch)
                aside = f"{self.folder}/_aside/{batch:012d}"
                scorable = steps.where("users != '[]'").mapInArrow(attach, SCORABLE)
                scorable.write.mode("overwrite").parquet(aside)
                move(spark, aside, target)
        finally:
            steps.unpersist()
        self.batch = batch
        log.info("batch %d: %d ticks, %d steps, %d duplicates", batch, len(numbers), *told)

    def _write_population(
        self, spark: SparkSession, numbers: np.ndarray, counts: np.ndarray, batch: int
    ) -> np.ndarray:
        """The vectors [T, P] of the ticks ``numbers``, which enter the population and its table."""
        vectors = np.zeros((len(numbers), len(NAMES)), np.float32)
        for place, number in enumerate(numbers.tolist()):
            vectors[place] = self.population.before(number)
            self.population.add(number, counts[place])
        rows = list(zip(numbers.tolist(), counts.tolist(), vectors.tolist(), strict=True))
        table = spark.createDataFrame(rows, TABLE).coalesce(1)
        table.write.mode("overwrite").parquet(f"{self.folder}/population/batch={batch}")
        return vectors


def recalled(spark: SparkSession, table: str, batch: int) -> Population:
    """The population as it was before micro batch ``batch``."""
    population = Population()
    if not exists(spark, table):
        return population
    rows = spark.read.schema(f"{TABLE}, batch long").parquet(table).where(fn.col("batch") < batch)
    last = rows.orderBy(fn.desc("number")).limit(WINDOW_TICKS).select("number", "counts").collect()
    for row in reversed(last):
        population.add(row["number"], np.array(row["counts"], np.int64))
    return population


def _added(steps: DataFrame) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Numbers [T] and histograms [T, WIDTH] of the ticks; how many steps and duplicates there were."""
    parts = steps.select("counts", "steps", "duplicates").mapInArrow(_partly(), SUMS).collect()
    numbers, counts = _sum([bytes(part["counts"]) for part in parts])
    return numbers, counts, (sum(part["steps"] for part in parts), sum(part["duplicates"] for part in parts))


def _partly() -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def summed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in batches:
            numbers, counts = _sum(rows.column("counts").to_pylist())
            out = np.zeros(len(numbers), COUNT)
            out["number"], out["counts"] = numbers, counts
            steps = sum(len(pack) // STEP.itemsize for pack in rows.column("steps").to_pylist())
            told = [[out.tobytes()], [steps], [sum(rows.column("duplicates").to_pylist())]]
            types = (pa.binary(), pa.int64(), pa.int64())
            columns = [pa.array(values, kind) for values, kind in zip(told, types, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, ["counts", "steps", "duplicates"])

    return summed


def _sum(packs: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    records = np.frombuffer(b"".join(packs), COUNT)
    numbers, place = np.unique(records["number"], return_inverse=True)
    counts = np.zeros((len(numbers), *records["counts"].shape[1:]), np.int64)
    np.add.at(counts, place, records["counts"])
    return numbers, counts


def exists(spark: SparkSession, path: str) -> bool:
    """Whether there is something at ``path``, on whatever file system it names."""
    there, files = _files(spark, path)
    return bool(files.exists(there))


def make(spark: SparkSession, folder: str) -> None:
    """Make ``folder``, unless it is there."""
    there, files = _files(spark, folder)
    files.mkdirs(there)


def move(spark: SparkSession, path: str, target: str) -> None:
    """Rename a folder, making the folder above its new place."""
    source, files = _files(spark, path)
    there, _ = _files(spark, target)
    make(spark, str(there.getParent()))
    if not files.rename(source, there):
        raise OSError(f"{path} cannot be moved to {target}")


def _files(spark: SparkSession, path: str):  # type: ignore[no-untyped-def]
    there = spark._jvm.org.apache.hadoop.fs.Path(path)
    return there, there.getFileSystem(spark._jsc.hadoopConfiguration())
