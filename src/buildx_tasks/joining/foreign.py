"""A part in; what of its files is for another platform than it says, out."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.images import machines, merged, starting, tars
from buildx_tasks.text import printable
from buildx_tasks.verification.checks import binaries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.images.merged import Listed
    from buildx_tasks.joining.letterbox import Part
    from buildx_tasks.language.expectations import Binaries
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Config, Descriptor, Manifest

_MOST_NAMED = 3  # wrong files; the rest is counted


class _Layer(NamedTuple):
    """What is in a layer; ``members`` is None where it was not read, or is too much to be kept."""

    found: Counter[str]
    members: Sequence[Listed] | None


class Layers:
    """The layers of parts; each is read once."""

    def __init__(self) -> None:
        self._known: dict[str, _Layer] = {}
        self._room = tars.MOST_HELD

    def problems(
        self,
        part: Part,
        manifest: Manifest,
        config: Config,
        platform: Platform,
        specs: Sequence[Binaries],
    ) -> Iterator[str]:
        """Yield what is foreign: all ELF files, one that ``specs`` mean, or the program that it starts.

        A single foreign file that nobody expects to be the platform's may be there on purpose.

        Raises:
            EngineError: a layer is damaged.
            RegistryError: the registry does not give it.

        """
        read = [self._read(part, one) for one in manifest.content.layers if not one.urls]
        found = sum((one.found for one in read), Counter[str]())
        if others := machines.foreign(found, platform):
            number = sum(found.values())
            which = "its only ELF file is" if number == 1 else f"all of its {number} ELF files are"
            yield f"{which} for {others}, not for {platform}"
            return
        whole = [one.members for one in read if one.members is not None]
        # What removes or replaces files may be in a layer that cannot be read.
        if len(whole) != len(manifest.content.layers) or platform.os != "linux":
            return
        files = merged.merged(whole)
        wrong = {
            path: architecture
            for spec in specs
            for path, architecture in binaries.foreign(files, platform, spec)
        }
        yield from _named(wrong, platform)
        entry = starting.program(files.tree, config.runtime)
        architecture = files.architectures.get(entry.first, "") if entry else ""
        if entry and entry.path not in wrong and machines.is_foreign(architecture, platform):
            name = printable(entry.path)
            yield f"the program that it starts, {name}, is for {architecture}, not for {platform}"

    def _read(self, part: Part, layer: Descriptor) -> _Layer:
        if layer.digest not in self._known:
            look = partial(machines.of_layer, part.source, layer)
            members = part.insist(f"layer {layer.digest}", look)
            found = Counter(one.architecture for one in members or () if one.architecture)
            self._room -= sum(tars.held(one.entry.path) for one in members or ())
            self._known[layer.digest] = _Layer(found, members if self._room > 0 else None)
        return self._known[layer.digest]


def _named(wrong: dict[str, str], platform: Platform) -> Iterator[str]:
    for path, architecture in list(wrong.items())[:_MOST_NAMED]:
        yield f"{printable(path)} is for {architecture}, not for {platform}, as binaries expects"
    if len(wrong) > _MOST_NAMED:
        yield f"{len(wrong) - _MOST_NAMED} more ELF files are not for {platform}"
