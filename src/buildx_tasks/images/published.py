"""A reference in; the image that its registry holds, and how much of it is to be pulled, out."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.errors import EngineError, MissingError
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.image import Image, of_descriptors, platform_of
from buildx_tasks.registry import listing

# What git describe adds to a version, and what a version not yet released has.
_SINCE = re.compile(r"-\d+-g[0-9a-f]+|-dirty|-(?:rc|alpha|beta|pre|dev)[.\d]*")
_VERSION = re.compile(r"(\D*)(\d+(?:\.\d+)*)((?:\D.*)?)")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.repository import Repository


def published(repository: Repository, reference: str) -> Image:
    """Return the image that a repository holds under a reference of it, with tag or digest.

    Raises:
        MissingError: the registry has no such image.
        RegistryError: it does not answer, or refuses.

    """
    within = reference.partition("@")[2] or references.parse(reference).tag
    manifest = repository.get(within, what=f"{reference} cannot be read from its registry")
    content = manifest.content
    descriptors = {
        platform_of(entry.platform): entry
        for entry in content.manifests
        if ATTESTATION not in entry.marks
    }
    config = content.config.digest if content.config else ""
    return of_descriptors(reference, manifest.digest, descriptors)._replace(config=config)


def newest(within: Callable[[str], Repository], tags: Sequence[str]) -> Image:
    """Return what the first of a target's tags holds that there is; else what the version before it does.

    ``within`` gives the repository of a tag.

    Raises:
        MissingError: there is neither.
        RegistryError: a registry does not answer, or refuses.

    """
    for declared in tags:
        with contextlib.suppress(MissingError):
            return published(within(declared), declared)
    # A version that is new has no tag yet: the last push had an older one.
    own = references.parse(tags[0])
    where = within(tags[0])
    before = version_before(listing.tags(where), own.tag)
    return published(where, str(own._replace(tag=before or own.tag)))


def version_before(tags: Iterable[str], tag: str) -> str:
    """Return the highest version among tags that are named as ``tag`` is, ``""`` where there is none.

    ``v1.3.0-2-gabcdef1-alpine`` is named as ``v1.2.0-alpine`` is, not as ``v1.2.0`` or ``1.2``.
    """
    form = _form(tag)
    if form is None:
        return ""
    known = [(one, found) for one in tags if one != tag and (found := _form(one))]
    alike = [(found[1], one) for one, found in known if (found[0], found[2]) == (form[0], form[2])]
    return max(alike, default=((), ""))[1]


def _form(tag: str) -> tuple[str, tuple[int, ...], str] | None:
    """Return what stands before a tag's version, its numbers, and what stands behind it."""
    match = _VERSION.fullmatch(_SINCE.sub("", tag))
    if match is None:
        return None
    return match[1], tuple(int(number) for number in match[2].split(".")), match[3]


def compressed(source: Source, image: Image) -> dict[Platform, int]:
    """Return the compressed bytes of each platform's layers, as its manifest says.

    Raises:
        EngineError: a manifest is none, or the engine's store lacks it.
        RegistryError: a registry does not give it.

    """
    found = {}
    for platform, digest in image.manifests.items():
        manifest = source.manifest(digest)
        if manifest.is_index:
            raise EngineError(f"{digest} of {image.reference} is no manifest of an image")
        found[platform] = sum(layer.size for layer in manifest.content.layers)
    return found
