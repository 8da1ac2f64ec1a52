"""Things that are written down twice agree, and every rule has what rules must have."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from tools import need

from mckl.record import tables
from mckl.show.figures import EXPLORER, FIGURES, GRADIENT, QUESTIONS, report_places

from .study import CHECKOUT, Study

WORKFLOW = CHECKOUT / "workflow"
SCRIPTS = sorted((CHECKOUT / "scripts").glob("*.py"))
CONFIG = CHECKOUT / "config.yaml"
SCHEMA = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())


def pins(lines: list[str]) -> dict[str, str]:
    """Package -> version, by PEP 503 names."""
    pairs = (line.split("==") for line in lines if "==" in line)
    return {re.sub(r"[-_.]+", "-", name).lower(): version.strip() for name, version in pairs}


def rules() -> dict[str, str]:
    """The text of every rule that makes something."""
    found = {}
    for path in sorted((WORKFLOW / "rules").glob("*.smk")):
        parts = re.split(r"^( *)rule ?(\w*):\n", path.read_text(), flags=re.MULTILINE)
        for indent, name, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            inside = re.match(rf"(?:{indent}    .*\n|\n)*", body)
            assert inside is not None
            found[name or path.stem] = inside[0]
    return found


RULES = rules()


def test_rules_are_found() -> None:
    assert {"settings", "theory", "estimate", "traces", "summary", "verify", "gate"} <= {*RULES}
    assert "figures" in RULES
    assert "landing" in RULES


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    "directive", ["output", "log", "benchmark", "conda", "threads", "resources", "script"]
)
def test_every_rule_has(name: str, directive: str) -> None:
    assert re.search(rf"^ +{directive}:", RULES[name], re.MULTILINE)


@pytest.mark.parametrize("name", RULES)
def test_every_rule_asks_for_memory_and_time_and_knows_its_code(name: str) -> None:
    text = RULES[name]
    assert "mem_mb=" in text
    assert "runtime=" in text
    script = re.search(r"scripts/(\w+)\.py", text)
    assert script is not None
    digest = rf"script_digest\(\s*\"{script[1]}\"|{script[1]}_code\("
    assert re.search(rf"code=.*?(?:{digest})", text, re.DOTALL)


def test_every_script_has_a_rule() -> None:
    used = set(re.findall(r"scripts/(\w+)\.py", "".join(RULES.values())))
    assert used == {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_glue(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 60
    assert not re.search(r"^ *(?:import|from) (?:numpy|scipy|pandas)\b", text, re.MULTILINE)
    first, then = text.split("log_to(snakemake.log[0])")
    assert first.count("\nfrom mckl.") == 1, "only what log_to is from comes before the log"
    assert "\nfrom mckl." in then


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_has_module_caption_and_category(name: str) -> None:
    figure = FIGURES[name]
    assert (CHECKOUT / "src" / figure.module.replace(".", "/")).with_suffix(".py").is_file()
    assert (WORKFLOW / f"report/figures/{name}.rst").read_text().strip()
    assert figure.question
    assert figure.shows
    assert {*figure.tables} <= {*tables.SCHEMAS}


@pytest.mark.parametrize("left_out", [None, GRADIENT])
def test_the_report_numbers_questions_and_figures(left_out: str | None) -> None:
    names = [name for name, figure in FIGURES.items() if figure.question != left_out]
    places = report_places(names)
    assert {*places} == {*names, EXPLORER.name}
    # Snakemake's report makes a toggle of a second label with two values, and fails on it.
    assert {tuple(place["labels"]) for place in places.values()} == {("figure",)}
    questions = sorted({place["category"] for place in places.values()})
    asked = [question for question in QUESTIONS if question != left_out]
    assert questions == [f"{i}. {question}" for i, question in enumerate(asked, 1)]
    for question, number in zip(asked, questions, strict=True):
        labels = sorted(
            place["labels"]["figure"] for place in places.values() if place["category"] == number
        )
        here = [f for f in [*FIGURES.values(), EXPLORER] if f.question == question]
        assert labels == [f"{i}. {f.name}: {f.shows}" for i, f in enumerate(here, 1)]
    assert places["cost"]["category"] == places["samplers"]["category"]


def test_no_caption_or_module_without_a_figure() -> None:
    assert {path.stem for path in (WORKFLOW / "report/figures").glob("*.rst")} == {*FIGURES}


def test_data_dictionary_is_the_schema() -> None:
    text = (CHECKOUT / "results/README.md").read_text()
    _, begin, rest = text.partition("<!-- begin data dictionary -->")
    inside, end, _ = rest.partition("<!-- end data dictionary -->")
    assert begin
    assert end
    assert inside.strip() == tables.data_dictionary().strip()


@pytest.mark.parametrize("name", ["mckl", "tensorflow"])
def test_conda_environment_pins_the_constraints(name: str) -> None:
    environment = yaml.safe_load((WORKFLOW / f"envs/{name}.yaml").read_text())
    (pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    constraints = pins((CHECKOUT / "constraints.txt").read_text().splitlines())
    assert len(pips := pins(pip)) == len(pip)
    assert {name: constraints.get(name) for name in pips} == pips


def test_default_config_is_the_schemas_default() -> None:
    default = {key: part["default"] for key, part in SCHEMA["properties"].items()}
    assert yaml.safe_load(CONFIG.read_text()) == default


@pytest.mark.parametrize("key", SCHEMA["properties"])
def test_every_key_is_explained(key: str) -> None:
    paragraphs = CONFIG.read_text().split("\n\n")
    (paragraph,) = (p for p in paragraphs if re.search(rf"^{key}:", p, re.MULTILINE))
    assert paragraph.startswith("#")
    assert SCHEMA["properties"][key]["description"]
    assert SCHEMA["properties"][key]["expected"]


def test_profile_is_strict() -> None:
    profile = yaml.safe_load((CHECKOUT / "profiles/default/config.yaml").read_text())
    assert {"functions", "cyclic-graph"} <= {*profile["strict-dag-evaluation"]}


def test_tracked_files_name_no_machine() -> None:
    need("the folder .git", (CHECKOUT / ".git").exists())
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = r"(?<![\w.~}/])/(?:work|home|root|Users|tmp|mnt|opt)/\w"
    registry = r"(?:extra-)?index[-_]url|(?:pypi|conda\.anaconda)\.org|//(?:localhost|127\.|10\.)"
    binary = (".png", ".pdf", ".svg", ".npy", ".npz", ".parquet")
    found = []
    for name in listed.stdout.splitlines():
        file = CHECKOUT / name
        if file.is_file() and file.suffix not in binary:
            text = file.read_text()
            found += [f"{name}: {m[0]}" for m in re.finditer(f"{path}|{registry}", text)]
    assert [hit for hit in found if not hit.startswith("tests/workflow/test_contracts.py")] == []


def test_snakemake_lint(fresh: Study) -> None:
    code, text = fresh.snakemake("--lint")
    assert code == 0, text
    assert "in a good condition" in text


def test_snakefiles_are_formatted() -> None:
    need("snakefmt", find_spec("snakefmt"))
    check = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(check, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
