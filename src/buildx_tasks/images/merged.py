"""Layers in their order in; the files that a container sees, and for which machine its programs are, out.

Source: https://github.com/opencontainers/image-spec/blob/main/layer.md#applying-changesets
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from buildx_tasks.images.paths import Entry, Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_GONE = ".wh."
_EMPTIED = ".wh..wh..opq"
_MOST_LINKS = 40  # the kernel's own limit: man 7 path_resolution


class Listed(NamedTuple):
    """One member of a layer; of a hard link, ``link`` is the other name.

    ``architecture`` is that of an ELF file, ``""`` of all else.
    """

    entry: Entry
    architecture: str = ""


class Files(NamedTuple):
    """All paths, and the architectures of ELF files by the ``first`` of their entries."""

    tree: Tree
    architectures: Mapping[str, str]


_At = Callable[[str], Optional[Listed]]


def merged(layers: Iterable[Sequence[Listed]]) -> Files:
    """Return what layers come to, the lowest first: what is replaced or removed is not there."""
    known: dict[str, Listed] = {}
    for layer in layers:
        known = _applied(known, layer)
    tree = Tree()
    for path, one in known.items():
        folder = path.rpartition("/")[0]
        while folder and folder not in known and tree.at(folder) is None:
            tree.add(Entry(folder, "directory", first=folder))
            folder = folder.rpartition("/")[0]
        tree.add(one.entry)
    found = {one.entry.first: one.architecture for one in known.values() if one.architecture}
    return Files(tree, found)


def _applied(before: dict[str, Listed], layer: Sequence[Listed]) -> dict[str, Listed]:
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
    kept = {path: one for path, one in before.items() if not _is_gone(path, gone, emptied)}
    return {**kept, **fresh}


def _named(one: Listed, path: str, placed: Callable[[str], str], at: _At) -> Listed:
    """Return a member at its real path; a hard link is what its other name is."""
    entry = one.entry
    if entry.kind != "file" or not entry.link:
        return one._replace(entry=entry._replace(path=path, first=path))
    other = at(placed(entry.link))
    if other is None:  # it leads nowhere, and nothing of it can be read
        return one._replace(entry=entry._replace(path=path, first=path, kind="symlink"))
    return other._replace(entry=other.entry._replace(path=path))


def _is_gone(path: str, gone: set[str], emptied: set[str]) -> bool:
    if path in gone:
        return True
    folder = path.rpartition("/")[0]
    while folder:
        if folder in gone or folder in emptied:
            return True
        folder = folder.rpartition("/")[0]
    return "" in emptied


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
