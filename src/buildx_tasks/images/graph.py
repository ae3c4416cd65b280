"""A digest in; the index or manifest that it stands for, with all that it refers to, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Manifest


class Blob(NamedTuple):
    """A config or layer: its digest, its bytes, and where else it may be had (``urls``)."""

    digest: str
    size: int
    urls: tuple[str, ...] = ()


class Graph(NamedTuple):
    """An image as it is published: ``root`` is the index (or the only manifest), then all below it."""

    root: Manifest
    children: tuple[Manifest, ...]
    blobs: tuple[Blob, ...]


def graph_of(source: Source, digest: str) -> Graph:
    """Read an image's index and manifests.

    Raises:
        EngineError: the engine's store lacks one.
        RegistryError: a registry does.

    """
    root = source.manifest(digest)
    children = []
    for one in root.content.manifests:
        child = source.manifest(one.digest)
        if len(child.data) != one.size:
            raise EngineError(
                f"{one.digest} has {len(child.data)} bytes, and the index {root.digest} says "
                f"{one.size}; it is no image to go on with"
            )
        children.append(child)
    return assembled(root, children)


def assembled(root: Manifest, children: Sequence[Manifest]) -> Graph:
    """Return the graph of an index and all its manifests, or of one manifest without any.

    Raises:
        EngineError: one of them is an index itself.

    """
    found: dict[str, Blob] = {}
    for manifest in children or [root]:
        if manifest.is_index:
            raise EngineError(
                f"{manifest.digest} is an index in an index, which nothing here makes"
            )
        for one in manifest.described:
            blob = Blob(one.digest, one.size, tuple(one.urls or ()))
            if found.setdefault(one.digest, blob).size != one.size:
                raise EngineError(
                    f"{one.digest} has {one.size} bytes as {manifest.digest} says, and "
                    f"{found[one.digest].size} elsewhere; it is no image to go on with"
                )
    return Graph(root, tuple(children), tuple(found.values()))
