"""The data that the explorer's page holds in compressed form."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any


def unpacked(page: str) -> dict[str, Any]:
    """The data that the page unpacks."""
    (part,) = re.findall(r'<script type="text/deflate" id="data">([\w+/=]+)</script>', page)
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(part)))
    return data
