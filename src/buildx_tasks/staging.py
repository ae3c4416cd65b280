"""Results that no local store can hold: kept in their registry until they are verified and pushed.

Several nodes build one image together, each its own platforms; only a registry can hold the whole. It
gets a tag of its own there (``staging-TARGET``), and is known by its digest from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks import builder as builders
from buildx_tasks import images, ledger, references
from buildx_tasks.commands import query
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import docker
    from invoke import Context

    from buildx_tasks.config import Builder
    from buildx_tasks.images import Image
    from buildx_tasks.plan import TargetPlan
    from buildx_tasks.platforms import Platform


def needed(builder: Builder | None, target: TargetPlan) -> bool:
    """Say whether what this builder makes of a target cannot be in the engine's store."""
    if builder is None or not target.is_image or target.spec.output or len(target.platforms) < 2:
        return False
    # The fallback is made for engines whose store takes one platform of an image.
    return len(builder.node) > 1 or builder == builders.FALLBACK


def tag_of(target: TargetPlan) -> str:
    """Return the tag under which the result waits, in the repository of the target's first tag.

    Raises:
        UsageError: the target has no tag.

    """
    first = references.parse(images.reference_of(target))
    return f"{first.registry}/{first.repository}:{f'staging-{target.name}'[:128]}"


def by_digest(tag: str, digest: str) -> str:
    """Return the reference that will never mean another image."""
    return f"{tag.rpartition(':')[0]}@{digest}"


def reference(root: Path, target: TargetPlan) -> str:
    """Return ``repository@digest`` of the target's last build, ``""`` if the engine has it."""
    for entry in reversed(ledger.read(root)):
        if entry["event"] == "built" and entry["target"] == target.name:
            return str(entry.get("staged", ""))
    return ""


def locate(
    c: Context,
    client: docker.DockerClient,
    root: Path,
    target: TargetPlan,
    wanted: Sequence[Platform],
) -> Image:
    """Return the target's image where the engine can run it: its own, or pulled just now.

    What waits in a registry is pulled by the digests of the wanted platforms' manifests.

    Raises:
        EngineError: it is not built, or the registry or the engine does not give it.

    """
    waiting = reference(root, target)
    return _pulled(c, client, root, waiting, wanted) if waiting else images.require(client, target)


def _pulled(
    c: Context,
    client: docker.DockerClient,
    root: Path,
    reference: str,
    wanted: Sequence[Platform],
) -> Image:
    image = images.published(c, reference)
    repository = reference.rpartition("@")[0]
    manifests = image.manifests
    pulled = []
    for platform in wanted:
        exact = f"{repository}@{manifests.get(platform, '')}"
        if platform not in manifests or images.stored(client, exact):
            continue
        argv = ["docker", "pull", "--quiet", "--platform", str(platform), exact]
        result = query(c, argv)
        if not result.ok:
            raise EngineError(f"{exact} cannot be pulled: {result.stderr.strip()}")
        pulled.append({"reference": exact})
    if pulled:
        ledger.record(root, "pulled", pulled)
    return image._replace(repository=repository)
