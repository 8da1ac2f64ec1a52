"""`mckl estimate` for log-probabilities in files, or in JSON lines on standard input."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from mckl.errors import UserError
from mckl.text import nearest, quoted

if TYPE_CHECKING:
    from mckl.api.watch import Watched
    from mckl.cli.rows import Place
    from mckl.estimation.given.estimates import KLFromLogProbs
    from mckl.estimation.given.groups import KLByGroup
    from mckl.estimation.intervals import Request

_LONGEST_BATCH = 2**25  # characters of a line of JSON
# The columns that may be given, in the order of options; `log_ratio` replaces the first two.
COLUMNS = (
    "log_q", "log_p", "log_ratio", "sequence", "cluster", "group", "mask", "log_sampler", "full_kl",
)  # fmt: skip
_BOTH = ("log_q", "log_p")
_IN_A_BATCH = ("log_q", "log_p", "sequence", "cluster", "mask")


def wanted(
    given: Mapping[str, Sequence[str]], tables: Sequence[str], columns: str | None
) -> dict[str, Place]:
    """The paths of the files of each column, and the column's name there.

    Raises `UserError` for columns that are missing, given twice, or not known.
    """
    from mckl.cli.rows import names_of, tables_of
    from mckl.record.columns import is_readable, open_source

    named: dict[str, str] = {}
    places: dict[str, Place] = {}
    for name, paths in given.items():
        one = paths[0] if len(paths) == 1 else ""
        if one and tables and not is_readable(one):
            named[name] = one
        elif paths:
            places[name] = tuple(file for path in paths for file in tables_of(path)), None
    if not tables and columns is not None:
        raise UserError("--columns: only with --table")
    if tables:
        shards = tuple(file for table in tables for file in tables_of(table))
        for name, column in _named(shards[0], columns, named).items():
            if name in places:
                raise UserError(f"{option(name)} and --table: expected one of them for {name}")
            places[name] = shards, column
    if "log_ratio" in places:
        for name in _BOTH:
            if name in places:
                raise UserError(f"log_ratio and {name}: expected log_ratio, or log_q and log_p")
        if "log_sampler" in places:
            hint = ", or --columns log_sampler=, which leaves it out" if tables else ""
            raise UserError(
                f"log_sampler: expected with log_q and log_p, and not with log_ratio{hint}"
            )
    else:
        for name in _BOTH:
            if name not in places:
                if tables:
                    raise UserError(
                        f"{shards[0]}: no column named {name} or log_ratio, but "
                        f"{names_of(open_source(shards[0]))}: name them with --columns, such as "
                        "log_q=policy_logp,log_p=ref_logp"
                    )
                raise UserError(f"{name}: missing, expected {option(name)}, or log_ratio")
    return places


def option(name: str) -> str:
    """The option of a column, such as ``--log-q``."""
    return "--" + name.replace("_", "-")


def _named(table: str, columns: str | None, options: dict[str, str]) -> dict[str, str]:
    """The names of a table's columns, by `COLUMNS`: those that are named, and the usual ones.

    A name that is empty leaves a usual column out.
    """
    from mckl.record.columns import open_source

    chosen = _chosen(columns) | options
    names = [column.name for column in open_source(table).columns]
    usual = {name: name for name in COLUMNS if name in names}
    for name in chosen:  # log_ratio replaces log_q and log_p, and these replace it
        for other in _BOTH if name == "log_ratio" else ("log_ratio",) if name in _BOTH else ():
            usual.pop(other, None)
    return {name: column for name, column in (usual | chosen).items() if column}


def _chosen(columns: str | None) -> dict[str, str]:
    """The names in --columns, by `COLUMNS`; empty for columns to leave out."""
    chosen: dict[str, str] = {}
    for part in () if columns is None else columns.split(","):
        name, equals, column = (text.strip() for text in part.partition("="))
        if not equals or (name in _BOTH and not column):
            raise UserError(f"--columns: {quoted(part)}, expected a text such as log_q=policy_logp")
        if name not in COLUMNS:
            raise UserError(f"--columns: {quoted(name)} is not a column: {nearest(name, COLUMNS)}")
        if name in chosen:
            raise UserError(f"--columns: {name} is named twice")
        chosen[name] = column
    return chosen


def estimated(
    places: Mapping[str, Place], request: Request, estimator: str | None
) -> KLFromLogProbs | KLByGroup:
    """The answer from files; `estimator` is the one to trust, if it is given."""
    from mckl.cli.bar import progress
    from mckl.cli.rows import columns
    from mckl.estimation.given.answer import answer
    from mckl.estimation.given.layout import Layout

    layout = Layout()
    rows, pieces = columns(places, layout)
    first = next(pieces)  # tells whether rows are sequences
    with progress(rows or 0) as advance:

        def followed() -> Iterator[Mapping[str, Any]]:
            for count, piece in itertools.chain([first], pieces):
                yield piece
                advance(count)

        if "full_kl" in first[1] and "sequence" not in first[1]:
            raise UserError("full_kl: only with sequence, or lists of tokens")
        return answer(followed(), first[1], request, estimator, layout)


def watched(
    stream: TextIO,
    estimator: str | None,
    confidence: float,
    half_life: float | None,
    as_json: bool,
) -> Watched | None:
    """Follow batches that arrive as JSON lines, and print the answer after each.

    Raises `UserError`, which names the line, for a line that is not a batch.
    """
    from mckl.api.watch import Watch

    watch = Watch(estimator=estimator, confidence=confidence, half_life=half_life)
    seen = None
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
            if name == "log_sampler":
                raise UserError(
                    f"line {number}: log_sampler: a watch has none, since its samples must be q's; "
                    "mckl estimate --table takes samples of another law"
                )
            if name not in _IN_A_BATCH:
                hint = nearest(name, _IN_A_BATCH)
                raise UserError(f"line {number}: unknown key {quoted(name)}: {hint}")
        try:
            seen = watch.update(**{"log_q": None, "log_p": None, **batch})
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
