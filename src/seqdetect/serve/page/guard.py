"""Who may see the page, and who may speak through it.

What it shows names users, so it is for those who know the token, or, where there is no token, for this machine alone.
Against other sites in the same browser:

- names that resolve to this address but are nobody's here are refused (DNS rebinding), by the ``Host`` header;
- what a page of another origin makes the browser send is refused, by ``Origin`` and ``Sec-Fetch-Site``
  (https://www.w3.org/TR/fetch-metadata/), and a verdict has to come as JSON, which such a page cannot send unasked;
- nothing is loaded from elsewhere, run from within the text or shown in a frame (Content-Security-Policy), so that a
  user's name stays a name even where it is written as markup.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from seqdetect.secret import Secret

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_FORWARDED: Final = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
Endpoint = Callable[[Request], Awaitable[Response]]


class Guard:
    """Looks at every request before it is answered. ``host`` is the address listened on, ``names`` are further ones
    under which the page is reached; a bare IP address is nobody else's name, and always good."""

    def __init__(self, host: str, token: Secret | None, names: Iterable[str] = ()) -> None:
        self._token = None if token is None else token.encode()
        self._loopback = _is_loopback(host)
        self._names = {name.lower().rstrip(".") for name in ("localhost", host, *names)}

    def __call__(self, endpoint: Endpoint) -> Endpoint:
        """``endpoint``, for those who may."""

        async def answer(request: Request) -> Response:
            response = self.refusal(request) or await endpoint(request)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return answer

    def refusal(self, request: Request) -> Response | None:
        """What to answer who may not; None for who may."""
        if not self._known(request.headers.get("host", "")):
            return _refused(421, "this name is not the page's; list it under page.hosts")
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and _asks_within(
            request
        ):
            return _refused(403, "another site's page may not ask this")
        if self._token is None:
            return self._without_token(request)
        if hmac.compare_digest(_given(request.headers.get("authorization", "")), self._token):
            return None
        refused = _refused(401, "the token is needed: as the password, with any name")
        refused.headers["WWW-Authenticate"] = 'Basic realm="seqdetect", charset="UTF-8"'
        return refused

    def _without_token(self, request: Request) -> Response | None:
        if not self._loopback:
            return _refused(
                403,
                "the page names users, and this address is open to others: set http.token_env or http.token_file, "
                "or let http.host be 127.0.0.1",
            )
        if any(name in request.headers for name in _FORWARDED):
            return _refused(
                403, "the page names users, and a proxy hands it on: set http.token_env or http.token_file"
            )
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return _is_address(name) or name.rstrip(".") in self._names


def said_here(request: Request) -> Response | None:
    """What to answer to a request that wants to change something and does not come from the page or a program."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _refused(415, "a verdict comes as application/json")
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
        return _refused(403, "another site's page may not say this")
    return None


def _asks_within(request: Request) -> bool:
    """Whether a page asks rather than a person who follows a link to the page itself."""
    return request.method != "GET" or request.headers.get("sec-fetch-mode") != "navigate"


def _given(authorization: str) -> bytes:
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip().encode()
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _refused(status: int, error: str) -> JSONResponse:
    return JSONResponse({"error": error}, status)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if _is_address(host) else host == "localhost"
