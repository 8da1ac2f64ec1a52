"""What fails, fails loudly: damaged files and exceptions."""

from __future__ import annotations

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


@pytest.mark.slow
def test_a_damaged_chunk_is_named_and_mended_as_its_message_says(
    study: Study, finished: Study
) -> None:
    name = "results/traces/numpy/d1-s0.8.parquet"
    chunk, log = study.root / name, study.root / "results/logs/traces.log"
    sound = chunk.read_bytes()
    for damage in (truncated, flipped, emptied):
        chunk.write_bytes(sound)
        damage(chunk)
        code, text = study.snakemake(*TARGETS)
        assert code == 1, damage
        (line,) = log.read_text().strip().splitlines()[-1:]
        assert line.startswith(f"mckl: {name} is damaged ("), damage
        assert line.endswith("): delete it and run again")
        assert line in text
        assert "Traceback" not in log.read_text()
    chunk.unlink()
    study.run(*TARGETS)
    assert chunk.read_bytes() == sound
    for table in EXACT:
        path = f"results/tables/{table}.parquet"
        assert (study.root / path).read_bytes() == (finished.root / path).read_bytes()


def test_an_exception_stands_in_the_log(study: Study) -> None:
    study.append("src/mckl/study/verification.py", "\nraise ZeroDivisionError('planted')\n")
    notebook = study.root / "scripts/notebook.py"
    notebook.write_text("import no_such_module\n" + notebook.read_text())
    code, text = study.snakemake(*TARGETS, "results/tables/notebook.parquet")
    assert code == 1
    log = (study.root / "results/logs/verify.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "ZeroDivisionError: planted" in log
    assert "mckl: verify failed: ZeroDivisionError: planted (results/logs/verify.log has" in text
    assert text.count("Traceback") == 1
    assert (
        "No module named 'no_such_module'\nmckl: notebook failed before its log began: see " in text
    )
    assert not (study.root / VERIFICATION).exists()
