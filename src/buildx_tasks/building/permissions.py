"""The targets of a bake file in; what bake asks leave for out."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from buildx_tasks.references import CWD, REMOTE

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
            local = place.removeprefix(CWD)
            outside = None if _REMOTE.match(local) else _outside(root, local)
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


def granted(targets: dict[str, Attributes], root: Path) -> dict[str, list[str]]:
    """Return what each target gets when it is built, besides its context: to be read by people.

    Secrets and log-ins are named, never read; a target that gets nothing is left out.
    """
    found: dict[str, list[str]] = {}
    for name, attributes in targets.items():
        words = [one for one in permissions({name: attributes}, root) if one != "ssh"]
        for entry in attributes.get("secret", ()):
            id_ = entry.get("id") or entry.get("src") or entry.get("env", "")
            origin = (
                f"file {entry['src']}" if "src" in entry else f"variable {entry.get('env', id_)}"
            )
            words.append(f"secret {id_} ({origin})")
        for entry in attributes.get("ssh", ()):
            keys = ", ".join(entry.get("paths", ())) or "the agent of SSH_AUTH_SOCK"
            words.append(f"ssh {entry.get('id', 'default')} ({keys})")
        if words:
            found[name] = words
    return found


def _read_places(attributes: Attributes) -> Iterator[str]:
    context = attributes["context"]
    yield context
    # bake asks for the Dockerfile too, which stands where the context is.
    if "dockerfile-inline" not in attributes and not REMOTE.match(context):
        dockerfile = attributes.get("dockerfile", "Dockerfile")
        if dockerfile.startswith(CWD):
            yield dockerfile
        else:  # joined by the letters of both, whatever the context links to
            yield posixpath.normpath(posixpath.join(context.removeprefix(CWD), dockerfile))
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
