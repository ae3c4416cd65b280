"""An entry of the ledger in; what of it can be relied on, out.

The ledger may be typed by hand or come from an earlier version: no field but ``event`` and ``at`` is
relied on, and nothing of it reaches a terminal raw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def text_of(entry: Entry, key: str) -> str:
    """Return a text, ``""`` where there is none."""
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def manifests_of(entry: Entry) -> dict[str, str]:
    """Return the digests by platform."""
    value = entry.get("manifests")
    known = value.items() if isinstance(value, dict) else ()
    return {platform: digest for platform, digest in known if isinstance(digest, str)}
