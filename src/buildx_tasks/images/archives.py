"""A file in, as the ``oci`` exporter and ``docker save`` write it; the image that it holds out.

Source: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import posixpath
import tarfile
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.engine import bodies
from buildx_tasks.errors import EngineError
from buildx_tasks.images import tars
from buildx_tasks.images.attestations import ATTESTATION
from buildx_tasks.images.image import platform_of
from buildx_tasks.machine import files as disk
from buildx_tasks.registry.manifests import (
    MOST_JSON,
    config_of,
    listed_in,
    manifest_of,
    require_small,
)
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Config, Descriptor, Manifest
    from buildx_tasks.registry.repository import Repository

REMOVED = "removal"  # what a layer says of a path that earlier ones had

_WHITEOUT = ".wh."
_CHUNK = 1 << 20  # bytes
_MOST_MEMBERS = 20_000  # of an image's archive: its blobs
_KINDS = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}


class File(NamedTuple):
    """One path in a layer.

    ``content`` is the SHA-256 of a file, where a link leads, the numbers of a device; ``mtime`` is in
    seconds since 1970, ``size`` in bytes; ``attributes`` are the extended ones.
    """

    kind: str
    mode: int
    owner: str
    mtime: int
    size: int
    content: str
    attributes: tuple[tuple[str, str], ...] = ()


class Archive:
    """One archive, as a Source: read piece by piece; whole layers are never in memory."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = _indexed(tar)

    def manifests(self) -> dict[Platform, str]:
        """Return the digest of each platform's manifest; attestations are left out."""
        listed = listed_in(self._small(self._open("index.json")), "index.json of the archive")
        found: dict[Platform, str] = {}
        for entry in listed:
            # What names no platform is an index below the archive's own.
            for one in [entry] if entry.platform else self.manifest(entry.digest).content.manifests:
                if ATTESTATION not in one.marks and one.platform:
                    found[platform_of(one.platform)] = one.digest
        return found

    def manifest(self, digest: str) -> Manifest:
        """As a Source."""
        return manifest_of(self._checked(digest, None), digest=digest)

    def config(self, descriptor: Descriptor) -> Config:
        """As a Source."""
        require_small(descriptor, descriptor.digest)
        return config_of(self._checked(descriptor.digest, descriptor.size), descriptor.digest)

    def blob(self, digest: str, size: int | None) -> Iterator[bytes]:
        """As a Source."""
        stream = self._blob(digest)
        try:
            yield from bodies.checked(iter(lambda: stream.read(_CHUNK), b""), digest, size)
        except bodies.OtherBytesError as error:
            raise EngineError(f"{digest} in the archive: {error}; build it again") from None

    def origin(self, repository: Repository) -> str:  # noqa: ARG002
        """As a Source."""
        return ""

    def files(self, digest: str, size: int) -> Iterator[tuple[str, File]]:
        """Give the paths that a layer has, each beginning with ``/``.

        Raises:
            tarfile.ReadError: its compression is none that is known, or it is made to harm.
            EngineError: its bytes are not those that were built.

        """
        archive: Any
        layer: Any = tars.Unpacked(self.blob(digest, size), size)
        with tars.streamed(layer) as archive:
            for info in tars.members(archive):
                yield _file(archive, info)
        layer.finish()

    def contents(
        self, digest: str, size: int, wanted: Collection[str], most: int
    ) -> Iterator[tuple[str, bytes]]:
        """Give what a layer has at these paths, of those files that have ``most`` bytes at most.

        Raises:
            tarfile.ReadError, EngineError: as :meth:`files`.

        """
        archive: Any
        layer: Any = tars.Unpacked(self.blob(digest, size), size)
        with tars.streamed(layer) as archive:
            for info in tars.members(archive):
                path = f"/{posixpath.normpath(info.name).lstrip('./')}"
                if path in wanted and info.isreg() and info.size <= most:
                    file = archive.extractfile(info)
                    yield path, file.read(most) if file else b""
        layer.finish()

    def _checked(self, digest: str, size: int | None) -> bytes:
        if self._member(_path(digest)).size > MOST_JSON:
            raise EngineError(f"{digest} in the archive has more than {MOST_JSON} bytes")
        return b"".join(self.blob(digest, size))

    @staticmethod
    def _small(stream: IO[bytes]) -> bytes:
        return stream.read(MOST_JSON + 1)

    def _blob(self, digest: str) -> IO[bytes]:
        return self._open(_path(digest))

    def _open(self, path: str) -> IO[bytes]:
        opened = self._tar.extractfile(self._member(path))
        if opened is None:
            raise tarfile.ReadError(f"{path} is no file")
        return opened

    def _member(self, path: str) -> tarfile.TarInfo:
        found = self._members.get(path)
        if found is None:
            raise EngineError(f"the archive has no file {path}; build it again")
        return found


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _indexed(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return an archive's files by name; links, which may lead anywhere, are none."""
    found = {}
    for number, info in enumerate(tar):
        if number > _MOST_MEMBERS:
            raise EngineError(f"the archive has more than {_MOST_MEMBERS} members; build it again")
        if info.isreg() and not info.issparse():
            found[info.name] = info
    return found


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive that is in a file.

    Raises:
        EngineError: it is not whole, as on a full disk.

    """
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
            tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r:", tarinfo=tars.Member))
            archive = Archive(tar)
        except (OSError, *tars.FAULTS) as error:
            reason = printable(str(getattr(error, "strerror", None) or error))
            raise EngineError(f"{path} cannot be read: {reason}; verify again") from None
        yield archive


def save(engine: Engine, reference: str, platform: Platform, path: Path) -> None:
    """Write one platform of an image of the engine's store into an archive.

    Raises:
        EngineError: the engine does not give it, or it cannot be written.
        faults.lost_connections: it broke off.

    """
    api = engine.client.api
    only = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    response = api.get(
        f"{api.base_url}/v{api.api_version}/images/get",
        params={"names": reference, "platform": json.dumps(only)},
        stream=True,
    )
    with response:
        if response.status_code != 200:
            raise EngineError(f"the engine does not save {reference}: {response.text.strip()}")
        with disk.writing(path):
            stream = path.open("wb")
        try:
            for chunk in response.iter_content(_CHUNK):
                with disk.writing(path):
                    stream.write(chunk)
            with disk.writing(path):
                stream.flush()
        finally:
            with contextlib.suppress(OSError):  # it tries to write what is left
                stream.close()


def _file(archive: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[str, File]:
    folder, _, name = info.name.strip("/").rpartition("/")
    kind = _KINDS.get(info.type, "file")
    if name.startswith(_WHITEOUT) and not name.startswith(_WHITEOUT * 2):
        kind, name = REMOVED, name[len(_WHITEOUT) :]
    path = "/" + "/".join(part for part in (folder, name) if part not in ("", "."))
    # The time and mode of a removal are nobody's.
    return path, File(REMOVED, 0, "", 0, 0, "") if kind == REMOVED else File(
        kind,
        info.mode & 0o7777,
        f"{info.uid}:{info.gid}",
        tars.seconds(info.mtime),
        info.size,
        _content(archive, info, kind),
        tuple(sorted((k, v) for k, v in info.pax_headers.items() if "xattr" in k)),
    )


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo, kind: str) -> str:
    if kind.endswith("device"):
        return f"{info.devmajor}:{info.devminor}"
    if kind != "file":
        return info.linkname
    digest = hashlib.sha256()
    file = archive.extractfile(info)
    while file and (chunk := file.read(_CHUNK)):
        digest.update(chunk)
    return digest.hexdigest()
