"""Who may see the page and who may speak through it; against other sites in the same browser."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from seqdetect.secret import Secret
from seqdetect.serve.page.guard import Guard, said_here

HERE = "127.0.0.1:8080"


async def told(request: Request) -> Response:
    refusal = said_here(request) if request.method == "POST" else None
    return refusal or JSONResponse({"users": ["secret-user"]})


def ask(guard: Guard, method: str = "GET", host: str = HERE, **headers: str) -> Any:
    transport = httpx.ASGITransport(Starlette(routes=[Route("/api", guard(told), methods=["GET", "POST"])]))
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def asked() -> Any:
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(
                method, f"http://{HERE}/api", headers=[(b"host", host.encode()), *named]
            )

    return asyncio.run(asked())


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


def test_without_a_token_it_is_for_this_machine_alone():
    assert ask(Guard("127.0.0.1", None)).status_code == 200
    assert ask(Guard("localhost", None), host="localhost").status_code == 200
    assert ask(Guard("::1", None), host="[::1]:8080").status_code == 200
    for host in ("0.0.0.0", "::", "10.0.0.7", "scorer.example"):
        answer = ask(Guard(host, None))
        assert answer.status_code == 403, host
        assert "http.token_env" in answer.text
        assert "secret-user" not in answer.text
    for header in ("x_forwarded_for", "forwarded", "via", "x_real_ip"):
        answer = ask(Guard("127.0.0.1", None), **{header: "203.0.113.9"})
        assert answer.status_code == 403, header


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_with_a_token_whoever_knows_it_may(host):
    guard = Guard(host, Secret("hünter2:x"))
    refused = ask(guard)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert ask(guard, authorization=basic("hünter2:x")).status_code == 200
    assert ask(guard, authorization=basic("hünter2:x"), x_forwarded_for="203.0.113.9").status_code == 200
    plain = Guard(host, Secret("hunter2"))
    assert ask(plain, authorization="Bearer hunter2").status_code == 200
    assert ask(plain, authorization="bearer hunter2").status_code == 200
    for wrong in (
        "",
        "hunter2",
        "Bearer",
        "Bearer hunter",
        "Basic",
        "Basic !!!",
        basic(""),
        basic("hunter"),
        "Digest hunter2",
    ):
        assert ask(plain, authorization=wrong).status_code == 401, wrong


def test_a_name_that_only_resolves_here_is_refused():
    guard = Guard("127.0.0.1", None, ["scorer.example"])
    for good in (
        "localhost:8080",
        "LOCALHOST",
        "127.0.0.1:8080",
        "[::1]",
        "scorer.example",
        "Scorer.Example.:443",
    ):
        assert ask(guard, host=good).status_code == 200, good
    for bad in ("evil.example", "127.0.0.1.evil.example", "scorer.example.evil.example", "", "[", "a b"):
        assert ask(guard, host=bad).status_code == 421, bad
    assert (
        ask(Guard("0.0.0.0", Secret("t")), host="evil.example", authorization=basic("t")).status_code == 421
    )


def test_a_page_of_another_site_gets_nothing():
    guard = Guard("127.0.0.1", None)
    for site in ("cross-site", "same-site"):
        answer = ask(guard, sec_fetch_site=site, sec_fetch_mode="no-cors")
        assert answer.status_code == 403
        assert "secret-user" not in answer.text
        assert (
            ask(guard, sec_fetch_site=site, sec_fetch_mode="navigate").status_code == 200
        )  # a link to the page
    assert ask(guard, sec_fetch_site="same-origin", sec_fetch_mode="cors").status_code == 200


def test_only_the_page_and_programs_say_something():
    guard = Guard("127.0.0.1", None)
    good = {"content_type": "application/json"}
    assert ask(guard, "POST", **good).status_code == 200
    assert (
        ask(guard, "POST", **good, origin=f"http://{HERE}", sec_fetch_site="same-origin").status_code == 200
    )
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:9999",
        f"http://{HERE}.evil.example",
        "http://[",
    ):
        assert ask(guard, "POST", **good, origin=origin).status_code == 403, origin
    assert (
        ask(guard, "POST", **good, sec_fetch_site="cross-site", sec_fetch_mode="navigate").status_code == 403
    )
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonp"):
        assert ask(guard, "POST", content_type=kind).status_code == 415, kind


def test_every_answer_forbids_what_the_page_does_not_need():
    for answer in (
        ask(Guard("127.0.0.1", None)),
        ask(Guard("127.0.0.1", Secret("t"))),
        ask(Guard("0.0.0.0", None)),
    ):
        policy = dict(re.findall(r"([a-z-]+) ([^;]+)", answer.headers["content-security-policy"]))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
