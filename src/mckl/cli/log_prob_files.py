"""`mckl estimate` for log-probabilities in files, or in JSON lines on standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import click

from mckl.errors import UserError
from mckl.text import listed, nearest, quoted

if TYPE_CHECKING:
    from mckl.api.watch import Watched
    from mckl.estimation.given.estimates import KLFromLogProbs
    from mckl.estimation.intervals import Request

_LONGEST_BATCH = 2**25  # characters of a line of JSON
# The columns that may be given, in the order of options; `log_ratio` replaces the first two.
COLUMNS = ("log_q", "log_p", "log_ratio", "sequence", "log_sampler", "full_kl")


def options(name: str) -> str:
    """The option of a column, such as ``--log-q``."""
    return "--" + name.replace("_", "-")


def wanted(
    files: Mapping[str, str | None], table: str | None, columns: str | None
) -> dict[str, tuple[str, str | None]]:
    """The path of the file of each column, and the column's name there.

    Raises `UserError` for columns that are missing, given twice, or not known.
    """
    given: dict[str, tuple[str, str | None]] = {n: (p, None) for n, p in files.items() if p}
    if table is None and columns is not None:
        raise UserError("--columns: only with --table")
    if table is not None:
        for name, column in _named(table, columns).items():
            if name in given:
                raise UserError(f"{options(name)} and --table: expected one of them for {name}")
            given[name] = (table, column)
    if "log_ratio" in given:
        for name in ("log_q", "log_p"):
            if name in given:
                raise UserError(f"log_ratio and {name}: expected log_ratio, or log_q and log_p")
        if "log_sampler" in given:
            raise UserError("log_sampler: expected with log_q and log_p, and not with log_ratio")
    else:
        for name in ("log_q", "log_p"):
            if name not in given:
                how = f"{options(name)}, or {name} in --columns" if table else options(name)
                raise UserError(f"{name}: missing, expected {how}, or log_ratio")
    if "full_kl" in given and "sequence" not in given:
        raise UserError("full_kl: only with sequence")
    return given


def _named(table: str, columns: str | None) -> dict[str, str]:
    """The names of a table's columns, by `COLUMNS`."""
    if columns is None:
        from mckl.record.columns import open_source

        names = [column.name for column in open_source(table).columns]
        found = {name: name for name in COLUMNS if name in names}
        if not found:
            raise UserError(
                f"{table}: no column named {listed(COLUMNS, 'or')}: name them with --columns"
            )
        return found
    chosen: dict[str, str] = {}
    for part in columns.split(","):
        name, equals, column = (text.strip() for text in part.partition("="))
        if not equals or not column:
            raise UserError(f"--columns: {quoted(part)}, expected a text such as log_q=policy_logp")
        if name not in COLUMNS:
            raise UserError(f"--columns: {quoted(name)} is not a column: {nearest(name, COLUMNS)}")
        if name in chosen:
            raise UserError(f"--columns: {name} is named twice")
        chosen[name] = column
    return chosen


def estimated(
    where: Mapping[str, tuple[str, str | None]], request: Request, estimator: str | None
) -> KLFromLogProbs:
    """The answer from files; `estimator` is the one to trust, if it is given."""
    from mckl.cli.bar import progress
    from mckl.cli.rows import columns
    from mckl.estimation.given.answer import answer

    rows, pieces = columns(where)
    with progress(rows or 0) as advance:

        def followed() -> Iterator[Mapping[str, Any]]:
            for piece in pieces:
                yield piece
                advance(len(next(iter(piece.values()))))

        return answer(followed(), where, request, estimator)


def watched(
    stream: TextIO, estimator: str | None, confidence: float, as_json: bool
) -> Watched | None:
    """Follow batches that arrive as JSON lines, and print the answer after each.

    Raises `UserError`, which names the line, for a line that is not a batch.
    """
    from mckl.api.watch import Watch

    watch, seen = Watch(estimator=estimator or "k1", confidence=confidence), None
    for number, line in enumerate(_lines(stream), 1):
        if not line.strip():
            continue
        try:
            batch = json.loads(line)
        except (ValueError, RecursionError) as error:  # also for an integer of 5,000 digits
            raise UserError(f"line {number}: not JSON ({str(error)[:100]})") from None
        if not isinstance(batch, dict):
            raise UserError(f"line {number}: expected an object with log_q and log_p")
        for name in batch:
            if name not in ("log_q", "log_p", "sequence"):
                raise UserError(
                    f"line {number}: unknown key {quoted(name)}, expected log_q, log_p and sequence"
                )
        try:
            seen = watch.update(batch.get("log_q"), batch.get("log_p"),
                                sequence=batch.get("sequence"))  # fmt: skip
        except UserError as error:
            raise UserError(f"line {number}: {error}") from None
        click.echo(json.dumps(seen.to_dict()) if as_json else repr(seen))
        sys.stdout.flush()
    return seen


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines of a stream; raises `UserError` for one that is too long, or is no text."""
    try:
        while line := stream.readline(_LONGEST_BATCH):
            if len(line) == _LONGEST_BATCH:
                raise UserError(f"--watch: a line has {_LONGEST_BATCH:,} characters or more")
            yield line
    except UnicodeDecodeError:
        raise UserError("--watch: standard input is not a text in UTF-8") from None
