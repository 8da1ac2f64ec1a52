"""The list of families, and the case of each in studies/pairs.yaml."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import yaml

from mckl.estimation.offered import offered_samplers
from mckl.families.registry import FAMILIES, case_pair

from .test_cli import mckl, refused

ROOT = Path(__file__).resolve().parents[2]
CASES = yaml.safe_load((ROOT / "studies" / "pairs.yaml").read_text("utf-8"))["cases"]


def test_every_family_has_a_case() -> None:
    assert {*FAMILIES} <= {*CASES}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_what_it_is_with_an_example_to_paste(name: str) -> None:
    family, case = FAMILIES[name], CASES[name]
    assert case["q"].get("family", "normal") == case["p"].get("family", "normal") == name
    assert all(family.about)
    lines = mckl("families", name).output.splitlines()
    assert lines[0] == f"{name}: {family.about.support}"
    assert all(any(line.startswith(f"  {x} ") for line in lines) for x in family.parameters)
    (command,) = (line for line in lines if line.startswith("Example: mckl kl "))
    answer = mckl(*shlex.split(command.removeprefix("Example: mckl ")), "--json")
    assert json.loads(answer.output)["kl"] == pytest.approx(case_pair(case).law.kl, rel=1e-12)
    names = ["iid", "antithetic", "sobol", "iid-radial", "antithetic-radial", "sobol-radial"]
    (samplers,) = (line for line in lines if line.startswith("Samplers: "))
    drawn = {*samplers.removeprefix("Samplers: ").split(", ")}
    assert drawn == {*offered_samplers(case_pair(case), names)}


def test_the_list_has_every_family_with_its_parameters() -> None:
    lines = mckl("families").output.splitlines()
    for name, family in FAMILIES.items():
        assert any(
            line.split()[:1] == [name] and next(iter(family.parameters)) in line for line in lines
        )
    listed = json.loads(mckl("families", "--json").output)
    assert [entry["name"] for entry in listed] == [*FAMILIES]
    (gamma,) = (entry for entry in listed if entry["name"] == "gamma")
    assert gamma["other_names"]["rate"] == ["beta", "lambda", "scale", "theta"]
    assert gamma["converted"] == ["scale", "theta"]


def test_a_family_that_is_none() -> None:
    assert "did you mean 'gamma'?" in refused("families", "gama")
