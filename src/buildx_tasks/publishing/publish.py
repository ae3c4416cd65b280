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
from buildx_tasks.publishing import evidence, lost_platforms, standing, upload

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.release import Release
    from buildx_tasks.publishing.upload import Watcher
    from buildx_tasks.records.ledger import Ledger
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


class Before(NamedTuple):
    """What is done with each image in each repository, by its reference, before a tag moves.

    ``check`` may refuse it, ``sign`` signs it, and what is attached to it.
    """

    check: Callable[[Release, str], object] = lambda _one, _reference: None
    sign: Callable[[Release, str], object] = lambda _one, _reference: None


_NOTHING = Before()


class _Item(NamedTuple):
    """One tag of one release."""

    one: Release
    tag: Reference
    repository: Repository

    @property
    def digest(self) -> str:
        return self.one.graph.root.digest

    def held(self) -> Manifest | None:
        """Return what the tag holds; None where there is no such tag."""
        return self.repository.find(self.tag.tag, self.digest)

    def published(self, was: Manifest | None) -> Published:
        before = was.digest if was else ""
        return Published(str(self.tag), self.digest, self.one.manifests, before)


def publish(
    workspace: Workspace,
    releases: Sequence[Release],
    watcher: Watcher,
    done: Callable[[Published], object],
    event: str = "pushed",
    before_tags: Before = _NOTHING,
) -> list[Published]:
    """Upload all releases, then move their tags, each read back; ``done`` is told of each tag.

    Of a release that the registries hold whole under all its tags, nothing is uploaded or moved.

    Raises:
        PushError: some tags moved and others did not, or a tag may not be moved; it says which.
        RegistryError, EngineError: nothing moved; it says what each tag holds, where that is known.

    """
    repository_of = workspace.registries.repository
    listed = [_Item(one, tag, repository_of(tag)) for one in releases for tag in one.tags]
    before: dict[Reference, Manifest | None] = {}
    try:
        settled, absent = standing.look(releases, repository_of)
        before.update(dict.fromkeys(absent))
        before.update((item.tag, item.one.graph.root) for item in listed if item.tag in settled)
        _prepare([item for item in listed if item.tag not in settled], before)
        for one in releases:
            items = [item for item in listed if item.one is one]
            for repository in _uploaded(one, items, settled, watcher):
                reference = repository.named(one.graph.root.digest)
                before_tags.check(one, reference)
                before_tags.sign(one, reference)
                stays = all(item.tag in settled for item in items)
                _attach(workspace.ledger, one, repository, before_tags, stays=stays)
    except (RegistryError, PushError, EngineError) as error:
        lines = [str(error), *(_as_before(item, before) for item in listed)]
        raise type(error)("\n".join(lines)) from None
    moved: list[Published] = []
    with _alone(sorted({str(item.repository) for item in listed if item.tag not in settled})):
        for number, item in enumerate(listed):
            try:
                stays = item.tag in settled
                moved.append(item.published(item.one.graph.root) if stays else _move(item))
                workspace.ledger.record(event, [_entry(workspace.ledger, item.one, moved[-1])])
            except (RegistryError, PushError, EngineError) as error:
                rest = [_as_before(other, before) for other in listed[number + 1 :]]
                raise PushError(_told(error, item, moved, rest)) from None
            done(moved[-1])
    return moved


def require_movable(workspace: Workspace, releases: Sequence[Release]) -> None:
    """Do nothing where all tags of what is published later may be moved; nothing is changed.

    Raises:
        PushError, RegistryError: one may not; it says which.

    """
    repository_of = workspace.registries.repository
    settled, absent = standing.look(releases, repository_of)
    listed = [_Item(one, tag, repository_of(tag)) for one in releases for tag in one.tags]
    moving = [item for item in listed if item.tag not in settled]
    _prepare(moving, dict.fromkeys(absent))


def _prepare(moving: Sequence[_Item], before: dict[Reference, Manifest | None]) -> None:
    """Ask whether all may be written that has to be; fill in what each tag holds before."""
    for item in moving:
        _ = item.one.graph.blobs  # what cannot be read is said before anything is begun
    for repository in {str(item.repository): item.repository for item in moving}.values():
        repository.require_writable()
    for item in moving:
        if item.tag not in before:
            before[item.tag] = item.held()
    for item in moving:
        _require_free(item, before[item.tag])
    for item in moving:
        lost_platforms.refuse(item.one, item.tag, before[item.tag], item.repository)


def _uploaded(
    one: Release, items: Sequence[_Item], settled: Container[Reference], watcher: Watcher
) -> list[Repository]:
    """Upload a release to the repositories of its tags, where it is not settled; return them."""
    source = one.source
    distinct = {str(item.repository): item.repository for item in items}
    if all(item.tag in settled for item in items):
        return list(distinct.values())
    for repository in distinct.values():
        upload.upload(source, one.graph, repository, watcher)
        upload.confirm(one.graph, repository)
        source = sources.Mounting(one.source, repository)
    return list(distinct.values())


def _attach(
    ledger: Ledger, one: Release, repository: Repository, before: Before, *, stays: bool
) -> None:
    """Attach what goes out beside a release, unless an earlier push of the same did."""
    known = stays and evidence.is_known(
        ledger, str(repository), one.graph.root.digest, one.attachments
    )
    if not known:
        evidence.attach(repository, one.attachments, lambda place: before.sign(one, place))


def _require_free(item: _Item, there: Manifest | None) -> None:
    if there is None or there.digest == item.digest:
        return
    if any(fnmatchcase(item.tag.tag, pattern) for pattern in item.one.immutable):
        artifact = item.one.entry.get("artifact")
        table = (
            f"[artifact.{artifact}]" if artifact else f"[target.{item.one.target or 'NAME'}.push]"
        )
        raise PushError(
            f"{item.tag} is immutable and holds {there.digest}; what would be pushed is "
            f"{item.digest}: give it a tag of its own, or change {table}"
        )


def _move(item: _Item) -> Published:
    was = item.held()
    _require_free(item, was)
    lost_platforms.refuse(item.one, item.tag, was, item.repository)
    if was is None or was.digest != item.digest:
        item.repository.put(item.tag.tag, item.one.graph.root)
    after = item.repository.get(item.tag.tag, item.digest)
    if after.digest != item.digest:
        raise PushError(
            f"{item.tag} was moved to {item.digest}, and the registry serves {after.digest}; "
            "somebody else pushed it meanwhile, or the registry rewrites images: look, and push again"
        )
    return item.published(was)


def _told(error: Exception, item: _Item, moved: Sequence[Published], rest: Sequence[str]) -> str:
    """Return an error with the state of every tag."""
    lines = [str(error)]
    try:
        there = item.held()
    except RegistryError:
        lines.append(f"  {item.tag}: not known, the registry does not say")
    else:
        meant = there is not None and there.digest == item.digest
        lines.append(f"  {item.tag}: {_state(there)}{', as meant' if meant else ''}")
    lines += [f"  {item.tag}: moved to {item.digest}" for item in moved]
    lines += rest
    if not isinstance(error, RefusalError):
        lines.append("run this again: it goes on from here")
    return "\n".join(lines)


def _as_before(item: _Item, before: Mapping[Reference, Manifest | None]) -> str:
    """Return the line of a tag that was not touched; its state is as it was found, if it was."""
    known = f", {_state(before[item.tag])}" if item.tag in before else ""
    return f"  {item.tag}: as before{known}"


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


def _entry(ledger: Ledger, one: Release, item: Published) -> dict[str, Any]:
    manifests = {str(platform): digest for platform, digest in item.manifests.items()}
    attached = [held.note for held in one.attachments]
    return {
        **one.entry,
        "tag": item.tag,
        "digest": item.digest,
        "manifests": manifests,
        "sizes": _sizes(ledger, one, item.digest, manifests),
        "was": item.was,
        **({evidence.NOTED: attached} if attached else {}),
    }


def _sizes(
    ledger: Ledger, one: Release, digest: str, manifests: Mapping[str, str]
) -> dict[str, int]:
    """Return the compressed bytes of each platform; what was published before is not read again."""
    for entry in reversed(ledger.read()):
        known = entry.get("sizes")
        if (
            entry.get("digest") == digest
            and isinstance(known, dict)
            and known.keys() == manifests.keys()
        ):
            return known
    whole = {manifest.digest: manifest for manifest in (one.graph.root, *one.graph.children)}
    return {
        platform: sum(layer.size for layer in whole[held].content.layers)
        for platform, held in manifests.items()
    }
