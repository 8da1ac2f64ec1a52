"""The paper cites what its bibliography has, and keeps to the journal's form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "paper" / "paper.md").read_text("utf-8")


def test_every_citation_is_in_the_bibliography_and_the_other_way_round(
    root: Path, text: str
) -> None:
    entries = re.findall(r"(?m)^@\w+\{(\w+),$", (root / "paper" / "paper.bib").read_text("utf-8"))
    cited = re.findall(r"@([A-Z]\w+|mpmath)\b", text)
    assert {*cited} == {*entries}
    assert len(entries) == len({*entries}) > 10


def test_the_paper_has_the_journals_form(text: str) -> None:
    _, head, body = text.split("---\n", 2)
    about = yaml.safe_load(head)
    assert {"title", "tags", "authors", "affiliations", "date", "bibliography"} <= {*about}
    titles = re.findall(r"(?m)^# (.+)$", body)
    assert {"Summary", "Statement of need", "State of the field", "References"} <= {*titles}
    assert 250 <= len(body.split()) <= 1750  # words that the journal takes


def test_the_paper_is_made_from_its_template(root: Path, text: str) -> None:
    template = (root / "paper" / "template.md").read_text("utf-8")
    pieces = re.split(r"\{\{.*?\}\}", template)
    assert len(pieces) > 15
    pattern = ".{0,20}".join(re.escape(piece) for piece in pieces)
    assert re.fullmatch(pattern, text, re.DOTALL)
