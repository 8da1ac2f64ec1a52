"""A run in which the gate finds both of its faults: a gap, and theory that is wrong.

An l that is not finite stops its trace, not the study: the gap is reported, and it stays. Theory
that is wrong fails the run after it is drawn.
"""

from __future__ import annotations

import shutil

import pytest

from .conftest import NOT_SOURCES
from .study import FIGURES, Study

OVERFLOW = """

_sound = full


def full(c, pair=None):
    form = _sound(c, pair)
    form.kl = np.inf if c.weight.sum() == 2 else form.kl
    return form
"""
WRONG_THEORY = """
_right = K1.theory


def _wrong(law, paired):
    unit = _right(law, paired)
    return unit._replace(variance=unit.variance / 30)


ESTIMATORS = {**ESTIMATORS, "k1": K1._replace(theory=_wrong)}
"""
WHERE = "setting d2-s0.8-o0.25, backend numpy, sampler iid, replicate 0, sample 0"


@pytest.fixture(scope="module")
def failed(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with both faults after its run; what it printed is in run.txt."""
    root = tmp_path_factory.mktemp("failed") / "study"
    shutil.copytree(finished.root, root, ignore=NOT_SOURCES)
    study = Study(root)
    sweep = {"dimension": [1, 2], "scale": [0.8], "offset": [0.25]}
    study.configure(sweep=sweep, cases={"notebook": None}, one_job_per=[])  # one job for both
    study.append("src/mckl/families/normal/pair.py", OVERFLOW)
    study.append("src/mckl/estimation/values/__init__.py", WRONG_THEORY)
    (root / "results").mkdir()
    (root / "results/verified.txt").write_text("of an earlier run")
    code, text = study.snakemake(cores=2)
    assert code == 1, text
    (root / "run.txt").write_text(text)
    return study


def gate_line(study: Study) -> str:
    text = (study.root / "run.txt").read_text()
    assert "Traceback" not in text
    (line,) = [x for x in text.splitlines() if x.startswith("mckl: log density ratio is not")]
    return line


@pytest.mark.slow
def test_a_gap_is_told_and_the_rest_goes_on(failed: Study) -> None:
    told = f"log density ratio is not finite in 1 of the traces: {WHERE}"
    assert gate_line(failed).startswith(f"mckl: {told}; theory and measurement disagree in ")
    log = (failed.root / "results/logs/estimate/numpy/grid.log").read_text()
    assert f"\nmckl: log density ratio is not finite: {WHERE}\n" in log

    (gap,) = failed.table("gaps").to_dict("records")
    assert ", ".join(f"{key} {value}" for key, value in gap.items()) == WHERE
    for table, number in (("traces", "estimate"), ("summary", "mean"), ("summary", "rmse")):
        rows = failed.table(table)
        missing = (rows["setting"] == gap["setting"]) & (rows["sampler"] == gap["sampler"])
        assert missing.any()
        assert (rows[number].isna() == missing).all()
    tested = failed.table("verification").query("measured == measured")
    assert set(tested["setting"]) - {"all"} == {"d1-s0.8-o0.25", "d2-s0.8-o0.25"}
    assert (tested["passed"] | (tested["estimator"] == "k1")).all()  # k1 has the wrong theory

    page = (failed.root / "results/report.html").read_text()
    assert told in page
    landing = (failed.root / "results/landing.rst").read_text()
    assert f"**Incomplete**: {told}" in landing
    written = failed.files()
    shown = [f for f in FIGURES if f"results/figures/{f}.rst" in written]
    assert not [f for f in written if "notebook" in f]
    assert len(shown) == len([f for f in FIGURES.values() if not (f.of_notebook or f.of_gradients)])
    for name in shown:
        caption = (failed.root / f"results/figures/{name}.rst").read_text()
        told = "**Missing here**, since l is not finite: d2-s0.8-o0.25 with numpy, iid." in caption
        assert told == ("summary" in FIGURES[name].tables)
    assert failed.jobs() == ["gate", "manifest"]  # the same numbers would come out again


@pytest.mark.slow
def test_wrong_theory_fails_after_it_is_drawn(failed: Study) -> None:
    assert "results/verified.txt" not in failed.files()
    wrong = failed.table("verification").query("not passed and measured == measured")
    assert set(wrong["estimator"]) == {"k1"}
    assert set(wrong["sampler"]) == {"iid"}  # sobol-radial has a theory of its own
    # The integrals see it in both settings; only one has samples, as the other is the gap.
    integrals = wrong[wrong["quantity"] == "exact_variance"]
    assert set(integrals["setting"]) == {"d1-s0.8-o0.25", "d2-s0.8-o0.25"}
    cells = wrong[wrong["samples"] > 0]
    assert set(cells["setting"]) - {"all"} == {"d1-s0.8-o0.25"}
    worst = cells.sort_values("p_value").iloc[0]
    cell = f"{worst.quantity} of {worst.setting}, numpy, iid, k1 at {worst.samples} samples"
    line = gate_line(failed)
    assert f"disagree in {len(wrong)} of " in line
    assert cell in line
    caption = (failed.root / "results/figures/verification.rst").read_text()
    assert "failed: theory and measurement disagree" in caption
    assert "results/figures/verification.svg" in failed.files()
