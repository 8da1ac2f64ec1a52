"""Given log-probabilities in files of every layout, as the libraries write them that people use."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mckl as library
from mckl.cli.rows import tables_of
from mckl.record import columns

from .test_cli import mckl, refused, told

S, T = 120, 40
RNG = np.random.default_rng(1)
LENGTHS = RNG.integers(3, T + 1, S)
MASK = np.arange(T) < LENGTHS[:, None]
LOG_Q = np.where(MASK, -1 - RNG.random((S, T)), 0.0)
LOG_P = np.where(MASK, LOG_Q - 0.02 - 0.2 * RNG.normal(size=(S, T)), 0.0)
PROMPTS = [f"prompt {i // 2}" for i in range(S)]
LISTS = {"log_q": [q[m].tolist() for q, m in zip(LOG_Q, MASK, strict=True)],
         "log_p": [p[m].tolist() for p, m in zip(LOG_P, MASK, strict=True)]}  # fmt: skip
FLAT = {"log_q": LOG_Q[MASK], "log_p": LOG_P[MASK], "sequence": np.repeat(np.arange(S), LENGTHS)}
PADDED = {"log_q": LOG_Q, "log_p": LOG_P, "mask": MASK}


def nulls(values):
    """Rows of one length, in which tokens that do not count are missing."""
    return [[v if m else None for v, m in zip(*row, strict=True)]
            for row in zip(values.tolist(), MASK.tolist(), strict=True)]  # fmt: skip


def arrow_shards(folder):
    """What `Dataset.save_to_disk` of the library datasets writes: streams of record batches."""
    table = pa.table(LISTS)
    for i in range(2):
        part = table.slice(i * 70, 70)
        name = str(folder / f"data-0000{i}-of-00002.arrow")
        with pa.OSFile(name, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(part, max_chunksize=32)
    (folder / "state.json").write_text("{}")
    (folder / "dataset_info.json").write_text("{}")
    return folder


def parquet_shards(folder):
    for i in range(12):  # shard-10 comes after shard-9
        pq.write_table(pa.table(LISTS).slice(10 * i, 10), folder / f"shard-{i}.parquet")
    return folder / "shard-*.parquet"


def npy_2d(folder, **options):
    for name, values in PADDED.items():
        np.save(folder / f"{name}.npy", np.array(values, **options))
    return [word for name in PADDED for word in (f"--{name.replace('_', '-')}",
            folder / f"{name}.npy")]  # fmt: skip


def by_row(folder):
    with gzip.open(folder / "x.jsonl.gz", "wt") as file:
        for q, p in zip(LISTS["log_q"], LISTS["log_p"], strict=True):
            file.write(json.dumps({"log_q": q, "log_p": p, "text": "a"}) + "\n")
    return folder / "x.jsonl.gz"


def arrays_of(kind, folder):
    array = {"fixed": pa.FixedSizeListArray, "large": pa.LargeListArray}[kind]
    if kind == "fixed":
        made = {n: array.from_arrays(pa.array(v.ravel()), T) for n, v in PADDED.items()}
    else:
        starts = pa.array(np.append(0, LENGTHS.cumsum()))
        made = {n: array.from_arrays(starts, pa.array(FLAT[n])) for n in LISTS}
    pq.write_table(pa.table(made), folder / "x.parquet", row_group_size=50)
    return folder / "x.parquet"


# Each writes the same tokens into a folder and returns a table, or the command's words.
WRITERS = {
    "pandas lists, Parquet": lambda f: pd.DataFrame(LISTS).to_parquet(f / "x.parquet"),
    "pandas flat, Parquet": lambda f: pd.DataFrame(FLAT).to_parquet(f / "x.parquet"),
    "pandas lists, JSON lines": lambda f: pd.DataFrame(LISTS).to_json(
        f / "x.jsonl", orient="records", lines=True, double_precision=15),
    "pandas, csv.gz": lambda f: pd.DataFrame(FLAT).to_csv(f / "x.csv.gz", index=False),
    "pandas, tsv.xz": lambda f: pd.DataFrame(FLAT).to_csv(f / "x.tsv.xz", sep="\t"),
    "Polars lists, Parquet": lambda f: pl.DataFrame(LISTS).write_parquet(f / "x.parquet"),
    "Polars lists, Arrow": lambda f: pl.DataFrame(LISTS).write_ipc(f / "x.arrow"),
    "Polars lists, JSON lines": lambda f: pl.DataFrame(LISTS).write_ndjson(f / "x.jsonl"),
    "Polars flat, csv": lambda f: pl.DataFrame(FLAT).write_csv(f / "x.csv"),
    "padded, csv with a mask": lambda f: pd.DataFrame(
        {n: v.ravel() for n, v in PADDED.items()} | {"sequence": np.arange(S * T) // T}
    ).to_csv(f / "x.csv"),
    "feather": lambda f: pd.DataFrame(LISTS).to_feather(f / "x.feather"),
    "lists with nulls": lambda f: pq.write_table(
        pa.table({n: nulls(PADDED[n]) for n in LISTS}), f / "x.parquet"),
    "datasets' shards": arrow_shards,
    "Parquet shards": parquet_shards,
    "lists by line": by_row,
    "fixed-size lists": lambda f: arrays_of("fixed", f),
    "large lists": lambda f: arrays_of("large", f),
    "npz": lambda f: np.savez(f / "x.npz", **PADDED),
    "compressed npz": lambda f: np.savez_compressed(f / "x.npz", **PADDED),
    "npy": npy_2d,
    "npy by column": lambda f: npy_2d(f, order="F"),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected():
    answer = library.from_log_probs(LISTS["log_q"], LISTS["log_p"])
    assert (answer.rows, answer.units) == (MASK.sum(), S)
    assert answer.trusted == "k3-factor"
    return json.loads(json.dumps(answer.to_dict()))


@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout_gives_the_same_a_few_rows_at_a_time(layout, tmp_path, expected, monkeypatch):
    written = WRITERS[layout](tmp_path)
    words = (
        written if isinstance(written, list) else ["--table", written or next(tmp_path.iterdir())]
    )
    monkeypatch.setattr(columns, "PIECE", 400)
    monkeypatch.setattr(columns, "MOST_AT_ONCE", 40_000)
    sizes = []
    open_source = columns.open_source

    def opened(path):
        source = open_source(path)

        def pieces(*chosen):
            for piece in source.pieces(*chosen):
                sizes.extend(len(getattr(cells, "values", cells)) for cells in piece)
                yield piece

        return source._replace(pieces=pieces)

    monkeypatch.setattr("mckl.cli.rows.open_source", opened)
    found = told("estimate", *map(str, words))
    found.pop("mckl")
    assert found == approximately(expected)
    assert len(sizes) > 4
    assert max(sizes) < MASK.sum() / 2


def approximately(value):
    """Rows of other pieces are added up in another order."""
    if isinstance(value, dict):
        return {key: approximately(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [approximately(inner) for inner in value]
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


def test_several_tables_are_read_in_order(tmp_path):
    for i in range(3):
        part = slice(40 * i, 40 * (i + 1))
        pq.write_table(pa.table({n: v[part] for n, v in LISTS.items()}), tmp_path / f"{i}.parquet")
    whole = told("estimate", "--table", str(tmp_path))
    one_by_one = [w for i in range(3) for w in ("--table", str(tmp_path / f"{i}.parquet"))]
    assert told("estimate", *one_by_one) == whole
    assert whole["units"] == S
    assert told("estimate", "--table", str(tmp_path / "0.parquet"))["units"] == 40
    names = ["x2.csv", "x10.csv", "x9.csv", "notes.txt"]
    for name in names:
        (tmp_path / name).touch()
    assert tables_of(str(tmp_path / "x*.csv")) == [str(tmp_path / f"x{i}.csv") for i in (2, 9, 10)]


def test_an_explicit_mask_comes_before_missing_tokens_and_these_before_ids(tmp_path, expected):
    rows = [(q, p, i, True) for q, p, i in zip(*(FLAT[n].tolist() for n in FLAT), strict=True)]
    rows.insert(7, (None, None, None, True))  # missing, so its id is not looked at
    rows.insert(9, (-1.0, None, 0, False))  # the mask leaves it out
    names = ("log_q", "log_p", "sequence", "mask")
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, tmp_path / "x.parquet")
    found = told("estimate", "--table", str(tmp_path / "x.parquet"))
    found.pop("mckl")
    assert found == approximately(expected)
    bad = table.drop_columns(["mask"])
    pq.write_table(bad, tmp_path / "bad.parquet")
    line = refused("estimate", "--table", str(tmp_path / "bad.parquet"))
    assert (
        "bad.parquet: log_p: row 10 is empty, and log_q has a value there (rows count from 1)"
        in line
    )


def test_groups_and_clusters_are_columns_or_files(tmp_path):
    steps = np.arange(S) // 40
    table = tmp_path / "x.parquet"
    pq.write_table(pa.table(LISTS | {"prompt": PROMPTS, "step": steps}), table)
    found = told("estimate", "--table", str(table), "--group", "step", "--cluster", "prompt")
    np.save(tmp_path / "step.npy", steps)
    pd.DataFrame({"cluster": PROMPTS}).to_csv(tmp_path / "prompt.csv", index=False)
    again = told("estimate", "--table", str(table), "--group", str(tmp_path / "step.npy"),
                 "--cluster", str(tmp_path / "prompt.csv"))  # fmt: skip
    assert found == again
    assert [one["group"] for one in found["groups"]] == [0, 1, 2]
    assert {one["clusters"] for one in found["groups"]} == {20}
    alone = library.from_log_probs(*(v[40:80] for v in LISTS.values()), cluster=PROMPTS[40:80])
    assert found["groups"][1] == {"group": 1} | approximately(
        json.loads(json.dumps(alone.to_dict()))
    )
    text = mckl("estimate", "--table", str(table), "--group", "step", "--plot", f"{tmp_path}/g.png")
    assert text.exit_code == 0, text.stderr
    assert text.stdout.startswith("KL(q||p) per sequence of 3 groups, all with a 95 % interval")
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_the_running_estimates(tmp_path):
    pd.DataFrame(LISTS).to_parquet(tmp_path / "x.parquet")
    done = mckl("estimate", "--table", str(tmp_path / "x.parquet"), "--plot", f"{tmp_path}/x.svg")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    told_to = ("estimate", "--table", str(tmp_path / "x.parquet"), "--plot")
    assert "--plot: 'x.txt', expected a file named *.png, *.svg, *.pdf" in refused(
        *told_to, "x.txt"
    )
    done = mckl(*told_to, f"{tmp_path}/none/x.png")
    assert done.exit_code == 2
    assert "Trust" in done.stdout
    assert "cannot be written" in done.stderr
    assert "only with given log-probabilities" in refused("estimate", "-d", "2", "--plot", "x.png")
    assert "not with --watch" in refused("estimate", "--watch", "--plot", "x.png")


def test_bad_layouts_are_refused_in_one_line(tmp_path):
    def write(name, **changes):
        pq.write_table(pa.table({**LISTS, **changes}), tmp_path / name)
        return str(tmp_path / name)

    shorter = [row[:-1] if i == 3 else row for i, row in enumerate(LISTS["log_p"])]
    infinite = [[*row[:2], -math.inf, *row[3:]] if i == 3 else row
                for i, row in enumerate(LISTS["log_p"])]  # fmt: skip
    good = write("good.parquet")
    pd.DataFrame({"policy": [0.1], "ref": [0.2], "reward": [1.0]}).to_csv(tmp_path / "x.csv")
    (tmp_path / "x.jsonl").write_text('{"log_q": [1, 2], "log_p": [1]}\n[1]\n')
    (tmp_path / "z.jsonl").write_text('{"log_q": [1, "a"], "log_p": [1, 2]}\n')
    (tmp_path / "y.jsonl").write_text(
        '{"log_q": [1, 2], "log_p": [1, 2]}\n{"log_q": 3, "log_p": 3}\n'
    )
    for words, line in (
        (["--table", write("a.parquet", log_p=shorter)],
         f"a.parquet: log_p: row 4 has {LENGTHS[3] - 1} values, expected {LENGTHS[3]} as of log_q"),
        (["--table", write("b.parquet", log_p=infinite)],
         "b.parquet: log_p: row 4, token 3 is -inf: KL is infinite where p = 0 and q > 0"),
        (["--table", write("c.parquet", log_p=[0.0] * S)], "log_p: one value a row, expected as"),
        (["--table", write("d.parquet", log_p=[[r] for r in LISTS["log_p"]])],
         "d.parquet: column 'log_p' is of type list<"),
        (["--table", write("e.parquet", mask=[[True]] * S)], "mask: row 1 has 1 values, expected"),
        (["--table", write("f.parquet", cluster=LISTS["log_q"]), "--cluster", "cluster"],
         "cluster: sequence 0 has tokens in two clusters"),
        (["--table", good, "--table", str(tmp_path / "x.csv")], "x.csv: no column 'log_q'"),
        (["--table", str(tmp_path / "x.csv")],
         "no column named log_q or log_ratio, but '', 'policy', 'ref', 'reward': name them"),
        (["--table", str(tmp_path / "x.jsonl")], "x.jsonl: line 2 is no object"),
        (["--table", str(tmp_path / "y.jsonl")],
         "y.jsonl: column 'log_q' has some rows are lists and others are not"),
        (["--table", str(tmp_path / "z.jsonl")], "column 'log_q' has values that are not numbers"),
        (["--table", str(tmp_path / "none*.parquet")], "none*.parquet: no file matches"),
        (["--table", good, "--group", "stp"], "no column 'stp'"),
    ):  # fmt: skip
        assert line in refused("estimate", *words)
    flat = pd.DataFrame(FLAT).assign(cluster=np.arange(MASK.sum()) // 7)
    flat.to_parquet(tmp_path / "cut.parquet")
    assert "cluster: sequence 0 has tokens in two clusters, expected whole sequences" in refused(
        "estimate", "--table", str(tmp_path / "cut.parquet")
    )
