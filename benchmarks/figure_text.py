"""Prints the size of figures in millimetres and of their smallest text in points, from the SVG.

Run with folders of figures: python benchmarks/figure_text.py results/figures build/docs/figures
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

SVG = "{http://www.w3.org/2000/svg}"
MM = 25.4 / 72  # a point in millimetres


class Printed(NamedTuple):
    """A figure as it is printed: its size in millimetres, and each text with its size in points."""

    width: float
    height: float
    title: str
    description: str
    texts: list[tuple[float, str]]


def printed(path: Path) -> Printed:
    """What an SVG file says of itself; Matplotlib's units are points."""
    root = ET.parse(path).getroot()
    width, height = (
        MM * float(root.attrib[side].removesuffix("pt")) for side in ("width", "height")
    )
    texts = []
    for text in root.iter(f"{SVG}text"):
        sizes = [
            float(size)
            for part in text.iter()
            for size in re.findall(r"font(?:-size)?:[^;]*?([\d.]+)px", part.get("style", ""))
        ]
        texts.append((min(sizes), "".join(text.itertext()).strip()))
    title, description = (root.findtext(f"{SVG}{tag}") or "" for tag in ("title", "desc"))
    return Printed(width, height, title, description, texts)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        for path in sorted(Path(folder).glob("*.svg")):
            figure = printed(path)
            size, text = min(figure.texts)
            print(
                f"{path.stem:24} {figure.width:5.1f} x {figure.height:5.1f} mm, "
                f"{len(figure.texts):4} texts from {size:.1f} pt ({text!r})"
            )
