"""Layers in, each read once, several at once; what is in them, or why that is not known, out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import EngineError, MissingError, RegistryError
from buildx_tasks.images import contents
from buildx_tasks.images.contents import Contents, FullError, Room
from buildx_tasks.images.layers import instruction, layers_of
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from concurrent.futures import Future
    from typing import Any, Callable

    from buildx_tasks.auditing.places import Part, Place
    from buildx_tasks.images.contents import Texts
    from buildx_tasks.registry.manifests import Descriptor

MOST_HELD = 75_000_000  # bytes that all paths that are known at a time may take: about 190,000
_JOBS_PER_CPU = 2  # a layer waits for the network, and then for a CPU
_MOST_JOBS = 4


class Layer(NamedTuple):
    """One layer of a platform: ``contents`` is None where ``fault`` says why; it may have been left out.

    ``named`` is the layer for people: its digest, and the instruction that made it.
    """

    descriptor: Descriptor
    named: str
    contents: Contents | None
    fault: str = ""
    is_left_out: bool = False


class Layers:
    """The layers of one image. Those that several platforms share are read once."""

    def __init__(self, place: Place, jobs: int, texts: Texts) -> None:
        self._place = place
        self._texts = texts
        self._room = Room(MOST_HELD)
        jobs = jobs or min(_JOBS_PER_CPU * (os.cpu_count() or 1), _MOST_JOBS)
        self._pool = ThreadPoolExecutor(max_workers=jobs)
        self._known: dict[tuple[str, str], Future[Contents | str]] = {}

    def __enter__(self) -> Layers:  # noqa: PYI034 - Python 3.9 has no Self
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def of(self, part: Part) -> list[Layer]:
        """Return the layers of a platform whose manifest and config are there, the lowest first."""
        if part.manifest is None or part.config is None:
            return []
        listed = layers_of(part.manifest.content, part.config)
        diff_ids = part.config.diff_ids
        found = []
        for number, one in enumerate(part.manifest.content.layers):
            content = diff_ids[number] if len(diff_ids) == len(listed) else ""
            how = instruction(listed[number].made_by)
            named = f"layer {one.digest}{f' ({how})' if how else ''}"
            found.append((one, named, self._asked(one, content)))
        return [_layer(one, named, future) for one, named, future in found]

    def keep(self, others: Iterable[Part]) -> None:
        """Forget what no other platform has."""
        wanted = {
            one.digest for part in others if part.manifest for one in part.manifest.content.layers
        }
        for key in [key for key in self._known if key[0] not in wanted]:
            read = self._known.pop(key).result()
            if isinstance(read, Contents):
                self._room.take(-read.held)

    def again(self, layer: Layer, wanted: Mapping[str, Collection[Callable[[], Any]]]) -> str:
        """Read a layer once more, for what was too large to be kept; return why not, or ``""``."""

        def look() -> None:
            contents.again(self._place.source, layer.descriptor, wanted)

        try:
            self._place.insist(f"{self._place.name}: {layer.descriptor.digest}", look)
        except (EngineError, RegistryError) as error:
            return str(error)
        return ""

    def _asked(self, one: Descriptor, content: str) -> Future[Contents | str] | None:
        if one.urls:  # it may not be in this registry at all
            return None
        key = one.digest, content
        if key not in self._known:
            self._known[key] = self._pool.submit(self._read, one, content)
        return self._known[key]

    def _read(self, one: Descriptor, content: str) -> Contents | str:
        place = self._place

        def look() -> Contents:
            return contents.of_layer(place.source, one, content, self._texts, self._room)

        try:
            found: Contents = place.insist(f"{place.name}: layer {one.digest}", look)
        except MissingError:
            return "it is not there"
        except FullError:
            return (
                "the image has more paths than are looked at together; leave out what nobody needs"
            )
        except (EngineError, RegistryError) as error:
            return printable(str(error))
        return found


def _layer(one: Descriptor, named: str, future: Future[Contents | str] | None) -> Layer:
    if future is None:
        return Layer(one, named, None, is_left_out=True)
    read = future.result()
    return Layer(one, named, None, read) if isinstance(read, str) else Layer(one, named, read)


def whole(layers: Sequence[Layer]) -> bool:
    """Say whether each layer was read: what removes or replaces files may be in one that was not."""
    return all(one.contents is not None for one in layers)
