"""What a far side can know a change by when it comes twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec


def key(change: Mapping[str, Any]) -> str:
    """The alert's id and a hash of all that the change says: the same whenever, and however often, it is sent."""
    content = msgspec.json.encode(change, order="sorted")
    return f"{change['alert_id']}-{hashlib.blake2b(content, digest_size=12).hexdigest()}"
