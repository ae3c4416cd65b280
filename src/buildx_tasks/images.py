"""What is inside an image: index, platform manifests; in the engine's store and in a registry."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from buildx_tasks.commands import query
from buildx_tasks.errors import EngineError, UsageError
from buildx_tasks.platforms import Platform, parse

if TYPE_CHECKING:
    import docker
    from invoke import Context

    from buildx_tasks.plan import TargetPlan

_ATTESTATION = "vnd.docker.reference.type"  # annotation of manifests that describe another one


class Image(NamedTuple):
    """An image under one reference.

    ``digest`` is the index's (the manifest's where there is no index), ``manifests`` maps each
    platform to the digest of its manifest; attestations are left out. ``config`` is the digest of
    the image's config where a registry holds a bare manifest, without index. ``repository`` is set
    where each platform was pulled by its own digest.
    """

    reference: str
    digest: str
    manifests: dict[Platform, str]
    config: str = ""
    repository: str = ""

    def runnable(self, platform: Platform) -> str:
        """Return what the engine runs the platform from: an exact reference."""
        if self.repository:
            return f"{self.repository}@{self.manifests[platform]}"
        return self.digest


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
    image = response.json()
    manifests = {
        _platform(entry["ImageData"]["Platform"]): entry["Descriptor"]["digest"]
        for entry in image.get("Manifests") or []
        if entry["Kind"] == "image" and entry["Available"]
    }
    if not manifests:  # the classic store: one platform, and no index
        manifests = {_platform({key.lower(): value for key, value in image.items()}): image["Id"]}
    return Image(reference, image["Id"], manifests)


def require(client: docker.DockerClient, target: TargetPlan) -> Image:
    """Return the target's image from the store.

    Raises:
        EngineError: it has not been built.

    """
    reference = reference_of(target)
    image = stored(client, reference)
    if image is None:
        raise EngineError(f"{reference} is not built; run invoke build -t {target.name}")
    return image


def published(c: Context, reference: str) -> Image:
    """Return the image that the registry holds under ``reference``.

    Raises:
        EngineError: the registry does not answer, or has no such image.

    """
    result = query(c, ["docker", "buildx", "imagetools", "inspect", "--raw", reference])
    if not result.ok:
        raise EngineError(f"{reference} cannot be read from its registry: {result.stderr.strip()}")
    manifest = json.loads(result.stdout)
    manifests = {
        _platform(entry["platform"]): entry["digest"]
        for entry in manifest.get("manifests", [])
        if _ATTESTATION not in entry.get("annotations", {})
    }
    # Computed, not believed: the digest of the very bytes that the registry serves.
    digest = f"sha256:{hashlib.sha256(result.stdout.encode()).hexdigest()}"
    return Image(reference, digest, manifests, manifest.get("config", {}).get("digest", ""))


def _platform(data: dict[str, Any]) -> Platform:
    fields = [data.get("os") or "", data.get("architecture") or "", data.get("variant") or ""]
    try:
        return parse("/".join(field for field in fields if field))
    except ValueError:
        # An image may be for a platform that nothing here could declare.
        return Platform(*fields)
