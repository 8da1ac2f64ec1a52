"""Random and nasty pairs of q and p, as cases of the config, for the references of exact theory.

Each pair is a mapping with `name`, `kind`, `case` and, where they apply, `antithetic` (antithetic
pairs are wanted too), `sobol` (numbers of points), `uncounted` (numbers withheld here are no fault)
and `published` (numbers that the documentation states and that the reference must meet).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Pair = dict[str, Any]
Case = dict[str, Any]


def pairs(seed: int, count: int) -> list[Pair]:
    """The pairs of the documentation, and random ones of every kind up to `count` in all."""
    out = [*published()] if seed == PUBLISHED_SEED else []
    left = max(count - len(out), 0)
    total = sum(share for _, share, _ in KINDS)
    numbered: dict[str, int] = {}
    for kind, share, make in KINDS:
        # Each kind has a stream of its own, so that one kind's pairs do not change another's.
        own = random.Random(f"{seed} {kind}")
        for _ in range(max(round(left * share / total), 1)):
            made = make(own)
            extra = made.pop("extra", {})
            numbered[kind] = numbered.get(kind, 0) + 1
            out.append({"name": f"{kind}-{numbered[kind]}", "kind": kind, "case": made, **extra})
    return out


PUBLISHED_SEED = 19


def r(x: float, digits: int = 4) -> float:
    """A number with few digits, so that the file is short; float64 stores it exactly as read."""
    return float(f"{x:.{digits}g}")


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    return r(math.exp(rng.uniform(math.log(low), math.log(high))))


def weights(rng: random.Random, n: int) -> list[float]:
    return [rng.gammavariate(0.7, 1.0) + 1e-3 for _ in range(n)]


def simplex(values: list[float]) -> list[float]:
    """Probabilities that add up to 1 but for rounding."""
    total = math.fsum(values)
    return [v / total for v in values]


def with_rare(rng: random.Random, n: int) -> list[float]:
    """Probabilities, some of them from 1e-4 to 1e-12."""
    out = weights(rng, n)
    for i in rng.sample(range(n), rng.randint(1, max(1, n // 2))):
        out[i] = log_uniform(rng, 1e-12, 1e-4)
    return simplex(out)


def near(rng: random.Random, values: list[float]) -> list[float]:
    """Probabilities that differ by 1e-10 to 1e-3 of themselves."""
    size = log_uniform(rng, 1e-10, 1e-3)
    return simplex([v * (1.0 + size * rng.gauss(0.0, 1.0)) for v in values])


def categorical_rare(rng: random.Random) -> Case:
    n = rng.choice([2, 2, 3, 3, 4, 6, 10])
    sides = [
        with_rare(rng, n),
        simplex(weights(rng, n)) if rng.random() < 0.5 else with_rare(rng, n),
    ]
    rng.shuffle(sides)
    return categorical(*sides)


def categorical(q: list[float], p: list[float]) -> Case:
    return {
        "q": {"family": "categorical", "probabilities": q},
        "p": {"family": "categorical", "probabilities": p},
    }


def categorical_near(rng: random.Random) -> Case:
    n = rng.choice([2, 3, 5, 20])
    q = with_rare(rng, n) if rng.random() < 0.5 else simplex(weights(rng, n))
    return categorical(q, near(rng, q))


def categorical_far(rng: random.Random) -> Case:
    n = rng.choice([2, 3, 4, 8])
    q, p = simplex(weights(rng, n)), with_rare(rng, n)
    if rng.random() < 0.4 and n > 2:
        i = rng.randrange(n)
        q = simplex([0.0 if j == i else x for j, x in enumerate(q)])
    if rng.random() < 0.3:
        spread = log_uniform(rng, 10.0, 600.0)
        logits = [[r(rng.uniform(-spread, 0.0), 6) for _ in range(n)] for _ in range(2)]
        return {
            "q": {"family": "categorical", "logits": logits[0]},
            "p": {"family": "categorical", "logits": logits[1]},
        }
    return categorical(q, p)


def poisson(rng: random.Random) -> Case:
    length = rng.choice([1, 1, 1, 2, 5, 64])
    choice = rng.randrange(4)
    q, p = [], []
    for _ in range(length):
        if choice == 0:  # rare
            q.append(log_uniform(rng, 1e-12, 1e-3))
            p.append(log_uniform(rng, 1e-12, 1e-3))
        elif choice == 1:  # near
            q.append(log_uniform(rng, 1e-6, 1e6))
            p.append(q[-1] * (1.0 + log_uniform(rng, 1e-10, 1e-4)))
        elif choice == 2:  # large
            q.append(log_uniform(rng, 1e3, 1e12))
            p.append(q[-1] * (1.0 + rng.gauss(0.0, 1.0) / math.sqrt(q[-1])))
        else:
            q.append(log_uniform(rng, 1e-2, 20.0))
            p.append(log_uniform(rng, 1e-2, 20.0))
    if length == 1:
        return {"q": {"family": "poisson", "rate": q[0]}, "p": {"family": "poisson", "rate": p[0]}}
    return {"q": {"family": "poisson", "rate": q}, "p": {"family": "poisson", "rate": p}}


def shapes(rng: random.Random, n: int) -> tuple[list[float], list[float]]:
    """Shapes from 1e-3 to 1e12: near, within their own spread, or apart by a factor."""
    q = [
        log_uniform(rng, *rng.choice([(1e-3, 0.1), (0.1, 100.0), (100.0, 1e12)])) for _ in range(n)
    ]
    choice = rng.randrange(3)
    if choice == 0:
        p = [x * (1.0 + log_uniform(rng, 1e-10, 1e-3) * rng.choice([-1, 1])) for x in q]
    elif choice == 1:
        p = [x * (1.0 + rng.uniform(-0.9, 1.5) / math.sqrt(1.0 + x)) for x in q]
    else:
        p = [x * log_uniform(rng, 0.2, 4.0) for x in q]
    return q, p


def gamma(rng: random.Random) -> Case:
    (k,), (m,) = shapes(rng, 1)
    rate = log_uniform(rng, 1e-3, 1e3)
    # The means differ by about as much as a standard deviation, or as the shapes do.
    other = (
        rate * (m / k) * (1.0 + rng.choice([0.0, 1.0]) * rng.gauss(0.0, 0.5) / math.sqrt(1.0 + k))
    )
    return {
        "q": {"family": "gamma", "shape": k, "rate": rate},
        "p": {"family": "gamma", "shape": m, "rate": abs(other)},
    }


def gamma_border(rng: random.Random) -> Case:
    """E r^2 is finite if 2 shape_p > shape_q and 2 rate_p > rate_q: nearly not, or just not."""
    shape, rate = log_uniform(rng, 0.5, 5.0), log_uniform(rng, 0.1, 10.0)
    off = rng.choice([-1, 1, 1, 1]) * log_uniform(rng, 1e-8, 1e-1)
    if rng.random() < 0.5:
        p = {"family": "gamma", "shape": shape, "rate": rate * (0.5 + off)}
    else:
        p = {"family": "gamma", "shape": shape * (0.5 + off), "rate": rate}
    return {"q": {"family": "gamma", "shape": shape, "rate": rate}, "p": p}


def beta(rng: random.Random) -> Case:
    q, p = shapes(rng, 2)
    return {
        "q": {"family": "beta", "a": q[0], "b": q[1]},
        "p": {"family": "beta", "a": p[0], "b": p[1]},
    }


def dirichlet(rng: random.Random) -> Case:
    q, p = shapes(rng, rng.choice([2, 3, 5, 16]))
    return {
        "q": {"family": "dirichlet", "concentration": q},
        "p": {"family": "dirichlet", "concentration": p},
    }


def normal(rng: random.Random) -> Case:
    length = rng.choice([1, 1, 1, 2, 4, 16, 64])
    choice = rng.randrange(4)
    mean, sd, other, wide = [], [], [], []
    for _ in range(length):
        m, s = r(rng.gauss(0.0, 3.0)), log_uniform(rng, 1e-3, 1e3)
        if choice == 0:  # near
            size = log_uniform(rng, 1e-10, 1e-3)
            n, u = m + s * size * rng.gauss(0.0, 1.0), s * (1.0 + size * rng.gauss(0.0, 1.0))
        elif choice == 1:  # ordinary
            n, u = m + s * r(rng.gauss(0.0, 0.5)), s * log_uniform(rng, 0.6, 1.38)
        elif choice == 2:  # 2 rho^2 near 1, where E r^2 becomes infinite
            off = rng.choice([-1, 1, 1, 1]) * log_uniform(rng, 1e-9, 1e-1)
            n, u = m + s * r(rng.gauss(0.0, 0.2)), s * math.sqrt(2.0 / (1.0 + off))
        else:  # far
            n, u = m + s * r(rng.gauss(0.0, 10.0)), s * log_uniform(rng, 0.05, 30.0)
        for column, value in zip((mean, sd, other, wide), (m, s, n, u), strict=True):
            column.append(value)
    if length == 1:
        (mean,), (sd,), (other,), (wide,) = mean, sd, other, wide  # type: ignore[assignment]
    return {
        "q": {"mean": mean, "sd": sd}, "p": {"mean": other, "sd": wide},
        "extra": {"antithetic": True},
    }  # fmt: skip


def covariance(rng: random.Random) -> Case:
    """Covariances with a condition number of up to 1e8, or more, which then does not count."""
    n = rng.choice([2, 2, 3, 4, 6])
    condition = log_uniform(rng, 2.0, 1e8)
    if rng.random() < 0.15:
        condition = log_uniform(rng, 1e9, 1e13)
    q = _covariance(rng, n, condition)
    if rng.random() < 0.3:
        size = log_uniform(rng, 1e-8, 1e-2)
        p = [list(row) for row in q]
        for i in range(n):
            p[i][i] *= 1.0 + size * rng.random()
    else:
        p = _covariance(rng, n, log_uniform(rng, 2.0, min(condition, 1e8)))
    scale = [1e-2 / math.sqrt(condition), 0.3][rng.random() < 0.5]
    mean = [r(rng.gauss(0.0, scale)) for _ in range(n)]
    case: Case = {
        "q": {"mean": mean, "covariance": q}, "p": {"mean": [0.0] * n, "covariance": p},
        "extra": {"antithetic": n < 4},
    }  # fmt: skip
    if condition > 1e8:
        case["extra"]["uncounted"] = True
    return case


def _covariance(rng: random.Random, n: int, condition: float) -> list[list[float]]:
    """V diag(d) V', with random reflections V and d from 1 down to 1 / condition."""
    out = [[0.0] * n for _ in range(n)]
    for i in range(n):
        out[i][i] = condition ** (-i / (n - 1)) * rng.uniform(0.8, 1.25)
    for _ in range(n):
        v = [rng.gauss(0.0, 1.0) for _ in range(n)]
        size = math.fsum(x * x for x in v)
        reflect = [[(i == j) - 2.0 * v[i] * v[j] / size for j in range(n)] for i in range(n)]
        out = _times(_times(reflect, out), reflect)
    return [[0.5 * (out[i][j] + out[j][i]) for j in range(n)] for i in range(n)]


def _times(a: list[list[float]], b: list[list[float]]) -> list[list[float]]:
    columns = list(zip(*b, strict=True))
    return [[math.fsum(x * y for x, y in zip(row, c, strict=True)) for c in columns] for row in a]


def kernel(length: float, points: int = 20, jitter: float = 1e-12) -> list[list[float]]:
    """An RBF kernel on equally spaced points of [0, 1]."""
    x = np.linspace(0.0, 1.0, points)
    gaps = x[:, None] - x[None]
    out = np.exp(-(gaps**2) / (2.0 * length**2)) + jitter * np.eye(points)
    return [[float(value) for value in row] for row in out]


def policy(rng: random.Random) -> Case:
    states = rng.choice([2, 2, 3, 4])
    tokens = rng.choice([1, 2, 3, 5, 8, 20, 64, 200])
    if states > 2:
        tokens = min(tokens, 20)
    choice = rng.randrange(4)
    q = [(with_rare if choice in (0, 3) else lambda g, n: simplex(weights(g, n)))(rng, states)
         for _ in range(states)]  # fmt: skip
    if choice == 1:
        p = [near(rng, row) for row in q]
    elif choice == 2:
        p = [near(rng, simplex([x + 0.05 for x in row])) for row in q]
    else:
        p = [with_rare(rng, states) if rng.random() < 0.5 else simplex(weights(rng, states))
             for _ in range(states)]  # fmt: skip
    if choice == 2 and states > 2 and rng.random() < 0.5:  # q never takes one of the tokens
        q[1] = simplex([0.0 if j == 0 else x for j, x in enumerate(q[1])])
    case: Case = {
        "dimension": tokens,
        "q": {"family": "policy", "transitions": q}, "p": {"family": "policy", "transitions": p},
    }  # fmt: skip
    if rng.random() < 0.5:
        case["initial"] = [1.0] + [0.0] * (states - 1)
    if choice != 2 and states > 2 and rng.random() < 0.4:
        case["stop"] = states - 1
    return case


def location_scale(rng: random.Random, family: str, df: float | None = None) -> Callable[..., Any]:
    def side(location: float, scale: float, shape: float | None = None) -> dict[str, Any]:
        if family == "normal":
            return {"family": family, "mean": location, "sd": scale}
        out: dict[str, Any] = {"family": family, "location": location, "scale": scale}
        if family == "student-t":
            out["df"] = df if shape is None else shape
        return out

    return side


def student_t(rng: random.Random) -> Case:
    df = log_uniform(rng, *rng.choice([(0.05, 2.0), (2.0, 30.0), (30.0, 1e8)]))
    side = location_scale(rng, "student-t", df)
    choice = rng.randrange(4)
    if choice == 0:
        size = log_uniform(rng, 1e-10, 1e-3)
        case = {"q": side(0.0, 1.0), "p": side(size, 1.0 + size * rng.gauss(0.0, 1.0))}
    elif choice == 1:
        case = {"q": side(r(rng.gauss(0.0, 1.0)), 1.0), "p": side(0.0, log_uniform(rng, 0.3, 3.0))}
    elif choice == 2:
        case = {"q": side(0.0, 1.0), "p": side(0.3, 1.5, df * log_uniform(rng, 0.3, 3.0))}
    else:
        case = {
            "q": side(0.0, log_uniform(rng, 1e-4, 1.0)),
            "p": side(r(rng.gauss(0.0, 10.0)), 1.0),
        }
    return case | antithetic(rng)


def antithetic(rng: random.Random, share: float = 0.4) -> dict[str, Any]:
    return {"extra": {"antithetic": True}} if rng.random() < share else {}


def student_t_border(rng: random.Random) -> Case:
    """Moments of l are finite if df > 2, 4, ... against a normal law; E r^2 by the powers alone."""
    choice = rng.randrange(3)
    if choice == 0:
        border = rng.choice([2.0, 4.0, 8.0])
        df = border + rng.choice([1, 1, -1]) * log_uniform(rng, 1e-4, 0.3)
        if df <= 2.0:
            df = 2.0 + (2.0 - df)
        q = location_scale(rng, "student-t", df)(0.0, 1.0)
        return {"q": q, "p": {"family": "normal", "mean": r(rng.gauss(0.0, 0.5)), "sd": 1.5}}
    if choice == 1:  # student-t against laplace: l grows like |x|, so df > 1, 2, ...
        df = rng.choice([1.0, 2.0, 4.0]) + log_uniform(rng, 1e-3, 0.3)
        q = location_scale(rng, "student-t", df)(0.0, 1.0)
        return {"q": q, "p": {"family": "laplace", "location": 0.1, "scale": 1.3}}
    n = log_uniform(rng, 0.5, 10.0)  # 2 (df_p + 1) - (df_q + 1) near 1
    off = rng.choice([-1, 1, 1]) * log_uniform(rng, 1e-3, 0.1)
    return {
        "q": {"family": "student-t", "df": n, "location": 0.0, "scale": 1.0},
        "p": {"family": "student-t", "df": n / 2.0 + off, "location": 0.2, "scale": 1.0},
    }


def laplace(rng: random.Random) -> Case:
    family = rng.choice(["laplace", "laplace", "logistic"])
    side = location_scale(rng, family)
    choice = rng.randrange(4)
    if choice == 0:
        size = log_uniform(rng, 1e-10, 1e-3)
        case = {"q": side(0.0, 1.0), "p": side(size, 1.0 + size * rng.gauss(0.0, 1.0))}
    elif choice == 1:  # E r^2 is finite below scale 2
        off = rng.choice([0.0, 1e-2, -1e-2, -1e-3, 1e-5, -1e-6])
        case = {"q": side(0.0, 1.0), "p": side(r(rng.gauss(0.0, 0.5)), 2.0 + off)}
    elif choice == 2:
        case = {"q": side(r(rng.gauss(0.0, 1.0)), 1.0), "p": side(0.0, log_uniform(rng, 0.49, 1.9))}
    else:
        case = {"q": side(r(rng.gauss(0.0, 20.0)), 1.0), "p": side(0.0, log_uniform(rng, 0.1, 3.0))}
    return case | antithetic(rng)


def across(rng: random.Random) -> Case:
    """q and p of different families."""
    df = log_uniform(rng, 4.5, 1e4)
    sides = {
        "student-t": location_scale(rng, "student-t", df),
        "normal": location_scale(rng, "normal"),
        "laplace": location_scale(rng, "laplace"),
        "logistic": location_scale(rng, "logistic"),
    }
    q, p = rng.sample(sorted(sides), 2)
    case = {
        "q": sides[q](0.0, 1.0),
        "p": sides[p](r(rng.gauss(0.0, 1.0)), log_uniform(rng, 0.5, 2.0)),
    }
    return case | antithetic(rng)


def component(mean: float, sd: float) -> dict[str, Any]:
    return {"mean": mean, "sd": sd}


def mixture_of(shares: list[float], parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"family": "mixture", "weights": simplex(shares), "components": parts}


def mixture(rng: random.Random) -> Case:
    choice = rng.randrange(5)
    extra: dict[str, Any] = {}
    if choice == 0:  # a light component, at another weight in p
        far = r(rng.uniform(4.0, 15.0))
        parts = [component(0.0, 1.0), component(far, log_uniform(rng, 0.1, 2.0))]
        shares = [log_uniform(rng, 1e-9, 1e-3) for _ in range(2)]
        q, p = (mixture_of([1.0 - w, w], parts) for w in shares)
    elif choice == 1:  # sharp and wide components
        sharp = log_uniform(rng, 1e-6, 1e-2)
        q = mixture_of([0.7, 0.3], [component(0.0, 1.0), component(r(rng.gauss(0.0, 1.0)), sharp)])
        p = mixture_of(
            [0.6, 0.4], [component(0.2, 1.2), component(r(rng.gauss(0.0, 1.0)), sharp * 1.5)]
        )
    elif choice == 2:  # far components against one law
        far = r(rng.uniform(3.0, 12.0))
        q = mixture_of([0.5, 0.5], [component(-far, 1.0), component(far, 1.0)])
        p = {"family": "normal", "mean": 0.0, "sd": r(far * rng.uniform(0.8, 1.3))}
        extra = {"antithetic": rng.random() < 0.3}
    elif choice == 3:  # near
        size = log_uniform(rng, 1e-10, 1e-4)
        parts = [component(-1.0, 1.0), component(2.0, 0.5)]
        moved = [component(-1.0 + size, 1.0), component(2.0, 0.5 * (1.0 - size))]
        q, p = mixture_of([0.3, 0.7], parts), mixture_of([0.3 + size, 0.7 - size], moved)
    else:  # three components of several kinds
        q = mixture_of(
            [0.2, 0.5, 0.3],
            [component(r(rng.gauss(0.0, 2.0)), log_uniform(rng, 0.3, 2.0)),
             {"family": "laplace", "location": r(rng.gauss(0.0, 2.0)), "scale": 0.8},
             {"family": "student-t", "df": log_uniform(rng, 3.0, 20.0)}],
        )  # fmt: skip
        p = {"family": "student-t", "df": 3.0, "location": 0.0, "scale": log_uniform(rng, 1.0, 3.0)}
    return {"q": q, "p": p, "extra": extra}


def mixture_border(rng: random.Random) -> Case:
    """Each component has its own border, and the heaviest decides."""
    if rng.random() < 0.5:
        rates = [log_uniform(rng, 1.0, 3.0), log_uniform(rng, 3.0, 8.0)]
        q = mixture_of(
            [0.5, 0.5],
            [
                {"family": "gamma", "shape": log_uniform(rng, 0.5, 10.0), "rate": rate}
                for rate in rates
            ],
        )
        rate = rates[0] * rng.choice([0.5, 0.5 * (1.0 + 1e-3), 0.6, 0.4])
        return {"q": q, "p": {"family": "gamma", "shape": log_uniform(rng, 0.5, 4.0), "rate": rate}}
    q = mixture_of(
        [0.9, 0.1],
        [{"family": "laplace", "location": 0.0, "scale": 1.0},
         {"family": "laplace", "location": 1.0, "scale": log_uniform(rng, 1.0, 2.0)}],
    )  # fmt: skip
    scale = q["components"][1]["scale"] * rng.choice([1.9, 1.99, 1.2, 2.1])
    return {"q": q, "p": {"family": "laplace", "location": 0.5, "scale": scale}}


def product(rng: random.Random) -> Case:
    """Unequal coordinates of one family, or of two; few distinct ones where there are many."""
    length, distinct = rng.choice([(2, 2), (3, 3), (4, 4), (16, 4), (64, 3)])
    names = ["student-t", "laplace", "logistic", "normal"]
    q_name = rng.choice(names)
    p_name = q_name if rng.random() < 0.5 else rng.choice(names)
    rows = []
    for _ in range(distinct):
        size = 1.0 if length < 10 else 0.3
        rows.append(
            (r(size * rng.gauss(0.0, 1.0)), 1.0, 0.0, log_uniform(rng, 0.7, 1.4),
             log_uniform(rng, 9.0, 40.0))
        )  # fmt: skip
    rows = [rows[i % distinct] for i in range(length)]
    columns = [list(c) for c in zip(*rows, strict=True)]

    def side(name: str, location: list[float], scale: list[float]) -> dict[str, Any]:
        if name == "normal":
            return {"family": name, "mean": location, "sd": scale}
        out: dict[str, Any] = {"family": name, "location": location, "scale": scale}
        return out | ({"df": columns[4]} if name == "student-t" else {})

    return {"q": side(q_name, *columns[:2]), "p": side(p_name, *columns[2:4])}


def positive_product(rng: random.Random) -> Case:
    """Unequal gamma or beta coordinates."""
    length = rng.choice([2, 4, 16, 64])
    family, names = rng.choice([("gamma", ("shape", "rate")), ("beta", ("a", "b"))])
    size = rng.choice([1e-8, 1e-3, 0.1, 0.4]) / math.sqrt(length)
    q = {name: [log_uniform(rng, 0.2, 30.0) for _ in range(length)] for name in names}
    p = {name: [x * (1.0 + size * rng.gauss(0.0, 1.0)) for x in q[name]] for name in names}
    return {"q": {"family": family, **q}, "p": {"family": family, **p}}


def mirrored_by_quantile(rng: random.Random) -> Case:
    """Antithetic pairs by u -> 1 - u."""
    extra = {"extra": {"antithetic": True}}
    if rng.random() < 0.5:
        q = {"family": "gamma", "shape": rng.choice([1.0, 2.0, 3.5]), "rate": 1.0}
        p = {
            "family": "gamma",
            "shape": log_uniform(rng, 0.8, 4.0),
            "rate": log_uniform(rng, 0.6, 2.0),
        }
        return {"q": q, "p": p} | extra
    q = {"family": "beta", "a": rng.choice([1.0, 2.0]), "b": rng.choice([1.0, 2.5])}
    p = {"family": "beta", "a": log_uniform(rng, 0.8, 3.0), "b": log_uniform(rng, 0.8, 3.0)}
    return {"q": q, "p": p} | extra


def sobol(rng: random.Random) -> Case:
    """Variances over Sobol' points."""
    points = {"extra": {"sobol": [16, 128, 1024]}}
    choice = rng.randrange(4)
    if choice == 0:
        q, p = component(0.0, 1.0), component(r(rng.gauss(0.0, 1.0)), log_uniform(rng, 0.5, 1.4))
        return {"q": q, "p": p} | points
    if choice == 1:
        side = location_scale(rng, rng.choice(["laplace", "logistic"]))
        return {
            "q": side(r(rng.gauss(0.0, 1.0)), 1.0),
            "p": side(0.0, log_uniform(rng, 0.5, 1.9)),
        } | points
    if choice == 2:
        far = r(rng.uniform(2.0, 11.0))
        q = mixture_of([0.5, 0.5], [component(-far, 1.0), component(far, 1.0)])
        return {"q": q, "p": component(0.0, far)} | points
    parts = [component(0.0, 1.0), component(r(rng.uniform(4.0, 9.0)), log_uniform(rng, 0.05, 1.0))]
    q, p = (
        mixture_of([1.0 - w, w], parts) for w in (log_uniform(rng, 1e-4, 0.1) for _ in range(2))
    )
    return {"q": q, "p": p} | points


def _inside(rng: random.Random, low: float, high: float) -> tuple[float, float]:
    """Two ends within others, which they share now and then, or nearly."""
    width = high - low
    steps = [rng.choice([0.0, 0.0, log_uniform(rng, 1e-12, 0.4)]) for _ in range(2)]
    return r(low + steps[0] * width, 17), r(high - steps[1] * width, 17)


def _uniform(low: float, high: float) -> dict[str, Any]:
    return {"family": "uniform", "low": low, "high": high}


def _triangular(rng: random.Random, low: float, high: float) -> dict[str, Any]:
    mode = rng.choice([low, high, r(low + rng.uniform(0.05, 0.95) * (high - low))])
    return {"family": "triangular", "low": low, "mode": mode, "high": high}


def _smooth(rng: random.Random) -> dict[str, Any]:
    side = {"location": r(rng.gauss(0.0, 1.0)), "scale": log_uniform(rng, 0.3, 3.0)}
    return rng.choice([
        {"mean": side["location"], "sd": side["scale"]},
        {"family": "logistic", **side},
        {"family": "student-t", "df": float(rng.randint(1, 9)), **side},
    ])  # fmt: skip


def bounded_uniform(rng: random.Random) -> Case:
    low = rng.choice([0.0, -1.0, r(rng.gauss(0.0, 10.0))])
    high = r(low + log_uniform(rng, 0.1, 10.0))
    q, p = _uniform(*_inside(rng, low, high)), _uniform(low, high)
    return {"q": q, "p": p, "extra": {"antithetic": True}}


def bounded_triangular(rng: random.Random) -> Case:
    low = rng.choice([0.0, r(rng.gauss(0.0, 3.0))])
    high = r(low + log_uniform(rng, 0.3, 3.0))
    q, p = _triangular(rng, low, high), _triangular(rng, low, high)
    if rng.random() < 0.3:
        q = _uniform(low, high)
    elif rng.random() < 0.4:
        p = _uniform(low, high) if rng.random() < 0.5 else _smooth(rng)
    extra = {"antithetic": True} if q["family"] == "uniform" else {}
    return {"q": q, "p": p, "extra": extra}


def bounded_truncated(rng: random.Random) -> Case:
    base = _smooth(rng)
    low = r(rng.choice([rng.gauss(0.0, 1.0), rng.uniform(3.0, 9.0)]))
    high = rng.choice([math.inf, r(low + log_uniform(rng, 0.2, 3.0))])
    q = {"family": "truncated", "of": base, "low": low, "high": high}
    p = _smooth(rng)
    if high == math.inf:  # tails that fall like q's, but more slowly
        key = "sd" if "sd" in base else "scale"
        p = {**base, key: r(base[key] * rng.uniform(1.0, 2.0))}
    if rng.random() < 0.5:
        p = {"family": "truncated", "of": p, "low": r(low - rng.choice([0.0, 0.5])), "high": high}
    return {"q": q, "p": p}


def bounded_wider(rng: random.Random) -> Case:
    """A q whose support is smaller than that of a smooth p."""
    p = _smooth(rng)
    if rng.random() < 0.3:
        shape = r(rng.uniform(1.2, 6.0))
        q = {"family": "gamma", "shape": shape, "rate": log_uniform(rng, 0.5, 2.0)}
        return {"q": q, "p": {"family": "student-t", "df": 3.0, "location": 1.0, "scale": 2.0}}
    low = r(rng.choice([rng.gauss(0.0, 1.0), rng.uniform(-9.0, 9.0)]))
    return {"q": _uniform(low, r(low + log_uniform(rng, 1e-2, 20.0))), "p": p}


def near_number(rng: random.Random, x: float) -> float:
    """A number that differs by 1e-10 to 1e-3 of itself."""
    return x * (1.0 + log_uniform(rng, 1e-10, 1e-3) * rng.choice([-1, 1]))


def counts(rng: random.Random) -> Case:
    """Counts of one family: rare, near, with other numbers of trials or successes."""
    choice = rng.randrange(6)
    if choice == 0:
        family, sides = "bernoulli", [{"probability": log_uniform(rng, 1e-12, 0.5)}
                                      for _ in range(2)]  # fmt: skip
        if rng.random() < 0.3:
            sides[1] = {"logit": r(rng.uniform(-30.0, 3.0))}
    elif choice == 1:  # near
        n, p = float(rng.choice([2, 10, 100, 1000])), log_uniform(rng, 1e-4, 0.9)
        family, sides = "binomial", [{"n": n, "probability": x} for x in (p, near_number(rng, p))]
    elif choice == 2:  # fewer trials of q, in one factor or in several
        length = rng.choice([1, 1, 2, 3])
        n = [rng.randint(1, 60 // length) for _ in range(length)]
        more = [m + rng.choice([0, 0, 1, 2, 10]) for m in n]
        family, sides = (
            "binomial",
            [
                {"n": [*map(float, m)], "probability": [r(rng.uniform(0.01, 0.95)) for _ in m]}
                for m in (n, more)
            ],
        )
        if rng.random() < 0.2:
            sides[0]["probability"][0] = rng.choice([0.0, 1.0])
        if length == 1:
            sides = [{key: v[0] for key, v in side.items()} for side in sides]
    elif choice == 3:
        family = "negative-binomial"
        sides = [{"r": log_uniform(rng, 0.05, 20.0), "probability": r(rng.uniform(0.2, 0.95))}
                 for _ in range(2)]  # fmt: skip
    elif choice == 4:  # near
        family, first = (
            "negative-binomial",
            (log_uniform(rng, 0.05, 20.0), log_uniform(rng, 0.1, 20)),
        )
        second = [near_number(rng, x) if rng.random() < 0.7 else x for x in first]
        second[1] = near_number(rng, first[1]) if [*first] == second else second[1]
        sides = [dict(zip(("r", "mean"), x, strict=True)) for x in (first, second)]
    else:
        family, n = "beta-binomial", rng.randint(1, 200)
        a, b = (log_uniform(rng, 0.05, 20.0) for _ in range(2))
        sides = [{"n": float(n), "a": a, "b": b}]
        sides.append({"n": float(n + rng.choice([0, 0, 3])), "a": near_number(rng, a),
                      "b": b if rng.random() < 0.5 else log_uniform(rng, 0.05, 20.0)})  # fmt: skip
    return {"q": {"family": family, **sides[0]}, "p": {"family": family, **sides[1]}}


def counts_across(rng: random.Random) -> Case:
    """Counts of two families."""
    mean = log_uniform(rng, 0.1, 10.0)
    n = float(math.ceil(mean) + rng.randint(1, 20))
    poisson = {"family": "poisson", "rate": r(mean * rng.uniform(0.7, 1.4))}
    failures = {"family": "negative-binomial", "r": log_uniform(rng, 0.5, 1e4), "mean": mean}
    trials = {"family": "binomial", "n": n, "probability": r(mean / n)}
    mixed = {"family": "beta-binomial", "n": n, "a": log_uniform(rng, 0.2, 9.0), "b": 1.5}
    first = {"family": "geometric", "probability": r(rng.uniform(0.2, 0.9))}
    q, p = rng.choice([(poisson, failures), (failures, poisson), (trials, poisson),
                       (trials, failures), (trials, mixed), (mixed, trials), (mixed, failures),
                       (first, failures), (first, poisson), (poisson, first)])  # fmt: skip
    return {"q": q, "p": p}


def categories(rng: random.Random) -> Case:
    """Vectors of independent categoricals, some rows alike."""
    n, rows = rng.choice([2, 3, 5]), rng.randint(2, 6)
    q = [with_rare(rng, n) for _ in range(rows)]
    p = [near(rng, row) if rng.random() < 0.5 else with_rare(rng, n) for row in q]
    for row in q if rng.random() < 0.5 else ():  # q = 0 in several factors
        row[rng.randrange(n)] = 0.0
    q = [simplex(row) for row in q]
    if rng.random() < 0.4:
        q[-1], p[-1] = q[0], p[0]
    return {"q": {"family": "categorical", "probabilities": q},
            "p": {"family": "categorical", "probabilities": p}}  # fmt: skip


def image(rng: random.Random) -> Case:
    """Laws that are bijections of gamma, normal, logistic and beta laws: near, apart, across."""
    choice = rng.randrange(3)
    if choice == 2:  # in log x the tails of p are no lighter than those of q, or E e^(k log x) is
        families = ["lognormal", "gamma", "weibull", "half-normal", "exponential", "rayleigh"]
        q, p = rng.sample(families, 2)
        p = rng.choice([p, p, "log-logistic", "lomax"])
        return {"q": _positive(rng, q), "p": _positive(rng, p)}
    family = rng.choice(
        ["lognormal", "weibull", "frechet", "inverse-gamma", "half-normal", "log-logistic", "lomax"]
    )
    q = _positive(rng, family)
    size = log_uniform(rng, 1e-10, 1e-3) if choice == 0 else 0.3
    p = {
        key: value if key == "family" else value * (1.0 + size * rng.uniform(-1.0, 1.0))
        for key, value in q.items()
    }
    if family == "frechet":  # E e^(k' log(1 / x)) must exist
        p["shape"] = min(p["shape"], q["shape"] * 1.2)
    return {"q": q, "p": p}


def _positive(rng: random.Random, family: str) -> dict[str, Any]:
    """A law of positive numbers."""
    scale = log_uniform(rng, 1e-3, 1e3) if rng.random() < 0.3 else log_uniform(rng, 0.3, 3.0)
    shape = log_uniform(rng, 0.5, 8.0)
    numbers = {
        "lognormal": {"mean": r(rng.gauss(0.0, 1.0)), "sd": log_uniform(rng, 0.2, 2.0)},
        "gamma": {"shape": shape, "rate": scale},
        "exponential": {"rate": scale},
        "half-normal": {"scale": scale},
        "rayleigh": {"scale": scale},
    }.get(family, {"shape": shape, "scale": scale})
    return {"family": family, **numbers}


KINDS: list[tuple[str, float, Callable[[random.Random], Case]]] = [
    ("categorical-rare", 30, categorical_rare),
    ("categorical-near", 18, categorical_near),
    ("categorical-far", 18, categorical_far),
    ("poisson", 26, poisson),
    ("gamma", 24, gamma),
    ("gamma-border", 8, gamma_border),
    ("beta", 18, beta),
    ("dirichlet", 18, dirichlet),
    ("normal", 30, normal),
    ("covariance", 20, covariance),
    ("policy", 32, policy),
    ("student-t", 16, student_t),
    ("student-t-border", 9, student_t_border),
    ("laplace", 16, laplace),
    ("across", 16, across),
    ("mixture", 20, mixture),
    ("mixture-border", 6, mixture_border),
    ("product", 14, product),
    ("positive-product", 10, positive_product),
    ("mirrored-by-quantile", 4, mirrored_by_quantile),
    ("sobol", 8, sobol),
    ("bounded-uniform", 6, bounded_uniform),
    ("bounded-triangular", 12, bounded_triangular),
    ("bounded-truncated", 14, bounded_truncated),
    ("bounded-wider", 12, bounded_wider),
    ("counts", 24, counts),
    ("counts-across", 14, counts_across),
    ("counts-of-categories", 6, categories),
    ("image", 28, image),
]


def published() -> Iterator[Pair]:
    """The pairs of the documentation, each with the numbers that it states."""

    def pair(name: str, q: Any, p: Any, numbers: dict[str, float], **more: Any) -> Pair:
        extra = {key: more.pop(key) for key in ("antithetic", "sobol", "uncounted") if key in more}
        return {
            "name": f"published-{name}", "kind": "published", "case": {**more, "q": q, "p": p},
            "published": numbers, **extra,
        }  # fmt: skip

    def choice(*values: float) -> dict[str, Any]:
        return {"family": "categorical", "probabilities": list(values)}

    def tokens(*rows: list[float]) -> dict[str, Any]:
        return {"family": "policy", "transitions": list(rows)}

    def t(df: float) -> dict[str, Any]:
        return {"family": "student-t", "df": df, "location": 0.0, "scale": 1.0}

    def two(first: Any, second: Any, light: float) -> dict[str, Any]:
        return {"family": "mixture", "weights": [1.0 - light, light], "components": [first, second]}

    yield pair(
        "rare-event", choice(1 - 1e-9, 1e-9), choice(0.999, 0.001),
        {"iid.k3.1": 999.970368197, "iid.k3.2": 31622.7766},
    )  # fmt: skip
    yield pair(
        "rare-token", choice(0.5, 0.49999, 1e-5), choice(0.51, 0.489999999, 1e-9),
        {"iid.k3.1": 6.74073761195e-4},
    )  # fmt: skip
    yield pair(
        "poisson", {"family": "poisson", "rate": 1e-8}, {"family": "poisson", "rate": 1e-4},
        {"iid.k3.1": 1.71589721807},
    )  # fmt: skip
    yield pair(
        "rare-tokens", tokens([1 - 1e-9, 1e-9], [0.5, 0.5]), tokens([1 - 1e-4, 1e-4], [0.5, 0.5]),
        {"iid.k3.1": 214.954495332}, initial=[1.0, 0.0], dimension=4,
    )  # fmt: skip
    light = component(0.0, 1.0), component(10.0, 1.0)
    yield pair("light-mixture", two(*light, 1e-9), two(*light, 1e-4), {"iid.k3.1": 9.97760898423})
    unit = {"mean": 0.0, "sd": 1.0}
    yield pair("nearly-normal", t(1e6), unit, {"iid.k3.1": 1.113849348e-21})
    yield pair("far-peak", t(300.0), {"mean": 0.0, "sd": 2.0}, {"iid.k3.1": 3.838414e12})
    yield pair("power-tail", t(2.0001), unit, {"l.kl": 9999.458688})
    far = two(component(-10.0, 1.0), component(10.0, 1.0), 0.5)
    yield pair(
        "jump", far, {"mean": 0.0, "sd": 10.0}, {"sobol.k1.16384": 1.4175098e-8},
        sobol=[16, 256, 2048, 16384],
    )  # fmt: skip
    yield pair(
        "kernels", {"mean": 0.0, "covariance": kernel(0.5)},
        {"mean": 0.0, "covariance": kernel(0.6)}, {"l.kl": 62.02559309}, uncounted=True,
    )  # fmt: skip
    gammas = two(
        {"family": "gamma", "shape": 1.0, "rate": 5.0},
        {"family": "gamma", "shape": 10.0, "rate": 1.0}, 0.5,
    )  # fmt: skip
    yield pair(
        "border-of-mixture", gammas, {"family": "gamma", "shape": 2.0, "rate": 0.5},
        {"l.second_moment_of_r": 141.773455},
    )  # fmt: skip
    yield pair(
        "chain", tokens([0.7, 0.3], [0.4, 0.6]), tokens([0.5, 0.5], [0.5, 0.5]),
        {
            "l.kl": 1.1510153, "iid.k1.1": 2.388919, "iid.rb.1": 0.0318989,
            "iid.k3-factor.1": 0.0195855, "iid.cv-factor.1": 0.0133546, "iid.k3.1": 5.263245,
            "iid.k2-factor.0": -0.0439722, "iid.k2.0": 0.7058624,
        },
        initial=[1.0, 0.0], dimension=20,
    )  # fmt: skip
    yield pair(
        "correlated", {"mean": [0.0, 0.0], "covariance": [[1.0, 0.75], [0.75, 1.0]]},
        {"mean": [0.0, 0.0], "covariance": [[1.0, 0.0], [0.0, 1.0]]},
        {"l.kl": 0.4133393, "l.variance": 0.5625}, antithetic=True,
    )  # fmt: skip
    # The samples for an error of 1 % of KL, 2, are the variance divided by 0.0004.
    yield pair(
        "wide", {"mean": [0.25] * 64, "sd": [1.0] * 64}, {"mean": [0.0] * 64, "sd": [1.0] * 64},
        {
            "l.kl": 2.0, "iid.k1.1": 4.0, "iid.k3-factor.1": 0.1276, "iid.k3.1": 49.598,
            "iid.cv.1": 3.7015,
        }, antithetic=True,
    )  # fmt: skip
    yield pair(
        "bernoulli-12", {"family": "categorical", "logits": [0.0, 0.0]},
        {"family": "categorical", "logits": [0.0, 12.0]}, {"l.kl": 5.30685896363},
    )  # fmt: skip
    yield pair(
        "bernoulli-17", {"family": "categorical", "logits": [0.0, 0.0]},
        {"family": "categorical", "logits": [0.0, 17.0]}, {"l.kl": 7.80685286084},
    )  # fmt: skip
    yield pair(
        "logits-750", {"family": "categorical", "logits": [0.0, 0.0]},
        {"family": "categorical", "logits": [0.0, 750.0]}, {"l.kl": 374.3068528},
    )  # fmt: skip
    yield pair(
        "small-shapes", {"family": "gamma", "shape": 0.002, "rate": 0.002},
        {"family": "gamma", "shape": 0.003, "rate": 0.003}, {"l.kl": 0.0943193162},
    )  # fmt: skip
