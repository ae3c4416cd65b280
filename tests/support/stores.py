"""A store in memory, as a Source of images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError
from buildx_tasks.registry.manifests import (
    Config,
    Descriptor,
    Manifest,
    config_of,
    digest_of,
    manifest_of,
)

if TYPE_CHECKING:
    from buildx_tasks.registry.repository import Repository


def digest(name: str) -> str:
    """A digest that is told from others by a name."""
    return digest_of(name.encode())


class Blobs(dict[str, bytes]):
    """Manifests, configs and layers by digest."""

    def add(self, content: Any) -> str:
        data = json.dumps(content).encode()
        self[digest_of(data)] = data
        return digest_of(data)

    def manifest(self, digest: str) -> Manifest:
        return manifest_of(self._read(digest))

    def config(self, descriptor: Descriptor) -> Config:
        return config_of(self._read(descriptor.digest), descriptor.digest)

    def blob(self, digest: str, size: int) -> list[bytes]:  # noqa: ARG002
        return [self._read(digest)]

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        return ""

    def _read(self, digest: str) -> bytes:
        if digest not in self:
            raise EngineError(f"lacks {digest}")
        return self[digest]
