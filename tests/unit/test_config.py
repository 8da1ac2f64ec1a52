"""What the config refuses, in one line each, and what it accepts."""

from __future__ import annotations

import copy
import functools
import itertools
import random
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mckl.errors import UserError
from mckl.estimation.gradients import METHODS
from mckl.study.config import REGISTRIES, parse

PAIR = {"q": {"mean": [1, 4], "sd": [1, 1]}, "p": {"mean": [-3, 2], "sd": 2.5}}
SWEEP = {"dimension": [1, 2], "scale": [1.0], "offset": [0.0]}


def with_sweep(**changes):
    return {"sweep": SWEEP | changes}


def with_case(name="a", **changes):
    case = copy.deepcopy(PAIR)
    for path, value in changes.items():
        side, key = path.split("_")
        case[side][key] = value
    return {"cases": {name: case}}


def with_sides(q, p):
    return {"cases": {"a": {"q": q, "p": p}}}


def range_of(first):
    return [first + k for k in range(10_000)]


def nested(levels):
    return functools.reduce(lambda inner, _: [inner], range(levels), [])


def refusal(raw, schema):
    with pytest.raises(UserError) as caught:
        parse(raw, schema)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    return line


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"sampels": 3}, ["sampels", "did you mean 'samples'"]),
        ({"sweep": {"dimenson": [1], "scale": [1], "offset": [0]}},
         ["sweep.dimenson", "did you mean 'dimension'"]),
        (with_case(q_maen=1), ["cases.a.q", "unknown parameter maen", "did you mean mean?"]),
        ({"a\nb": 1}, ["a b", "unknown key"]),
        ({1: 2}, ["1: unknown key"]),
        ({"cases": {"a": {"q": PAIR["q"]}}}, ["cases.a.p", "missing"]),
        # wrong types
        ({"samples": "many"}, ["samples", "'many'", "integer from 2"]),
        ({"samples": True}, ["samples", "'true'"]),
        ({"samples": None}, ["samples", "'null'"]),
        ({"samples": 12.5}, ["samples", "12.5"]),
        ({"samplers": "iid"}, ["samplers", "'iid'", "a list"]),
        ({"sweep": None}, ["sweep", "a mapping"]),
        ({"sweep": [1]}, ["sweep", "a mapping"]),
        (with_sweep(dimension=4), ["sweep.dimension", "'4'", "a list"]),
        (with_sweep(dimension=[2.5]), ["sweep.dimension[0]", "2.5", "an integer"]),
        (with_sweep(scale=["wide"]), ["sweep.scale[0]", "'wide'", "a number"]),
        (with_case(q_mean={"a": 1}), ["cases.a.q.mean", "a number"]),
        (with_case(q_mean=["x", 1]), ["cases.a.q.mean[0]", "'x'"]),
        ({"cases": {"a": "text"}}, ["cases.a", "'text'", "q and p"]),
        ([], ["config", "a mapping"]),
        # empty lists
        *((with_sweep(**{axis: []}), [f"sweep.{axis}", "at least one"]) for axis in SWEEP),
        *(({key: []}, [key, "at least one"])
          for key in ("backends", "samplers", "estimators", "tolerances")),
        (with_case(q_mean=[]), ["cases.a.q.mean"]),
        # duplicates
        (with_sweep(dimension=[1, 2, 1]), ["sweep.dimension", "different"]),
        (with_sweep(scale=[1, 1.0]), ["sweep.scale", "different"]),
        (with_sweep(scale=["1e0", 1]), ["sweep.scale", "different"]),
        (with_sweep(offset=[0.0, -0.0]), ["sweep.offset", "different"]),
        ({"samplers": ["iid", "iid"]}, ["samplers", "different"]),
        ({"one_job_per": ["scale", "scale"]}, ["one_job_per", "different"]),
        # ranges
        (with_sweep(scale=[0]), ["sweep.scale[0]", "'0'"]),
        (with_sweep(scale=[1.0, -2.0]), ["sweep.scale[1]", "-2"]),
        (with_sweep(dimension=[0]), ["sweep.dimension[0]", "'0'", "from 1"]),
        (with_sweep(dimension=[-3]), ["sweep.dimension[0]", "-3"]),
        (with_case(q_sd=[1, 0]), ["cases.a.q.sd[1]", "'0'"]),
        (with_case(p_sd=-1), ["cases.a.p.sd", "-1"]),
        ({"samples": 1}, ["samples", "'1'", "from 2"]),
        ({"replicates": 0}, ["replicates", "'0'"]),
        ({"checkpoints_per_octave": 0}, ["checkpoints_per_octave", "'0'"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"tolerances": [0]}, ["tolerances[0]", "above 0"]),
        # not finite
        *((with_sweep(**{axis: [bad]}), [f"sweep.{axis}[0]"])
          for axis in ("scale", "offset") for bad in (float("nan"), float("inf"), "nan", "-inf")),
        (with_sweep(dimension=[float("nan")]), ["sweep.dimension[0]"]),
        (with_case(q_mean=[1, float("nan")]), ["cases.a.q.mean[1]", "finite"]),
        (with_case(p_mean=float("inf")), ["cases.a.p.mean"]),
        ({"tolerances": [".inf", float("inf")]}, ["tolerances"]),
        ({"samples": float("inf")}, ["samples"]),
        # sizes, and what Python cannot write or walk
        (with_sweep(dimension=[10**12]), ["sweep.dimension[0]", "from 1 to 10^9"]),
        ({"samples": 10**13}, ["samples", "from 2 to 10^12"]),
        ({"sweep": {"dimension": range_of(1), "scale": range_of(1.0), "offset": range_of(0.5)}},
         ["sweep: 1,000,000,000,000 settings", "at most 1,000,000"]),
        ({"seed": 16**5000}, ["seed", "'inf'", "to 10^30"]),
        (with_sweep(offset=[-(16**5000)]), ["sweep.offset[0]", "'-inf'", "from -1e30"]),
        ({"sweep": nested(5000)}, ["nested too deeply"]),
        # lengths
        (with_case(q_mean=[1, 2, 3]), ["cases.a.q", "expected 3", "cases.a.q.mean"]),
        (with_case(p_mean=[1]), ["cases.a.p.mean", "1 numbers, expected 2"]),
        # names
        (with_case("../x"), ["cases", "'../x'", "starts with a letter"]),
        (with_case("a/b"), ["cases", "'a/b'"]),
        (with_case('a"b'), ["cases", "'a\"b'"]),
        (with_case("a'b"), ["cases"]),
        (with_case("a\nb"), ["cases", "a b"]),
        (with_case("a\n"), ["cases", "newline"]),
        (with_case(""), ["cases"]),
        (with_case("1a"), ["cases", "'1a'"]),
        (with_case("a" * 65), ["cases"]),
        (with_case("b" + "xy" * 20), ["cases", "20 repetitions"]),
        ({"sampl\x1b[31mes": 1}, ["sampl\\x1b[31mes", "unknown key"]),
        (with_case("d1-s1-o0") | {"sweep": SWEEP}, ["cases.d1-s1-o0", "this name already"]),
        # registries
        ({"samplers": ["sobl"]}, ["samplers[0]", "did you mean 'sobol'"]),
        ({"estimators": ["k1", "k4"]}, ["estimators[1]", "'k4'", "did you mean"]),
        ({"backends": ["numpi"]}, ["backends[0]", "did you mean 'numpy'"]),
        ({"one_job_per": ["dimensions"]}, ["one_job_per[0]", "did you mean 'dimension'"]),
        # families
        (with_sweep(family=["student(5)"]), ["sweep.family", "did you mean 'student-t'"]),
        (with_sweep(family=["student-t"]), ["sweep.family", "expected student-t(df)"]),
        (with_sweep(family=["student-t(-1)"]), ["sweep", "df -1", "above 0"]),
        (with_sweep(family=["laplace", "laplace"]), ["sweep.family", "different"]),
        (with_sweep(family=["student-t(5)", "student-t(5.0)"]), ["sweep.family", "different"]),
        (with_sweep(family=["categorical"]), ["sweep.family", "only be used in cases"]),
        (with_sides({"family": "laplce"}, {"family": "laplace"}),
         ["cases.a.q", "did you mean 'laplace'"]),
        (with_sweep(family=["qux"]), ["sweep.family", "expected one of normal, student-t"]),
        (with_sides({"family": "laplace", "shape": 1}, {"family": "laplace"}),
         ["cases.a.q", "unknown parameter shape"]),
        (with_sides({"family": "gamma", "shape": 1, "scale": 0}, {"family": "gamma", "shape": 1}),
         ["cases.a.q", "scale 0", "above 0"]),
        (with_sides({"mean": 1, "var": 4, "std": 2}, {"mean": 0, "sd": 1}),
         ["cases.a.q", "var and std", "expected one of them"]),
        (with_sides({"family": "student-t", "df": 1}, {"mean": 0, "sd": 1}),
         ["cases.a", "KL is infinite"]),
        (with_sides({"family": "categorical", "probabilities": [0.5, 0.6]},
                    {"family": "categorical", "probabilities": [0.5, 0.5]}),
         ["cases.a.q", "probabilities"]),
        # what a sampler can do
        (with_sweep(dimension=[21202]) | {"samplers": ["sobol"]},
         ["sobol", "d21202-s1-o0", "21201", "sobol-radial"]),
        ({"samples": 2**30 + 1, "samplers": ["sobol-radial"]}, ["samples", "sobol-radial"]),
    ],
)  # fmt: skip
def test_refused_in_one_line(raw, words, schema):
    line = refusal(raw, schema)
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize(
    ("raw", "get", "value"),
    [
        (with_sweep(scale=["1e-3", "2"]), lambda c: list(c.sweep["scale"]), [1e-3, 2]),
        (with_sweep(dimension=["1e2", 3.0]), lambda c: list(c.sweep["dimension"]), [3, 100]),
        (
            with_case(q_mean=["1e-3", "-2"]),
            lambda c: c.cases["a"].parameters["q"]["mean"],
            [1e-3, -2.0],
        ),
        ({"samples": "1e4"}, lambda c: c.samples, 10_000),
        ({"tolerances": ["1e-4", 0.5]}, lambda c: list(c.tolerances), [0.5, 1e-4]),
        ({"seed": "9007199254740993"}, lambda c: c.seed, 2**53 + 1),
        ({"cases": {}}, lambda c: c.cases, {}),
        (with_sweep() | {"cases": {"notebook": None}}, lambda c: c.cases, {}),
        ({"one_job_per": []}, lambda c: c.one_job_per, []),
        (with_sweep(dimension=[21201]) | {"samplers": ["sobol"]}, lambda c: c.samplers, ["sobol"]),
        (
            with_sweep(dimension=[10**9]) | {"samplers": ["sobol-radial"]},
            lambda c: next(s.dimension for s in c.settings),
            10**9,
        ),
    ],
)
def test_accepted(raw, get, value, schema):
    assert get(parse(raw, schema)) == value


DEFAULT_CASES = ["chain", "correlated", "next-token", "notebook", "tails"]


@pytest.mark.parametrize(
    ("raw", "cells", "cases"),
    [
        ({}, 60, DEFAULT_CASES),
        ({"samples": 64}, 60, DEFAULT_CASES),
        ({"sweep": {"dimension": [3]}}, 12, []),
        ({"sweep": {}}, 60, []),
        ({"sweep": SWEEP, "cases": {"a": PAIR}}, 2, ["a"]),
        ({"sweep": SWEEP, "cases": {"a": PAIR, "chain": None}}, 2, ["a"]),
        ({"sweep": SWEEP, "cases": {"chain": None}}, 2, []),
        ({"cases": {"a": PAIR}}, 0, ["a"]),
        ({"cases": {"a": PAIR, "chain": None}}, 0, ["a"]),
        ({"cases": {"chain": None, "tails": None}}, 60, ["correlated", "next-token", "notebook"]),
        ({"cases": {"chain": "null", "tails": "~"}}, 60, ["correlated", "next-token", "notebook"]),
        ({"cases": dict.fromkeys(DEFAULT_CASES)}, 60, []),
        ({"cases": {}}, 60, []),
    ],
)
def test_a_config_studies_what_it_gives(raw, cells, cases, schema, root):
    """Whether the defaults are those of the schema or those of config.yaml."""
    file = yaml.safe_load((root / "config.yaml").read_text("utf-8"))
    for defaults in (None, file):
        config = parse(raw, schema, defaults)
        assert [s.name for s in config.settings if s.case] == cases
        assert sum(not s.case for s in config.settings) == cells


@pytest.mark.parametrize(
    ("edited", "cells", "cases"),
    [
        ({"sweep": SWEEP}, 2, []),
        ({"sweep": SWEEP, "cases": {"b": PAIR}}, 2, ["b"]),
        ({"sweep": SWEEP, "cases": {"notebook": None}}, 2, []),
        ({"cases": {"b": PAIR}}, 0, ["b"]),
    ],
)
def test_an_edited_config_file_is_studied_as_it_stands(edited, cells, cases, schema):
    def studies(given):
        every = parse(given, schema, edited).settings
        return sum(not s.case for s in every), [s.name for s in every if s.case]

    assert studies({}) == (cells, cases)
    assert studies({"cases": {"a": PAIR}}) == (0, ["a"])
    if "b" in cases and cells:  # a case of the file can be dropped
        assert studies({"cases": {"b": None}}) == (cells, [])


def test_the_default_axes_are_those_of_the_edited_file(schema):
    config = parse({"sweep": {"dimension": [7]}}, schema, {"sweep": SWEEP})
    assert [s.name for s in config.settings] == ["d7-s1-o0"]


def test_nothing_left_to_study_is_refused(schema):
    with pytest.raises(UserError, match=r"^cases: nothing is left to study"):
        parse({"cases": {"b": None}}, schema, {"cases": {"b": PAIR}})


def test_a_case_that_is_not_there_cannot_be_dropped(schema):
    line = refusal({"cases": {"notebok": None}}, schema)
    assert line == "cases.notebok: no such case to drop: did you mean 'notebook'?"


def test_a_scalar_stands_for_every_coordinate(schema):
    raw = {"cases": {"a": {"q": {"mean": 0, "sd": 1}, "p": {"mean": [0, 1, 2], "sd": 2}}}}
    assert [s.dimension for s in parse(raw, schema).settings if s.case] == [3]
    raw["cases"]["a"]["p"]["mean"] = 1
    assert [s.dimension for s in parse(raw, schema).settings if s.case] == [1]


def test_parameters_under_other_names_are_stored_under_their_own(schema):
    sides = ({"family": "gamma", "k": 2, "scale": scale} for scale in (1, 0.5))
    (case,) = parse(with_sides(*sides), schema).cases.values()
    assert case.parameters == {
        "q": {"family": "gamma", "shape": 2.0, "rate": 1.0},
        "p": {"family": "gamma", "shape": 2.0, "rate": 2.0},
    }


def test_several_mistakes_are_told_at_once_as_they_were_typed(schema):
    raw = {
        "sampels": 3,
        "samples": "1e0",
        "sweep": {"scale": ["0", "1"], "offset": [["a", None], 1]},
        "tolerances": [{"x": [True]}],
        "cases": {"a": {"q": {"mean": 0, "sd": 1}, "p": {"mean": "x", "sd": 1}}, "2": PAIR},
    }
    assert parse_refused(raw, schema) == [
        "sampels: unknown key: did you mean 'samples'?",
        "sweep.scale[0]: '0', expected a number from 1e-30 to 1e30",
        "sweep.offset[0]: '[a, null]', expected a number from -1e30 to 1e30",
        "cases: '2' is not a name of letters, digits, '_', '.' and '-' that starts with a letter",
        "cases.a.p.mean: 'x' is not a number from -1e30 to 1e30, a list of them or a file "
        "(.npy, .npz, .csv, .parquet)",
        "samples: '1e0', expected an integer from 2 to 10^12",
        "tolerances[0]: '{x: [true]}', expected a finite number above 0",
    ]
    many = parse_refused({"cases": {f"c{k}": {"q": {"mean": "x"}} for k in range(9)}}, schema)
    assert len(many) == 9
    assert many[-1].startswith("and ")
    both = {"family": ["qux"], "dimension": [1]}
    of_sweep, of_case = parse_refused(
        {"sweep": both, "cases": {"a": {"q": {"family": "nrmal"}, "p": {}}}}, schema
    )
    assert of_sweep.startswith("sweep.family: 'qux' is not a family: expected one of normal,")
    assert "triangular" not in of_sweep
    assert of_case == "cases.a.q: 'nrmal' is not a family: did you mean 'normal'?"


def parse_refused(raw, schema):
    with pytest.raises(UserError) as refused:
        parse(raw, schema)
    return refused.value.lines


def test_the_schemas_defaults_are_the_config_file(schema, root):
    data = yaml.safe_load((root / "config.yaml").read_text("utf-8"))
    assert list(data) == list(schema["properties"])
    assert data == {key: known["default"] for key, known in schema["properties"].items()}
    assert parse(data, schema) == parse({}, schema)


def test_the_studies_are_configs_that_say_how_to_run_them(schema, root, monkeypatch):
    monkeypatch.chdir(root / "docs")  # files are named from a folder beside that of the studies
    files = sorted((root / "studies").glob("*.yaml"))
    assert files
    for path in files:
        text = path.read_text("utf-8")
        assert f"--configfile studies/{path.name}" in text.splitlines()[0]
        assert parse(yaml.safe_load(text), schema).settings


@pytest.mark.parametrize("key", REGISTRIES)
def test_the_schema_names_what_is_registered(key, schema):
    """The study itself asks the registries; editors ask the file, which may lack new names."""
    names = schema["properties"][key]["items"]["enum"]
    assert names == [name for name in REGISTRIES[key] if name in names]
    assert {*schema["properties"][key]["default"]} <= {*names}


def test_a_name_needs_no_edit_of_the_schema(schema):
    older = copy.deepcopy(schema)
    older["properties"]["estimators"]["items"]["enum"] = ["k1"]
    assert parse({"estimators": ["k3", "k1"]}, older).estimators == ["k1", "k3"]
    assert "did you mean 'k3'" in refusal({"estimators": ["k33"]}, older)


def test_every_key_of_the_schema_says_what_is_expected(schema):
    def walk(part):
        if isinstance(part, dict):
            if ("type" in part and "properties" not in part) or "enum" in part:
                assert "expected" in part or "title" in part, part
            for value in part.values():
                walk(value)

    walk(schema["properties"])


def test_the_order_of_lists_changes_nothing(schema):
    raw = {
        "sweep": {"dimension": [4, 1, 2], "scale": [2.5, 0.8], "offset": [1.0, -0.5, 0]},
        "samplers": ["sobol-radial", "iid", "antithetic"],
        "estimators": ["cv", "k2", "k1"],
        "tolerances": [0.01, 0.1],
        "one_job_per": ["offset", "dimension"],
        "cases": {"b": PAIR, "a": PAIR},
    }
    first = parse(raw, schema)
    for seed in range(20):
        rng = random.Random(seed)

        def shuffled(value, rng=rng):
            if isinstance(value, dict):
                return {k: shuffled(value[k]) for k in rng.sample(list(value), len(value))}
            if isinstance(value, list) and value not in PAIR["q"].values():
                return rng.sample(value, len(value))
            return value

        other = shuffled({k: v for k, v in raw.items() if k != "cases"})
        other["cases"] = {name: raw["cases"][name] for name in rng.sample(["a", "b"], 2)}
        assert parse(other, schema) == first
        assert repr(parse(other, schema)) == repr(first)


NUMBERS = st.one_of(
    st.integers(-2, 40), st.floats(), st.sampled_from(["1e-3", "2", "nan", "x", "", None, True]),
    st.floats(0.1, 10.0),
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def spoilt(good):
    """Now and then replace a value by an unrelated one."""
    return st.integers(0, 24).flatmap(lambda k: ANYTHING if k == 24 else good)


def configs(mostly):
    """Configs whose parts are valid unless `mostly` replaces them."""

    def some(values, least=1):
        return mostly(st.lists(mostly(values), min_size=least, max_size=3, unique_by=repr))

    def names(registry):
        return some(st.sampled_from(list(registry)))

    def numbers(low, high):
        number = st.floats(low, high)
        return mostly(st.one_of(number, st.lists(number, max_size=3)))

    sides = mostly(st.fixed_dictionaries({"mean": numbers(-9, 9), "sd": numbers(0.1, 9)}))
    case_names = mostly(st.from_regex(r"[a-z][a-z0-9_.-]{0,9}", fullmatch=True)).map(str)
    return st.fixed_dictionaries(
        {},
        optional={
            "seed": mostly(st.integers(0, 2**70)),
            "sweep": mostly(
                st.fixed_dictionaries(
                    {
                        "dimension": some(st.integers(1, 30000)),
                        "scale": some(st.floats(0.1, 9)),
                        "offset": some(st.floats(-9, 9)),
                    }
                )
            ),
            "cases": mostly(
                st.dictionaries(
                    case_names, mostly(st.fixed_dictionaries({"q": sides, "p": sides})), max_size=2
                )
            ),
            **{key: names(registry) for key, registry in REGISTRIES.items()},
            "samples": mostly(st.integers(2, 2**31)),
            "replicates": mostly(st.integers(1, 1000)),
            "tolerances": some(st.floats(1e-9, 1)),
            "one_job_per": names(["dimension", "scale", "offset"]),
        },
    )


SOUND = configs(lambda good: good)
SPOILT = st.tuples(configs(spoilt), st.dictionaries(st.text(max_size=8), ANYTHING, max_size=1)).map(
    lambda parts: parts[1] | parts[0]
)


@pytest.mark.parametrize(("kind", "mostly"), [(SOUND, "parsed"), (SPOILT, "refused")])
def test_any_config_is_parsed_or_refused_in_one_line(schema, kind, mostly):
    outcomes = {"parsed": 0, "refused": 0}

    @settings(max_examples=500, deadline=None)
    @given(kind)
    def one(raw):
        before = copy.deepcopy(raw)
        config = None
        try:
            config = parse(raw, schema)
        except UserError as error:
            line = str(error)
        assert repr(raw) == repr(before)  # nothing of the caller's is changed
        if config is None:
            outcomes["refused"] += 1
            assert line
            assert line.isprintable()
            return
        outcomes["parsed"] += 1
        every = config.settings
        assert every
        assert len({s.name for s in every}) == len(every)
        for setting in itertools.islice(every, 5):
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.+-]*", setting.name)
            assert setting.pair.dimension == setting.dimension
        # parsing again changes nothing
        again = config._asdict()
        again["cases"] = {name: setting.parameters for name, setting in config.cases.items()}
        if not config.sweep:
            del again["sweep"]
        assert parse(again, schema) == config

    one()
    assert outcomes[mostly] >= 150, outcomes  # of 500: the test sees what it is meant for


def test_gradients(schema, root):
    names = schema["properties"]["gradients"]["properties"]["methods"]["items"]["enum"]
    assert names == [name for name in METHODS if name in names]
    assert schema["properties"]["gradients"]["default"]["methods"] == names
    raw = {
        "sweep": {},
        "cases": {"a": PAIR},
        "gradients": {"settings": ["a", "d4-*"], "methods": ["stl", "score"]},
    }
    config = parse(raw, schema)
    assert config.gradients["methods"] == ["score", "stl"]  # in the order of registration
    assert config.gradients["samples"] == 1024
    found = {s.name for s in config.gradient_settings}
    assert "a" in found
    assert sum(name.startswith("d4-") for name in found) == len(found) - 1 == 12
    assert parse({"gradients": {"settings": []}}, schema).gradient_settings == []
    tails = {"q": {"family": "laplace"}, "p": {"family": "laplace", "scale": 2}}
    assert parse(
        {"cases": {"heavy": tails}, "gradients": {"settings": ["heavy"]}}, schema
    ).gradient_settings == []  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"settings": ["notebok"]},
            "'notebok' is no setting of this study: did you mean",
        ),
        ({"methods": ["k3-los"]}, "gradients.methods[0]: 'k3-los' is not a method: did you mean"),
        ({"methods": []}, "gradients.methods: '[]', expected a list of different methods"),
        ({"setting": ["a"]}, "gradients.setting: unknown key: did you mean 'settings'"),
        ({"samples": 1}, "gradients.samples: '1', expected an integer from 4"),
    ],
)
def test_gradients_are_refused(schema, given, text):
    assert text in refusal({"gradients": given}, schema)


def test_gradients_of_long_settings_are_refused(schema):
    sweep = {"dimension": [20_000], "scale": [1.2], "offset": [0.0]}
    raw = {"sweep": sweep, "samplers": ["iid"], "gradients": {"settings": ["d20000-*"]}}
    assert "has dimension 20,000, expected at most 10,000" in refusal(raw, schema)
