"""`mckl estimate` of log-probabilities in files and on standard input."""

from __future__ import annotations

import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import mckl as library
from mckl.cli.commands import main

from .test_cli import mckl, refused, told

N = 6000


@pytest.fixture(scope="module")
def rollout():
    rng = np.random.default_rng(1)
    log_q = -1 - rng.random(N)
    return {
        "log_q": log_q,
        "log_p": log_q - 0.02 - 0.2 * rng.normal(size=N),
        "sequence": np.repeat(np.arange(N // 10), 10),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, rollout):
    path = tmp_path_factory.mktemp("rollout")
    for name, values in rollout.items():
        np.save(path / f"{name}.npy", values)
    np.savez(path / "table.npz", **rollout)
    np.savez_compressed(path / "small.npz", **rollout)
    header = "log_q,log_p,sequence,comment"
    rows = np.column_stack([rollout[n] for n in ("log_q", "log_p")])
    ids = rollout["sequence"]
    lines = [f"{a!r},{b!r},{i},'x'" for (a, b), i in zip(rows.tolist(), ids.tolist(), strict=True)]
    (path / "table.csv").write_text("\n".join([header, *lines]) + "\n")
    names = [f"episode {i}" for i in ids]
    table = pa.table(
        {"policy": rollout["log_q"], "ref": rollout["log_p"], "episode": names, "number": ids}
    )
    pq.write_table(table, path / "table.parquet", row_group_size=700)
    np.save(path / "log_ratio.npy", rollout["log_q"] - rollout["log_p"])
    return path


def test_every_format_gives_the_same(folder, rollout):
    expected = library.from_log_probs(
        rollout["log_q"], rollout["log_p"], sequence=rollout["sequence"]
    ).to_dict()
    one = [word for name in rollout for word in (f"--{name.replace('_', '-')}",
           str(folder / f"{name}.npy"))]  # fmt: skip
    ways = [one]
    ways += [["--table", str(folder / name)] for name in ("table.npz", "small.npz", "table.csv")]
    for ids in ("episode", "number"):
        columns = f"log_q=policy,log_p=ref,sequence={ids}"
        ways.append(["--table", str(folder / "table.parquet"), "--columns", columns])
    for way in ways:
        found = told("estimate", *way)
        assert found.pop("mckl") == library.__version__
        assert found == json.loads(json.dumps(expected))


def test_a_log_ratio_is_enough(folder, rollout):
    found = told("estimate", "--log-ratio", str(folder / "log_ratio.npy"))
    ell = rollout["log_q"] - rollout["log_p"]
    assert found["estimates"][0]["estimate"] == pytest.approx(ell.mean())
    assert found["units"] == N


def test_the_answer_and_its_exit_code(folder):
    table = ("estimate", "--table", str(folder / "table.npz"))
    done = mckl(*table)
    assert done.exit_code == 0
    assert "natural logarithms assumed" in done.stdout
    assert "nats per token" in done.stdout
    assert "Trust" in done.stdout
    assert mckl(*table, "--tolerance", "0.9").exit_code == 0
    assert mckl(*table, "--tolerance", "1e-6").exit_code == 3
    chosen = mckl(*table, "--estimator", "k1")
    assert chosen.stdout.startswith("KL(q||p) = ")
    assert "(k1)" in chosen.stdout.splitlines()[0]
    withheld = mckl(*table, "--estimator", "k2")
    assert withheld.exit_code == 4
    assert "biased" in withheld.stdout


def test_bad_files_are_refused_in_one_line(folder, tmp_path):
    q, p = str(folder / "log_q.npy"), str(folder / "log_p.npy")
    short = tmp_path / "short.npy"
    np.save(short, np.zeros(7))
    csv = tmp_path / "short.csv"
    csv.write_text("0.5\n" * 7)
    np.save(tmp_path / "empty.npy", np.zeros(0))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "headed.csv").write_text("log_q,log_p\n")
    (tmp_path / "words.csv").write_text("log_q,log_p\n0,a\n")
    (tmp_path / "ragged.csv").write_text("log_q,log_p\n0,1\n0\n")
    np.save(tmp_path / "cube.npy", np.zeros((3, 3, 3)))
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    (tmp_path / "cut.npy").write_bytes((folder / "log_q.npy").read_bytes()[:5000])
    (tmp_path / "junk.npz").write_bytes(b"junk")
    pq.write_table(pa.table({"log_q": [0.0, None], "log_p": [0.0, 1.0]}), tmp_path / "null.parquet")
    table = str(folder / "table.parquet")
    for words, expected in (
        (["--log-q", q], "log_p: missing"),
        (["--log-q", q, "--log-p", str(short)], "short.npy: 7 rows, expected 6000"),
        (["--log-q", q, "--log-p", str(csv)], "short.csv: 7 rows, and"),
        (["--log-q", q, "--log-p", str(tmp_path / "empty.npy")], "no rows in it"),
        (["--log-q", str(tmp_path / "empty.csv"), "--log-p", p], "no numbers in it"),
        (["--table", str(tmp_path / "headed.csv")], "no rows in it"),
        (["--table", str(tmp_path / "words.csv")], "not a table of numbers"),
        (
            ["--table", str(tmp_path / "ragged.csv")],
            "ragged.csv: rows that have more or fewer cells than the 2 names",
        ),
        (
            ["--log-q", str(tmp_path / "cube.npy"), "--log-p", p],
            "shape (3, 3, 3), expected (samples,)",
        ),
        (["--log-q", str(tmp_path / "words.npy"), "--log-p", p], "expected numbers"),
        (["--log-q", str(tmp_path / "cut.npy"), "--log-p", p], "cut.npy: not a readable .npy"),
        (["--table", str(tmp_path / "junk.npz")], "not a readable .npz"),
        (["--table", str(tmp_path / "null.parquet")], "null.parquet: log_q: row 2 is empty"),
        (["--table", str(tmp_path / "none.parquet")], "no such file"),
        (["--table", str(tmp_path / "none.txt")], "expected a file named"),
        (["--table", table], "no column named log_q"),
        (
            ["--table", table, "--columns", "log_q=polcy,log_p=ref"],
            "no column 'polcy', but 'policy', 'ref'",
        ),
        (["--table", table, "--columns", "logq=policy,log_p=ref"], "'logq' is not a column"),
        (["--table", table, "--columns", "policy"], "expected a text such as log_q=policy_logp"),
        (["--table", table, "--columns", "log_q=episode,log_p=ref"], "is of type string"),
        (["--columns", "log_q=a"], "only with --table"),
        (["--table", str(folder / "table.npz"), "--columns", "log_q="], "expected a text such as"),
        (["--log-q", q, "--log-p", p, "-d", "3"], "--dimension: not together with given"),
        (["--log-q", q, "--log-p", p, "--sampler", "iid"], "--sampler: not together with given"),
        (["--log-ratio", q, "--log-p", p], "expected log_ratio, or log_q and log_p"),
        (["--log-q", q, "--log-p", p, "--full-kl", p], "full_kl: only with sequence"),
        (["--log-q", q, "--log-p", p, "--estimator", "rb"], "'rb', expected one of"),
    ):
        assert expected in refused("estimate", *words)


def test_named_columns_add_to_the_usual_ones(folder, rollout, tmp_path):
    more = {"log_sampler": rollout["log_q"] + 0.01 * np.sin(np.arange(N)), "seq": np.arange(N) // 7}
    both = {name: rollout[name] for name in ("log_q", "log_p")}
    np.savez(tmp_path / "all.npz", **both, **more)
    table = ("estimate", "--table", str(tmp_path / "all.npz"))

    def expected(**given):
        return json.loads(json.dumps(library.from_log_probs(**both, **given).to_dict()))

    weighted = expected(log_sampler=more["log_sampler"], sequence=more["seq"])
    for words in (
        ("--columns", "sequence=seq"),
        ("--columns", "log_q=log_q,log_p=log_p,sequence=seq"),
        ("--sequence", "seq"),
    ):
        assert {"mckl": library.__version__, **weighted} == told(*table, *words), words
    assert "weighted by q/s" in mckl(*table).stdout
    without = told(*table, "--columns", "sequence=seq,log_sampler=")
    assert {"mckl": library.__version__, **expected(sequence=more["seq"])} == without
    ratio = rollout["log_q"] - rollout["log_p"]
    np.savez(tmp_path / "ratio.npz", **both, ratio=ratio)
    found = told("estimate", "--table", str(tmp_path / "ratio.npz"), "--columns", "log_ratio=ratio")
    assert found["estimates"][0]["estimate"] == pytest.approx(ratio.mean())
    line = refused(*table, "--columns", "log_ratio=seq")
    assert "--columns log_sampler=, which leaves it out" in line


def test_swapped_files_make_no_interval(folder):
    q, p = str(folder / "log_q.npy"), str(folder / "log_p.npy")
    result = CliRunner().invoke(main, ["estimate", "--log-q", p, "--log-p", q])
    assert result.exit_code == 4
    assert "log_q and log_p are swapped" in result.output


def test_a_row_that_no_sample_of_q_has_is_named(folder, tmp_path, rollout):
    bad = rollout["log_p"].copy()
    bad[4321] = -math.inf
    np.save(tmp_path / "bad.npy", bad)
    line = refused(
        "estimate", "--log-q", str(folder / "log_q.npy"), "--log-p", str(tmp_path / "bad.npy")
    )
    assert "bad.npy: log_p: row 4322 is -inf: KL is infinite" in line  # counted from 1


def watch(lines, *words):
    return CliRunner().invoke(
        main, ["estimate", "--watch", *words], input="\n".join(lines), prog_name="mckl",
        catch_exceptions=False,
    )  # fmt: skip


def test_watch_reads_json_lines(rollout):
    batches = [
        json.dumps({name: rollout[name][i : i + 600].tolist() for name in ("log_q", "log_p")})
        for i in range(0, N, 600)
    ]
    done = watch([*batches, ""], "--json")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["samples"] for row in rows] == [*range(600, N + 1, 600)]
    ell = rollout["log_q"] - rollout["log_p"]
    assert rows[-1]["estimate"] == pytest.approx(ell.mean())
    low, high = rows[-1]["interval"]
    assert low < 0.02 < high
    text = watch(batches[:1], "--estimator", "k3").stdout
    assert "95 % at all times" in text
    for batch in (mine := [*map(json.loads, batches)]):
        batch["cluster"] = [i // 2 for i in range(600)]
    windowed = watch([*map(json.dumps, mine)], "--half-life", "800", "--json")
    same = library.Watch(half_life=800)
    for batch in mine:
        seen = same.update(**batch)
    assert json.loads(windowed.stdout.splitlines()[-1]) == seen.to_dict()
    assert seen.effective < 1200
    assert "--half-life: only with --watch" in refused("estimate", "-d", "1", "--half-life", "9")
    short = watch(batches[:1], "--half-life", "20")
    assert "half_life: 20, expected at least 34.7" in short.stderr


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no batch on standard input"),
        (["{"], "line 1: not JSON"),
        (["[1]"], "line 1: expected an object"),
        (['{"log_q": [0.0], "log_p": [0.0]}', '{"log_q": [0.0]}'], "line 2: log_p: missing"),
        (['{"log_q": [0.0], "log_p": [0.0], "x": 1}'], "line 1: unknown key 'x'"),
        (['{"log_q": [0], "log_p": [0], "log_sampler": [0]}'], "log_sampler: a watch has none"),
        (['{"log_q": [0.0], "log_p": [0.0, 1.0]}'], "line 1: log_p: shape (2,)"),
        (['{"log_q": [0.0], "log_p": [NaN]}'], "line 1: log_p: row 0 is not a number"),
    ],
)
def test_watch_refuses_in_one_line(lines, words):
    done = watch(lines)
    assert done.exit_code == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
