"""Whose results a folder has: a note in results/logs says which config a run was given."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from mckl.errors import UserError
from mckl.record.shipped import shipped

_NOTE = Path("results", "logs", "study.json")
_OURS = {"README.md"}  # the data dictionary in a checkout's results


def study_of(configs: Iterable[str | Path], folder: Path) -> list[str]:
    """The config files of a study: the package's own by name, others by path from the folder."""
    ready = (shipped() / "studies").resolve()
    paths = [Path(config).resolve() for config in configs]
    return [p.stem if p.parent == ready else os.path.relpath(p, folder.resolve()) for p in paths]


def config_values(words: Iterable[str]) -> list[str]:
    """The values that a command line of Snakemake gives by --config, of which the last one counts.

    >>> config_values(["--config", "seed=2", "samples=64", "-n", "all"])
    ['samples=64', 'seed=2']
    """
    values: list[str] = []
    inside = False
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--config", "-C") or (word.startswith("-C") and word[2:3].isalpha()):
            inside = not equals and option in ("--config", "-C")
            values = [] if inside else [value if option == "--config" else word[2:].lstrip("=")]
        elif word.startswith("-"):
            inside = False
        elif inside:
            values.append(word)
    return sorted(values)


def note_study(
    configs: Iterable[str | Path], command: str, folder: Path, words: Iterable[str] = ()
) -> None:
    """Note that the results in this folder are from now on those of a study with these configs.

    `words` are those of Snakemake's command line.
    """
    note = folder / _NOTE
    note.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "configfiles": study_of(configs, folder), "config": config_values(words),
        "command": command,
    }  # fmt: skip
    note.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def check_results(configs: Iterable[str | Path], folder: Path, words: Iterable[str] = ()) -> None:
    """Raise `UserError` if the folder has results, and a study with other configs wrote them.

    `words` are those of Snakemake's command line.
    """
    results = folder / "results"
    try:
        names = sorted(path.name for path in results.iterdir() if path.name not in _OURS)
    except (FileNotFoundError, NotADirectoryError):  # the run itself refuses a file
        return
    except OSError as error:
        raise UserError(f"{results}: cannot be read ({error.strerror})") from None
    if not names:
        return
    try:
        about = json.loads((folder / _NOTE).read_bytes())
        made_by = about["configfiles"], about.get("config", [])
        command = str(about["command"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(
            f"{results} has files that no study is known to have written, such as {names[0]}"
        ) from None
    if made_by != (study_of(configs, folder), config_values(words)):
        raise UserError(f"{results} has the results of another study ({command})")
