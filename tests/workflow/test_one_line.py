"""What CONTRIBUTING.md adds is one file or entry and one line: the rest follows from it.

The page's examples are added to a copy of the checkout, in which one study runs.
"""

from __future__ import annotations

import difflib
import json
import re
import subprocess
import sys
from typing import Any

import pytest
from packed import unpacked

from mckl.show.figures import FIGURES

from .study import CHECKOUT, Study, copy_checkout

PAGE = (CHECKOUT / "CONTRIBUTING.md").read_text()
BLOCK = re.compile(r'<!-- (?:file:|before "([^"]+)" in) (\S+) -->\n```\w*\n(.*?)```\n', re.DOTALL)
NEW = ("halfway", "k1-shrunk", "half-factor")
# The lines that registries gain, and the registries of entries, which gain more.
LINES = {
    "src/mckl/families/registry.py": 1, "src/mckl/draw/points/__init__.py": 1,
    "src/mckl/show/figures/__init__.py": 1,
}  # fmt: skip
ENTRIES = {
    "src/mckl/estimation/values/__init__.py", "src/mckl/estimation/gradients/__init__.py",
    "src/mckl/study/libraries/catalogue.py",
}  # fmt: skip
FILES = {
    "src/mckl/families/coordinates/hyperbolic_secant.py", "src/mckl/draw/points/kronecker.py",
    "src/mckl/show/figures/skewness.py", "workflow/report/figures/skewness.rst",
}  # fmt: skip
CELLS = ("hyperbolic-secant-d1-s0.8-o0.5", "hyperbolic-secant-d2-s0.8-o0.5")
STUDY: dict[str, Any] = {
    "sweep": {
        "family": ["normal", "hyperbolic-secant"], "dimension": [1, 2], "scale": [0.8],
        "offset": [0.5],
    },
    "cases": {
        "mixed": {
            "q": {"family": "hyperbolic-secant", "location": [0, 1]}, "p": {"family": "laplace"},
        },
        "notebook": None,
    },
    "samplers": ["iid", "antithetic", "sobol", "kronecker"],
    "estimators": ["k1", "k3", "k3-factor", *NEW],
    "gradients": {
        "settings": ["d2-s0.8-o0.5"], "methods": ["score", "halfway-reward"],
        "samples": 64, "replicates": 100,
    },
    "samples": 64,
    "replicates": 50,
    "one_job_per": [],
}  # fmt: skip
DRAWN = (
    "error-vs-samples", "estimators", "factors", "coverage", "samples-needed", "samplers",
    "gradient-error", "skewness",
)  # fmt: skip
TARGETS = [
    *(f"results/figures/{name}.svg" for name in DRAWN),
    "results/tables/verification.parquet",
    "results/explorer.html",
]
# Tests that run over the registries, which must pass for what is new.
CONTRACTS = (
    "tests/unit/test_registries.py", "tests/unit/test_univariate.py", "tests/unit/test_rooms.py",
    "tests/unit/test_ends.py::test_a_tail_is_that_of_the_log_density",
    "tests/unit/test_points.py::test_every_sampler_draws_from_the_same_law",
    "tests/unit/test_estimators.py", "tests/unit/test_config.py::test_gradients",
    "tests/unit/test_config.py::test_the_schema_names_what_is_registered",
)  # fmt: skip


def add(study: Study, before: str, path: str, text: str) -> None:
    """Add a block of the page: a file, or lines before some others, with their imports on top."""
    if not before:
        assert not (study.root / path).exists()
        (study.root / path).write_text(text)
        return
    imports = "".join(re.findall(r"\A(?:(?:(?:from|import) .*)?\n)+", text))
    rest = text.removeprefix(imports)
    if rest and imports:
        old = (study.root / path).read_text()
        (study.root / path).write_text(old.replace("from mckl", imports.strip() + "\nfrom mckl", 1))
    before = before.replace("\\n", "\n")
    assert (study.root / path).read_text().count(before) == 1
    after = "\n" if rest and rest[0] != " " else ""  # what is not in a table ends with a line
    study.edit(path, before, (rest or imports) + after + before)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with all of the page's examples, run once."""
    study = Study(tmp_path_factory.mktemp("grown") / "study")
    copy_checkout(study)
    for before, path, text in BLOCK.findall(PAGE):
        add(study, before, path, text)
    study.configure(**STUDY)
    study.run(*TARGETS, cores=2)
    return study


def python(study: Study, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in the copy, with the copy's source."""
    return subprocess.run(
        [sys.executable, *words], cwd=study.root, capture_output=True, text=True, check=False,
        env={**study.environment(), "PYTHONPATH": "src"},
    )  # fmt: skip


def mckl(study: Study, *words: str) -> dict[str, Any]:
    """What the command of the copy prints as JSON."""
    done = python(study, "-m", "mckl", *words, "--json")
    assert done.returncode in (0, 3, 4), done.stderr
    return json.loads(done.stdout)


def test_every_example_of_the_page_is_added() -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```\n\n") - 2  # all but the commands and the folders
    assert {path for before, path, _ in blocks if not before} == FILES
    assert {path for before, path, _ in blocks if before} == ENTRIES | {*LINES}


def test_an_addition_changes_no_line(grown: Study) -> None:
    gained: dict[str, list[str]] = {}
    for path in (*grown.root.glob("src/**/*.py"), *grown.root.glob("workflow/**/*.*")):
        name = str(path.relative_to(grown.root))
        here = CHECKOUT / name
        old = here.read_text().splitlines() if here.exists() else []
        new = path.read_text().splitlines()
        if new != old:
            gained[name] = [line for line in difflib.ndiff(old, new) if line[:2] in ("+ ", "- ")]
    assert {*gained} == FILES | ENTRIES | {*LINES}
    assert all(line[0] == "+" for lines in gained.values() for line in lines)
    assert {name: len(gained[name]) for name in LINES} == LINES


def test_what_is_new_passes_the_tests_of_its_kind(grown: Study) -> None:
    for name in ("tests", "docs", "README.md", "pyproject.toml"):
        (grown.root / name).symlink_to(CHECKOUT / name)
    of_new = (
        "hyperbolic or every_sampler or not test_registries"  # the other families have passed it
    )
    options = ("-q", "-x", "-n0", "-p", "no:cacheprovider", "-k", of_new)
    done = python(grown, "-m", "pytest", *options, *CONTRACTS)
    assert done.returncode == 0, done.stdout


def test_the_new_names_are_drawn_and_agree_with_their_theory(grown: Study) -> None:
    theory, traces = grown.table("theory"), grown.table("traces")
    for table in (theory, traces):
        assert {*STUDY["estimators"]} == {*table["estimator"]}
        assert {*CELLS, "mixed"} < {*table["setting"]}
        assert {*STUDY["samplers"]} == {*table["sampler"]}
    known = theory[theory["estimator"].isin(NEW) & theory["sampler"].isin(["iid", "antithetic"])]
    assert (known["theory"] == "exact").all()
    assert (known["exact_variance"] > 0).all()
    assert known[known["setting"].isin(CELLS)]["exact_variance"].max() < 10
    checked = grown.table("verification")
    for name in NEW:
        of_name = checked[(checked["estimator"] == name) & checked["p_value"].notna()]
        assert {*CELLS, "d2-s0.8-o0.5"} <= {*of_name["setting"]}
        assert {"mean", "variance"} <= {*of_name["quantity"]}
    assert checked["passed"].all()


def test_points_of_unknown_variance_are_said_to_be_so(grown: Study) -> None:
    theory = grown.table("theory")
    rows = theory[(theory["sampler"] == "kronecker") & theory["setting"].isin(CELLS)]
    assert {*rows["theory"]} == {"none"}
    assert {*rows["reason"]} == {"over kronecker points no variance is known"}
    assert rows["exact_variance"].isna().all()
    assert (rows[rows["estimator"] == "k1"]["exact_bias"] == 0).all()
    budget, summary = grown.table("budget"), grown.table("summary")
    budget = budget[(budget["sampler"] == "kronecker") & budget["setting"].isin(CELLS)]
    biased = budget["estimator"] == "k1-shrunk"
    assert {*budget["verdict"][~biased]} == {"no theory: measure it"}
    assert {*budget["verdict"][biased]} == {"biased: never reaches it"}
    # The points are even: k1's error is well below that of as many independent samples.
    rmse = summary[(summary["setting"] == CELLS[0]) & (summary["samples"] == 64)]
    rmse = rmse[rmse["estimator"] == "k1"].set_index("sampler")["rmse"]
    assert rmse["kronecker"] < 0.4 * rmse["iid"]


# Draws figures, some also of each new estimator alone, and prints their texts.
DRAW = """
import json, sys
import pandas as pd
from matplotlib.text import Text
from mckl.show.figures import FIGURES, draw
found = {}
for only in (None, *sys.argv[3:]):
    for name in sys.argv[1].split(","):
        if only and name not in sys.argv[2].split(","):
            continue
        tables = FIGURES[name].tables
        frames = {t: pd.read_parquet(f"results/tables/{t}.parquet") for t in tables}
        for t, frame in frames.items():
            if only and "estimator" in frame:
                frames[t] = frame[frame["estimator"] == only]
        drawing, _ = draw(FIGURES[name], frames)
        found[f"{name} {only}"] = " ".join(t.get_text() for t in drawing.findobj(Text))
print(json.dumps(found))
"""


def test_figures_and_captions_show_the_new_names(grown: Study) -> None:
    figures = grown.root / "results/figures"
    for name in DRAWN:
        assert (figures / f"{name}.svg").stat().st_size > 10_000
    caption = (figures / "estimators.rst").read_text()
    assert "k1, k3, k3-factor, halfway, k1-shrunk, half-factor" in caption
    caption = (figures / "skewness.rst").read_text()
    assert "in 5 settings" in caption
    alone = ("error-vs-samples", "estimators", "coverage", "samples-needed")
    done = python(grown, "-c", DRAW, ",".join(DRAWN), ",".join(alone), *NEW)
    assert done.returncode == 0, done.stderr
    texts = json.loads(done.stdout)
    for name in NEW:
        for figure in ("estimators", "coverage"):
            assert name in texts[f"{figure} None"], figure
        # One estimator is enough for each figure; a biased one of the whole is not in `factors`.
        for figure in alone:
            assert name in texts[f"{figure} {name}"], figure
        assert (name in texts["factors None"]) == (name != "k1-shrunk")
    assert "kronecker" in texts["samplers None"]
    assert "halfway-reward" in texts["gradient-error None"]


def test_a_new_figure_is_in_the_report_and_the_manifest(grown: Study) -> None:
    assert "skewness" not in FIGURES
    plan = grown.run("--dry-run", "results/manifest.json")
    (manifest,) = re.findall(r"^(?:local)?rule manifest:\n((?:    .*\n)*)", plan, re.MULTILINE)
    assert "results/figures/skewness.svg" in manifest
    assert "results/figures/skewness.rst" in manifest


def test_the_explorer_has_the_new_names_and_their_look(grown: Study) -> None:
    page = unpacked((grown.root / "results/explorer.html").read_text())
    assert [*page["estimators"]] == STUDY["estimators"]
    assert [*page["samplers"]] == ["iid", "antithetic", "sobol", "kronecker"]
    assert CELLS[0] in {setting["setting"] for setting in page["settings"]}
    assert len({look["colour"] for look in page["estimators"].values()}) >= 5
    assert len({look["marker"] for look in page["samplers"].values()}) == 4


def test_the_command_and_python_know_the_new_names(grown: Study) -> None:
    cell = ("--dimension", "2", "--scale", "0.8", "--offset", "1")
    found = mckl(grown, "advise", "--family", "hyperbolic-secant", *cell)
    options = {(o["estimator"], o["sampler"]): o["verdict"] for o in found["options"]}
    assert {name for name, _ in options} >= {*NEW, "k1"}
    assert options["k1-shrunk", "iid"] != options["k1", "iid"]
    assert options["k1", "kronecker"] == "no theory: measure it"
    q, p = ("{family: hyperbolic-secant}", "{family: hyperbolic-secant, location: 1, scale: 0.8}")
    sides = ("estimate", "--q", q, "--p", p, "--budget", "4096", "--sampler", "kronecker")
    found = mckl(grown, *sides, "--estimator", "k1")
    assert "over kronecker points is not known" in found["withheld"]
    done = python(grown, "-c", "import json, mckl, numpy as np;"
                  "l = 0.02 + 0.2 * np.random.default_rng(1).normal(size=(500, 4));"
                  "print(mckl.from_log_probs(l, 0 * l).to_dict())")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert all(repr(name) in done.stdout for name in NEW)


def test_a_library_is_described_like_the_others(grown: Study) -> None:
    done = python(grown, "-c", "import json; from mckl.study.libraries.table import *;"
                  "from mckl.study.libraries.catalogue import LIBRARIES;"
                  "print(json.dumps([*LIBRARIES]))")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[-1] == "Example"
