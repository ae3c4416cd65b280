"""Layers in their order in; the files that a container sees, and for which machine its programs are, out.

Source: https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets
"""

from __future__ import annotations

import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from buildx_tasks.images.paths import Entry, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GONE = ".wh."
_EMPTIED = ".wh..wh..opq"
_MOST_LINKS = 40  # the kernel's own limit: man 7 path_resolution


class Listed(NamedTuple):
    """One member of a layer; of a hard link, ``link`` is the other name.

    ``architecture`` is that of an ELF file, ``""`` of all else; ``seen`` is what the reader of the
    layer found out of its content.
    """

    entry: Entry
    architecture: str = ""
    seen: Any = None


class Files(NamedTuple):
    """All paths, and the architectures of ELF files by the ``first`` of their entries.

    ``seen`` is by the same; ``dangling`` are hard links to what is not there: nothing unpacks these.
    """

    tree: Tree
    architectures: Mapping[str, str]
    seen: Mapping[str, Any] = MappingProxyType({})
    dangling: tuple[Entry, ...] = ()


_At = Callable[[str], Optional[Listed]]


def merged(layers: Iterable[Sequence[Listed]]) -> Files:
    """Return what layers come to, the lowest first: what is replaced or removed is not there."""
    known: dict[str, Listed] = {}
    dangling: list[Entry] = []
    links = _Links(known)
    for layer in layers:
        _apply(known, layer, dangling, links)
    links.settle()
    for lowest in {path.rpartition("/")[0] for path in known}:
        folder = lowest
        while folder and folder not in known:
            known[folder] = Listed(Entry(folder, "directory", first=folder))
            folder = folder.rpartition("/")[0]
    found = {one.entry.first: one.architecture for one in known.values() if one.architecture}
    seen = {one.entry.first: one.seen for one in known.values() if one.seen is not None}
    entries: Any = known
    for path, one in known.items():
        entries[path] = one.entry  # in place: an image may have some 100,000
    return Files(Tree(entries), found, seen, tuple(dangling))


def _apply(
    before: dict[str, Listed], layer: Sequence[Listed], dangling: list[Entry], links: _Links
) -> None:
    fresh: dict[str, Listed] = {}
    gone, emptied = set[str](), set[str]()
    folders: dict[str, str] = {}

    def at(path: str) -> Listed | None:
        return fresh.get(path) or before.get(path)

    def placed(path: str) -> str:
        folder, _, name = path.rpartition("/")
        if folder not in folders:
            folders[folder] = _real(folder, at)
        return f"{folders[folder]}/{name}"

    for one in layer:
        path = placed(one.entry.path)
        folder, _, name = path.rpartition("/")
        if name == _EMPTIED:
            emptied.add(folder)
        elif name.startswith(_GONE):
            gone.add(f"{folder}/{name[len(_GONE) :]}")
        else:
            if one.entry.kind != "directory":
                gone.add(path)  # with all that was below it
            if one.entry.kind == "symlink":
                folders.clear()
            fresh[path] = _named(one, path, placed, at)
            links.know(path, fresh)
            if fresh[path].entry.kind == "symlink" != one.entry.kind:
                dangling.append(fresh[path].entry)
    lost = _Lost(gone, emptied)
    for path in [path for path in before if lost.has(path)]:
        del before[path]
    before.update(fresh)


def _named(one: Listed, path: str, placed: Callable[[str], str], at: _At) -> Listed:
    """Return a member at its real path; a hard link is what its other name is."""
    entry = one.entry
    if entry.kind != "file" or not entry.link:
        if entry.path == entry.first == path:
            return one  # most are: none of the many is held twice
        return one._replace(entry=entry._replace(path=path, first=path))
    other = at(placed(entry.link))
    if other is None:  # it leads nowhere, and nothing of it can be read
        return one._replace(entry=entry._replace(path=path, first=path, kind="symlink"))
    # An engine gives the file what the header of its new name says.
    own = other.entry._replace(path=path, mode=entry.mode, uid=entry.uid, gid=entry.gid)
    return other._replace(entry=own)


class _Links:
    """Hard links. What they lead to stays what it was, whatever comes to be at its own path."""

    def __init__(self, known: dict[str, Listed]) -> None:
        self._known = known
        self._names: dict[str, list[str]] = {}  # by their ``first``
        self._number = itertools.count()

    def know(self, path: str, fresh: dict[str, Listed]) -> None:
        """Take what a layer now has at a path, besides all else that is ``fresh`` in it."""
        first = fresh[path].entry.first
        if first != path:
            self._names.setdefault(first, []).append(path)
            return
        former = f"{path}\0{next(self._number)}"  # no path has a zero in it
        for name in self._names.pop(path, ()):
            for held in (fresh, self._known):
                other = held.get(name)
                if other and other.entry.first == path != name:
                    held[name] = other._replace(entry=other.entry._replace(first=former))
                    self._names.setdefault(former, []).append(name)

    def settle(self) -> None:
        """Let the ``first`` of each be a path that is there, and has that content."""
        names = sorted({name for names in self._names.values() for name in names})
        lost = [self._known[name] for name in names if self._is_lost(name)]
        chosen: dict[str, str] = {}
        for one in lost:
            first = chosen.setdefault(one.entry.first, one.entry.path)
            entry = one.entry._replace(first=first)
            self._known[entry.path] = one._replace(entry=entry)

    def _is_lost(self, name: str) -> bool:
        one = self._known.get(name)
        own = self._known.get(one.entry.first) if one else None
        return one is not None and (own is None or own.entry.first != one.entry.first)


class _Lost:
    """What a layer removes: paths that are ``gone``, and all that is in a folder that is ``emptied``."""

    def __init__(self, gone: set[str], emptied: set[str]) -> None:
        self._gone = gone
        self._emptied = emptied
        self._folders = {"": "" in emptied}

    def has(self, path: str) -> bool:
        return path in self._gone or self._empties(path.rpartition("/")[0])

    def _empties(self, folder: str) -> bool:
        """Say whether all that is in a folder is gone; each is looked at once."""
        asked = []
        while folder not in self._folders:
            asked.append(folder)
            if folder in self._gone or folder in self._emptied:
                self._folders[folder] = True
            else:
                folder = folder.rpartition("/")[0]
        found = self._folders[folder]
        self._folders.update(dict.fromkeys(asked, found))
        return found


def _real(folder: str, at: _At) -> str:
    """Return a folder's path without links: a layer is unpacked through those that are there."""
    todo, found, links = folder.split("/")[::-1], "", 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            found = found.rpartition("/")[0]
            continue
        here = at(f"{found}/{part}")
        if here is None or here.entry.kind != "symlink" or links == _MOST_LINKS:
            found = f"{found}/{part}"
            continue
        links += 1
        todo += here.entry.link.split("/")[::-1]
        found = "" if here.entry.link.startswith("/") else found
    return found
