"""Prepares a release, checks that a tag and the files agree, and prints a release's notes.

    python .ci/release.py 1.2.3 --repository https://HOST/OWNER/NAME
    python .ci/release.py --check v1.2.3
    python .ci/release.py --notes

The version stands in src/mckl/__init__.py, CHANGELOG.md, CITATION.cff, .zenodo.json and two pages;
the repository's address in pyproject.toml, and from there in CITATION.cff and these pages.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where the version stands in each file: the text before it, and the text behind it.
VERSIONS = {
    "src/mckl/__init__.py": ('\n__version__ = "', '"'),
    "CITATION.cff": ("\nversion: ", "\n"),
    ".zenodo.json": ('"version": "', '"'),
}
CHANGELOG = "CHANGELOG.md"
# Pages that name the tag and the address, with OWNER as long as there is none.
PAGES = ("docs/how-to/deploy.md", "docs/how-to/module.md")
NEW = "## Unreleased\n"
REPOSITORY = ('\nrepository = "', '"')
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_ADDRESS = re.compile(r"https://[^/\s]+/[^/\s]+/[^/\s]+")


def read(root: Path, name: str) -> str:
    """The text of a file."""
    return (root / name).read_text("utf-8")


def between(text: str, ends: tuple[str, str]) -> str:
    """What stands between two texts, the first time that the first of them occurs."""
    return text.split(ends[0], 1)[1].split(ends[1], 1)[0]


def replaced(text: str, ends: tuple[str, str], value: str) -> str:
    """The text with another value between two texts."""
    return text.replace(ends[0] + between(text, ends) + ends[1], ends[0] + value + ends[1], 1)


def newest(changelog: str) -> tuple[str, str]:
    """The newest version in the change log, and its notes."""
    for section in changelog.split("\n## ")[1:]:
        title, _, notes = section.partition("\n")
        if version := _VERSION.match(title):
            return version[0], notes.strip()
    return "", ""


def versions(root: Path) -> dict[str, str]:
    """The version that each file names."""
    stated = {name: between(read(root, name), ends) for name, ends in VERSIONS.items()}
    return stated | {CHANGELOG: newest(read(root, CHANGELOG))[0]}


def tags(text: str) -> set[str]:
    """The tags that a page names."""
    return {*re.findall(r"\bv\d+\.\d+\.\d+\b", text)}


def repository(root: Path) -> str:
    """The repository's address; empty before the first release."""
    return between(read(root, "pyproject.toml"), REPOSITORY)


def faults(root: Path, tag: str) -> list[str]:
    """What keeps a tag from being released."""
    wrong = [
        f"{x}: version {v}, expected {tag[1:]}" for x, v in versions(root).items() if v != tag[1:]
    ]
    wrong += [f"{x}: expected {tag} and no other" for x in PAGES if tags(read(root, x)) != {tag}]
    address = repository(root)
    if not address:
        wrong.append("pyproject.toml: no address of the repository: make release REPOSITORY=...")
    elif f"\nrepository-code: {address}\n" not in read(root, "CITATION.cff"):
        wrong.append(f"CITATION.cff: expected repository-code: {address}")
    return wrong


def prepare(root: Path, version: str, address: str, day: str) -> None:
    """Writes a new version, its day, and the repository's address into the files."""
    texts = {name: replaced(read(root, name), ends, version) for name, ends in VERSIONS.items()}
    citation = re.sub(r"\n(date-released|repository-code): .*", "", texts["CITATION.cff"])
    license_line = "\nlicense: "
    texts["CITATION.cff"] = citation.replace(
        license_line, f"\ndate-released: {day}\nrepository-code: {address}{license_line}"
    )
    texts["pyproject.toml"] = replaced(read(root, "pyproject.toml"), REPOSITORY, address)
    changelog, heading = read(root, CHANGELOG), f"\n## {version} - {day}\n"
    if newest(changelog)[0] == version:  # prepared before
        texts[CHANGELOG] = re.sub(rf"\n## {re.escape(version)} .*\n", heading, changelog)
    else:
        texts[CHANGELOG] = changelog.replace(NEW, NEW + heading, 1)
    old = f"v{versions(root)[CHANGELOG]}"
    owner = "/".join(address.split("/")[3:])
    for name in PAGES:
        page = read(root, name).replace("https://github.com/OWNER/mckl", address)
        texts[name] = page.replace('"OWNER/mckl"', f'"{owner}"').replace(old, f"v{version}")
    for name, text in texts.items():
        (root / name).write_text(text, "utf-8")


def main() -> str | None:
    """Does what the options say; returns what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", nargs="?", default="")
    parser.add_argument("--repository", default="")
    parser.add_argument("--check", metavar="TAG")
    parser.add_argument("--notes", action="store_true")
    given = parser.parse_args()
    if given.notes:
        print(newest(read(ROOT, CHANGELOG))[1])
        return None
    if given.check is not None:
        return "\n".join(f"mckl: {fault}" for fault in faults(ROOT, given.check)) or None
    address = (given.repository or repository(ROOT)).rstrip("/").removesuffix(".git")
    if not _VERSION.fullmatch(given.version):
        return f"mckl: VERSION={given.version}: expected three numbers, such as 1.2.3"
    if not _ADDRESS.fullmatch(address):
        return f"mckl: REPOSITORY={address}: expected the repository's address, https://HOST/OWNER/NAME"
    changelog = read(ROOT, CHANGELOG)
    nothing_new = not between(changelog, (NEW, "\n## ")).strip()
    if nothing_new and newest(changelog)[0] != given.version:
        return "mckl: CHANGELOG.md has nothing under Unreleased"
    prepare(ROOT, given.version, address, datetime.now(UTC).date().isoformat())
    print(
        f"mckl: prepared {given.version}: look at the change, commit it, and push the tag "
        f"v{given.version}; .github/workflows/release.yml does the rest"
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
