"""Users are hashed at the door, in every way that events come in."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdetect.events import Tally, concat
from seqdetect.secret import Secret
from seqdetect.source.files import Files
from seqdetect.source.live.messages import Messages, run
from seqdetect.source.live.reader import Reader
from seqdetect.source.parse.header import Layout
from seqdetect.source.pseudonym import DIGITS, Pseudonyms

KEY = Secret("a key of more than sixteen characters")
HIDDEN = Layout(pseudonyms=Pseudonyms(KEY, ("user_id", "client_ip")))
FILES = {
    "jsonl": '{"timestamp": 1, "user": "ada", "client_ip": "192.0.2.1", "prompt_tokens": 1, "completion_tokens": 2}\n',
    "csv": "timestamp,user,client_ip,prompt_tokens,completion_tokens\n1,ada,192.0.2.1,1,2\n",
}


@given(st.text())
def test_a_name_is_always_the_same_pseudonym(name):
    once = Pseudonyms(KEY).of(name)
    assert once == Pseudonyms(Secret(str(KEY))).of(name)
    assert len(once) == DIGITS
    assert Pseudonyms(Secret("another key of as many characters")).of(name) != once


def test_openssl_gives_the_same():
    found = subprocess.run(
        ["openssl", "dgst", "-sha256", "-hmac", KEY], input=b"ada", capture_output=True, check=True
    )
    assert found.stdout.split()[-1].decode()[:DIGITS] == Pseudonyms(KEY).of("ada")


def test_a_short_key_is_refused_and_not_shown():
    with pytest.raises(ValueError, match="fewer than 16 characters") as refused:
        Pseudonyms(Secret("hunter2"))
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(Pseudonyms(Secret("hunter2 hunter2 hunter2")))


@pytest.mark.parametrize("form", FILES)
def test_files_are_read_with_pseudonyms(form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USERS_KEY", KEY)
    path = tmp_path / f"events.{form}"
    path.write_text(FILES[form] * (1 if form == "csv" else 3))
    table = concat(Files(str(path), hash_users_env="USERS_KEY").read(Tally()))
    assert set(table.column("user_id").to_pylist()) == {Pseudonyms(KEY).of("ada")}
    assert b"ada" not in table.column("user_id").combine_chunks().dictionary.buffers()[2].to_pybytes()


def test_labels_keep_matching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USERS_KEY", KEY)
    (tmp_path / "events.csv").write_text(FILES["csv"])
    (tmp_path / "incidents.csv").write_text(
        "incident_id,user_id,start,end,kind\n1,ada,0,9,flood\n2,*,0,9,botnet\n"
    )
    source = Files(str(tmp_path / "events.csv"), str(tmp_path / "incidents.csv"), hash_users_env="USERS_KEY")
    labels = source.incidents()
    assert labels is not None
    assert labels["user_id"].tolist() == [Pseudonyms(KEY).of("ada"), "*"]


def test_live_lines_and_messages_have_pseudonyms_for_users_and_addresses():
    line = FILES["jsonl"].encode()
    expected = {"user_id": Pseudonyms(KEY).of("ada"), "client_ip": Pseudonyms(KEY).of("192.0.2.1")}
    for table in (
        Reader(HIDDEN).read(line, "test", Tally()),
        Reader(HIDDEN).read(line * 1_000, "test", Tally()),
        Messages("t", HIDDEN, Tally()).read("t-0", [run([line.strip()], range_of(1))])[0],
    ):
        row = table.to_pylist()[0]
        assert {name: row[name] for name in expected} == expected


def test_what_is_rejected_is_not_shown_either():
    bad = b'{"timestamp": 1, "user": "ada", "prompt_tokens": "ada", "completion_tokens": 2}'
    tally = Tally()
    table, rejected = Messages("t", HIDDEN, tally).read("t-0", [run([bad, b"{ada"], range_of(2))])
    assert table.num_rows == 0
    assert [one.reason.partition(":")[0] for one in rejected] == ["not_an_integer", "malformed_line"]
    assert [one.payload for one in rejected] == [b"", b""]
    assert tally.rejected == {"not_an_integer": 1, "malformed_line": 1}
    assert "ada" not in str(tally.examples)


def range_of(count: int):  # type: ignore[no-untyped-def]
    import numpy as np

    return np.arange(count)
