"""Changes of alerts as signed JSON, to whatever listens: Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from seqdetect.secret import Secret
from seqdetect.sink import Change
from seqdetect.sink.identity import key
from seqdetect.sink.post import Address

TYPES: Final = {"open": "alert.opened", "update": "alert.updated", "resolve": "alert.resolved"}
LEAST_BYTES: Final = 24
"""Of a secret; the specification asks for 24 to 64."""
_PREFIX: Final = "whsec_"


class WebhookSink:
    """One POST per change: ``{"type", "timestamp", "data"}``, where ``data`` is the change as JSON lines have it.

    ``webhook-id`` stays the same when a change comes again, so the receiver can drop what it has had;
    ``webhook-signature`` shows that sender and content are genuine, and ``webhook-timestamp``, which is signed, too,
    that nobody has kept it to send it later.
    """

    queued: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        secret: Secret,
        previous: Secret | None = None,
        headers: dict[str, Secret] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        """``secret`` is at least 24 bytes in base64, perhaps after ``whsec_``. ``previous`` is the one before: both sign
        while receivers change over. ``headers`` go along, for a gateway that asks for a token of its own.

        Raises ``ValueError`` for a secret, an address or a header that is none.
        """
        given = [secret] if previous is None else [secret, previous]
        self._keys = [_key(one) for one in given]
        self._address = Address(url, headers, timeout_s, hidden=given)

    def send(self, changes: Sequence[Change]) -> None:
        for change in changes:
            body = msgspec.json.encode(
                {"type": TYPES[change["change"]], "timestamp": change["at"], "data": change}
            )
            self._address.post(body, headers=signed(key(change), int(time.time()), body, self._keys))

    def close(self) -> None:
        self._address.close()


def signed(message: str, now_s: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers of the message of that id, sent at ``now_s`` (Unix time), with a signature under each key."""
    content = f"{message}.{now_s}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(one, content, hashlib.sha256)).decode() for one in keys]
    return {
        "webhook-id": message,
        "webhook-timestamp": str(now_s),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _key(secret: Secret) -> bytes:
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) < LEAST_BYTES:
        raise ValueError(
            f"the secret must be {LEAST_BYTES} bytes or more in base64, perhaps after {_PREFIX}: openssl rand -base64 32"
        )
    return found
