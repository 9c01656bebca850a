"""Scores a stream of events with Spark: ``spark-submit serving/spark/job.py --help``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from seqdetect_spark import queries


def main(argv: Sequence[str] | None = None) -> None:
    """Run both queries; with ``--once`` until all that is there has been scored."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("seqdetect_spark").setLevel(logging.INFO)
    job = queries.Job(
        arguments.folder,
        arguments.bundle,
        arguments.groups,
        tuple(_pairs(arguments.column)),
        tuple((name, float(value)) for name, value in _pairs(arguments.threshold)),
        arguments.ahead_s,
    )
    spark = queries.session("seqdetect", spark__sql__shuffle__partitions=str(arguments.partitions))
    queries.ship(spark, job)
    options = dict(_pairs(arguments.option))
    lines = (
        queries.kafka(spark, topic=arguments.topic, **options)
        if arguments.topic
        else queries.json_lines(spark, arguments.events, **options)
    )
    trigger = {"availableNow": True} if arguments.once else {"processingTime": arguments.every}
    first = queries.start_steps(job, lines, trigger)
    if arguments.once:
        first.awaitTermination()
    second = queries.start_scores(job, spark, trigger)
    if arguments.once:
        second.awaitTermination()
    else:
        spark.streams.awaitAnyTermination()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--events", help="a folder of JSON lines files, .gz too")
    source.add_argument(
        "--topic", help="a Kafka topic of JSON objects (--option bootstrap.servers=HOST:PORT)"
    )
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--folder", required=True, help="where scores, steps, population and checkpoints go")
    parser.add_argument(
        "--groups", type=int, default=0, help="state by that many groups of users, not by user"
    )
    parser.add_argument(
        "--partitions", type=int, default=2, help="tasks and state stores of each query; fixed at first start"
    )
    parser.add_argument("--once", action="store_true", help="stop when all that is there has been scored")
    parser.add_argument("--every", default="10 seconds", help="how often a micro batch starts")
    parser.add_argument(
        "--ahead-s", type=float, default=3600.0, help="events further ahead of the wall clock are dropped"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the source, as it is"
    )
    parser.add_argument("--column", action="append", default=[], metavar="OURS=THEIRS")
    parser.add_argument("--threshold", action="append", default=[], metavar="TIER=SCORE")
    return parser


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise SystemExit(f"{text!r} is not NAME=VALUE")
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


if __name__ == "__main__":
    main()
