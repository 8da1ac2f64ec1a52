"""Runs the commands `mckl` on README and the pages, and renews the output that they quote.

A block that is marked `console` quotes a command after `$` and its output. Where the quoted output
ends with `...`, it is the beginning, with as many lines as are quoted now. `make docs` runs
`python docs/commands.py PAGES`; a test compares every quotation with the command.
"""

import re
import shlex
import sys
from pathlib import Path

from click.testing import CliRunner

from mckl.cli.commands import main

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"^(```console\n\$ ([^\n]*)\n)(.*?)(^```)", re.MULTILINE | re.DOTALL)
LINES = 5  # where a page has only `...` yet


def pages() -> list[Path]:
    """README and every page that a reader follows."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*/*.md"))]


def commands(text: str) -> list[str]:
    """The commands `mckl` in a page's blocks, without comments."""
    lines = [
        line.removeprefix("$ ").split("  #")[0].strip()
        for language, block in BLOCK.findall(text)
        if language in ("", "console", "bash")
        for line in block.replace("\\\n", "").splitlines()
    ]
    return [line for line in lines if line.startswith("mckl ")]


def run(command: str) -> tuple[int, str]:
    """The exit code and the text of a command, whose input may be a file after `<`."""
    call, _, file = command.partition(" < ")
    given = Path(file).read_text("utf-8") if file else None
    result = CliRunner().invoke(main, shlex.split(call)[1:], input=given)
    return result.exit_code, result.output


def renewed(text: str) -> str:
    """The page with the output of today."""

    def quotation(match: re.Match[str]) -> str:
        head, command, old, end = match.groups()
        new = [line.rstrip() for line in run(command)[1].splitlines()]
        shown = old.splitlines()
        if shown and shown[-1] == "..." and len(new) > (most := len(shown) - 1 or LINES):
            new = [*new[:most], "..."]
        return head + "".join(f"{line}\n" for line in new) + end

    return QUOTED.sub(quotation, text)


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page.write_text(renewed(page.read_text("utf-8")), "utf-8")
