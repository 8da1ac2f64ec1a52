"""Given log-probabilities in Python: arrays and lists of every library, missing tokens, groups."""

from __future__ import annotations

import math
import pickle
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tools import need

import mckl

S = 60
RNG = np.random.default_rng(1)
LENGTHS = RNG.integers(1, 30, S)
MASK = np.arange(30) < LENGTHS[:, None]
LOG_Q = -1 - RNG.random((S, 30))
LOG_P = LOG_Q - 0.02 - 0.2 * RNG.normal(size=(S, 30))
LISTS = [[row[m].tolist() for row, m in zip(x, MASK, strict=True)] for x in (LOG_Q, LOG_P)]
TEXT = [pa.list_(pa.float64()), pa.large_list(pa.float64())]

SHAPES = {
    "arrays in a list": lambda x: [np.array(row) for row in x],
    "pandas": pd.Series,
    "pandas of Arrow": lambda x: pd.Series(x, dtype=pd.ArrowDtype(TEXT[0])),
    "Polars": pl.Series,
    "Arrow": lambda x: pa.array(x, TEXT[1]),
    "chunks of Arrow": lambda x: pa.chunked_array([x[:20], x[20:]]),
    "a slice of Arrow": lambda x: pa.array([[9.0], *x, [9.0]]).slice(1, S),
    "missing tokens": lambda x: [[*row, None] for row in x],
    "missing tokens of Polars": lambda x: pl.Series([[None, *row] for row in x]),
    "missing tokens in a frame of pandas": lambda x: np.ma.masked_invalid(
        pd.DataFrame(np.where(MASK, LOG_Q if x is LISTS[0] else LOG_P, math.nan))
    ),
    "missing rows": lambda x: [None, *x],
    "masked": lambda x: np.ma.MaskedArray(LOG_Q if x is LISTS[0] else LOG_P, ~MASK),
    "nullable of pandas": lambda x: pd.Series(np.concatenate(x), dtype="Float64"),
}


@pytest.fixture(scope="module")
def expected():
    return mckl.from_log_probs(*LISTS)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same(shape, expected):
    ids = {"sequence": np.repeat(np.arange(S), LENGTHS)} if shape == "nullable of pandas" else {}
    found = mckl.from_log_probs(*map(SHAPES[shape], LISTS), **ids)
    assert found.to_dict() == expected.to_dict()
    assert found.units == S


def test_nested_tensors_and_lists_of_tensors(expected):
    need("torch", find_spec("torch"))
    import torch

    rows = [[torch.tensor(row, dtype=torch.float64) for row in x] for x in LISTS]
    nested = [torch.nested.nested_tensor(x, layout=torch.jagged) for x in rows]
    assert mckl.from_log_probs(*rows).to_dict() == expected.to_dict()
    assert mckl.from_log_probs(*nested).to_dict() == expected.to_dict()
    padded = [torch.nn.utils.rnn.pad_sequence(x, batch_first=True, padding_value=7.0) for x in rows]
    mask = torch.arange(padded[0].shape[1]) < torch.tensor(LENGTHS)[:, None]
    assert mckl.from_log_probs(*padded, mask=mask).to_dict() == expected.to_dict()


def test_a_mask_decides_before_missing_tokens(expected):
    mask = [[False, *[True] * n] for n in LENGTHS]
    q, p = ([[first, *row] for row in x] for x, first in zip(LISTS, (None, -1.0), strict=True))
    assert mckl.from_log_probs(q, p, mask=mask).to_dict() == expected.to_dict()
    with pytest.raises(ValueError, match="log_q: row 0, column 0 is empty, and log_p has a value"):
        mckl.from_log_probs(q, p)


@pytest.mark.parametrize(
    ("log_q", "log_p", "more", "words"),
    [
        ([[1, 2], [3, [4]]], [[1, 2], [3, 4]], {}, "log_q: lists within some lists"),
        ([[1, 2], 3], [[1, 2], 3], {}, "log_q: some rows are lists and others are not"),
        ([[[1, 2]], [[3]]], [[1], [2]], {}, "log_q: lists within some lists"),
        ([[1, 2], [3]], [[1], [2, 3]], {}, r"log_p: row 0 has 1 values, expected 2 as of log_q"),
        ([[1, 2], [3]], [1, 2], {}, r"log_p: shape \(2,\), expected \(2, lists\) as of log_q"),
        (LOG_Q, LOG_P, {"mask": MASK[:, :7]}, r"mask: shape \(60, 7\), expected \(60, 30\)"),
        (LOG_Q, LOG_P, {"mask": MASK[0]}, r"mask: shape \(30,\), expected \(60, 30\)"),
        (*LISTS, {"mask": [[True]] * S}, r"mask: shape \(60, 1\), expected \(60, lists\)"),
        (*LISTS, {"cluster": [1] * 59}, r"cluster: shape \(59,\), expected \(60,\): one id a seq"),
        (*LISTS, {"cluster": [*LISTS[0][:-1], [1.0]]}, "cluster: row 59 has 1 values"),
        (
            np.zeros(4), np.zeros(4), {"sequence": [1, 1, 2, 2], "cluster": [1, 2, 2, 2]},
            "cluster: sequence 1 has tokens in two clusters",
        ),
        (np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), {}, r"log_q: shape \(2, 2, 2\), expected"),
        (LOG_Q, np.where(MASK, math.inf, LOG_P), {}, "log_p: row 0, column 0 is inf"),
    ],
)  # fmt: skip
def test_bad_shapes_are_refused_in_one_line(log_q, log_p, more, words):
    with pytest.raises(ValueError, match=words) as error:
        mckl.from_log_probs(log_q, log_p, **more)
    assert "\n" not in str(error.value)


def test_each_group_has_the_answer_that_it_has_alone():
    group = np.array(["code", "math", "prose"])[np.arange(S) % 3]  # in turn
    found = mckl.from_log_probs(LOG_Q, LOG_P, mask=MASK, group=group)
    assert [*found] == ["code", "math", "prose"]
    for i, name in enumerate(found):
        own = slice(i, None, 3)
        alone = mckl.from_log_probs(LOG_Q[own], LOG_P[own], mask=MASK[own])
        # The sums of an answer that can be plotted are taken in other pieces.
        assert found[name].kl == pytest.approx(alone.kl, rel=1e-12)
        assert found[name].interval == pytest.approx(alone.interval, rel=1e-9)
        assert (found[name].trusted, found[name].units) == (alone.trusted, 20)
    table = found.to_frame()
    assert [*table] == [
        "group", "estimator", "per", "estimate", "std_error", "low", "high", "trusted", "reason",
    ]  # fmt: skip
    own = table[(table.group == "math") & table.trusted & (table.per == "sequence")]
    assert own.estimate.tolist() == [found["math"].kl]
    assert repr(found).splitlines()[3].split()[:2] == ["code", "20"]
    with pytest.raises(ValueError, match="group: row 1, column 0 has no id"):
        mckl.from_log_probs(LOG_Q[:3], LOG_P[:3], group=["a", None, "a"])
    bad = LOG_P.copy()
    bad[4, 3] = -math.inf
    with pytest.raises(ValueError, match="log_p: row 4, column 3 is -inf"):
        mckl.from_log_probs(LOG_Q, bad, group=group)


def test_a_plot_shows_the_running_estimates_and_the_interval(expected, monkeypatch):
    axes = expected.plot()
    front = max(axes.lines[:-1], key=lambda line: line.get_zorder())
    assert front.get_xdata()[-1] == S
    assert front.get_ydata()[-1] == pytest.approx(expected.kl)
    first = mckl.from_log_probs(*(x[:8] for x in LISTS))
    assert front.get_xdata()[0] == 8
    assert front.get_ydata()[0] == pytest.approx(first[expected.trusted].estimate)
    assert axes.lines[-1].get_ydata() == pytest.approx(expected.interval)
    labels = [text.get_text() for text in axes.texts]
    assert expected.trusted in labels
    assert "k2 withheld" in {label.removesuffix(" ↑") for label in labels}
    assert repr(pickle.loads(pickle.dumps(expected))) == repr(expected)
    with pytest.raises(ValueError, match="plot: no running estimates of fewer than 8"):
        mckl.from_log_probs(*(x[:7] for x in LISTS)).plot()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match="plot: the package matplotlib is missing: pip install"):
        expected.plot()


def test_more_columns_are_lists_as_well():
    full_kl = np.abs(RNG.normal(0.02, 0.01, LOG_Q.shape))
    more = {"full_kl": full_kl, "log_sampler": LOG_Q + 0.01 * RNG.normal(size=LOG_Q.shape)}
    lists = {n: [x[m] for x, m in zip(v, MASK, strict=True)] for n, v in more.items()}
    for name in more:
        found = mckl.from_log_probs(*LISTS, **{name: pl.Series([x.tolist() for x in lists[name]])})
        expected = mckl.from_log_probs(LOG_Q, LOG_P, mask=MASK, **{name: more[name]})
        assert found.to_dict() == expected.to_dict()


def test_full_kl_is_that_of_the_logits():
    rng = np.random.default_rng(2)
    q, p = rng.normal(size=(2, 3, 4, 50)) * 3
    q[0, 0, :10] = -math.inf
    softmax = [np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (q, p)]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(softmax[0] > 0, softmax[0] * np.log(softmax[0] / softmax[1]), 0.0)
    assert mckl.full_kl(q, p) == pytest.approx(terms.sum(-1), rel=1e-12)
    assert mckl.full_kl(q + 1e4, p - 300.0) == pytest.approx(terms.sum(-1), rel=1e-9)
    assert mckl.full_kl(p, q)[0, 0] == math.inf
    assert (mckl.full_kl(q, q) == 0).all()
    for logits, words in (
        (
            p[..., :49],
            r"logits_p: shape \(3, 4, 49\), expected \(3, 4, 50\) .*: vocabularies differ",
        ),
        (p[:2], "shapes differ"),
        (np.where(np.arange(50) < 50, math.nan, p), "logits_p: place 0 has NaN"),
        (p > 0, "logits_p: values of type bool"),
    ):
        with pytest.raises(ValueError, match=words):
            mckl.full_kl(q, logits)


def test_full_kl_of_half_precision_is_computed_in_double():
    need("torch", find_spec("torch"))
    import torch

    rng = np.random.default_rng(3)
    q, p = (torch.tensor(rng.normal(size=(5, 1000)), dtype=torch.bfloat16) for _ in range(2))
    found = mckl.full_kl(q, p)
    log_q, log_p = (torch.log_softmax(x.double(), -1) for x in (q, p))
    exact = (log_q.exp() * (log_q - log_p)).sum(-1).numpy()
    assert found == pytest.approx(exact, rel=1e-12)
