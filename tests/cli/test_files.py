"""Vectors from files: every format, every kind of damage, and whatever bytes there may be."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pickle
import resource

import hypothesis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mckl.cli.vectors import read_gaussian, read_vector
from mckl.errors import UserError

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
    elif name == "table.parquet":
        pq.write_table(
            pa.table({"sd": SD, "mean": MEAN.astype(np.float32), "other": [1, 2, 3]}), path
        )
    return str(path)


@pytest.mark.parametrize(
    "name",
    ["columns.npy", "single.npy", "named.npy", "named.csv", "bare.csv", "table.parquet"],
)
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
    (tmp_path / "bare.csv").write_text("\n".join(map(str, SD)))
    assert read_vector(str(tmp_path / "bare.csv")).tolist() == SD.tolist()


def test_every_command_reads_files(tmp_path):
    q = write(tmp_path, "table.parquet")
    assert mckl("advise", "--q", q, *P).exit_code == 0
    assert mckl("estimate", "--q", q, *P, "-t", "0.1").exit_code == 0


BAD = {
    "pickle.npy": (pickle.dumps([1, 2]), "not a readable .npy file"),
    "empty.npy": (b"", "not a readable .npy file"),
    "text.npy": (b"1,2\n", "not a readable .npy file"),
    "empty.csv": (b"", "not a readable .csv file"),
    "words.csv": (b"mean,sd\n1,a\n", "column 'sd' is not all numbers"),
    "hole.csv": (b"mean,sd\n1,2\n3,\n", "column 'sd' has empty cells"),
    "ragged.csv": (b"mean,sd\n1,2\n3\n", "not a readable .csv file"),
    "names.csv": (b"mu,sigma\n1,2\n", "columns mu, sigma, expected one 'mean' and one 'sd'"),
    "twice.csv": (b"mean,sd,Mean\n1,2,3\n", "expected one 'mean' and one 'sd'"),
    "three.csv": (b"1,2,3\n4,5,6\n", "3 columns, expected two"),
    "one.csv": (b"1\n2\n", "1 columns, expected two"),
    "header.csv": (b"mean,sd\n", "column 'mean' is not all numbers"),
    "latin.csv": (b"mean,sd\n1,\xff\n", "not all numbers"),
    "text.parquet": (b"PAR1 no", "not a readable .parquet file"),
    "infinite.csv": (b"mean,sd\ninf,1\n", "means: number 1 is inf, not finite"),
    "negative.csv": (b"mean,sd\n1,1\n1,-2\n", "sds: number 2 is -2, not finite and greater"),
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
        (np.zeros((2, 5)), "expected one row a coordinate"),
        (np.zeros((2, 2, 2)), "expected one axis, or two columns"),
        (np.zeros(0), "no numbers"),
        (np.zeros((0, 2)), "no numbers"),
        (np.array(["a", "b"]), "expected real ones"),
        (np.array([1j, 2]), "expected real ones"),
        (np.array([True, False]), "expected real ones"),
        (np.array([{}, None], dtype=object), "not a readable .npy file"),
        (np.zeros(3), "1 columns, expected two"),
    ],
)
def test_bad_arrays_are_one_line(tmp_path, array, text):
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert text in refused("kl", "--q", str(tmp_path / "x.npy"), *P)


def test_an_archive_a_folder_and_a_cut_file(tmp_path):
    np.savez(tmp_path / "z.npz", MEAN)
    (tmp_path / "z.npz").rename(tmp_path / "z.npy")
    assert "archive" in refused("kl", "--q", str(tmp_path / "z.npy"), *P)
    (tmp_path / "d.csv").mkdir()
    assert "no such file" in refused("kl", "--q", str(tmp_path / "d.csv"), *P)
    for name in ("columns.npy", "table.parquet"):
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
    assert "not a readable" in refused("kl", "--q-mean", str(tmp_path / "x.npy"), "--q-sd", "1", *P)


def test_what_exceeds_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    with (tmp_path / "x.npy").open("wb") as file:  # a hole that takes no room on the disk
        file.write(header((10**12,), "|i1"))
        file.truncate(file.tell() + 10**12)
    pq.write_table(
        pa.table({"mean": np.zeros(10**6), "sd": np.ones(10**6)}), tmp_path / "x.parquet"
    )
    assert (tmp_path / "x.parquet").stat().st_size < 10**4
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**14}.get)
    monkeypatch.setattr(pq.ParquetFile, "read", pytest.fail)
    for name, words in (("x.npy", "1e+12 numbers take 1e+05 GB"), ("x.parquet", "2e+06 numbers")):
        line = refused("kl", "--q", str(tmp_path / name), *P)
        assert words in line
        assert "and there are 0.0671" in line


def test_sizes_are_checked_over_files(tmp_path):
    q = write(tmp_path, "bare.csv")
    assert "2 numbers, expected 1 or 3" in refused("kl", "--q", q, "--p-mean", "0,1", "--p-sd", "1")
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
    layout = draw(st.sampled_from(["columns", "fields", "csv", "bare csv", "parquet"]))
    if layout == "columns":
        return ".npy", npy(draw(st.sampled_from([both, np.asfortranarray(both)]))), both
    if layout == "fields":
        array = np.zeros(len(both), dtype=[("SD ", ">f8"), ("mean", kind)])
        array["mean"], array["SD "] = mean, sd
        return ".npy", npy(array), both
    if layout == "parquet":
        return ".parquet", parquet({"sd": sd, "Mean": mean}), both
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
    """What unpickling would do."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


HUGE = st.sampled_from([10**9, 10**12, 10**15, 2**63 - 1, 2**63, 10**30, -1])
HOSTILE = st.one_of(
    st.tuples(
        st.sampled_from([".npy", ".csv", ".parquet"]),
        st.sampled_from([b"", b"\x93NUMPY\x01\x00v\x00", b"mean,sd\n", b"1,2\n", b"PAR1"]),
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
                header((1,), "|O") + pickle.dumps(Bomb()),
                npy(np.zeros(3, dtype=[("mean", "<f8", (2,)), ("sd", "<f8")])),
                npy(np.zeros(3, dtype=[("mean", "<f8", (2,))])),
                npy(np.array(["1", "2"])),
                npy(np.array([1, 2], dtype="M8[s]")),
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


def plainly_read(path):
    """The columns of a file by the plainest reader there is, without names."""
    if path.suffix == ".npy":
        array = np.load(path, allow_pickle=False)
        if array.dtype.names:
            return [array[name].tolist() for name in array.dtype.names]
        return np.atleast_2d(array.T).tolist()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        return [column.to_pylist() for column in table.columns]
    rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig", "replace"))))
    rows = [row for row in rows if row]
    with contextlib.suppress(ValueError):
        [float(cell) for cell in rows[0]]
        rows.insert(0, [])
    return [[float(cell) for cell in column] for column in zip(*rows[1:], strict=True)]


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
        for read in (read_vector, read_gaussian):
            try:
                got = read(str(path))
            except UserError as error:
                line = str(error)
                assert line.startswith(f"{path}: ")
                assert line.isprintable()
                assert len(line) < len(str(path)) + 200
                continue
            outcome = "read"
            columns = [got] if read is read_vector else list(got)
            assert all(c.dtype == np.float64 and c.ndim == 1 and c.size for c in columns)
            if known:
                assert np.array_equal(np.stack(columns, axis=1), known[0])
            else:
                plain = [[float(x) for x in column] for column in plainly_read(path)]
                assert all(c.tolist() in plain for c in columns if np.isfinite(c).all())
        outcomes[outcome] += 1

    one()
    assert sum(outcomes.values()) >= 400
    if mostly:
        assert outcomes[mostly] >= 300, outcomes
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000  # kB
