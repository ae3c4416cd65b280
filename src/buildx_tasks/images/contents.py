"""A layer in, read once as it comes; what is in it, and whether it is what is said of it, out.

No file of it is ever on a disc, or whole in memory, unless it is small.
"""

from __future__ import annotations

import functools
import hashlib
import tarfile
import threading
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol

from buildx_tasks.errors import EngineError
from buildx_tasks.images import elf, pe, tars
from buildx_tasks.images.merged import Listed
from buildx_tasks.images.passing import Passing
from buildx_tasks.images.paths import Entry, rooted
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.images.paths import Kind
    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Descriptor

MOST_KEPT = 1 << 20  # bytes of a text that is kept
_HEAD = pe.HEAD
_CHUNK = 1 << 16  # bytes
_A_PATH = 320  # bytes of memory, besides its name
_LONGEST = 4096  # characters: Linux's PATH_MAX
_A_NAME = 60  # besides its characters
_A_PROGRAM = 1000  # more of them, of what is known of an ELF file
_KINDS: dict[bytes, Kind] = {
    b"2": "symlink",
    b"3": "character device",
    b"4": "block device",
    b"5": "directory",
    b"6": "pipe",
}
# How media types of layers end, and what the layer is then.
_PACKED = {"gzip": "gzip", "zstd": "zstd", "tar": ""}


class Seen(NamedTuple):
    """What one file holds: what its headers say, or the text that was wanted of it.

    ``is_unread`` says that it is an ELF file of which too little could be kept.
    """

    elf: elf.Elf | elf.DamagedError | None = None
    pe: pe.Pe | None = None
    text: bytes | None = None
    is_unread: bool = False


class Contents(NamedTuple):
    """What a layer holds; ``problems`` are what is not as its descriptor and the config say.

    ``unpacked`` is the bytes of its files, ``held`` about how much memory all of this takes.
    """

    members: list[Listed]
    problems: tuple[str, ...]
    unpacked: int
    held: int


class FullError(Exception):
    """There is no room for so many paths."""


class Room:
    """How much memory paths may take together, in bytes; several threads take from it.

    Raises:
        FullError: (taking) there is no more.

    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._left = most
        self._guard = threading.Lock()
        self.alone = threading.Lock()  # held by who unpacks what takes much memory for itself

    def take(self, size: int) -> None:
        """Take some; giving back is taking less than nothing."""
        with self._guard:
            self._left -= size
            if self._left < 0 < size:
                self._left += size
                raise FullError


class Texts(Protocol):
    """Says which files' content is wanted."""

    def wants(self, path: str) -> bool:
        """Say whether the content at a path of a layer is to be kept, where it is small."""


class _Hashed:
    """What is unpacked, with the digest of all of it."""

    def __init__(self, unpacked: tars.Unpacked, like: str) -> None:
        self._unpacked = unpacked
        self.seen = hashlib.new("sha512" if like.startswith("sha512:") else "sha256")

    def read(self, size: int) -> bytes:
        data = self._unpacked.read(size)
        self.seen.update(data)
        return data

    def finish(self) -> None:
        while self.read(_CHUNK):
            pass
        self._unpacked.finish()

    @property
    def digest(self) -> str:
        return f"{self.seen.name}:{self.seen.hexdigest()}"


def of_layer(source: Source, layer: Descriptor, content: str, texts: Texts, room: Room) -> Contents:
    """Read a layer to its end; ``content`` is the digest of it unpacked, as the config says.

    Raises:
        EngineError: it is damaged, or made to harm.
        FullError: it has more paths than there is room for.
        RegistryError, PassingError: a registry does not give it.

    """
    taken = 0
    try:
        unpacked = tars.Unpacked(iter(source.blob(layer.digest, layer.size)), layer.size)
        is_heavy = unpacked.window > tars.LIGHT_WINDOW
        if is_heavy:
            room.alone.acquire()
        try:
            hashed = _Hashed(unpacked, content)
            found: list[Listed] = []
            folders = {""}
            size = pending = 0
            with tars.streamed(hashed) as archive:
                for info in tars.members(archive):
                    one = _listed(archive, info, texts)
                    found.append(one)
                    size += one.entry.size
                    pending += _held(one) + _above(one.entry, folders)
                    if pending > 1 << 16:
                        room.take(pending)
                        taken, pending = taken + pending, 0
            hashed.finish()
        finally:
            if is_heavy:
                room.alone.release()
        room.take(pending)
        taken += pending
    except tars.FAULTS as error:
        room.take(-taken)
        raise EngineError(f"it cannot be unpacked: {printable(str(error))}") from None
    except BaseException:
        room.take(-taken)
        raise
    problems = [*_packing(layer, unpacked.packing), *_digest(content, hashed.digest)]
    return Contents(found, tuple(problems), size, taken)


def again(
    source: Source, layer: Descriptor, wanted: Mapping[str, Iterable[Callable[[], Any]]]
) -> None:
    """Read a layer once more, for those who take the content at paths of it.

    Each of them gives a new taker, for it may have to be begun again. A taker has ``feed`` and
    ``end``, as of :class:`buildx_tasks.verification.visiting.Reader`.

    Raises:
        EngineError: it is damaged.
        RegistryError, PassingError: a registry does not give it.

    """
    unpacked: Any = tars.Unpacked(iter(source.blob(layer.digest, layer.size)), layer.size)
    try:
        with tars.streamed(unpacked) as archive:
            for info in tars.members(archive):
                makers = wanted.get(rooted(info.name), ()) if info.isreg() else ()
                takers = [one for make in makers if (one := make()) is not None]
                file = archive.extractfile(info) if takers else None
                for one in tars.feed(file, takers) if file else takers:
                    one.end()
        unpacked.finish()
    except tars.FAULTS as error:
        raise EngineError(f"it cannot be unpacked: {printable(str(error))}") from None


def _listed(archive: tarfile.TarFile, info: tarfile.TarInfo, texts: Texts) -> Listed:
    path = rooted(info.name)
    kind = _KINDS.get(info.type, "file")
    link = rooted(info.linkname) if info.islnk() else info.linkname
    size = info.size if info.isreg() else 0
    mode, uid, gid = (_shared(one) for one in (info.mode & 0o7777, info.uid, info.gid))
    entry = Entry(path, kind, mode, uid, gid, size, link, path)
    if not info.isreg() or not info.size:
        return Listed(entry)
    return Listed(entry, seen=_seen(archive, info, wanted=texts.wants(path)))


def _seen(archive: tarfile.TarFile, info: tarfile.TarInfo, *, wanted: bool) -> Seen | None:
    file: Any = archive.extractfile(info)
    head = file.read(_HEAD)
    if head.startswith(elf.MAGIC):
        passing = Passing(info.size)
        passing.feed(head)
        while chunk := file.read(_CHUNK):
            passing.feed(chunk)
        read = passing.read_as_elf()
        return Seen(read, is_unread=read is None)
    if wanted and info.size <= MOST_KEPT:
        return Seen(text=head + file.read())
    if not head.startswith(pe.MAGIC):
        return None
    try:
        program = pe.read(head)
    except pe.DamagedError:
        return None
    return Seen(pe=program) if program else None


def _held(one: Listed) -> int:
    text = len(one.seen.text) if one.seen and one.seen.text else 0
    program = one.seen.elf if one.seen and isinstance(one.seen.elf, elf.Elf) else None
    # Many names may be at one place of a small file.
    names = (program.interpreter, *program.needed) if program else ()
    more = _A_PROGRAM + sum(len(name) + _A_NAME for name in names) if one.seen else 0
    return _A_PATH + len(one.entry.path) + len(one.entry.link) + more + text


@functools.lru_cache(maxsize=4096)
def _shared(number: int) -> int:
    """Return the same number each time: an image has some 100,000 files, and few owners and modes."""
    return number


def _above(entry: Entry, folders: set[str]) -> int:
    """Return about how much memory the folders take that a path is in, and no member says."""
    if len(entry.path) > _LONGEST:
        raise tarfile.ReadError(f"a path of {len(entry.path)} characters, which no system has")
    if entry.kind == "directory":
        folders.add(entry.path)
    held, folder = 0, entry.path.rpartition("/")[0]
    while folder not in folders:
        folders.add(folder)
        held += _A_PATH + len(folder)
        folder = folder.rpartition("/")[0]
    return held


def _packing(layer: Descriptor, packing: str) -> list[str]:
    kind = layer.media_type or ""
    said = next((how for end, how in _PACKED.items() if kind.endswith(end)), None)
    if said is None or said == packing:
        return []
    is_what = f"compressed by {packing}" if packing else "not compressed at all"
    named = f"compressed by {said}" if said else "not compressed"
    return [f"its media type {printable(kind)} says that it is {named}, and it is {is_what}"]


def _digest(said: str, found: str) -> list[str]:
    if not said or said == found:
        return []
    return [f"unpacked it is {found}, and the config says {said}, so that no engine takes it"]
