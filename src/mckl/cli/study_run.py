"""The command line of Snakemake that runs a study with the package's own copy of the workflow."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from mckl.errors import UserError
from mckl.record.shipped import shipped
from mckl.record.small import read_small
from mckl.text import quoted, shortened

LEAST_SNAKEMAKE, FIRST_UNKNOWN_SNAKEMAKE = (9, 27), (10,)
# Options of Snakemake that the command sets itself, and those that say where jobs run.
_OWN = {"--snakefile", "-s", "--directory", "-d", "--configfile", "--configfiles"}
_PLACES = {"--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile"}
# Until Snakemake has read the Snakefile, which handles Ctrl-C, this ends it without a traceback.
_START = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "runpy.run_module('snakemake', run_name='__main__', alter_sys=True)"
)
_RUN_WITH = "# Run it with: snakemake "


def ready_studies() -> dict[str, Path]:
    """The configs that come with the package, by name."""
    paths = {path.stem: path for path in (shipped() / "studies").glob("*.yaml")}
    return dict(sorted(paths.items()))


def listing() -> Iterator[str]:
    """Every study of the package, with its question and its command."""
    for name, path in ready_studies().items():
        first, *lines = path.read_text("utf-8").splitlines()
        question = " ".join(line.lstrip("# ") for line in lines).partition("?")[0]
        words = first.removeprefix(_RUN_WITH).replace(f"studies/{path.name}", name)
        yield f"{name}: {question}?"
        yield f"  mckl study {words}"


def check_packages() -> None:
    """Raise `UserError` if a package of the workflow is missing, or Snakemake is of another age."""
    install = "pip install 'mckl[study]'"
    try:
        requirements = metadata.requires("mckl") or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        requirements = ["snakemake; extra == 'study'"]
    names = [re.match(r"[\w.-]+", line) for line in requirements if re.search(r"\bstudy\b", line)]
    missing = [match[0] for match in names if match and not _version(match[0])]
    if missing:
        are = "package is" if len(missing) == 1 else "packages are"
        raise UserError(f"the workflow's {are} missing ({', '.join(missing)}): {install}")
    version = _version("snakemake")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not LEAST_SNAKEMAKE <= numbers < FIRST_UNKNOWN_SNAKEMAKE:
        least, first = (".".join(map(str, v)) for v in (LEAST_SNAKEMAKE, FIRST_UNKNOWN_SNAKEMAKE))
        raise UserError(f"Snakemake {version}, expected >= {least} and < {first}: {install}")


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def config_path(given: str) -> Path:
    """The absolute path of a config, which is given by its path or by a name of `ready_studies`."""
    path = Path(given)
    ready = ready_studies()
    if not path.exists() and given in ready:
        return ready[given]
    import yaml

    try:
        text = read_small(path).decode("utf-8")
        try:
            config = json.loads(text)
        except ValueError:
            config = yaml.safe_load(text)
    except UserError as error:
        hint = "" if os.path.lexists(path) else f", nor a study of the package: {', '.join(ready)}"
        raise UserError(f"--configfile: {error}{hint}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = getattr(error, "problem", None) or "not YAML in UTF-8"
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UserError(f"--configfile: {shortened(given)}: {why}{line}") from None
    if not isinstance(config, dict):
        raise UserError(
            f"--configfile: {shortened(given)}: no keys, expected some such as sweep: "
            "{dimension: [8], scale: [1.1]}"
        )
    return path.absolute()


def folder_path(given: str) -> Path:
    """The folder in which a study runs, which is made if there is none."""
    folder = Path(given)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"--directory: {quoted(given)} is a file, expected a folder") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise UserError(f"--directory: {quoted(given)} cannot be made ({why})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{shortened(str(folder.absolute()))} is not writable: change that, or name another "
            "folder with --directory"
        )
    return folder.absolute()


def snakemake_words(
    cores: str | None, folder: Path, configs: Sequence[Path], more: Sequence[str]
) -> list[str]:
    """The command that runs the study; `more` are further options and targets of Snakemake."""
    options = {w.partition("=")[0] if w.startswith("--") else w[:2] for w in more if w[:1] == "-"}
    for option in sorted(_OWN & options):
        raise UserError(f"{option}: `mckl study` sets it; its own options are before --")
    # A study may have the name of a rule, which is a target beside another config.
    names = set() if configs else set(ready_studies())
    for before, word in zip(("", *more), more, strict=False):
        is_config = Path(word).suffix in {".yaml", ".yml"} or word in names
        if is_config and not before.startswith("-"):
            raise UserError(f"{shortened(word)}: a config, expected --configfile before it")
    if cores is None and not _PLACES & options:
        cores = "all"
    # With -P no module is imported from the folder in which the command is given.
    return [
        sys.executable, "-P", "-c", _START, "--snakefile", str(shipped() / "Snakefile"),
        "--directory", str(folder),
        *(["--configfile", *map(str, configs)] if configs else []),
        *(["--cores", cores] if cores else []),
        *more,
    ]  # fmt: skip


def run_snakemake(words: list[str], command: str) -> int:
    """Run Snakemake with this terminal, and return its exit code.

    The study's manifest has `command`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = subprocess.Popen(words, env={**os.environ, "MCKL_STUDY": command})

    def pass_on(number: int, frame: object) -> None:
        if number != signal.SIGINT or not _in_foreground():
            child.send_signal(number)

    handlers = {}
    with contextlib.suppress(ValueError):  # not in the main thread
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, pass_on)
    try:
        code = child.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code  # as a shell says which signal ended it


def _in_foreground() -> bool:
    """Whether a terminal's Ctrl-C reaches this process, and thus Snakemake too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
