"""Vectors from files: every format, every kind of damage, and whatever bytes there may be."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import resource
import tracemalloc
import zipfile
from functools import partial

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckl.errors import UserError
from mckl.record.vectors import read_gaussian, read_vector

from .test_cli import mckl, refused, told

MEAN, SD = np.array([1.0, 4.0, -2.5]), np.array([1.0, 0.5, 3.0])
P = ("--p-mean", "0", "--p-sd", "2")


def expected() -> float:
    words = (",".join(map(repr, map(float, v))) for v in (MEAN, SD))
    return told("kl", f"--q-mean={next(words)}", f"--q-sd={next(words)}", *P)["kl"]


def write(folder, name):
    path = folder / name
    if name == "columns.npy":
        np.save(path, np.stack([MEAN, SD], axis=1))
    elif name == "single.npy":
        np.save(path, np.stack([MEAN, SD], axis=1).astype(np.float32))
    elif name == "named.npy":
        array = np.zeros(3, dtype=[("sd", float), ("mean", float)])
        array["mean"], array["sd"] = MEAN, SD
        np.save(path, array)
    elif name == "named.csv":
        path.write_text("SD,Mean\n1,1\n0.5,4\n3,-2.5\n")
    elif name == "bare.csv":
        path.write_text("1,1\n4,.5\n-2.5,3e0\n")
    elif name == "labels.csv":
        path.write_text(',Layer,SD,Mean\n0,"a, b",1,1\n1,,.5,4\n2,3,3,-2.5\n')
    elif name == "var.csv":
        path.write_text("mean,var\n1,1\n4,.25\n-2.5,9\n")
    elif name == "encoder.npz":
        np.savez(path, x=["a"], logvar=2 * np.log(SD)[None], mean=MEAN.astype(np.float32)[None])
    elif name == "sides.npz":
        np.savez_compressed(path, q_mean=MEAN, q_sd=SD, p_mean=0.0, p_var=4.0)
    elif name == "one.npz":
        np.savez(path, np.stack([MEAN, SD], axis=1))
    elif name == "one_named.npz":
        np.savez(path, q=np.stack([MEAN, SD], axis=1))
    elif name == "table.parquet":
        pq.write_table(
            pa.table(
                {"layer": ["a", "b", None], "sd": SD, "mean": MEAN.astype(np.float32),
                 "other": [1, 2, 3]}
            ),
            path,
        )  # fmt: skip
    return str(path)


@pytest.mark.parametrize(
    "name",
    ["columns.npy", "single.npy", "named.npy", "named.csv", "bare.csv", "labels.csv", "var.csv",
     "encoder.npz", "sides.npz", "one.npz", "one_named.npz", "table.parquet"],
)  # fmt: skip
def test_one_file_a_gaussian(tmp_path, name):
    assert told("kl", "--q", write(tmp_path, name), *P)["kl"] == pytest.approx(
        expected(), rel=1e-12
    )


def test_one_file_a_vector(tmp_path):
    np.save(tmp_path / "m.npy", MEAN)
    (tmp_path / "s.csv").write_text("whatever\n" + "\n".join(map(str, SD)) + "\n")
    pq.write_table(pa.table({"x": [0, 0, 0]}), tmp_path / "z.PARQUET")
    answer = told(
        "kl", "--q-mean", str(tmp_path / "m.npy"), "--q-sd", str(tmp_path / "s.csv"),
        "--p-mean", str(tmp_path / "z.PARQUET"), "--p-sd", "2",
    )  # fmt: skip
    assert answer["kl"] == pytest.approx(expected(), rel=1e-12)


VECTORS = {
    "bare.csv": "1\n0.5\n3\n",
    "row.csv": "1,0.5,3\n",
    "index.csv": ",0\n0,1\n1,0.5\n2,3\n",
    "label.csv": "layer,width\na,1\nb,0.5\nc,3\n",
    "by_name.csv": "sd,mean,n\n1,4,5\n.5,5,6\n3,6,7\n",
    "by_side.csv": "q_sd,p_sd\n1,4\n.5,5\n3,6\n",
    "var.csv": "var\n1\n.25\n9\n",
}


@pytest.mark.parametrize("name", VECTORS)
def test_one_vector_of_a_table(tmp_path, name):
    (tmp_path / name).write_text(VECTORS[name])
    assert read_vector(str(tmp_path / name), "q_sd").tolist() == SD.tolist()


@pytest.mark.parametrize("array", [SD, SD[:, None], SD[None]])
def test_one_vector_of_an_array(tmp_path, array):
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", x=array)
    for name in ("x.npy", "x.npz"):
        assert read_vector(str(tmp_path / name), "p_mean").tolist() == SD.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer,n,x\na,1,1\nb,2,3\n", "columns layer, n, x, expected one named sd, var or logvar"),
        ("i,x\n0,NA\n1,2\n", "columns i, x, expected one named sd"),
        ("mean\n1\n", "columns mean, expected one named sd"),
        ("sd,var\n1,1\n", "columns sd, var, expected one of them"),
        ("sd,q_sd\n1,1\n", "columns sd, q_sd, expected one of them"),
        ("var\n1\n-1\n", "var: number 2 of 2 is -1, which gives no standard deviation"),
        ("logvar\n2000\n", "logvar: number 1 of 1 is 2000, which gives no"),
        ("1,2\n3,4\n", "shape (2, 2), expected one vector"),
    ],
)
def test_a_table_that_does_not_say_which_vector(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    assert words in refused("kl", "--q-mean", "1", "--q-sd", str(tmp_path / "x.csv"), *P)


def test_every_command_reads_files(tmp_path):
    q = write(tmp_path, "table.parquet")
    assert mckl("advise", "--q", q, *P).exit_code == 0
    assert mckl("estimate", "--q", q, *P, "-t", "0.1").exit_code == 0


BAD = {
    "pickle.npy": (pickle.dumps([1, 2]), "not a readable .npy file"),
    "empty.npy": (b"", "not a readable .npy file"),
    "text.npy": (b"1,2\n", "not a readable .npy file"),
    "text.npz": (b"mean", "not a readable .npz file"),
    "empty.csv": (b"", "no numbers"),
    "words.csv": (b"mean,sd\n1,a\n", "could not convert string 'a'"),
    "hole.csv": (b"mean,sd\n1,2\n3,\n", "could not convert string ''"),
    "ragged.csv": (b"mean,sd\n1,2\n3\n", "more or fewer cells than the 2 names"),
    "late.csv": (b"mean,sd\n" + b"1,2\n" * 1500 + b"1,2,3\n", "cells than the 2 names"),
    "long.csv": (b"1,2\n3,4\n5,6,7\n", "more or fewer cells than the first row"),
    "names.csv": (b"mu,sigma\n1,2\n", "columns mu, sigma, expected one named mean and one named"),
    "twice.csv": (b"mean,sd,Mean\n1,2,3\n", "columns mean, mean, expected one of them"),
    "both.csv": (b"mean,sd,logvar\n1,2,3\n", "columns sd, logvar, expected one of them"),
    "three.csv": (b"1,2,3\n4,5,6\n", "shape (2, 3), expected (D, 2)"),
    "square.csv": (b"1,2\n4,5\n", "2 x 2 numbers without names"),
    "one.csv": (b"1\n2\n", "shape (2, 1), expected (D, 2)"),
    "header.csv": (b"mean,sd\n", "no numbers"),
    "latin.csv": (b"mean,sd\n1,\xff\n", "could not convert string"),
    "text.parquet": (b"PAR1 no", "not a readable .parquet file"),
    "infinite.csv": (
        b"mean,sd\ninf,1\n",
        "infinite.csv: normal: mean inf, expected a finite number",
    ),
    "negative.csv": (
        b"mean,sd\n1,1\n1,-2\n",
        "negative.csv: normal: sd -2 (number 2 of 2), expected a number above 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_one_line(tmp_path, name):
    content, text = BAD[name]
    (tmp_path / name).write_bytes(content)
    line = refused("kl", "--q", str(tmp_path / name), *P)
    assert name in line
    assert text in line


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((2, 5)), "shape (2, 5), expected (D, 2)"),
        (np.zeros((2, 2)), "2 x 2 numbers without names"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2), expected (D, 2)"),
        (np.zeros(0), "no numbers"),
        (np.zeros((0, 2)), "no numbers"),
        (np.array(["a", "b"]), "expected numbers"),
        (np.array([1j, 2]), "expected numbers"),
        (np.array([True, False]), "expected numbers"),
        (np.array([{}, None], dtype=object), "expected numbers"),
        (np.zeros(3), "shape (3,), expected (D, 2)"),
    ],
)
def test_bad_arrays_are_one_line(tmp_path, array, text):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert text in refused("kl", "--q", str(tmp_path / "x.npy"), *P)


def test_an_archive_a_folder_and_a_cut_file(tmp_path):
    np.savez(tmp_path / "z.npz", MEAN)
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    assert "not a readable .npy file" in refused("kl", "--q", str(tmp_path / "z.npy"), *P)
    (tmp_path / "d.csv").mkdir()
    assert "not a regular file" in refused("kl", "--q", str(tmp_path / "d.csv"), *P)
    for name in ("columns.npy", "encoder.npz", "table.parquet"):
        whole = (tmp_path / write(tmp_path, name)).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
        assert "not a readable" in refused("kl", "--q", str(tmp_path / name), *P)


def header(shape, kind="<f8"):
    """The start of an .npy file that claims an array of this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def test_a_header_that_lies_takes_no_memory(tmp_path):
    (tmp_path / "x.npy").write_bytes(header((10**15,)) + b"\0" * 64)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("mean.npy", header((10**15,)) + b"\0" * 64)
    for name, words in (("x.npy", "1e+15 numbers take"), ("x.npz", "another size than its header")):
        assert words in refused("kl", "--q-mean", str(tmp_path / name), "--q-sd", "1", *P)


def test_a_header_longer_than_any_array_needs_takes_no_memory(tmp_path):
    long = b"\x93NUMPY\x02\x00" + (2**25).to_bytes(4, "little") + b" " * 2**25
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean.npy", long)
    tracemalloc.start()
    line = refused("kl", "--q-mean", str(tmp_path / "x.npz"), "--q-sd", "1", *P)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "not a readable .npz file" in line
    assert peak < 2**22


def test_what_exceeds_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "x.npy").open("wb") as file:  # a hole that takes no room on the disk
        file.write(header((10**12,), "|i1"))
        file.truncate(file.tell() + 10**12)
    pq.write_table(
        pa.table({"mean": np.zeros(10**6), "sd": np.ones(10**6)}), tmp_path / "x.parquet"
    )
    assert (tmp_path / "x.parquet").stat().st_size < 10**4
    np.savez_compressed(tmp_path / "x.npz", mean=np.zeros(10**6), sd=np.ones(10**6))
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**14}.get)
    monkeypatch.setattr(pq.ParquetFile, "read", pytest.fail)
    for name, words in (("x.npy", "1e+12 numbers take 1e+05 GB"), ("x.parquet", "2e+06 numbers"),
                        ("x.npz", "2e+06 numbers")):  # fmt: skip
        line = refused("kl", "--q", str(tmp_path / name), *P)
        assert words in line
        assert "and this machine has 0.0671" in line


def test_sizes_are_checked_over_files(tmp_path):
    q = write(tmp_path, "bare.csv")
    line = refused("kl", "--q", q, "--p-mean", "0,1", "--p-sd", "1")
    assert "q has 3 coordinates and p has 2, expected the same number" in line
    assert "expected one of them" in refused("kl", "--q", q, "--q-sd", "1", *P)


fuzz = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)  # fmt: skip


@fuzz
@given(st.data())
def test_a_damaged_byte_is_read_or_refused(tmp_path, data):
    name = data.draw(st.sampled_from(["columns.npy", "named.npy", "table.parquet", "named.csv"]))
    path = tmp_path / name
    write(tmp_path, name)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    done = mckl("kl", "--q", str(path), *P, "--json")
    assert done.exit_code in (0, 2)
    if done.exit_code == 0:
        json.loads(done.stdout)
    else:
        assert done.stderr.count("\n") == 1


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def parquet(columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


@st.composite
def sound_files(draw):
    """Means and standard deviations, and a file that holds them: (suffix, bytes, numbers)."""
    kind = draw(st.sampled_from([np.float64, np.float32, np.int16]))
    numbers = st.integers(1, 99) if kind is np.int16 else st.floats(-(2.0**99), 2.0**99, width=32)
    rows = draw(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=30))
    both = np.array(rows, dtype=kind)
    mean, sd = both.T
    layout = draw(
        st.sampled_from(["columns", "fields", "npz", "csv", "bare csv", "labels", "parquet"])
    )
    if layout == "columns":
        return ".npy", npy(draw(st.sampled_from([both, np.asfortranarray(both)]))), both
    if layout == "fields":
        array = np.zeros(len(both), dtype=[("SD ", ">f8"), ("mean", kind)])
        array["mean"], array["SD "] = mean, sd
        return ".npy", npy(array), both
    if layout == "npz":
        return ".npz", npz(sd=sd, mean=mean), both
    if layout == "parquet":
        return ".parquet", parquet({"sd": sd, "Mean": mean}), both
    if layout == "labels":
        labels = st.text("ab 1,é", max_size=3)
        lines = [f'"{draw(labels)}",{s!r},{m!r}\n' for m, s in both.tolist()]
        return ".csv", ("layer,sd,mean\n" + "".join(lines)).encode(), both
    start = draw(st.sampled_from(["", "\ufeff", "\n"]))
    names = "mean,sd\n" if layout == "csv" else ""
    text = "".join(f"{m!r},{s!r}\n" for m, s in both.tolist())
    return ".csv", (start + names + text).encode(), both


@st.composite
def damaged_files(draw):
    """A sound file with bytes changed, cut out, doubled or put in."""
    suffix, content, _ = draw(sound_files())
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        what = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        end = min(len(content), at + draw(st.integers(1, 20)))
        if what == "change" and at < len(content):
            content[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del content[at:end]
        elif what == "double":
            content[at:at] = content[at:end]
        else:
            content[at:at] = draw(st.binary(max_size=8))
    return suffix, bytes(content)


class Bomb:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


HUGE = st.sampled_from([10**9, 10**12, 10**15, 2**63 - 1, 2**63, 10**30, -1])
HOSTILE = st.one_of(
    st.tuples(
        st.sampled_from([".npy", ".npz", ".csv", ".parquet"]),
        st.sampled_from(
            [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00v\x00", b"mean,sd\n", b"1,2\n", b"PAR1"]
        ),
        st.binary(max_size=200),
    ).map(lambda parts: (parts[0], parts[1] + parts[2])),
    st.tuples(st.just(".csv"), st.text("0123456789.,-+e\n \"'=nai\t", max_size=80).map(str.encode)),
    st.tuples(
        st.just(".npy"),
        st.builds(
            lambda shape, kind, rest: header(tuple(shape), kind) + rest,
            st.lists(st.one_of(HUGE, st.integers(0, 3)), max_size=3),
            st.sampled_from(["<f8", "|i1", ">f2", "<c16", "|V0", "|S0", "<U9", "|b1", "<M8[s]"]),
            st.binary(max_size=64),
        ),
    ),
    st.tuples(
        st.just(".npy"),
        st.sampled_from(
            [
                npy(np.array([Bomb(), 1], dtype=object)),
                pickle.dumps(Bomb()),
                header((2**62,), "|V0"),
                header((1,), "|O") + pickle.dumps(Bomb()),
                npy(np.zeros(3, dtype=[("mean", "<f8", (2,)), ("sd", "<f8")])),
                npy(np.zeros(3, dtype=[("mean", "<f8", (2,))])),
                npy(np.array(["1", "2"])),
                npy(np.array([1, 2], dtype="M8[s]")),
            ]
        ),
    ),
    st.tuples(
        st.just(".npz"),
        st.sampled_from(
            [
                npz(mean=np.array([Bomb(), 1], dtype=object), sd=np.ones(2)),
                npz(mean=np.array(["1"]), sd=np.ones(1)),
                npz(mean=np.ones((2, 3)), sd=np.ones((2, 3))),
                npz(),
                npz(x=np.ones(2), y=np.ones(2)),
            ]
        ),
    ),
    st.tuples(
        st.just(".parquet"),
        st.sampled_from(
            [
                parquet({"mean": ["1", "2"], "sd": [1, 2]}),
                parquet({"mean": [1.0, None], "sd": [1, 2]}),
                parquet({"mean": [[1.0], [2.0]], "sd": [1, 2]}),
                parquet({"mean": [True, False], "sd": [1, 2]}),
                parquet({"mean": pa.array([1, 2], pa.timestamp("s")), "sd": [1, 2]}),
                parquet({}),
            ]
        ),
    ),
)


def plain_columns(path):
    """Each column of a file by the plainest reader there is, read when it is called."""
    if path.suffix == ".npy":
        array = np.load(path, allow_pickle=False)
        if array.dtype.names:
            return [array[name].tolist for name in array.dtype.names]
        if array.ndim > 2:  # shape (1, 3, 1) is a vector, too
            array = array.squeeze()
        return [column.tolist for column in np.atleast_2d(array.T)]
    if path.suffix == ".npz":
        arrays = np.load(path)
        return [lambda name=name: arrays[name].reshape(-1) for name in arrays]
    if path.suffix == ".parquet":
        names = pq.read_schema(path).names
        return [
            lambda name=name: pq.read_table(path, columns=[name])[0].to_pylist() for name in names
        ]
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig", "replace"))))
    rows = [row for row in rows if row]
    with contextlib.suppress(ValueError):
        [float(cell) for cell in rows[0]]
        rows.insert(0, [])
    return [partial(list, cells) for cells in zip(*rows[1:], strict=True)]


def plainly_read(path):
    """The columns of numbers; a column that is not asked for may have damage or other values."""
    columns = []
    for column in plain_columns(path):
        with contextlib.suppress(ValueError, TypeError, OSError):
            columns.append([float(x) for x in column()])
    return columns


READERS = (
    (lambda path: [read_vector(path, "q_mean")], slice(0, 1)),
    (lambda path: [read_vector(path, "p_sd")], slice(1, 2)),
    (lambda path: read_gaussian(path, "q"), slice(0, 2)),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("files", "mostly"), [(sound_files(), "read"), (damaged_files(), None), (HOSTILE, "refused")],
    ids=["sound", "damaged", "hostile"],
)  # fmt: skip
def test_any_file_is_read_or_refused_in_one_line(tmp_path, files, mostly):
    outcomes = {"read": 0, "refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @hypothesis.settings(fuzz, max_examples=500)
    @given(files)
    def one(drawn):
        suffix, content, *known = drawn
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        outcome = "refused"
        for read, those in READERS:
            try:
                columns = read(str(path))
            except UserError as error:
                line = str(error)
                assert line.startswith(f"{path}: ")
                assert line.isprintable()
                assert len(line) < len(str(path)) + 200
                continue
            outcome = "read"
            assert all(c.dtype == np.float64 and c.ndim == 1 and c.size for c in columns)
            if known and len(columns[0]) == len(known[0]):
                assert np.array_equal(np.stack(columns, axis=1), known[0][:, those])
            else:
                plain = plainly_read(path)
                plain.append([column[0] for column in plain])  # a row may be the vector, too
                assert all(c.tolist() in plain for c in columns if np.isfinite(c).all())
        outcomes[outcome] += 1

    one()
    assert sum(outcomes.values()) >= 400
    if mostly:
        assert outcomes[mostly] >= 300, outcomes
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000  # kB
