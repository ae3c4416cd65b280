"""An artifact that is no image, as a chart, in; whether all of it is there, and as it was pushed, out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images.artifacts import TITLE
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from buildx_tasks.auditing.places import Held, Place
    from buildx_tasks.registry.manifests import Descriptor


def content(image: Held) -> Found:
    """Read all of an artifact; nothing of it is kept."""
    parts = {one.digest: one for one in image.root.described if not one.urls}
    problems = [text for one in parts.values() if (text := _read(image.place, one))]
    files = image.root.content.layers
    number, size = len(files), sizes.text(sum(one.size for one in files))
    what = f"{printable(image.kind)}, {number} file{'' if number == 1 else 's'}, {size}"
    return Found(tuple(problems), () if problems else (what,))


def _read(place: Place, one: Descriptor) -> str:
    """Return what is wrong with a part, ``""`` where it is as its manifest says."""
    title = one.marks.get(TITLE, "")
    named = f"{one.digest} ({printable(title)})" if title else one.digest
    try:
        place.insist(f"{place.name}: {one.digest}", partial(_through, place, one))
    except MissingError:
        return f"{named} is not there"
    except (EngineError, RegistryError) as error:
        return f"{named} cannot be read: {error}"
    return ""


def _through(place: Place, one: Descriptor) -> None:
    for _ in place.source.blob(one.digest, one.size):
        pass
