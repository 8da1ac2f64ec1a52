"""Vectors and matrices of a config's cases in files: what is read, stored, and refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mckl.errors import UserError
from mckl.families.normal.pair import Correlated
from mckl.record.case import abridged, is_abridged
from mckl.study.config import parse
from mckl.study.settings import Setting, from_dict

SD = np.array([1.0, 2.0, 0.5])
MEAN = np.linspace(-1.0, 1.0, 70)
COVARIANCE = np.eye(70) + 0.25


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the study runs: paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    np.save("mean.npy", MEAN)
    np.savetxt("mean.csv", MEAN, fmt="%.17g")
    np.savez("both.npz", mean=MEAN, logvar=2.0 * np.log(np.linspace(0.5, 1.5, 70)))
    np.save("covariance.npy", COVARIANCE)
    np.save("singular.npy", np.ones((70, 70)))
    np.save("sd.npy", SD)
    np.save("negative.npy", -SD)
    np.save("nan.npy", [1.0, np.nan])
    np.save("cube.npy", np.zeros((2, 3, 4)))
    pd.DataFrame({"probabilities": [0.2, 0.3, 0.5]}).to_parquet("weights.parquet")
    Path("text.csv").write_text("a,b\nc,d\n")
    Path("damaged.npy").write_bytes(b"not an array")
    return tmp_path


def setting(schema: Any, q: Any, p: Any = "{mean: 0, sd: 1}") -> Setting:
    sides = {"q": q, "p": yaml.safe_load(p)}
    return parse({"cases": {"a": sides}}, schema).cases["a"]


def test_a_file_stands_for_the_numbers_in_it(schema: Any) -> None:
    """One of few numbers makes the same setting as the numbers themselves."""
    listed = setting(schema, {"mean": 0, "sd": SD.tolist()})
    assert setting(schema, {"mean": 0, "sd": "sd.npy"}) == listed
    token = setting(
        schema,
        {"family": "categorical", "probabilities": "weights.parquet"},
        "{family: categorical, probabilities: [0.5, 0.25, 0.25]}",
    )
    assert token.pair.law.kl == pytest.approx(
        0.2 * np.log(0.4) + 0.3 * np.log(1.2) + 0.5 * np.log(2)
    )


def test_columns_are_found_by_their_names(schema: Any) -> None:
    pair = setting(schema, {"mean": "both.npz", "sd": "both.npz"}).pair
    assert pair.q_mean.tolist() == MEAN.tolist()
    assert pair.q_sd == pytest.approx(np.linspace(0.5, 1.5, 70), rel=1e-15)


def test_what_is_in_a_file_decides_and_not_its_name_or_format(schema: Any) -> None:
    first = setting(schema, {"mean": "mean.npy", "covariance": "covariance.npy"})
    assert isinstance(first.pair, Correlated)
    assert first.parameters is not None
    assert first.parameters["q"]["covariance"]["shape"] == [70, 70]
    assert len(json.dumps(first.as_dict())) < 1000
    os.rename("covariance.npy", "other.npy")
    other = {"mean": "mean.csv", "covariance": "other.npy"}
    assert setting(schema, other).as_dict() == first.as_dict()
    assert setting(schema, {"mean": MEAN.tolist(), "covariance": "other.npy"}) == first
    np.save("other.npy", np.nextafter(COVARIANCE, 2.0))
    assert setting(schema, other).as_dict() != first.as_dict()


def test_a_job_reads_the_files_again(schema: Any) -> None:
    q = {"mean": "mean.npy", "sd": 1}
    cases = {"a": {"q": q, "p": {"mean": "1e-1", "sd": 1}}}
    fields = json.loads(json.dumps(parse({"cases": cases}, schema).cases["a"].as_dict()))
    again = from_dict(fields, cases)
    assert again.pair.q_mean.tolist() == MEAN.tolist()
    assert again.as_dict() == fields
    np.save("mean.npy", MEAN[::-1])
    with pytest.raises(UserError, match="a file has changed since the run began"):
        from_dict(fields, cases)


def test_long_parameters_are_stored_by_shape_and_digest() -> None:
    short = {"q": {"mean": [0.5] * 64, "components": [{"mean": 1.0}] * 2}}
    assert abridged(short) == short
    assert not is_abridged(abridged(short))
    long = abridged({"q": {"components": [{"mean": [0.5] * 65}]}})
    digest = hashlib.sha256(struct.pack("<65d", *[0.5] * 65)).hexdigest()
    assert long == {"q": {"components": [{"mean": {"shape": [65], "sha256": digest}}]}}
    assert is_abridged(long)


@pytest.mark.parametrize(
    ("q", "words"),
    [
        ({"mean": "none.npy", "sd": 1}, ["cases.a.q.mean: none.npy: no such file"]),
        ({"mean": "text.csv", "sd": 1}, ["cases.a.q.mean: text.csv: columns a, b, expected one"]),
        ({"mean": "damaged.npy", "sd": 1}, ["q.mean: damaged.npy: not a readable .npy file"]),
        ({"mean": "cube.npy", "sd": 1}, ["q.mean: cube.npy: shape (2, 3, 4), expected one vector"]),
        ({"mean": "nan.npy", "sd": 1}, ["cases.a.q.mean: nan.npy: some numbers are NaN"]),
        ({"mean": 0, "sd": "negative.npy"}, ["q: normal: sd -1 (number", "above 0", "negative"]),
        ({"mean": "sd.npy", "sd": "mean.npy"}, ["cases.a.q.sd: 70 numbers, expected 3 as in"]),
        ({"mean": 0, "covariance": "sd.npy"}, ["shape (1, 3), expected a square", "sd.npy"]),
        ({"mean": 0, "covariance": "singular.npy"}, ["definite: its least eigenvalue", "singular"]),
        ({"mean": 0, "sd": "sd.txt"}, ["cases.a.q.sd: 'sd.txt' is not a number", ".npy"]),
        (
            {"family": "categorical", "probabilities": "sd.npy"},
            ["categorical: probabilities add up to 3.5, expected 1", "read from sd.npy"],
        ),
    ],
)
def test_a_bad_file_is_refused_in_one_line(q: Any, words: list[str], schema: Any) -> None:
    with pytest.raises(UserError) as caught:
        setting(schema, q)
    line = str(caught.value)
    assert line.isprintable()
    assert [word for word in words if word not in line] == []
