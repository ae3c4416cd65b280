"""An image in; the platforms of its index, with what is attested of each, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.errors import EngineError
from buildx_tasks.images import sources, store
from buildx_tasks.images.attestations import ATTESTATION, ATTESTED, predicates_of
from buildx_tasks.images.image import platform_of
from buildx_tasks.registry.manifests import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Descriptor
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
        return attested(waiting, [(one, True) for one in index.manifests])
    facts = store.inspected(engine, image.digest)
    if facts is None:
        raise EngineError(f"{image.digest} is gone from the engine; build it again")
    if not facts.get("Manifests"):
        return (Entry(store.only_platform(facts), facts["Id"], available=True),)
    described = [
        (_descriptor(one, image.reference), bool(one["Available"])) for one in facts["Manifests"]
    ]
    return attested(sources.EngineStore(engine), described)


def own_annotations(engine: Engine, registries: Registries, image: Image) -> dict[str, str]:
    """Return the annotations of the image's index itself; none where it has no index.

    Raises:
        EngineError: it is gone, or cannot be read.
        RegistryError: the registry that it waits in does not give it.

    """
    if image.parts:
        return {}
    if not image.repository:
        facts = store.inspected(engine, image.digest)
        if not facts or not facts.get("Manifests"):
            return {}
    manifest = sources.of_image(image, engine, registries).manifest(image.digest)
    return manifest.content.marks if manifest.is_index else {}


def manifest_annotations(
    engine: Engine, registries: Registries, image: Image
) -> dict[Platform, dict[str, str]]:
    """Return the annotations of each platform's manifest and its descriptor, of those that are there.

    Raises:
        EngineError: one cannot be read.
        RegistryError: the registry that they wait in does not give them.

    """
    source = sources.of_image(image, engine, registries)
    found = {}
    for entry in () if image.parts else entries(engine, registries, image):
        if entry.available and entry.platform in image.manifests:
            own = source.manifest(entry.digest).content.marks
            found[entry.platform] = {**own, **image.annotations.get(entry.platform, {})}
    return found


def attested(source: Source, listed: Iterable[tuple[Descriptor, bool]]) -> tuple[Entry, ...]:
    """Return the platforms of descriptors, each of which comes with whether it is available.

    Raises:
        EngineError, RegistryError: what attests one is not there, or cannot be read.

    """
    found = []
    predicates: dict[str, list[str]] = {}
    for descriptor, available in listed:
        if ATTESTATION not in descriptor.marks:
            found.append(Entry(platform_of(descriptor.platform), descriptor.digest, available))
        elif available:
            attested = predicates.setdefault(descriptor.marks.get(ATTESTED, ""), [])
            attested += predicates_of(source.manifest(descriptor.digest).content)
    return tuple(one._replace(predicates=tuple(predicates.get(one.digest, ()))) for one in found)


def _descriptor(entry: Mapping[str, Any], what: str) -> Descriptor:
    # Where there is no index, the platform is known from the config only.
    platform = (entry.get("ImageData") or {}).get("Platform")
    return descriptor_of({"platform": platform, **entry["Descriptor"]}, what)
