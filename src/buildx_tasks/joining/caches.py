"""A project's file and a repository's tags in; caches that the file does not name any more, out.

Only what has the name and the content that jobs and builds of ours give caches is taken for one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import platforms, references
from buildx_tasks.building import mounts
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.images.sources import RepositorySource
from buildx_tasks.language.placeholders import filled, of_platform
from buildx_tasks.planning import caches
from buildx_tasks.planning.keeping import cache_tag
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.language.targets import Config
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository

_OF_JOBS = re.compile(r"cache-[\w-]+-(?:linux|windows)-[a-z0-9]+(?:-v\d+)?", re.ASCII)
# Source: https://github.com/moby/buildkit/blob/master/cache/remotecache/v1/doc.go
_TYPE = "application/vnd.buildkit.cacheconfig.v0"
_AT = "buildkit/createdat"  # annotation of a layer

_OF_MACHINES = [
    platforms.parse(f"linux/{one}")
    for one in sorted({*platforms.ARCHITECTURES, "arm/v5", "arm/v6", "arm/v7"} - {"arm"})
] + [platforms.parse("windows/amd64"), platforms.parse("windows/arm64")]


class Cache(NamedTuple):
    """A cache that nothing names: what it is, its digest, and when its last layer was made, or ``""``."""

    what: str
    digest: str
    at: str


def places(config: Config) -> Iterator[Reference]:
    """Yield the repositories that a file keeps caches in, beside those of its tags."""
    for text in (config.ci.cache and config.ci.cache.repository, config.cache.to):
        if text:
            yield references.parse(text)


def named(config: Config) -> frozenset[str]:
    """Return the references of all caches that a file names, for each of its targets and platforms."""
    found = set[str]()
    for name in config.target:
        # Each by itself: two that write one place are no mistake until they are built together.
        (target,) = make_plan(config, [name]).targets
        found.update(map(str, _of_target(config, target)))
    return frozenset(found)


def unnamed(repository: Repository, tag: str, known: frozenset[str]) -> Cache | None:
    """Return the cache under a tag that no file names; None of whatever else is there.

    Raises:
        RegistryError: the registry does not answer, or refuses.

    """
    is_mount = tag.startswith(mounts.MARK)
    if not (is_mount or _OF_JOBS.fullmatch(tag)) or repository.named(tag) in known:
        return None
    there = repository.find(tag)
    if there is None:
        return None
    if is_mount:
        at = _mount_at(repository, there)
        return Cache("a cache mount that the file does not name", there.digest, at) if at else None
    listed = [*there.content.layers, *there.content.manifests]
    if _TYPE not in {one.media_type for one in (there.content.config, *listed) if one}:
        return None
    at = max((one.marks.get(_AT, "") for one in listed), default="")
    return Cache("a cache that the file does not name", there.digest, at)


def _of_target(config: Config, target: TargetPlan) -> Iterator[Reference]:
    homes = [references.parse(text) for text in target.spec.tags[:1]]
    cache, to = config.ci.cache, config.cache.to
    kept = cache and (cache.repository or config.ci.staging)
    # Without platforms it is built for each machine's own, whichever has prune run.
    for platform in target.declared if target.spec.platforms else _OF_MACHINES:
        for place in [references.parse(kept)] if kept else homes if cache else ():
            yield place._replace(tag=cache_tag(target.name, platform))
        for pattern in config.cache.mounts:
            name = filled(pattern, of_platform(platform))
            for place in [references.parse(to)] if to else homes:
                yield place._replace(tag=mounts.tag_of(pattern, name, platform))
        for attributes in target.spec.builds:
            for entry in (*attributes.get("cache-to", ()), *attributes.get("cache-from", ())):
                if reference := caches.filled(entry, target.name, [platform]).get("ref"):
                    yield references.parse(str(reference))


def _mount_at(repository: Repository, there: Manifest) -> str:
    """Return when a cache mount was kept; ``""`` of an image that holds none."""
    if there.content.config is None:
        return ""
    try:
        config = RepositorySource(repository).config(there.content.config)
    except (EngineError, RegistryError):
        return ""
    is_kept = any(mounts.ARCHIVE in (step.created_by or "") for step in config.history)
    return config.created if is_kept else ""
