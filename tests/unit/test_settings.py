"""Settings, their names and their jobs: keyed by content, never by position."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckl.draw.points import SAMPLERS
from mckl.estimation.offered import offered_samplers
from mckl.families.registry import FAMILIES
from mckl.study.settings import (
    AXES,
    case_setting,
    chunks,
    from_dict,
    grid_setting,
    number,
    settings,
)
from mckl.text import with_shapes

SWEEP = {"dimension": [1, 16], "scale": [0.8, 1.25], "offset": [0.0, 0.25]}
VECTORS = {"q": {"mean": [1.0, 4.0], "sd": [1.0, 1.0]}, "p": {"mean": [-3.0, 2.0], "sd": 2.5}}
NOTEBOOK = case_setting("notebook", VECTORS)


def test_names():
    assert grid_setting(16, 1.25, 0.25).name == "d16-s1.25-o0.25"
    assert grid_setting(1, 1.0, -2.0).name == "d1-s1-o-2"
    assert grid_setting(1, 1e-7, 1e22).name == "d1-s1e-07-o1e+22"
    assert case_setting("notebook", VECTORS).name == "notebook"
    assert case_setting("notebook", VECTORS).case == "notebook"
    t = grid_setting(16, 1.25, 0.25, "student-t(5)")
    assert t.name == "student-t5-d16-s1.25-o0.25"
    assert t.pair.family == "student-t(5)"
    assert grid_setting(16, 1, 0).name == grid_setting(16, 1.0, 0.0).name


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value):
    assert float(number(value)) == value


@given(
    st.lists(
        st.tuples(
            st.integers(1, 10**9),
            st.floats(1e-30, 1e30),
            st.floats(-1e30, 1e30).map(lambda x: x + 0.0),
        ),
        unique=True, min_size=2, max_size=8,
    )
)  # fmt: skip
def test_different_cells_have_different_names(cells):
    every = [grid_setting(*cell) for cell in cells]
    assert len({s.name for s in every}) == len(set(cells))


def test_a_setting_survives_json():
    long = {"q": {"mu": 0.0, "var": [float(k) for k in range(1, 71)]}, "p": {"mu": 0.0, "sd": 9.0}}
    for setting in (
        grid_setting(3, 1.25, 0.5),
        case_setting("notebook", VECTORS),
        case_setting("long", long),  # its numbers are read again
    ):
        again = from_dict(json.loads(json.dumps(setting.as_dict())), {"long": long})
        assert again == setting
        assert again.pair.law.kl == setting.pair.law.kl


def test_a_setting_has_the_samplers_of_its_family():
    every = list(SAMPLERS)
    token = {
        side: {"family": "categorical", "probabilities": weights}
        for side, weights in (("q", [0.5, 0.5]), ("p", [0.25, 0.75]))
    }
    assert grid_setting(4, 1.0, 0.0).offered(every) == tuple(every)
    without_radial = tuple(name for name in every if not name.endswith("-radial"))
    assert grid_setting(4, 1.0, 0.0, "gamma(2)").offered(every) == without_radial
    assert case_setting("token", token).offered(every) == ("iid",)
    for family in (f for f in FAMILIES.values() if f.sweep):  # the offer is the same in every cell
        text = with_shapes(family.name, range(3, 3 + len(family.shapes)))
        cell = grid_setting(5, 1.7, 0.3, text)
        assert cell.offered(every) == offered_samplers(cell.pair, every)


def test_every_combination_is_a_setting():
    every = settings(SWEEP, [NOTEBOOK])
    assert [s.name for s in every][:3] == ["d1-s0.8-o0", "d1-s0.8-o0.25", "d1-s1.25-o0"]
    assert len(every) == 9
    assert every[-1].name == "notebook"


@pytest.mark.parametrize(
    ("axes", "count", "example"),
    [
        (["dimension", "scale", "offset"], 8, "d16-s1.25-o0.25"),
        (["scale", "dimension"], 4, "d16-s1.25"),
        (["dimension"], 2, "d16"),
        (["offset"], 2, "o0.25"),
        ([], 1, "grid"),
    ],
)
def test_chunks_are_named_by_what_their_settings_share(axes, count, example):
    every = settings(SWEEP, [NOTEBOOK])
    jobs = chunks(every, axes)
    assert len(jobs) == count + 1
    assert "d16-s1.25-o0.25" in {s.name for s in jobs[example]}
    assert [s.name for s in jobs["case-notebook"]] == ["notebook"]
    assert sorted(s.name for job in jobs.values() for s in job) == sorted(s.name for s in every)


@pytest.mark.parametrize("axes", [list(AXES), ["dimension", "scale"], ["dimension"]])
def test_a_setting_that_joins_touches_no_other_chunk(axes):
    before = chunks(settings(SWEEP, [NOTEBOOK]), axes)
    wider = SWEEP | {"dimension": [1, 8, 16]}
    after = chunks(settings(wider, [case_setting("another", VECTORS), NOTEBOOK]), axes)
    assert set(before) < set(after)
    assert {name: after[name] for name in before} == before
    reordered = {axis: values[::-1] for axis, values in SWEEP.items()}
    assert chunks(settings(reordered, [NOTEBOOK]), axes) == before
