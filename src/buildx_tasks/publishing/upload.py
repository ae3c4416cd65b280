"""Bring a whole image into a repository by digest: blobs, manifests, index; no tag moves here."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Protocol

from buildx_tasks.errors import EngineError, RegistryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.images.graph import Blob, Graph
    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.repository import Repository

_AT_ONCE = 4  # uploads; docker's own default is 5


class Watcher(Protocol):
    """Told of an upload, from several threads."""

    def planned(self, repository: Repository, blob: Blob) -> None:
        """Take note of a blob that will be sent."""

    def sent(self, repository: Repository, blob: Blob, through: int) -> None:
        """Take note that so many bytes of it are through."""

    def present(self, repository: Repository, blob: Blob, how: str) -> None:
        """Take note of a blob that needs no sending: ``there already``, ``mounted``."""


def upload(source: Source, whole: Graph, repository: Repository, watcher: Watcher) -> None:
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
            for blob in sorted(whole.blobs, key=lambda blob: -blob.size)
        ]
        for future in as_completed(futures):  # what fails first is told first
            future.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        repository.stop = threading.Event()
    for manifest in whole.children:
        repository.put(manifest.digest, manifest)
    repository.put(whole.root.digest, whole.root)


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
        for chunk in source.blob(blob.digest, blob.size):
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


def confirm(whole: Graph, repository: Repository) -> None:
    """Read back every manifest by digest and compare its bytes.

    Raises:
        RegistryError: one is missing, or is not what was sent.

    """
    for manifest in (*whole.children, whole.root):
        found = repository.get(manifest.digest)  # compares the bytes with the digest
        if found.data != manifest.data:
            raise RegistryError(
                f"{repository.named(manifest.digest)} is not what was sent; push again"
            )
