"""Publish what was verified, digest for digest: first upload, then move tags, then read back.

Nothing that a tag points at changes before everything is uploaded, read back by digest, and every
tag of every target is known to be writable.
"""

from __future__ import annotations

import contextlib
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.errors import EngineError, PushError, RefusalError, RegistryError
from buildx_tasks.images import sources
from buildx_tasks.machine import made
from buildx_tasks.machine.files import own_folder
from buildx_tasks.machine.locks import locked
from buildx_tasks.publishing import lost_platforms, upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.release import Release
    from buildx_tasks.publishing.upload import Watcher
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository
    from buildx_tasks.workspace import Workspace


class Published(NamedTuple):
    """One tag that was read back; ``was`` is the digest that it had before, ``""`` if none."""

    tag: str
    digest: str
    manifests: dict[Platform, str]
    was: str


def publish(
    workspace: Workspace,
    releases: Sequence[Release],
    watcher: Watcher,
    done: Callable[[Published], object],
    event: str = "pushed",
    uploaded: Callable[[Release, str], object] | None = None,
) -> list[Published]:
    """Upload all releases, then move their tags, each read back; ``done`` is told of each tag.

    ``uploaded`` is told of each image in each repository, by digest, before a tag moves.

    Raises:
        PushError: some tags moved and others did not, or a tag may not be moved; it says which.
        RegistryError, EngineError: nothing moved; it says what each tag holds, where that is known.

    """
    repository_of = workspace.registries.repository
    listed = [(one, tag, repository_of(tag)) for one in releases for tag in one.tags]
    places = {str(repository): repository for _, _, repository in listed}
    before: dict[Reference, Manifest | None] = {}
    try:
        for repository in places.values():
            repository.require_writable()
        for one, tag, repository in listed:
            before[tag] = repository.find(tag.tag, one.graph.root.digest)
        for one, tag, _ in listed:
            _require_free(one, tag, before[tag])
        for one, tag, repository in listed:
            lost_platforms.refuse(one, tag, before[tag], repository)
        for one in releases:
            places_of = [repository for other, _, repository in listed if other is one]
            for repository in _upload(one, places_of, watcher):
                if uploaded:
                    uploaded(one, repository.named(one.graph.root.digest))
    except (RegistryError, PushError, EngineError) as error:
        lines = [str(error), *(_as_before(tag, before) for _, tag, _ in listed)]
        raise type(error)("\n".join(lines)) from None
    moved: list[Published] = []
    with _alone(sorted(places)):
        for number, (one, tag, repository) in enumerate(listed):
            try:
                moved.append(_move(one, tag, repository))
                workspace.ledger.record(event, [_entry(one, moved[-1])])
            except (RegistryError, PushError, EngineError) as error:
                rest = [_as_before(other, before) for _, other, _ in listed[number + 1 :]]
                raise PushError(_told(error, tag, repository, one, moved, rest)) from None
            done(moved[-1])
    return moved


def _upload(one: Release, repositories: Sequence[Repository], watcher: Watcher) -> list[Repository]:
    source = one.source
    distinct = {str(repository): repository for repository in repositories}
    for repository in distinct.values():
        upload.upload(source, one.graph, repository, watcher)
        upload.confirm(one.graph, repository)
        source = sources.Mounting(one.source, repository)
    return list(distinct.values())


def _require_free(one: Release, tag: Reference, there: Manifest | None) -> None:
    if there is None or there.digest == one.graph.root.digest:
        return
    if any(fnmatchcase(tag.tag, pattern) for pattern in one.immutable):
        table = f"[target.{one.target or 'NAME'}.push]"
        raise PushError(
            f"{tag} is immutable and holds {there.digest}; what would be pushed is "
            f"{one.graph.root.digest}: give it a tag of its own, or change {table}"
        )


def _move(one: Release, tag: Reference, repository: Repository) -> Published:
    digest = one.graph.root.digest
    before = repository.find(tag.tag, digest)
    _require_free(one, tag, before)
    lost_platforms.refuse(one, tag, before, repository)
    if before is None or before.digest != digest:
        repository.put(tag.tag, one.graph.root)
    after = repository.get(tag.tag, digest)
    if after.digest != digest:
        raise PushError(
            f"{tag} was moved to {digest}, and the registry serves {after.digest}; somebody else "
            "pushed it meanwhile, or the registry rewrites images: look, and push again"
        )
    return Published(str(tag), digest, one.manifests, before.digest if before else "")


def _told(
    error: Exception,
    tag: Reference,
    repository: Repository,
    one: Release,
    moved: Sequence[Published],
    rest: Sequence[str],
) -> str:
    """Return an error with the state of every tag."""
    lines = [str(error)]
    try:
        there = repository.find(tag.tag, one.graph.root.digest)
    except RegistryError:
        lines.append(f"  {tag}: not known, the registry does not say")
    else:
        meant = there is not None and there.digest == one.graph.root.digest
        lines.append(f"  {tag}: {_state(there)}{', as meant' if meant else ''}")
    lines += [f"  {item.tag}: moved to {item.digest}" for item in moved]
    lines += rest
    if not isinstance(error, RefusalError):
        lines.append("run this again: it goes on from here")
    return "\n".join(lines)


def _as_before(tag: Reference, before: dict[Reference, Manifest | None]) -> str:
    """Return the line of a tag that was not touched; its state is as it was found, if it was."""
    return f"  {tag}: as before" + (f", {_state(before[tag])}" if tag in before else "")


def _state(there: Manifest | None) -> str:
    return "there is no such tag" if there is None else f"at {there.digest}"


@contextlib.contextmanager
def _alone(repositories: Sequence[str]) -> Iterator[None]:
    """Move the tags of a repository one push after another, on this machine.

    A registry cannot compare and set: between two machines, the later one wins.
    """
    with contextlib.ExitStack() as stack:
        for name in repositories:  # in one order everywhere, or two could wait for each other
            # A home that cannot be written has no second push.
            with contextlib.suppress(EngineError, OSError):
                path = made.state_folder() / f"{sha256(name.encode()).hexdigest()[:16]}.lock"
                own_folder(path.parent)
                stack.enter_context(locked(path, f"another push to {name}"))
        yield


def _entry(one: Release, item: Published) -> dict[str, Any]:
    by_digest = {manifest.digest: manifest for manifest in (one.graph.root, *one.graph.children)}
    sizes = {
        str(platform): sum(layer.size for layer in by_digest[digest].content.layers)
        for platform, digest in item.manifests.items()
    }
    return {
        **one.entry,
        "tag": item.tag,
        "digest": item.digest,
        "manifests": {str(platform): digest for platform, digest in item.manifests.items()},
        "sizes": sizes,
        "was": item.was,
    }
