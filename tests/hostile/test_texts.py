"""Texts on the command line, in a config and on standard input that are not what they seem."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from .limits import SRC, limited, refused

P = ("--p", "{mean: 0, sd: 1}")
LONG = "x " * 2500
DIGITS = "1" * 400
MORE_DIGITS = "1" * 5000


def bomb() -> str:
    """Nine levels of lists, each of which repeats the one before nine times: 9^9 numbers."""
    levels = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    levels += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    return "{" + ", ".join([*levels, "mean: *a8"]) + "}"


SIDES = {
    "bomb": (bomb(), "more than 1,000,000 entries, expected fewer"),
    "it contains itself": ("&a {mean: *a, sd: 1}", "nested too deeply"),
    "a list contains itself": ("{mean: &a [*a], sd: 1}", "nested too deeply"),
    "deep": ("{mean: " + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
    "deeper": ("{mean: " + "[" * 5000 + "}", "not YAML"),
    "family is a list": ("{family: [x]}", "'['x']' is not a family"),
    "family is a mapping": ("{family: {a: 1}}", "is not a family"),
    "family is long": (f"{{family: {LONG}}}", "x ...' is not a family"),
    "family has a NUL": ('{family: "a\\0b"}', "'a\\x00b' is not a family"),
    "name is long": (f"{{? {LONG} : 1}}", "unknown parameter"),
    "value is long": (f"{{family: gamma, shape: {LONG}}}", "gamma: shape"),
    "component is long": (
        f"{{family: mixture, weights: [1], components: [{LONG}]}}", "mixture: component"
    ),
    "component's family": (
        "{family: mixture, weights: [1], components: [{family: [x]}]}", "component of family"
    ),
    "digits": (f"{{mean: {DIGITS}, sd: 1}}", "mean inf"),
    "more digits": (f"{{mean: {MORE_DIGITS}, sd: 1}}", "not YAML"),
    "tag": ("{mean: !!python/object/apply:os.system [touch run]}", "could not determine a"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIDES)
def test_sides(tmp_path: Path, name: str) -> None:
    text, words = SIDES[name]
    told = refused("kl", "--q", text, *P, folder=tmp_path)
    assert told.startswith("mckl: --q: ")
    assert words in told
    assert not [*tmp_path.iterdir()]


def test_sides_in_files(tmp_path: Path) -> None:
    """The same limits hold, and those of a file."""
    (tmp_path / "bomb.yaml").write_text(bomb())
    (tmp_path / "twice.json").write_text('{"mean": 0, "sd": 1, "sd": 2}')
    (tmp_path / "bytes.yml").write_bytes(bytes(range(256)))
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(10**11)
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, words in {
        "bomb.yaml": "more than 1,000,000 entries, expected fewer",
        "twice.json": "twice.json: sd (line 1): the key occurs twice, expected once",
        "bytes.yml": "not YAML",
        "large.yaml": "a larger file than expected, at most 17 MB",
        "pipe.yaml": "not a regular file",
    }.items():
        assert words in refused("kl", "--q", name, *P, folder=tmp_path)


OPTIONS = [
    ("kl", LONG),
    (LONG,),
    ("kl", "--family", LONG, "-d", "1"),
    ("kl", "-d", MORE_DIGITS),
    ("kl", "-d", DIGITS),
    ("kl", "-d", LONG),
    ("kl", "-d", "1", "-s", LONG),
    ("kl", "--q-mean", "1," * 5000, "--q-sd", "1", "--p-mean", "0", "--p-sd", "1"),
    ("kl", "--q", LONG, "--p", LONG),
    ("estimate", "-d", "1", "--estimator", LONG),
    ("estimate", "-d", "1", "--seed", "-1"),
    ("estimate", "-d", "1", "--seed", DIGITS),
    ("estimate", "-d", "1", "--budget", LONG),
    ("estimate", "--table", "x.csv", "--columns", LONG),
    ("estimate", "--table", "x.csv", "--columns", f"{LONG}=x"),
    ("estimate", "--table", "x.csv", "--columns", f"log_q={LONG},log_p=b"),
]


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_options(tmp_path: Path, number: int) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,1\n")
    told = refused(*OPTIONS[number], folder=tmp_path)
    assert max(told.count(repeated) for repeated in ("x ", "1", "1,")) <= 200


BATCHES = {
    "digits": (f'{{"log_q": [{DIGITS}], "log_p": [0]}}', "some values are beyond 10^308"),
    "more digits": (f'{{"log_q": [{MORE_DIGITS}], "log_p": [0]}}', "not JSON (Exceeds the limit"),
    "deep": ("[" * 100_000, "not JSON"),
    "deep lists": ('{"log_q": ' + "[" * 900 + "]" * 900 + "}", "log_q: "),
    "long key": (json.dumps({LONG: 1}), "unknown key 'x x "),
    "texts": ('{"log_q": ["1"], "log_p": [0]}', "log_q: values of type <U1"),
    "a text and a number": ('{"log_q": [1, "1"], "log_p": [0, 0]}', "log_q: values of type <U"),
    "ids that are mappings": (
        '{"log_q": [0, 0], "log_p": [0, 0], "sequence": [1, {}]}', "sequence: a value is a mapping"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHES)
def test_batches(tmp_path: Path, name: str) -> None:
    text, words = BATCHES[name]
    told = refused("estimate", "--watch", folder=tmp_path, stdin=text.encode())
    assert told.startswith("mckl: line 1: ")
    assert words in told


def test_a_stream_without_lines(tmp_path: Path) -> None:
    told = refused("estimate", "--watch", folder=tmp_path, stdin=bytes(2**25))
    assert told == "mckl: --watch: a line has 33,554,432 characters or more"


# A config is checked before Snakemake plans anything.
PARSE = f"""
import sys, yaml
from mckl.errors import UserError
from mckl.study.config import parse
schema = yaml.safe_load(open({str(SRC.parent / "workflow/schemas/config.schema.yaml")!r}))
for text in yaml.safe_load_all(sys.stdin):
    try:
        parse(text, schema)
    except UserError as error:
        print(error)
    else:
        print("accepted")
"""


def case(side: str) -> str:
    return f"cases: {{x: {{q: {side}, p: {{mean: 0, sd: 1}}}}}}"


CONFIGS = {
    case(bomb()): "more than 1,000,000 entries",
    case("&a {mean: *a, sd: 1}"): "nested too deeply",
    case("{mean: &b [*b], sd: 1}"): "nested too deeply",
    "cases: &c {x: {q: *c, p: *c}}": "nested too deeply",
    case("{family: [x]}"): "cases.x.q: '['x']' is not a family",
    case(f"{{family: {LONG}}}"): "x ...' is not a family",
    case(f"{{family: gamma, ? {LONG} : .nan}}"): "expected a finite number",
    case(f"{{family: gamma, shape: {DIGITS}}}"): "cases.x.q.shape: 'inf'",
    case('{family: normal, mean: "a\\0.csv", sd: 1}'): "a\\x00.csv: no such file",
    case('{family: policy, text: "a\\0"}'): "cases.x.q.text: a\\x00: no such file",
    case("{family: policy, text: /dev/zero}"): "/dev/zero: not a regular file",
    f"? {LONG}\n: 1": "x : unknown key",
    f"cases: {{? {LONG} : null}}": "is not a name",
    f"sweep: {{family: [{LONG}], dimension: [1], scale: [1], offset: [0]}}": "sweep.family: 'x x",
    f"gradients: {{settings: [{LONG}]}}": "is no setting of this study",
    f"seed: {DIGITS}": "seed: 'inf'",
}


def test_configs(tmp_path: Path) -> None:
    texts = "\n---\n".join(CONFIGS).encode()
    done = limited("-c", PARSE, folder=tmp_path, stdin=texts)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(CONFIGS), done.stderr[-2000:]
    for line, words in zip(lines, CONFIGS.values(), strict=True):
        assert words in line
        assert line.count("x ") <= 100
        assert len(line) <= 500


@pytest.mark.slow
def test_a_run_refuses_a_config_that_is_a_bomb(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(case(bomb()))
    words = ("--snakefile", str(SRC.parent / "Snakefile"), "--configfile", "x.yaml", "--cores", "1")
    done = limited("-P", "-m", "snakemake", *words, folder=tmp_path)
    assert done.returncode == 1
    assert "mckl: config: more than 1,000,000 entries" in done.stderr.decode()


def test_what_the_bomb_is() -> None:
    small = yaml.safe_load(bomb().split(", a3")[0] + "}")
    assert sum(len(b) for a in small["a2"] for b in a) == 9**3
