"""The queue on disk: nothing is lost by a crash, and nothing that was removed comes back."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from changes import change
from seqdetect.serve.spool import Spool

MANY = 1 << 20


def numbered(*numbers: int):
    return [change("open", alert_id=f"{number:016x}") for number in numbers]


def found(spool: Spool, count: int = MANY) -> list[int]:
    return [int(one.change["alert_id"], 16) for one in spool.first(count, spool.last)]


def test_what_is_put_stays_in_order_until_it_is_removed(tmp_path):
    path = tmp_path / "deep" / "a.queue"
    spool = Spool(path, MANY)
    assert (spool.changes, spool.bytes, spool.oldest_s, found(spool)) == (0, 0, 0.0, [])
    spool.put(numbered(1, 2, 3))
    spool.put(numbered(4))
    assert spool.first(1, spool.last)[0].change == numbered(1)[0]
    assert found(spool, 2) == [1, 2]
    second = spool.first(2, spool.last)[1].number
    assert [one.number for one in spool.first(9, second)] == [second - 1, second]
    spool.remove(second)
    spool.close()
    spool = Spool(path, MANY)
    assert found(spool) == [3, 4]
    assert spool.changes == 2
    assert spool.bytes == sum(len(json.dumps(one, separators=(",", ":"))) for one in numbered(3, 4))
    spool.remove(spool.last)
    last = spool.last
    spool.close()
    spool = Spool(path, MANY)
    assert (spool.changes, spool.bytes, spool.oldest_s) == (0, 0, 0.0)
    spool.put(numbered(5))
    # a number never comes again, so that one of before is never taken for another
    assert spool.first(1, spool.last)[0].number > last
    spool.close()


def test_what_was_put_before_is_not_put_again_whether_it_waits_or_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdetect.serve.spool.KNOWN", 6)
    path = tmp_path / "a.queue"
    spool = Spool(path, MANY)
    spool.put(numbered(1, 2))
    spool.remove(1)
    spool.put(numbered(1, 2, 3, 3))
    assert (found(spool), spool.changes, spool.last) == ([2, 3], 2, 3)
    spool.remove(spool.last)
    spool.close()
    spool = Spool(path, MANY)
    spool.put(numbered(1, 2, 3))
    assert (found(spool), spool.changes, spool.bytes, spool.last, spool.oldest_s) == ([], 0, 0, 3, 0.0)
    # the same alert, but something else about it
    spool.put([change("resolve", alert_id=f"{1:016x}")])
    assert found(spool) == [1]
    # only so many are known again
    spool.put(numbered(4, 5, 6, 7))
    spool.put(numbered(1, 3))
    assert found(spool) == [1, 4, 5, 6, 7, 1]
    spool.close()


def test_it_tells_since_when_the_oldest_waits(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("seqdetect.serve.spool.time.time", lambda: now[0])
    spool = Spool(tmp_path / "a.queue", MANY)
    spool.put(numbered(1))
    now[0] = 1040.0
    spool.put(numbered(2))
    now[0] = 1050.0
    assert spool.oldest_s == 50.0
    spool.close()
    spool = Spool(tmp_path / "a.queue", MANY)
    assert spool.oldest_s == 50.0
    spool.remove(spool.first(1, spool.last)[0].number)
    assert spool.oldest_s == 10.0
    spool.close()


def test_it_is_full_from_its_bound_on_and_takes_one_batch_beyond(tmp_path):
    spool = Spool(tmp_path / "a.queue", 1500)
    spool.put(numbered(1))
    assert not spool.full
    spool.put(numbered(2, 3, 4))
    assert spool.full
    spool.remove(spool.last)
    assert not spool.full
    spool.close()


def test_the_disk_gets_its_room_back_after_an_outage(tmp_path):
    path = tmp_path / "a.queue"
    spool = Spool(path, 64 * MANY)
    spool.put(numbered(*range(3000)))
    spool.remove(spool.last)
    spool.close()
    assert path.stat().st_size < 500_000


WRITER = """
import sys
from pathlib import Path
from seqdetect.serve.spool import Spool
from test_spool import numbered
spool = Spool(Path(sys.argv[1]), 1 << 40)
number = spool.changes
while True:
    spool.put(numbered(number, number + 1))
    number += 2
    print(number, flush=True)
"""


def test_killed_while_it_writes_all_that_was_put_is_there_and_no_half_batch(tmp_path):
    path = tmp_path / "a.queue"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = 0
    for until in (10, 40, 90):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        for line in process.stdout:
            said = int(line)
            if said >= until:
                break
        process.send_signal(signal.SIGKILL)
        said = int((process.stdout.read().split() or [said])[-1])
        process.stdout.close()
        process.wait()
        spool = Spool(path, MANY)
        assert spool.changes >= said
        assert spool.changes % 2 == 0
        assert found(spool) == list(range(spool.changes))
        spool.close()


def test_a_torn_end_of_the_log_is_cut_off(tmp_path):
    path, copy = tmp_path / "a.queue", tmp_path / "copy.queue"
    spool = Spool(path, MANY)
    spool.put(numbered(1))
    spool.put(numbered(2))
    copy.write_bytes(path.read_bytes())
    (tmp_path / "copy.queue-wal").write_bytes((tmp_path / "a.queue-wal").read_bytes()[:-100])
    spool.close()
    spool = Spool(copy, MANY)
    assert found(spool) == [1]
    spool.close()


@pytest.mark.parametrize("damage", ["not a database", "middle"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path, caplog, damage):
    path = tmp_path / "a.queue"
    for number in (1, 2):
        spool = Spool(path, MANY)
        spool.put(numbered(*range(100)))
        spool.close()
        whole = path.read_bytes()
        broken = (
            b"hello" * 5000 if damage == "not a database" else whole[:4096] + b"\x7f" * 8192 + whole[12288:]
        )
        path.write_bytes(broken)
        caplog.clear()
        spool = Spool(path, MANY)
        assert found(spool) == []
        spool.put(numbered(7))
        assert found(spool) == [7]
        spool.close()
        (record,) = [one for one in caplog.records if one.message == "outbox_damaged"]
        assert record.levelno == logging.ERROR
        assert record.fields["set_aside"] == f"{path}.damaged-{number}"
        assert (tmp_path / f"a.queue.damaged-{number}").read_bytes()[100:] == broken[100:]
        path.unlink()


def test_a_file_in_use_or_of_another_version_is_an_error_and_stays_as_it_is(tmp_path):
    path = tmp_path / "a.queue"
    program = "import sys; from pathlib import Path; from seqdetect.serve.spool import Spool; Spool(Path(sys.argv[1]), 9)"
    spool = Spool(path, MANY)
    spool.put(numbered(1))
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60
    )
    assert "in use by another process; give each its own delivery.folder" in done.stderr
    assert found(spool) == [1]
    spool.close()
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 9")
    file.close()
    before = path.read_bytes()[100:]  # in the head SQLite counts who opened it
    with pytest.raises(ValueError, match="is of version 9; this program knows 1"):
        Spool(path, MANY)
    assert path.read_bytes()[100:] == before
    with pytest.raises(OSError, match="unable to open"):
        Spool(tmp_path, MANY)


def test_a_disk_that_is_full_takes_nothing_and_can_be_asked_again(tmp_path):
    spool = Spool(tmp_path / "a.queue", MANY)
    spool.put(numbered(1))
    spool._file.execute("PRAGMA max_page_count = 5")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.put(numbered(*range(2, 60)))
    assert (found(spool), spool.changes) == ([1], 1)
    spool._file.execute("PRAGMA max_page_count = 5000")
    spool.put(numbered(*range(2, 60)))
    assert found(spool) == list(range(1, 60))
    spool.close()
