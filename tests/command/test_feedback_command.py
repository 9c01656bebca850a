"""``seqdetect feedback``: verdicts from the command line, and their way in and out as files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from changes import change
from seqdetect.cli import main
from seqdetect.feedback.store import Verdicts
from seqdetect.sink.sqlite import SqliteSink


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.jsonl"
    told = [
        change(),
        change("update", kind="wallet"),
        change("resolve", kind="wallet"),
        change(alert_id="other"),
    ]
    # the last line is still being written
    path.write_text("".join(json.dumps(one) + "\n" for one in told) + '{"alert_id": "unfin')
    return path


def feedback(*words: object) -> int:
    return main(["feedback", *map(str, words)])


def add(alerts: Path, store: Path, *words: str, alert: str = "5f2c3f0a9d1b7e44") -> int:
    return feedback("add", alert, "--alerts", alerts, "--store", store, *words)


def test_a_verdict_on_the_last_state_of_an_alert(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "verdicts.db"
    assert add(alerts, store, "--verdict", "false", "--author", "ana") == 0
    words = [
        "--verdict",
        "true",
        "--author",
        "ben",
        "--kind",
        "takeover",
        "--note",
        "key was on a public page",
    ]
    assert add(alerts, store, *words) == 0
    assert "in place of false by ana" in capsys.readouterr().out
    (last,) = Verdicts(store).latest()
    assert (last.kind, last.corrected, last.end) == ("wallet", "takeover", "2026-03-02T10:05:00.000000Z")
    assert feedback("list", "--store", store) == 0
    shown = capsys.readouterr()
    assert "wallet, rather takeover  by ben  key was on a public page" in shown.out
    assert shown.out.count("\n") == 1
    assert shown.err == "1 alerts judged: 1 true, 0 false, 0 benign\n"
    assert feedback("list", "--all", "--json", "--store", store) == 0
    assert [json.loads(line)["verdict"] for line in capsys.readouterr().out.splitlines()] == ["false", "true"]


def test_alerts_of_the_sqlite_output_can_be_judged_while_it_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = tmp_path / "alerts? #1.db", tmp_path / "verdicts.db"
    sink = SqliteSink(path)
    sink.send([change(), change("update", kind="wallet"), change("resolve", kind="wallet")])
    assert add(path, store, "--verdict", "benign", "--author", "ana") == 0
    sink.close()
    (one,) = Verdicts(store).all()
    assert (one.kind, one.end) == ("wallet", "2026-03-02T10:05:00.000000Z")
    assert add(store, store, "--verdict", "benign", "--author", "ana") == 2
    assert "holds no alerts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("alert", "message"),
    [
        ("5f2c", "did you mean 5f2c3f0a9d1b7e44?"),
        ("5f2c3f0a9d1b7e45", "did you mean 5f2c3f0a9d1b7e44?"),
        ("zzzzzzzz", "which holds 2 alerts"),
    ],
)
def test_an_unknown_alert_suggests_near_ones(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], alert: str, message: str
) -> None:
    store = tmp_path / "verdicts.db"
    assert add(alerts, store, "--verdict", "true", "--author", "ana", alert=alert) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not store.exists()


def test_what_cannot_be_read_is_one_line(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "verdicts.db"
    given = ["--verdict", "true", "--author", "ana"]
    for text, message in (
        ("{}\n", "line 1 field alert_id"),
        ("[1]\n", "line 1: "),
        ("nonsense\n", "line 1: "),
    ):
        (tmp_path / "bad.jsonl").write_text(text)
        assert add(tmp_path / "bad.jsonl", store, *given) == 2
        assert message in capsys.readouterr().err
    assert add(tmp_path / "none.jsonl", store, *given) == 2
    assert "none.jsonl" in capsys.readouterr().err
    assert add(alerts, store, "--verdict", "true", "--author", " ") == 2
    assert "needs an author" in capsys.readouterr().err
    assert feedback("list", "--store", tmp_path / "none.db") == 2
    assert "no store of verdicts" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["v.csv", "v.jsonl"])
def test_verdicts_go_out_and_come_in_again(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    store, other, file = tmp_path / "verdicts.db", tmp_path / "other.db", tmp_path / name
    add(alerts, store, "--verdict", "benign", "--author", "ana", "--note", 'a "job",\nevery night')
    add(alerts, store, "--verdict", "true", "--author", "ben", "--kind", "drip", alert="other")
    assert feedback("export", file, "--store", store) == 0
    assert feedback("import", file, "--store", other) == 0
    assert "2 verdicts read, 2 of them new" in capsys.readouterr().err
    assert Verdicts(other).all() == Verdicts(store).all()
    assert feedback("import", file, "--store", other) == 0
    assert "2 verdicts read, 0 of them new" in capsys.readouterr().err


def test_files_with_a_bad_line_are_not_taken_in(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "verdicts.db", tmp_path / "v.csv"
    add(alerts, store, "--verdict", "false", "--author", "ana")
    feedback("export", file, "--store", store)
    rows = list(csv.DictReader(file.read_text().splitlines()))
    other = tmp_path / "other.db"
    for change_, message in (
        ({"verdict": "perhaps"}, "line 3: verdict 'perhaps'"),
        ({"score": "high"}, "line 3: "),
        ({"start": "then"}, "line 3: start 'then'"),
    ):
        with open(file, "w", newline="") as out:
            writer = csv.DictWriter(out, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows([rows[0], rows[0] | change_])
        assert feedback("import", file, "--store", other) == 2
        assert message in capsys.readouterr().err
    file.write_text(file.read_text() + "short,line\n")
    assert feedback("import", file, "--store", other) == 2
    assert "line" in capsys.readouterr().err
    assert not other.exists()
    assert feedback("export", tmp_path / "v.xlsx", "--store", store) == 2
    assert "v.xlsx: verdicts are kept as .csv" in capsys.readouterr().err


def test_no_text_of_others_steers_the_terminal(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "verdicts.db"
    add(alerts, store, "--verdict", "true", "--author", "\x1b[2Jana")
    add(alerts, store, "--verdict", "false", "--author", "ana", "--note", "\x1b[2Jgone")
    assert "\x1b" not in capsys.readouterr().out
    feedback("list", "--store", store)
    assert "\x1b" not in capsys.readouterr().out
