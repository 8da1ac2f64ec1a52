"""Assembles the sources of the site from docs, the project's pages and the results of a study.

`make site` runs `python docs/site/assemble.py FOLDER RESULTS`. docs/README.md lists the pages, and
each of its sections becomes a page of links. A link to another file of the repository becomes a
link to a copy of that file. The gallery shows the study's figures with their captions.
"""

import re
import shutil
import sys
from pathlib import Path

import notebook

import mckl
from mckl.show.figures import FIGURES, QUESTIONS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CONSTANT = ROOT / "build/docs"  # what is the same for every config
TUTORIAL = DOCS / "tutorial/notebook.md"
LINK = re.compile(r"(\]\(|\{literalinclude\} )([^)#\s]+)")
FIGURES_AND_NUMBERS = """
## Figures and numbers

- [Gallery](gallery.rst): the figures of the default study, with their captions
- [Numbers](gallery.rst#numbers): the tables, the report and the explorer of the default study
"""
PAGES = {
    ROOT / "results/README.md": "reference/tables.md",
    ROOT / "CONTRIBUTING.md": "project/contributing.md",
    ROOT / "SECURITY.md": "project/security.md",
    ROOT / "CHANGELOG.md": "project/changelog.md",
    DOCS / "README.md": "index.md",
}


def pages() -> dict[Path, str]:
    """The site's pages by their files in the repository."""
    return PAGES | {p: str(p.relative_to(DOCS)) for p in DOCS.glob("*/*.md")}


def moved(text: str, file: Path, place: Path, folder: Path) -> str:
    """The text of a page whose links lead to the site's pages, or to copies of files."""
    up = "../" * len(place.relative_to(folder).parent.parts)

    def link(match: re.Match[str]) -> str:
        target = (file.parent / match[2]).resolve()
        if not target.is_file() or match[2].startswith("http"):
            return match[0]  # Sphinx reports what does not exist
        if target in pages():
            return match[1] + up + pages()[target]
        copy = folder / "files" / target.relative_to(ROOT)
        if target.is_relative_to(DOCS):
            copy = folder / target.relative_to(DOCS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, copy)
        return match[1] + up + str(copy.relative_to(folder))

    return LINK.sub(link, text)


def sections(text: str) -> dict[str, str]:
    """The sections of the index by their titles."""
    return dict(part.split("\n\n", 1) for part in text.split("\n## ")[1:])


def contents(names: list[str]) -> str:
    """A table of contents for the menus alone."""
    return "\n```{toctree}\n:hidden:\n\n" + "\n".join(names) + "\n```\n"


def gallery(folder: Path, results: Path) -> str:
    """The page with every figure that there is, by question, and the numbers behind them."""
    (folder / "gallery").mkdir()
    text = "Gallery\n=======\n\nThe figures of the default study, by question, with the captions "
    text += "that its run wrote, and the tables behind them.\n"
    for question in QUESTIONS:
        shown = []
        for name, figure in FIGURES.items():
            drawn, tables = results / "figures", results / "tables"
            if figure.constant:
                drawn, tables = CONSTANT / "figures", CONSTANT
            if figure.question == question and (drawn / f"{name}.svg").exists():
                shutil.copy(drawn / f"{name}.svg", folder / "gallery")
                files = [("figures", drawn / f"{name}.{kind}") for kind in ("svg", "png", "pdf")]
                files += [("tables", tables / f"{table}.parquet") for table in figure.tables]
                links = [published(file, folder, part) for part, file in files]
                title = f"{name}: {figure.shows}"
                caption = (drawn / f"{name}.rst").read_text("utf-8").strip()
                shown += [
                    f"{title}\n{'^' * len(title)}\n",
                    f".. image:: gallery/{name}.svg\n   :alt: {figure.shows}\n",
                    f"{caption}\n\n{' · '.join(links)}\n",
                ]
        if shown:
            text += "\n".join(["", f"{question}\n{'-' * len(question)}\n", *shown])
    return text + numbers(folder, results)


def published(file: Path, folder: Path, part: str = "") -> str:
    """A link to a file of the results that the site has, too."""
    place = Path("results") / part / file.name
    (folder / "extra" / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, folder / "extra" / place)
    return f"`{file.name} <{place}>`__"


def numbers(folder: Path, results: Path) -> str:
    """The gallery's links to the pages and tables of the run."""
    lines = ["", ".. _numbers:", "", "Numbers", "-------", ""]
    lines += ["The run wrote two pages, which open from disk as well:", ""]
    for name, what in (
        ("report.html", "figures by question, and the provenance of every file"),
        ("explorer.html", "every setting, to browse"),
        ("verified.txt", "what was compared with theory"),
        ("manifest.json", "command, config, versions and digests"),
    ):
        lines.append(f"- {published(results / name, folder)}: {what}")
    lines += ["", "Its tables are Parquet (see :doc:`reference/tables`):", ""]
    for table in sorted((results / "tables").glob("*.parquet")):
        if table.stem != "traces":  # tens of megabytes
            lines.append(f"- {published(table, folder, 'tables')}")
    return "\n".join([*lines, ""])


def names() -> str:
    """The page of the public names of the package, from their docstrings."""
    text = "Names in Python\n===============\n\n.. currentmodule:: mckl\n"
    for name in sorted(set(mckl.__all__) - {"__version__"}, key=str.lower):
        kind = "autoclass" if isinstance(getattr(mckl, name), type) else "autofunction"
        text += f"\n{name}\n{'-' * len(name)}\n\n.. {kind}:: {name}\n"
        text += "   :members:\n" if kind == "autoclass" else ""
    return text


def assemble(folder: Path, results: Path) -> None:
    """Write all sources of the site into a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(DOCS / "site/conf.py", folder)
    (folder / "static").mkdir()
    shutil.copy(DOCS / "site/site.css", folder / "static")
    for file, name in pages().items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(moved(file.read_text("utf-8"), file, place, folder), "utf-8")
    page = folder / pages()[TUTORIAL]
    notebook.write(TUTORIAL, page.with_suffix(".ipynb"))
    title, text = page.read_text("utf-8").split("\n", 1)
    link = f"[Download this page as a Jupyter notebook]({page.stem}.ipynb)"
    page.write_text(
        f"{title}\n\n{link}: it has been run, and needs `pip install mckl`.\n{text}", "utf-8"
    )
    index = folder / "index.md"
    menu = []
    for title, links in sections(index.read_text("utf-8")).items():
        part = title.lower().replace(" ", "-")
        listed = re.findall(r"\]\((\S+)\.md", links) + ["reference/names"] * (part == "reference")
        inside = links.replace(f"]({part}/", "](")
        beside = [name.removeprefix(f"{part}/") for name in listed]
        page = f"# {title}\n\n{inside}{contents(beside)}"
        (folder / part / "index.md").write_text(page, "utf-8")
        menu.append(f"{part}/index")
    (folder / "gallery.rst").write_text(gallery(folder, results), "utf-8")
    (folder / "reference/names.rst").write_text(names(), "utf-8")
    menu.insert(1, "gallery")
    index.write_text(index.read_text("utf-8") + FIGURES_AND_NUMBERS + contents(menu), "utf-8")


if __name__ == "__main__":
    assemble(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
