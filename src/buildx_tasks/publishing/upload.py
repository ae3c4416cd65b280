"""Bring a whole image into a repository by digest: blobs, manifests, index; no tag moves here."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from buildx_tasks.engine import content as blobs
from buildx_tasks.errors import EngineError
from buildx_tasks.registry.faults import RegistryError
from buildx_tasks.registry.repository import manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import docker

    from buildx_tasks.registry.repository import Manifest, Repository

_AT_ONCE = 4  # uploads; docker's own default is 5


class Blob(NamedTuple):
    """A config or layer: its digest, its bytes, and where else it may be had (``urls``)."""

    digest: str
    size: int
    urls: tuple[str, ...] = ()


class Source(Protocol):
    """Where an image is taken from."""

    def manifest(self, digest: str) -> Manifest:
        """Return a manifest or index."""

    def blob(self, digest: str) -> Iterable[bytes]:
        """Give a blob's bytes from their start."""

    def origin(self, repository: Repository) -> str:
        """Return the name of a repository of the same registry that has the blobs, or ``""``."""


class EngineStore:
    """The engine's containerd image store."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return manifest_of(blobs.read(self._client, digest))

    def blob(self, digest: str) -> Iterator[bytes]:
        """As a Source."""
        return blobs.stream(self._client, digest)

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        """As a Source."""
        return ""


class OtherRepository:
    """Another repository, of the same registry or another one."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return self._repository.get(digest)

    def blob(self, digest: str) -> Iterator[bytes]:
        """As a Source."""
        return self._repository.read(digest)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        mine = self._repository.registry.endpoint.registry
        return self._repository.name if repository.registry.endpoint.registry == mine else ""


class Mounting:
    """Another source, of what a repository of the same registry has by now."""

    def __init__(self, source: Source, repository: Repository) -> None:
        self._source = source
        self._beside = OtherRepository(repository)

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return self._source.manifest(digest)

    def blob(self, digest: str) -> Iterable[bytes]:
        """As a Source."""
        return self._source.blob(digest)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        return self._beside.origin(repository)


class Tree(NamedTuple):
    """An image as it is published: ``root`` is the index (or the only manifest), then all below it."""

    root: Manifest
    children: tuple[Manifest, ...]
    blobs: tuple[Blob, ...]


class Watcher(Protocol):
    """Told of an upload, from several threads."""

    def planned(self, repository: Repository, blob: Blob) -> None:
        """Take note of a blob that will be sent."""

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        """Take note that so many bytes of it are through."""

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        """Take note of a blob that needs no sending: ``there already``, ``mounted``."""


def tree_of(source: Source, digest: str) -> Tree:
    """Read an image's index and manifests.

    Raises:
        EngineError: the engine's store lacks one.
        RegistryError: a registry does.

    """
    root = source.manifest(digest)
    return assembled(
        root, [source.manifest(one["digest"]) for one in root.content.get("manifests", ())]
    )


def assembled(root: Manifest, children: Sequence[Manifest]) -> Tree:
    """Return the tree of an index and all its manifests, or of one manifest without any.

    Raises:
        EngineError: one of them is an index itself.

    """
    found: dict[str, Blob] = {}
    for manifest in children or [root]:
        if manifest.is_index:
            raise EngineError(
                f"{manifest.digest} is an index in an index, which nothing here makes"
            )
        for one in _described(manifest.content):
            found.setdefault(
                one["digest"], Blob(one["digest"], one["size"], tuple(one.get("urls") or ()))
            )
    return Tree(root, tuple(children), tuple(found.values()))


def _described(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield manifest["config"]
    yield from manifest["layers"]


def upload(source: Source, tree: Tree, repository: Repository, watcher: Watcher) -> None:
    """Bring the blobs, then the manifests, then the index into the repository, all by digest.

    What is there already is not sent again: a push that was cut off goes on where it was.

    Raises:
        RegistryError: the registry refuses, or does not come back.
        EngineError: the engine's store lacks something.

    """
    stop = repository.stop = threading.Event()
    pool = ThreadPoolExecutor(max_workers=_AT_ONCE)
    try:
        futures = [
            pool.submit(_bring, source, blob, repository, watcher, stop)
            for blob in sorted(tree.blobs, key=lambda blob: -blob.size)
        ]
        for future in as_completed(futures):  # what fails first is told first
            future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        repository.stop = threading.Event()
    for manifest in tree.children:
        repository.put(manifest.digest, manifest)
    repository.put(tree.root.digest, tree.root)


class _StoppedError(Exception):
    """Another blob failed, or a person stopped the push."""


def _bring(
    source: Source, blob: Blob, repository: Repository, watcher: Watcher, stop: threading.Event
) -> None:
    if stop.is_set():
        return
    if repository.has(blob.digest):
        watcher.present(repository, blob, "there already")
        return
    if blob.urls:
        return  # not to be distributed: those who pull get it from its own place
    origin = source.origin(repository)
    if origin and repository.mount(blob.digest, origin):
        watcher.present(repository, blob, "mounted")
        return

    def opened() -> Iterator[bytes]:
        for chunk in source.blob(blob.digest):
            if stop.is_set():
                raise _StoppedError
            yield chunk

    watcher.planned(repository, blob)
    try:
        repository.upload(
            blob.digest, blob.size, opened, lambda through: watcher.sent(repository, blob, through)
        )
    except _StoppedError:
        raise RegistryError(f"{repository}: the upload was stopped; run this again") from None
    except EngineError as error:
        raise EngineError(f"layer {blob.digest} cannot be read: {error}") from None


def confirm(tree: Tree, repository: Repository) -> None:
    """Read back every manifest by digest and compare its bytes.

    Raises:
        RegistryError: one is missing, or is not what was sent.

    """
    for manifest in (*tree.children, tree.root):
        found = repository.get(manifest.digest)  # compares the bytes with the digest
        if found.data != manifest.data:
            raise RegistryError(
                f"{repository.named(manifest.digest)} is not what was sent; push again"
            )
