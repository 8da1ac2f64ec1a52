"""An l that is not finite stops its trace, not the study: the gap is told, shown and final."""

from __future__ import annotations

import pytest

from .study import FIGURES, Study

OVERFLOW = """

_sound = full


def full(pair):
    form = _sound(pair)
    return form._replace(kl=np.inf) if pair.dimension == 2 else form
"""
WHERE = "setting d2-s0.8-o0.25, backend numpy, sampler iid, replicate 0, sample 0"


@pytest.mark.slow
def test_a_gap_is_told_and_the_rest_goes_on(fresh: Study) -> None:
    sweep = {"dimension": [1, 2], "scale": [0.8], "offset": [0.25]}
    fresh.configure(sweep=sweep, cases={"notebook": None}, one_job_per=[])  # one job for both
    fresh.append("src/mckl/draw/reduction.py", OVERFLOW)
    code, text = fresh.snakemake(cores=2)
    assert code == 1
    assert "Traceback" not in text
    said = [line for line in text.splitlines() if "not finite" in line]
    assert said == [f"mckl: log density ratio is not finite in 1 of the traces: {WHERE}"]
    log = (fresh.root / "results/logs/estimate/numpy/grid.log").read_text()
    assert f"\nmckl: log density ratio is not finite: {WHERE}\n" in log

    (gap,) = fresh.table("gaps").to_dict("records")
    assert ", ".join(f"{key} {value}" for key, value in gap.items()) == WHERE
    for table, number in (("traces", "estimate"), ("summary", "mean"), ("summary", "rmse")):
        rows = fresh.table(table)
        missing = (rows["setting"] == gap["setting"]) & (rows["sampler"] == gap["sampler"])
        assert missing.any()
        assert (rows[number].isna() == missing).all()
    tested = fresh.table("verification").query("measured == measured")
    assert set(tested["setting"]) - {"all"} == {"d1-s0.8-o0.25", "d2-s0.8-o0.25"}
    assert tested["passed"].all()

    written = fresh.files()
    assert "results/verified.txt" not in written
    page = (fresh.root / "results/report.html").read_text()
    assert f"not finite in 1 of the traces: {WHERE}" in page
    landing = (fresh.root / "results/landing.rst").read_text()
    assert "**Can I trust it?** Not what is missing. Of the rest, " in landing
    shown = [f for f in FIGURES if f"results/figures/{f}.rst" in written]
    assert len(shown) == len([f for f in FIGURES.values() if not f.of_notebook])
    for name in shown:
        caption = (fresh.root / f"results/figures/{name}.rst").read_text()
        told = "**Missing here**, for l is not finite: d2-s0.8-o0.25 with numpy, iid." in caption
        assert told == ("summary" in FIGURES[name].tables)
    assert fresh.jobs() == ["gate", "manifest"]  # the same numbers would come out again
