"""One walk through all files of a platform's image, for several visitors at once.

The engine exports a container that is created and never started, so no emulator is needed. The
export is read as it comes: only the paths are kept (see :class:`~buildx_tasks.images.paths.Tree`),
and what the visitors keep.
"""

from __future__ import annotations

import tarfile
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Callable

from buildx_tasks.engine import faults
from buildx_tasks.engine.containers import Chunks
from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.images import tars
from buildx_tasks.images.paths import Entry, Kind, Tree
from buildx_tasks.text import printable
from buildx_tasks.verification import layer_walk
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.visiting import Reader, Visitor

# What dockerd puts into every container, as it makes it. Files of these names in the image are
# covered by it, and are in no export; folders of the image stay as they are (tried on Engine 28.5).
# Source: https://github.com/moby/moby/blob/master/daemon/initlayer/setup_unix.go
_MADE_BY_ENGINE = (
    Entry("/.dockerenv", "file"),
    Entry("/dev/console", "file"),
    Entry("/dev/pts", "directory"),
    Entry("/dev/shm", "directory"),  # noqa: S108
    Entry("/etc/hostname", "file"),
    Entry("/etc/hosts", "file"),
    Entry("/etc/mtab", "symlink", 0o777, link="/proc/mounts"),
    Entry("/etc/resolv.conf", "file"),
    Entry("/proc", "directory"),
    Entry("/sys", "directory"),
    # What they are in, where nothing else is. After them.
    Entry("/dev", "directory"),
    Entry("/etc", "directory"),
)
ENGINE_PATHS = frozenset({"/", *(entry.path for entry in _MADE_BY_ENGINE)})

_KINDS: dict[bytes, Kind] = {
    tarfile.DIRTYPE: "directory",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "character device",
    tarfile.BLKTYPE: "block device",
    tarfile.FIFOTYPE: "pipe",
}
_CHUNK = 1 << 16  # bytes
_END = bytes(512)  # a tar archive ends with blocks of zeros


def walk(subject: Subject, visitors: Sequence[Visitor]) -> list[Found]:
    """Show all files of the subject to all visitors; return what each found.

    The paths that dockerd makes in every container (ENGINE_PATHS) are not shown where they are as
    dockerd makes them: they cannot be told from the image's own.

    Raises:
        faults.api_errors: the engine fails to create or export a container.
        faults.lost_connections: the export broke off.

    """
    if subject.platform.os != "linux":
        return layer_walk.walk(subject, visitors)
    try:
        with subject.created(["-"]) as container:
            return look(lambda: container.export(chunk_size=_CHUNK), visitors)
    except RefusedError as refused:
        return [Found((str(refused),)) for _ in visitors]


def look(export: Callable[[], Iterator[bytes]], visitors: Sequence[Visitor]) -> list[Found]:
    """Do as :func:`walk`; each call of ``export`` gives the same tar archive in chunks."""
    tree = Tree()
    held = 0
    for entry, content in _members(export()):
        held += tars.held(entry.path, entry.link)
        if held > tars.MOST_HELD:
            problem = f"the image has more than {len(tree)} paths, more than are looked at"
            return [Found((f"{problem}; leave out what nobody needs",)) for _ in visitors]
        tree.add(_first_of(entry, tree))
        if entry.kind == "file" and not entry.link:
            content.give([visitor.take(entry) for visitor in visitors])
    _remove_what_the_engine_made(tree)
    missing = [set(visitor.missing(tree)) for visitor in visitors]
    if any(missing):
        for entry, content in _members(export()):
            if entry.kind == "file" and not entry.link:
                takers = [v for v, paths in zip(visitors, missing) if entry.path in paths]
                content.give([visitor.take(entry) for visitor in takers])
    return [visitor.found(tree) for visitor in visitors]


def _members(chunks: Iterator[bytes]) -> Iterator[tuple[Entry, _Content]]:
    """Give each entry, with its content, which is gone when the next one is asked for.

    Of a hard link, ``link`` is the other name.
    """
    stream = _Stream(chunks)
    with closing(stream), _broken_off():
        archive = tars.streamed(stream)
        for info in tars.members(archive):
            yield _entry(info), _Content(archive, info)
        while stream.read(_CHUNK):
            pass
        if stream.tail != _END:
            raise tarfile.ReadError("it has no end")


@contextmanager
def _broken_off() -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as error:
        # What tarfile says may hold a name of the image.
        reason = printable(str(error))
        raise faults.broken_off(f"the export of the container broke off: {reason}") from None


def _entry(info: tarfile.TarInfo) -> Entry:
    path = f"/{info.name.strip('/')}"
    kind = _KINDS.get(info.type, "file")
    link = f"/{info.linkname.strip('/')}" if info.islnk() else info.linkname
    return Entry(path, kind, info.mode & 0o7777, info.uid, info.gid, info.size, link, path)


def _first_of(entry: Entry, tree: Tree) -> Entry:
    """Return the entry as it is put into the tree: a hard link is what its first name is."""
    if entry.kind != "file" or not entry.link:
        return entry
    first = tree.at(entry.link)
    if first is None:  # it leads nowhere, and nothing of it can be read
        return entry._replace(kind="symlink")
    return first._replace(path=entry.path)


def _remove_what_the_engine_made(tree: Tree) -> None:
    for made in _MADE_BY_ENGINE:
        entry = tree.at(made.path)
        as_made = entry is not None and entry._replace(first="") == made
        if as_made and not any(other.path.startswith(f"{made.path}/") for other in tree):
            tree.remove(made.path)


class _Content:
    """What one member of the archive holds."""

    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> None:
        self._archive = archive
        self._info = info

    def give(self, taken: Sequence[Reader | None]) -> None:
        readers = [reader for reader in taken if reader is not None]
        file = self._archive.extractfile(self._info) if readers else None
        if file is None:
            return
        with _broken_off():
            readers = tars.feed(file, readers)
        for reader in readers:
            reader.end()


class _Stream(Chunks):
    """The chunks of an export; ``tail`` is the last block of it."""

    tail = b""

    def read(self, size: int) -> bytes:
        taken = super().read(size)
        self.tail = (self.tail + taken[-len(_END) :])[-len(_END) :]
        return taken
