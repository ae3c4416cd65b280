"""One walk through the layers of an image that no container here can be made of, as of Windows.

Read from the top layer down: what is met first is what counts. Layers of Windows have their files
below ``Files/``, and the registry's hives beside it, which nothing here looks at.
Source: https://github.com/containerd/containerd/blob/main/pkg/archive/tar_windows.go
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError
from buildx_tasks.images import sources, tars
from buildx_tasks.images.paths import Entry, Tree, rooted
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Collection, Iterator, Sequence

    from buildx_tasks.images.merged import Files
    from buildx_tasks.images.paths import Kind
    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Descriptor
    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.visiting import Reader, Visitor

_GONE, _EMPTIED = ".wh.", ".wh..wh..opq"
FILES = "/Files"
_BESIDE = ("/Hives", "/UtilityVM")


def walk(subject: Subject, visitors: Sequence[Visitor]) -> list[Found]:
    """Show all files of the subject to all visitors; return what each found.

    Layers that only their own place gives, as older ones of Windows itself, are left out, and said.

    Raises:
        EngineError: a layer is damaged, or gone from the engine.
        RegistryError: the registry does not give it.

    """
    workspace = subject.session.workspace
    if subject.image.parts:
        return [Found((_CLASSIC,)) for _ in visitors]
    source = sources.of_image(subject.image, subject.engine, workspace.registries)
    manifest = source.manifest(subject.image.manifest(subject.platform))
    layers = [one for one in manifest.content.layers if not one.urls]
    left_out = len(manifest.content.layers) - len(layers)
    tree = _walked(source, layers, visitors, None)
    missing = [frozenset(visitor.missing(tree)) for visitor in visitors]
    if any(missing):
        _walked(source, layers, visitors, missing)
    number = f"{left_out} layer{'' if left_out == 1 else 's'}"
    facts = (f"{number} of Windows itself not looked into",) if left_out else ()
    found = [visitor.found(tree) for visitor in visitors]
    return [one._replace(facts=(*one.facts, *facts)) for one in found]


_CLASSIC = (
    "files of images that are not for linux can be looked at in the containerd image store only; "
    "use that, or leave it out with only or skip"
)


def _walked(
    source: Source,
    layers: Sequence[Descriptor],
    visitors: Sequence[Visitor],
    wanted: Sequence[Collection[str]] | None,
) -> Tree:
    """Show what counts to the visitors; the second time, only what each of them ``wanted``."""
    tree, hidden, held = Tree(), _Hidden(), 0
    for layer in reversed(layers):
        lower: list[str] = []  # what this layer hides of those below it
        try:
            for entry, info, archive in _members(source, layer):
                held += tars.held(entry.path, entry.link)
                if held > tars.MOST_HELD:
                    raise EngineError("the image has more paths than are looked at")
                folder, _, name = entry.path.rpartition("/")
                if name == _EMPTIED:
                    lower.append(f"{folder}/")
                elif name.startswith(_GONE):
                    lower.append(f"{folder}/{name[len(_GONE) :]}")
                elif tree.at(entry.path) is None and not hidden.has(entry.path):
                    tree.add(entry)
                    lower += [entry.path] if entry.kind != "directory" else []
                    if entry.kind == "file":
                        _give(archive, info, _takers(entry, visitors, wanted))
        except tars.FAULTS as error:
            reason = printable(str(error))
            raise EngineError(f"layer {layer.digest} cannot be read: {reason}") from None
        hidden.add(lower)
    for path in [entry.path for entry in tree]:
        folder = path.rpartition("/")[0]
        while folder and tree.at(folder) is None:
            tree.add(Entry(folder, "directory", first=folder))
            folder = folder.rpartition("/")[0]
    return tree


def _takers(
    entry: Entry, visitors: Sequence[Visitor], wanted: Sequence[Collection[str]] | None
) -> list[Reader]:
    asked = [
        visitor
        for number, visitor in enumerate(visitors)
        if wanted is None or entry.first in wanted[number]
    ]
    return [reader for visitor in asked if (reader := visitor.take(entry)) is not None]


def as_windows_sees(files: Files) -> Files:
    """Return the files of merged layers under the paths that a container of Windows has them."""
    tree = Tree()
    seen = {}
    for entry in files.tree:
        if entry.path.startswith(_BESIDE) or entry.path == FILES:
            continue
        path = entry.path[len(FILES) :] if entry.path.startswith(f"{FILES}/") else entry.path
        tree.add(entry._replace(path=path, first=path))
        if entry.first in files.seen:
            seen[path] = files.seen[entry.first]
    return files._replace(tree=tree, seen=seen)


class _Hidden:
    """Paths that higher layers replace or remove, with all that is below them."""

    def __init__(self) -> None:
        self._paths: set[str] = set()

    def add(self, paths: Sequence[str]) -> None:
        self._paths.update(paths)

    def has(self, path: str) -> bool:
        if path in self._paths:
            return True
        while path:
            path = path.rpartition("/")[0]
            # With its slash: only what is in it is gone.
            if path in self._paths or f"{path}/" in self._paths:
                return True
        return False


def _members(
    source: Source, layer: Descriptor
) -> Iterator[tuple[Entry, tarfile.TarInfo, tarfile.TarFile]]:
    unpacked: Any = tars.Unpacked(iter(source.blob(layer.digest, layer.size)), layer.size)
    with tars.streamed(unpacked) as archive:
        for info in tars.members(archive):
            path = rooted(info.name)
            if path == "/" or path.startswith(_BESIDE) or path == FILES:
                continue
            path = path[len(FILES) :] if path.startswith(f"{FILES}/") else path
            kind: Kind = "directory" if info.isdir() else "symlink" if info.issym() else "file"
            link = info.linkname if info.issym() else ""
            size = info.size if info.isreg() else 0
            entry = Entry(path, kind, info.mode & 0o7777, info.uid, info.gid, size, link, path)
            yield entry, info, archive
    unpacked.finish()


def _give(archive: tarfile.TarFile, info: tarfile.TarInfo, readers: list[Reader]) -> None:
    file = archive.extractfile(info) if readers and info.isreg() else None
    for reader in tars.feed(file, readers) if file else readers:
        reader.end()
