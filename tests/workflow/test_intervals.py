"""The target `intervals`: two tables, one row a setting, estimator and number of samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

from mckl.record import tables

from .study import CHECKOUT, PATIENCE

CONFIG = {
    "sweep": {
        "family": ["normal", "policy(3)"], "dimension": [2], "scale": [1.0], "offset": [0.5],
    },
    "samples": 2048,
    "replicates": 4,
}  # fmt: skip


def test_the_target_makes_its_two_tables_alone(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(CONFIG))
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "intervals",
         "--directory", str(tmp_path), "--configfile", str(config)],
        cwd=CHECKOUT, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    made = sorted(path.name for path in (tmp_path / "results" / "tables").iterdir())
    assert made == ["alarms.parquet", "intervals.parquet"]
    rows = tables.read("intervals", tmp_path / "results/tables/intervals.parquet").to_pylist()
    keys = [(row["setting"], row["estimator"], row["samples"]) for row in rows]
    # Seven estimators of normal laws, and rb of policies, at three numbers of samples.
    assert len({*keys}) == len(keys) == 3 * (7 + 8)
    for row in rows:
        assert row["given"] + row["withheld"] == row["runs"] == 4
        assert row["covered_given"] <= row["given"]
        assert row["covered_withheld"] <= row["withheld"]
    given = {key: row["given"] for key, row in zip(keys, rows, strict=True)}
    assert given["d2-s1-o0.5", "k1", 2048] == 4
    assert given["d2-s1-o0.5", "k2", 2048] == 0
    alarms = tables.read("alarms", tmp_path / "results/tables/alarms.parquet").to_pylist()
    bias = {(r["setting"], r["samples"]): r["alarms"] for r in alarms
            if (r["estimator"], r["diagnostic"]) == ("k2", "bias")}  # fmt: skip
    assert bias["d2-s1-o0.5", 2048] == 4
