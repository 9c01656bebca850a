"""The job against the single process: same scores over micro batches, over a restart and over Kafka.

All in one file, so that one worker starts one session.
"""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import spark_streams as streams

from broker import Broker, broker  # noqa: F401
from seqdetect.bundle.load import load
from seqdetect.events import Tally
from seqdetect.sequence.stream import Stream

if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 on the PATH", allow_module_level=True)
pytest.importorskip("pyspark", reason="Spark's tests need the extra [spark]")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "serving" / "spark"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas"),
]
ONCE = {"availableNow": True}
FILES = 3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return streams.bundle(tmp_path_factory.mktemp("bundle") / "spark.onnx")


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[Any]:
    """A local session on two cores, with the package and the bundle given to its workers."""
    from seqdetect_spark import queries

    started = queries.session(
        "tests",
        spark__master="local[2]",
        spark__ui__enabled="false",
        spark__sql__shuffle__partitions="2",
        spark__driver__memory="1g",
        # Short queries spend their time on compiling.
        spark__driver__extraJavaOptions="-XX:TieredStopAtLevel=1",
        spark__sql__codegen__wholeStage="false",
        spark__driver__bindAddress="127.0.0.1",
        spark__driver__host="127.0.0.1",
        spark__sql__warehouse__dir=str(tmp_path_factory.mktemp("warehouse")),
    )
    queries.ship(started, queries.Job("nowhere", str(bundle)))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def arrivals(events: pa.Table) -> pa.Table:
    """Six users for about eight hours, out of order, some events twice."""
    return streams.disordered(events.slice(0, 2_000))


@pytest.fixture(scope="module")
def parts(arrivals: pa.Table) -> list[pa.Table]:
    """``arrivals`` in ``FILES`` consecutive parts: one per micro batch."""
    edges = np.linspace(0, arrivals.num_rows, FILES + 1).astype(int).tolist()
    return [arrivals.slice(a, b - a) for a, b in itertools.pairwise(edges)]


def write(folder: Path, parts: list[pa.Table], first: int = 0) -> None:
    for number, part in enumerate(parts, start=first):
        streams.write(folder, f"{number}.jsonl", streams.lines(part), number)


def run(spark: Any, job: Any, folder: Path) -> list[Any]:
    """Both queries over what is new in ``folder``, a file at a time; the progress of the first."""
    from seqdetect_spark import queries

    steps = queries.start_steps(job, queries.json_lines(spark, str(folder), maxFilesPerTrigger="1"), ONCE)
    steps.awaitTermination()
    queries.start_scores(job, spark, ONCE).awaitTermination()
    return list(steps.recentProgress)


def job(folder: Path, bundle: Path, groups: int = 0) -> Any:
    from seqdetect_spark.queries import Job

    return Job(str(folder), str(bundle), groups)


@pytest.fixture(scope="module")
def by_user(
    spark: Any, bundle: Path, parts: list[pa.Table], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Any]]:
    """The folder of a job keyed by user that ran over all parts, and the first query's progress."""
    folder = tmp_path_factory.mktemp("by_user")
    write(folder / "in", parts)
    return folder, run(spark, job(folder / "job", bundle), folder / "in")


def test_same_scores_over_several_micro_batches(
    spark: Any, bundle: Path, arrivals: pa.Table, by_user: tuple[Path, list[Any]]
) -> None:
    folder, progress = by_user
    want = streams.alone(bundle, arrivals)
    assert sum(one.numInputRows > 0 for one in progress) == FILES
    assert want.tally.late == 0
    assert want.tally.rejected["duplicate"] > 100
    assert set(want.scores["level"]) == {"none", "warning"}
    pd.testing.assert_frame_equal(streams.scores(spark, folder / "job"), want.scores)
    read = [one.observedMetrics["events"]["read"] or 0 for one in progress]
    assert sum(read) == arrivals.num_rows


def test_the_population_is_a_stream_of_its_own(
    spark: Any, bundle: Path, arrivals: pa.Table, by_user: tuple[Path, list[Any]]
) -> None:
    meta = load(bundle).metadata
    history = Stream(meta.tick_s, meta.lateness_s, Tally()).push(arrivals)
    rows = spark.read.parquet(str(by_user[0] / "job" / "population")).orderBy("number").collect()
    np.testing.assert_array_equal([(row.number + 1) * 10_000_000 for row in rows], history.ticks)
    np.testing.assert_array_equal(np.array([row.vector for row in rows], np.float32), history.population)
    assert np.abs(history.population).max() > 0


def unfinish(job_folder: Path, query: str) -> int:
    """Take away the mark that the query's last micro batch has ended, as after a crash; the number of that batch."""
    commits = job_folder / "checkpoint" / query / "commits"
    last = max(int(path.name) for path in commits.iterdir() if path.name.isdigit())
    for name in (str(last), f".{last}.crc"):
        (commits / name).unlink(missing_ok=True)
    return last


def test_restarts_lose_and_repeat_nothing(
    spark: Any, bundle: Path, arrivals: pa.Table, parts: list[pa.Table], tmp_path: Path
) -> None:
    """From the checkpoint, then after a crash that makes Spark run the last micro batch of both queries again."""
    two = job(tmp_path / "job", bundle, groups=2)
    sizes = []
    for number, part in enumerate(parts):
        if number == 2:
            unfinish(tmp_path / "job", "steps")
            unfinish(tmp_path / "job", "scores")
        write(tmp_path / "in", [part], first=number)
        run(spark, two, tmp_path / "in")
        sizes.append(len(streams.scores(spark, tmp_path / "job")))
    want = streams.alone(bundle, arrivals).scores
    assert 0 < sizes[0] < sizes[1] < len(want)
    pd.testing.assert_frame_equal(streams.scores(spark, tmp_path / "job"), want)


def test_a_step_table_that_was_half_written_is_written_again(
    spark: Any, bundle: Path, parts: list[pa.Table], tmp_path: Path
) -> None:
    """A crash between the population's table and the steps': the micro batch finds its own population and ignores it."""
    from seqdetect_spark import queries

    one = job(tmp_path / "job", bundle, groups=1)
    write(tmp_path / "in", parts[:2])

    def steps() -> None:
        lines = queries.json_lines(spark, str(tmp_path / "in"), maxFilesPerTrigger="1")
        queries.start_steps(one, lines, ONCE).awaitTermination()

    steps()
    shutil.rmtree(tmp_path / "job" / "steps" / f"{unfinish(tmp_path / 'job', 'steps'):012d}")
    steps()
    queries.start_scores(one, spark, ONCE).awaitTermination()
    want = streams.alone(bundle, *parts[:2]).scores
    pd.testing.assert_frame_equal(streams.scores(spark, tmp_path / "job"), want)


def test_late_and_far_events_are_dropped_and_counted(
    spark: Any, bundle: Path, parts: list[pa.Table], tmp_path: Path
) -> None:
    first, second = parts[:2]
    late = first.slice(0, 40)
    far = second.slice(0, 1)
    place = far.column_names.index("timestamp")
    far = far.set_column(
        place, far.field(place), pa.array([4_070_908_800_000_000]).cast(far.field(place).type)
    )
    one = job(tmp_path / "job", bundle, groups=1)
    # Spark knows how far time has come when a micro batch begins: three, so that the late ones are so in the third.
    write(tmp_path / "in", [first, pa.concat_tables([far, second]), late])
    progress = run(spark, one, tmp_path / "in")
    # Without their ids, or the single process would count them as duplicates before it sees that they are late.
    want = streams.alone(bundle, first, second, late.drop_columns("event_id"))
    pd.testing.assert_frame_equal(streams.scores(spark, tmp_path / "job"), want.scores)
    assert want.tally.late == 40
    assert sum(one.observedMetrics["events"]["far_future"] or 0 for one in progress) == 1
    dropped = sum(int(state.numRowsDroppedByWatermark) for one in progress for state in one.stateOperators)
    ticks = len(pc.unique(pa.array(late.column("timestamp").cast(pa.int64()).to_numpy() // 10_000_000)))
    assert dropped == ticks


def test_the_command(spark: Any, bundle: Path, parts: list[pa.Table], tmp_path: Path) -> None:
    import job as command

    write(tmp_path / "in", parts[:1])
    folders = ["--events", str(tmp_path / "in"), "--folder", str(tmp_path / "job"), "--bundle", str(bundle)]
    command.main(
        [
            *folders,
            "--groups",
            "2",
            "--once",
            "--threshold",
            "warning=1e9",
            "--option",
            "maxFilesPerTrigger=1",
        ]
    )
    want = streams.alone(bundle, parts[0]).scores
    found = streams.scores(spark, tmp_path / "job")
    pd.testing.assert_series_equal(found["score"], want["score"])
    assert set(found["level"]) == {"none"}
    with pytest.raises(SystemExit, match="NAME=VALUE"):
        command.main([*folders, "--option", "nonsense"])


def test_a_checkpoint_of_other_settings_is_refused(
    spark: Any, bundle: Path, by_user: tuple[Path, list[Any]]
) -> None:
    with pytest.raises(ValueError, match="start in a new folder"):
        run(spark, job(by_user[0] / "job", bundle, groups=3), by_user[0] / "in")


def test_a_failing_query_says_why(spark: Any, bundle: Path, tmp_path: Path) -> None:
    from pyspark.errors import AnalysisException

    with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
        run(spark, job(tmp_path / "job", bundle), tmp_path / "missing")


def test_same_scores_over_kafka(
    spark: Any,
    bundle: Path,
    parts: list[pa.Table],
    broker: Broker,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Two partitions, keyed by user, both queries running all the time; started anew in the middle.

    The broker tells a batch's first offset as its last, so each part's last event is a batch of its own.
    """
    from seqdetect_spark import queries

    topic, one = broker.topic(2), job(tmp_path / "job", bundle)
    options = {"topic": topic, "bootstrap.servers": broker.servers}
    at_once = {"processingTime": "0 seconds"}
    for part in parts[:2]:
        steps = queries.start_steps(one, queries.kafka(spark, **options), at_once)
        scores = queries.start_scores(one, spark, at_once)
        content, users = streams.lines(part), part.column("user_id").to_pylist()
        for partition in (0, 1):
            own = [line for line, user in zip(content, users, strict=True) if int(user[-1]) % 2 == partition]
            broker.put(topic, own[:-1], partition)
            broker.put(topic, own[-1:], partition)
        for query in (steps, scores):
            query.processAllAvailable()
        for query in (steps, scores):
            query.stop()
    want = streams.alone(bundle, *parts[:2]).scores
    pd.testing.assert_frame_equal(streams.scores(spark, tmp_path / "job"), want)
