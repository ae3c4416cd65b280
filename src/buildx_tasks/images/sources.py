"""A digest in; the manifest, config or blob that it stands for, out, wherever the image is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from buildx_tasks.engine import content
from buildx_tasks.registry.manifests import manifest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.registry.manifests import Manifest
    from buildx_tasks.registry.repository import Repository


class Source(Protocol):
    """Where an image is read from: a store, a repository, an archive."""

    def manifest(self, digest: str) -> Manifest:
        """Return a manifest or index."""

    def config(self, digest: str) -> dict[str, Any]:
        """Return an image's config."""

    def blob(self, digest: str) -> Iterable[bytes]:
        """Give a blob's bytes from their start."""

    def origin(self, repository: Repository) -> str:
        """Return the name of a repository of the same registry that has the blobs, or ``""``."""


class EngineStore:
    """The engine's containerd image store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return manifest_of(content.read(self._engine.client, digest))

    def config(self, digest: str) -> dict[str, Any]:
        """As a Source."""
        found: dict[str, Any] = json.loads(content.read(self._engine.client, digest))
        return found

    def blob(self, digest: str) -> Iterator[bytes]:
        """As a Source."""
        return content.stream(self._engine.client, digest)

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        """As a Source."""
        return ""


class RepositorySource:
    """A repository; of manifests and configs, faults that may pass are tried again."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return self._repository.get(digest)

    def config(self, digest: str) -> dict[str, Any]:
        """As a Source."""
        what = self._repository.named(digest)
        data = self._repository.insist(what, lambda: b"".join(self._repository.read(digest)))
        found: dict[str, Any] = json.loads(data)
        return found

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
        self._beside = RepositorySource(repository)

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return self._source.manifest(digest)

    def config(self, digest: str) -> dict[str, Any]:
        """As a Source."""
        return self._source.config(digest)

    def blob(self, digest: str) -> Iterable[bytes]:
        """As a Source."""
        return self._source.blob(digest)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        return self._beside.origin(repository)
