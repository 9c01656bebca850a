"""Alerts in a SQLite file: nothing twice, nothing lost, readable by others, and not for ever."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from changes import change
from seqdetect.sink import sqlite
from seqdetect.sink.sqlite import SqliteSink

LIFE = [change("open"), change("update", score=6.0, at="2026-03-02T10:01:00Z"), change("resolve")]


def rows(path, query, *arguments):
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return reader.execute(query, arguments).fetchall()
    finally:
        reader.close()


def test_every_change_is_kept_and_every_alert_as_it_stands(tmp_path):
    path = tmp_path / "deep" / "alerts.sqlite"
    sink = SqliteSink(path)
    sink.send(
        [
            LIFE[0],
            change("open", alert_id="b", user_id="ü\x00'; DROP TABLE alerts", shadow=True, cost_usd=None),
        ]
    )
    sink.send(LIFE[1:])
    # while the service has it open
    assert [
        json.loads(body)
        for (body,) in rows(
            path, "SELECT body FROM changes WHERE alert_id = ? ORDER BY number", LIFE[0]["alert_id"]
        )
    ] == LIFE
    found = rows(
        path,
        'SELECT change, at, user_id, kind, severity, start, "end", score, shadow, cost_usd, body FROM alerts ORDER BY alert_id',
    )
    assert len(found) == 2
    last = LIFE[2]
    assert found[0][:10] == (
        "resolve", last["at"], "u-1", "flood", "critical", last["start"], last["end"], 5.25, 0, 8.4,
    )  # fmt: skip
    assert json.loads(found[0][10]) == last
    assert found[1][2] == "ü\x00'; DROP TABLE alerts"
    assert found[1][8:10] == (1, None)
    sink.close()


def test_what_comes_again_changes_nothing(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = SqliteSink(path)
    sink.send(LIFE)
    before = rows(path, "SELECT * FROM alerts"), rows(path, "SELECT * FROM changes")
    sink.send(LIFE[:2])
    sink.close()
    sink = SqliteSink(path)
    sink.send(LIFE)
    assert (rows(path, "SELECT * FROM alerts"), rows(path, "SELECT * FROM changes")) == before
    # the same episode again is news
    sink.send([change("open", reopened=1, at="2026-03-02T11:00:00Z")])
    assert rows(path, "SELECT change, reopened FROM alerts") == [("open", 1)]
    sink.close()


def test_two_models_may_have_alerts_of_the_same_id(tmp_path):
    sink = SqliteSink(tmp_path / "a.sqlite")
    sink.send([change(), change(model="other", severity="warning")])
    assert rows(tmp_path / "a.sqlite", "SELECT model, severity FROM alerts ORDER BY model") == [
        ("other", "warning"),
        ("users", "critical"),
    ]
    sink.close()


def test_what_is_old_goes_but_for_what_is_open(tmp_path, monkeypatch):
    now = [1e9]
    monkeypatch.setattr(sqlite.time, "time", lambda: now[0])
    monkeypatch.setattr(sqlite, "_AT_ONCE", 3)
    path = tmp_path / "a.sqlite"
    sink = SqliteSink(path, keep_days=10)
    sink.send([change(what, alert_id=f"old-{n}") for n in range(10) for what in ("open", "resolve")])
    sink.send([change("open", alert_id="still-open")])
    now[0] += 9 * sqlite.DAY_S
    sink.send([change("resolve", alert_id="young")])
    assert len(rows(path, "SELECT * FROM alerts")) == 12
    now[0] += 2 * sqlite.DAY_S
    sink.send([change("open", alert_id="new")])
    assert rows(path, "SELECT alert_id FROM alerts ORDER BY alert_id") == [
        ("new",),
        ("still-open",),
        ("young",),
    ]
    assert rows(path, "SELECT alert_id FROM changes ORDER BY alert_id") == [("new",), ("young",)]
    sink.close()


def test_a_batch_that_cannot_be_written_leaves_nothing_behind_and_can_come_again(tmp_path):
    path = tmp_path / "a.sqlite"
    sink = SqliteSink(path)
    sink._file.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sink.send(LIFE)
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(KeyError):
        sink.send([LIFE[0], {"alert_id": "no more than that"}])
    assert rows(path, "SELECT count(*) FROM changes") == [(0,)]
    sink.send(LIFE)
    assert rows(path, "SELECT count(*) FROM changes") == [(3,)]
    sink.close()


def test_another_file_is_refused_and_stays_as_it_is(tmp_path):
    foreign = tmp_path / "foreign.sqlite"
    made = sqlite3.connect(foreign)
    made.execute("CREATE TABLE mine (x)")
    made.commit()
    made.close()
    with pytest.raises(ValueError, match="holds something else"):
        SqliteSink(foreign)
    assert rows(foreign, "SELECT name FROM sqlite_master") == [("mine",)]
    assert rows(foreign, "PRAGMA journal_mode") == [("delete",)]
    text = tmp_path / "text.sqlite"
    text.write_text("hello " * 1000)
    with pytest.raises(ValueError, match="not a database; move it away"):
        SqliteSink(text)
    with pytest.raises(OSError, match="unable to open"):
        SqliteSink(tmp_path)
    with pytest.raises(ValueError, match="keep_days"):
        SqliteSink(tmp_path / "a.sqlite", keep_days=0)


WRITER = """
import sys
from pathlib import Path
from changes import change
from seqdetect.sink.sqlite import SqliteSink
sink = SqliteSink(Path(sys.argv[1]))
for number in range(100000):
    sink.send([change(what, alert_id=str(number)) for what in ("open", "resolve")])
    print(number, flush=True)
"""


def test_killed_while_it_writes_all_that_it_said_is_there(tmp_path):
    path = tmp_path / "a.sqlite"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 30:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split(b"\n")[:-1]
    process.stdout.close()
    process.wait()
    said = int(rest[-1]) if rest else int(line)
    SqliteSink(path).close()
    assert rows(path, "SELECT count(*) FROM alerts WHERE change = 'resolve'")[0][0] >= said + 1
    assert rows(path, "SELECT count(*) FROM alerts WHERE change != 'resolve'") == [(0,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
