"""The table of exact theory over scale and offset, and the maps that are drawn from it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from mckl.families.registry import sweep_pair
from mckl.study.regime_map import regime_map, regime_rows, window
from mckl.study.settings import case_setting, grid_setting

GRID = {"low": 0.6, "high": 2.8, "offset": 1.25}


@pytest.fixture(scope="module")
def normal() -> pd.DataFrame:
    rows = regime_rows(["normal"], [1, 4], [64, 1024], **GRID)
    return pd.concat([pd.DataFrame(columns) for columns in rows], ignore_index=True)


def test_the_window_spans_the_sweep():
    cells = [
        grid_setting(d, s, o, f)
        for f in ("normal", "laplace")
        for d in (2, 8, 64) for s in (0.5, 4.0) for o in (-2.0, 0.5)
    ]  # fmt: skip
    found = window(cells, 1024)
    assert found["families"] == ["normal", "laplace"]
    assert found["dimensions"] == [2, 8]
    assert found["samples"] == [1024]  # two families leave no room for another number
    assert (found["low"], found["high"]) == pytest.approx((0.5 / 1.1, 4.4))
    assert found["offset"] == pytest.approx(2.2)
    one = [s for s in cells if s.family == "normal"]
    assert window(one, 1024)["samples"] == [64, 1024]
    assert window(one, 256)["samples"] == [256]


def test_a_study_of_cases_has_the_map_of_normals():
    law = {"mean": [0, 0, 0], "sd": 1}
    found = window([case_setting("a", {"q": law, "p": {"mean": 1, "sd": 2}})], 1024)
    assert found == {"families": ["normal"], "dimensions": [3], "samples": [64, 1024], **GRID}


def test_the_rows_are_exact_theory(normal):
    assert not normal.duplicated(["dimension", "samples", "scale", "offset", "estimator"]).any()
    for row in normal.sample(40, random_state=1).itertuples():
        law = sweep_pair("normal", row.dimension, row.scale, row.offset).law
        if row.estimator == "k1":
            assert row.exact_variance == pytest.approx(law.variance / row.samples, rel=1e-14)
            assert row.exact_bias == 0
            pairs = 2 * law.parts(2).value[2, 0] / row.samples
            assert row.antithetic_variance == pytest.approx(pairs, rel=1e-14)
        else:
            assert math.isnan(row.antithetic_variance)
        kind = "asymptotic" if row.estimator.startswith("cv") else "exact"
        assert row.theory == ("none" if math.isnan(row.exact_variance) else kind)
    assert normal["exact_variance"].isna().mean() < 0.1
    assert (normal["relative_error"] <= 1e-6).all()
    assert (normal["relative_error"] > 0.0).any()
    k3 = normal[(normal["estimator"] == "k3") & (normal["dimension"] == 1)]
    assert ((k3["scale"] >= math.sqrt(2)) == np.isinf(k3["exact_variance"])).all()


def test_the_map_is_the_theory_between_the_nodes(normal):
    scale, offset = np.geomspace(0.61, 2.79, 37), np.linspace(0.0, 1.24, 23)
    rows = normal[(normal["dimension"] == 1) & (normal["samples"] == 64)]
    known = regime_map(rows, scale, offset)
    assert known.border == pytest.approx(math.sqrt(2), abs=1e-8)
    for i in (1, 9, 20, 33):
        for j in (2, 11, 21):
            law = sweep_pair("normal", 1, float(scale[i]), float(offset[j])).law
            k1 = known.estimators["k1"].log_mse[i, j]
            assert k1 == pytest.approx(math.log(law.variance / 64), abs=0.02)
            excess = law.parts(2).value[2, 0] - law.parts(2).value[0, 2]
            assert known.excess[i, j] == pytest.approx(excess, abs=5e-3)
    assert np.isinf(known.estimators["k3"].log_mse[scale > math.sqrt(2)]).all()
    assert {n: s.asymptotic for n, s in known.estimators.items()} == {
        "k1": False, "k2": False, "k3": False, "cv": True
    }  # fmt: skip
