"""What names and identifies an image in; its platforms, and what the engine runs each from, out."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import UsageError, listed
from buildx_tasks.platforms import Platform, parse
from buildx_tasks.registry.manifests import PlatformWords

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.registry.manifests import Descriptor


class Image(NamedTuple):
    """An image under one reference.

    ``digest`` is the index's (the manifest's where there is no index), ``manifests`` maps each
    platform to the digest of its manifest; attestations are left out. ``config`` is the digest of
    the image's config where a registry holds a bare manifest, without index. ``repository`` is set
    where each platform was pulled by its own digest. ``annotations`` are those of each platform's
    descriptor in the index. ``parts`` maps each platform to the tag of its own where the classic
    store has them one by one: ``manifests`` holds their ids then, and ``digest`` is of these ids.
    ``is_part`` says that it was built with some of the declared platforms only, on purpose.
    """

    reference: str
    digest: str
    manifests: dict[Platform, str]
    config: str = ""
    repository: str = ""
    annotations: Mapping[Platform, Mapping[str, str]] = MappingProxyType({})
    parts: Mapping[Platform, str] = MappingProxyType({})
    is_part: bool = False

    def manifest(self, platform: str | Platform) -> str:
        """Return the digest of the platform's manifest.

        Raises:
            UsageError: the image is not for that platform.

        """
        wanted = parse(platform) if isinstance(platform, str) else platform
        if wanted not in self.manifests:
            raise UsageError(
                f"{self.reference} lacks {wanted}; it has {listed(map(str, self.manifests))}: choose "
                f"one of these, or build it for {wanted}"
            )
        return self.manifests[wanted]

    def runnable(self, platform: Platform) -> str:
        """Return what the engine runs the platform from: an exact reference."""
        if self.parts:
            return self.manifest(platform)
        if self.repository:
            return f"{self.repository}@{self.manifest(platform)}"
        return self.digest


def of_parts(reference: str, ids: Mapping[Platform, str], tags: Mapping[Platform, str]) -> Image:
    """Return the image that a classic store has platform by platform, each with its id and tag.

    Its digest stands for these platforms with these ids: ``parts:`` and a SHA-256, which no store
    and no registry knows.
    """
    named = sorted(f"{platform}={one}" for platform, one in ids.items())
    digest = f"parts:{hashlib.sha256(' '.join(named).encode()).hexdigest()}"
    return Image(reference, digest, dict(ids), parts=dict(tags))


def of_descriptors(
    reference: str, digest: str, descriptors: Mapping[Platform, Descriptor]
) -> Image:
    """Return the image whose index describes each platform's manifest so."""
    return Image(
        reference,
        digest,
        {platform: one.digest for platform, one in descriptors.items()},
        annotations={platform: one.marks for platform, one in descriptors.items()},
    )


def platform_of(data: PlatformWords | Mapping[str, Any] | None) -> Platform:
    """Return the platform that a descriptor or config names, whichever it is."""
    if data is None or isinstance(data, PlatformWords):
        words = data or PlatformWords()
        fields = [words.os or "", words.architecture or "", words.variant or ""]
    else:  # what the engine says
        fields = [str(data.get(key) or "") for key in ("os", "architecture", "variant")]
    try:
        return parse("/".join(field for field in fields if field))
    except ValueError:
        # An image may be for a platform that nothing here could declare.
        return Platform(*fields)
