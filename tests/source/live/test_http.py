"""Posting events: every kind of body, every answer, and senders who mean harm."""

from __future__ import annotations

import gzip
import json
import random
import socket
import string
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from senders import Keeper, Posted, event, jsonl, request

from seqdetect.events import Tally
from seqdetect.secret import Secret

pytest.importorskip("starlette")
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from seqdetect.source.live.endpoint import Limits
from seqdetect.source.live.http import Http

DOCUMENTED = {202, 400, 408, 413, 415, 429}


@pytest.fixture
def served() -> Iterator[Any]:
    """Makes running sources and closes them."""
    made: list[Posted] = []

    def make(**options: Any) -> Posted:
        made.append(Posted(**options))
        return made[-1]

    yield make
    for one in made:
        one.source.close()


@pytest.fixture
def posted(served: Any) -> Posted:
    return served()


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (json.dumps(event(0)).encode(), 1),
        (json.dumps(event(0), indent=2).encode(), 1),
        (b"\xef\xbb\xbf" + json.dumps(event(0)).encode(), 1),
        (json.dumps([event(0), event(1)]).encode(), 2),
        (json.dumps([event(0), event(1)], indent=1).encode(), 2),
        (b"[]", 0),
        (jsonl(event(0), event(1), event(2)), 3),
        (jsonl(event(0)).rstrip() + b"\r\n\r\n" + jsonl(event(1)).rstrip(), 2),
        (b"\n\n" + jsonl(event(0)), 1),
        (jsonl(*(event(n) for n in range(500))), 500),
    ],
)
def test_what_a_body_may_be(posted: Posted, body: bytes, count: int) -> None:
    status, answer, _ = posted.post(body)
    assert (status, answer) == (202, {"accepted": count, "rejected": 0, "reasons": {}, "examples": []})
    assert posted.events() == [f"e{n}" for n in range(count)]
    assert posted.tally.read == count


def test_bad_events_are_counted_and_named_and_the_good_ones_taken(posted: Posted) -> None:
    events = [
        event(0),
        event(1, prompt_tokens=-1),
        event(2, user_id=""),
        event(3, completion_tokens=1e300),
        event(4, timestamp="noon"),
        "a text",
        event(5),
    ]
    status, answer, _ = posted.post(json.dumps(events))
    assert status == 202
    assert answer["accepted"] == 2
    assert answer["rejected"] == 5
    assert answer["reasons"] == {
        "negative_tokens": 1,
        "empty_user": 1,
        "absurd_tokens": 1,
        "bad_timestamp": 1,
        "malformed_line": 1,
    }
    assert answer["examples"][0] == "body item 2 field prompt_tokens: -1"
    assert posted.events() == ["e0", "e5"]
    assert (posted.tally.read, posted.tally.rejected.total()) == (7, 5)


def test_lines_beside_broken_ones_are_taken(posted: Posted) -> None:
    good = jsonl(event(0))
    body = (
        good
        + b'{"a": \n'
        + b"\xff\xfe\n"
        + b"\0\0\n"
        + b"NaN\n"
        + good.replace(b"100", b"NaN")
        + b"[" * 5_000
        + b"\n"
    )
    status, answer, _ = posted.post(body)
    assert status == 202
    assert answer["accepted"] == 1
    assert answer["reasons"] == {"malformed_line": 6}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n ",
        b"hello",
        b"[1, 2",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\x00" * 1_000,
        json.dumps(event(0)).encode("utf-16"),
        b"17",
        b"<events/>",
        b"timestamp,user_id\n1,2\n",
        b"\xef\xbb\xbf",
    ],
)
def test_what_is_no_json_is_refused(posted: Posted, body: bytes) -> None:
    status, answer, _ = posted.post(body)
    assert status == 400
    assert answer["error"]
    assert posted.events() == []
    assert posted.post(jsonl(event(0)))[0] == 202


def test_gzip(posted: Posted) -> None:
    body = gzip.compress(jsonl(event(0))) + gzip.compress(jsonl(event(1)))
    assert posted.post(body, Content_Encoding="gzip")[0] == 202
    assert posted.events() == ["e0", "e1"]
    for broken in (body[:-9], b"nothing of the kind", body + b"more", gzip.compress(b"") * 100, b""):
        assert posted.post(broken, Content_Encoding="gzip")[0] == 400


def test_other_encodings(posted: Posted) -> None:
    status, _, headers = posted.post(b"x", Content_Encoding="br")
    assert (status, headers["accept-encoding"]) == (415, "gzip")
    assert posted.post(b"x", Content_Encoding="gzip, gzip")[0] == 415
    assert posted.post(jsonl(event(0)), Content_Type="application/json; charset=iso-8859-1")[0] == 415
    assert posted.post(jsonl(event(0)), Content_Type='text/plain; charset="UTF-8"')[0] == 202


def test_size_is_bounded_however_it_comes(served: Any) -> None:
    posted = served(limits=Limits(max_body_bytes=1_000))
    large = jsonl(*(event(n) for n in range(100)))
    bomb = gzip.compress(b" " * 50_000_000)
    assert posted.post(large)[0] == 413
    assert posted.post(iter([large[:600], large[600:]]))[0] == 413  # chunked: no length is announced
    assert posted.post(gzip.compress(large), Content_Encoding="gzip")[0] == 413
    assert posted.post(bomb[:900], Content_Encoding="gzip")[0] == 413
    assert posted.post(b"{}", Content_Length="9" * 18)[0] == 413
    assert posted.events() == []
    assert posted.post(jsonl(event(0)))[0] == 202


def test_a_token_is_asked_for_where_events_are_posted_alone(served: Any) -> None:
    posted = served(token="s3cret", routes=[Route("/healthz", lambda request: PlainTextResponse("ok"))])
    body = jsonl(event(0))
    for wrong in (
        {},
        {"Authorization": "Bearer s3cre"},
        {"Authorization": "Basic s3cret"},
        {"Authorization": "s3cret"},
    ):
        status, answer, headers = posted.post(body, **wrong)
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
        assert "s3cret" not in str(answer)
    assert posted.post(body, Authorization="bearer s3cret")[0] == 202
    assert request(posted.source.port, "GET", "/healthz")[:2] == (200, b"ok")


def test_another_sites_page_posts_no_events(served: Any) -> None:
    """A form, or a script that need not read the answer, reaches a loopback address from any site."""
    open_to_all, guarded = served(), served(token="s3cret")
    body, page = jsonl(event(0)), {"Origin": "https://elsewhere.example", "Content-Type": "text/plain"}
    assert open_to_all.post(body, **page)[0] == 403
    assert open_to_all.post(body, Origin="null")[0] == 403
    assert open_to_all.post(body)[0] == 202
    assert guarded.post(body, **page)[0] == 401
    assert guarded.post(body, Authorization="Bearer s3cret", **page)[0] == 202


def test_a_token_is_one_word() -> None:
    for token in ("", " ", "two words"):
        with pytest.raises(ValueError, match="one word") as caught:
            Http(Tally(), token=Secret(token))
        assert "two" not in str(caught.value)


def test_other_places_and_methods(posted: Posted) -> None:
    assert posted.post(b"{}", path="/v1/other")[0] == 404
    status, _, headers = request(posted.source.port, "GET", "/v1/events")
    assert (status, headers["allow"]) == (405, "POST")


def test_a_full_queue_says_when_to_come_again(served: Any) -> None:
    posted = served(limits=Limits(max_queue_rows=10))
    twelve = jsonl(*(event(n) for n in range(12)))
    assert posted.post(twelve)[0] == 202
    status, _, headers = posted.post(jsonl(event(99)))
    assert status == 429
    assert int(headers["retry-after"]) >= 1
    assert posted.source.stats()["queue_rows"] == 12
    assert posted.events() == [f"e{n}" for n in range(12)]
    assert posted.tally.read == 12  # what was refused comes again, and counts then
    assert posted.post(jsonl(event(99)))[0] == 202


def test_bytes_bound_the_queue_too(served: Any) -> None:
    posted = served(limits=Limits(max_queue_bytes=100_000))
    answers = [posted.post(jsonl(event(0, user_id="u" * 20_000)))[0] for _ in range(8)]
    assert answers[0] == 202
    assert answers[-1] == 429


def test_a_client_may_send_so_much(served: Any) -> None:
    posted = served(limits=Limits(rate_events_s=0.01, burst_events=50))
    fifty = jsonl(*(event(n) for n in range(50)))
    assert posted.post(fifty)[0] == 202
    status, answer, headers = posted.post(jsonl(event(0)))
    assert status == 429
    assert "this client" in answer["error"]
    assert int(headers["retry-after"]) >= 1


def test_batches_come_together(posted: Posted) -> None:
    for n in range(5):
        posted.post(jsonl(event(n)))
    batch = posted.source.poll(1.0)
    assert batch is not None
    assert batch.table.num_rows == 5
    assert (batch.part, batch.position) == ("", None)
    assert posted.source.poll(0.0) is None


def test_what_was_accepted_can_be_polled_after_the_end(posted: Posted) -> None:
    posted.post(jsonl(event(0)))
    posted.source.close()
    assert not posted.source.ended
    assert posted.events() == ["e0"]
    assert posted.source.ended


def test_a_port_in_use_is_named(posted: Posted) -> None:
    other = Http(Tally(), port=posted.source.port)
    with pytest.raises(OSError, match=f"127.0.0.1:{posted.source.port}"):
        other.start(Keeper())
    other.close()


def raw(posted: Posted, *pieces: bytes) -> bytes:
    """All that is answered to ``pieces``, until the server closes."""
    with socket.create_connection(("127.0.0.1", posted.source.port), timeout=20) as connection:
        found = b""
        try:
            for piece in pieces:
                connection.sendall(piece)
            while piece := connection.recv(65_536):
                found += piece
        except ConnectionError:
            pass
        return found


HEADER = b"POST /v1/events HTTP/1.1\r\nHost: x\r\n"


def test_slow_senders_are_let_go(served: Any) -> None:
    posted = served(limits=Limits(header_timeout_s=0.2, body_timeout_s=0.2, keep_alive_s=1))
    begun = time.monotonic()
    assert raw(posted) == b""
    assert raw(posted, HEADER) == b""
    assert raw(posted, HEADER + b"Content-Length: 100\r\n\r\n{").startswith(b"HTTP/1.1 408")
    answered = raw(posted, HEADER + b"Content-Length: 2\r\n\r\n[]")
    assert answered.startswith(b"HTTP/1.1 202")  # and then, idle, the connection is closed
    answered = raw(posted, HEADER + b"Content-Length: 2\r\n\r\n[]" + HEADER)
    assert answered.count(b"HTTP/1.1") == 1
    assert time.monotonic() - begun < 15
    assert posted.post(jsonl(event(0)))[0] == 202


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET\r\n\r\n",
        HEADER + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
        HEADER + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
        HEADER + b"Content-Length: many\r\n\r\n",
        HEADER + b"Content-Length: -1\r\n\r\n",
        HEADER + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\nxx\r\n",
        HEADER + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFFFFFFFFFF\r\n",
        b"POST /v1/events HTTP/1.1\r\n\r\n",
    ],
)
def test_nonsense_in_place_of_http_is_answered_with_400(
    posted: Posted, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answer = raw(posted, nonsense)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert posted.post(jsonl(event(0)))[0] == 202
    assert not caplog.records  # or whoever sends nonsense fills the disk


def test_a_body_that_is_cut_off_is_not_taken(posted: Posted) -> None:
    whole = jsonl(event(0))
    with socket.create_connection(("127.0.0.1", posted.source.port)) as connection:
        connection.sendall(HEADER + b"Content-Length: 5000\r\n\r\n" + whole)
    assert posted.post(jsonl(event(1)))[0] == 202
    assert posted.events() == ["e1"]


def test_a_body_longer_than_announced_is_not_read_as_one(posted: Posted) -> None:
    short, rest = jsonl(event(0)), jsonl(event(1))
    raw(posted, HEADER + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(short) + short + rest)
    assert posted.events() == ["e0"]


def test_an_endless_body_is_not_read_to_its_end(served: Any) -> None:
    posted = served(limits=Limits(max_body_bytes=10_000))
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    answer = raw(posted, HEADER + b"Transfer-Encoding: chunked\r\n\r\n", *(chunk for _ in range(2_000)))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 413")
    assert posted.post(jsonl(event(0)))[0] == 202


def test_a_client_that_would_be_refused_need_not_send(served: Any) -> None:
    posted = served(token="s3cret")
    asked = HEADER + b"Expect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
    assert raw(posted, asked).startswith(b"HTTP/1.1 401")


def test_connections_are_bounded(served: Any) -> None:
    posted = served(limits=Limits(max_connections=5))
    held = [socket.create_connection(("127.0.0.1", posted.source.port)) for _ in range(20)]
    for one in held:
        one.settimeout(5)
    closed = sum(_is_closed(one) for one in held[5:])
    assert closed == 15
    for one in held:
        one.close()
    for _ in range(50):
        try:
            assert posted.post(jsonl(event(0)))[0] == 202
            break
        except OSError:
            time.sleep(0.02)
    assert posted.events() == ["e0"]


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_bodies_read_at_the_same_time_are_bounded(served: Any) -> None:
    posted = served(limits=Limits(max_requests=3))
    held = []
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", posted.source.port))
        connection.sendall(HEADER + b"Content-Length: 100\r\n\r\n{")
        held.append(connection)
    answers = {posted.post(jsonl(event(0)))[0] for _ in range(5)}
    for connection in held:
        connection.close()
    assert answers <= {202, 429}
    assert 429 in answers


def test_many_clients_at_once_lose_nothing(posted: Posted) -> None:
    answers: list[int] = []

    def send(client: int) -> None:
        answers.extend(posted.post(jsonl(event(client * 100 + n)))[0] for n in range(10))

    threads = [threading.Thread(target=send, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [202] * 80
    assert sorted(posted.events()) == sorted(f"e{c * 100 + n}" for c in range(8) for n in range(10))


@pytest.fixture(scope="module")
def lasting() -> Iterator[Posted]:
    """One server for all bodies of a property."""
    one = Posted(limits=Limits(max_body_bytes=4_000))
    yield one
    one.source.close()


GARBAGE = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=200).map(lambda tail: jsonl(event(0)) + tail),
    st.binary(min_size=1, max_size=50).map(lambda inside: jsonl(event(0)).replace(b"user-0", inside)),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*event(0), "user", "x"]), inner),
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {name: st.none() | st.floats() | st.integers() | st.text(max_size=20) for name in event(0)}
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=GARBAGE, coding=st.sampled_from(["", "gzip", "squeezed", "br"]))
def test_whatever_is_posted_gets_a_documented_answer(lasting: Posted, body: bytes, coding: str) -> None:
    headers = {"": {}, "gzip": {"Content_Encoding": "gzip"}, "squeezed": {"Content_Encoding": "gzip"}}
    sent = gzip.compress(body) if coding == "squeezed" else body
    before = lasting.tally.read
    status, answer, _ = lasting.post(sent, **headers.get(coding, {"Content_Encoding": coding}))
    assert status in DOCUMENTED
    taken = lasting.source.poll(0.0)
    if status == 202:
        assert answer["rejected"] == sum(answer["reasons"].values())
        assert lasting.tally.read - before == answer["accepted"] + answer["rejected"]
        assert answer["accepted"] == (0 if taken is None else taken.table.num_rows)
    else:
        assert taken is None
    assert lasting.source.stats()["answers"].get(500) is None


def test_mutations_of_good_requests_do_no_harm(posted: Posted) -> None:
    rng = random.Random(7)
    body = jsonl(event(0), event(1))
    whole = HEADER + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for _ in range(200):
        mutated = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(mutated))
            mutated[place : place + rng.randint(0, 3)] = rng.choice(string.printable).encode() * rng.randint(
                0, 3
            )
        with socket.create_connection(("127.0.0.1", posted.source.port), timeout=20) as connection:
            connection.sendall(mutated)
            connection.shutdown(socket.SHUT_WR)
            try:
                answer = connection.recv(65_536)
            except ConnectionError:
                answer = b""
        assert answer == b"" or answer.split()[1] in b"202 400 404 405 413 415 429".split()
    assert posted.post(jsonl(event(0)))[0] == 202
