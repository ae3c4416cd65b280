"""The first bytes of a file of Windows in; which machine it is for, and what kind it is, out."""

from __future__ import annotations

import struct
from typing import Literal, NamedTuple

MAGIC = b"MZ"
HEAD = 1024  # bytes that suffice for any real file: a linker's DOS program has 64 to 300

# Source: https://learn.microsoft.com/windows/win32/debug/pe-format#machine-types
_MACHINES = {
    0x014C: "386",
    0x8664: "amd64",
    0xAA64: "arm64",
    0xA641: "arm64",  # ARM64EC
    0xA64E: "arm64",  # ARM64X
    0x01C0: "arm",
    0x01C2: "arm",  # Thumb
    0x01C4: "arm",  # Thumb-2: what Windows calls ARMNT
    0x5032: "riscv32",
    0x5064: "riscv64",
    0x6232: "loong32",
    0x6264: "loong64",
    0x0200: "ia64",
    0x0166: "mipsle",
    0x01F0: "ppcle",
    0x0EBC: "ebc",  # EFI byte code
}
# What .NET's compiler for other systems than Windows changes of the machine, by an exclusive or.
# Source: dotnet/runtime, src/coreclr/inc/pedecoder.h, IMAGE_FILE_MACHINE_OS_MASK_*
_OTHER_SYSTEMS = {
    0x4644: "darwin",
    0xADC4: "freebsd",
    0x7B79: "linux",
    0x1993: "netbsd",
    0x1992: "solaris",
}
_DLL = 0x2000  # IMAGE_FILE_DLL
_EFI = range(10, 14)  # IMAGE_SUBSYSTEM_EFI_*
_CLR = 14  # IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR


class DamagedError(ValueError):
    """The file says that it is one of Windows, and cannot be read as one."""


class Pe(NamedTuple):
    """What a PE file says.

    ``architecture`` is as in ``amd64``, ``machine 0x1234`` where it is not known. ``system`` is for
    what it was compiled: another than ``windows`` is .NET's code that was compiled beforehand.
    ``managed``: it holds .NET's byte code, which runs wherever .NET does.
    """

    architecture: str
    system: str = "windows"
    kind: Literal["program", "library", "efi"] = "program"
    managed: bool = False


def machine(head: bytes) -> str:
    """Return for which architecture a file is, as in ``amd64``; ``""`` where it is no PE file.

    ``head`` are its first bytes, ``HEAD`` of them, or all where it has fewer.
    """
    try:
        found = read(head)
    except DamagedError:
        return ""
    return found.architecture if found else ""


def read(head: bytes) -> Pe | None:
    """Return what a file's first bytes say; None where it is no PE file, as programs of DOS are none.

    ``head`` are its first bytes, ``HEAD`` of them, or all where it has fewer.

    Raises:
        DamagedError: it ends within its headers.

    """
    if not head.startswith(MAGIC) or len(head) < 64:
        return None
    (start,) = struct.unpack_from("<I", head, 0x3C)
    if start < 4 or head[start : start + 4] != b"PE\0\0":
        return None
    coff = start + 4
    if len(head) < coff + 20:
        raise DamagedError(f"it ends at byte {len(head)}, within its headers")
    number, _, _, _, _, optional_size, flags = struct.unpack_from("<2H3I2H", head, coff)
    optional = head[coff + 20 : coff + 20 + optional_size]
    if len(optional) < optional_size and len(head) < HEAD:
        raise DamagedError(f"it ends at byte {len(head)}, within its headers")
    architecture, system = _machine(number)
    kind: Literal["program", "library", "efi"] = "library" if flags & _DLL else "program"
    if len(optional) >= 70 and struct.unpack_from("<H", optional, 68)[0] in _EFI:
        kind = "efi"
    return Pe(architecture, system, kind, managed=_is_managed(optional))


def _machine(number: int) -> tuple[str, str]:
    if number in _MACHINES:
        return _MACHINES[number], "windows"
    for mask, system in _OTHER_SYSTEMS.items():
        if number ^ mask in _MACHINES:
            return _MACHINES[number ^ mask], system
    return f"machine {number:#06x}", "windows"


def _is_managed(optional: bytes) -> bool:
    if len(optional) < 2:
        return False
    directories = {0x10B: 96, 0x20B: 112}.get(struct.unpack_from("<H", optional)[0], 0)
    entry = directories + 8 * _CLR
    if not directories or len(optional) < entry + 8:
        return False
    count = struct.unpack_from("<I", optional, directories - 4)[0]
    return count > _CLR and any(struct.unpack_from("<2I", optional, entry))
