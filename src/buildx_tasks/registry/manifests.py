"""Bytes in; the manifest or index that they are, out."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class Manifest(NamedTuple):
    """A manifest or index as its exact bytes; ``digest`` is computed from them."""

    digest: str
    media_type: str
    data: bytes

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    @property
    def is_index(self) -> bool:
        """Whether it lists other manifests."""
        return self.media_type in INDEX_TYPES


def manifest_of(data: bytes, media_type: str = "") -> Manifest:
    """Return bytes as a manifest; its own ``mediaType`` counts before the one that is given.

    Raises:
        ValueError: they are none.

    """
    content = json.loads(data)
    if not isinstance(content, dict) or not ("manifests" in content or "layers" in content):
        raise ValueError("no manifest of an image")
    by_form = INDEX_TYPES[0] if "manifests" in content else MANIFEST_TYPES[0]
    kind = content.get("mediaType") or media_type or by_form
    return Manifest(digest_of(data), kind, data)


def digest_of(data: bytes) -> str:
    """Return the digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
