"""Which files of an installation differ from a commit, and whose commit a manifest states."""

from __future__ import annotations

import subprocess

import pytest

from mckl.record import manifest, shipped


def git_digest(path):
    done = subprocess.run(
        ["git", "hash-object", str(path)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_files_are_compared_by_gits_digests(root):
    names = ["src/mckl/text.py", "src/mckl/__init__.pyi", "scripts/gate.py", "Snakefile"]
    names += ["config.yaml", "workflow/rules/package.smk"]
    same = {name: git_digest(root / name) for name in names}
    assert shipped.other_files(same) == ""
    apart = {"docs/README.md": "0", "tests/conftest.py": "0", "scripts/no.py": "0"}
    assert shipped.other_files(same | apart) == "scripts/no.py"
    assert shipped.other_files(same | {"src/mckl/text.py": "0"}) == "src/mckl/text.py"


@pytest.mark.parametrize("own", [True, False])
def test_the_commit_is_that_of_the_checkout_and_of_no_other(own, tmp_path, monkeypatch):
    """An environment with the package may lie in somebody's repository."""
    identity = ["-c", "user.name=mckl", "-c", "user.email=mckl@localhost"]
    for words in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "--message=one"]):
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True)
    folder = tmp_path if own else tmp_path / "env"
    folder.mkdir(exist_ok=True)
    monkeypatch.setattr(manifest, "shipped", lambda: folder)
    commit = manifest._git_commit()
    assert (commit is None) != own
    assert not own or len(commit) == 40
