"""Standard input of a real process: what comes is polled at once, and the end is seen."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from senders import event, jsonl

PROGRAM = textwrap.dedent(
    """
    import json, sys
    from seqdetect.events import Tally
    from seqdetect.source.live.stdin import Stdin

    class Keeper:
        def assigned(self, part):
            return None

    def say(**what):
        print(json.dumps(what), flush=True)

    tally = Tally()
    source = Stdin(tally, max_rows=int(sys.argv[1]))
    source.start(Keeper())
    say(begun=True)
    try:
        while not source.ended:
            batch = source.poll(0.05)
            if batch is not None:
                say(ids=batch.table.column("event_id").to_pylist(), position=batch.position)
            if batch is not None and "stop" in sys.argv:
                break
        source.close()
        rest = source.poll(0.0)
        say(read=tally.read, rejected=dict(tally.rejected), examples=tally.examples, rest=rest is not None)
    except ValueError as error:
        say(error=str(error))
    """
)


@contextmanager
def started(*arguments: str, rows: int = 1_000) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", PROGRAM, str(rows), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert said(process) == {"begun": True}
        yield process


def said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    found: dict[str, Any] = json.loads(line)
    return found


def given(data: bytes, rows: int = 1_000) -> tuple[list[str], dict[str, Any]]:
    """The ids polled, and the last word, of a process that gets ``data`` and then the end."""
    with started(rows=rows) as process:
        out, errors = process.communicate(data, timeout=60)
    assert process.returncode == 0, errors.decode()
    *batches, last = map(json.loads, out.splitlines())
    return [one for batch in batches for one in batch["ids"]], last


def test_lines_are_polled_while_the_pipe_is_open() -> None:
    with started() as process:
        assert process.stdin is not None
        for number in range(3):
            process.stdin.write(jsonl(event(number)))
            process.stdin.flush()
            assert said(process) == {"ids": [f"e{number}"], "position": None}
        process.stdin.close()
        assert said(process)["read"] == 3
        assert process.wait(20) == 0


def test_everything_is_counted() -> None:
    body = (
        jsonl(event(0), event(1, prompt_tokens=-3))
        + b"\xff\n\0\n{\n\n"
        + b"x" * 2_000_000
        + b"\n"
        + jsonl(event(2))
    )
    ids, last = given(body + b'{"timestamp": 1')
    assert ids == ["e0", "e2"]
    assert last["read"] == 8
    assert last["rejected"] == {"negative_tokens": 1, "malformed_line": 5}
    assert last["examples"][0] == "stdin line 2 field prompt_tokens: -3"


def test_more_than_may_wait_is_read_when_there_is_room() -> None:
    count = 20_000
    ids, last = given(jsonl(*(event(n) for n in range(count))), rows=100)
    assert ids == [f"e{n}" for n in range(count)]
    assert last["read"] == count


def test_csv_and_gzip() -> None:
    csv = b"timestamp,user_id,prompt_tokens,completion_tokens,event_id\n1772409600,u,1,2,a\n1772409601,u,1,-2,b\n"
    ids, last = given(gzip.compress(csv))
    assert ids == ["a"]
    assert last["rejected"] == {"negative_tokens": 1}


@pytest.mark.parametrize("data", [b"", b"\n\n"])
def test_nothing(data: bytes) -> None:
    ids, last = given(data)
    assert (ids, last["read"]) == ([], 0)


@pytest.mark.parametrize("data", [b"time,who\n1,2\n", "{}".encode("utf-16"), b"PAR1xxxx"])
def test_what_cannot_be_read_at_all_is_said(data: bytes) -> None:
    _, last = given(data)
    assert "stdin" in last["error"]


def test_the_process_can_end_while_the_pipe_is_open() -> None:
    with started("stop") as process:
        assert process.stdin is not None
        process.stdin.write(jsonl(event(0)))
        process.stdin.flush()
        assert said(process)["ids"] == ["e0"]
        assert said(process)["rest"] is False
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
