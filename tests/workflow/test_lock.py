"""What is installed is pinned: constraints.txt, and requirements.txt with hashes."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .study import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
CONSTRAINTS = (CHECKOUT / "constraints.txt").read_text()
HASHED = (CHECKOUT / "requirements.txt").read_text()
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==(\S+)(.*)$", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """The version of every package in a text of requirements."""
    return {canonicalize_name(name): version for name, version, _ in _PIN.findall(text)}


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


EXTRAS = [*PROJECT["project"]["optional-dependencies"].values()]
USERS = [Requirement(x) for part in (PROJECT["project"]["dependencies"], *EXTRAS) for x in part]
GROUPS = PROJECT["dependency-groups"].values()
DEVELOPERS = [Requirement(x) for part in GROUPS for x in part if isinstance(x, str)]


def test_everything_that_pyproject_names_is_pinned_to_a_version_that_it_admits() -> None:
    pinned = pins(CONSTRAINTS)
    for requirement in USERS + DEVELOPERS:
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_what_users_install_has_a_lower_bound() -> None:
    for requirement in USERS:
        assert any(x.operator == ">=" for x in requirement.specifier), requirement


def test_a_build_takes_the_pinned_hatchling() -> None:
    (build,) = PROJECT["build-system"]["requires"]
    assert build == f"hatchling=={pins(CONSTRAINTS)['hatchling']}"


def test_the_hashed_requirements_are_those_of_a_study() -> None:
    hashed, known = pins(HASHED), pins(CONSTRAINTS)
    optional = PROJECT["project"]["optional-dependencies"]["study"]
    assert names([*PROJECT["project"]["dependencies"], *optional, "hatchling"]) <= {*hashed}
    assert {name: known.get(name, version) for name, version in hashed.items()} == hashed


def test_every_hashed_requirement_has_hashes() -> None:
    blocks = re.split(r"\n(?=\S)", HASHED)
    packages = [block for block in blocks if not block.startswith("#")]
    assert len(packages) == len(pins(HASHED))
    for block in packages:
        first, *rest = block.rstrip().split("\n")
        assert first.endswith(" \\"), block
        assert rest
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", row) for row in rest), (
            block
        )


def test_no_registry_is_named() -> None:
    assert "://" not in CONSTRAINTS + HASHED
