"""A folder that is an OCI image layout: manifests and blobs in, by digest; the same, checked, out.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.engine import bodies
from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import writing
from buildx_tasks.registry.manifests import (
    MOST_JSON,
    config_of,
    listed_in,
    manifest_of,
    require_small,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.images.graph import Graph
    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Config, Descriptor, Manifest
    from buildx_tasks.registry.repository import Repository

NAME = "org.opencontainers.image.ref.name"  # annotation of what index.json lists

_CHUNK = 1 << 20  # bytes
_INDEX = "index.json"
_MARK = "oci-layout"


class Layout:
    """One folder, as a Source; links in it are not followed, for others may have made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def is_there(self) -> bool:
        """Whether the folder has what a layout begins with."""
        return (self.folder / _INDEX).is_file()

    def listed(self) -> dict[str, Descriptor]:
        """Return what ``index.json`` lists, by its name; what has none is left out.

        Raises:
            EngineError: there is no layout, or it cannot be read.

        """
        return {name: one for name, one in self.listed_all() if name}

    def listed_all(self) -> list[tuple[str, Descriptor]]:
        """Return all that ``index.json`` lists, each with its name, or ``""``.

        Raises:
            EngineError: there is no layout, or it cannot be read.

        """
        data = b"".join(self._chunks(_INDEX))
        found = listed_in(data, f"{self.folder / _INDEX}")
        return [(one.marks.get(NAME, ""), one) for one in found]

    def root(self) -> Manifest:
        """Return ``index.json`` as an index.

        Raises:
            EngineError: there is no layout, or it cannot be read.

        """
        return manifest_of(b"".join(self._chunks(_INDEX)), what=f"{self.folder / _INDEX}")

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        path = _path(digest)
        if self._size(path) > MOST_JSON:
            raise EngineError(f"{self.folder / path} has more than {MOST_JSON} bytes")
        return manifest_of(
            b"".join(self.blob(digest, None)), what=f"{self.folder}: {digest}", digest=digest
        )

    def config(self, descriptor: Descriptor) -> Config:
        """As a Source."""
        what = f"{self.folder}: {descriptor.digest}"
        require_small(descriptor, what)
        return config_of(b"".join(self.blob(descriptor.digest, descriptor.size)), what)

    def blob(self, digest: str, size: int | None) -> Iterator[bytes]:
        """As a Source."""
        try:
            yield from bodies.checked(self._chunks(_path(digest)), digest, size)
        except bodies.OtherBytesError as error:
            raise EngineError(f"{self.folder / _path(digest)}: {error}; fetch it again") from None

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        """As a Source."""
        return ""

    def add(self, name: str, whole: Graph, source: Source) -> None:
        """Write an image below its own name, in place of what had that; whole or not at all.

        Raises:
            EngineError: it cannot be written, or the source lacks something.

        """
        with writing(self.folder):
            (self.folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        for blob in whole.blobs:
            self._write(_path(blob.digest), source.blob(blob.digest, blob.size))
        for manifest in (*whole.children, whole.root):
            self._write(_path(manifest.digest), [manifest.data])
        self._write(_MARK, [b'{"imageLayoutVersion":"1.0.0"}'])
        others = self.listed() if self.is_there else {}
        root = {
            "mediaType": whole.root.media_type,
            "digest": whole.root.digest,
            "size": len(whole.root.data),
            "annotations": {NAME: name},
        }
        kept = [_plain(one) for known, one in others.items() if known != name]
        index = {"schemaVersion": 2, "manifests": [*kept, root]}
        self._write(_INDEX, [json.dumps(index, indent=2).encode()])

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        path = self.folder / name
        if name.startswith("blobs") and path.exists():
            return
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=self.folder, prefix=".tmp-")
        try:
            with os.fdopen(handle, "wb") as stream:
                for chunk in chunks:
                    with writing(path):
                        stream.write(chunk)
            with writing(path):
                Path(made).chmod(0o644)
                Path(made).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(made).unlink()
            raise

    def _size(self, name: str) -> int:
        path = self.folder / name
        try:
            found = path.lstat()
        except OSError as error:
            raise EngineError(f"{path} cannot be read: {error.strerror}; fetch it again") from None
        if not stat.S_ISREG(found.st_mode):
            raise EngineError(f"{path} is no file; fetch it again")
        return found.st_size

    def _chunks(self, name: str) -> Iterator[bytes]:
        path = self.folder / name
        if self._size(name) > MOST_JSON and name == _INDEX:
            raise EngineError(f"{path} has more than {MOST_JSON} bytes")
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
                yield from iter(lambda: stream.read(_CHUNK), b"")
        except OSError as error:
            raise EngineError(f"{path} cannot be read: {error.strerror}; fetch it again") from None


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _plain(one: Descriptor) -> dict[str, object]:
    return {
        "mediaType": one.media_type,
        "digest": one.digest,
        "size": one.size,
        "annotations": one.marks,
    }
