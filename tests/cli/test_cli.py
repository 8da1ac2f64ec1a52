"""The command as a user meets it: answers, exit codes, one-line errors, help, start."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from mckl.cli.commands import main
from mckl.estimation.values import ESTIMATORS

HERE = Path(__file__).parent
NOTEBOOK = ("--q-mean", "1,4", "--q-sd", "1", "--p-mean=-3,2", "--p-sd", "2.5")
SAMPLERS = {"iid", "iid-radial", "antithetic", "antithetic-radial", "sobol", "sobol-radial"}
NUMBER = {"type": ["number", "null"]}
OPTION = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "estimator", "sampler", "samples_needed", "expected_rmse", "expected_relative_rmse",
        "probability_negative", "probability_negative_method", "cpu_seconds", "has_std_error",
        "interval_samples", "theory", "relative_error", "verdict",
    ],
    "properties": {
        "estimator": {"enum": list(ESTIMATORS)},
        "sampler": {"enum": sorted(SAMPLERS)},
        "samples_needed": {"type": ["integer", "null"], "minimum": 1},
        "expected_rmse": NUMBER,
        "expected_relative_rmse": NUMBER,
        "expected_bias": NUMBER,
        "probability_negative": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "probability_negative_method": {
            "enum": ["inversion", "saddlepoint", "never negative", "not known"]
        },
        "cpu_seconds": NUMBER,
        "has_std_error": {"type": "boolean"},
        "interval_samples": {"type": ["integer", "null"], "minimum": 1},
        "theory": {"enum": ["exact", "asymptotic", "none"]},
        "relative_error": {"type": "number", "minimum": 0, "maximum": 1e-6},
        "verdict": {"type": "string"},
    },
}  # fmt: skip
ADVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["mckl", "pair", "request", "regime", "left_out", "options", "recommendation"],
    "properties": {
        "mckl": {"type": "string"},
        "pair": {
            "required": [
                "family",
                "dimension",
                "kl",
                "kl_relative_error",
                "reverse_kl",
                "reverse_kl_relative_error",
                "symmetrised_kl",
            ]
        },
        "request": {"required": ["tolerance", "relative", "limit", "confidence"]},
        "regime": {
            "additionalProperties": False,
            "required": ["k3_variance_finite"],
            "properties": {
                "log_ratio_variance": NUMBER,
                "log_ratio_variance_relative_error": NUMBER,
                "log_ratio_skewness": NUMBER,
                "log_ratio_excess_kurtosis": NUMBER,
                "k3_variance_finite": {"type": "boolean"},
                "tail_index": NUMBER,
                "antithetic_variance_ratio": NUMBER,
                "missed_mass": {"type": "number", "minimum": 0, "maximum": 1},
                "radial_numbers": {"type": ["integer", "null"]},
            },
        },
        "left_out": {"type": "array", "items": {"enum": sorted(SAMPLERS)}},
        "options": {"type": "array", "items": OPTION, "minItems": 1},
        "recommendation": {
            "type": ["object", "null"],
            "required": ["estimator", "sampler", "samples_needed", "cpu_seconds", "reason"],
        },
    },
}


def mckl(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="mckl", catch_exceptions=False)


def told(*words: str) -> dict:
    done = mckl(*words, "--json")
    assert done.stderr == ""
    return json.loads(done.stdout, parse_constant=pytest.fail)


def option(answer: dict, estimator: str, sampler: str) -> dict:
    found = [o for o in answer["options"] if (o["estimator"], o["sampler"]) == (estimator, sampler)]
    assert len(found) == 1
    return found[0]


def refused(*words: str) -> str:
    done = mckl(*words)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mckl: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("mckl: ").strip()


def test_kl_of_the_notebook():
    answer = told("kl", *NOTEBOOK)
    assert answer["kl"] == pytest.approx(2.592581463748310, rel=1e-15)
    assert answer["reverse_kl"] == pytest.approx(13.417418535, rel=1e-10)
    text = mckl("kl", *NOTEBOOK)
    assert text.exit_code == 0
    assert "KL(q||p)  2.59258146374831 nats" in text.stdout


def test_a_number_stands_for_every_coordinate():
    grid = told("kl", "-d", "7", "-s", "1.2", "-o", "0.5")
    same = told("kl", "--q-mean", ",".join(["0.5"] * 7), "--q-sd", "1", "--p-mean", "0", "--p-sd",
                "1.2")  # fmt: skip
    assert grid["kl"] == pytest.approx(same["kl"], rel=1e-14)
    assert told("kl", "-d", "1e6", "-o", "1e-3")["kl"] == pytest.approx(0.5)


def test_advice_for_the_notebook():
    answer = told("advise", *NOTEBOOK)
    jsonschema.validate(answer, ADVICE)
    k1 = option(answer, "k1", "iid")
    assert k1["samples_needed"] == math.ceil(1.2176 / (0.01 * 2.592581463748310) ** 2)
    assert k1["expected_relative_rmse"] == pytest.approx(0.01, rel=1e-3)
    assert option(answer, "k3", "iid")["verdict"] == "infinite variance"
    assert option(answer, "k2", "iid")["verdict"] == "biased: never reaches it"
    regime = answer["regime"]
    assert not regime["k3_variance_finite"]
    assert regime["tail_index"] == pytest.approx(1 / 0.84)
    assert regime["log_ratio_skewness"] == pytest.approx(-1.8426037)
    assert regime["antithetic_variance_ratio"] == pytest.approx(2 * 0.7056 / 1.2176)
    assert {o["sampler"] for o in answer["options"]} == SAMPLERS


def test_advice_in_words():
    text = mckl("advise", *NOTEBOOK).stdout
    for words in (
        "antithetic pairs hurt k1: 1.16", "k3's variance is infinite", "1,812", "skewness -1.84",
        "Use k1 over iid samples", "biased: never reaches it",
    ):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) < 300


def test_advice_counts_in_words():
    text = mckl("advise", "-d", "1", "-o", "0.3").stdout
    assert "radial samplers gain nothing: they draw 1 number a sample for 1 coordinate\n" in text
    best = told("advise", "-d", "4", "-s", "0.999", "-o", "0.001")["recommendation"]
    assert best["reason"].startswith("k1 over iid needs ")
    assert "e+" not in best["reason"]
    assert best["if_costly"] == "cv-factor over 13,499 iid samples (by a leading order)"


def test_advice_says_why_fewer_samples_are_not_recommended():
    """Sobol' points need fewer samples, but their standard error takes independent scrambles."""
    words = (
        "--q",
        "{family: lognormal, mean: 0, sd: 0.5}",
        "--p",
        "{family: gamma, shape: 2, rate: 1.5}",
    )
    answer = told("advise", *words)
    best, sobol = answer["recommendation"], option(answer, "k1", "sobol")
    assert best["sampler"] == "iid"
    assert sobol["samples_needed"] < 0.1 * best["samples_needed"]
    assert sobol["cpu_seconds"] < best["cpu_seconds"]
    assert best["slower"].startswith(
        f"k1 over {sobol['samples_needed']:,} sobol samples have that RMSE too, but an interval "
    )
    assert " ".join(best["slower"].split()) in " ".join(mckl("advise", *words).stdout.split())
    alone = told("advise", *words, "--sampler", "sobol")["recommendation"]
    assert alone["sampler"] == "sobol"
    assert alone["slower"] is None
    assert (
        told("advise", "-d", "64", "-s", "1.2", "-t", "0.001")["recommendation"]["slower"] is None
    )


def test_recommendation_is_among_the_reached_and_cheap():
    answer = told("advise", "-d", "64", "-s", "1.2", "-o", "0.5", "-t", "0.001")
    best = answer["recommendation"]
    assert (best["estimator"], best["sampler"]) == ("k1", "sobol-radial")
    cheapest = min(o["cpu_seconds"] for o in answer["options"] if o["verdict"] == "ok")
    assert best["cpu_seconds"] == cheapest
    assert "193,040" in best["reason"]


@pytest.mark.parametrize("words", [("-d", "4", "-s", "1.3"), ("-d", "1", "-s", "1.05")])
def test_a_biased_estimator_is_not_recommended_beside_an_unbiased_one(words):
    answer = told("advise", *words, "-t", "0.2")
    best = answer["recommendation"]
    assert option(answer, "k2", "iid")["verdict"] == "ok"
    assert option(answer, best["estimator"], best["sampler"])["expected_bias"] == 0.0


def test_probability_of_a_negative_estimate_at_a_loose_tolerance():
    answer = told("advise", "-d", "1", "-s", "0.8", "-o", "0.25", "-t", "0.5")
    k1, balanced = option(answer, "k1", "iid"), option(answer, "k1", "sobol")
    assert k1["probability_negative_method"] == "inversion"
    assert 0.005 < k1["probability_negative"] < 0.04
    assert balanced["probability_negative"] == 0.0  # l is bounded from below
    assert option(answer, "k3", "iid")["probability_negative"] == 0.0
    looser = told("advise", "-d", "1", "-s", "0.8", "-o", "0.25", "-t", "1")
    balanced = option(looser, "k1", "sobol")
    assert balanced["probability_negative_method"] == "saddlepoint"
    assert 0.02 < balanced["probability_negative"] < 0.08
    tight = option(told("advise", "-d", "64", "-s", "1.25"), "k1", "sobol")
    assert tight["probability_negative"] is None
    assert tight["probability_negative_method"] == "not known"


def test_confidence_and_absolute_tolerance():
    plain = option(told("advise", *NOTEBOOK), "k1", "iid")["samples_needed"]
    sure = option(told("advise", *NOTEBOOK, "-c", "0.95"), "k1", "iid")["samples_needed"]
    assert sure / plain == pytest.approx(3.8415, rel=1e-3)
    answer = told("advise", "-d", "3", "--absolute", "0.1")
    assert option(answer, "k1", "iid")["samples_needed"] == 1  # q = p: every estimate is 0


def test_choice_of_samplers_and_estimators():
    answer = told("advise", *NOTEBOOK, "--sampler", "sobol", "--estimator", "cv", "--estimator",
                  "k1")  # fmt: skip
    assert [(o["estimator"], o["sampler"]) for o in answer["options"]] == [
        ("k1", "sobol"), ("cv", "sobol"),
    ]  # fmt: skip


def test_exit_code_tells_that_nothing_reaches_the_tolerance():
    for words in ((*NOTEBOOK, "--estimator", "k3"), (*NOTEBOOK, "-t", "1e-300")):
        done = mckl("advise", *words)
        assert done.exit_code == 3
        assert "No estimator reaches the tolerance" in done.stdout
        done = mckl("advise", *words, "--json")
        assert done.exit_code == 3
        jsonschema.validate(json.loads(done.stdout), ADVICE)


@pytest.mark.parametrize(
    "words",
    [
        ("-d", "1", "-s", "1e-60"), ("-d", "1", "-s", "1e60"), ("-d", "1", "-o", "1e-150"),
        ("-d", "1e14", "-o", "1000"), ("-d", "1e15", "-s", "1.1"), ("-d", "2", "-o", "5e-324"),
        ("-d", "2", "-s", "1.5", "-t", "1e-300"), ("-d", "2", "-s", "1.5", "-t", "1e300"),
        ("-d", "2", "-s", "1.5", "-c", "0.9999999999999999"), ("-d", "1e6", "-s", "0.3", "-o", "3"),
        ("-d", "1", "-s", "1.4142135623730951"), ("-d", "1000", "-s", "1.0000000001"),
    ],
)  # fmt: skip
def test_advice_at_the_ends_of_floating_point(words):
    done = mckl("advise", *words, "--json")
    assert done.exit_code in (0, 3)
    assert done.stderr == ""
    jsonschema.validate(json.loads(done.stdout, parse_constant=pytest.fail), ADVICE)


def test_radial_samplers_gain_nothing_where_all_coordinates_differ(tmp_path):
    sd = np.linspace(0.9, 1.1, 30_000)
    np.save(tmp_path / "sd.npy", sd)
    pair = ("--q-mean", "0", "--q-sd", str(tmp_path / "sd.npy"), "--p-mean", "0", "--p-sd", "1")
    text = mckl("advise", *pair).stdout
    assert "radial samplers gain nothing" in text
    answer = told("advise", *pair)
    assert answer["regime"]["radial_numbers"] == 30_000
    assert option(answer, "k1", "sobol")["verdict"].startswith("not possible")
    assert option(answer, "k1", "sobol-radial")["verdict"].startswith("not possible")


def test_estimate_stops_when_it_is_tight():
    answer = told("estimate", *NOTEBOOK, "-t", "0.02")
    assert answer["stopped"] == "tight"
    assert answer["withheld"] is None
    low, high = answer["interval"]
    assert low < answer["exact"] < high
    assert answer["half_width"] <= answer["target"] == pytest.approx(0.02 * answer["estimate"])
    assert answer["samples"] == sum(answer["stages"].values())
    assert answer == told("estimate", *NOTEBOOK, "-t", "0.02")
    assert answer != told("estimate", *NOTEBOOK, "-t", "0.02", "--seed", "5")
    text = mckl("estimate", *NOTEBOOK, "-t", "0.02")
    assert text.exit_code == 0
    assert "tight enough" in text.stdout


def test_estimate_stops_when_the_budget_is_spent():
    done = mckl(
        "estimate", *NOTEBOOK, "-t", "1e-5", "--budget", "5000", "--sampler", "iid", "--json"
    )
    assert done.exit_code == 3
    answer = json.loads(done.stdout)
    assert answer["stopped"] == "budget"
    assert answer["samples"] <= 5000
    text = mckl("estimate", *NOTEBOOK, "-t", "1e-4", "--budget", "1e3").stdout
    assert "the budget is spent" in text


@pytest.mark.parametrize(
    ("pair", "choice", "reason"),
    [
        (NOTEBOOK, ("--estimator", "k3"), "the variance of k3 is infinite"),
        (NOTEBOOK, ("--estimator", "k2"), "biased by 1.377"),
        (("-d", "100", "-o", "1"), ("--estimator", "cv", "--sampler", "iid"), "so skewed"),
        (("-d", "10000", "-o", "1"), ("--estimator", "k3"), "over the samples is 0"),
        (("-d", "1", "-s", "1.25"), ("--estimator", "k3"), "third moment of k3 is infinite"),
        (("-d", "2", "-s", "1.1"), ("--estimator", "k3", "--sampler", "sobol"), "is not known"),
    ],
)
def test_an_interval_that_would_not_cover_is_withheld(pair, choice, reason):
    words = (*pair, *choice)
    done = mckl("estimate", *words, "--json")
    assert done.exit_code == 4
    answer = json.loads(done.stdout, parse_constant=pytest.fail)
    assert answer["stopped"] == "withheld"
    assert answer["interval"] is answer["half_width"] is answer["std_error"] is None
    assert reason in answer["withheld"]
    assert math.isfinite(answer["estimate"])
    text = mckl("estimate", *words)
    assert text.exit_code == 4
    assert reason in text.stdout
    assert "95 % interval" not in text.stdout
    best = told("advise", *pair, "-c", "0.95")["recommendation"]
    assert answer["use_instead"] == {key: best[key] for key in ("estimator", "sampler")}
    assert f"Use {best['estimator']} over {best['sampler']} samples instead." in text.stdout


def test_a_budget_too_small_for_an_interval_is_told():
    words = ("estimate", "-d", "1", "-s", "0.3", "--sampler", "iid", "--estimator", "k1")
    done = mckl(*words, "--budget", "100")
    assert done.exit_code == 4
    assert "takes at least 640 samples, and the budget is 100" in done.stdout
    assert "instead" not in done.stdout


def test_estimate_uses_what_advise_recommends():
    for pair in (NOTEBOOK, ("-d", "5", "-o", "0.3"), ("-d", "64", "-s", "1.2", "-o", "0.5")):
        best = told("advise", *pair, "-t", "0.001", "-c", "0.9")["recommendation"]
        answer = told("estimate", *pair, "-t", "0.001", "-c", "0.9")
        assert (answer["estimator"], answer["sampler"]) == (best["estimator"], best["sampler"])
        assert answer["stopped"] == "tight"
    named = told("estimate", *NOTEBOOK, "-t", "0.1", "--sampler", "iid")
    best = told("advise", *NOTEBOOK, "-t", "0.1", "-c", "0.95", "--sampler", "iid")[
        "recommendation"
    ]
    assert (named["estimator"], named["sampler"]) == (best["estimator"], "iid")


@pytest.mark.parametrize(
    "pair",
    [
        ("-d", "1", "-s", "1.01", "-o", "0.01"),  # the scrambles of k3-factor are too skewed
        ("--q", "{family: laplace}", "--p", "{mean: 0, sd: 1.5}"),
        ("--q", "{family: logistic}", "--p", "{mean: 0, sd: 2}"),
        ("--q", "{family: student-t, df: 5}", "--p", "{mean: 0, sd: 1.5}"),
        ("-d", "3"),  # KL is 0
    ],
)
def test_what_is_recommended_has_an_interval(pair):
    for words in ((), ("-c", "0.9")):
        best = told("advise", *pair, *words)["recommendation"]
        answer = told("estimate", *pair, *words)
        assert answer["stopped"] == "tight"
        if words or pair == ("-d", "3"):
            assert [answer[k] for k in ("estimator", "sampler")] == [
                best["estimator"],
                best["sampler"],
            ]
            assert best["interval_samples"] == pytest.approx(answer["samples"], rel=0.4)


def test_a_choice_whose_samples_show_a_fault_is_followed_by_the_next():
    """Nine tenths of N(0, 1) hide that k3 hangs on the rest; the tail index of its pilot tells."""
    side = (
        "{family: mixture, weights: [0.9, 0.1], components: [{mean: 0, sd: 1}, {mean: 5, sd: 0.5}]}"
    )
    words = ("estimate", "--q", side, "--p", "{mean: 0, sd: 1}", "--sampler", "iid")
    answer = told(*words)
    (before,) = answer["passed_over"]
    assert (before["estimator"], before["sampler"]) == ("k3", "iid")
    assert "tail index" in before["reason"]
    assert answer["estimator"] == "k1"
    low, high = answer["interval"]
    assert low < answer["exact"] < high
    assert answer["samples"] == sum(answer["stages"].values())
    assert answer["stages"]["passed over"] > 0
    assert "k3 over iid gave no interval: the largest" in mckl(*words).stdout


def test_the_short_advice_fits_80_columns_and_all_of_it_is_at_hand():
    for pair in (
        NOTEBOOK,
        ("-d", "64", "-s", "1.2", "-o", "0.3"),
        ("--family", "gamma(2)", "-d", "2"),
    ):
        text, full = (mckl("advise", *pair, *more).stdout for more in ((), ("--all",)))
        lines = text.splitlines()
        assert lines[0].startswith("Use ")
        assert lines[1].startswith("Because ")
        begin = next(i for i, line in enumerate(lines) if line.startswith("estimator"))
        assert max(map(len, lines[begin:])) <= 80
        assert len(full.splitlines()) > len(lines)


def test_antithetic_pairs_are_recommended_where_they_are_exact():
    best = told("advise", "-d", "5", "-o", "0.3")["recommendation"]
    assert (best["estimator"], best["samples_needed"]) == ("k1", 2)
    assert best["sampler"].startswith("antithetic")
    assert "two pairs have a standard error of 0" in best["reason"]
    answer = told("estimate", "-d", "5", "-o", "0.3")
    assert answer["samples"] == 6
    assert answer["estimate"] == pytest.approx(0.225, rel=1e-12)
    assert answer["half_width"] < 1e-12


def test_what_has_no_interval_is_not_recommended():
    """k3's third moment is infinite: its RMSE is known, its interval is not."""
    answer = told("advise", "-d", "1", "-s", "1.25", "--sampler", "iid", "-t", "0.1")
    assert option(answer, "k3", "iid")["verdict"] == "ok"
    assert option(answer, "k3", "iid")["interval_samples"] is None
    assert answer["recommendation"]["estimator"] == "k1"


def test_sobol_points_give_an_interval_by_scrambles():
    answer = told("estimate", *NOTEBOOK, "--sampler", "sobol-radial")
    assert answer["stopped"] == "tight"
    assert answer["scrambles"] >= 5
    assert answer["samples"] % answer["scrambles"] == 0
    text = mckl("estimate", *NOTEBOOK, "--sampler", "sobol-radial").stdout
    assert f"{answer['scrambles']} independent scrambles" in text
    assert "standard error comes from independent scrambles" in mckl(
        "advise", "-d", "64", "-s", "1.2", "-o", "0.5", "-t", "0.001"
    ).stdout  # fmt: skip


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("kl",), "no pair"),
        (("advise", "--scale", "1.2"), "--dimension: missing"),
        (("advise", "-d", "0"), "expected 1 to"),
        (("advise", "-d", "1.5"), "not an integer"),
        (("advise", "-d", "nan"), "not an integer"),
        (("advise", "-d", "inf"), "not an integer"),
        (("advise", "-d", "1e16"), "expected 1 to"),
        (("advise", "-d", "many"), "'many' is not an integer"),
        (("advise", "-d", "3", "-s", "0"), "--scale: 0, expected a number greater than 0"),
        (("advise", "-d", "3", "-s", "-1"), "--scale: -1, expected a number greater than 0"),
        (("advise", "-d", "3", "-s", "nan"), "--scale: nan, expected a number greater than 0"),
        (("advise", "-d", "3", "-o", "inf"), "--offset: inf, expected a finite number"),
        (("advise", "-d", "3", "-t", "0"), "--tolerance: 0, expected a number greater than 0"),
        (("advise", "-d", "3", "-t", "-0.1"), "--tolerance: -0.1, expected a number greater"),
        (("advise", "-d", "3", "-t", "a"), "'a' is not a valid float"),
        (("advise", "-d", "3", "-c", "1"), "--confidence: 1, expected a number between 0 and 1"),
        (("advise", "-d", "3", "-c", "0"), "expected a number between 0 and 1"),
        (("advise", "-d", "3", "-t", "0.1", "--absolute", "1"), "expected one of them"),
        (("advise", "-d", "3", "--sampler", "halton"), "'halton' is not one of"),
        (("advise", "-d", "3", "--estimator", "k4"), "'k4' is not one of"),
        (("advise", "-d", "3", "--q-mean", "1"), "not together"),
        (("advise", "-d", "3", "--dimensoin", "4"), "No such option"),
        (("advice",), "No such command 'advice'"),
        (("kl", "-d", "3", "4"), "unexpected extra argument"),
        (("kl", "--q-mean", "1"), "--q-sd: missing"),
        (("kl", "--q-mean", "1,", "--q-sd", "1", "--p-mean", "0", "--p-sd", "1"), "--q-mean: '1,'"),
        (("kl", "--q-mean", "", "--q-sd", "1", "--p-mean", "0", "--p-sd", "1"), "--q-mean: ''"),
        (
            ("kl", "--q-mean", "nan", "--q-sd", "1", "--p-mean", "0", "--p-sd", "1"),
            "--q: normal: mean nan, expected a finite",
        ),
        (
            ("kl", "--q-mean", "1", "--q-sd", "1,0", "--p-mean", "0", "--p-sd", "1"),
            "--q: normal: sd 0 (number 2 of 2), expected a number above 0",
        ),
        (
            ("kl", "--q-mean", "1", "--q-sd", "1", "--p-mean", "0", "--p-sd", "-1"),
            "--p: normal: sd -1, expected",
        ),
        (
            ("kl", "--q-mean", "1,2", "--q-sd", "1", "--p-mean", "0,1,2", "--p-sd", "1"),
            "--q and --p: normal: q has 2 coordinates and p has 3, expected the same number",
        ),
        (("kl", "--q", "none.npy", "--p", "none.npy"), "none.npy: no such file"),
        (("kl", "--q", "none.txt", "--p", "none.txt"), "expected a file named"),
        (("kl", "-d", "1", "-s", "1e-200"), "exceeds the largest number"),
        (("advise", "-d", "1", "-o", "1e200"), "exceeds the largest number"),
        (("estimate", "-d", "1", "-s", "1e-200"), "exceeds the largest number"),
        (("estimate", "-d", "3", "--budget", "15"), "expected a whole number from 16 to"),
        (("estimate", "-d", "3", "--seed", "-1"), "expected a whole number from 0 to"),
        (("estimate", "-d", "1e12", "--sampler", "iid"), "use iid-radial"),
    ],
)
def test_bad_input_is_one_line(words, text):
    assert text in refused(*words)


@pytest.mark.parametrize("command", ["", "families", "kl", "advise", "estimate", "study", "verify"])
def test_help(command):
    """The help texts are those on record; `MCKL_RECORD=1 pytest tests/cli` records them again."""
    done = mckl(*filter(None, [command]), "--help")
    assert done.exit_code == 0
    record = HERE / "help" / f"{command or 'mckl'}.txt"
    if os.environ.get("MCKL_RECORD"):
        record.write_text(done.stdout)
    assert done.stdout == record.read_text()


def test_no_command_shows_help_and_fails():
    done = mckl()
    assert done.exit_code == 2
    assert "Commands:" in done.stdout


def fresh(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src"), **env},
    )  # fmt: skip


START = """
import sys
sys.argv = ["mckl", *{words!r}]
from mckl.cli.commands import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(sorted({{"pandas", "scipy.stats", "pyarrow", "jsonschema", "matplotlib", "snakemake",
              "numpy", "rich"}} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], []),
        (["advise", "-d", "128", "-s", "1.2", "-o", "0.3", "--json"], ["numpy"]),
        (["advise", "-d", "128", "-s", "1.2", "-o", "0.3"], ["numpy"]),
        (["kl", "-d", "3"], ["numpy"]),
        (["estimate", "-d", "3", "-s", "1.2", "-t", "0.1"], ["numpy"]),
    ],
)
def test_start_imports_no_more_than_it_needs(words, needed):
    done = fresh(START.format(words=words))
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == str(needed)


def test_shell_completion():
    done = fresh(
        "from mckl.cli.commands import main; main(prog_name='mckl')",
        _MCKL_COMPLETE="bash_complete", COMP_WORDS="mckl advise --samp", COMP_CWORD="2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--sampler" in done.stdout


def test_a_reader_that_stops_is_no_error():
    code = "from mckl.cli.commands import main; main(['advise', '-d', '3', '-s', '1.2', '--json'])"
    reader = f'{sys.executable} -c "{code}" | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", reader], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_a_bar_shows_at_once_on_a_terminal_alone(monkeypatch, capsys):
    from mckl.cli.bar import progress

    with progress(500) as told_samples:
        told_samples(100)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress(500) as told_samples:
        assert "0.00/500" in capsys.readouterr().err
        told_samples(700)  # more than was forecast


def test_advise_on_gradients():
    words = ("advise", "--gradient", "-d", "4", "-s", "1.25", "-o", "0.25")
    answer = told(*words)
    assert answer["recommendation"]["method"] == "stl"
    known = {m["method"]: m for m in answer["methods"]}
    assert known["score"]["samples_needed"] == 1638  # 10.168 / (0.1 * 0.78791)^2
    assert known["k1-loss"]["samples_needed"] is None
    assert known["k3-loss"]["relative_bias"] == pytest.approx(0.7104, abs=5e-5)
    done = mckl(*words, "--tolerance", "0.05")
    assert done.exit_code == 0
    assert "Use stl (sticking the landing): n = 1,069." in done.stdout
    assert "k3 as a loss has a relative bias of 71 %" in done.stdout
    none = mckl("advise", "--gradient", "-d", "2")  # q = p
    assert none.exit_code == 3
    assert "No method reaches the tolerance: the gradient is 0." in none.stdout
    (row,) = (line.split() for line in none.stdout.splitlines() if line.startswith("score "))
    assert "–" in row
    assert "-" not in row


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--family", "laplace"), "laplace has no gradients here: expected a normal law"),
        (("--sampler", "iid"), "--sampler: not together with --gradient"),
        (
            ("--confidence", "0.9", "--sampler-law", "{lag: 0.1}", "--all"),
            "--confidence, --sampler-law and --all: not together with --gradient",
        ),
    ],
)
def test_refused_of_gradients(words, text):
    assert text in refused("advise", "--gradient", "-d", "2", *words)
