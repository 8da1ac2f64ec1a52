"""Callables that lie, arrays of anything but numbers, states that no watch had, odd arguments."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mckl
from mckl.errors import UserError


def draw(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=n)


def log_q(z: np.ndarray) -> np.ndarray:
    return -0.5 * z**2


def log_p(z: np.ndarray) -> np.ndarray:
    return -0.5 * (z - 1.0) ** 2


def estimated(sample: Any = draw, q: Any = log_q, p: Any = log_p, **options: Any) -> Any:
    return mckl.estimate((sample, q), p, **{"tolerance": 0.05, **options})


def one_line(call: Callable[[], object]) -> str:
    """The message of the error that a call raises, which is one line and not long."""
    with pytest.raises(UserError) as error:
        call()
    line = str(error.value)
    assert line.isprintable()
    assert len(line) <= 500
    return line


BUFFER = np.zeros(2**20)


def in_buffer(log_density: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(z: Any) -> Any:
        BUFFER[: len(z)] = log_density(z)
        return BUFFER[: len(z)]

    return call


def overwriting(z: np.ndarray) -> np.ndarray:
    z *= z
    z *= -0.5
    return z


def test_views_of_one_buffer_are_as_good_as_arrays() -> None:
    expected = estimated()
    assert estimated(q=in_buffer(log_q), p=in_buffer(log_p)) == expected
    assert estimated(lambda n, rng: in_buffer(lambda z: z)(draw(n, rng))) == expected
    assert estimated(q=overwriting) == expected
    assert expected.interval[0] < 0.5 < expected.interval[1]


def seeded(n: int, rng: np.random.Generator) -> np.ndarray:
    return np.random.default_rng(1).normal(size=n)


def biased_coins(n: int, rng: np.random.Generator) -> np.ndarray:
    return (np.random.default_rng(1).random(n) < 0.1).astype(int)


@pytest.mark.parametrize("sample", [seeded, biased_coins])
def test_a_sampler_that_seeds_itself_is_noticed(sample: Any) -> None:
    told = one_line(lambda: estimated(sample))
    assert told.startswith("q: sample(n, rng) begins two batches with the same samples")


@pytest.mark.parametrize("share", [0.0, 0.002])
def test_batches_that_are_alike_by_chance_are_not_accused(share: float) -> None:
    def rare(n: int, rng: np.random.Generator) -> np.ndarray:
        return (rng.random(n) < share).astype(int)

    logs = np.log([max(1 - share, 0.5), share or 0.5])
    found = estimated(rare, lambda k: logs[k], lambda k: np.log([0.99, 0.01])[k], budget=10_000)
    assert found.samples > 0


Z = np.random.default_rng(1).normal(size=1000)
WRONG: dict[str, Callable[[np.ndarray], Any]] = {
    "complex": lambda x: x + 1j,
    "complex without an imaginary part": lambda x: x + 0j,
    "texts": lambda x: x.astype(str),
    "texts as objects": lambda x: x.astype(str).astype(object),
    "bool": lambda x: x > 0,
    "masked": lambda x: np.ma.masked_array(x, mask=x < np.median(x)),
    "mappings": lambda x: [{}] * len(x),
    "huge integers": lambda x: [10**400] * len(x),
    "itself": lambda x: endless(),
    "an object that fails": lambda x: Failing(),
}


class Failing:
    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no " * 5000)


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_array_of_numbers(name: str) -> None:
    wrong = WRONG[name]
    assert "log_q: " in one_line(lambda: mckl.from_log_probs(wrong(log_q(Z)), log_p(Z)))
    assert "log_p: " in one_line(lambda: mckl.Watch().update(log_q(Z), wrong(log_p(Z))))
    assert "log_prob" in one_line(lambda: estimated(q=lambda z: wrong(log_q(z))))


def test_masked_samples_masks_and_ids() -> None:
    masked = np.ma.masked_array(np.arange(1000), mask=Z > 0)
    given = (log_q(Z), log_p(Z))
    words = "some values are masked, expected none"
    assert words in one_line(lambda: mckl.from_log_probs(*given, sequence=masked))
    assert words in one_line(
        lambda: mckl.from_log_probs(*(x[:, None] for x in given), mask=masked[:, None] > 3)
    )
    assert words in one_line(
        lambda: estimated(lambda n, rng: np.ma.masked_array(draw(n, rng), mask=np.arange(n) % 2))
    )
    nothing_masked = np.ma.masked_array(given[0], mask=False)
    with_mask, without = (mckl.from_log_probs(x, given[1]) for x in (nothing_masked, given[0]))
    # As texts, since NaN is not equal to itself.
    assert str(dataclasses.asdict(with_mask)) == str(dataclasses.asdict(without))


@pytest.mark.parametrize(
    "ids", [Z + 1j, np.array([{}, *range(999)], object)], ids=["complex", "mapping"]
)
def test_ids_that_are_none(ids: Any) -> None:
    told = one_line(lambda: mckl.from_log_probs(log_q(Z), log_p(Z), sequence=ids))
    assert told.startswith("sequence: ")


@pytest.mark.parametrize(
    "mean",
    [np.array([1j]), np.array(["1"]), np.ma.masked_array([1.0, 2.0], mask=[0, 1]), [1j], endless()],
    ids=["complex", "texts", "masked", "complex list", "itself"],
)
def test_parameters(mean: Any) -> None:
    assert "mean" in one_line(lambda: mckl.kl({"mean": mean, "sd": 1}, {"mean": 0, "sd": 1}))


def test_families() -> None:
    for family in (["x"], {"a": 1}, "x" * 5000, "x " * 2500, 10**6000, None):
        told = one_line(lambda family=family: mckl.kl({"family": family}, {"mean": 0, "sd": 1}))
        assert "is not a family" in told
        assert told.count("x") <= 200


NUMBERS = [float("nan"), float("inf"), "x" * 5000, "x " * 2500, None, [1], 10**400, 10**6000, True]
OPTIONS = {
    "budget": [*NUMBERS, -1, 15, 20.5],
    "seed": [*NUMBERS, -1, 1.5],
    "tolerance": [*(x for x in NUMBERS if x is not None), 0, -1],
    "confidence": [*NUMBERS, 0, 1, 95],
    "estimator": [["k1"], "x" * 5000, "x " * 2500, 1, b"k1"],
    "sampler": [["iid"], "x" * 5000, "x " * 2500, 1, b"iid"],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options(option: str) -> None:
    pair = {"mean": 0, "sd": 1}, {"mean": 1, "sd": 1}
    for value in OPTIONS[option]:
        calls: list[Callable[[], object]] = [
            lambda value=value: estimated(**{option: value}),
            lambda value=value: mckl.estimate(*pair, **{option: value}),
        ]
        if option in ("tolerance", "confidence", "estimator"):
            calls.append(
                lambda value=value: mckl.from_log_probs(log_q(Z), log_p(Z), **{option: value})
            )
        if option in ("confidence", "estimator"):
            calls.append(lambda value=value: mckl.Watch(**{option: value}))
        for call in calls:
            if value is None and option == "confidence":
                continue
            told = one_line(call)
            assert told.startswith(f"{option}: ")
            assert told.count("x") <= 200


@pytest.fixture
def state() -> dict[str, Any]:
    watch = mckl.Watch(estimator="k3")
    watch.update(log_q(Z), log_p(Z))
    return dict(json.loads(json.dumps(watch.state())))


def test_a_state_is_that_of_its_watch(state: dict[str, Any]) -> None:
    assert mckl.Watch.from_state(state).state() == state
    empty = mckl.Watch().state()
    assert mckl.Watch.from_state(empty).state() == empty


@np.errstate(over="ignore", invalid="ignore")
def test_a_watch_that_overflowed_can_be_restored() -> None:
    watch = mckl.Watch(estimator="k3")
    watch.update(np.zeros(3), np.array([0.0, 800.0, 1.0]))
    restored = mckl.Watch.from_state(json.loads(json.dumps(watch.state())))
    assert str(restored.look()) == str(watch.look())


STATES = {
    "units": [*NUMBERS, -5, 0, 1, 1.5, "7"],
    "start": [*NUMBERS, -5, 0, 1, "5"],
    "tightest": [*NUMBERS[:4], *NUMBERS[5:], -1, 0, "9"],
    "confidence": [*NUMBERS, 0, 1, "0.9"],
    "estimator": [["k1"], "x" * 5000, 1, None],
    "mean": [None, [], {}, {"k3": "1"}, {"k3": 10**400}, {"count": 0.0}, {"length": float("inf")}],
    "samples": [*NUMBERS, -5, 0, "7"],
    "squares": [*NUMBERS, -5, 0, "7"],
    "last": ["x", [], 10**400],
    "log_ratio_sum": NUMBERS,
    "squared_spacings": [*NUMBERS, -1],
    "half_life": [*NUMBERS[:4], *NUMBERS[5:], -5, 0, "7"],
    "comoment": [None, [], {}, {"k3 k3": -1.0}, {"k3 k3": "1"}, {"k3 k3": True}],
    "moments": [None, [], {}, 1],
}


@pytest.mark.parametrize("key", STATES)
def test_states_that_no_watch_had(state: dict[str, Any], key: str) -> None:
    for value in STATES[key]:
        changed = copy.deepcopy(state)
        where = changed if key in changed else changed["moments"]
        if isinstance(value, dict) and value:
            where[key] |= value
        else:
            where[key] = value
        one_line(lambda changed=changed: mckl.Watch.from_state(changed))


@pytest.mark.parametrize("whole", [None, [], 1, "x", {}])
def test_states_that_are_none(whole: Any) -> None:
    assert one_line(lambda: mckl.Watch.from_state(whole)).startswith("state: ")


def test_a_watch_does_not_count_its_samples_twice() -> None:
    watch = mckl.Watch()
    before = watch.update(log_q(Z), log_p(Z))
    assert one_line(lambda: watch.merge(watch)).startswith("merge: the watch itself")
    assert watch.look() == before
