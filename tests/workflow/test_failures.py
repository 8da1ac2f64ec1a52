"""What fails, fails loudly: wrong theory, damaged files and exceptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .study import EXACT, TARGETS, Study

VERIFICATION = "results/tables/verification.parquet"
WRONG_THEORY = """
_right = K1.theory


def _wrong(law, paired):
    unit = _right(law, paired)
    return unit._replace(variance=unit.variance / 30)


K1 = K1._replace(theory=_wrong)
"""


@pytest.mark.slow
def test_wrong_theory_fails_after_it_is_drawn(study: Study) -> None:
    figure = study.root / "results/figures/verification.svg"
    before = figure.read_bytes()
    study.append("src/mckl/estimation/values/k1.py", WRONG_THEORY)
    code, text = study.snakemake("results/verified.txt", cores=2)
    assert code == 1
    assert not (study.root / "results/verified.txt").exists()
    failed = study.table("verification").query("not passed")
    assert set(failed["estimator"]) == {"k1"}
    assert set(failed["sampler"]) == {"iid"}  # sobol-radial has a theory of its own
    assert figure.read_bytes() != before
    worst = failed.sort_values("p_value").iloc[0]
    cell = f"{worst.quantity} of {worst.setting}, numpy, iid, k1 at {worst.samples} samples"
    line = next(row for row in text.splitlines() if "mckl: theory and measurement" in row)
    assert f"disagree in {len(failed)} of " in line
    assert cell in line
    assert "Traceback" not in text


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
