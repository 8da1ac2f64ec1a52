"""`mckl.results` reads a folder of published results into pandas, with its digests checked.

Columns and their meanings come from the files themselves, so that any version reads the results
of any other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mckl
from mckl.errors import UserError
from mckl.record.small import check_regular
from mckl.text import nearest, quoted, some

if TYPE_CHECKING:
    import pandas as pd

DIGESTS = "SHA256SUMS"
TABLE = ".parquet"
_VERSION = re.compile(r"\d+(\.\d+)+\S*")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def results(where: str | os.PathLike[str] | None = None) -> PublishedResults:
    """Published results of studies, as pandas data frames.

    Parameters
    ----------
    where
        The folder that `make results` wrote, or a version such as ``"0.2.0"``, by default that of
        mckl. The results of a version are looked for in ``results-VERSION``, in the working folder
        and in ``~/.cache/mckl`` (or ``$XDG_CACHE_HOME/mckl``). Nothing is downloaded.

    Raises
    ------
    ValueError
        If there are no such results, or if a file is missing or differs from its digest.

    Examples
    --------
    >>> published = mckl.results("results-0.2.0")  # doctest: +SKIP
    >>> published.default.budget.query("tolerance == 0.01")  # doctest: +SKIP
    >>> published.default.columns("budget").meaning["samples_needed"]  # doctest: +SKIP
    """
    named: object = where
    if named is not None and not (isinstance(named, str | os.PathLike) and os.fspath(named)):
        raise UserError(
            f"where: {quoted(where)}, expected a folder of published results, or a version such as "
            f"'{mckl.__version__}'"
        )
    folder = _folder(mckl.__version__ if where is None else os.fspath(where))
    names = _checked(folder)
    studies: dict[str, dict[str, Path]] = {}
    for name in names:
        study, _, file = name.partition("/")
        if file.endswith(TABLE) and "/" not in file:
            studies.setdefault(study, {})[file.removesuffix(TABLE)] = folder / name
    if not studies:
        raise UserError(f"{folder}: no tables of studies in it, expected STUDY/TABLE{TABLE}")
    return PublishedResults(folder, {x: PublishedStudy(x, paths) for x, paths in studies.items()})


class _ByName:
    """Members that are read as attributes as well; a dash in a name is an underscore there."""

    def _names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __getattr__(self, name: str) -> Any:
        for member in () if name.startswith("_") else self._names():
            if member.replace("-", "_") == name:
                return self[member]
        raise AttributeError(self._unknown(name))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(x.replace("-", "_") for x in self._names())})

    def _unknown(self, name: str) -> str:
        return f"{quoted(name)}: {nearest(name, self._names())}"


class PublishedStudy(_ByName):
    """The tables of one study: ``study.theory`` or ``study["theory"]`` is a data frame."""

    def __init__(self, name: str, paths: Mapping[str, Path]) -> None:
        self.name = name
        self._paths = dict(paths)
        self._frames: dict[str, pd.DataFrame] = {}

    def _names(self) -> tuple[str, ...]:
        return tuple(self._paths)

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return self._names()

    def __getitem__(self, table: str) -> pd.DataFrame:
        """A table; it is read once, so take a copy of what you change."""
        if table not in self._frames:
            self._frames[table] = _parquet().read_table(self._path(table)).to_pandas()
        return self._frames[table]

    def columns(self, table: str) -> pd.DataFrame:
        """The type and the meaning of every column of a table."""
        import pandas as pd

        schema = _parquet().read_schema(self._path(table))
        kinds = [str(getattr(field.type, "value_type", field.type)) for field in schema]
        texts = [(field.metadata or {}).get(b"description", b"").decode() for field in schema]
        index = pd.Index(schema.names, name="column")
        return pd.DataFrame({"type": kinds, "meaning": texts}, index=index)

    @property
    def manifest(self) -> dict[str, Any]:
        """The versions, commit and machine of the run, from the metadata of its first table."""
        metadata = _parquet().read_schema(next(iter(self._paths.values()))).metadata
        return dict(json.loads((metadata or {}).get(b"mckl", b"{}")))

    def _path(self, table: str) -> Path:
        if table not in self._paths:
            raise UserError(f"table of {self.name}: {self._unknown(table)}")
        return self._paths[table]

    def __repr__(self) -> str:
        return f"<study {self.name}: {', '.join(self.tables)}>"


class PublishedResults(_ByName):
    """Published studies: ``results.default`` or ``results["default"]`` is one of them."""

    def __init__(self, folder: Path, studies: Mapping[str, PublishedStudy]) -> None:
        self.folder = folder
        self._studies = dict(studies)

    def _names(self) -> tuple[str, ...]:
        return tuple(self._studies)

    @property
    def studies(self) -> tuple[str, ...]:
        """The names of the studies."""
        return self._names()

    def __getitem__(self, study: str) -> PublishedStudy:
        if study not in self._studies:
            raise UserError(f"study in {self.folder}: {self._unknown(study)}")
        return self._studies[study]

    def __repr__(self) -> str:
        return f"<results in {self.folder}: {', '.join(self.studies)}>"


def _folder(where: str) -> Path:
    """The folder of a path or of a version."""
    if Path(where, DIGESTS).is_file():
        return Path(where)
    if not _VERSION.fullmatch(where):
        state = "it has no" if Path(where).is_dir() else "no such folder, expected one with"
        raise UserError(f"{where}: {state} {DIGESTS}: `make results` writes such a folder")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "mckl"
    places = [Path(f"results-{where}"), cache / f"results-{where}"]
    for place in places:
        if (place / DIGESTS).is_file():
            return place
    raise UserError(
        f"results of version {where}: not on this machine: download them from the page of the "
        f"release and unpack them as {places[0]} here or in {cache}, or make them: make results"
    )


def _checked(folder: Path) -> list[str]:
    """The names of the files in SHA256SUMS; raises `UserError` if one is missing or differs."""
    stated = {}
    try:
        lines = (folder / DIGESTS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        lines = [""]
    for line in lines:
        found = _LINE.fullmatch(line)
        if not found or Path(found[2]).is_absolute() or ".." in Path(found[2]).parts:
            raise UserError(f"{folder / DIGESTS}: not a list of digests, as sha256sum writes it")
        stated[found[2]] = found[1]
    wrong = [name for name, digest in stated.items() if _digest(folder / name) != digest]
    if wrong:
        raise UserError(
            f"{folder}: {some(wrong)}: missing, or not as published: download the folder again"
        )
    return list(stated)


def _digest(path: Path) -> str:
    try:
        check_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, UserError):
        return "missing"


def _parquet() -> Any:
    """The Parquet module of Arrow, after a check that pandas is there as well."""
    try:
        import pandas  # noqa: F401
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise UserError(
            f"mckl.results needs {error.name}: run pip install pandas pyarrow"
        ) from error
    return pyarrow.parquet
