"""What a tag holds and what it would hold in; the platforms that it would lose, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.errors import MissingError, PushError
from buildx_tasks.images.image import platform_of
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.publishing.release import platforms_in
from buildx_tasks.registry.manifests import MalformedError
from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.release import Release
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository


def refuse(one: Release, tag: Reference, there: Manifest | None, repository: Repository) -> None:
    """Refuse to move a tag to an image that lacks a platform of the one that it holds.

    An index says its platforms itself; of a manifest without one the config is asked for.

    Raises:
        PushError: with tag, platforms and fix.
        RegistryError: the registry does not give the config.

    """
    if there is None or there.digest == one.graph.root.digest:
        return
    has = _platforms(there, RepositorySource(repository))
    lost = [platform for platform in has if platform not in one.drop]
    if lost:
        kept = one.manifests or _platforms(one.graph.root, one.source)
        lost = [platform for platform in lost if platform not in kept]
    if lost:
        name = one.target or "NAME"
        named, listed = ", ".join(map(str, lost)), json_line([str(one) for one in lost])
        raise PushError(
            f"{tag} would lose {named}: {there.digest} has it, {one.graph.root.digest} does not; "
            f"declare it in platforms and build again, or, if it is to go, write "
            f"[target.{name}.push] drop = {listed}"
        )


def _platforms(manifest: Manifest, source: Source) -> list[Platform]:
    """Return the platforms of an index, or that of the only manifest; none of what is no image."""
    if manifest.content.config is None:
        return list(platforms_in(manifest))
    try:
        found = platform_of(source.config(manifest.content.config).platform)
    except (MissingError, MalformedError):
        return []  # what nobody can run has no platform to lose
    return [found] if found.os else []
