"""The examples in docs/ run, and say what the pages say."""

from __future__ import annotations

import doctest
import functools
import importlib.util
import math
import os
import re
import runpy
import subprocess
import sys
from decimal import Decimal, localcontext

import numpy as np
import pytest

from mckl.draw.points import SAMPLERS
from mckl.estimation.budget import Forecasts, Tolerance
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES, sweep_pair


@pytest.fixture(scope="session")
def script(root):
    """Imports a script of docs."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, root / "docs" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize(
    ("page", "least"), [("reference/python.md", 16), ("tutorial/notebook.md", 35)]
)
def test_the_examples_in_python_run(page, least, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some write files
    found = doctest.testfile(
        str(root / "docs" / page), module_relative=False,
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
    )  # fmt: skip
    assert found.attempted >= least
    assert found.failed == 0


def test_the_commands_run_and_print_what_the_pages_quote(root, script, monkeypatch):
    monkeypatch.chdir(root)
    docs = script("commands")
    monkeypatch.setattr(docs, "run", functools.cache(docs.run))
    for page in docs.pages():
        text = page.read_text("utf-8")
        assert docs.renewed(text) == text, "run `make docs`"
        for command in docs.commands(text):
            if not command.startswith(("mckl verify", "mckl study")):  # which need or are a run
                assert (command, docs.run(command)[0]) == (command, 0)
    assert docs.run.cache_info().currsize > 12


def test_links_between_files_lead_somewhere(root):
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), root / "results/README.md"]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]*)?\)", page.read_text("utf-8"))
    ]
    assert len(links) > 100
    assert [link for page, link in links if not (page.parent / link).exists()] == []
    # Code and configs name pages by their paths.
    code = [
        *root.glob("*.yaml"), *root.glob("src/**/*.py"), *root.glob("benchmarks/*.py"),
        *root.glob("studies/*.yaml"), *root.glob("workflow/**/*.yaml"), *root.glob("scripts/*.py"),
    ]  # fmt: skip
    named = [(p, m) for p in code for m in re.findall(r"docs/[\w/-]+\.\w+", p.read_text("utf-8"))]
    assert [(str(p), name) for p, name in named if not (root / name).exists()] == []


def test_the_table_of_families_is_that_of_today(root, script):
    families = script("families")
    page = (root / "docs/reference/families.md").read_text("utf-8")
    table = "".join(f"{row}\n" for row in families.table())
    assert families.PLACE.search(page)[0].split("\n", 1)[1].startswith(table)
    assert table.count("\n| `") == len(FAMILIES)


def test_the_lines_of_the_readme_in_python_run(root, capsys):
    readme = (root / "README.md").read_text("utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    exec(lines, {})
    kl, *advice = capsys.readouterr().out.splitlines()
    (quoted,) = re.findall(r"```console\n\$ .*?\n(.*?)\n\.\.\.\n```", readme, re.DOTALL)
    assert kl.startswith("2.59258146374831")
    assert advice[:5] == quoted.splitlines()
    assert len(readme.split()) <= 900


def test_the_samples_are_what_their_script_writes(root, tmp_path):
    copy = tmp_path / "make.py"
    copy.write_bytes((root / "docs/samples/make.py").read_bytes())
    runpy.run_path(str(copy))
    made = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert made.keys() == {p.name for p in (root / "docs/samples").iterdir()}
    for name, content in made.items():
        if name.endswith((".npy", ".jsonl", ".csv")):  # the others keep versions or times
            assert content == (root / "docs/samples" / name).read_bytes()


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


def test_what_trainers_log_is_read_in_every_layout(root, tmp_path):
    text = run(root, root / "docs" / "examples" / "log_probabilities.py", tmp_path)
    answers = re.findall(r"^(\S+): (\S+) nats per token, interval (\S+) to (\S+) \(k3-factor\)",
                         text, re.MULTILINE)  # fmt: skip
    assert [name for name, *_ in answers] == ["TRL", "verl", "OpenRLHF"]
    for _, kl, low, high in answers:  # half of the prompts have 0.01 nats a token, the others 0.014
        assert (kl, low, high) == answers[0][1:]
        assert float(low) < 0.012 < float(high)
    assert "KL(q||p) per sequence of 12 groups, all with a 95 % interval" in text
    rows = re.findall(r"^(\d+) +256  k3-factor +(\S+)", text, re.MULTILINE)
    assert [int(step) for step, _ in rows] == [*range(12)]
    expected = [(0.01 + 0.002 * step) * 1.2 * 40 for step in range(12)]  # 40 tokens on average
    assert [float(kl) for _, kl in rows] == pytest.approx(expected, rel=0.15)


def test_a_posterior_with_full_covariance(root):
    text = run(root, root / "docs" / "examples" / "posterior.py")
    exact = float(re.search(r"KL\(mean field \|\| posterior\) = (\S+)", text)[1])
    found = re.findall(r"^KL\(q\|\|p\) = (\S+) nats(?: per sample)?, 95 % interval (\S+) to (\S+)",
                       text, re.MULTILINE)  # fmt: skip
    assert len(found) == 2
    for value, low, high in np.array(found, float):
        assert abs(value - exact) < 2.5 * (high - low) / 2


def needed(pair, estimator, sampler="iid"):
    limit = Tolerance(0.01 * pair.law.kl)
    return Forecasts(pair).need(ESTIMATORS[estimator], SAMPLERS[sampler], limit).samples


def test_the_table_of_what_to_use_is_that_of_theory(root, script):
    shown = script("decision").table()
    for page in ("README.md", "docs/explanation/what-wins.md"):
        text = (root / page).read_text()
        assert re.findall(r"<!-- by `make docs` -->\n(.*?)<!-- end -->", text, re.DOTALL) == [shown]
    cells = [line.split(" | ")[1:] for line in shown.splitlines()[2:]]
    for column, place in enumerate(((1.05, 0.1), (2.5, 1.0))):
        coordinates, tokens = sweep_pair("normal", 16, *place), sweep_pair("policy(32)", 64, *place)
        usable = [
            (coordinates, ["k1", "k3", "k3-factor"], ["iid", "antithetic", "sobol"]),
            (tokens, ["k1", "k3", "k3-factor", "rb"], ["iid"]),
            (tokens, ["k1", "k3", "k3-factor"], ["iid"]),
            (tokens, ["k1", "k3"], ["iid"]),
        ]
        for row, (pair, estimators, samplers) in zip(cells, usable, strict=True):
            found = {(e, s): needed(pair, e, s) for s in samplers for e in estimators}
            (name, sampler), least = min(
                ((key, n) for key, n in found.items() if n), key=lambda item: item[1]
            )
            text = row[column].removesuffix(" |")
            assert text.startswith(f"**{name}**")
            assert ("Sobol'" in text) == (sampler == "sobol")
            numbers = [int(n.replace(",", "")) for n in re.findall(r": ([\d,]+)|of ([\d,]+)", text)
                       for n in n if n]  # fmt: skip
            plain = math.ceil(pair.law.variance / (0.01 * pair.law.kl) ** 2)
            assert numbers == ([least, plain] if least < plain else [plain])


def test_the_caption_of_the_readmes_first_figure_is_that_of_theory(root):
    readme = " ".join((root / "README.md").read_text().split())
    pair = sweep_pair("normal", 4, 0.8, 1.0)
    many, few = needed(pair, "k1"), needed(pair, "k1", "sobol")
    assert f"{few} with k1 over Sobol' points and {many:,} with k1 over independent" in readme
    assert f"D = 4, scale 0.8 and offset 1; KL {pair.law.kl:.2g} nats" in readme


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
    text = (root / "docs" / "explanation" / "theory.md").read_text()
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
