"""Bytes and the manifest that they are about in; a small OCI artifact of them, out. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.registry.manifests import MANIFEST_TYPES, Descriptor, digest_of, manifest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from buildx_tasks.registry.manifests import Manifest

KEY = "dev.buildx-tasks.attach"  # annotation: what a person calls the file
TITLE = "org.opencontainers.image.title"  # annotation: the name of the file
VERSION = "org.opencontainers.image.version"  # annotation
HELM = "application/vnd.cncf.helm.config.v1+json"  # the config of a chart

# Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidance-for-an-empty-descriptor
EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Artifact(NamedTuple):
    """An artifact: its manifest, and its blobs by digest."""

    manifest: Manifest
    blobs: dict[str, bytes]


def artifact(
    kind: str, data: bytes, subject: Descriptor, annotations: Mapping[str, str]
) -> Artifact:
    """Return an artifact that is about ``subject``; equal arguments give equal bytes.

    ``kind`` is the media type of the data, and of the artifact.

    Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
    """
    marks = dict(sorted(annotations.items()))
    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "artifactType": kind,
        "config": described(EMPTY_TYPE, EMPTY),
        "layers": [{**described(kind, data), "annotations": marks}],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.size,
        },
        "annotations": marks,
    }
    blobs = {digest_of(data): data, digest_of(EMPTY): EMPTY}
    return Artifact(manifest_of(json.dumps(content, separators=(",", ":")).encode()), blobs)


def descriptor_of(manifest: Manifest) -> Descriptor:
    """Return what another document says of a manifest."""
    return Descriptor(manifest.digest, len(manifest.data), manifest.media_type)


def described(kind: str, data: bytes) -> dict[str, Any]:
    """Return the descriptor of some bytes, as a manifest has it."""
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}
