"""What a run says that it will do, against what it does."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mckl.draw.points import SAMPLERS
from mckl.estimation.traces import checkpoints, traces
from mckl.estimation.values import ESTIMATORS
from mckl.study.config import parse
from mckl.study.plan import chunk_seconds, plan

SWEEP = {"dimension": [1, 2], "scale": [0.8, 1.25], "offset": [0.0, 0.25]}


def test_the_plan_counts_what_will_be_done(schema):
    config = parse(
        {
            "sweep": SWEEP, "samples": 100, "replicates": 10, "samplers": ["iid", "antithetic"],
            "estimators": ["k1", "k2", "k3"], "one_job_per": ["dimension"],
        },
        schema,
    )  # fmt: skip
    p = plan(config)
    assert p.settings == 9  # 8 cells and the notebook
    assert p.jobs == 3  # two dimensions and the notebook
    assert p.samples == 9 * 2 * 100 * 10
    # checkpoints 1, 2, 4, ..., 64, 100; a pair cannot stop at 1
    assert p.rows == 9 * 3 * 10 * (8 + 7)
    assert p.cpu_seconds > 0
    assert p.bytes > 0
    line = p.line()
    assert "\n" not in line
    for words in ("9 settings", "3 estimation jobs", "18,000 samples", "4,050 trace rows"):
        assert words in line


def test_the_plan_grows_with_the_work(schema):
    def planned(**changes):
        return plan(parse({"sweep": SWEEP} | changes, schema))

    base = planned(samples=2**14)
    more = planned(samples=2**18)
    assert more.samples == 16 * base.samples
    assert more.cpu_seconds > 4 * base.cpu_seconds
    huge = planned(samples=10**12, replicates=10**9, samplers=["iid"])
    assert "years" in huge.line()
    full, radial = (
        planned(
            sweep={"dimension": [10_000], "scale": [1.2], "offset": [0]}, samplers=[name], cases={}
        )
        for name in ("iid", "iid-radial")
    )
    assert full.cpu_seconds > 100 * radial.cpu_seconds
    assert set(SAMPLERS) >= {"iid", "iid-radial"}


NANOSECONDS_A_NORMAL = 7.6  # of the raw fill on the machine of docs/scaling.md


def raw_fill():
    """Nanoseconds a normal of NumPy's raw fill here and now: how fast this machine is."""
    generator, buffer = np.random.Generator(np.random.SFC64(1)), np.empty(8192)
    began = time.process_time()
    for _ in range(200):
        generator.standard_normal(out=buffer)
    return (time.process_time() - began) / 200 / buffer.size * 1e9


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("dimension", "offsets", "samples", "replicates"),
    [([1], [0.0, 0.5, 1.0], 16384, 24), ([64], [0.25], 4096, 24), ([16], [0.25, 1.0], 256, 100)],
)
def test_estimate_and_fact_are_within_a_factor_of_3(
    schema, sampler, dimension, offsets, samples, replicates
):
    """In units of this machine's raw fill, taken in the same minute; the best of five tries."""
    sweep = {"dimension": dimension, "scale": [1.25], "offset": offsets}
    config = parse(
        {"sweep": sweep, "cases": {"notebook": None}, "samplers": [sampler],
         "samples": samples, "replicates": replicates},
        schema,
    )  # fmt: skip
    settings = config.settings()
    ratios = []
    for _ in range(5):
        speed = raw_fill()
        began = time.process_time()
        traces(
            {s.name: s.pair for s in settings}, "numpy", SAMPLERS[sampler],
            list(ESTIMATORS.values()),
            seed=1, samples=checkpoints(samples, 1), replicates=replicates,
        )  # fmt: skip
        fact = (time.process_time() - began) * NANOSECONDS_A_NORMAL / speed
        ratios.append(chunk_seconds(config, settings) / fact)
    assert any(1 / 3 < ratio < 3 for ratio in ratios), ratios
