"""What a published image was built on, and a project's pins, in; whether it stays behind these, out."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.auditing.defaults import made_at
from buildx_tasks.engine.bodies import DIGEST
from buildx_tasks.language.lockfile import LOCK_FILE
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from buildx_tasks.auditing.places import Held, Part
    from buildx_tasks.language.auditing import Audit
    from buildx_tasks.language.lockfile import Pin

MOVED = f"where {LOCK_FILE} is at"
_NAME, _DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"


def behind(
    image: Held, attested: Mapping[str, str], pins: Mapping[str, Pin], said: Audit | None
) -> Found | None:
    """Say which bases of an image the lock has moved on from; None where none of them is pinned.

    ``attested`` are bases that its provenance names, each with its digest; images without one may name
    theirs themselves. ``said`` has how long an image may stay behind; None where it is not ours.
    """
    bases = dict(attested) or _named(image)
    pinned = {name: pins[name].digest for name in bases if name in pins}
    if not pinned:
        return None
    moved = [
        f"built on {name}@{bases[name]}, {MOVED} {digest} by now"
        for name, digest in pinned.items()
        if digest != bases[name]
    ]
    if not moved:
        return Found((), ("its bases are those of the lock",))
    late = _late(image, said) if said and said.behind else ""
    if late:
        return Found(tuple(f"{text}; {late}" for text in moved))
    return Found((), tuple(moved))


def _late(image: Held, said: Audit) -> str:
    """Return why an image should not be behind any more, ``""`` where it still may."""
    limit = f"[audit] behind is {said.behind}: build and push it again"
    times = [made_at(part.config.created) for part in image.parts if part.config]
    known = [one for one in times if one]
    if not known:
        return f"it does not say when it was made, and {limit}"
    age = dt.datetime.now(dt.timezone.utc) - min(known)
    if age < dt.timedelta(hours=said.hours):
        return ""
    return f"it was made {min(known):%Y-%m-%d}, {age.days} days ago, and {limit}"


def _named(image: Held) -> dict[str, str]:
    """Return what annotations and labels say that the image was built on."""
    found = {}
    for part in image.parts:
        for marks in _marks(image, part):
            name, digest = marks.get(_NAME, ""), marks.get(_DIGEST, "")
            if name and re.match(DIGEST, digest):
                found[_familiar(name)] = digest
                break
    return found


def _marks(image: Held, part: Part) -> Iterator[Mapping[str, str]]:
    if part.manifest:
        yield part.manifest.content.marks
    yield part.descriptor.marks
    if part.config:
        yield part.config.runtime.get("Labels") or {}
    yield image.root.content.marks


def _familiar(name: str) -> str:
    try:
        return references.familiar(name)
    except ValueError:
        return printable(name)
