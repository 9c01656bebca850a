"""Posting to a far side over HTTP or HTTPS, for every sink that does."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader, LocationParseError
from urllib3.util import Retry, Timeout, Url, make_headers, parse_url

from seqdetect.sink import RefusedError, UnavailableError

JSON: Final = "application/json"
LONGEST_S: Final = 3600.0
"""A far side that asks to be left alone for longer than this is tried again all the same."""
_OURS_TO_MEND: Final = frozenset({401, 403, 407})
"""Credentials that are not accepted: no fault of what was sent, which goes through once they are put right."""
_COME_AGAIN: Final = frozenset({408, 425, 429})
_SHOWN: Final = 200
_TELLING: Final = 6
"""Letters from which on a piece of a path may be a secret; hiding shorter ones would spoil every answer."""
_ANSWER_BYTES: Final = 1 << 16
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")

# its debug lines and some of its warnings hold paths of requests, and those of webhooks are secrets
logging.getLogger("urllib3").setLevel(logging.ERROR)


class Address:
    """One address that is posted to, over connections that are kept.

    Certificates are checked against the system's authorities, or those in the file that the variable ``SSL_CERT_FILE``
    names. The variables ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` are honoured, as curl does: a scorer in a closed
    network reaches a pager in no other way. Redirects are not followed, since a header or a body that is a secret would
    go to whoever the far side names. Errors tell of the host, never of the path, the query or the headers.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        hidden: Iterable[str] = (),
    ) -> None:
        """``timeout_s`` bounds connecting, and each wait for the answer. ``hidden`` are secrets that stand in bodies
        and must not be shown where an answer quotes them; the headers' values are hidden anyway.

        Raises ``ValueError`` for what is no address and for headers that cannot be sent, without showing them.
        """
        parts = _parsed(url)
        for name, value in (headers or {}).items():
            if not _PRINTABLE.fullmatch(value) or not name.isascii():
                raise ValueError(f"the header {name!r} holds something else than printable ASCII")
        self._url = url
        self._host = parts.netloc
        self._headers = dict(headers or {})
        self._hidden = _pieces([*hidden, *self._headers.values(), parts.request_uri])
        self._timeout = Timeout(connect=timeout_s, read=timeout_s)
        self._pool = _pool(parts)

    def post(
        self, body: bytes, content: str = JSON, more: str = "", headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Send ``body`` to the address with ``more`` after it; the answer, or the beginning of a long one.

        ``headers`` are those of this request alone. Raises ``UnavailableError`` where trying again may help: there was no
        answer, a redirect, a server error, a limit on requests, or credentials were not accepted. Raises
        ``RefusedError`` where it will not.
        """
        sent = {**self._headers, "Content-Type": content, **(headers or {})}
        try:
            response = self._pool.request(
                "POST",
                self._url + more,
                body=body,
                headers=sent,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                answer = response.read(_ANSWER_BYTES)
            finally:
                response.close() if response.length_remaining else response.release_conn()
        except (HTTPError, OSError) as error:
            raise UnavailableError(f"{self._host}: {_reason(error)}") from None
        if 200 <= response.status < 300:
            return answer
        raise self._error(response.status, answer, response.headers.get("Retry-After"))

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.clear()

    def _error(self, status: int, answer: bytes, retry_after: str | None) -> UnavailableError | RefusedError:
        what = f"{self._host} answered {status}"
        if 300 <= status < 400:
            return UnavailableError(f"{what}: redirects are not followed; name the address it leads to")
        shown = self._shown(answer)
        what = f"{what}: {shown}" if shown else what
        if status in _OURS_TO_MEND or status in _COME_AGAIN or status >= 500:
            return UnavailableError(what, _seconds(retry_after))
        return RefusedError(what)

    def _shown(self, answer: bytes) -> str:
        """The beginning of an answer, on one line and without secrets that it may quote."""
        text = answer.decode("utf-8", "replace")
        for secret in self._hidden:
            text = text.replace(secret, "...")
        return " ".join(text.split())[:_SHOWN]


def _parsed(url: str) -> Url:
    problem = "an address must be http://HOST or https://HOST, perhaps with :PORT and /PATH"
    try:
        parts = parse_url(url)
    except LocationParseError:
        raise ValueError(problem) from None
    if parts.scheme not in ("http", "https") or not parts.host or not _PRINTABLE.fullmatch(url) or " " in url:
        raise ValueError(problem)
    if parts.auth is not None:
        raise ValueError("a user and a password do not stand in an address; send them in a header")
    return parts


def _pieces(texts: Iterable[str]) -> list[str]:
    """What to hide of paths and headers: an answer may quote the token alone. The longest first."""
    pieces = {piece for text in texts for piece in (text, *re.split(r"[/?&=;,\s]+", text))}
    return sorted((piece for piece in pieces if len(piece) >= _TELLING), key=len, reverse=True)


def _pool(parts: Url) -> urllib3.PoolManager:
    proxy = getproxies().get(str(parts.scheme))
    if not proxy or proxy_bypass(parts.netloc or ""):
        return urllib3.PoolManager(num_pools=1)
    through = parse_url(proxy)
    headers = make_headers(proxy_basic_auth=through.auth) if through.auth else None
    return urllib3.ProxyManager(through._replace(auth=None).url, num_pools=1, proxy_headers=headers)


def _reason(error: BaseException) -> str:
    """Why there was no answer, in words that hold nothing of the request."""
    causes = [error, *error.args, getattr(error, "reason", None), error.__cause__, error.__context__]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()


def _seconds(retry_after: str | None) -> float | None:
    """A ``Retry-After`` in seconds, from seconds or a date (RFC 9110, 10.2.3); None for what is neither."""
    if not retry_after:
        return None
    try:
        return min(max(0.0, Retry().parse_retry_after(retry_after)), LONGEST_S)
    except (InvalidHeader, OverflowError, ValueError):
        return None
