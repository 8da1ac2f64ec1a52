"""A name from a config stands for itself in paths, shells, HTML, captions and figures."""

from __future__ import annotations

import html
import re
import shlex
from pathlib import Path

import pytest
from docutils.core import publish_parts
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text

from mckl.errors import UserError
from mckl.show.captions import render
from mckl.study.config import parse

PAIR = {"q": {"mean": 0, "sd": 1}, "p": {"mean": 1, "sd": 1}}
NAMES = st.one_of(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    st.sampled_from(["a_", "a__", "a_b_", "a..", "a.-", "con", "a" * 19, "constructor"]),
)


def chunk_of(name, schema):
    """The name of the job of a case."""
    (chunk,) = (
        chunk
        for chunk, settings in parse({"cases": {name: PAIR}}, schema).chunks["numpy"].items()
        if settings[0].case == name
    )
    return chunk


@given(name=NAMES)
def test_a_permitted_name_stands_for_itself(name, schema, tmp_path_factory):
    try:
        chunk = chunk_of(name, schema)
    except UserError as error:
        assert "20 repetitions" in str(error)  # noqa: PT017 - most names are parsed
        return
    path = Path("/results/traces/numpy") / f"{chunk}.parquet"
    assert path.resolve().parent == Path("/results/traces/numpy")
    assert shlex.quote(name) == name
    assert html.escape(name) == name
    assert not is_math_text(name)
    caption = tmp_path_factory.getbasetemp() / "caption.rst"
    render(
        "At most {{ name }}, {{ names | join(', ') }}.", {"name": name, "names": [name]}, caption
    )
    body = publish_parts(caption.read_text(), writer="html")["body"]
    assert html.unescape(re.sub("<[^>]*>", "", body)).strip() == f"At most {name}, {name}."


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../x", "a/b", "/etc/passwd", "a\\b", "~root", "-rf", "a b", "a\tb", "a\0",
     "$(id)", "`id`", "a;id", "a|id", "a&b", "a>b", "<script>", "a<b", "&lt;", '"', "'", "$x$",
     r"\alpha", "{chunk}", "{{ 7 * 7 }}", "%s", "a*", "a?", "a[b]", "a:b", "a=b", "a#b", "a@b",
     "ä", "a\u202eb", "a\u2028", "a\x1b[31m", "a\n", "\na"],
)  # fmt: skip
def test_any_other_name_is_refused(name, schema):
    with pytest.raises(UserError, match=r"^cases: ") as caught:
        parse({"cases": {name: PAIR}}, schema)
    assert str(caught.value).isprintable()
