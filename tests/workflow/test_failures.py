"""What fails, fails loudly: damaged files and exceptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .study import EXACT, TARGETS, Study

VERIFICATION = "results/tables/verification.parquet"


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncated, flipped, emptied])
def test_a_damaged_chunk_is_named(study: Study, damage: Callable[[Path], None]) -> None:
    chunk = "results/traces/numpy/d1-s0.8.parquet"
    damage(study.root / chunk)
    code, text = study.snakemake(*TARGETS)
    assert code == 1
    (line,) = (study.root / "results/logs/traces.log").read_text().strip().splitlines()[-1:]
    assert line.startswith(f"mckl: {chunk} is damaged (")
    assert line.endswith("): delete it and run again")
    assert line in text
    assert "Traceback" not in (study.root / "results/logs/traces.log").read_text()


@pytest.mark.slow
def test_a_damaged_chunk_is_mended_as_its_message_says(study: Study, finished: Study) -> None:
    chunk = study.root / "results/traces/numpy/d1-s0.8.parquet"
    truncated(chunk)
    code, _ = study.snakemake(*TARGETS)
    assert code == 1
    chunk.unlink()
    study.run(*TARGETS)
    assert chunk.read_bytes() == (finished.root / chunk.relative_to(study.root)).read_bytes()
    assert_same_tables(study, finished)


def test_an_exception_stands_in_the_log(study: Study) -> None:
    study.append("src/mckl/study/verification.py", "\nraise ZeroDivisionError('planted')\n")
    code, text = study.snakemake(*TARGETS)
    assert code == 1
    log = (study.root / "results/logs/verify.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "ZeroDivisionError: planted" in log
    assert "mckl: verify failed: ZeroDivisionError: planted (results/logs/verify.log has" in text
    assert "Traceback" not in text
    assert not (study.root / VERIFICATION).exists()


def assert_same_tables(one: Study, other: Study) -> None:
    for table in EXACT:
        path = f"results/tables/{table}.parquet"
        assert (one.root / path).read_bytes() == (other.root / path).read_bytes()
