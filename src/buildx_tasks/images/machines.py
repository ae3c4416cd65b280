"""The layers of one platform's image in; for which architectures its ELF files are, out."""

from __future__ import annotations

import struct
from collections import Counter
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError
from buildx_tasks.images import elf, tars
from buildx_tasks.machine import executables
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Descriptor

_HEAD = 20  # bytes of an ELF file, up to e_machine
_UNREAD = "zstd"  # a compression that not every Python knows
# What a CPU of this architecture runs as well.
_ALSO = {"amd64": {"386"}, "arm64": {"arm"}, "mips64": {"mips"}, "mips64le": {"mipsle"}}


def of_layer(source: Source, layer: Descriptor) -> Counter[str] | None:
    """Return how many ELF files a layer has for each architecture, None where it cannot be unpacked.

    An architecture that is not known here has the name that ELF gives it.

    Raises:
        EngineError: it is damaged, or made to harm.
        RegistryError, PassingError: a registry does not give it.

    """
    if _UNREAD in (layer.media_type or ""):
        return None
    found: Counter[str] = Counter()
    unpacked: Any = tars.Unpacked(iter(source.blob(layer.digest, layer.size)), layer.size)
    try:
        with tars.streamed(unpacked) as archive:
            for info in tars.members(archive):
                file = archive.extractfile(info) if info.isreg() and info.size > _HEAD else None
                head = file.read(_HEAD) if file else b""
                if head.startswith(elf.MAGIC):
                    found[_architecture(head)] += 1
        unpacked.finish()
    except tars.FAULTS as error:
        raise EngineError(f"layer {layer.digest} cannot be read: {printable(str(error))}") from None
    return found


def foreign(found: Counter[str], platform: Platform) -> str:
    """Return for what the ELF files are where none is for the platform; ``""`` where all may be well."""
    own = {platform.architecture, *_ALSO.get(platform.architecture, ())}
    if not found or not own.isdisjoint(found):
        return ""
    return ", ".join(sorted(found))


def _architecture(head: bytes) -> str:
    order = ">" if head[5] == 2 else "<"
    (machine,) = struct.unpack(f"{order}H", head[18:20])
    header = executables.Header(64 if head[4] == 2 else 32, order, machine)
    return executables.architecture_of(header) or elf.name_of(machine)
