"""A tag → its place in the order of versions, as https://semver.org has it; without its ``v``."""

from __future__ import annotations

import re
from typing import Any

VERSION = re.compile(
    r"v?(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
    r"(?:-(?P<pre>[0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)


def precedence(tag: str) -> tuple[Any, ...]:
    """Return a key by which tags are sorted, the highest version last; what is none comes first."""
    found = VERSION.fullmatch(tag)
    if not found:
        return (0,)
    core = tuple(int(found[part]) for part in ("major", "minor", "patch"))
    if found["pre"] is None:
        return (1, *core, 1)
    # Numbers are below words; a longer list is above its own beginning.
    parts = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in found["pre"].split(".")]
    return (1, *core, 0, tuple(parts))
