"""Publish what was verified, digest for digest: first upload, then move tags, then read back.

Nothing that a tag points at changes before everything is uploaded, read back by digest, and every
tag of every target is known to be writable.
"""

from __future__ import annotations

import contextlib
import os
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks import __version__, references
from buildx_tasks.building import staging
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import EngineError, PushError, UsageError
from buildx_tasks.images import image as images
from buildx_tasks.machine.commands import locked
from buildx_tasks.publishing import upload as copying
from buildx_tasks.records import ledger
from buildx_tasks.registry import endpoints
from buildx_tasks.registry.faults import RegistryError
from buildx_tasks.registry.repository import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import docker

    from buildx_tasks.images.image import Image
    from buildx_tasks.language.expansion import Config
    from buildx_tasks.planning.selection import TargetPlan
    from buildx_tasks.platforms import Platform
    from buildx_tasks.publishing.upload import Source, Tree, Watcher
    from buildx_tasks.references import Reference
    from buildx_tasks.registry.repository import Manifest, Repository


class Published(NamedTuple):
    """One tag that was read back; ``was`` is the digest that it had before, ``""`` if none."""

    tag: str
    digest: str
    manifests: dict[Platform, str]
    was: str


class Release(NamedTuple):
    """One image on its way: under which tags, and which of these never move (``immutable``).

    ``manifests`` are the platforms' digests in the registry; ``entry`` is what the ledger notes of it
    besides; ``target`` is for messages.
    """

    target: str
    source: Source
    tree: Tree
    manifests: dict[Platform, str]
    tags: tuple[Reference, ...]
    immutable: tuple[str, ...]
    entry: dict[str, Any]


class Registries:
    """The registries of one task, each with its log-in and its connections."""

    def __init__(self, config: Config | None, info: dict[str, Any], root: Path) -> None:
        self._arguments = (config, info, root)
        self._known: dict[str, Registry] = {}

    def repository(self, reference: Reference) -> Repository:
        """Return the repository that a reference is in."""
        name = reference.registry
        if name not in self._known:
            self._known[name] = Registry(endpoints.of(name, *self._arguments))
        return self._known[name].repository(reference.repository)

    def holding(self, image: Image) -> Repository:
        """Return the repository where an image waits: its reference has no tag that counts."""
        return self.repository(references.parse(image.reference.partition("@")[0]))


def tags_of(target: TargetPlan, wanted: Sequence[str]) -> tuple[Reference, ...]:
    """Return the tags to push: the declared ones, or the ``wanted`` in place of them.

    A wanted one is a bare tag, for every repository of the target, or a whole reference.

    Raises:
        UsageError: it is no tag, or the target has none of its own.

    """
    images.reference_of(target)
    declared = [references.parse(tag) for tag in target.spec.tags]
    if not wanted:
        return tuple(dict.fromkeys(declared))
    return tuple(dict.fromkeys(one for text in wanted for one in resolved(text, declared)))


def resolved(text: str, beside: Sequence[Reference]) -> Iterator[Reference]:
    """Give what a tag means: itself if it is a whole reference, else in each repository of ``beside``.

    Raises:
        UsageError: it is no tag.

    """
    try:
        if "/" in text or ":" in text:
            yield references.parse(text)
            return
        references.parse(f"x:{text}")
    except ValueError:
        raise UsageError(
            f'"{text}" is no tag; write it as in v1.2, or whole as in localhost:5000/app:v1.2'
        ) from None
    for one in beside:
        yield one._replace(tag=text)


def refuse_shared(releases: Sequence[tuple[str, Sequence[Reference]]]) -> None:
    """Refuse two targets under one tag.

    Raises:
        UsageError: with the tag.

    """
    owners: dict[Reference, str] = {}
    for name, tags in releases:
        for tag in tags:
            if owners.setdefault(tag, name) != name:
                raise UsageError(
                    f'targets "{owners[tag]}" and "{name}" would both be {tag}; select one with -t'
                )


def require_whole(target: TargetPlan, image: Image) -> None:
    """Refuse an image that lacks a declared platform, or has one that nobody declared and verified.

    Raises:
        EngineError: with the platforms.

    """
    lacking = [str(p) for p in target.declared if p not in image.manifests]
    if lacking:
        raise EngineError(
            f"{image.reference} lacks {', '.join(lacking)} (built with -p?), and would replace a "
            f"whole image by a part; run invoke build -t {target.name}"
        )
    strange = [str(p) for p in image.manifests if p not in target.declared]
    if strange:
        raise EngineError(
            f"{image.reference} has {', '.join(strange)} too, which is not declared, and so not "
            f"verified; add it to platforms, or run invoke build -t {target.name}"
        )


def release(
    client: docker.DockerClient,
    registries: Registries,
    target: TargetPlan,
    image: Image,
    way: str,
    tags: tuple[Reference, ...],
    verified: str,
    versions: dict[str, str],
) -> Release:
    """Return a target's image as it goes out, with all its manifests read.

    Of the classic store, the platforms are pushed here, and the index is composed.

    Raises:
        EngineError: it is not built whole.
        PushError: the engine cannot push a platform, or another image arrived than was verified.
        RegistryError: the registry does not give what waits there.

    """
    require_whole(target, image)
    source: Source
    if way == staging.STAGED:
        source = copying.OtherRepository(registries.holding(image))
        tree = copying.tree_of(source, image.digest)
    elif way == staging.BY_PLATFORM:
        from buildx_tasks.publishing import compose as composing

        source, tree = composing.pushed(client, registries, target, image)
    else:
        source = copying.EngineStore(client)
        tree = copying.tree_of(source, image.digest)
    entry = {"target": target.name, "verified": verified, "way": way, "versions": versions}
    # An image without index says its platform in its config only.
    manifests = platforms_of(tree) or {target.declared[0]: tree.root.digest}
    return Release(target.name, source, tree, manifests, tags, target.spec.immutable, entry)


def publish(
    root: Path,
    registries: Registries,
    releases: Sequence[Release],
    watcher: Watcher,
    done: Callable[[Published], None],
    event: str = "pushed",
    uploaded: Callable[[Release, str], object] | None = None,
) -> list[Published]:
    """Upload all releases, then move their tags, each read back; ``done`` is told of each tag.

    ``uploaded`` is told of each image in each repository, by digest, before a tag moves.

    Raises:
        PushError: some tags moved and others did not, or a tag may not be moved; it says which.
        RegistryError, EngineError: nothing moved; it says what each tag holds, where that is known.

    """
    listed = [(one, tag, registries.repository(tag)) for one in releases for tag in one.tags]
    places = {str(repository): repository for _, _, repository in listed}
    before: dict[Reference, Manifest | None] = {}
    try:
        for repository in places.values():
            repository.require_writable()
        for one, tag, repository in listed:
            before[tag] = repository.find(tag.tag, one.tree.root.digest)
        for one, tag, _ in listed:
            _require_free(one, tag, before[tag])
        for one in releases:
            places_of = [repository for other, _, repository in listed if other is one]
            for repository in _upload(one, places_of, watcher):
                if uploaded:
                    uploaded(one, repository.named(one.tree.root.digest))
    except (RegistryError, PushError, EngineError) as error:
        lines = [str(error), *(_as_before(tag, before) for _, tag, _ in listed)]
        raise type(error)("\n".join(lines)) from None
    moved: list[Published] = []
    with _alone(sorted(places)):
        for number, (one, tag, repository) in enumerate(listed):
            try:
                moved.append(_move(one, tag, repository))
                ledger.record(root, event, [_entry(one, moved[-1])])
            except (RegistryError, PushError, EngineError) as error:
                rest = [_as_before(other, before) for _, other, _ in listed[number + 1 :]]
                raise PushError(_told(error, tag, repository, one, moved, rest)) from None
            done(moved[-1])
    return moved


def _upload(one: Release, repositories: Sequence[Repository], watcher: Watcher) -> list[Repository]:
    source = one.source
    distinct = {str(repository): repository for repository in repositories}
    for repository in distinct.values():
        copying.upload(source, one.tree, repository, watcher)
        copying.confirm(one.tree, repository)
        source = copying.Mounting(one.source, repository)
    return list(distinct.values())


def _require_free(one: Release, tag: Reference, there: Manifest | None) -> None:
    if there is None or there.digest == one.tree.root.digest:
        return
    if any(fnmatchcase(tag.tag, pattern) for pattern in one.immutable):
        table = f"[target.{one.target or 'NAME'}.push]"
        raise PushError(
            f"{tag} is immutable and holds {there.digest}; what would be pushed is "
            f"{one.tree.root.digest}: give it a tag of its own, or change {table}"
        )


def _move(one: Release, tag: Reference, repository: Repository) -> Published:
    digest = one.tree.root.digest
    before = repository.find(tag.tag, digest)
    _require_free(one, tag, before)
    if before is None or before.digest != digest:
        repository.put(tag.tag, one.tree.root)
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
        there = repository.find(tag.tag, one.tree.root.digest)
    except RegistryError:
        lines.append(f"  {tag}: not known, the registry does not say")
    else:
        meant = there is not None and there.digest == one.tree.root.digest
        lines.append(f"  {tag}: {_state(there)}{', as meant' if meant else ''}")
    lines += [f"  {item.tag}: moved to {item.digest}" for item in moved]
    lines += rest
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
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    with contextlib.ExitStack() as stack:
        for name in repositories:  # in one order everywhere, or two could wait for each other
            path = state / "buildx-tasks" / f"{sha256(name.encode()).hexdigest()[:16]}.lock"
            with contextlib.suppress(
                EngineError
            ):  # a home that cannot be written has no second push
                stack.enter_context(locked(path, f"another push to {name}"))
        yield


def platforms_of(tree: Tree) -> dict[Platform, str]:
    """Return the manifests' digests by platform, as the index says; attestations are left out."""
    return {
        images.platform_of(one["platform"]): one["digest"]
        for one in tree.root.content.get("manifests", ())
        if images.ATTESTATION not in (one.get("annotations") or {}) and "platform" in one
    }


def _entry(one: Release, item: Published) -> dict[str, Any]:
    by_digest = {manifest.digest: manifest for manifest in (one.tree.root, *one.tree.children)}
    sizes = {
        str(platform): sum(layer["size"] for layer in by_digest[digest].content["layers"])
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


def versions_of(info: dict[str, Any]) -> dict[str, str]:
    """Return the versions of what publishes, by name; ``info`` is the engine's."""
    return {"buildx-tasks": __version__, "Docker Engine": info["ServerVersion"]}


def engine_facts() -> tuple[docker.DockerClient, dict[str, Any]]:
    """Return the engine and what it says of itself.

    Raises:
        EngineError: no engine answers.

    """
    client = engine.connect()
    with engine.faults():
        return client, client.info()
