"""Names of users replaced at the door by what only the holder of a key can tell from a guess."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from seqdetect.events import SCHEMA
from seqdetect.secret import Secret

DIGITS: Final = 32
"""Hex digits of a pseudonym: 128 bits."""
_LEAST_KEY: Final = 16


@dataclass(frozen=True)
class Pseudonyms:
    """HMAC-SHA256 (RFC 2104), the first 16 bytes in hex, of each text of ``columns`` under a key.

    The same name is the same pseudonym for as long as the key is the same. ``printf %s NAME | openssl dgst -sha256 -hmac
    "$KEY"`` gives it, too.
    """

    key: Secret
    columns: Sequence[str] = ("user_id",)

    def __post_init__(self) -> None:
        if len(self.key) < _LEAST_KEY:
            raise ValueError(f"the key that users are hashed with has fewer than {_LEAST_KEY} characters")

    def of(self, name: str) -> str:
        """The pseudonym of one name."""
        return hmac.digest(self.key.encode(), name.encode(), "sha256").hex()[:DIGITS]

    def hide(self, table: pa.Table) -> pa.Table:
        """An event table with its names replaced; each is hashed once, however many rows it has."""
        for name in self.columns:
            if name in table.column_names:
                place = table.column_names.index(name)
                column = table.column(name).unify_dictionaries()
                chunks = [self._hidden(chunk) for chunk in column.chunks]
                hidden = pa.chunked_array(chunks, SCHEMA.field(name).type)
                table = table.set_column(place, table.schema.field(place), hidden)
        return table

    def _hidden(self, column: pa.DictionaryArray) -> pa.DictionaryArray:
        words = [None if word is None else self.of(word) for word in column.dictionary.to_pylist()]
        return pa.DictionaryArray.from_arrays(column.indices, pa.array(words, pa.string()))
