"""Numbers and names as text: what messages, the terminal, figures and pages have in common."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_TIMES = (
    (1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"),
    (86400.0, "days"), (31557600.0, "years"),
)  # fmt: skip
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")


def number(value: float) -> str:
    """The shortest text of a number that reads back as the same number; 1 for 1.0.

    >>> number(1.0), number(0.1)
    ('1', '0.1')
    """
    return repr(float(value)).removesuffix(".0")


def with_shapes(name: str, shapes: Iterable[float]) -> str:
    """A family with its shape parameters, as in the config.

    >>> with_shapes("student-t", [5.0]), with_shapes("laplace", [])
    ('student-t(5)', 'laplace')
    """
    inside = ", ".join(map(number, shapes))
    return f"{name}({inside})" if inside else name


def count(n: float, *, exponent_from: float = 1e6) -> str:
    """A whole number with commas, or with an exponent where it is large.

    >>> count(16384), count(2_100_000), count(2_100_000, exponent_from=1e9)
    ('16,384', '2.10e6', '2,100,000')
    """
    if n < exponent_from:
        return f"{n:,.0f}"
    return f"{n:.2e}".replace("e+0", "e").replace("e+", "e")


def counted(n: int, noun: str) -> str:
    """So many of something.

    >>> counted(1, "job"), counted(1200, "job")
    ('1 job', '1,200 jobs')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def size(n: float) -> str:
    """Bytes in the unit that suits them.

    >>> size(1_234_000)
    '1 MB'
    """
    for unit in _BYTES:
        if n < 1000 or unit == _BYTES[-1]:
            break
        n /= 1000
    return f"{n:.0f} {unit}"


def duration(seconds: float, *, finest: str = "s") -> str:
    """A time in the unit that suits it: whole seconds and more, or two digits of finer units.

    >>> duration(90), duration(0.0234, finest="ms"), duration(3.1e-5, finest="ns")
    ('90 s', '23 ms', '31 µs')
    """
    names = [name for _, name in _TIMES]
    known = _TIMES[names.index(finest) :]
    # 995 ms and 119 s, 119 min, 47 h, 730 days are the most of their units.
    passed = sum(seconds >= (0.995 if unit <= 1.0 else 2.0) * unit for unit, _ in known[1:])
    unit, name = known[passed]
    value = seconds / unit
    return f"{value:.2g} {name}" if finest != "s" and value < 10 else f"{value:.0f} {name}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words in a row.

    >>> listed("abc"), listed("ab", "or"), listed([])
    ('a, b and c', 'a or b', '')
    """
    *front, end = list(words) or [""]
    return f"{', '.join(front)} {last} {end}" if front else end


def nearest(word: object, known: Iterable[str]) -> str:
    """What may have been meant by a name that is none.

    >>> nearest("sobl", ["iid", "sobol"]), nearest("x", ["iid", "sobol"])
    ("did you mean 'sobol'?", 'expected one of iid, sobol')
    """
    names = [*known]
    close = difflib.get_close_matches(str(word), names, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else f"expected one of {', '.join(names)}"
