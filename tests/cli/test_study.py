"""`mckl study`: the command of Snakemake that it starts, whose results a folder has, bad input."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from tools import PATIENCE

from mckl.cli import study_run
from mckl.cli.commands import main
from mckl.record import ownership
from mckl.record.case import with_numbers
from mckl.record.ownership import check_results, note_study, study_of
from mckl.study.config import parse

CHECKOUT = Path(__file__).parents[2]
EXTRA = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]["study"]
TINY = """\
sweep: {dimension: [3], scale: [0.8], offset: [1]}
samplers: [iid]
estimators: [k1]
samples: 64
replicates: 3
"""


class Started(list[Any]):
    """The words of Snakemake's command, and the command that the manifest will have."""

    def __call__(self, words: list[str], command: str) -> int:
        self[:] = [words[words.index("--snakefile") :], command]
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Started:
    """What `mckl study` starts in an empty folder that has tiny.yaml, instead of Snakemake."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    seen = Started()
    monkeypatch.setattr(study_run, "run_snakemake", seen)
    return seen


def study(*words: object) -> Result:
    return CliRunner().invoke(main, ["study", *map(str, words)])


def refused(*words: object) -> str:
    """The only line with which the command ends."""
    done = study(*words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("mckl: ")
    return line.removeprefix("mckl: ")


def test_the_command_of_snakemake(started: Started, tmp_path: Path) -> None:
    snakefile = str(CHECKOUT / "Snakefile")
    assert study().exit_code == 0
    assert started == [
        ["--snakefile", snakefile, "--directory", str(tmp_path), "--cores", "all"],
        "mckl study",
    ]
    words = ["--cores", "2", "--configfile", "tiny.yaml", "-d", "a b", "x.svg", "--", "-n", "-q"]
    assert study(*words).exit_code == 0
    assert started == [
        ["--snakefile", snakefile, "--directory", str(tmp_path / "a b"),
         "--configfile", str(tmp_path / "tiny.yaml"), "--cores", "2", "x.svg", "-n", "-q"],
        shlex.join(["mckl", "study", *words]),
    ]  # fmt: skip
    assert (tmp_path / "a b").is_dir()


@pytest.mark.parametrize("option", ["--profile=slurm", "-j3", "--jobs", "-c4", "--executor"])
def test_all_cores_are_not_asked_for_where_jobs_run_elsewhere(
    option: str, started: Started
) -> None:
    assert study("--", option).exit_code == 0
    assert "--cores" not in started[0]
    assert study("--cores", 2, "--", option).exit_code == 0
    assert "--cores" in started[0]


def test_the_manifest_has_no_secret(started: Started) -> None:
    study("--", "--storage-s3-secret-key", "abc")
    assert started[1] == "mckl study -- --storage-s3-secret-key '***'"


def test_every_study_of_the_package_is_listed_with_a_command_that_starts_it(
    started: Started,
) -> None:
    names = {path.stem for path in (CHECKOUT / "studies").glob("*.yaml")}
    assert {"families", "policies", "intervals"} <= names
    done = study("--list")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert {line.partition(":")[0] for line in lines[::2]} == names
    assert all(line.endswith("?") for line in lines[::2])
    for name, line in zip(sorted(names), lines[1::2], strict=True):
        words = shlex.split(line)
        assert words[:2] == ["mckl", "study"]
        assert study(*words[2:]).exit_code == 0
        config = started[0][started[0].index("--configfile") + 1]
        assert config == str(CHECKOUT / "studies" / f"{name}.yaml")


def test_a_file_with_the_name_of_a_study_of_the_package_comes_first(
    started: Started, tmp_path: Path
) -> None:
    Path("families").write_text(TINY)
    study("--configfile", "families")
    assert str(tmp_path / "families") in started[0]


def test_texts_of_the_package_are_read_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    schema = yaml.safe_load((CHECKOUT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((CHECKOUT / "studies/policies.yaml").read_text())
    config["sweep"] = {"dimension": [1], "scale": [1.1], "offset": [0]}
    del config["off_policy"]  # of settings of the whole sweep
    assert {"text", "sentence"} <= {s.case for s in parse(config, schema).settings}
    own = {"q": {"text": "alice.txt"}}
    assert len(with_numbers(own, "")["q"]["text"]) > 1000
    Path("alice.txt").write_text("abc")
    assert [*with_numbers(own, "")["q"]["text"]] == [97, 98, 99]


class TestWhoseResults:
    """The results that a folder has are those of the config files that were given."""

    def test_the_same_study_goes_on(self, started: Started, tmp_path: Path) -> None:
        note_study([tmp_path / "tiny.yaml"], "mckl study --configfile tiny.yaml", tmp_path)
        Path("tiny.yaml").write_text(TINY + "seed: 7\n")  # an edit on purpose
        assert study("--configfile", tmp_path / "tiny.yaml").exit_code == 0
        assert study("--configfile", "../" + tmp_path.name + "/tiny.yaml").exit_code == 0

    def test_a_folder_that_was_moved_is_the_same(self, tmp_path: Path) -> None:
        there, here = tmp_path / "there", tmp_path / "here"
        note_study([there / "tiny.yaml"], "mckl study", there)
        there.rename(here)
        check_results([here / "tiny.yaml"], here)

    def test_another_study_is_noticed(self, started: Started, tmp_path: Path) -> None:
        note_study([tmp_path / "tiny.yaml"], "mckl study --configfile tiny.yaml", tmp_path)
        assert refused("--cores", 2) == (
            f"{tmp_path}/results has the results of another study (mckl study --configfile "
            "tiny.yaml): name another folder with --directory, or go on here with --update"
        )
        assert "another study" in refused("--configfile", "families", "--", "-n")
        assert started == []
        assert study("--update").exit_code == 0
        assert "--update" not in started[0]
        assert study("--directory", "elsewhere").exit_code == 0

    def test_another_value_after_the_dashes_is_another_study(
        self, started: Started, tmp_path: Path
    ) -> None:
        words = ["python", "-m", "snakemake", "--cores", "2", "--config", "seed=2", "samples=64"]
        note_study([], "mckl study -- --config seed=2 samples=64", tmp_path, words)
        assert "another study (mckl study -- --config seed=2 samples=64)" in refused("--cores", 2)
        assert "another study" in refused("--", "--config", "seed=3", "samples=64")
        for same in (["--config", "samples=64", "seed=2"], ["-C", "samples=64", "seed=2", "-n"]):
            assert study("--", *same).exit_code == 0
        assert len(started) == 2
        # A note of an earlier version has no values.
        note = tmp_path / "results/logs/study.json"
        note.write_text('{"configfiles": [], "command": "mckl study"}')
        assert study("--cores", "2").exit_code == 0
        assert "another study" in refused("--", "--config", "seed=2")

    @pytest.mark.parametrize(
        ("words", "values"),
        [
            ("--configfile a.yaml --cores 2", []),
            ("--config=seed=2 all", ["seed=2"]),
            ("-Cseed=2 all", ["seed=2"]),
            ("--config a=1 --cores 2 all", ["a=1"]),
            ("--config a=1 -n --config b=2", ["b=2"]),  # as Snakemake reads it
        ],
    )
    def test_values_of_a_command_line(self, words: str, values: list[str]) -> None:
        assert ownership.config_values(words.split()) == values

    def test_a_study_of_the_package_stays_the_same_in_a_new_environment(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for place in ("old", "new"):
            monkeypatch.setattr(ownership, "shipped", lambda place=place: tmp_path / place)
            configs = [tmp_path / place / "studies" / "families.yaml"]
            assert study_of(configs, tmp_path) == ["families"]

    @pytest.mark.parametrize("note", [None, "", "[]", "{}", '{"configfiles": []}', "[" * 10**5])
    def test_files_of_others_are_noticed(
        self, note: str | None, started: Started, tmp_path: Path
    ) -> None:
        results = tmp_path / "results"
        (results / "logs").mkdir(parents=True)
        (results / "counts.csv").touch()
        if note is not None:
            (results / "logs/study.json").write_text(note)
        line = refused("--configfile", "tiny.yaml")
        assert line.startswith(f"{results} has files that no study is known to have written, such")
        assert "counts.csv" in line
        assert "--directory" in line
        assert study("--configfile", "tiny.yaml", "--update").exit_code == 0

    def test_the_results_folder_of_a_checkout_is_empty(
        self, started: Started, tmp_path: Path
    ) -> None:
        (tmp_path / "results").mkdir()
        assert study().exit_code == 0
        (tmp_path / "results/README.md").touch()
        assert study().exit_code == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--configfile", "mine.yaml"],
         "mine.yaml: no such file, nor a study of the package: families, intervals, pairs, plane, "
         "plane-measured, policies"),
        (["--configfile", "."], ".: not a regular file"),
        (["--configfile", "bad.yaml"], "bad.yaml: mapping values are not allowed here in line 1"),
        (["--configfile", "latin.yaml"], "latin.yaml: not YAML in UTF-8"),
        (["--configfile", "list.yaml"], "list.yaml: no keys, expected some such as sweep: "),
        (["--configfile", "empty.yaml"], "empty.yaml: no keys"),
        (["--cores", "0"], "--cores: '0', expected a number of at least 1, or all"),
        (["--cores", "two"], "--cores: 'two', expected"),
        (["--directory", "tiny.yaml"], "--directory: 'tiny.yaml' is a file, expected a folder"),
        (["--directory", "tiny.yaml/x"], "--directory: 'tiny.yaml/x' cannot be made (Not a dir"),
        (["-n"], "no such option -n; options of Snakemake stand after --, as in mckl study -- -n"),
        (["--core", "2"], "no such option --core; options of Snakemake stand after --"),
        (["--", "--configfile", "tiny.yaml"], "--configfile: `mckl study` sets it"),
        (["--", "--directory=x"], "--directory: `mckl study` sets it"),
        (["--", "-dx"], "-d: `mckl study` sets it"),
        (["tiny.yaml"], "tiny.yaml: a config, expected --configfile before it"),
        (["families", "--", "-n"], "families: a config, expected --configfile before it"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_bad_input_is_one_line(words: list[str], text: str, started: Started) -> None:
    Path("bad.yaml").write_text("sweep: {dimension: [1]}: 3\n")
    Path("latin.yaml").write_bytes("größe: 1".encode("latin-1"))
    Path("list.yaml").write_text("- 1\n")
    Path("empty.yaml").touch()
    assert text in refused(*words)
    assert started == []


@pytest.mark.parametrize(
    ("versions", "text"),
    [
        ({"snakemake": ""}, "the workflow's package is missing (snakemake): pip install"),
        ({"snakemake": "", "pandas": ""}, "packages are missing (snakemake, pandas): pip install"),
        ({"snakemake": "9.26.4"}, "Snakemake 9.26.4, expected >= 9.27 and < 10: pip install"),
        ({"snakemake": "8.30"}, "Snakemake 8.30, expected"),
        ({"snakemake": "10.0.0"}, "Snakemake 10.0.0, expected"),
        ({"snakemake": "9.27.0"}, None),
        ({"snakemake": "9.100.0+local"}, None),
    ],
    ids=str,
)
def test_packages_of_the_workflow(
    versions: dict[str, str], text: str | None, started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if not (found := versions.get(package, "1.0")):
            raise metadata.PackageNotFoundError(package)
        return found

    required = ["numpy>=2.3", *(f"{line}; extra == 'study'" for line in EXTRA),
                "tensorflow>=2.21; extra == 'tensorflow'"]  # fmt: skip
    monkeypatch.setattr(metadata, "requires", lambda package: required)
    monkeypatch.setattr(metadata, "version", version)
    if text is None:
        assert study().exit_code == 0
    else:
        assert text in (line := refused("--directory", "new"))
        assert "'mckl[study]'" in line
        assert not Path("new").exists()


def test_the_range_of_snakemake_is_that_of_the_package() -> None:
    (line,) = (line for line in EXTRA if line.startswith("snakemake "))
    least, first = re.findall(r"[\d.]+", line)
    assert tuple(map(int, least.split("."))) == study_run.LEAST_SNAKEMAKE
    assert (int(first),) == study_run.FIRST_UNKNOWN_SNAKEMAKE


def test_names_of_studies_complete() -> None:
    done = CliRunner().invoke(
        main, prog_name="mckl",
        env={"_MCKL_COMPLETE": "bash_complete", "COMP_WORDS": "mckl study --configfile fam",
             "COMP_CWORD": "3"},
    )  # fmt: skip
    assert done.output.splitlines() == ["plain,families", "file,fam"]


def test_a_plan_draws_nothing(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "numpy.py").write_text("raise SystemExit('a file of the folder is imported')")
    words = ["--directory", "new", "--configfile", "tiny.yaml", "--", "-n", "-q"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mckl", "study", *words], cwd=tmp_path, check=False,
        capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mckl: 1 setting: 192 samples to draw in 1 estimation job" in done.stdout + done.stderr
    assert not (tmp_path / "new/results").exists()


def test_a_case_whose_kl_is_not_known_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    case = "q: {family: lognormal, mean: 0, sd: 30}, p: {family: exponential, rate: 1}"
    (tmp_path / "mine.yaml").write_text(f"cases: {{a: {{{case}}}}}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mckl", "study", "--configfile", "mine.yaml", "--", "-n", "-q"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=PATIENCE,
        stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = (row for row in (done.stdout + done.stderr).splitlines() if "mckl: " in row)
    assert line == (
        "mckl: config: cases.a: KL(q||p) is not known: a study needs it with a relative error of "
        "at most 1e-08"
    )


def test_what_is_noted_is_read_again(tmp_path: Path) -> None:
    note_study([], "snakemake --cores all", tmp_path)
    assert json.loads((tmp_path / "results/logs/study.json").read_text()) == {
        "configfiles": [],
        "config": [],
        "command": "snakemake --cores all",
    }
    check_results([], tmp_path)
