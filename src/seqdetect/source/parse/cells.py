"""Cells of one column to numbers and text, a whole block at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from seqdetect.events import TEXT
from seqdetect.source.parse import Numbers

Faults = npt.NDArray[np.uint8]
Piece = TypeVar("Piece")

DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MOST_TOKENS = 1_000_000_000
"""Tokens of one request beyond which the number is taken for damage: a thousand times any context window."""

_LEAF = 256
"""Cells below which a piece with a bad cell is read one by one: a failed cast costs as much as 100 of them."""
_PROBES = 9


class Fault(IntEnum):
    """Why a row is rejected; the lower-case name is the reason in the tally."""

    NONE = 0
    MISSING_VALUE = 1
    NOT_AN_INTEGER = 2
    NEGATIVE_TOKENS = 3
    ABSURD_TOKENS = 4
    BAD_TIMESTAMP = 5
    EMPTY_USER = 6


def plain(cells: pa.Array) -> pa.Array:
    """``cells`` without dictionary encoding; every kind of text as ``string``, a column of nulls too."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return cells.cast(pa.string())
    return cells


def in_pieces(
    cells: pa.Array, fast: Callable[[pa.Array], Piece], slow: Callable[[pa.Array], Piece]
) -> list[Piece]:
    """``fast`` on all cells; where it raises ``ArrowInvalid``, on both halves, down to ``slow`` on a few.

    So one bad cell costs a few more passes over its block, and not a Python loop over all of it. Both must
    agree on every cell that ``fast`` accepts, or the result would depend on how a file falls into blocks.
    """
    try:
        return [fast(cells)]
    except pa.ArrowInvalid:
        if len(cells) <= _LEAF or _mostly_fails(cells, fast):
            return [slow(cells)]
    half = len(cells) // 2
    return in_pieces(cells.slice(0, half), fast, slow) + in_pieces(cells.slice(half), fast, slow)


def _mostly_fails(cells: pa.Array, fast: Callable[[pa.Array], object]) -> bool:
    """Whether most of a few cells fail by themselves: then halving would only fail again, level by level."""
    failed = 0
    for place in range(0, len(cells), max(1, len(cells) // _PROBES)):
        try:
            fast(cells.slice(place, 1))
        except pa.ArrowInvalid:
            failed += 1
    return failed > _PROBES // 2


def tokens(cells: pa.Array) -> tuple[Numbers, Faults]:
    """Token counts [rows], 0 where there is none, and what is wrong with each [rows]."""
    cells = plain(cells)
    if pa.types.is_integer(cells.type):
        return _whole(cells)
    if pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
        return _rounded(cells.cast(pa.float64(), safe=False))
    if not pa.types.is_string(cells.type):
        fault = np.full(len(cells), Fault.NOT_AN_INTEGER, np.uint8)
        return np.zeros(len(cells), np.int64), np.where(_valid(cells), fault, np.uint8(Fault.MISSING_VALUE))
    counts, faults = zip(*in_pieces(cells, _parsed, _one_by_one), strict=True)
    return np.concatenate(counts), np.concatenate(faults)


def _whole(cells: pa.Array) -> tuple[Numbers, Faults]:
    # Clipped first: an unsigned 64-bit value would turn negative; past the bound all are absurd alike.
    if pa.types.is_uint64(cells.type):
        cells = pc.min_element_wise(cells, pa.scalar(MOST_TOKENS + 1, pa.uint64()), skip_nulls=False)
    return _judged(cells.cast(pa.int64()).fill_null(0).to_numpy(), _valid(cells))


def _rounded(cells: pa.Array) -> tuple[Numbers, Faults]:
    values = cells.fill_null(0).to_numpy()
    whole = np.isfinite(values) & (values == np.floor(values))
    counts, faults = _judged(
        np.where(whole, np.clip(values, -1, MOST_TOKENS + 1), 0).astype(np.int64), _valid(cells)
    )
    faults[~whole] = Fault.NOT_AN_INTEGER
    return counts, faults


def _judged(counts: Numbers, valid: npt.NDArray[np.bool_]) -> tuple[Numbers, Faults]:
    faults = np.zeros(len(counts), np.uint8)
    faults[counts < 0] = Fault.NEGATIVE_TOKENS
    faults[counts > MOST_TOKENS] = Fault.ABSURD_TOKENS
    faults[~valid] = Fault.MISSING_VALUE
    return np.where(faults == Fault.NONE, counts, 0), faults


def _parsed(cells: pa.Array) -> tuple[Numbers, Faults]:
    if pc.any(pc.match_substring(cells, "x", ignore_case=True)).as_py():
        raise pa.ArrowInvalid("Arrow reads 0x10 as an integer, and no token count is meant so")
    try:
        return _whole(cells.cast(pa.int64()))
    except pa.ArrowInvalid:
        return _rounded(cells.cast(pa.float64()))


def _one_by_one(cells: pa.Array) -> tuple[Numbers, Faults]:
    texts = [(text or "").strip() for text in cells.to_pylist()]
    values = pa.array([float(text) if DECIMAL.fullmatch(text) else np.nan for text in texts], pa.float64())
    counts, faults = _rounded(values)
    faults[[text == "" for text in texts]] = Fault.MISSING_VALUE
    return counts, faults


def texts(cells: pa.Array) -> pa.DictionaryArray:
    """Text [rows], dictionary encoded; an empty text is a missing one, numbers are spelled out."""
    named = pa.types.is_dictionary(cells.type) and pa.types.is_string(cells.type.value_type)
    if named and not pc.any(pc.equal(cells.dictionary, "")).as_py():
        return cells.cast(TEXT)
    cells = as_strings(cells)
    if pc.any(pc.equal(cells, "")).as_py():
        cells = pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)
    return cells.dictionary_encode().cast(TEXT)


def as_strings(cells: pa.Array) -> pa.Array:
    """``cells`` as strings; NaN, and cells of a kind that has no spelling (lists, objects), become null."""
    cells = plain(cells)
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    try:
        return cells.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.nulls(len(cells), pa.string())


def users(cells: pa.Array, stand_in: str | None) -> tuple[pa.DictionaryArray, Faults]:
    """Keys [rows], and which rows have none; with a ``stand_in`` such rows get it instead."""
    encoded = texts(cells)
    blank = [index for index, word in enumerate(encoded.dictionary.to_pylist()) if not word.strip()]
    missing = ~_valid(encoded)
    if blank:
        missing |= np.isin(encoded.indices.fill_null(-1).to_numpy(), blank)
    if stand_in is not None and missing.any():
        encoded = texts(pc.if_else(pa.array(missing), stand_in, encoded.dictionary_decode()))
        missing[:] = False
    return encoded, np.where(missing, Fault.EMPTY_USER, Fault.NONE).astype(np.uint8)


def reals(cells: pa.Array) -> pa.Array:
    """Finite, non-negative float64 [rows]; null where there is no such number."""
    cells = plain(cells)
    if pa.types.is_string(cells.type):
        values = np.concatenate(in_pieces(cells, _parsed_reals, _reals_one_by_one))
    elif _is_number(cells.type):
        values = _parsed_reals(cells)
    else:
        values = np.full(len(cells), np.nan)
    return pa.array(values, mask=~(np.isfinite(values) & (values >= 0)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _parsed_reals(cells: pa.Array) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = cells.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    return values


def _reals_one_by_one(cells: pa.Array) -> npt.NDArray[np.float64]:
    words = [(text or "").strip() for text in cells.to_pylist()]
    return np.array([float(word) if DECIMAL.fullmatch(word) else np.nan for word in words], np.float64)


def statuses(cells: pa.Array) -> pa.Array:
    """HTTP status int16 [rows]; null where the cell is not a whole number that fits."""
    values = reals(cells).fill_null(np.nan).to_numpy()
    fits = np.isfinite(values) & (values == np.floor(values)) & (values <= np.iinfo(np.int16).max)
    return pa.array(np.where(fits, values, 0).astype(np.int16), mask=~fits)


def _valid(cells: pa.Array) -> npt.NDArray[np.bool_]:
    valid: npt.NDArray[np.bool_] = cells.is_valid().to_numpy(zero_copy_only=False)
    return valid


def exact_as_float(cells: pa.ChunkedArray) -> bool:
    """Whether no number among ``cells`` is beyond those that a float tells from its neighbours."""
    if not pa.types.is_floating(cells.type):
        return True
    return (pc.max(pc.abs(cells)).as_py() or 0.0) < 2**53


def absent(cells: pa.Array) -> npt.NDArray[np.bool_]:
    """Which cells [rows] hold nothing: null, or an empty text."""
    cells = plain(cells)
    gone: npt.NDArray[np.bool_] = ~_valid(cells)
    if pa.types.is_string(cells.type):
        gone |= pc.equal(cells, "").fill_null(True).to_numpy(zero_copy_only=False)
    return gone
