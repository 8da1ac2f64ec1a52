"""The list of families says when E r^2 is finite: both sides of each border, by the tails."""

from __future__ import annotations

from typing import Any

import pytest

from mckl.families.registry import case_pair

# A family, the parameters of q and of p, and whether E r^2 is finite by what the list says.
BORDERS: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("normal", {"mean": 0, "sd": 1}, {"mean": 1, "sd": 1.41}, True),
    ("normal", {"mean": 0, "sd": 1}, {"mean": 1, "sd": 1.42}, False),
    ("student-t", {"df": 5}, {"df": 2.6}, True),
    ("student-t", {"df": 5}, {"df": 2.4}, False),
    ("laplace", {"scale": 1}, {"scale": 1.9}, True),
    ("laplace", {"scale": 1}, {"scale": 2.1}, False),
    ("logistic", {"scale": 1}, {"scale": 1.9}, True),
    ("logistic", {"scale": 1}, {"scale": 2.1}, False),
    ("gamma", {"shape": 2, "rate": 1}, {"shape": 1.1, "rate": 0.6}, True),
    ("gamma", {"shape": 2, "rate": 1}, {"shape": 0.9, "rate": 0.6}, False),
    ("gamma", {"shape": 2, "rate": 1}, {"shape": 1.1, "rate": 0.4}, False),
    ("beta", {"a": 2, "b": 2}, {"a": 1.1, "b": 1.1}, True),
    ("beta", {"a": 2, "b": 2}, {"a": 0.9, "b": 1.1}, False),
    ("triangular", {"low": 0, "mode": 0.3, "high": 1}, {"low": 0, "mode": 0.7, "high": 1}, True),
    ("exponential", {"rate": 1}, {"rate": 0.6}, True),
    ("exponential", {"rate": 1}, {"rate": 0.4}, False),
    ("chi-squared", {"df": 4}, {"df": 2.2}, True),
    ("chi-squared", {"df": 4}, {"df": 1.8}, False),
    ("weibull", {"shape": 2, "scale": 1}, {"shape": 2.2, "scale": 3}, True),
    ("weibull", {"shape": 2, "scale": 1}, {"shape": 1.9, "scale": 1}, False),
    ("weibull", {"shape": 2, "scale": 1}, {"shape": 2, "scale": 1.41}, True),
    ("weibull", {"shape": 2, "scale": 1}, {"shape": 2, "scale": 1.42}, False),
    ("frechet", {"shape": 2, "scale": 1}, {"shape": 2.2, "scale": 1}, True),
    ("frechet", {"shape": 2, "scale": 1}, {"shape": 1.9, "scale": 1}, False),
    ("log-logistic", {"shape": 2, "scale": 1}, {"shape": 1.1, "scale": 1}, True),
    ("log-logistic", {"shape": 2, "scale": 1}, {"shape": 0.9, "scale": 1}, False),
    ("log-laplace", {"shape": 2, "scale": 1}, {"shape": 1.1, "scale": 1}, True),
    ("log-laplace", {"shape": 2, "scale": 1}, {"shape": 0.9, "scale": 1}, False),
    ("half-normal", {"scale": 1}, {"scale": 1.41}, True),
    ("half-normal", {"scale": 1}, {"scale": 1.42}, False),
    ("rayleigh", {"scale": 1}, {"scale": 1.41}, True),
    ("rayleigh", {"scale": 1}, {"scale": 1.42}, False),
    ("maxwell", {"scale": 1}, {"scale": 1.41}, True),
    ("maxwell", {"scale": 1}, {"scale": 1.42}, False),
    ("pareto", {"shape": 2, "scale": 1}, {"shape": 1.1, "scale": 1}, True),
    ("pareto", {"shape": 2, "scale": 1}, {"shape": 0.9, "scale": 1}, False),
    ("lomax", {"shape": 2, "scale": 1}, {"shape": 1.1, "scale": 1}, True),
    ("lomax", {"shape": 2, "scale": 1}, {"shape": 0.9, "scale": 1}, False),
    ("beta-prime", {"a": 2, "b": 2, "scale": 1}, {"a": 1.1, "b": 1.1, "scale": 1}, True),
    ("beta-prime", {"a": 2, "b": 2, "scale": 1}, {"a": 1.1, "b": 0.9, "scale": 1}, False),
    ("half-student-t", {"df": 4, "scale": 1}, {"df": 2.1, "scale": 1}, True),
    ("half-student-t", {"df": 4, "scale": 1}, {"df": 1.9, "scale": 1}, False),
    ("half-cauchy", {"scale": 1}, {"scale": 9}, True),
    ("geometric", {"probability": 0.5}, {"probability": 0.3}, True),
    ("geometric", {"probability": 0.5}, {"probability": 0.29}, False),
    ("negative-binomial", {"r": 3, "probability": 0.5}, {"r": 4, "probability": 0.3}, True),
    ("negative-binomial", {"r": 3, "probability": 0.5}, {"r": 4, "probability": 0.29}, False),
    ("dirichlet", {"concentration": [2, 2]}, {"concentration": [1.1, 1.1]}, True),
    ("dirichlet", {"concentration": [2, 2]}, {"concentration": [1.1, 0.9]}, False),
    ("poisson", {"rate": 1}, {"rate": 9}, True),
]


@pytest.mark.parametrize(("family", "q", "p", "finite"), BORDERS, ids=str)
def test_the_square_of_the_ratio_is_finite_where_the_list_says(
    family: str, q: dict[str, Any], p: dict[str, Any], finite: bool
) -> None:
    law = case_pair({"q": {"family": family, **q}, "p": {"family": family, **p}}).law
    assert law.is_finite(-2.0) == finite
