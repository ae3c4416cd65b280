"""What is inside an image: index, manifests, config; in the engine's store and in a registry."""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple
from urllib.parse import quote

from buildx_tasks.engine import content as blobs
from buildx_tasks.errors import EngineError, UsageError
from buildx_tasks.images.layers import layers_of
from buildx_tasks.machine.commands import query, query_within
from buildx_tasks.platforms import Platform, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker
    from invoke import Context

    from buildx_tasks.images.layers import Layer
    from buildx_tasks.planning.selection import TargetPlan

ATTESTATION = "vnd.docker.reference.type"  # annotation of manifests that describe another one
ATTESTED = "vnd.docker.reference.digest"  # the digest of that one
PREDICATE = "in-toto.io/predicate-type"  # annotation of the layers of such a manifest
_BEHIND_REPOSITORY = re.compile("(:[^:/@]+)?(@.*)?$")  # tag and digest


class AbsentError(EngineError):
    """The registry answers, and has no such image."""


class Image(NamedTuple):
    """An image under one reference.

    ``digest`` is the index's (the manifest's where there is no index), ``manifests`` maps each
    platform to the digest of its manifest; attestations are left out. ``config`` is the digest of
    the image's config where a registry holds a bare manifest, without index. ``repository`` is set
    where each platform was pulled by its own digest. ``annotations`` are those of each platform's
    descriptor in the index. ``parts`` maps each platform to the tag of its own where the classic
    store has them one by one: ``manifests`` holds their ids then, and ``digest`` is of these ids.
    """

    reference: str
    digest: str
    manifests: dict[Platform, str]
    config: str = ""
    repository: str = ""
    annotations: Mapping[Platform, Mapping[str, str]] = MappingProxyType({})
    parts: Mapping[Platform, str] = MappingProxyType({})

    def runnable(self, platform: Platform) -> str:
        """Return what the engine runs the platform from: an exact reference."""
        if self.parts:
            return self.manifests[platform]
        if self.repository:
            return f"{self.repository}@{self.manifests[platform]}"
        return self.digest


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


class Entry(NamedTuple):
    """One platform in an image's index.

    ``available`` says whether the store has its content, ``predicates`` are the predicate types of
    what is attested of it, as in ``https://spdx.dev/Document``.
    """

    platform: Platform
    digest: str
    available: bool
    predicates: tuple[str, ...] = ()


def reference_of(target: TargetPlan) -> str:
    """Return the tag under which the target's image is found.

    Raises:
        UsageError: the target has no tag, or makes no image.

    """
    if not target.is_image:
        raise UsageError(
            f'target "{target.name}" exports files and leaves no image: nothing to run or push'
        )
    if not target.spec.tags:
        raise UsageError(
            f'target "{target.name}" has no tags, so its image cannot be found; '
            f'add tags = ["{target.name}:dev"]'
        )
    return target.spec.tags[0]


def stored(client: docker.DockerClient, reference: str) -> Image | None:
    """Return the image that the engine's store holds under ``reference``; None where there is none.

    Raises:
        EngineError: the engine does not say.

    """
    image = _inspected(client, reference)
    if image is None:
        return None
    entries = [entry for entry in _platform_entries(image) if entry["Available"]]
    if entries:
        descriptors = {platform_of(e["ImageData"]["Platform"]): e["Descriptor"] for e in entries}
        manifests = {platform: one["digest"] for platform, one in descriptors.items()}
        return Image(reference, image["Id"], manifests, annotations=_annotations(descriptors))
    # The classic store: one platform, and no index.
    return Image(reference, image["Id"], {_classic_platform(image): image["Id"]})


def of_parts(reference: str, ids: Mapping[Platform, str], tags: Mapping[Platform, str]) -> Image:
    """Return the image that a classic store has platform by platform, each with its id and tag.

    Its digest stands for these platforms with these ids: ``parts:`` and a SHA-256, which no store
    and no registry knows.
    """
    listed = sorted(f"{platform}={one}" for platform, one in ids.items())
    digest = f"parts:{hashlib.sha256(' '.join(listed).encode()).hexdigest()}"
    return Image(reference, digest, dict(ids), parts=dict(tags))


def _inspected(client: docker.DockerClient, reference: str) -> dict[str, Any] | None:
    """Return what the engine says of an image, its manifests too; None where there is none.

    Source: https://docs.docker.com/reference/api/engine/version/v1.48/#tag/Image/operation/ImageInspect
    """
    api = client.api
    response = api.get(
        f"{api.base_url}/v{api.api_version}/images/{quote(reference)}/json",
        params={"manifests": "1"},
    )
    if response.status_code == 404:
        return None
    if response.status_code != 200:
        raise EngineError(f"the engine cannot inspect {reference}: {response.text.strip()}")
    image: dict[str, Any] = response.json()
    return image


def _platform_entries(image: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in image.get("Manifests") or [] if entry["Kind"] == "image"]


def _classic_platform(image: Mapping[str, Any]) -> Platform:
    return platform_of({key.lower(): value for key, value in image.items()})


def _annotations(descriptors: Mapping[Platform, dict[str, Any]]) -> dict[Platform, dict[str, str]]:
    return {platform: one.get("annotations") or {} for platform, one in descriptors.items()}


def require(client: docker.DockerClient, target: TargetPlan) -> Image:
    """Return the target's image from the store.

    Raises:
        EngineError: it has not been built.

    """
    reference = reference_of(target)
    image = stored(client, reference)
    if image is None:
        raise not_built(target)
    return image


def not_built(target: TargetPlan) -> EngineError:
    """Return the error about a target without its image."""
    return EngineError(f"{reference_of(target)} is not built; run invoke build -t {target.name}")


def published(c: Context, reference: str, seconds: int | None = None) -> Image:
    """Return the image that the registry holds under ``reference``.

    Raises:
        AbsentError: the registry has no such image.
        EngineError: the registry does not answer (within ``seconds``), or refuses.

    """
    text = _raw(c, reference, seconds)
    manifest = json.loads(text)
    descriptors = {
        platform_of(entry["platform"]): entry
        for entry in manifest.get("manifests", [])
        if ATTESTATION not in entry.get("annotations", {})
    }
    return Image(
        reference,
        # Computed, not believed: the digest of the very bytes that the registry serves.
        f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        {platform: entry["digest"] for platform, entry in descriptors.items()},
        manifest.get("config", {}).get("digest", ""),
        annotations=_annotations(descriptors),
    )


def _raw(c: Context, reference: str, seconds: int | None = None) -> str:
    argv = ["docker", "buildx", "imagetools", "inspect", "--raw", reference]
    result = query_within(c, argv, seconds) if seconds else query(c, argv)
    what = f"{reference} cannot be read from its registry"
    if result is None:
        raise EngineError(f"{what}: no answer in {seconds} s")
    if not result.ok:
        said = result.stderr.strip()
        kind = AbsentError if said.endswith(f"{reference}: not found") else EngineError
        raise kind(f"{what}: {said}")
    return result.stdout


Reader = Callable[[str], "str | bytes"]  # gives the manifest of a digest


def in_store(client: docker.DockerClient) -> Reader:
    """Return what reads manifests of the engine's containerd store."""
    return partial(blobs.read, client)


def in_registry(c: Context, reference: str, seconds: int | None = None) -> Reader:
    """Return what reads manifests of the repository that ``reference`` is in, each ``seconds`` long."""
    repository = _BEHIND_REPOSITORY.sub("", reference)
    return lambda digest: _raw(c, f"{repository}@{digest}", seconds)


def compressed(image: Image, read: Reader) -> dict[Platform, int]:
    """Return the compressed bytes of each platform's layers, as its manifest says.

    Raises:
        EngineError: a manifest cannot be read, or is none.

    """
    found = {}
    for platform, digest in image.manifests.items():
        try:
            found[platform] = sum(layer["size"] for layer in json.loads(read(digest))["layers"])
        except (KeyError, TypeError, ValueError):
            raise EngineError(f"{digest} of {image.reference} is no manifest of an image") from None
    return found


def content(client: docker.DockerClient, image: Image, platform: Platform) -> Content:
    """Return what one platform's image in the engine's store says of itself.

    Raises:
        EngineError: the store lacks it.

    """
    digest = image.manifests[platform]
    facts = _present(client, image, platform)
    if not facts.get("Manifests"):
        return Content(facts.get("Config") or {}, {}, None)
    manifest = json.loads(blobs.read(client, digest))
    config = json.loads(blobs.read(client, manifest["config"]["digest"]))
    annotations = {**(manifest.get("annotations") or {}), **image.annotations.get(platform, {})}
    return Content(config.get("config") or {}, annotations, layers_of(manifest, config))


def unpacked(client: docker.DockerClient, image: Image, platform: Platform) -> int:
    """Return the bytes that the platform's files take in the engine's store; 0 if not unpacked yet.

    The containerd store counts whole blocks of the disc, the classic one the files' own bytes.

    Raises:
        EngineError: the store lacks it.

    """
    facts = _present(client, image, platform)
    for entry in _platform_entries(facts):
        if entry["Descriptor"]["digest"] == image.manifests[platform]:
            return int(entry["ImageData"]["Size"]["Unpacked"])
    return 0 if facts.get("Manifests") else int(facts["Size"])


def _present(client: docker.DockerClient, image: Image, platform: Platform) -> dict[str, Any]:
    facts = _inspected(client, image.runnable(platform))
    if facts is None:
        raise EngineError(f"{image.runnable(platform)} is gone from the engine; build it again")
    return facts


def entries(c: Context, client: docker.DockerClient, image: Image) -> tuple[Entry, ...]:
    """Return the platforms in the image's index, in its order, with what is attested of each.

    What waits in a registry is read there, and available: a registry takes no manifest before what
    it names.

    Raises:
        EngineError: it is gone, or cannot be read.

    """
    if image.parts:
        # The classic store keeps no attestations.
        listed_parts = image.manifests.items()
        return tuple(Entry(p, one, bool(_inspected(client, one))) for p, one in listed_parts)
    if image.repository:
        read = in_registry(c, image.reference)
        listed = [(one, True) for one in json.loads(read(image.digest))["manifests"]]
    else:
        read = in_store(client)
        facts = _inspected(client, image.digest)
        if facts is None:
            raise EngineError(f"{image.digest} is gone from the engine; build it again")
        listed = [(_descriptor(one), one["Available"]) for one in facts.get("Manifests") or []]
        if not listed:
            return (Entry(_classic_platform(facts), facts["Id"], available=True),)
    found = []
    predicates: dict[str, list[str]] = {}
    for descriptor, available in listed:
        mark = descriptor.get("annotations") or {}
        if ATTESTATION not in mark:
            platform = platform_of(descriptor.get("platform") or {})
            found.append(Entry(platform, descriptor["digest"], available))
        elif available:
            attested = predicates.setdefault(mark[ATTESTED], [])
            attested += predicates_of(json.loads(read(descriptor["digest"])))
    return tuple(one._replace(predicates=tuple(predicates.get(one.digest, ()))) for one in found)


def _descriptor(entry: Mapping[str, Any]) -> dict[str, Any]:
    # Where there is no index, the platform is known from the config only.
    return {"platform": (entry.get("ImageData") or {}).get("Platform"), **entry["Descriptor"]}


def predicates_of(manifest: Mapping[str, Any]) -> list[str]:
    """Return the predicate types of an attestation manifest.

    Source: https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
    """
    marks = [layer.get("annotations") or {} for layer in manifest["layers"]]
    return [mark[PREDICATE] for mark in marks if PREDICATE in mark]


def platform_of(data: Mapping[str, Any]) -> Platform:
    """Return the platform that a descriptor or config names, whichever it is."""
    fields = [data.get("os") or "", data.get("architecture") or "", data.get("variant") or ""]
    try:
        return parse("/".join(field for field in fields if field))
    except ValueError:
        # An image may be for a platform that nothing here could declare.
        return Platform(*fields)
