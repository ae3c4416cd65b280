"""Give a published image further tags: its index is copied as it is, nothing is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import references
from buildx_tasks.engine.faults import faults
from buildx_tasks.errors import EngineError, RegistryError
from buildx_tasks.images import graph, sources
from buildx_tasks.language.artifacts import NAME, VERSION
from buildx_tasks.publishing import evidence
from buildx_tasks.publishing.publish import Published, publish
from buildx_tasks.publishing.release import Release, platforms_of, versions_of
from buildx_tasks.publishing.tags import exact, resolved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.language.targets import Config, Target
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.registries import Registries
    from buildx_tasks.workspace import Workspace


class Wanted(NamedTuple):
    """What to promote: ``pinned`` is a digest, or ``""`` where the tag of ``source`` counts.

    ``immutable``, ``drop`` and ``verdicts`` are what the targets say that publish to the tags'
    repositories.
    """

    source: Reference
    pinned: str
    tags: tuple[Reference, ...]
    immutable: tuple[str, ...]
    drop: tuple[Platform, ...] = ()
    verdicts: bool = False


def wanted(source: str, tags: Sequence[str], config: Config) -> Wanted:
    """Return what ``--from`` and ``--to`` mean.

    Raises:
        UsageError: they are no references.

    """
    found, pinned = exact(source, "--from")
    listed = tuple(dict.fromkeys(one for text in tags for one in resolved(text, [found])))
    targets = list(_publishing_to(listed, config))
    immutable = dict.fromkeys(pattern for target in targets for pattern in target.immutable)
    immutable.update(dict.fromkeys(_of_artifacts(listed, config)))
    drop = dict.fromkeys(platform for target in targets for platform in target.drop)
    verdicts = any(target.verdicts for target in targets)
    return Wanted(found, pinned, listed, tuple(immutable), tuple(drop), verdicts)


def _publishing_to(tags: Sequence[Reference], config: Config) -> Iterator[Target]:
    """Yield the targets that publish to the tags' repositories."""
    places = {tag._replace(tag="") for tag in tags}
    for target in config.target.values():
        published = (*target.tags, *target.mirrors)
        if any(references.parse(one)._replace(tag="") in places for one in published):
            yield target


def _of_artifacts(tags: Sequence[Reference], config: Config) -> Iterator[str]:
    """Yield the patterns of tags that artifacts say never move, in the repositories of some tags."""
    places = {tag._replace(tag="") for tag in tags}
    for name, one in config.artifact.items():
        # A chart's name is known once it is packed; most are called as their table is.
        values = {VERSION: "0", NAME: name} if one.is_chart else {}
        if any(tag._replace(tag="") in places for tag in one.references(values)):
            yield from one.immutable


def release(registries: Registries, asked: Wanted) -> Release:
    """Return the published image as it goes on.

    Raises:
        RegistryError: there is none, or the registry does not give it.

    """
    repository = registries.repository(asked.source)
    digest = asked.pinned or repository.get(asked.source.tag).digest
    source = sources.RepositorySource(repository)
    try:
        whole = graph.graph_of(source, digest)
        _ = whole.blobs  # all of it is read here
    except EngineError as error:
        raise RegistryError(f"{asked.source} cannot be promoted: {error}") from None
    manifests = platforms_of(whole)
    entry = {"from": f"{repository}@{digest}", "versions": versions_of(None)}
    home = asked.source._replace(tag="")
    away = any(tag._replace(tag="") != home for tag in asked.tags)
    digests = (digest, *manifests.values()) if away else ()
    attachments = evidence.carried(repository, digests, everywhere=asked.verdicts)
    return Release(
        "", source, whole, manifests, asked.tags, asked.immutable, entry, asked.drop, attachments
    )


def promote(workspace: Workspace, asked: Wanted, audience: Audience) -> list[Published]:
    """Give the image its tags; return each, read back.

    Raises:
        RegistryError: there is no such image, or a registry refuses.
        PushError: a tag may not be moved, or some moved and others did not; it says which.

    """
    with faults(), audience.uploading() as watcher:
        one = release(workspace.registries, asked)
        return publish(workspace, [one], watcher, audience.moved, "promoted")
