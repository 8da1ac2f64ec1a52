"""What the package says of itself: its links, and the README with absolute links.

A README's relative links lead nowhere on a package index. Without an address of the repository
(pyproject.toml) there are no links, and the README stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Markdown's links and images, but for absolute addresses and places on the same page.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)]+)\)")


def absolute(text: str, repository: str, tag: str) -> str:
    """The Markdown with links to files of the repository at a tag; images are to be shown."""

    def link(match: re.Match[str]) -> str:
        image, words, path = match.groups()
        return f"{image}[{words}]({repository}/{'raw' if image else 'blob'}/{tag}/{path})"

    return _LINK.sub(link, text)


def addresses(repository: str) -> dict[str, str]:
    """The links of the package's page."""
    return {
        "Repository": repository,
        "Documentation": f"{repository}#readme",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


class Metadata(MetadataHookInterface):
    """Adds `readme` and `urls`, which pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text("utf-8")
        repository = self.config["repository"].rstrip("/")
        if repository:
            metadata["urls"] = addresses(repository)
            text = absolute(text, repository, f"v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
