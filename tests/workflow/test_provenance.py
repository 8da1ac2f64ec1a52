"""The manifest of a run, and how a folder of results differs from it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tools import need

from mckl.cli.commands import main
from mckl.record import tables
from mckl.record.manifest import command_line, manifest
from mckl.record.provenance import content_digest
from mckl.study.config import schema_defaults

from .study import CHECKOUT, EXACT, SMALL, Study

SUMMARY = "tables/summary.parquet"


def verify(*words: Any) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, words)])


def test_the_manifest_says_what_was_run(finished: Study) -> None:
    told = finished.manifest()
    words = ["-m", "snakemake", "--directory", str(finished.root), "--cores", "2"]
    assert shlex.split(told["command"])[1:] == words
    note = json.loads((finished.root / "results/logs/study.json").read_text())
    assert note == {"configfiles": [], "config": [], "command": told["command"]}
    assert datetime.fromisoformat(told["start"]) <= datetime.fromisoformat(told["end"])
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    given = yaml.safe_load((finished.root / "config.yaml").read_text())
    assert told["config"] == schema_defaults(schema) | given == schema_defaults(schema) | SMALL
    about = tables.manifest_of(finished.root / "results" / SUMMARY)
    assert about == {key: told[key] for key in about}
    assert {"config_digest", "git_commit", "packages", "host", "python"} <= {*about}
    assert {"numpy", "scipy", "pyarrow", "matplotlib", "snakemake"} <= {*told["packages"]}


def test_the_manifest_has_the_digest_of_every_table_figure_and_page(finished: Study) -> None:
    told = finished.manifest()["files"]
    jobs = ("traces/", "cost/", "logs/", "benchmarks/", "report.html", "manifest.json")
    written = {name.removeprefix("results/") for name in finished.files()}
    assert {*told} == {name for name in written if not name.startswith(jobs)}
    for name, digests in told.items():
        content = (finished.root / "results" / name).read_bytes()
        assert digests["sha256"] == hashlib.sha256(content).hexdigest()
    same = {f"tables/{table}.parquet" for table in (*EXACT, "notebook", "notebook-points")}
    assert {name for name, digests in told.items() if "content" in digests} == same


def test_a_content_digest_is_of_the_rows_alone(finished: Study, tmp_path: Path) -> None:
    original = finished.root / "results" / SUMMARY
    whole = tables.read("summary", original)
    digest = content_digest(original)

    def again(table: Any, **about: Any) -> str:
        columns = {name: table[name] for name in table.column_names}
        tables.write("summary", tmp_path / "summary.parquet", columns, about)
        return content_digest(tmp_path / "summary.parquet")

    assert again(whole, host="another") == digest
    assert again(whole.sort_by([("mse", "descending")])) == digest
    assert again(whole.slice(1)) != digest
    frame = whole.to_pandas()
    frame.loc[3, "mse"] *= 1 + 2**-52
    assert again(whole.set_column(whole.column_names.index("mse"), "mse", [frame["mse"]])) != digest


def test_an_untouched_folder_is_as_its_manifest_says(finished: Study) -> None:
    folder = finished.root / "results"
    done = verify(folder)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{folder}: all {len(finished.manifest()['files'])} files as in")
    assert verify(folder, "--against", folder / "manifest.json").exit_code == 0


def test_what_is_missing_changed_or_extra_is_listed(study: Study, finished: Study) -> None:
    folder = study.root / "results"
    (folder / "tables/theory.parquet").unlink()
    (folder / "figures/cost.svg").write_text("<svg/>")
    (folder / "figures/of another study.svg").write_text("<svg/>")
    (folder / "report.html").unlink()  # made after the manifest, and again at any time
    frame = tables.read("summary", folder / SUMMARY)
    columns = {name: frame[name] for name in frame.column_names}
    tables.write("summary", folder / SUMMARY, columns, manifest({}))  # the same rows
    listed = ["extra figures/of another study.svg", "missing tables/theory.parquet"]
    changed = ["changed figures/cost.svg", f"changed {SUMMARY}"]
    done = verify(folder)
    assert done.exit_code == 3
    assert done.stdout.splitlines() == sorted(
        [*listed, *changed], key=lambda row: row.split(maxsplit=1)[1]
    )
    assert done.stderr.startswith(f"mckl: {folder}: not as in {folder / 'manifest.json'}: delete")
    numbers = verify(folder, "--against", finished.root / "results/manifest.json")
    assert (numbers.exit_code, numbers.stdout) == (3, "missing tables/theory.parquet\n")


def test_make_verify_results(study: Study) -> None:
    need("make", shutil.which("make"))
    folder = study.root / "results"
    venv = os.path.relpath(sys.prefix, CHECKOUT)
    command = [
        *("make", "-s", "--no-print-directory", f"VENV={venv}", "-o", f"{venv}/.ready"),
        *("verify-results", f"RESULTS={folder}"),  # with what is installed, as it is
    ]

    def make() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert make().returncode == 0
    (folder / SUMMARY).write_bytes(b"")
    done = make()
    assert done.returncode != 0
    assert done.stdout == f"changed {SUMMARY}\n"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "null", "{}", '{"files": []}', '{"files": {"a": 1}}',
        '{"files": {"a": {}}}', "[" * 100_000, '{"files": {"a": null}}', "\ud800",
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode(errors="surrogatepass"))
    done = verify(tmp_path)
    assert done.exit_code == 2
    assert done.stderr == f"mckl: {tmp_path / 'manifest.json'}: not a manifest of a run\n"


def test_a_manifest_opens_no_file_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"")
    inside = tmp_path / "results"
    inside.mkdir()
    empty = {"sha256": hashlib.sha256().hexdigest(), "content": "0" * 16}
    names = ["../outside", str(tmp_path / "outside"), "tables/\x1b[31m.parquet"]
    (inside / "manifest.json").write_text(json.dumps({"files": dict.fromkeys(names, empty)}))
    for words in ((), ("--against", inside / "manifest.json")):
        done = verify(inside, *words)
        assert done.exit_code == 3
        escaped = [*names[:2], r"tables/\x1b[31m.parquet"]
        assert sorted(done.stdout.splitlines()) == sorted(f"missing {name}" for name in escaped)


def test_the_command_keeps_secrets_to_itself() -> None:
    words = [
        "snakemake", "all figures", "--storage-s3-secret-key", "abc", "b:def", "--cores", "2",
        "--storage-s3-token=xyz", "--storage-s3-endpoint-url", "https://s3.example.org",
    ]  # fmt: skip
    assert command_line(words) == (
        "snakemake 'all figures' --storage-s3-secret-key '***' '***' --cores 2 "
        "'--storage-s3-token=***' --storage-s3-endpoint-url https://s3.example.org"
    )
