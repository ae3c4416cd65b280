"""The targets of a bake file in; what bake asks leave for out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.language.merging import Attributes

_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*:|git@")


def permissions(targets: dict[str, Attributes], root: Path) -> list[str]:
    """Return what bake asks leave for: who declared it in ``buildx.toml`` has given it.

    Source: https://docs.docker.com/reference/cli/docker/buildx/bake/#allow
    """
    found: dict[str, None] = {}
    for attributes in targets.values():
        found.update(dict.fromkeys(attributes.get("entitlements", ())))
        for place in _read_places(attributes):
            outside = None if _REMOTE.match(place) else _outside(root, place)
            if outside:
                found[f"fs.read={outside}"] = None
        for place in _written_places(attributes):
            outside = _outside(root, place)
            # bake asks about the nearest folder that is there already.
            while outside and not outside.exists():
                outside = outside.parent
            if outside:
                found[f"fs.write={outside}"] = None
        if any("paths" not in entry for entry in attributes.get("ssh", ())):
            found["ssh"] = None
    return list(found)


def _read_places(attributes: Attributes) -> Iterator[str]:
    yield attributes["context"]
    yield from attributes.get("contexts", {}).values()
    yield from (e["src"] for e in attributes.get("secret", ()) if "src" in e)
    yield from (path for e in attributes.get("ssh", ()) for path in e.get("paths", ()))
    yield from (e["src"] for e in attributes.get("cache-from", ()) if e["type"] == "local")


def _written_places(attributes: Attributes) -> Iterator[str]:
    yield from (e["dest"] for e in attributes.get("output", ()) if "dest" in e)
    yield from (e["dest"] for e in attributes.get("cache-to", ()) if e["type"] == "local")


def _outside(root: Path, place: str) -> Path | None:
    resolved = (root / place).resolve()
    return None if resolved.is_relative_to(root.resolve()) else resolved
