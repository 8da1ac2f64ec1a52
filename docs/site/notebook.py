"""Makes a Jupyter notebook of a page with examples, runs it, and compares what it prints.

The examples of a page (`>>>`) become cells, its other text and its pictures stand between them. So
the notebook needs no other file. Its outputs must be those that the page shows.
"""

from __future__ import annotations

import base64
import doctest
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

_EXAMPLES = re.compile(r"```python\n(>>>.*?)```\n", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:)[^)]+\)")
_SECONDS = 120  # the longest that a cell may take


def prose(text: str, folder: Path) -> NotebookNode:
    """A cell with text, whose pictures are within the cell; links to other pages are mere words."""
    pictures = {}

    def attached(match: re.Match[str]) -> str:
        file = folder / match[1]
        data = base64.b64encode(file.read_bytes()).decode("ascii")
        pictures[file.name] = {"image/png": data}
        return match[0].replace(match[1], f"attachment:{file.name}")

    text = _PICTURE.sub(attached, _LINK.sub(r"\1", text.strip()))
    return new_markdown_cell(text, **({"attachments": pictures} if pictures else {}))


def cells(page: Path) -> tuple[list[NotebookNode], list[str]]:
    """The cells of a page, and what each is expected to print."""
    made, wanted = [], []
    parser = doctest.DocTestParser()
    for i, part in enumerate(_EXAMPLES.split(page.read_text("utf-8"))):
        if i % 2 == 0:
            if part.strip():
                made.append(prose(part, page.parent))
                wanted.append("")
            continue
        lines: list[str] = []
        examples = parser.get_examples(part)
        for example in examples:
            lines.append(example.source.rstrip())
            if example.want or example is examples[-1]:
                made.append(new_code_cell("\n".join(lines)))
                wanted.append(example.want.strip())
                lines = []
    return made, wanted


def printed(cell: NotebookNode) -> str:
    """What a cell printed, and its value."""
    texts = [out.get("text") or out["data"]["text/plain"] for out in cell.get("outputs", [])]
    return "".join(texts).strip()


def write(page: Path, file: Path) -> None:
    """Write the notebook of a page, run; ValueError if a cell prints other than the page shows."""
    made, wanted = cells(page)
    notebook = new_notebook(cells=made)
    notebook.metadata["kernelspec"] = {
        "name": "python3", "display_name": "Python 3", "language": "python"
    }  # fmt: skip
    # Equal pages make equal files.
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    with TemporaryDirectory() as sockets:  # no port is opened
        kernel = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=str(Path(sockets) / "kernel")
        )
        NotebookClient(notebook, timeout=_SECONDS, km=kernel).execute()
    for cell, want in zip(notebook.cells, wanted, strict=True):
        cell.metadata.pop("execution", None)  # times
        if cell.cell_type == "code" and printed(cell) != want:
            raise ValueError(f"{page}: {cell.source!r} printed {printed(cell)!r}, not {want!r}")
    nbformat.write(notebook, file)
