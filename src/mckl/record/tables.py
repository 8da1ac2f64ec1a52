"""The results contract: the columns of every table, and how tables are written and read.

Tables are Parquet with zstd, page checksums and the run's manifest in their metadata. A table is
written under another name and then renamed, so that a table with its own name is complete.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mckl.errors import UserError
from mckl.record.columns import BYTES_PER_NUMBER, check_memory

MANIFEST_KEY = b"mckl"
_GAPS_KEY = b"mckl.study.gaps"

_KEY = pa.dictionary(pa.int32(), pa.string())
_DESCRIPTIONS: Mapping[pa.DataType, Mapping[str, str]] = {
    _KEY: {
        "setting": "name of the setting, such as d16-s1.25-o0.25, or of the case",
        "case": "name of the case; null for a cell of the sweep",
        "family": "family of q and p, such as student-t(5), or q|p where they differ",
        "backend": "library that drew the numbers and evaluated l",
        "sampler": "how the points are placed",
        "estimator": "estimator of KL; in rows about gradients, the gradient method; in those "
        "about off-policy samples with the weight and the lag",
        "method": "gradient estimator, such as k3-loss",
        "weight": "weight of samples of s, such as token-truncated (theory.md, section 12)",
        "quantity": "quantity that is compared: mean, variance, median_square, std_error, "
        "skewness, coverage, repeats, copied (cells whose theory is not that of theory.parquet), "
        "registered_kl, gradient_mean, gradient_variance, off_policy_mean, "
        "off_policy_variance, or a column of settings, theory, "
        "summary or budget that is computed in a second way",
        "theory": "exact, asymptotic (leading order in samples) or none (variance not known)",
        "reason": "why a theoretical value is infinite or missing; null otherwise",
        "problem": "training problem: token (three categories) or normal (one dimension)",
        "test": "gamma (matched tail), chebyshev, bennett, chernoff, nonnegative, median or "
        "self-normalised (bounds for any law), fisher (of a correlation), rounding (equal to "
        "rounding) or none",
        "distribution": "q or p, from which the point was drawn",
        "verdict": "ok, or why the tolerance is not reached",
        "job": "estimation job, as backend/chunk",
        "diagnostic": "diagnostic that speaks against the interval (diagnostics.md)",
        "library": "library that computes a KL of policies; null: none does",
        "version": "version of the library that was read; its date is in source",
        "formula": "the library's function of a token's l: k1, k2, k3, and clamps",
        "used_as": "metric (logged), reward (subtracted from rewards or advantages) or loss",
        "averaged": "how the library averages over tokens and sequences",
        "differentiated": "quantity whose gradient a loss uses: value; value and ratio (the value "
        "times q / q, whose gradient is the score), also with clamps of that product; k2; value "
        "in p; nothing",
    },
    pa.string(): {
        "parameters": "q and p of a case, and its s, as JSON; arrays of more than 64 numbers as "
        "shape and SHA-256; null for a cell of the sweep",
        "source": "repository or package, version, commit, date, file and lines",
        "note": "further facts; null if there are none",
    },
    pa.int32(): {
        "replicate": "index of the independent repetition, from 0",
        "replicates": "number of independent repetitions",
        "run": "index of the run of gradient descent, from 0",
        "step": "steps of gradient descent so far",
        "repeats": "number of traces with this backend and sampler that equal another trace of "
        "the setting bit by bit",
        "runs": "independent runs, each judged from its own samples alone",
        "given": "runs whose 95 % interval passes all diagnostics",
        "covered_given": "runs among given whose interval contains kl",
        "withheld": "runs whose interval is withheld",
        "covered_withheld": "runs among withheld whose Student's interval contains kl",
        "alarms": "runs in which the diagnostic speaks against the interval",
        "alarms_covered": "runs among alarms whose Student's interval contains kl",
    },
    pa.int64(): {
        "sample": "index of the first sample whose l is not finite, from 0",
        "samples": "evaluations of l spent so far",
        "dimension": "number of factors: coordinates D; 1 for a categorical or Dirichlet law; "
        "tokens of a policy",
        "parameter_count": "number of parameters theta of q",
        "samples_needed": "fewest samples, in whole units, with an exact RMSE of at most "
        "tolerance * kl, or for a gradient 0.1 * gradient_norm; null: none",
        "samples_needed_measured": "samples from which on the measured RMSE is at most that, "
        "interpolated; null: not reached",
        "samples_needed_low": "lower end of the former's 95 % interval; null: none",
        "samples_needed_high": "upper end of that interval; null: beyond the study's samples",
    },
    pa.float64(): {
        "lag": "how far the law s of the samples lags behind q (theory.md, section 12); 0: s is "
        "q; null: a case's own s",
        "scale": "sigma_p / sigma_q, or as in theory.md; null for a case",
        "offset": "(mu_q - mu_p) / sigma_q, or as in theory.md; null for a case",
        "kl": "KL(q||p) by exact theory, nats",
        "reverse_kl": "KL(p||q) by exact theory, nats; NaN beyond float64",
        "log_ratio_variance": "variance V of l under q, nats^2",
        "log_ratio_skewness": "skewness of l under q; NaN where V is 0",
        "log_ratio_excess_kurtosis": "excess kurtosis of l under q; NaN where V is 0",
        "kl_relative_error": "bound on the relative error of kl, at most 1e-8",
        "reverse_kl_relative_error": "bound on the relative error of reverse_kl; 0 where that is "
        "infinite",
        "log_ratio_variance_relative_error": "bound on the relative error of log_ratio_variance, "
        "at most 1e-8",
        "relative_error": "largest bound on the error of the row's theoretical values, at most "
        "1e-6: relative to the variance, for the bias to the RMSE of one sample, for skewness and "
        "kurtosis to the value or 1; what is not known does not count, nor what follows a leading "
        "order",
        "exact_bias": "theoretical bias of the estimate, nats; NaN: not known",
        "exact_variance": "theoretical variance, nats^2; inf: infinite, NaN: not known",
        "exact_mse": "exact_bias^2 + exact_variance (asymptotic: exact_variance), nats^2",
        "exact_skewness": "theoretical skewness of the estimate",
        "exact_excess_kurtosis": "theoretical excess kurtosis of the estimate",
        "estimate": "running estimate of KL(q||p), nats",
        "std_error": "standard error of estimate from its own trace, nats; NaN: none",
        "mean": "mean of the estimates over replicates, nats",
        "bias": "mean - kl, nats",
        "variance": "sample variance of the estimates over replicates, nats^2",
        "mse": "mean squared error against kl over replicates, nats^2",
        "mse_std_error": "standard error of mse over replicates, nats^2",
        "rmse": "square root of mse, nats",
        "relative_rmse": "rmse / kl; for a gradient, root mean square norm of its error / "
        "gradient_norm; NaN where the divisor is 0",
        "gradient_norm": "Euclidean norm of the gradient of KL(q||p) in theta, nats",
        "mean_norm": "norm of the mean of the estimates over replicates, nats",
        "bias_norm": "norm of (mean of the estimates - the gradient), nats",
        "relative_bias": "bias_norm / gradient_norm; NaN where the gradient is 0",
        "cosine": "cosine of the angle between the mean of the estimates and the gradient; NaN "
        "where one of them is 0",
        "total_variance": "trace of the covariance of the estimates over replicates, nats^2",
        "exact_mean_norm": "theoretical mean_norm, nats; NaN: not known",
        "exact_bias_norm": "theoretical bias_norm, nats; NaN: not known",
        "exact_relative_bias": "theoretical relative_bias",
        "exact_cosine": "theoretical cosine",
        "exact_total_variance": "theoretical total_variance, nats^2; inf: infinite, NaN: not known",
        "exact_relative_rmse": "theoretical relative_rmse",
        "mean_measured": "mean of the estimates of the parameter with the largest error, nats",
        "mean_exact": "theoretical value of mean_measured, nats; NaN: not tested",
        "mean_spread": "exact standard deviation of mean_measured, nats",
        "mean_z": "(mean_measured - mean_exact) / mean_spread; in off-policy of mean, with the "
        "exact standard deviation",
        "mean_p_value": "bound on the two-sided p-value, over all parameters for a gradient; NaN: "
        "not tested",
        "variance_measured": "mean square norm of (estimate - its exact mean) over replicates, "
        "nats^2",
        "variance_exact": "theoretical value of variance_measured, nats^2",
        "variance_spread": "bound on the standard deviation of the former, nats^2",
        "variance_z": "(variance_measured - variance_exact) / variance_spread",
        "variance_p_value": "bound on the two-sided p-value, in off-policy on that of too large a "
        "variance; NaN where the fourth moment is infinite or not known, or not tested",
        "predicted_kl": "KL(q||p) after as many steps along the method's exact mean, nats; NaN: "
        "over 1,000",
        "ci_coverage": "share of replicates whose nominal 95 % t interval contains kl; NaN "
        "without std_error",
        "std_error_square": "mean of std_error^2 over replicates, nats^2; NaN without std_error",
        "std_error_square_error": "standard error of std_error_square, nats^2",
        "median_square": "median of (estimate - kl - exact_bias)^2 over replicates, nats^2; NaN "
        "without exact_bias",
        "std_error_correlation": "correlation of estimate and std_error^2 over replicates; NaN "
        "without std_error",
        "block_mean_square": "mean of (b - kl - exact_bias)^2 over replicates, where b is the "
        "mean of the samples since the previous checkpoint, nats^2; NaN unless the estimate is a "
        "mean of independent samples",
        "kl_integral": "KL(q||p) by quadrature of its definition, nats; NaN: not known",
        "log_ratio_variance_integral": "V by quadrature of its definition, nats^2; NaN: not "
        "known, or V is infinite",
        "reverse_kl_integral": "KL(p||q) by quadrature of its definition, nats; NaN: not known, "
        "or KL(p||q) is infinite",
        "log_ratio_skewness_integral": "log_ratio_skewness by quadrature of its definition; NaN: "
        "not known",
        "log_ratio_excess_kurtosis_integral": "log_ratio_excess_kurtosis by quadrature of its "
        "definition; NaN: not known",
        "chi_square_integral": "E_q r^2 - 1 by quadrature, or from a textbook's formula; NaN: not "
        "known, or infinite",
        "measured": "measured quantity, nats or nats^2; a ratio for setting all",
        "exact": "theoretical value of measured",
        "z": "(measured - exact) in standard deviations of the measured quantity; NaN: not known",
        "p_value": "two-sided p-value; an upper bound where test is a bound",
        "smallest_error": "least relative error (mean: relative to kl; coverage: lost share) that "
        "this row would have detected with probability 0.9; NaN: not known",
        "antithetic_variance": "theoretical variance of k1 over as many antithetic samples, "
        "nats^2; NaN: none",
        "z1": "first coordinate of a point",
        "z2": "second coordinate of a point",
        "log_density_ratio": "l = log q - log p at this sample, nats",
        "squared_error": "(estimate - kl)^2, nats^2",
        "tolerance": "largest relative RMSE allowed",
        "cpu_seconds": "CPU time of all threads, an equal share where settings share draws; for a "
        "whole job, with its start-up",
        "wall_seconds": "elapsed time",
        "max_rss": "largest resident memory of the job's process so far, MB",
        "estimates_per_cpu_second": "samples / cpu_seconds: evaluations of l",
        "terms": "size of the terms in the registered formula's sum, at least D",
        "registered_kl": "KL(q||p) as registered in TensorFlow Probability, nats",
        "registered_kl_float32": "the same in float32, nats",
        "exact_mean": "exact mean of the formula's sum over a sequence, nats",
        "clamped": "expected share of tokens whose value, or weight, a clamp changes",
        "measured_variance": "measured variance of one sequence's sum, nats^2",
    },
    pa.bool_(): {
        "k3_variance_finite": "whether E r^2 and E l^2 are finite; for normals, whether every "
        "sigma_q^2 / sigma_p^2 > 1/2",
        "passed": "whether p_value is at least the cell's share of the level 1e-6",
        "default": "whether the library computes this in this role by default",
    },
}  # fmt: skip
_COLUMNS: Mapping[str, tuple[pa.DataType, str]] = {
    name: (kind, text) for kind, texts in _DESCRIPTIONS.items() for name, text in texts.items()
}

_KEYS = ("setting", "backend", "sampler", "estimator")
_TABLES: Mapping[str, tuple[str, ...]] = {
    "settings": (
        "setting", "case", "family", "parameters", "dimension", "scale", "offset", "kl",
        "kl_integral", "reverse_kl", "reverse_kl_integral",
        "log_ratio_variance", "log_ratio_variance_integral", "log_ratio_skewness",
        "log_ratio_skewness_integral", "log_ratio_excess_kurtosis",
        "log_ratio_excess_kurtosis_integral", "chi_square_integral", "k3_variance_finite",
        "kl_relative_error", "reverse_kl_relative_error", "log_ratio_variance_relative_error",
    ),
    "theory": (
        "setting", "sampler", "estimator", "samples", "exact_bias", "exact_variance",
        "exact_mse", "theory", "reason", "exact_skewness", "exact_excess_kurtosis",
        "relative_error",
    ),
    "traces": (*_KEYS, "replicate", "samples", "estimate", "std_error"),
    "gaps": ("setting", "backend", "sampler", "replicate", "sample"),
    "summary": (
        *_KEYS, "samples", "family", "dimension", "scale", "offset", "kl", "replicates",
        "mean", "bias", "variance", "mse", "mse_std_error", "rmse", "relative_rmse", "ci_coverage",
        "exact_bias", "exact_variance", "exact_mse", "std_error_square", "std_error_square_error",
        "median_square", "std_error_correlation", "block_mean_square", "repeats",
    ),
    "verification": (
        *_KEYS, "samples", "quantity", "measured", "exact", "z", "p_value", "passed", "test",
        "smallest_error",
    ),
    "budget": (
        "setting", "sampler", "estimator", "tolerance", "samples_needed",
        "samples_needed_measured", "samples_needed_low", "samples_needed_high", "theory",
        "verdict",
    ),
    "intervals": (
        "setting", "estimator", "samples", "runs", "given", "covered_given", "withheld",
        "covered_withheld",
    ),
    "alarms": ("setting", "estimator", "samples", "diagnostic", "alarms", "alarms_covered"),
    "cost": (
        "job", "setting", "backend", "sampler", "cpu_seconds", "wall_seconds", "max_rss",
        "samples", "estimates_per_cpu_second",
    ),
    "gradients": (
        "setting", "method", "samples", "replicates", "parameter_count", "gradient_norm",
        "mean_norm", "bias_norm", "relative_bias", "cosine", "total_variance", "relative_rmse",
        "exact_mean_norm", "exact_bias_norm", "exact_relative_bias", "exact_cosine",
        "exact_total_variance", "exact_relative_rmse", "theory", "samples_needed", "verdict",
        "mean_measured", "mean_exact", "mean_spread", "mean_z", "mean_p_value",
        "variance_measured", "variance_exact", "variance_spread", "variance_z",
        "variance_p_value",
    ),
    "off-policy": (
        "setting", "lag", "estimator", "weight", "samples", "replicates", "kl", "mean", "bias",
        "variance", "exact_bias", "exact_variance", "exact_mse", "relative_error", "theory",
        "reason", "mean_z", "mean_p_value", "variance_p_value",
    ),
    "regimes": (
        "family", "dimension", "samples", "scale", "offset", "estimator", "exact_bias",
        "exact_variance", "antithetic_variance", "theory", "relative_error",
    ),
    "training": ("problem", "method", "run", "step", "kl", "predicted_kl"),
    "registered-kl": (
        "setting", "dimension", "terms", "kl", "registered_kl", "registered_kl_float32",
    ),
    "notebook": (
        "samples", "log_density_ratio", "estimate", "std_error", "squared_error",
    ),
    "notebook-points": ("distribution", "z1", "z2"),
    "formulas": (
        "setting", "lag", "weight", "library", "version", "formula", "used_as", "averaged",
        "differentiated", "default", "source", "note", "kl", "exact_mean", "exact_bias",
        "exact_variance", "clamped", "tolerance", "samples_needed", "verdict", "relative_bias",
        "cosine", "samples", "measured", "measured_variance", "z", "p_value", "passed", "test",
        "smallest_error",
    ),
}  # fmt: skip

# The tables that are the same for every config, which `make docs` writes and no run.
CONSTANT = ("training", "formulas")

SCHEMAS: Mapping[str, pa.Schema] = {
    table: pa.schema(
        [
            pa.field(name, _COLUMNS[name][0], metadata={"description": _COLUMNS[name][1]})
            for name in columns
        ]
    )
    for table, columns in _TABLES.items()
}


def numeric_column(values: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> pa.Array:
    """An Arrow array of a NumPy array's numbers, null where not `valid`.

    ``pa.array`` would import pandas to find out whether it was given a series, which takes 0.4
    seconds a job.
    """
    kind, nulls = pa.from_numpy_dtype(values.dtype), None if valid is None else _bits(valid)
    numbers = _bits(values) if values.dtype == np.bool_ else np.ascontiguousarray(values)
    return pa.Array.from_buffers(kind, values.size, [nulls, pa.py_buffer(numbers)])


def _bits(values: NDArray[np.bool_]) -> pa.Buffer:
    """Truth values as Arrow keeps them: NumPy has a byte each, and Arrow a bit."""
    return pa.py_buffer(np.packbits(values, bitorder="little"))


def keys(
    names: Sequence[str], codes: NDArray[np.int32], valid: NDArray[np.bool_] | None = None
) -> pa.DictionaryArray:
    """A column of keys, ``names[code]`` in every `valid` row; it does not import pandas either."""
    encoded = [name.encode() for name in names]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    texts = pa.StringArray.from_buffers(
        len(names), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))
    )
    return pa.DictionaryArray.from_arrays(numeric_column(codes, valid), texts)


def _from_list(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """A column of texts, numbers or truth values, in which None is null."""
    valid = np.array([value is not None for value in values], bool)
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        texts = dict.fromkeys(value for value in values if value is not None)
        places = {text: i for i, text in enumerate(texts)}
        codes = np.array([places.get(value, 0) for value in values], np.int32)
        return keys([*places], codes, valid).cast(kind)
    fill = kind.to_pandas_dtype()()
    numbers = np.array([fill if value is None else value for value in values], type(fill))
    return numeric_column(numbers, valid)


def table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """An Arrow table with the schema of `name`; raises KeyError for a missing column.

    None becomes null, and NaN stays NaN.
    """
    schema = SCHEMAS[name]
    arrays = []
    for field in schema:
        values = columns[field.name]
        if isinstance(values, pa.Array | pa.ChunkedArray):
            arrays.append(values.cast(field.type))
        elif isinstance(values, np.ndarray) and values.dtype == field.type.to_pandas_dtype():
            arrays.append(numeric_column(values))
        elif isinstance(values, list):
            arrays.append(_from_list(values, field.type))
        elif pa.types.is_dictionary(field.type):
            arrays.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            arrays.append(pa.array(values, field.type, from_pandas=False))
    return pa.Table.from_arrays(arrays, schema=schema)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, which is renamed to `path` on success and deleted on failure.

    Leftovers of killed writers are deleted first, so that a stale writer, which outlived its run,
    cannot replace the new file.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 12}.tmp"):
            left.unlink(missing_ok=True)
        yield beside
        with open(beside, "rb") as f:
            os.fsync(f.fileno())
        os.replace(beside, path)
    except OSError as error:  # Arrow's message does not name the file
        error.filename = str(path)
        raise
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def writer(name: str, path: str | Path, manifest: Mapping[str, Any]) -> Iterator[pq.ParquetWriter]:
    """A streaming writer of the table `name`; each call of ``write_table`` writes a row group.

    There is no file at `path` unless the block ends without an error.
    """
    schema = SCHEMAS[name].with_metadata({MANIFEST_KEY: json.dumps(manifest, sort_keys=True)})
    with (
        replacing(path) as beside,
        pq.ParquetWriter(
            beside, schema, compression="zstd", write_page_checksum=True, store_schema=True
        ) as out,
    ):
        yield out


def write(
    name: str, path: str | Path, columns: Mapping[str, Any], manifest: Mapping[str, Any]
) -> None:
    """Write the table `name` from its columns."""
    with writer(name, path, manifest) as out:
        out.write_table(table(name, columns))


def gather(
    name: str, sources: Iterable[str], path: str | Path, manifest: Mapping[str, Any]
) -> None:
    """Write the table `name` from files of the same table, a row group at a time."""
    with writer(name, path, manifest) as out:
        for source in sources:
            for group in row_groups(name, source):
                out.write_table(group, row_group_size=group.num_rows)


@contextlib.contextmanager
def _damage_named(path: str | Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, UnicodeError, json.JSONDecodeError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({why}): delete it and run again") from error


def row_groups(
    name: str, path: str | Path, numbers: Sequence[int] | None = None
) -> Iterator[pa.Table]:
    """The row groups of a table, all or those with these numbers, with verified page checksums.

    Raises `UserError`, naming the file, if the file is damaged, is not a table of this name, or
    does not fit into memory.
    """
    schema = SCHEMAS[name]
    # Texts are read as keys first, for a text of 1 MB that every row repeats takes 1 MB in a file.
    texts = [field.name for field in schema if field.type in (pa.string(), _KEY)]
    with _damage_named(path):
        missing = set(schema.names) - set(pq.read_schema(path).names)
        if missing:
            raise UserError(f"{path} is not a {name} table: it lacks {', '.join(sorted(missing))}")
    with (
        _damage_named(path),
        pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file,
    ):
        stored = file.schema_arrow
        for field in schema:
            if stored.field(field.name).type != (_KEY if field.name in texts else field.type):
                raise pa.ArrowInvalid("column types differ")
        rows = 0
        for number in range(file.num_row_groups) if numbers is None else numbers:
            count = file.metadata.row_group(number).num_rows
            check_memory(str(path), count * len(schema))
            group = file.read_row_group(number, columns=schema.names)
            # Checksums cover the bodies of pages, but not their headers or the footer.
            group.validate(full=True)
            for text in texts:
                check_memory(str(path), _characters(group[text]) // BYTES_PER_NUMBER)
            group = group.cast(schema)
            rows += group.num_rows
            yield group
        if numbers is None and rows != file.metadata.num_rows:
            raise pa.ArrowInvalid(f"{rows} rows instead of {file.metadata.num_rows}")


def _characters(column: pa.ChunkedArray) -> int:
    """The bytes of all texts of a column of keys."""
    lengths = (
        pc.binary_length(chunk.dictionary).cast(pa.int64()).take(chunk.indices)
        for chunk in column.chunks
    )
    return sum(pc.sum(some).as_py() or 0 for some in lengths)


def gathered(groups: Iterable[pa.Table], rows: int = 200_000) -> Iterator[pa.Table]:
    """The same rows in larger tables, since pandas takes long for each table."""
    held: list[pa.Table] = []
    for group in groups:
        held.append(group)
        if sum(table.num_rows for table in held) >= rows:
            yield pa.concat_tables(held).unify_dictionaries()
            held = []
    if held:
        yield pa.concat_tables(held).unify_dictionaries()


def read(name: str, path: str | Path) -> pa.Table:
    """The whole table `name`; raises as `row_groups` does."""
    groups = list(row_groups(name, path))
    return pa.concat_tables(groups) if groups else SCHEMAS[name].empty_table()


def concatenate(name: str, parts: Sequence[Mapping[str, Any]]) -> pa.Table:
    """One table from the columns of several, with one dictionary for each column of keys."""
    joined = pa.concat_tables([table(name, columns) for columns in parts])
    return joined.unify_dictionaries().combine_chunks()


def manifest_of(path: str | Path) -> dict[str, Any]:
    """The manifest in a table's metadata; raises `UserError` as `row_groups` does."""
    return dict(_metadata(path, MANIFEST_KEY))


def record_gaps(out: pq.ParquetWriter, gaps: Sequence[Mapping[str, object]]) -> None:
    """Put the rows of gaps.parquet that concern these traces into their metadata."""
    out.add_key_value_metadata({_GAPS_KEY: json.dumps(gaps)})


def recorded_gaps(path: str | Path) -> list[dict[str, Any]]:
    """The rows that `record_gaps` put into a file; raises `UserError` as `row_groups` does."""
    return list(_metadata(path, _GAPS_KEY))


def _metadata(path: str | Path, key: bytes) -> Any:
    with _damage_named(path):
        text = (pq.read_metadata(path).metadata or {}).get(key)
        if text is None:
            raise pa.ArrowInvalid(f"no {key.decode()} in its metadata")
        return json.loads(text)


def data_dictionary() -> str:
    """The columns of every table of a run as Markdown, for results/README.md."""
    lines = []
    for name, schema in SCHEMAS.items():
        if name in CONSTANT:
            continue
        lines += [f"## {name}.parquet", "", "| column | type | meaning |", "|---|---|---|"]
        for field in schema:
            kind = "text" if pa.types.is_dictionary(field.type) else str(field.type)
            meaning = _COLUMNS[field.name][1].replace("|", r"\|")
            lines.append(f"| `{field.name}` | {kind} | {meaning} |")
        lines.append("")
    return "\n".join(lines)
