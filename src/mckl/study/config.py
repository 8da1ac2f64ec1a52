"""Checks the config of a study before anything runs.

The schema (workflow/schemas/config.schema.yaml) says what is allowed. This module turns a mistake
into a message of one line. Lists are put into one canonical order, so that their order in the file
has no effect.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, relevance

from mckl.draw.backends import BACKENDS
from mckl.draw.backends import check as check_backend
from mckl.draw.points import SAMPLERS
from mckl.errors import UserError
from mckl.estimation.gradients import METHODS
from mckl.estimation.values import ESTIMATORS
from mckl.families.registry import FAMILIES, canonical, sweep_pair
from mckl.record.case import check_size, named_files, with_numbers
from mckl.study.feasible import can_draw, check_feasible, check_gradients
from mckl.study.settings import AXES, Setting, case_setting, chunks, matching, settings
from mckl.text import counted, listed, nearest, plain, quoted

_MOST_CELLS = 10**6
_MOST_MISTAKES = 8  # that one message lists
_NULL = (None, "null", "~", "")
# The keys whose values are lists of names, with the registered names that are allowed.
REGISTRIES: Mapping[str, Sequence[str]] = {
    "backends": tuple(BACKENDS),
    "samplers": tuple(SAMPLERS),
    "estimators": tuple(ESTIMATORS),
}


class _Keys(NamedTuple):
    """The keys of config.yaml."""

    seed: int
    sweep: Mapping[str, Sequence[Any]]
    cases: Mapping[str, Setting]
    backends: Sequence[str]
    samplers: Sequence[str]
    estimators: Sequence[str]
    samples: int
    replicates: int
    checkpoints_per_octave: int
    tolerances: Sequence[float]
    one_job_per: Sequence[str]
    dtype: str
    gradients: Mapping[str, Any]
    off_policy: Mapping[str, Any]


class Config(_Keys):
    """A checked config: lists in canonical order, files read."""

    @cached_property
    def _given(self) -> list[Setting]:
        return settings(self.sweep, self.cases.values())

    @cached_property
    def left_out(self) -> dict[str, list[str]]:
        """The names of the settings that each backend cannot draw."""
        lacking = {b: [s.name for s in self._given if not can_draw(b, s)] for b in self.backends}
        return {backend: names for backend, names in lacking.items() if names}

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings that a backend can draw, first the cells of the sweep and then the cases."""
        by_none = set.intersection(*({*self.left_out.get(b, ())} for b in self.backends))
        return [s for s in self._given if s.name not in by_none]

    @cached_property
    def gradient_settings(self) -> list[Setting]:
        """The settings whose gradients are measured, without those of families that have none."""
        return [s for s in matching(self.settings, self.gradients["settings"]) if s.pair.scores]

    @cached_property
    def off_policy_settings(self) -> list[Setting]:
        """The settings with samples of another law than q: cases with `s`, and those named."""
        named = {s.name for s in matching(self.settings, self.off_policy["settings"])}
        return [
            s for s in self.settings
            if s.sampler is not None or (s.name in named and s.pair.lagging(0.0) is not None)
        ]  # fmt: skip

    @cached_property
    def chunks(self) -> dict[str, dict[str, list[Setting]]]:
        """The settings of each backend's estimation jobs, by the job's name.

        Backends have the same jobs, but for the settings that they cannot draw.
        """
        out = {}
        for backend in self.backends:
            without = {*self.left_out.get(backend, ())}
            drawn = (s for s in self.settings if s.name not in without)
            out[backend] = chunks(drawn, self.one_job_per)
        return out


def parse(
    given: Mapping[str, Any], schema: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> Config:
    """The checked config of a study.

    given     What the user gives, as Snakemake hands it over.
    schema    The schema, with the default of every key.
    defaults  What config.yaml gives, which has priority over the schema's defaults.

    Raises `UserError` with a line for each mistake: the key, its value and what was expected.
    """
    schema, default = schema_with_names(schema), schema_defaults(schema)
    data: Any = default
    dropped = {*default["cases"]}  # names that null may drop
    layers: tuple[Any, ...] = (defaults or {}, given)
    for layer in layers:
        check_size(layer, "")
        data = studied(layer, data) if isinstance(layer, Mapping) else layer
        if layer is not given and isinstance(layer.get("cases"), Mapping):
            dropped |= {*layer["cases"]}
    raw, data = data, _numbers(data, schema)
    lines = _mistakes(schema, data, raw)
    if not isinstance(data, Mapping):
        raise UserError(*lines.values())
    full: dict[str, Any] = {"sweep": {}, "cases": {}, **data}
    if not any(path[0] == "sweep" for path in lines):
        with _into(lines, "sweep"):
            full["sweep"] = _sweep(full["sweep"])
    cases = {}
    wrong = {path[:2] for path in lines}
    for name, case in sorted(full["cases"].items()) if ("cases",) not in wrong else ():
        if ("cases", name) not in wrong:
            with _into(lines, "cases", name):
                if case is not None:
                    cases[name] = _case(name, case)
                elif name not in dropped:
                    near = nearest(name, sorted(dropped))
                    raise UserError(f"cases.{name}: no such case to drop: {near}")
    if lines:
        raise UserError(*_first(lines))
    full["cases"] = cases
    for key, registry in REGISTRIES.items():
        full[key] = [name for name in registry if name in full[key]]
    full["tolerances"] = sorted(full["tolerances"], reverse=True)
    full["one_job_per"] = [axis for axis in AXES if axis in full["one_job_per"]]
    full["gradients"] = _gradients(full["gradients"])
    options = full["off_policy"]
    full["off_policy"] = {
        **options, "settings": sorted(options["settings"]), "lags": sorted(options["lags"]),
    }  # fmt: skip
    for name in full["backends"]:
        check_backend(name, full["dtype"])
    config = Config(**full)
    every = config._given
    if not every:
        raise UserError("cases: nothing is left to study, expected a sweep or a case")
    names: set[str] = set()
    with _into(lines, "cases"):
        for setting in every:
            if setting.name in names:
                raise UserError(f"cases.{setting.name}: a cell of the sweep has this name already")
            names.add(setting.name)
            drawing = [name for name in config.backends if can_draw(name, setting)]
            check_feasible(setting, config.samplers, config.samples, drawing)
    for key in ("gradients", "off_policy"):
        with _into(lines, key):
            for pattern in full[key]["settings"]:
                if pattern not in default[key]["settings"] and not matching(every, [pattern]):
                    raise UserError(
                        f"{key}.settings: {quoted(pattern)} is no setting of this study: "
                        f"{nearest(pattern, [s.name for s in every])}"
                    )
    for name in (name for name in config.backends if not config.chunks[name]):
        lines["backends", name] = (
            f"backends: '{name}' can draw none of the settings, expected another backend"
        )
    if lines:
        raise UserError(*_first(lines))
    check_gradients(matching(every, config.gradients["settings"]))
    return config


def studied(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The config that is studied: `given` over `defaults`, both not yet checked.

    A config that gives `sweep` or `cases` studies what it gives and nothing else: a given sweep,
    whose missing axes are the default's, comes without the default cases, and given pairs come
    without the default sweep. Cases that are all null drop default cases, and `cases: {}` drops
    all of them.

    >>> default = {"sweep": {"scale": [1, 2], "offset": [0]}, "cases": {"a": {}, "b": {}}}
    >>> studied({"sweep": {"scale": [3]}}, default)
    {'sweep': {'scale': [3], 'offset': [0]}, 'cases': {}}
    >>> studied({"cases": {"c": {}}}, default)
    {'cases': {'c': {}}}
    >>> studied({"cases": {"a": None}}, default)["cases"]
    {'a': None, 'b': {}}
    """
    out = {**defaults, **given}
    for key in ("sweep", "gradients", "off_policy"):
        if isinstance(given.get(key), Mapping):
            out[key] = {**defaults.get(key, {}), **given[key]}
    cases = given.get("cases", {})
    if not isinstance(cases, Mapping):
        return out
    # `--config` gives what is in a mapping as text.
    cases = {name: None if case in _NULL else case for name, case in cases.items()}
    if "sweep" in given:
        out["cases"] = cases
    elif any(case is not None for case in cases.values()):
        out.pop("sweep", None)
        out["cases"] = cases
    elif cases:
        out["cases"] = {**defaults.get("cases", {}), **cases}
    return out


def schema_defaults(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The default of every key, as the schema has it."""
    return {key: part["default"] for key, part in schema["properties"].items()}


def schema_with_names(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema, in which lists of names allow all names that are registered now."""
    keys = {**schema["properties"]}
    for key, registry in REGISTRIES.items():
        keys[key] = _with_names(keys[key], registry)
    options = keys["gradients"]["properties"]
    options = {**options, "methods": _with_names(options["methods"], tuple(METHODS))}
    keys["gradients"] = {**keys["gradients"], "properties": options}
    return {**schema, "properties": keys}


def _with_names(part: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**part, "items": {**part["items"], "enum": [*names]}}


def _gradients(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options for gradients, with their lists in canonical order."""
    methods = [name for name in METHODS if name in given["methods"]]
    return {**given, "settings": sorted(given["settings"]), "methods": methods}


def _sweep(given: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of the sweep in canonical order; `UserError` for a cell that has no pair.

    They are none if the study has no sweep.
    """
    if not given:
        return {}
    families = []
    for text in given.get("family", ["normal"]):
        try:
            families.append(canonical(text))
        except ValueError as error:
            raise UserError(f"sweep.family: {error}") from None
    if len({*families}) < len(families):
        raise UserError(f"sweep.family: {_shown(families)}, expected different families")
    order = list(FAMILIES)
    families.sort(key=lambda text: (order.index(text.split("(")[0]), text))
    out = {"family": families} | {axis: sorted(given[axis]) for axis in AXES[1:]}
    cells = math.prod(map(len, out.values()))
    if cells > _MOST_CELLS:
        raise UserError(f"sweep: {cells:,} settings, expected at most {_MOST_CELLS:,}")
    for family, scale, offset in itertools.product(families, out["scale"], out["offset"]):
        try:
            sweep_pair(family, 1, scale, offset)
        except ValueError as error:
            raise UserError(f"sweep: scale {scale:g}, offset {offset:g}: {error}") from None
    return out


def _case(name: str, given: Mapping[str, Any]) -> Setting:
    """The setting of a case. Numbers become floats, so that 1 and 1.0 are equal; files are read."""
    if name != name.strip():  # in Python, $ in the schema's pattern allows a final newline
        raise UserError(f"cases: {json.dumps(name)} is not a name: a newline ends it")
    if re.search(r"(.+)\1{19}$", name):  # Snakemake would report an endless recursion
        raise UserError(f"cases: '{name}' is not a name: it ends in 20 repetitions")
    case = with_numbers(given, f"cases.{name}.")
    lengths = {
        f"cases.{name}.{side}.{key}": np.size(case[side][key])
        for side in ("q", "p")
        for key in ("mean", "sd")
        if isinstance(case[side].get(key), (list, np.ndarray))
    }
    if lengths:
        (path, length), *others = lengths.items()
        for other, count in others:
            if count != length:
                raise UserError(f"{other}: {count} numbers, expected {length} as in {path}")
    try:
        return case_setting(name, case)
    except ValueError as error:
        read = sorted({*named_files(given)})
        source = f" (read from {listed(read)})" if read else ""
        key = str(error).partition(": ")[0]
        raise UserError(f"cases.{name}{'.' if key in case else ': '}{error}{source}") from None


def _numbers(data: Any, schema: Mapping[str, Any]) -> Any:
    """Turns text into a number where the schema expects one (YAML reads 1e-3 as text)."""
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if isinstance(data, str) and {"number", "integer"} & set(kinds):
        try:
            if "integer" in kinds and data.strip().isdecimal():
                return int(data)  # a float would round a seed beyond 2^53
            value = float(data)
        except ValueError:
            return data
        return int(value) if "integer" in kinds and value.is_integer() else value
    if isinstance(data, int) and data.bit_length() > 1024:  # Python refuses to print 4300 digits
        return math.inf if data > 0 else -math.inf
    if isinstance(data, float) and data.is_integer() and "integer" in kinds:
        return int(data)
    if isinstance(data, Mapping):
        parts = schema.get("properties", {}) | schema.get("then", {}).get("properties", {})
        other = schema.get("additionalProperties", {})
        return {
            plain(key): _numbers(value, parts.get(key, other if isinstance(other, Mapping) else {}))
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_numbers(value, schema.get("items", {})) for value in data]
    return data


_Path = tuple[Any, ...]


def _mistakes(schema: Mapping[str, Any], data: Any, raw: Any) -> dict[_Path, str]:
    """The mistakes that the schema finds in the data, one for each part; `raw` has what was typed.

    A part is a key, and in the sweep, cases and gradients one of their keys or a side of a case.
    """
    parts: dict[_Path, list[ValidationError]] = {}
    for error in Draft202012Validator(schema).iter_errors(data):
        named = [error.instance] * (error.validator == "pattern" and _is_key(error, raw))
        parts.setdefault((*error.absolute_path, *named)[:3], []).append(error)
    lines: dict[_Path, str] = {}
    for path, errors in parts.items():
        few = len(lines) < _MOST_MISTAKES  # the others are only counted
        for number, line in enumerate(_lines(max(errors, key=_severity), raw) if few else [""]):
            lines[(*path, number) if number or not path else path] = line
    for path, value in itertools.islice(_not_finite(data, ()), _MOST_MISTAKES):
        if not any(path[: len(part)] == part for part in lines):
            lines[path] = f"{_path(path)}: {_shown(value)}, expected a finite number"
    return lines


@contextmanager
def _into(lines: dict[_Path, str], *path: Any) -> Iterator[None]:
    """Puts the line of a `UserError` among those of other mistakes."""
    try:
        yield
    except UserError as error:
        lines[path] = str(error)


def _first(lines: Mapping[_Path, str]) -> list[str]:
    """The first lines, and how many more there are."""
    every = [*lines.values()]
    more = len(every) - _MOST_MISTAKES
    rest = [f"and {counted(more, 'more mistake')}"] if more > 0 else []
    return every[:_MOST_MISTAKES] + rest


def _severity(error: ValidationError) -> tuple[bool, Any]:
    # A misspelt key is reported before the missing key that it also causes.
    return (error.validator in ("additionalProperties", "propertyNames"), relevance(error))


def _path(parts: Sequence[Any]) -> str:
    steps = (f"[{p}]" if isinstance(p, int) else f".{_one_line(p)}" for p in parts)
    return "".join(steps).removeprefix(".")


def _typed(value: Any) -> str:
    """A value as it is typed in YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{plain(k)}: {_typed(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_typed, value))}]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return " ".join(plain(value).split())


def _shown(value: Any) -> str:
    return quoted(_typed(value))


def _lines(error: ValidationError, raw: Any) -> Iterator[str]:
    """The messages of an error, each with the key, the value as in `raw`, and what was expected."""
    path = list(error.absolute_path)
    schema: Mapping[str, Any] = error.schema  # type: ignore[assignment]
    instance: Any = error.instance
    where = _path(path)
    if error.validator == "additionalProperties":
        keys = list(schema["properties"])
        others = (key for key in instance if key not in keys)
        for unknown in itertools.islice(others, _MOST_MISTAKES):
            yield f"{_path([*path, unknown])}: unknown key: {nearest(unknown, keys)}"
        return
    if error.validator == "required":
        missing = next(key for key in schema["required"] if key not in instance)
        yield f"{_path([*path, missing])}: missing, expected {schema['expected']}"
        return
    shown = _shown(instance if _is_key(error, raw) else _value_at(raw, path, instance))
    if error.validator == "enum":
        yield f"{where}: {shown} is not {schema['expected']}: {nearest(instance, schema['enum'])}"
    elif error.validator == "pattern":
        yield f"{where}: {shown} is not {schema['expected']}"
    else:
        yield f"{where or 'config'}: {shown}, expected {schema['expected']}"


def _is_key(error: ValidationError, raw: Any) -> bool:
    """Whether an error is about a key of the mapping at its path, as the name of a case is."""
    value = _value_at(raw, list(error.absolute_path), None)
    return isinstance(value, Mapping) and not isinstance(error.instance, Mapping)


def _value_at(raw: Any, path: Sequence[Any], instance: Any) -> Any:
    """The value at a path of what was typed; `instance` where keys or numbers are not text."""
    for step in path:
        if isinstance(raw, Mapping) and step not in raw:
            return instance
        raw = raw[step]
    return instance if isinstance(raw, int) and raw.bit_length() > 1024 else raw


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())[:60]


def _not_finite(data: Any, path: _Path) -> Iterator[tuple[_Path, float]]:
    """The paths of the numbers that are not finite, with their values."""
    if isinstance(data, float) and not math.isfinite(data):
        yield path, data
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _not_finite(value, (*path, key))
    if isinstance(data, list):
        for index, value in enumerate(data):
            yield from _not_finite(value, (*path, index))
