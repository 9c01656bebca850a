"""The ``seqdetect`` command. A subcommand's code is imported when it is called: scoring never sees torch."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit status. Expected failures are one line on stderr and status 2."""
    parser = argparse.ArgumentParser(
        prog="seqdetect", description="Find the users of an LLM API who behave strangely."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_score,
        _add_serve,
        _add_simulate,
        _add_inspect,
        _add_report,
        _add_feedback,
        _add_champion,
    ):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        importlib.import_module(f"seqdetect.command.{options.command}").run(options)
    except BrokenPipeError:
        # whoever read our output has seen enough; point stdout elsewhere, or Python complains at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        print(f"seqdetect {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _add_score(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "score",
        help="run the streaming scorer over files or standard input",
        description="Stream request events through a bundle. Scores go to --scores, alerts to --alerts; the last "
        "line on stderr counts the events read, rejected and late.",
    )
    one.add_argument("--bundle", required=True, metavar="B", help="bundle.onnx, as train.py leaves it")
    one.add_argument(
        "--events", required=True, nargs="+", metavar="FILE",
        help="CSV, JSONL or Parquet (also .gz), globs, several as one stream by time, or - for standard input",
    )  # fmt: skip
    one.add_argument("--scores", metavar="F", help="write one row per user and active tick: .parquet or .csv")
    one.add_argument(
        "--alerts", metavar="F", help="write alerts as JSON lines to a file, or - for standard output"
    )
    one.add_argument(
        "--resume", metavar="CKPT", help="start with the memory in a checkpoint, for example state.ckpt"
    )
    one.add_argument(
        "--checkpoint", metavar="CKPT",
        help="save the memory there as it goes and at the end of the input; the same command again goes on with a "
        "run that was cut short",
    )  # fmt: skip
    one.add_argument(
        "--checkpoint-every", type=float, default=30.0, metavar="S", help="seconds between two (default: 30)"
    )
    one.add_argument(
        "--max-users", type=int, metavar="N",
        help="remember at most this many users, those seen longest ago are forgotten (default: all)",
    )  # fmt: skip
    one.add_argument("--key", help="column that tells users apart (default: the bundle's)")
    one.add_argument("--timezone", default="UTC", help="zone of times that state none (default: UTC)")
    one.add_argument(
        "--timestamp-unit", default="auto", choices=["auto", "s", "ms", "us", "ns"], help="of numbers"
    )
    one.add_argument("--epoch", metavar="T", help="time that numbers count from, in seconds (default: 1970)")
    one.add_argument(
        "--column", action="append", default=[], metavar="OURS=THEIRS",
        help="name of a column in the file: prompt_tokens=tokens_in; may be repeated",
    )  # fmt: skip
    one.add_argument(
        "--format", choices=["litellm", "otlp", "nginx", "kong", "openai", "openai_usage"],
        help="the files hold another program's records (default: events)",
    )  # fmt: skip
    one.add_argument(
        "--user", action="append", default=[], metavar="FIELD",
        help="with --format: where its records name the user; may be repeated, of an empty one the next is taken",
    )  # fmt: skip
    one.add_argument(
        "--hash-users-env", metavar="VARIABLE",
        help="users become pseudonyms under the key in this environment variable",
    )  # fmt: skip
    one.add_argument(
        "--sort", action="store_true", help="sort all events by time first: holds them in memory"
    )
    one.add_argument(
        "--threshold", action="append", default=[], metavar="TIER=VALUE",
        help="override a threshold: critical=4.2 or warning=3.1; may be repeated",
    )  # fmt: skip
    one.add_argument(
        "--price", action="append", default=[], metavar="KIND=USD",
        help="USD per million tokens for the cost of alerts: prompt=2.5 and completion=10; may be repeated",
    )  # fmt: skip
    one.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "serve",
        help="run the streaming scorer as a service",
        description="Take in events over HTTP, from Kafka, from a file that grows or from standard input, until "
        "SIGTERM. Alerts go to the outputs that the configuration names, logs as JSON lines to stderr. SIGHUP reads "
        "the models again.",
    )
    one.add_argument(
        "--config", required=True, metavar="F", help="YAML, as serving/scorer.yaml, which explains it"
    )
    one.add_argument("--check", action="store_true", help="check the configuration and its bundles, and end")


def _add_simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "simulate",
        help="make traffic, with or without attacks, as a file or a live stream",
        description="Write synthetic request events. With --incidents attacks are injected into the last part of "
        "the time and labelled there. With --rate events are written at that pace, as a live stream. With --to kafka "
        "they are messages of a topic, one JSON object each, keyed by user.",
    )
    one.add_argument(
        "--out", default="-", metavar="F", help=".csv, .jsonl or .parquet, or - for JSON lines (default)"
    )
    one.add_argument(
        "--incidents", metavar="F", help="inject attacks and write their labels to this CSV file"
    )
    one.add_argument("--users", type=int, default=60)
    one.add_argument("--days", type=float, default=4.0)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--attack", action="append", metavar="KIND", help="only this kind; may be repeated")
    one.add_argument(
        "--from-day",
        type=float,
        metavar="D",
        help="attacks start after this many days (default: half the time)",
    )
    one.add_argument(
        "--rate", type=float, metavar="R", help="events a second, as a live stream of JSON lines or messages"
    )
    one.add_argument("--to", choices=["file", "kafka"], default="file", help="default: file, which is --out")
    one.add_argument("--brokers", metavar="HOST:PORT", help="of --to kafka; several with commas between")
    one.add_argument("--topic", metavar="T", help="of --to kafka")


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("inspect", help="say what a bundle holds", description="Describe a bundle.")
    one.add_argument("bundle", metavar="B", help="bundle.onnx")
    one.add_argument("--json", action="store_true", help="the whole metadata document")


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "report",
        help="write a benchmark report of one or more finished runs",
        description="Compare the runs in the given folders: each one that train.py wrote, or a sweep's.",
    )
    one.add_argument("folders", nargs="+", metavar="DIR")
    one.add_argument("--out", default="report.html", metavar="F")


def _add_feedback(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "feedback",
        help="give verdicts on alerts, and list, export or import them",
        description="Verdicts on alerts are kept in an SQLite file, which train.py feedback=FILE learns from.",
    )
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser("add", help="say what an alert was")
    add.add_argument("alert_id", metavar="ALERT_ID")
    add.add_argument(
        "--verdict", required=True, choices=["true", "false", "benign"],
        help="an attack, nothing, or real but expected",
    )  # fmt: skip
    add.add_argument("--author", required=True, help="who says so")
    add.add_argument("--note", default="", help="why")
    add.add_argument("--kind", metavar="K", help="what it was, where the alert's own kind is wrong")
    add.add_argument(
        "--alerts", required=True, metavar="F", help="alerts as JSON lines, or the file of the sqlite output"
    )
    listed = actions.add_parser("list", help="show the verdict that counts of each alert")
    listed.add_argument("--all", action="store_true", help="every verdict ever given")
    listed.add_argument("--json", action="store_true", help="as JSON lines")
    out = actions.add_parser("export", help="write all verdicts to a file")
    out.add_argument("file", metavar="F", help=".csv or .jsonl, or - for JSON lines on standard output")
    taken = actions.add_parser(
        "import", help="take in verdicts from a file; those known already are left out"
    )
    taken.add_argument("file", metavar="F", help=".csv or .jsonl, as export writes them")
    for action in (add, listed, out, taken):
        action.add_argument("--store", required=True, metavar="DB", help="the SQLite file of verdicts")


def _add_champion(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    one = commands.add_parser(
        "champion",
        help="show, promote or roll back the registered bundle in force",
        description="The champion is the registered bundle that train.py feedback=FILE has to beat.",
    )
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("show", help="all registered versions")
    promoted = actions.add_parser("promote", help="make a version champion by hand")
    promoted.add_argument("version", type=int, metavar="VERSION")
    back = actions.add_parser("rollback", help="make the champion before the present one champion again")
    for action in (promoted, back):
        action.add_argument(
            "--out", metavar="B", help="write the champion's bundle there, whole or not at all"
        )
    for action in (shown, promoted, back):
        action.add_argument(
            "--tracking",
            default="sqlite:///mlruns.db",
            metavar="URI",
            help="MLflow store (default: %(default)s)",
        )


if __name__ == "__main__":
    sys.exit(main())
