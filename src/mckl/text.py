"""Formats numbers and names as text, for messages, the terminal, figures and pages."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence

_TIMES = (
    (1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"), (60.0, "min"), (3600.0, "h"),
    (86400.0, "days"), (31557600.0, "years"),
)  # fmt: skip
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


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


def count(n: float, *, digits_below: float = 1e6) -> str:
    """A whole number as one says it, with every digit where it is small.

    >>> count(16384), count(16_384_000), count(5.158e11), count(4.2e16)
    ('16,384', '16.4 million', '516 billion', '4.2 × 10¹⁶')
    >>> count(16_384_000, digits_below=1e9)
    '16,384,000'
    """
    if n < digits_below:
        return f"{n:,.0f}"
    for unit, name in ((1e6, "million"), (1e9, "billion")):
        value = float(f"{n / unit:.3g}")
        if value < 1000:
            return f"{value:g} {name}"
    return two_digits(n)


def short_count(n: float, *, digits_below: float = 1e6) -> str:
    """A whole number for a table, in powers of ten where it is large.

    >>> short_count(999_999), short_count(16_384_000)
    ('999,999', '1.6 × 10⁷')
    """
    return f"{n:,.0f}" if n < digits_below else two_digits(n)


def rounded(n: float) -> str:
    """A number of samples to two significant digits, at least 1.

    >>> rounded(643_210), rounded(4.2e16), rounded(0.3), rounded(math.inf)
    ('640,000', '4.2 × 10¹⁶', '1', 'infinitely many')
    """
    if not math.isfinite(n):
        return "infinitely many"
    n = max(n, 1.0)
    if n >= 1e9:
        return two_digits(n)
    digits = 1 - math.floor(math.log10(n))
    return f"{round(n, min(digits, 0)):,.0f}"


def multiple(value: float) -> str:
    """How many times as much something is, to three digits.

    >>> multiple(1.2345), multiple(5_484), multiple(999.7), multiple(2_104_000)
    ('1.23', '5,480', '1,000', '2.1 million')
    """
    kept = float(f"{value:.3g}")
    return f"{kept:g}" if kept < 1000 else count(kept)


def power_of_ten(exponent: int) -> str:
    """A power of ten as a reader writes it.

    >>> power_of_ten(-3)
    '10⁻³'
    """
    return f"10{str(exponent).translate(_RAISED)}"


def digits(value: float, most: int) -> str:
    """A quantity to at most a number of digits, without the zeros at its end.

    >>> digits(0.0123, 4), digits(1.4526e-6, 3), digits(1e-6, 3), digits(math.inf, 3)
    ('0.0123', '1.45 × 10⁻⁶', '10⁻⁶', 'inf')
    """
    mantissa, _, power = f"{value:.{most}g}".partition("e")
    if not power:
        return mantissa
    return f"{mantissa} × {power_of_ten(int(power))}".removeprefix("1 × ")


def two_digits(value: float) -> str:
    """A quantity to two digits, as a reader writes it.

    >>> two_digits(0.0312), two_digits(12), two_digits(5.4e12), two_digits(math.inf)
    ('0.031', '12', '5.4 × 10¹²', 'inf')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    if not math.isfinite(value):
        return f"{value:g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits} × {power_of_ten(int(power))}"


def counted(n: int, noun: str) -> str:
    """A number and its noun, in the plural unless the number is 1.

    >>> counted(1, "job"), counted(1200, "job")
    ('1 job', '1,200 jobs')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def size(n: float) -> str:
    """A number of bytes in a readable unit.

    >>> size(1_234_000)
    '1 MB'
    """
    for unit in _BYTES:
        if n < 1000 or unit == _BYTES[-1]:
            break
        n /= 1000
    return f"{n:.0f} {unit}"


def duration(seconds: float, *, finest: str = "s") -> str:
    """A time in a readable unit: a whole number, or two digits where `finest` is below a second.

    >>> duration(90), duration(0.0234, finest="ms"), duration(3.1e-5, finest="ns")
    ('90 s', '23 ms', '31 µs')
    """
    names = [name for _, name in _TIMES]
    known = _TIMES[names.index(finest) :]
    # The largest values shown in each unit are 995 ms, 119 s, 119 min, 47 h and 730 days.
    passed = sum(seconds >= (0.995 if unit <= 1.0 else 2.0) * unit for unit, _ in known[1:])
    unit, name = known[passed]
    value = seconds / unit
    return f"{value:.2g} {name}" if finest != "s" and value < 10 else f"{value:.0f} {name}"


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words joined by commas, with `last` before the last one.

    >>> listed("abc"), listed("ab", "or"), listed([])
    ('a, b and c', 'a or b', '')
    """
    *front, end = list(words) or [""]
    return f"{', '.join(front)} {last} {end}" if front else end


def some(names: Sequence[str], separator: str = ", ") -> str:
    """The first five names, and how many more there are.

    >>> some("abc"), some("abcdefg", "; ")
    ('a, b, c', 'a; b; c; d; e and 2 more')
    """
    more = len(names) - 5
    return separator.join(names[:5]) + (f" and {more} more" if more > 0 else "")


def quoted(value: object) -> str:
    """What the user gave in quotation marks, cut to its first 60 characters.

    >>> quoted("sobl"), quoted(["k1"])
    ("'sobl'", "'['k1']'")
    """
    text = plain(value)
    return f"'{text[:60]}...'" if len(text) > 60 else f"'{text}'"


def plain(value: object) -> str:
    """A value as text; the name of its class if it has none, as an integer of 5,000 digits."""
    try:
        return str(value)
    except Exception:
        return f"an object of class {type(value).__name__}"


def shortened(text: str, most: int = 200) -> str:
    """The text; if it has more than `most` characters, only its two ends.

    >>> shortened("abcdefghij", 9)
    'abc...hij'
    """
    kept = (most - 3) // 2
    return text if len(text) <= most else f"{text[:kept]}...{text[-kept:]}"


_MOST_NAMES = 24  # that a message lists


def nearest(word: object, known: Iterable[str]) -> str:
    """A hint for an unknown name: the known name nearest to it, or else all known names.

    >>> nearest("sobl", ["iid", "sobol"]), nearest("x", ["iid", "sobol"])
    ("did you mean 'sobol'?", 'expected one of iid, sobol')
    """
    names = [*known]
    close = difflib.get_close_matches(plain(word)[:60], names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    expected = f"expected one of {', '.join(names[:_MOST_NAMES])}"
    left_out = len(names) - _MOST_NAMES
    return f"{expected} and {left_out} others" if left_out > 0 else expected
