"""An image in; the platforms of its index, with what is attested of each, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import EngineError
from buildx_tasks.images import sources, store
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED, predicates_of
from buildx_tasks.images.image import platform_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.registries import Registries


class Entry(NamedTuple):
    """One platform in an image's index.

    ``available`` says whether the store has its content, ``predicates`` are the predicate types of
    what is attested of it, as in ``https://spdx.dev/Document``.
    """

    platform: Platform
    digest: str
    available: bool
    predicates: tuple[str, ...] = ()


def entries(engine: Engine, registries: Registries, image: Image) -> tuple[Entry, ...]:
    """Return the platforms in the image's index, in its order, with what is attested of each.

    What waits in a registry is read there, and available: a registry takes no manifest before what
    it names.

    Raises:
        EngineError: it is gone, or cannot be read.
        RegistryError: the registry that it waits in does not give it.

    """
    if image.parts:
        # The classic store keeps no attestations.
        listed = image.manifests.items()
        return tuple(Entry(p, one, bool(store.inspected(engine, one))) for p, one in listed)
    if image.repository:
        waiting = sources.RepositorySource(registries.of(image.reference))
        index = waiting.manifest(image.digest).content
        return _attested(waiting, [(one, True) for one in index["manifests"]])
    facts = store.inspected(engine, image.digest)
    if facts is None:
        raise EngineError(f"{image.digest} is gone from the engine; build it again")
    if not facts.get("Manifests"):
        return (Entry(store.only_platform(facts), facts["Id"], available=True),)
    described = [(_descriptor(one), bool(one["Available"])) for one in facts["Manifests"]]
    return _attested(sources.EngineStore(engine), described)


def _attested(
    source: Source, listed: Iterable[tuple[Mapping[str, Any], bool]]
) -> tuple[Entry, ...]:
    """Return the platforms of descriptors, each with whether it is available."""
    found = []
    predicates: dict[str, list[str]] = {}
    for descriptor, available in listed:
        marks = descriptor.get("annotations") or {}
        if ATTESTATION not in marks:
            platform = platform_of(descriptor.get("platform") or {})
            found.append(Entry(platform, descriptor["digest"], available))
        elif available:
            attested = predicates.setdefault(marks[ATTESTED], [])
            attested += predicates_of(source.manifest(descriptor["digest"]).content)
    return tuple(one._replace(predicates=tuple(predicates.get(one.digest, ()))) for one in found)


def _descriptor(entry: Mapping[str, Any]) -> dict[str, Any]:
    # Where there is no index, the platform is known from the config only.
    return {"platform": (entry.get("ImageData") or {}).get("Platform"), **entry["Descriptor"]}
