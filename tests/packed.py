"""What the explorer's page holds in compressed form."""

from __future__ import annotations

import base64
import re
import zlib


def unpacked(page: str) -> str:
    """The scripts that the page unpacks and runs."""
    parts = re.findall(r'<script type="text/deflate">([\w+/=]+)</script>', page)
    return "\n".join(zlib.decompress(base64.b64decode(part)).decode() for part in parts)
