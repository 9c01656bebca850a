"""Verdicts: kept for good, by many at once, and refused where they cannot be right."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from changes import change
from seqdetect.feedback.store import Verdicts, existing


@pytest.fixture
def store(tmp_path: Path) -> Verdicts:
    return Verdicts(tmp_path / "verdicts.db")


def test_a_verdict_keeps_what_the_alert_said(store: Verdicts) -> None:
    given = store.add(change("resolve"), "true", " ana ", "a stolen key", kind="takeover")
    (kept,) = store.all()
    assert kept == given
    assert kept.id == 1
    assert (kept.alert_id, kept.user_id, kept.key, kept.model) == (
        "5f2c3f0a9d1b7e44",
        "u-1",
        "user_id",
        "users",
    )
    assert (kept.start, kept.end) == ("2026-03-02T10:00:00.000000Z", "2026-03-02T10:05:00.000000Z")
    assert (kept.kind, kept.corrected, kept.author, kept.note) == ("flood", "takeover", "ana", "a stolen key")
    assert (kept.severity, kept.score, kept.threshold, kept.bundle_version) == (
        "critical",
        5.25,
        4.5,
        "learned_evidence-0-abcdef",
    )


def test_an_open_alert_is_judged_as_far_as_it_is_known(store: Verdicts) -> None:
    assert store.add(change("open"), "false", "ana").end == "2026-03-02T10:00:20.000000Z"
    with pytest.raises(ValueError, match="how far it is known"):
        store.add(change("open", at=None), "false", "ana")


def test_the_latest_verdict_counts_and_the_history_stays(store: Verdicts) -> None:
    store.add(change("resolve"), "false", "ana")
    store.add(change("resolve", alert_id="other"), "false", "ana")
    store.add(change("resolve"), "true", "ben", "it was one after all")
    assert [one.verdict for one in store.by_alert("5f2c3f0a9d1b7e44")] == ["false", "true"]
    assert {one.alert_id: one.verdict for one in store.latest()} == {
        "5f2c3f0a9d1b7e44": "true",
        "other": "false",
    }
    assert store.counts() == {"true": 1, "false": 1, "benign": 0}
    assert len(store.all()) == 3
    assert store.by_alert("never seen") == []


def test_what_was_said_is_neither_changed_nor_removed(store: Verdicts) -> None:
    store.add(change("resolve"), "false", "ana")
    with sqlite3.connect(store.path) as connection:
        for statement in ("UPDATE verdicts SET verdict = 'true'", "DELETE FROM verdicts"):
            with pytest.raises(sqlite3.IntegrityError, match="verdicts are kept"):
                connection.execute(statement)
    connection.close()
    assert store.counts()["false"] == 1


@pytest.mark.parametrize(
    ("alert", "given", "message"),
    [
        ({}, {"verdict": "maybe"}, "'maybe' is none of true, false, benign"),
        ({}, {"author": "  "}, "needs an author"),
        ({}, {"author": "a" * 201}, "needs an author"),
        ({}, {"note": "n" * 4001}, "the note has 4001 characters"),
        ({}, {"kind": "flood", "verdict": "false"}, "a false alert has no kind"),
        ({}, {"kind": "flood", "verdict": "benign"}, "begin with benign_"),
        ({}, {"kind": "benign_batch_job"}, "begin with benign_"),
        ({}, {"kind": " flood"}, "not a name"),
        ({"alert_id": None}, {}, "alert_id is None"),
        ({"user_id": 7}, {}, "user_id is 7"),
        ({"user_id": ""}, {}, "needs the alert's user_id"),
        ({"start": "yesterday"}, {}, "start 'yesterday' is not an ISO-8601 time"),
        ({"end": "2026-03-02T10:00:00Z"}, {}, "is not after start"),
        ({"score": "high"}, {}, "score is 'high'"),
    ],
)
def test_what_cannot_be_right_is_refused(
    store: Verdicts, alert: dict[str, object], given: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        store.add(change("resolve", **alert), **({"verdict": "true", "author": "ana"} | given))
    assert store.all() == []


def test_verdicts_given_elsewhere_are_taken_once(store: Verdicts, tmp_path: Path) -> None:
    other = Verdicts(tmp_path / "other.db")
    other.add(change("resolve"), "benign", "ana", kind="benign_batch_job")
    other.add(change("resolve", alert_id="two"), "true", "ben")
    assert store.take(other.all()) == 2
    assert store.take(other.all()) == 0
    assert [msgspec.structs.replace(one, id=0) for one in store.all()] == [
        msgspec.structs.replace(one, id=0) for one in other.all()
    ]
    broken = msgspec.structs.replace(other.all()[0], at="never", alert_id="three")
    with pytest.raises(ValueError, match="at 'never'"):
        store.take([msgspec.structs.replace(broken, at="2026-01-01T00:00:00Z"), broken])
    assert len(store.all()) == 2, "all or none"


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from changes import change
from seqdetect.feedback.store import Verdicts
for number in range(25):
    Verdicts(sys.argv[1]).add(change("resolve", alert_id=f"{sys.argv[2]}-{number}"), "false", sys.argv[2])
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path, tests = tmp_path / "verdicts.db", Path(__file__).parents[1]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"author-{number}", str(tests)], stderr=subprocess.PIPE
        )
        for number in range(3)
    ]
    for writer in writers:
        _, stderr = writer.communicate(timeout=120)
        assert writer.returncode == 0, stderr.decode()
    assert len({(one.alert_id, one.author) for one in Verdicts(path).all()}) == 75


def test_several_threads_make_one_store(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.db"
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(
            lambda number: Verdicts(path).add(change("resolve", alert_id=str(number)), "true", "ana"),
            range(32),
        )
        assert len(list(done)) == 32
    assert len(Verdicts(path).all()) == 32


def test_files_of_something_else_are_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a database, and rather longer than a header would be " * 20)
    with pytest.raises(ValueError, match="is no store of verdicts"):
        Verdicts(text)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE other (a)")
    connection.close()
    with pytest.raises(ValueError, match="it holds something else"):
        Verdicts(foreign)
    later = tmp_path / "later.db"
    with sqlite3.connect(later) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(ValueError, match="version 9"):
        Verdicts(later)
    with pytest.raises(OSError, match="unable to open"):
        Verdicts(tmp_path / "no" / "folder.db")
    with pytest.raises(FileNotFoundError, match="no store of verdicts"):
        existing(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
