"""The write-ahead log: what was answered with 202 comes back, whatever happens to the process and its files."""

from __future__ import annotations

import http.client
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from senders import Keeper, event, ids, jsonl, request

from seqdetect.events import Tally
from seqdetect.source.live import segment
from seqdetect.source.live.intake import FullError, Intake, UnwritableError
from seqdetect.source.live.log import WriteAhead
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout


class Hand:
    """A feeder that the test puts tables into by hand."""

    done = False
    intake: Intake

    def feed(self, intake: Intake) -> None:
        self.intake = intake

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self.done = True

    def put(self, *numbers: int, **changes: Any) -> Future[None]:
        body = jsonl(*(event(n, **changes) for n in numbers))
        return self.intake.put(Reader(Layout()).read(body, "hand", Tally()))


class Logged:
    """A log that is open, with a hand to feed it."""

    def __init__(self, folder: Path, position: Any = None, **options: Any) -> None:
        self.hand, self.tally = Hand(), Tally()
        self.log = WriteAhead(self.hand, folder, self.tally, **options)
        self.position = position
        self.log.start(Keeper(position))

    def poll(self) -> list[str]:
        found: list[str] = []
        while (batch := self.log.poll(0.0)) is not None:
            found += ids(batch.table)
            self.position = json.loads(json.dumps(batch.position))
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.wal"))


def test_what_is_put_is_polled_and_comes_again_until_it_is_committed(folder: Path) -> None:
    one = Logged(folder)
    for number in range(5):
        one.hand.put(number).result(10)
    assert one.poll() == [f"e{n}" for n in range(5)]
    kept = one.position
    one.hand.put(5, 6).result(10)
    one.log.close()
    two = Logged(folder, kept)
    assert two.poll() == ["e5", "e6"]
    assert two.tally.read == 2
    two.hand.put(7).result(10)
    two.log.close()
    assert not two.log.ended
    assert two.poll() == ["e7"]
    assert two.log.ended
    three = Logged(folder)
    assert three.poll() == [f"e{n}" for n in range(8)]
    three.log.close()


def test_what_waits_to_be_polled_is_told_over_segments_and_restarts(folder: Path) -> None:
    one = Logged(folder, segment_bytes=2000, max_bytes=1 << 20)
    for number in range(30):
        one.hand.put(number).result(10)
    assert len(files(folder)) > 2
    waiting = one.log.stats()["log_unread_bytes"]
    assert waiting > 0
    assert one.log.poll(0.0) is not None
    one.poll()
    assert one.log.stats()["log_unread_bytes"] == 0
    one.log.close()
    again = Logged(folder, segment_bytes=2000, max_bytes=1 << 20)
    assert again.log.stats()["log_unread_bytes"] >= waiting
    again.log.close()


def test_waiting_tables_are_written_together(folder: Path) -> None:
    one = Logged(folder)
    futures = [one.hand.put(n) for n in range(300)]
    for future in futures:
        future.result(10)
    assert one.poll() == [f"e{n}" for n in range(300)]
    one.log.close()
    records = 0
    file = os.open(files(folder)[0], os.O_RDONLY)
    offset = segment.START
    while (found := segment.read(file, offset)) is not None:
        records, offset = records + 1, found[1]
    os.close(file)
    assert records < 300


def test_who_gives_up_waiting_does_no_harm(folder: Path) -> None:
    one = Logged(folder)
    for number in range(20):
        assert not one.hand.put(number).cancel()
    one.hand.put(20).result(10)
    assert one.poll() == [f"e{n}" for n in range(21)]
    one.log.close()


def test_polling_waits_for_what_comes(folder: Path) -> None:
    one = Logged(folder)
    timer = threading.Timer(0.05, lambda: one.hand.put(1))
    timer.start()
    batch = one.log.poll(10.0)
    assert batch is not None
    assert ids(batch.table) == ["e1"]
    timer.join()
    one.log.close()


def test_segments_are_deleted_once_they_are_behind(folder: Path) -> None:
    one = Logged(folder, segment_bytes=4_000, max_bytes=1_000_000)
    for number in range(20):
        one.hand.put(number).result(10)
    assert len(files(folder)) > 3
    batch = one.log.poll(0.0)
    assert batch is not None
    one.log.commit("", batch.position)
    assert len(files(folder)) == 1
    one.hand.put(20).result(10)
    one.log.close()
    two = Logged(folder, batch.position, segment_bytes=4_000, max_bytes=1_000_000)
    assert two.poll() == ["e20"]
    two.log.close()


def test_a_full_log_says_so_until_there_is_room(folder: Path) -> None:
    one = Logged(folder, segment_bytes=10_000, max_bytes=60_000)
    taken = 0
    try:
        while taken < 1_000:
            one.hand.put(taken).result(10)
            taken += 1
    except FullError:
        pass
    assert 0 < taken < 1_000
    assert sum(path.stat().st_size for path in files(folder)) <= 60_000
    assert one.poll() == [f"e{n}" for n in range(taken)]
    one.log.commit("", one.position)
    one.hand.put(taken).result(10)
    assert one.poll() == [f"e{taken}"]
    one.log.close()


def test_a_torn_end_is_cut_off_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    one = Logged(folder)
    one.hand.put(0).result(10)
    one.hand.put(1).result(10)
    one.log.close()
    (path,) = files(folder)
    whole = path.read_bytes()
    copy = folder.parent / "copy"
    torn = len(whole) - 1
    shutil.copytree(folder, copy)
    (copy / path.name).write_bytes(whole[:torn])
    with caplog.at_level(logging.WARNING):
        two = Logged(copy)
    assert "cut off" in caplog.text
    assert two.poll() == ["e0"]
    two.hand.put(2).result(10)
    assert two.poll() == ["e2"]
    two.log.close()
    three = Logged(copy)
    assert three.poll() == ["e0", "e2"]
    three.log.close()


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_whatever_the_end_of_the_newest_file_is_what_stands_before_is_kept(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("log")
    one = Logged(folder)
    ends = [segment.START]
    for number in range(3):
        one.hand.put(number).result(10)
        ends.append(files(folder)[0].stat().st_size)
    one.log.close()
    (path,) = files(folder)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    garbage = data.draw(st.one_of(st.binary(max_size=40), st.integers(0, 5_000).map(bytes)))
    if cut < segment.START:
        garbage = b""
    left = whole[:cut] + garbage
    path.write_bytes(left)
    two = Logged(folder)
    found = two.poll()
    assert found == [f"e{n}" for n, end in enumerate(ends[1:]) if left[:end] == whole[:end]]
    two.hand.put(9).result(10)
    assert two.poll() == ["e9"]
    two.log.close()


def test_damage_in_an_older_segment_costs_the_rest_of_it_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Logged(folder, segment_bytes=4_000, max_bytes=1_000_000)
    for number in range(10):
        one.hand.put(number).result(10)
    one.log.close()
    damaged = files(folder)[1]
    data = bytearray(damaged.read_bytes())
    data[100] ^= 1
    damaged.write_bytes(data)
    two = Logged(folder, segment_bytes=4_000, max_bytes=1_000_000)
    found = two.poll()
    assert found[:1] == ["e0"]
    assert found[-1] == "e9"
    assert len(found) < 10
    assert two.tally.rejected == {"damaged_log": 1}
    assert damaged.name in caplog.text
    two.log.close()


def test_a_log_that_was_deleted_is_begun_anew_with_other_numbers(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Logged(folder)
    one.hand.put(0, 1, 2).result(10)
    one.poll()
    one.log.close()
    shutil.rmtree(folder)
    two = Logged(folder, one.position)
    assert "was it deleted" in caplog.text
    two.hand.put(3).result(10)
    assert two.poll() == ["e3"]
    two.log.close()
    assert two.position > one.position
    three = Logged(folder, one.position)
    assert three.poll() == ["e3"]
    three.log.close()


def test_a_disk_that_takes_no_more_refuses_and_recovers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Logged(folder)
    one.hand.put(0).result(10)
    real = os.fsync

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(UnwritableError):
        one.hand.put(1).result(10)
    monkeypatch.setattr(os, "fsync", real)
    one.hand.put(2).result(10)
    assert one.poll() == ["e0", "e2"]
    one.log.close()
    two = Logged(folder)
    assert two.poll() == ["e0", "e2"]
    two.log.close()


def test_two_processes_cannot_share_a_log(folder: Path) -> None:
    one = Logged(folder)
    with pytest.raises(ValueError, match="in use"):
        Logged(folder)
    one.log.close()


def test_what_is_no_log_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    other = folder / "000000000001.wal"
    other.write_bytes(b"somebody else's file")
    with pytest.raises(ValueError, match="no segment"):
        Logged(folder)
    assert other.read_bytes() == b"somebody else's file"


@pytest.mark.parametrize("position", [5, "ab", [1], [1, -1], [1.5, 2], {"segment": 1}])
def test_a_position_of_something_else_is_refused(folder: Path, position: Any) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Logged(folder, position)


def test_segments_must_be_small_against_the_whole(folder: Path) -> None:
    with pytest.raises(ValueError, match="too large"):
        WriteAhead(Hand(), folder, Tally(), segment_bytes=100, max_bytes=300)


SERVICE = textwrap.dedent(
    """
    import json, sys
    from seqdetect.events import Tally
    from seqdetect.source.live.http import Http
    from seqdetect.source.live.log import WriteAhead

    class Keeper:
        def assigned(self, part):
            return json.loads(sys.argv[2])

    tally = Tally()
    http = Http(tally, port=0)
    log = WriteAhead(http, sys.argv[1], tally, segment_bytes=20_000, max_bytes=10_000_000)
    log.start(Keeper())
    print(json.dumps({"port": http.port}), flush=True)
    while True:
        batch = log.poll(0.05)
        if batch is not None:
            print(json.dumps({"ids": batch.table.column("event_id").to_pylist(), "position": batch.position}), flush=True)
    """
)


def test_nothing_that_was_answered_with_202_is_lost_when_the_process_is_killed(folder: Path) -> None:
    pytest.importorskip("uvicorn")
    rng = random.Random(3)
    position: Any = None
    accepted: list[str] = []
    delivered: list[str] = []
    number = 0
    for _ in range(6):
        command = [sys.executable, "-c", SERVICE, str(folder), json.dumps(position)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            assert request(port, "POST", "/v1/events", b"[]")[0] == 202
            kill = threading.Timer(rng.uniform(0.0, 0.4), process.send_signal, (signal.SIGKILL,))
            kill.start()
            try:
                while True:
                    names = [f"e{number}", f"e{number + 1}"]
                    body = jsonl(event(number), event(number + 1))
                    number += 2
                    status, _, _ = request(port, "POST", "/v1/events", body)
                    assert status == 202
                    accepted += names
            except (OSError, ValueError, http.client.HTTPException):
                pass
            kill.join()
            heard = [json.loads(line) for line in process.stdout if line.endswith(b"\n")]
        # a checkpoint was made some time before the process died
        for said in heard[: rng.randint(0, len(heard))]:
            delivered += said["ids"]
            position = said["position"]
    last = Logged(folder, position)
    delivered += last.poll()
    last.log.close()
    assert len(delivered) == len(set(delivered))
    assert set(accepted) <= set(delivered)
    assert len(accepted) > 10
