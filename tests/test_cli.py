"""The commands as a person runs them, in processes of their own."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from conftest import traffic
from seqdetect.source.write import write

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"


def run(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "seqdetect.cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    path = tmp_path_factory.mktemp("live") / "live.parquet"
    write(traffic(users=4, hours=6, seed=5, rate_s=0.05), str(path))
    return path


def test_score_writes_the_contracts_columns(bundle_path, live, tmp_path):
    done = run("score", "--bundle", bundle_path, "--events", live, "--scores", tmp_path / "s.parquet", "--alerts", "-",
               "--threshold", "warning=1.5", "--threshold", "critical=2.5", "--price", "prompt=2", "--price", "completion=8")  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = pyarrow.parquet.read_table(tmp_path / "s.parquet")
    assert scores.column_names == ["user_id", "timestamp", "score", "level", "top_feature"]
    assert str(scores.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    rows = scores.to_pylist()
    assert all(row["timestamp"].second % 10 == 0 and row["timestamp"].microsecond == 0 for row in rows)
    assert all((row["top_feature"] is None) == (row["level"] == "none") for row in rows)
    assert {row["level"] for row in rows} == {"none", "warning", "critical"}
    assert len({(row["user_id"], row["timestamp"]) for row in rows}) == len(rows)
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    assert alerts
    assert {"alert_id", "user_id", "start", "end", "severity", "kind", "score", "threshold", "budget", "top_features",
            "tokens", "cost_usd", "runbook_url", "bundle_version"} <= set(alerts[0])  # fmt: skip
    assert alerts[0]["cost_usd"] > 0
    assert done.stderr.splitlines()[-1].startswith("events: ")
    assert "0 rejected" in done.stderr.splitlines()[-1]


def test_standard_input_and_files_give_the_same_scores(bundle_path, live, tmp_path):
    table = pyarrow.parquet.read_table(live)
    write(table, str(tmp_path / "live.jsonl"))
    write(table, str(tmp_path / "live.csv.gz"))
    content = (tmp_path / "live.jsonl").read_bytes()
    outputs = []
    for name, events, stdin in (
        ("a", "-", content),
        ("b", tmp_path / "live.csv.gz", None),
        ("c", live, None),
    ):
        done = run(
            "score",
            "--bundle",
            bundle_path,
            "--events",
            events,
            "--scores",
            tmp_path / f"{name}.csv",
            stdin=stdin,
        )
        assert done.returncode == 0, done.stderr
        outputs.append((tmp_path / f"{name}.csv").read_text())
    assert outputs[0] == outputs[1] == outputs[2]
    rows = list(csv.DictReader(outputs[0].splitlines()))
    assert rows[0]["timestamp"].endswith("Z")


def test_hostile_rows_are_counted_and_the_rest_is_scored(bundle_path, tmp_path):
    done = run(
        "score", "--bundle", bundle_path, "--events", FIXTURES / "hostile.csv", "--scores", tmp_path / "s.csv"
    )
    assert done.returncode == 0, done.stderr
    assert "hostile.csv line" in done.stderr
    assert "negative_tokens=" in done.stderr.splitlines()[-1]
    assert len((tmp_path / "s.csv").read_text().splitlines()) > 1


def test_resuming_goes_on_where_the_checkpoint_ends(bundle_path, live, tmp_path):
    from datetime import timedelta

    import pyarrow.compute as pc

    table = pyarrow.parquet.read_table(live)
    start = min(table.column("timestamp").to_pylist()).replace(minute=0, second=0, microsecond=0)
    early = pc.less(table.column("timestamp"), start + timedelta(hours=3))
    write(table.filter(early), str(tmp_path / "early.parquet"))
    write(table.filter(pc.invert(early)), str(tmp_path / "late.parquet"))
    first = run("score", "--bundle", bundle_path, "--events", tmp_path / "early.parquet", "--scores", tmp_path / "1.csv",
                "--checkpoint", tmp_path / "c.ckpt")  # fmt: skip
    second = run("score", "--bundle", bundle_path, "--events", tmp_path / "late.parquet", "--scores", tmp_path / "2.csv",
                 "--resume", tmp_path / "c.ckpt")  # fmt: skip
    whole = run("score", "--bundle", bundle_path, "--events", live, "--scores", tmp_path / "whole.csv")
    assert (first.returncode, second.returncode, whole.returncode) == (0, 0, 0), first.stderr + second.stderr
    parts = [(tmp_path / f"{name}.csv").read_text().splitlines() for name in "12"]
    assert parts[0] + parts[1][1:] == (tmp_path / "whole.csv").read_text().splitlines()


def test_unsorted_input_is_said_and_can_be_sorted(bundle_path, live, tmp_path):
    table = pyarrow.parquet.read_table(live)
    backwards = table.take(list(range(table.num_rows - 1, -1, -1)))
    write(backwards, str(tmp_path / "back.csv"))
    done = run("score", "--bundle", bundle_path, "--events", tmp_path / "back.csv")
    assert done.returncode == 0
    assert "add --sort" in done.stderr
    for events, extra, name in ((tmp_path / "back.csv", ["--sort"], "a"), (live, [], "b")):
        assert (
            run(
                "score",
                "--bundle",
                bundle_path,
                "--events",
                events,
                "--scores",
                tmp_path / f"{name}.csv",
                *extra,
            ).returncode
            == 0
        )
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bundle", "none.onnx", "--events", "x.csv"], "no bundle at none.onnx"),
        (["--bundle", "BUNDLE", "--events", "none-*.csv"], "none-"),
        (
            ["--bundle", "BUNDLE", "--events", "FIXTURE", "--threshold", "urgent=3"],
            "one of critical, warning",
        ),
        (["--bundle", "BUNDLE", "--events", "FIXTURE", "--price", "prompt=much"], "'much' is not a number"),
        (["--bundle", "BUNDLE", "--events", "FIXTURE", "--threshold", "critical=nan"], "must be finite"),
        (["--bundle", "BUNDLE", "--events", "FIXTURE", "--scores", "s.txt"], ".csv or .parquet"),
        (["--bundle", "BUNDLE", "--events", "FIXTURE", "--resume", "FIXTURE"], "not a seqdetect checkpoint"),
        (["--bundle", "FIXTURE", "--events", "FIXTURE"], "not an ONNX model"),
        (["--bundle", "BUNDLE", "--events", "HEADER"], "prompt_tokens"),
    ],
)
def test_mistakes_are_one_clear_line(bundle_path, tmp_path, arguments, message):
    header = tmp_path / "header.csv"
    header.write_text("timestamp,user_id\n2026-01-01,a\n")
    places = {"BUNDLE": bundle_path, "FIXTURE": FIXTURES / "requests.csv", "HEADER": header}
    done = run("score", *[places.get(one, one) for one in arguments])
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_file_is_no_error(bundle_path, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    done = run(
        "score", "--bundle", bundle_path, "--events", tmp_path / "empty.csv", "--scores", tmp_path / "s.csv"
    )
    assert done.returncode == 0, done.stderr
    assert "events: 0 read" in done.stderr


def test_inspect_says_what_a_bundle_holds(bundle_path):
    done = run("inspect", bundle_path)
    assert done.returncode == 0
    assert "iforest" in done.stdout
    assert "user-week" in done.stdout
    assert json.loads(run("inspect", bundle_path, "--json").stdout)["detector"] == "iforest"


def test_simulate_makes_events_and_labels(tmp_path):
    done = run(
        "simulate",
        "--users",
        8,
        "--days",
        2,
        "--out",
        tmp_path / "e.csv",
        "--incidents",
        tmp_path / "i.csv",
        "--attack",
        "flood",
    )
    assert done.returncode == 0, done.stderr
    assert {row["kind"] for row in csv.DictReader((tmp_path / "i.csv").read_text().splitlines())} == {"flood"}
    assert (tmp_path / "e.csv").read_text().count("\n") > 1000
    assert (
        run("simulate", "--attack", "nonsense", "--incidents", tmp_path / "i.csv", "--users", 4).returncode
        == 2
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--days", "nan"], "days > 0"),
        (["--users", "2", "--days", "0.01", "--rate", "nan"], "--rate is above 0"),
        (["--users", "2", "--days", "0.1", "--from-day", "9", "--incidents", "i.csv"], "after 9 days"),
    ],
)
def test_traffic_that_cannot_be_made_is_refused_in_one_line(arguments, message):
    done = run("simulate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_reads_well():
    assert "score" in run("--help").stdout
    for command in ("score", "simulate", "inspect", "report"):
        assert "--help" in run(command, "--help").stdout


def test_own_column_names_and_epochs_are_told_to_the_scorer(bundle_path, tmp_path):
    lines = [f"{10 + i * 7},u{i % 2},{100 + i},{20 + i}" for i in range(40)]
    (tmp_path / "own.csv").write_text("when,who,tokens_in,tokens_out\n" + "\n".join(lines) + "\n")
    names = ["timestamp=when", "user_id=who", "prompt_tokens=tokens_in", "completion_tokens=tokens_out"]
    columns = [word for name in names for word in ("--column", name)]
    done = run("score", "--bundle", bundle_path, "--events", tmp_path / "own.csv", "--scores", tmp_path / "s.csv",
               "--epoch", "2026-03-02T00:00:00Z", *columns)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "s.csv").read_text().splitlines()))
    assert rows[0]["timestamp"].startswith("2026-03-02T00:00:20")
    assert {row["user_id"] for row in rows} == {"u0", "u1"}
    wrong = run("score", "--bundle", bundle_path, "--events", tmp_path / "own.csv", "--column", "tokens=x")
    assert wrong.returncode == 2
    assert "OURS=THEIRS" in wrong.stderr


def test_report_names_the_folder_that_holds_no_run(tmp_path):
    done = run("report", tmp_path)
    assert done.returncode == 2
    assert "no metrics.json" in done.stderr
    (tmp_path / "metrics.json").write_text("{}")
    assert "was not written by train.py" in run("report", tmp_path).stderr
