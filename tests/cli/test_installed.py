"""The command as `pip install mckl` leaves it: without the packages of the study."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mckl.record.provenance import file_digest

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
IMPORTED_AS = {"pyyaml": "yaml"}

WITHOUT_THE_STUDY = """
import json, sys
blocked, commands = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(blocked))  # None: as if it were not installed
before = set(sys.modules)
import mckl
assert set(sys.modules) - before == {"mckl"}, set(sys.modules) - before
from mckl.cli.commands import main
for words in commands:
    try:
        main(words, prog_name="mckl")
    except SystemExit as end:
        print(end.code)
        print(end.code, file=sys.stderr)
"""


def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], input=stdin, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(CHECKOUT / "src"), "LC_ALL": "C.UTF-8", **env},
    )  # fmt: skip


def names(requirements: list[str]) -> list[str]:
    found = [re.match(r"[\w-]+", line) for line in requirements]
    return [IMPORTED_AS.get(match[0], match[0]) for match in found if match]


def test_numpy_scipy_and_its_own_packages_answer(tmp_path: Path) -> None:
    pair = {"mean": np.array([1.0, 4.0, 2.0]), "sd": np.ones(3)}
    np.savez(tmp_path / "q.npz", **pair)
    np.save(tmp_path / "p_mean.npy", np.zeros(3))
    (tmp_path / "p.csv").write_text("layer,mean,sd\na,0,2\nb,0,2\nc,0,2\n")
    pq.write_table(pa.table(pair), tmp_path / "q.parquet")
    results = tmp_path / "results"
    (results / "tables").mkdir(parents=True)
    table = results / "tables/settings.parquet"
    table.write_bytes(b"as the manifest says")
    digests = {"sha256": file_digest(table), "content": "0"}
    (results / "manifest.json").write_text(
        json.dumps({"files": {"tables/settings.parquet": digests}})
    )

    q, p = ("--q", str(tmp_path / "q.npz")), ("--p", str(tmp_path / "p.csv"))
    answered = [
        ("kl", *q, *p, "--json"),
        ("kl", *q, "--p-mean", str(tmp_path / "p_mean.npy"), "--p-sd", "2", "--json"),
        ("advise", *q, *p),
        ("kl", "--q", "{family: gamma, shape: 2}", "--p", "{family: gamma, shape: 3}"),
        ("estimate", *q, *p, "-t", "0.1"),
        ("verify", str(results)),
        ("study", "--list"),
    ]
    refused = {
        ("kl", "--q", str(tmp_path / "q.parquet"), *p): "takes pyarrow: pip install pyarrow",
        ("verify", str(results), "--against", str(results / "manifest.json")): "pip install p",
    }
    blocked = names(PROJECT["optional-dependencies"]["study"])
    assert {"snakemake", "pandas", "pyarrow", "matplotlib"} <= {*blocked}
    done = run(
        "-c", WITHOUT_THE_STUDY, stdin=json.dumps([blocked, [*answered, *refused]]), HOME="/tmp"
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert [line for line in told if line in ("0", "1", "2", "3")] == ["0"] * len(answered) + [
        "2"
    ] * 2
    assert done.stdout.count('"kl": ') == 2
    assert "all 1 files as in" in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("mckl: ")]
    assert len(lines) == 2
    for line, words in zip(lines, refused.values(), strict=True):
        assert words in line


ONLY_UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
WITHOUT_UNIX = """
import os
for name in ("fork", "geteuid", "getuid", "kill", "killpg", "nice", "sched_getaffinity", "sysconf"):
    delattr(os, name)
"""


def test_what_only_unix_has_is_not_needed(tmp_path: Path) -> None:
    np.savez(tmp_path / "q.npz", mean=np.array([1.0, 4.0]), sd=np.ones(2))
    drawn = np.random.default_rng(1).normal(0.125, 0.5, 400)  # normal laws half apart
    (tmp_path / "log_ratio.csv").write_text("log_ratio\n" + "\n".join(map(str, drawn)))
    pair = ("--q", str(tmp_path / "q.npz"), "--p", "{mean: 0, sd: 2}")
    answered = [
        ("kl", *pair, "--json"),
        ("advise", *pair, "-t", "0.1"),
        ("estimate", *pair, "-t", "0.1"),
        ("estimate", "--log-ratio", str(tmp_path / "log_ratio.csv"), "-t", "1"),
    ]
    done = run("-c", WITHOUT_UNIX + WITHOUT_THE_STUDY, stdin=json.dumps([ONLY_UNIX, answered]))
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line in ("0", "1", "2", "3", "4")]
    assert codes == ["0"] * len(answered), done.stderr


@pytest.mark.parametrize(
    ("words", "env", "code", "expected"),
    [
        (["--help"], {}, 0, "Usage: mckl [OPTIONS]"),
        (["kl", "--dimensoin", "3"], {}, 2, "mckl: No such option"),
        (["kl"], {"_MCKL_COMPLETE": "bash_complete", "COMP_WORDS": "mckl ad", "COMP_CWORD": "1"},
         0, "plain,advise\n"),
    ],
    ids=["help", "error", "completion"],
)  # fmt: skip
def test_the_package_runs_as_the_command(
    words: list[str], env: dict[str, str], code: int, expected: str
) -> None:
    done = run("-m", "mckl", *words, **env)
    assert done.returncode == code
    assert (done.stdout or done.stderr).startswith(expected)
