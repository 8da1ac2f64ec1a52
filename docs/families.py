"""Writes the table of families, from what they say of themselves; `make docs` runs it.

`python docs/families.py PAGE` puts the table between the two comments of the page.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mckl.cli.family_list import ListedFamily, listed_families

PLACE = re.compile(r"(<!-- families, by `make docs` -->\n).*?(<!-- end -->)", re.DOTALL)


def names(family: ListedFamily) -> str:
    """The parameters, each with its other names."""
    parts = []
    for name in family.parameters:
        others = [
            f"{other}*" if other in family.converted else other
            for other in family.other_names.get(name, ())
        ]
        parts.append(f"**{name}**" + (f" ({', '.join(others)})" if others else ""))
    return "; ".join(parts).replace("_", "\\_")


def table() -> Iterator[str]:
    """The rows of the table in Markdown."""
    yield "| family | parameters (other names) | values | samplers | finite moments | source |"
    yield "|---|---|---|---|---|---|"
    for family in listed_families():
        name = f"`{family.name}`" + (" ↔" if family.sweep else "")
        samplers = ", ".join(family.samplers)
        cells = [name, names(family), family.support, samplers, family.moments, family.source]
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    rows = "".join(f"{row}\n" for row in table())
    page.write_text(PLACE.sub(lambda m: m[1] + rows + m[2], page.read_text("utf-8")), "utf-8")
