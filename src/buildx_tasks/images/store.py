"""A reference in; what the engine's store holds under it, and what that says of itself, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from buildx_tasks.errors import EngineError
from buildx_tasks.images import sources
from buildx_tasks.images.image import Image, of_descriptors, platform_of
from buildx_tasks.images.layers import layers_of
from buildx_tasks.registry.manifests import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.layers import Layer
    from buildx_tasks.platforms import Platform


class Content(NamedTuple):
    """What one platform's image says of itself.

    ``config`` is the OCI image config's own ``config`` (``Entrypoint``, ``Env``, …), ``annotations``
    are the manifest's and its descriptor's together. ``layers`` is None in the classic store, which
    compresses them only when they are pushed.

    Source: https://github.com/opencontainers/image-spec/blob/main/config.md
    """

    config: dict[str, Any]
    annotations: dict[str, str]
    layers: tuple[Layer, ...] | None


def stored(engine: Engine, reference: str) -> Image | None:
    """Return the image that the engine's store holds under ``reference``; None where there is none.

    Raises:
        EngineError: the engine does not say.

    """
    facts = inspected(engine, reference)
    if facts is None:
        return None
    there = [entry for entry in _platform_entries(facts) if entry["Available"]]
    if there:
        descriptors = {
            platform_of(one["ImageData"]["Platform"]): descriptor_of(one["Descriptor"], reference)
            for one in there
        }
        return of_descriptors(reference, facts["Id"], descriptors)
    # The classic store: one platform, and no index.
    return Image(reference, facts["Id"], {only_platform(facts): facts["Id"]})


def inspected(engine: Engine, reference: str) -> dict[str, Any] | None:
    """Return what the engine says of an image, its manifests too; None where there is none.

    Raises:
        EngineError: the engine does not say.

    """
    answer = engine.image(reference)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise EngineError(f"the engine cannot inspect {reference}: {answer.text}")
    facts: dict[str, Any] = answer.json()
    return facts


def target(engine: Engine, reference: str) -> str:
    """Return the digest of what a reference means in the engine's store; ``""`` where it does not say.

    It is that of the index, where there is one.

    Source: ImageHistory in https://github.com/moby/moby/blob/master/daemon/containerd/image_history.go
    """
    answer = engine.get(f"/images/{quote(reference)}/history")
    steps = answer.json() if answer.status == 200 else []
    return str(steps[0].get("Id", "")) if steps else ""


def only_platform(facts: Mapping[str, Any]) -> Platform:
    """Return the platform of an image of the classic store, from what was inspected."""
    return platform_of({key.lower(): value for key, value in facts.items()})


def content(engine: Engine, image: Image, platform: Platform) -> Content:
    """Return what one platform's image in the engine's store says of itself.

    Raises:
        EngineError: the store lacks it.

    """
    digest = image.manifest(platform)
    facts = _present(engine, image, platform)
    if not facts.get("Manifests"):
        return Content(facts.get("Config") or {}, {}, None)
    source = sources.EngineStore(engine)
    manifest = source.manifest(digest).content
    if manifest.config is None:
        raise EngineError(f"{digest} of {image.reference} is an index, not a platform's manifest")
    config = source.config(manifest.config)
    annotations = {**manifest.marks, **image.annotations.get(platform, {})}
    return Content(config.runtime, annotations, layers_of(manifest, config))


def unpacked(engine: Engine, image: Image, platform: Platform) -> int:
    """Return the bytes that the platform's files take in the engine's store; 0 if not unpacked yet.

    The containerd store counts whole blocks of the disc, the classic one the files' own bytes.

    Raises:
        EngineError: the store lacks it.

    """
    facts = _present(engine, image, platform)
    for entry in _platform_entries(facts):
        if entry["Descriptor"]["digest"] == image.manifest(platform):
            return int(entry["ImageData"]["Size"]["Unpacked"])
    return 0 if facts.get("Manifests") else int(facts["Size"])


def _present(engine: Engine, image: Image, platform: Platform) -> dict[str, Any]:
    facts = inspected(engine, image.runnable(platform))
    if facts is None:
        raise EngineError(f"{image.runnable(platform)} is gone from the engine; build it again")
    return facts


def _platform_entries(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in facts.get("Manifests") or [] if entry["Kind"] == "image"]
