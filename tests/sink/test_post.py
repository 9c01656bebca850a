"""What an answer, or none, means for what was posted; and that no error tells a secret."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from receiver import Receiver, receiver
from seqdetect.sink import RefusedError, UnavailableError
from seqdetect.sink.post import LONGEST_S, Address


@pytest.fixture
def far():
    with receiver() as one:
        yield one


def test_a_body_and_headers_arrive_as_given(far):
    address = Address(f"{far.url}/hook?a=b", {"Authorization": "Bearer s3cret"})
    assert address.post(b"{}", headers={"X-More": "1"}) == b"ok"
    address.post(b"m f=1", "text/plain", "&c=d")
    address.close()
    first, second = far.requests
    assert (first.path, first.body, first.headers["content-type"]) == ("/hook?a=b", b"{}", "application/json")
    assert (first.headers["authorization"], first.headers["x-more"]) == ("Bearer s3cret", "1")
    assert (second.path, second.headers["content-type"]) == ("/hook?a=b&c=d", "text/plain")


@pytest.mark.parametrize("status", [301, 307, 401, 403, 408, 425, 429, 500, 502, 503, 504])
def test_trying_again_may_help(far, status):
    far.answers.append((status, {"Location": "http://127.0.0.2:1/"}, b""))
    with pytest.raises(UnavailableError, match=f"answered {status}"):
        Address(far.url).post(b"{}")
    assert len(far.requests) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 415, 422])
def test_trying_again_will_not_help(far, status):
    far.answers.append((status, {}, b"invalid\n payload"))
    with pytest.raises(RefusedError, match=f"answered {status}: invalid payload"):
        Address(far.url).post(b"{}")


@pytest.mark.parametrize(
    ("said", "lower", "upper"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        (timedelta(seconds=600), 300, 600),
        (timedelta(seconds=-600), 0, 0),
        ("99999999999", LONGEST_S, LONGEST_S),
    ],
)
def test_a_far_side_can_ask_to_be_left_alone(far, said, lower, upper):
    if isinstance(said, timedelta):
        said = format_datetime(datetime.now(UTC) + said, usegmt=True)
    far.answers.append((429, {"Retry-After": said}, b""))
    with pytest.raises(UnavailableError) as caught:
        Address(far.url).post(b"{}")
    assert caught.value.after_s is not None
    assert lower <= caught.value.after_s <= upper


@pytest.mark.parametrize("said", ["soon", "-5", "1e9", ""])
def test_what_cannot_be_understood_is_no_request(far, said):
    far.answers.append((429, {"Retry-After": said}, b""))
    with pytest.raises(UnavailableError) as caught:
        Address(far.url).post(b"{}")
    assert caught.value.after_s in (None, 0.0)


def test_no_answer_is_unavailable(far):
    far.down()
    with pytest.raises(UnavailableError, match="Connection refused"):
        Address(far.url).post(b"{}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = Address(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.05)
        with pytest.raises(UnavailableError, match="timeout"):
            address.post(b"{}")


def test_a_long_answer_is_not_read_to_its_end(far):
    far.answers.append((500, {}, b"x" * 5_000_000))
    with pytest.raises(UnavailableError) as caught:
        Address(far.url).post(b"{}")
    assert len(str(caught.value)) < 300
    Address(far.url).post(b"{}")


SECRETS = ("T0/B0/hunter2", "hunter3", "hunter4")


def test_neither_errors_nor_logs_tell_a_secret(far, caplog):
    caplog.set_level(logging.DEBUG)
    address = Address(f"{far.url}/services/{SECRETS[0]}", {"Authorization": SECRETS[1]}, hidden=[SECRETS[2]])
    echo = " ".join((*SECRETS, f"/services/{SECRETS[0]}")).encode()
    shown = []
    for answer in ((400, {}, echo), (500, {}, echo), (302, {"Location": f"/{SECRETS[0]}"}, echo)):
        far.answers.append(answer)
        with pytest.raises((UnavailableError, RefusedError)) as caught:
            address.post(b"{}")
        shown.append("".join(traceback.format_exception(caught.value)))
    far.down()
    with pytest.raises(UnavailableError) as caught:
        address.post(b"{}")
    shown.append("".join(traceback.format_exception(caught.value)))
    told = "".join(shown) + caplog.text
    assert "127.0.0.1" in told
    assert not [secret for secret in ("hunter2", "hunter3", "hunter4") if secret in told]


@pytest.mark.parametrize(
    "url",
    ["hunter2", "ftp://h/hunter2", "http:///hunter2", "http://u:hunter2@h/", "http://h:hunter2/", "http://h/a hunter2", "http://[hunter2/", "http://h/\nhunter2"],
)  # fmt: skip
def test_what_is_no_address_is_said_without_showing_it(url):
    with pytest.raises(ValueError, match="address") as caught:
        Address(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("value", ["hunter2\r\nX: y", "hunter2€", "hunter2\x00"])
def test_a_header_that_cannot_be_sent_is_said_without_showing_it(value):
    with pytest.raises(ValueError, match="X-Token") as caught:
        Address("http://h", {"X-Token": value})
    assert "hunter2" not in str(caught.value)


def test_certificates_are_checked(far, tmp_path, monkeypatch):
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    far.down()
    far.secure = context
    far.up()
    url = f"https://localhost:{far.port}"
    with pytest.raises(UnavailableError, match="its certificate is not accepted: self-signed"):
        Address(url).post(b"{}")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert Address(url).post(b"{}") == b"ok"
    with pytest.raises(UnavailableError, match="its certificate is not accepted"):
        Address(f"https://127.0.0.1:{far.port}").post(b"{}")


def test_the_proxy_of_the_environment_is_used_but_for_hosts_without(far, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:hunter2@127.0.0.1:{far.port}")
    Address("http://pager.example/v2").post(b"{}")
    (through,) = far.requests
    assert through.path == "http://pager.example/v2"
    assert through.headers["proxy-authorization"].startswith("Basic ")
    other = Receiver()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    Address(f"{other.url}/own").post(b"{}")
    other.down()
    assert [request.path for request in other.requests] == ["/own"]
    far.down()
    with pytest.raises(UnavailableError) as caught:
        Address("http://pager.example/v2").post(b"{}")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
