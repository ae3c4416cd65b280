"""A digest in; the manifest, config or blob that it stands for, out, wherever the image is."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from buildx_tasks.engine import content
from buildx_tasks.registry.manifests import MOST_JSON, config_of, manifest_of, require_small

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.images.image import Image
    from buildx_tasks.registry.manifests import Config, Descriptor, Manifest
    from buildx_tasks.registry.registries import Registries
    from buildx_tasks.registry.repository import Repository


class Source(Protocol):
    """Where an image is read from: a store, a repository, an archive."""

    def manifest(self, digest: str) -> Manifest:
        """Return a manifest or index."""

    def config(self, descriptor: Descriptor) -> Config:
        """Return an image's config."""

    def blob(self, digest: str, size: int) -> Iterable[bytes]:
        """Give a blob's bytes from their start; the last ones once size and digest are right."""

    def origin(self, repository: Repository) -> str:
        """Return the name of a repository of the same registry that has the blobs, or ``""``."""


def of_image(image: Image, engine: Engine, registries: Registries) -> Source:
    """Return where an image is read from: the registry that it waits in, else the engine's store."""
    if image.repository:
        return RepositorySource(registries.of(image.reference))
    return EngineStore(engine)


class EngineStore:
    """The engine's containerd image store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return manifest_of(self._read(digest), digest=digest)

    def config(self, descriptor: Descriptor) -> Config:
        """As a Source."""
        require_small(descriptor, descriptor.digest)
        return config_of(self._read(descriptor.digest), descriptor.digest)

    def _read(self, digest: str) -> bytes:
        known = self._engine.blobs
        if digest not in known:
            known[digest] = content.read(self._engine.api, digest, MOST_JSON)
        return known[digest]

    def blob(self, digest: str, size: int) -> Iterator[bytes]:
        """As a Source."""
        return content.stream(self._engine.api, digest, size)

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

    def config(self, descriptor: Descriptor) -> Config:
        """As a Source."""
        digest, repository = descriptor.digest, self._repository
        what = repository.named(digest)
        require_small(descriptor, what)
        data = repository.insist(what, lambda: b"".join(repository.read(digest, descriptor.size)))
        return config_of(data, what)

    def blob(self, digest: str, size: int) -> Iterator[bytes]:
        """As a Source."""
        return self._repository.read(digest, size)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        mine = self._repository.registry.endpoint.registry
        return self._repository.name if repository.registry.endpoint.registry == mine else ""


class Through:
    """Another source, as it is: for those that differ in one point."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return self._source.manifest(digest)

    def config(self, descriptor: Descriptor) -> Config:
        """As a Source."""
        return self._source.config(descriptor)

    def blob(self, digest: str, size: int) -> Iterable[bytes]:
        """As a Source."""
        return self._source.blob(digest, size)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        return self._source.origin(repository)


class Mounting(Through):
    """Another source, of what a repository of the same registry has by now."""

    def __init__(self, source: Source, repository: Repository) -> None:
        super().__init__(source)
        self._beside = RepositorySource(repository)

    def origin(self, repository: Repository) -> str:
        """As a Source."""
        return self._beside.origin(repository)


class Beside(Through):
    """Another source, and some blobs that are in memory or in sources of their own."""

    def __init__(
        self,
        source: Source,
        blobs: Mapping[str, bytes] = MappingProxyType({}),
        elsewhere: Mapping[str, Source] = MappingProxyType({}),
    ) -> None:
        super().__init__(source)
        self._blobs = blobs
        self._elsewhere = elsewhere

    def blob(self, digest: str, size: int) -> Iterable[bytes]:
        """As a Source."""
        if digest in self._blobs:
            return iter([self._blobs[digest]])
        return self._elsewhere.get(digest, self._source).blob(digest, size)
