"""Tables: the contract's columns, complete files or none, and messages about damage."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mckl.errors import UserError
from mckl.record import tables
from mckl.record.manifest import digest, manifest
from mckl.study.settings import case_setting, grid_setting
from mckl.study.theory_table import setting_rows

CONTRACT = {
    "settings": "setting case dimension scale offset kl reverse_kl log_ratio_variance "
    "log_ratio_skewness log_ratio_excess_kurtosis k3_variance_finite",
    "theory": "setting sampler estimator samples exact_bias exact_variance exact_mse theory",
    "traces": "setting backend sampler estimator replicate samples estimate std_error",
    "summary": "setting backend sampler estimator samples dimension scale offset kl replicates "
    "mean bias variance mse rmse relative_rmse ci_coverage exact_bias exact_variance exact_mse",
    "verification": "setting backend sampler estimator samples quantity measured exact z p_value "
    "passed",
    "formulas": "setting library version formula used_as source exact_mean exact_bias "
    "exact_variance kl relative_bias cosine",
}
NOTEBOOK = case_setting(
    "notebook", {"q": {"mean": [1.0, 4.0], "sd": 1.0}, "p": {"mean": [-3.0, 2.0], "sd": 2.5}}
)


def trace_table(rows=16):
    return {
        "setting": [f"d{k % 3}" for k in range(rows)], "backend": ["numpy"] * rows,
        "sampler": ["iid"] * rows, "estimator": ["k1"] * rows, "replicate": list(range(rows)),
        "samples": list(range(rows)), "estimate": [k / 7 for k in range(rows)],
        "std_error": [float("nan")] * rows,
    }  # fmt: skip


@pytest.mark.parametrize("name", CONTRACT)
def test_every_column_of_the_contract_is_there(name):
    columns = tables.SCHEMAS[name].names
    assert set(CONTRACT[name].split()) <= set(columns)
    assert len(columns) == len(set(columns))
    for field in tables.SCHEMAS[name]:
        assert field.metadata[b"description"]
        if name not in tables.CONSTANT:
            assert f"`{field.name}`" in tables.data_dictionary()


def test_flags_in_an_array_are_what_they_were():
    columns = setting_rows([grid_setting(2, scale, 0.0) for scale in (1.0, 2.0, 1.0)])
    flags = np.array(columns["k3_variance_finite"])
    table = tables.table("settings", {**columns, "k3_variance_finite": flags})
    assert table["k3_variance_finite"].to_pylist() == [True, False, True]


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "settings.parquet"
    columns = setting_rows([grid_setting(16, 1.25, 0.25), grid_setting(1, 1.0, 0.0), NOTEBOOK])
    tables.write("settings", path, columns, {"a": [1, "x"]})
    assert tables.manifest_of(path) == {"a": [1, "x"]}
    frame = pd.read_parquet(path)
    assert frame["setting"].tolist() == ["d16-s1.25-o0.25", "d1-s1-o0", "notebook"]
    assert frame["case"].isna().tolist() == [True, True, False]
    assert frame["scale"].isna().tolist() == [False, False, True]
    assert frame["kl"].tolist() == columns["kl"]
    assert frame["reverse_kl"][2] == pytest.approx(15.25 - np.log(6.25), rel=1e-15)
    assert frame["log_ratio_variance"][2] == pytest.approx(1.2176, rel=1e-14)
    assert frame["log_ratio_skewness"][2] == pytest.approx(-1.8426037, abs=5e-8)
    assert frame["log_ratio_excess_kurtosis"][2] == pytest.approx(4.9390818, abs=5e-8)
    assert frame["k3_variance_finite"].tolist() == [True, True, False]
    table = tables.read("settings", path)
    assert table.schema.equals(tables.SCHEMAS["settings"])
    assert table["case"].null_count == 2  # null
    assert table["log_ratio_skewness"].null_count == 0  # NaN, since V is 0
    assert np.isnan(table["log_ratio_skewness"].to_numpy()[1])
    assert pq.ParquetFile(path).metadata.row_group(0).column(5).compression == "ZSTD"


def test_infinity_and_nan_are_values(tmp_path):
    path = tmp_path / "t.parquet"
    columns = trace_table(3) | {"estimate": [np.inf, -np.inf, np.nan]}
    tables.write("traces", path, columns, {})
    got = tables.read("traces", path)["estimate"]
    assert got.null_count == 0
    np.testing.assert_array_equal(got.to_numpy(), [np.inf, -np.inf, np.nan])


def test_a_missing_column_is_an_error(tmp_path):
    columns = trace_table()
    del columns["estimate"]
    with pytest.raises(KeyError, match="estimate"):
        tables.write("traces", tmp_path / "t.parquet", columns, {})
    assert list(tmp_path.iterdir()) == []


def fail_halfway(path, before):
    with tables.writer("traces", path, {}) as out:
        out.write_table(tables.table("traces", trace_table()))
        assert path.exists() == bool(before)
        raise RuntimeError("stop")


def test_nothing_appears_when_writing_fails(tmp_path):
    path = tmp_path / "t.parquet"
    for before in (None, b"what was there before"):
        if before:
            path.write_bytes(before)
        with pytest.raises(RuntimeError, match="stop"):
            fail_halfway(path, before)
        assert [p.name for p in tmp_path.iterdir()] == (["t.parquet"] if before else [])
        if before:
            assert path.read_bytes() == before


def test_who_reads_the_old_table_reads_it_to_its_end(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("traces", path, trace_table(16), {})
    old = path.read_bytes()
    with path.open("rb") as reader:
        tables.write("traces", path, trace_table(3), {})
        assert reader.read() == old
    assert tables.read("traces", path).num_rows == 3


def test_row_groups_come_one_at_a_time(tmp_path):
    path = tmp_path / "t.parquet"
    with tables.writer("traces", path, {}) as out:
        for rows in (2, 5):
            out.write_table(tables.table("traces", trace_table(rows)))
    assert [group.num_rows for group in tables.row_groups("traces", path)] == [2, 5]
    assert tables.read("traces", path).num_rows == 7
    joined = tables.concatenate("traces", [trace_table(2), trace_table(5)])
    assert joined["setting"].num_chunks == 1
    assert joined.to_pandas().equals(tables.read("traces", path).to_pandas())


def test_the_same_columns_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        tables.write("traces", tmp_path / name, trace_table(), manifest({"seed": 1}))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def refused(path):
    with pytest.raises(UserError) as caught:
        tables.read("traces", path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_truncated_files_are_told(tmp_path):
    path = tmp_path / "traces.parquet"
    tables.write("traces", path, trace_table(), {})
    whole = path.read_bytes()
    for length in (0, 3, 4, 100, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "delete it and run again" in refused(path)
    path.write_text("not a table\n" * 50)
    refused(path)
    path.unlink()
    refused(path)


def test_damage_to_the_metadata_is_told(tmp_path):
    path = tmp_path / "traces.parquet"
    with tables.writer("traces", path, {"seed": 1}) as out:
        out.write_table(tables.table("traces", trace_table()))
        tables.record_gaps(out, [{"setting": "a", "sample": 3}])
    assert tables.manifest_of(path) == {"seed": 1}
    assert tables.recorded_gaps(path) == [{"setting": "a", "sample": 3}]
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole.replace(b'{"seed": 1}', b'{"seed", 1}'), b""):
        path.write_bytes(damaged)
        with pytest.raises(
            UserError, match=r"traces\.parquet is damaged .* delete it and run again"
        ):
            tables.manifest_of(path)


def test_who_writes_last_takes_over(tmp_path):
    path, other = tmp_path / "a.parquet", tmp_path / ".a.parquet.b.parquet.0123456789ab.tmp"
    other.touch()  # of the table a.parquet.b
    first = tables.replacing(path)
    first.__enter__().write_text("first")
    tables.write("traces", path, trace_table(), {})
    assert sorted(tmp_path.iterdir()) == [other, path]
    with pytest.raises(FileNotFoundError):
        first.__exit__(None, None, None)
    assert tables.read("traces", path).num_rows == 16


def test_another_table_is_told(tmp_path):
    path = tmp_path / "traces.parquet"
    tables.write("settings", path, setting_rows([NOTEBOOK]), {})
    assert "lacks backend" in refused(path)


def test_a_flipped_bit_never_changes_what_is_read(tmp_path):
    path = tmp_path / "traces.parquet"
    tables.write("traces", path, trace_table(), {"seed": 1})
    whole, good = path.read_bytes(), tables.read("traces", path).to_pandas()
    told = 0
    # every 17th bit: in turn each of the eight of a byte
    for bit in range(0, 8 * len(whole), 17):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        got, message = None, ""
        try:
            got = tables.read("traces", path)
        except UserError as error:
            message = str(error)
        if got is None:
            assert str(path) in message
            told += 1
            continue
        assert got.schema.equals(tables.SCHEMAS["traces"])
        pd.testing.assert_frame_equal(got.to_pandas(), good)
    assert told > len(whole) * 8 / 17 / 2


def test_keys_are_dictionaries_that_pandas_reads_as_text(tmp_path):
    path = tmp_path / "t.parquet"
    tables.write("traces", path, trace_table(), {})
    assert pa.types.is_dictionary(tables.read("traces", path).schema.field("setting").type)
    assert (pd.read_parquet(path)["setting"] == "d1").sum() == 5


def test_the_manifest_says_who_wrote_from_what():
    one = manifest({"seed": 1, "samples": 2})
    assert json.loads(json.dumps(one)) == one
    assert one == manifest({"samples": 2, "seed": 1})
    assert one["config_digest"] != manifest({"seed": 2, "samples": 2})["config_digest"]
    assert one["packages"]["numpy"] == np.__version__
    assert {"git_commit", "python", "host", "mckl"} <= set(one)
    assert digest([1, 2]) != digest([2, 1])
