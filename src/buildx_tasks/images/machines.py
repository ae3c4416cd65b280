"""A layer of an image in; its members, and for which architecture each ELF file is, out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError
from buildx_tasks.images import elf, tars
from buildx_tasks.images.merged import Listed
from buildx_tasks.images.paths import Entry, rooted
from buildx_tasks.machine import executables
from buildx_tasks.text import printable

if TYPE_CHECKING:
    import tarfile
    from collections import Counter

    from buildx_tasks.images.paths import Kind
    from buildx_tasks.images.sources import Source
    from buildx_tasks.platforms import Platform
    from buildx_tasks.registry.manifests import Descriptor

_HEAD = 20  # bytes of an ELF file, up to e_machine
# What a CPU of this architecture runs as well.
_ALSO = {
    "amd64": frozenset({"386"}),
    "arm64": frozenset({"arm"}),
    "mips64": frozenset({"mips"}),
    "mips64le": frozenset({"mipsle"}),
}
_NARROW = frozenset({"amd64", "s390x"})
# Processors beside the one that runs an image, as graphics cards and the kernel's own: e_machine.
_DEVICES = {
    83: "AVR",
    94: "Xtensa",
    105: "MSP430",
    144: "TI PRU",
    164: "Hexagon",
    190: "CUDA",
    205: "Intel GT",
    224: "AMDGPU",
    247: "BPF",
}


def of_layer(source: Source, layer: Descriptor) -> list[Listed] | None:
    """Return the members of a layer, None where it has too many.

    An architecture that is not known here has the name that ELF gives it.

    Raises:
        EngineError: it is damaged, or made to harm.
        RegistryError, PassingError: a registry does not give it.

    """
    found: list[Listed] = []
    held = 0
    unpacked: Any = tars.Unpacked(iter(source.blob(layer.digest, layer.size)), layer.size)
    try:
        with tars.streamed(unpacked) as archive:
            for info in tars.members(archive):
                file = archive.extractfile(info) if info.isreg() and info.size > _HEAD else None
                head = file.read(_HEAD) if file else b""
                held += tars.held(info.name, info.linkname)
                if held > tars.MOST_HELD:
                    return None
                is_elf = head.startswith(elf.MAGIC)
                found.append(Listed(_entry(info), _architecture(head) if is_elf else ""))
        unpacked.finish()
    except tars.FAULTS as error:
        raise EngineError(f"layer {layer.digest} cannot be read: {printable(str(error))}") from None
    return found


def foreign(found: Counter[str], platform: Platform) -> str:
    """Return for what the ELF files are where none is for the platform; ``""`` where all may be well."""
    if not all(is_foreign(architecture, platform) for architecture in found):
        return ""
    return ", ".join(sorted(found))


def is_foreign(architecture: str, platform: Platform) -> bool:
    """Say whether an ELF file is for another architecture than the platform's CPU runs."""
    return architecture not in {"", platform.architecture, *also(platform)}


def also(platform: Platform) -> frozenset[str]:
    """Return the other architectures that the platform's CPU runs."""
    return _ALSO.get(platform.architecture, frozenset())


def is_narrow(header: executables.Header, platform: Platform) -> bool:
    """Say whether a file is of the platform's own machine, with addresses of 32 bits: x32, s390."""
    own = executables.header(platform.architecture)
    is_own = own == header._replace(bits=64)
    return platform.architecture in _NARROW and header.bits == 32 and is_own


def device(header: executables.Header) -> str:
    """Return the kind of processor that no operating system runs on, ``""`` for all others."""
    return _DEVICES.get(header.machine, "")


def _entry(info: tarfile.TarInfo) -> Entry:
    kind: Kind = "directory" if info.isdir() else "symlink" if info.issym() else "file"
    link = rooted(info.linkname) if info.islnk() else info.linkname
    return Entry(rooted(info.name), kind, link=link)


def _architecture(head: bytes) -> str:
    order = ">" if head[5] == 2 else "<"
    (machine,) = struct.unpack(f"{order}H", head[18:20])
    header = executables.Header(64 if head[4] == 2 else 32, order, machine)
    return executables.architecture_of(header) or elf.name_of(machine)
