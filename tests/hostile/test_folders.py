"""Folders of results with links, tables that are none, and a log on a full disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import decoys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from mckl.record import tables
from mckl.show.runlog import reason

from .limits import SRC, limited, refused

YEAR = 365 * 86400
TARGET = "results/tables/theory.parquet"
TABLE = "results/tables/settings.parquet"


def run(folder: Path) -> tuple[int, str]:
    """The exit code of a run that makes two tables, and what it prints."""
    (folder / "study.yaml").write_text(yaml.safe_dump(decoys.CONFIG))
    snakemake = Path(sys.executable).with_name("snakemake")
    options = ["--cores", "1", "--configfile", "study.yaml", "--", TARGET, TABLE]
    done = subprocess.run(
        [str(snakemake), "--snakefile", str(SRC.parent / "Snakefile"), *options],
        cwd=folder, timeout=300, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.slow
def test_links_and_tables_that_are_none(tmp_path: Path) -> None:
    made = tmp_path / "results/tables"
    made.mkdir(parents=True)
    outside, later = tmp_path / "outside", time.time() + YEAR
    outside.write_text("of somebody else")
    os.utime(outside, (later, later))
    for name, target in (("dangling", "nothing"), ("outside.csv", outside), (".x.tmp", outside)):
        (made / name).symlink_to(target)
    code, text = run(tmp_path)
    assert code == 0, text
    assert outside.stat().st_mtime == pytest.approx(later)
    assert all((made / name).is_symlink() for name in ("dangling", "outside.csv", ".x.tmp"))
    assert "mckl: nothing to do" in run(tmp_path)[1]

    table = tmp_path / TABLE
    before = table.stat()
    table.write_text("no table")
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):  # neither run leaves a lock
        code, text = run(tmp_path)
        assert code == 1
        assert "nothing to do" not in text
        assert f"mckl: {TABLE} is damaged (" in text
        assert "): delete it and run again" in text
    table.unlink()
    code, text = run(tmp_path)
    assert code == 0, text


def repeated(folder: Path, text: str) -> None:
    """A table of settings of which every row has the same text."""
    schema, rows = tables.SCHEMAS["settings"], 2**17
    columns = {}
    for field in schema:
        if field.type in (pa.string(), schema.field("setting").type):
            keys = pa.array(np.zeros(rows, np.int32))
            columns[field.name] = pa.DictionaryArray.from_arrays(keys, pa.array([text]))
        else:
            columns[field.name] = pa.array(np.zeros(rows)).cast(field.type)
    (folder / "tables").mkdir()
    path = folder / "tables/settings.parquet"
    pq.write_table(pa.table(columns), path, store_schema=False, compression="zstd")
    digests = {"sha256": "0" * 64, "content": "0" * 16}
    (folder / "theirs.json").write_text(json.dumps({"files": {"tables/settings.parquet": digests}}))


def test_a_table_of_which_every_row_repeats_a_megabyte(tmp_path: Path) -> None:
    repeated(tmp_path, "x" * 2**20)
    assert (tmp_path / "tables/settings.parquet").stat().st_size < 20_000  # for 137 GB
    told = refused("verify", ".", "--against", "theirs.json", folder=tmp_path)
    assert "1.37e+09 numbers take 137 GB of memory" in told


def test_a_manifest_of_odd_names(tmp_path: Path) -> None:
    names = ["x" * 5000, "a\nb\x1b[1m", "/etc/passwd"]
    stated = {name: {"sha256": [1]} for name in names}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": stated}))
    done = limited("-m", "mckl", "verify", ".", folder=tmp_path)
    assert done.returncode == 3
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(names)
    for line, shown in zip(lines, ("/etc/passwd", "a b\\x1b[1m", "x...x"), strict=True):
        assert line.startswith("missing ")
        assert shown in line
        assert len(line) <= 208


FULL = "(No space left on device): fix that and run again"


def test_a_log_that_cannot_be_begun(tmp_path: Path) -> None:
    script = "from mckl.record.joblog import log_to; log_to('/dev/full')"
    done = limited("-c", script, folder=tmp_path)
    assert done.stderr.decode().strip() == f"mckl: /dev/full cannot be written {FULL}"


# A limit of a file's size stands for the disk that fills up while the job runs.
FILLED = """
import resource, signal
from mckl.record.joblog import log_to
log_to("job.log")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
print("x" * 290)
raise OSError(28, "No space left on device", "results/tables/theory.parquet")
"""


def test_a_log_that_is_full_names_the_disk_all_the_same(tmp_path: Path) -> None:
    limited("-c", FILLED, folder=tmp_path)
    line = f"mckl: results/tables/theory.parquet cannot be written {FULL}"
    assert (tmp_path / "job.log").read_text().splitlines()[0] == line
    assert reason("theory", [str(tmp_path / "job.log")]) == line


@pytest.mark.parametrize("log", ["", " 10%|#    | 1/10", None], ids=["empty", "begun", "none"])
def test_a_job_without_a_message_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str | None
) -> None:
    path = tmp_path / "job.log"
    if log is not None:
        path.write_text(log)
    assert "ended without a message" in reason("theory", [str(path)])
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=4096))
    assert reason("theory", [str(path)]) == f"mckl: {path} cannot be written {FULL}"
