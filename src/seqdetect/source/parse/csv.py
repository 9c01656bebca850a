"""CSV: one record per physical line, so that damage stays where it is.

Fields may be quoted, with the delimiter and doubled quotes inside, but not with a line break inside.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from seqdetect.source.parse import Block, Mask
from seqdetect.source.parse.header import Layout, resolve
from seqdetect.source.parse.lines import LONGEST_LINE, Lines, Stream, blocks, holding, scan

_DELIMITERS = ",;\t"
_QUOTE = ord('"')

Malformed = list[tuple[int, str]]


def read(stream: Stream, layout: Layout, chunk_rows: int) -> Iterator[Block]:
    """Blocks of the stream's records. Raises ``ValueError`` where the header lacks a column."""
    names: list[str] | None = None
    for data, number in blocks(stream, chunk_rows):
        if names is None:
            data, number, line = _headed(data, number)
            if line is None:
                continue
            names, delimiter = _columns(line, stream.origin)
            wanted = resolve(names, layout, stream.origin)
        if data:
            lines, malformed = scan(data, number)
            yield _block(lines, malformed, names, delimiter, wanted, stream.origin)


def _headed(data: bytes, number: int) -> tuple[bytes, int, bytes | None]:
    """What follows the first line that is not blank, its number, and that line, if there is one."""
    while data:
        cut = data.find(b"\n") + 1
        line, data, number = data[:cut], data[cut:], number + 1
        if line.strip():
            return data, number, line
    return data, number, None


def _columns(line: bytes, origin: str) -> tuple[list[str], str]:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{origin}: no line break in the first {LONGEST_LINE} bytes; is this a CSV file?")
    try:
        header = line.decode().strip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{origin}: the header is not UTF-8: {error}") from error
    delimiter = max(_DELIMITERS, key=header.count)
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    except csv.Error as error:
        what = "lines end in carriage returns alone" if "\r" in header else str(error)
        raise ValueError(f"{origin}: the header cannot be read: {what}") from error
    return names, delimiter


def _block(
    lines: Lines, malformed: Malformed, names: list[str], delimiter: str, wanted: dict[str, str], origin: str
) -> Block:
    places = {own: names.index(name) for own, name in wanted.items()}
    plain, odd = _parted(lines, ord(delimiter), malformed)
    table, numbers = _parsed(plain, len(names), delimiter, sorted({*places.values()}), malformed)
    if len(odd):
        further, more = _one_by_one(odd, len(names), delimiter, table.schema, malformed)
        order = np.argsort(np.concatenate([numbers, more]), kind="stable")
        table = pa.concat_tables([table, further]).take(pa.array(order))
        numbers = np.concatenate([numbers, more])[order]
    columns = {own: table.column(str(place)).combine_chunks() for own, place in places.items()}
    return Block(origin, "line", columns, wanted, numbers, malformed)


def _parted(lines: Lines, delimiter: int, malformed: Malformed) -> tuple[Lines, Lines]:
    """The lines that Arrow reads record by record for certain, and those with unusual quoting."""
    if lines.data.count(b"\r") != lines.data.count(b"\r\n"):
        broken = holding(lines, ord("\r"))
        torn = lines.only(broken)
        malformed.extend(
            (number, "a carriage return inside")
            for number, text in zip(torn.numbers.tolist(), torn.texts(), strict=True)
            if text.strip()
        )
        lines = lines.only(~broken)
    if b'"' not in lines.data:
        return lines, lines.only(np.zeros(len(lines), bool))
    odd = _oddly_quoted(lines, delimiter)
    return lines.only(~odd), lines.only(odd)


def _oddly_quoted(lines: Lines, delimiter: int) -> Mask:
    """Lines with a quote that neither opens a field, closes one, nor is doubled inside one.

    Such a quote, or one left open, would make Arrow read on into the next line.
    """
    text = np.frombuffer(b"\n" + lines.data, np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    first = np.searchsorted(quotes, lines.starts + 1)
    counts = np.searchsorted(quotes, lines.stops + 1) - first
    row = np.repeat(np.arange(len(lines)), counts)
    within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    quotes, opening = quotes[first[row] + within], within % 2 == 0
    before, after = text[quotes - 1], text[quotes + 1]
    starts_field = (before == delimiter) | (before == _QUOTE) | (before == ord("\n"))
    ends_field = (after == delimiter) | (after == _QUOTE) | (after == ord("\n")) | (after == ord("\r"))
    odd: Mask = counts % 2 == 1
    odd[row[~np.where(opening, starts_field, ends_field)]] = True
    return odd


def _parsed(
    lines: Lines, width: int, delimiter: str, places: list[int], malformed: Malformed
) -> tuple[pa.Table, np.ndarray]:
    """Text columns named by their place, and the line numbers of their rows."""
    kept = [str(place) for place in places]
    schema = pa.schema([(name, pa.string()) for name in kept])
    if not len(lines):
        return schema.empty_table(), lines.numbers
    ragged: list[tuple[int, int, str]] = []

    def skip(row: pa_csv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.actual_columns, row.text))
        return "skip"

    data = lines.joined()
    if data.startswith(codecs.BOM_UTF8):  # Arrow drops one, which only a file's first line may have
        data = codecs.BOM_UTF8 + data
    table = pa_csv.read_csv(
        pa.BufferReader(data),
        pa_csv.ReadOptions(
            use_threads=False, block_size=len(data) + 1, column_names=[str(i) for i in range(width)]
        ),
        pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
        pa_csv.ConvertOptions(
            check_utf8=False,
            include_columns=kept,
            column_types=schema,
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    good = np.ones(len(lines), bool)
    good[[index for index, _, _ in ragged]] = False
    for index, fields, text in ragged:
        if text.strip():
            malformed.append((int(lines.numbers[index]), _width_fault(fields, width)))
    return table, lines.numbers[good]


def _one_by_one(
    lines: Lines, width: int, delimiter: str, schema: pa.Schema, malformed: Malformed
) -> tuple[pa.Table, np.ndarray]:
    records: list[list[str]] = []
    numbers: list[int] = []
    for number, text in zip(lines.numbers.tolist(), lines.texts(), strict=True):
        try:
            fields = next(csv.reader([text.decode().rstrip("\r")], delimiter=delimiter, strict=True))
        except csv.Error as error:
            malformed.append((number, f"bad quoting: {error}"))
            continue
        if len(fields) != width or text.count(b'"') % 2:
            fault = "unbalanced quotes" if text.count(b'"') % 2 else _width_fault(len(fields), width)
            malformed.append((number, fault))
            continue
        records.append(fields)
        numbers.append(number)
    columns = [[record[int(name)] or None for record in records] for name in schema.names]
    return pa.table(columns, schema=schema), np.array(numbers, np.int64)


def _width_fault(fields: int, width: int) -> str:
    return f"{fields} fields, the header has {width}"
