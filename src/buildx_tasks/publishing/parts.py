"""Files in; the manifest of an OCI artifact that is made of them, and where its bytes come from, out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.engine import bodies
from buildx_tasks.errors import EngineError
from buildx_tasks.images.artifacts import EMPTY, EMPTY_TYPE, TITLE
from buildx_tasks.registry.manifests import (
    MANIFEST_TYPES,
    Config,
    Manifest,
    digest_of,
    manifest_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.registry.manifests import Descriptor
    from buildx_tasks.registry.repository import Repository

_CHUNK = 1 << 20


class Part(NamedTuple):
    """A blob of an artifact; ``title`` is the file's name, ``""`` where that is nobody's concern."""

    media_type: str
    digest: str
    size: int
    opened: Callable[[], Iterable[bytes]]
    title: str = ""


def of_bytes(media_type: str, data: bytes, title: str = "") -> Part:
    """Return bytes that are in memory as a part."""
    return Part(media_type, digest_of(data), len(data), lambda: [data], title)


def of_file(media_type: str, path: Path, title: str) -> Part:
    """Return a file as a part, which is read here, and again when it is sent.

    Raises:
        OSError: it cannot be read.

    """

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk

    seen, size = hashlib.sha256(), 0
    for chunk in chunks():
        seen.update(chunk)
        size += len(chunk)
    return Part(media_type, f"sha256:{seen.hexdigest()}", size, chunks, title)


def manifest(
    kind: str, config: Part | None, layers: Sequence[Part], annotations: Mapping[str, str]
) -> Manifest:
    """Return the manifest of an artifact; equal arguments give equal bytes.

    ``kind`` is its type where the ``config`` does not say it: None is the empty one.

    Source: https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage
    """
    content: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0]}
    if config is None:
        content["artifactType"] = kind
    content["config"] = _descriptor(config or of_bytes(EMPTY_TYPE, EMPTY))
    content["layers"] = [_descriptor(one) for one in layers]
    if annotations:
        content["annotations"] = dict(sorted(annotations.items()))
    return manifest_of(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def _descriptor(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {
        "mediaType": part.media_type,
        "digest": part.digest,
        "size": part.size,
    }
    return {**found, "annotations": {TITLE: part.title}} if part.title else found


class Parts:
    """An artifact's manifest and parts, as a Source."""

    def __init__(self, root: Manifest, listed: Iterable[Part]) -> None:
        self._root = root
        self._parts = {one.digest: one for one in listed}

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        if digest != self._root.digest:
            raise EngineError(f"{digest} is no manifest of the artifact")
        return self._root

    def config(self, descriptor: Descriptor) -> Config:  # noqa: ARG002
        """As a Source; an artifact has none that an image has."""
        return Config()

    def blob(self, digest: str, size: int) -> Iterator[bytes]:
        """As a Source."""
        try:
            yield from bodies.checked(self._parts[digest].opened(), digest, size)
        except bodies.OtherBytesError:
            title = self._parts[digest].title
            raise EngineError(f"{title} changed while it was pushed; push again") from None
        except OSError as error:
            raise EngineError(f"{error.filename}: {error.strerror}; push again") from None

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        """As a Source."""
        return ""
