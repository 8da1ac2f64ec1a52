"""Reference variances over balanced Sobol' points for tests/unit/test_strata.py, with mpmath alone.

    python benchmarks/strata_references.py

Writes tests/references/strata.json, one line a pair: the variances of the means of l, of l^2 / 2
and of k3 over n points, to 13 digits; `inf` is infinite.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import reference_strata
from mpmath import mp
from reference_moments import law_of

FILE = Path(__file__).parents[1] / "tests" / "references" / "strata.json"
SAMPLES = (16, 256, 16384)


def law(family: str, *parameters: float) -> dict[str, Any]:
    names = {
        "normal": ("mean", "sd"),
        "student-t": ("df", "location", "scale"),
        "laplace": ("location", "scale"),
        "logistic": ("location", "scale"),
        "gamma": ("shape", "rate"),
        "beta": ("a", "b"),
    }[family]
    return {"family": family, **dict(zip(names, parameters, strict=True))}


def mixture(weights: list[float], *components: dict[str, Any]) -> dict[str, Any]:
    return {"family": "mixture", "weights": weights, "components": list(components)}


WIDE, FAR = ((law("normal", -m, 1.0), law("normal", m, 1.0)) for m in (10.0, 20.0))
LIGHT = law("normal", 0.0, 1.0), law("normal", 10.0, 1.0)
PAIRS = {
    "normal": (law("normal", 0.25, 1.0), law("normal", 0.0, 1.25)),
    "student-t": (law("student-t", 3.0, 0.25, 1.0), law("student-t", 3.0, 0.0, 1.25)),
    "laplace": (law("laplace", 0.25, 1.0), law("laplace", 0.0, 1.25)),
    "logistic": (law("logistic", 0.25, 1.0), law("logistic", 0.0, 1.25)),
    "gamma": (law("gamma", 2.0, 1.0), law("gamma", 2.5, 0.75)),
    "beta": (law("beta", 2.0, 3.0), law("beta", 2.5, 2.5)),
    "20 apart": (mixture([0.5, 0.5], *WIDE), law("normal", 0.0, 10.0)),
    "40 apart": (mixture([0.5, 0.5], *FAR), law("normal", 0.0, 10.0)),
    "light": (mixture([0.9999, 0.0001], *LIGHT), mixture([0.999999999, 1e-9], *LIGHT)),
    "near": (law("normal", 1e-8, 1.0), law("student-t", 1e6, 0.0, 1.0)),
}


def main() -> None:
    mp.dps = 30
    with FILE.open("w") as file:
        for name, (q, p) in PAIRS.items():
            found = reference_strata.variances([(law_of(q), law_of(p))], SAMPLES, False)
            numbers = {f: {n: mp.nstr(v, 14) for n, v in of.items()} for f, of in found.items()}
            row = {"name": name, "q": q, "p": p, "variances": numbers}
            print(json.dumps(row), file=file, flush=True)


if __name__ == "__main__":
    main()
