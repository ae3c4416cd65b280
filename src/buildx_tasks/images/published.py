"""A reference in; the image that its registry holds, and how much of it is to be pulled, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks import references
from buildx_tasks.errors import EngineError
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.image import Image, of_descriptors, platform_of

if TYPE_CHECKING:
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
        platform_of(entry["platform"]): entry
        for entry in content.get("manifests", [])
        if ATTESTATION not in (entry.get("annotations") or {})
    }
    config = content.get("config", {}).get("digest", "")
    return of_descriptors(reference, manifest.digest, descriptors)._replace(config=config)


def compressed(source: Source, image: Image) -> dict[Platform, int]:
    """Return the compressed bytes of each platform's layers, as its manifest says.

    Raises:
        EngineError: a manifest is none, or the engine's store lacks it.
        RegistryError: a registry does not give it.

    """
    found = {}
    for platform, digest in image.manifests.items():
        try:
            layers = source.manifest(digest).content["layers"]
            found[platform] = sum(layer["size"] for layer in layers)
        except (KeyError, TypeError, ValueError):
            raise EngineError(f"{digest} of {image.reference} is no manifest of an image") from None
    return found
