"""Files whose size, kind or content is not what their name, header or directory says."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .limits import limited, refused

P = ("--p-mean", "0", "--p-sd", "1")
GIGABYTE = 2**30


def header(shape: tuple[int, ...], kind: str = "<f8") -> bytes:
    """The start of an .npy file that claims an array of this shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def sparse(path: Path, start: bytes, size: int, end: bytes = b"") -> None:
    """A file with a hole, which takes no room on the disk."""
    with path.open("wb") as file:
        file.write(start)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(end)


def packed(path: Path, compression: int) -> None:
    """An .npz file with 128 MB of zeros behind the header of two numbers."""
    with zipfile.ZipFile(path, "w", compression) as archive, archive.open("mean.npy", "w") as file:
        file.write(header((2,)) + np.array([1.0, 2.0]).tobytes())
        for _ in range(8):
            file.write(bytes(2**24))


@pytest.mark.parametrize(
    ("compression", "words"),
    [
        (zipfile.ZIP_BZIP2, "'mean' is neither stored nor deflated"),
        (zipfile.ZIP_LZMA, "'mean' is neither stored nor deflated"),
        (zipfile.ZIP_DEFLATED, "'mean' has another size than its header says"),
    ],
    ids=["bzip2", "lzma", "deflated"],
)
def test_a_member_that_is_not_what_its_header_says(
    tmp_path: Path, compression: int, words: str
) -> None:
    packed(tmp_path / "x.npz", compression)
    assert (tmp_path / "x.npz").stat().st_size < 2**18
    assert words in refused("kl", "--q-mean", "x.npz", "--q-sd", "1", *P, folder=tmp_path)
    told = refused("estimate", "--log-q", "x.npz", "--log-p", "x.npz", folder=tmp_path)
    assert words in told


def test_a_directory_of_gigabytes(tmp_path: Path) -> None:
    size = 2 * GIGABYTE
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
    sparse(tmp_path / "x.npz", b"", size, end)
    told = refused("kl", "--q", "x.npz", *P, folder=tmp_path)
    assert "its directory takes 2.15e+09 bytes" in told
    assert "its directory" in refused("estimate", "--table", "x.npz", folder=tmp_path)


def test_headers_that_claim_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "shape.npy").write_bytes(header((10**12,)) + bytes(64))
    sparse(tmp_path / "long.npy", b"\x93NUMPY\2\0" + struct.pack("<L", 2**32 - 1), 8 * GIGABYTE)
    sparse(tmp_path / "wide.npy", header((1,), "<U500000000"), 4 * GIGABYTE)
    (tmp_path / "none.npy").write_bytes(header((2**62,), "|V0"))
    for name in ("shape.npy", "long.npy", "wide.npy", "none.npy"):
        assert name in refused("kl", "--q-mean", name, "--q-sd", "1", *P, folder=tmp_path)
        told = refused("estimate", "--log-q", name, "--log-p", name, folder=tmp_path)
        assert name in told


def test_a_csv_file_with_a_hole(tmp_path: Path) -> None:
    sparse(tmp_path / "x.csv", b"log_q,log_p\n-1,-1\n", 4 * GIGABYTE)
    told = refused("estimate", "--table", "x.csv", folder=tmp_path)
    assert "a row has 1,048,576 characters or more" in told
    sparse(tmp_path / "vast.csv", b"1\n", 2**42)
    assert "GB of memory" in refused(
        "kl", "--q-mean", "vast.csv", "--q-sd", "1", *P, folder=tmp_path
    )


def test_long_rows_of_a_csv_file_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / "x.csv").open("w") as file:
        file.write("log_q,log_p,comment\n")
        for i in range(600):
            file.write(f"{-1 - i % 3},-2,{'x' * 1_000_000}\n")
    words = ("-m", "mckl", "estimate", "--table", "x.csv", "--json")
    done = limited(*words, folder=tmp_path, memory=600_000_000)
    assert b'"units": 600' in done.stdout, done.stderr


def test_a_text_that_every_row_repeats(tmp_path: Path) -> None:
    rows = 2**17
    one = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 2**20])
    )
    zero = np.zeros(rows)
    table = pa.table({"log_q": zero, "log_p": zero, "sequence": one})
    pq.write_table(table, tmp_path / "x.parquet", store_schema=False, compression="zstd")
    assert (tmp_path / "x.parquet").stat().st_size < 10_000  # for 137 GB
    done = limited("-m", "mckl", "estimate", "--table", "x.parquet", "--json", folder=tmp_path)
    assert b'"units": 1,' in done.stdout, done.stderr


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_long_ids_are_read_a_few_at_a_time(tmp_path: Path, save: Callable[..., None]) -> None:
    rows = 300
    ids = np.array([f"{'x' * 50_000}{i // 2}" for i in range(rows)])  # 60 MB
    half = np.full(rows, -0.5)
    save(tmp_path / "x.npz", log_q=half, log_p=half, sequence=ids)
    done = limited("-m", "mckl", "estimate", "--table", "x.npz", "--json", folder=tmp_path)
    assert b'"units": 150' in done.stdout, done.stderr


def test_ids_that_are_lists_or_too_long(tmp_path: Path) -> None:
    both = {"log_q": [0.0, 0.0], "log_p": [0.0, 0.0]}
    pq.write_table(pa.table({**both, "sequence": [[1], [2]]}), tmp_path / "x.parquet")
    told = refused("estimate", "--table", "x.parquet", folder=tmp_path)
    assert "lists or rows of several values, and log_q has neither" in told
    for last in ("a", "b"):
        (tmp_path / "x.csv").write_text(f"log_q,log_p,sequence\n0,0,{'x' * 128}{last}\n")
        told = refused("estimate", "--table", "x.csv", folder=tmp_path)
        assert "an id of 128 characters or more" in told


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "socketless link"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    for name in ("x.csv", "x.npy", "x.txt", "manifest.json"):
        if kind == "pipe":
            os.mkfifo(tmp_path / name)
        elif kind == "device":
            (tmp_path / name).symlink_to("/dev/zero")
        elif kind == "folder":
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).symlink_to(tmp_path / "nothing")
    text = "{family: policy, dimension: 2, text: x.txt}"
    for words in (
        ("kl", "--q-mean", "x.csv", "--q-sd", "1", *P),
        ("kl", "--q", "{mean: x.npy, sd: 1}", "--p", "{mean: 0, sd: 1}"),
        ("kl", "--q", text, "--p", text),
        ("estimate", "--log-q", "x.npy", "--log-p", "x.csv"),
        ("verify", "."),
        ("verify", ".", "--against", "manifest.json"),
    ):
        told = refused(*words, folder=tmp_path)
        assert ("no such file" if "link" in kind else "not a regular file") in told


def test_a_text_and_a_manifest_that_are_too_large(tmp_path: Path) -> None:
    sparse(tmp_path / "x.txt", b"ab", 10**11)
    sparse(tmp_path / "manifest.json", b"{}", 10**11)
    text = "{family: policy, dimension: 2, text: x.txt}"
    for words in (("kl", "--q", text, "--p", text), ("verify", ".")):
        told = refused(*words, folder=tmp_path)
        assert "a larger file than expected, at most 17 MB" in told


def test_names_that_no_file_has(tmp_path: Path) -> None:
    for name in ("x" * 5000, "a\0b", "x " * 2500):
        side = f'{{mean: "{name.replace(chr(0), chr(92) + "0")}.csv", sd: 1}}'
        assert "no such file" in refused("kl", "--q", side, "--p", side, folder=tmp_path)
    told = refused("estimate", "--table", "x" * 5000 + ".csv", folder=tmp_path)
    assert "no such file" in told
    assert "no such file" in refused("verify", "x" * 5000, folder=tmp_path)
