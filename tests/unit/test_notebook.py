"""The notebook's three sets of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest

from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import trace
from mckl.estimation.values import ESTIMATORS
from mckl.record import tables
from mckl.study import notebook
from mckl.study.settings import case_setting, grid_setting

CASE = case_setting(
    "notebook", {"q": {"mean": [1.0, 4.0], "sd": 1.0}, "p": {"mean": [-3.0, 2.0], "sd": 2.5}}
)


@pytest.fixture(scope="module")
def running():
    return notebook.running(CASE, 20171127)


@pytest.mark.parametrize("setting", [CASE, grid_setting(3, 1.25, 0.25)])
def test_the_running_mean_is_the_trace_of_the_case(setting):
    at = [2**k for k in range(14)] + [10_000]
    numbers = notebook.running(setting, 5)
    t = trace(
        setting.pair,
        "numpy",
        SAMPLERS["iid"],
        [ESTIMATORS["k1"]],
        seed=5,
        samples=at,
        replicates=1,
    )
    rows = np.array(at) - 1
    np.testing.assert_array_equal(numbers["samples"][rows], at)
    np.testing.assert_allclose(numbers["estimate"][rows], t.estimate[0, 0], rtol=1e-12)
    np.testing.assert_allclose(numbers["std_error"][rows], t.std_error[0, 0], rtol=1e-9)


def test_ten_thousand_samples_of_l(running):
    ell = running["log_density_ratio"]
    law = CASE.pair.law
    assert ell.shape == (10_000,)
    assert abs(ell.mean() - law.kl) < 4.5 * math.sqrt(law.variance / ell.size)
    v, _, fourth = law.ell(4).value[2:]
    assert abs(ell.var() / v - 1) < 4.5 * math.sqrt((fourth / v**2 + 2) / ell.size)


def test_the_running_mean_and_its_errors(running):
    ell = running["log_density_ratio"]
    for n in (1, 2, 17, 10_000):
        row = n - 1
        assert running["estimate"][row] == pytest.approx(ell[:n].mean(), rel=1e-13)
        if n > 1:
            error = ell[:n].std(ddof=1) / math.sqrt(n)
            assert running["std_error"][row] == pytest.approx(error, rel=1e-9)
        squared = (ell[:n].mean() - CASE.pair.law.kl) ** 2
        assert running["squared_error"][row] == pytest.approx(squared, rel=1e-9, abs=1e-15)
    assert math.isnan(running["std_error"][0])
    assert tables.table("notebook", running).num_rows == 10_000


def test_five_hundred_points_of_q_and_of_p():
    columns = notebook.points(CASE, 20171127)
    frame = tables.table("notebook-points", columns).to_pandas()
    assert frame["distribution"].value_counts().to_dict() == {"q": 500, "p": 500}
    for name, mean, sd in (("q", (1, 4), 1.0), ("p", (-3, 2), 2.5)):
        for axis, centre in zip(("z1", "z2"), mean, strict=True):
            z = frame.loc[frame["distribution"] == name, axis]
            assert kstest((z - centre) / sd, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(frame["z1"][:500], frame["z2"][:500])[0, 1]) < 4.5 / math.sqrt(500)
    again, other = notebook.points(CASE, 20171127), notebook.points(CASE, 1)
    np.testing.assert_array_equal(columns["z1"], again["z1"])
    assert (columns["z1"] != other["z1"]).all()
