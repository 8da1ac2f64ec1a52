"""The examples in docs/ run, and say what the pages say."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys

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
