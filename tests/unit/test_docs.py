"""The examples in docs/ run, and say what the pages say."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest


def test_the_examples_of_the_api_run(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    found = doctest.testfile(
        str(root / "docs" / "api.md"), module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )  # fmt: skip
    assert found.attempted > 15
    assert found.failed == 0


def run(root, *words):
    env = os.environ | {"PYTHONPATH": str(root / "src")}
    return subprocess.run(
        [sys.executable, *map(str, words)], env=env, capture_output=True, encoding="utf-8",
        check=True,
    ).stdout  # fmt: skip


def test_a_policys_rollouts_are_read_by_the_command(root, tmp_path):
    text = run(root, root / "docs" / "examples" / "rollout.py", tmp_path)
    assert "(rb)" in text.splitlines()[0]
    assert "tokens in 3,000 sequences" in text
    assert re.search(r"^k3( and cv)? withheld: ", text, re.MULTILINE)  # per sequence they explode
    found, exact = map(float, re.findall(r"\d\.\d{5}", text.splitlines()[-1]))
    low, high = map(float, re.search(r"Per token .*interval (\S+) to (\S+)", text).groups())
    # The policy starts after a space: KL per token of 40 letters is within 1 % of that of 20 to 60.
    assert low <= found <= high
    assert exact == pytest.approx(found, abs=2 * (high - low) + 0.01 * exact)


def test_a_posterior_with_full_covariance(root):
    text = run(root, root / "docs" / "examples" / "posterior.py")
    exact = float(re.search(r"KL\(mean field \|\| posterior\) = (\S+)", text)[1])
    found = re.findall(r"^KL\(q\|\|p\) = (\S+) nats(?: per sample)?, 95 % interval (\S+) to (\S+)",
                       text, re.MULTILINE)  # fmt: skip
    assert len(found) == 2
    for value, low, high in np.array(found, float):
        assert abs(value - exact) < 2.5 * (high - low) / 2


def averages(q, p):
    """KL, the variances of k1 and k3, the mean of k2, and the terms of k3, by outcome."""
    ell = [(a / b).ln() for a, b in zip(q, p, strict=True)]
    k3 = [b / a - 1 + x for a, b, x in zip(q, p, ell, strict=True)]

    def mean(values):
        return sum(a * x for a, x in zip(q, values, strict=True))

    kl = mean(ell)
    variances = (mean([(x - kl) ** 2 for x in values]) for values in (ell, k3))
    return kl, *variances, mean([x * x / 2 for x in ell]), k3


def test_the_table_of_rare_tokens_is_what_enumeration_gives(root):
    text = (root / "docs" / "theory.md").read_text()
    table = text.split("**Rare tokens.**")[1].split("\n\n")[1].replace("\u2212", "-")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    assert len(rows) == 4
    with localcontext() as context:
        context.prec = 50
        for row in rows:
            q, p = ([Decimal(x) for x in side.strip("()").split(", ")] for side in row[:2])
            assert sum(q) == sum(p) == 1
            kl, of_k1, of_k3, k2, _ = averages(q, p)
            square = (kl * Decimal("0.1")) ** 2
            values = (kl, 2 * kl / square, of_k1 / square, of_k3 / square, k2 / kl - 1)
            for told, value in zip(row[2:], values, strict=True):
                number = told.replace(",", "")
                digits = len(number.lstrip("-0.").split("e")[0].replace(".", ""))
                assert float(number) == float(f"{value:.{digits}g}")
        q, p = ([Decimal(x) for x in side.strip("()").split(", ")] for side in rows[1][:2])
        kl, _, of_k3, _, k3 = averages(q, p)
        assert f"{q[2] * k3[2] / kl:.2f}" == "0.29"
        assert f"{q[2] * (k3[2] - kl) ** 2 / of_k3:.5f}" == "0.99999"
        assert f"{of_k3:.8e}" == "6.74073761e-4"
        q, k3 = [x / (1 - q[2]) for x in q[:2]], k3[:2]  # the third token is not drawn
        mean = sum(a * x for a, x in zip(q, k3, strict=True))
        square = sum(a * (x - mean) ** 2 for a, x in zip(q, k3, strict=True))
        assert f"{mean / kl:.2f}" == "0.71"
        assert f"{(square / 1000).sqrt() / kl:.4f}" == "0.0003"
