"""A digest in; the index or manifest that it stands for, with all that it refers to, out."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Callable, NamedTuple

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.images.sources import Source
    from buildx_tasks.registry.manifests import Descriptor, Manifest


class Blob(NamedTuple):
    """A config or layer: its digest, its bytes, and where else it may be had (``urls``)."""

    digest: str
    size: int
    urls: tuple[str, ...] = ()


class Graph:
    """An image as it is published: ``root`` is the index (or the only manifest), then all below it.

    What is below is read when it is first asked for. Both attributes raise as :func:`graph_of`.
    """

    def __init__(self, root: Manifest, read: Callable[[], Sequence[Manifest]]) -> None:
        self.root = root
        self._read = read

    @property
    def named(self) -> tuple[str, ...]:
        """The digests of all manifests below the root, as it names them."""
        return tuple(dict.fromkeys(one.digest for one in self.root.content.manifests))

    @cached_property
    def children(self) -> tuple[Manifest, ...]:
        """The manifests below the root."""
        return tuple(self._read())

    @cached_property
    def blobs(self) -> tuple[Blob, ...]:
        """All configs and layers, each once."""
        return _blobs_of(self.children or (self.root,))


def graph_of(source: Source, digest: str) -> Graph:
    """Return an image, of which the index (or the only manifest) is read here.

    Raises:
        EngineError: the engine's store lacks a manifest, or they say what cannot be.
        RegistryError: a registry lacks one.

    """
    root = source.manifest(digest)
    return Graph(root, lambda: [below(root, one, source) for one in root.content.manifests])


def below(root: Manifest, one: Descriptor, source: Source) -> Manifest:
    """Return a manifest that an index lists.

    Raises:
        EngineError: the engine's store lacks it, or it is not as long as the index says.
        RegistryError: a registry lacks it.

    """
    child = source.manifest(one.digest)
    if len(child.data) != one.size:
        raise EngineError(
            f"{one.digest} has {len(child.data)} bytes, and the index {root.digest} says "
            f"{one.size}; it is no image to go on with"
        )
    return child


def assembled(root: Manifest, children: Sequence[Manifest]) -> Graph:
    """Return the graph of an index and all its manifests, or of one manifest without any."""
    return Graph(root, lambda: children)


def _blobs_of(manifests: Sequence[Manifest]) -> tuple[Blob, ...]:
    found: dict[str, Blob] = {}
    for manifest in manifests:
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
    return tuple(found.values())
