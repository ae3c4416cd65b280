"""PE files for tests: headers alone, as a linker writes them."""

from __future__ import annotations

import struct


def pe(
    machine: int = 0x8664,
    *,
    dll: bool = False,
    managed: bool = False,
    subsystem: int = 3,
    start: int = 0x80,
) -> bytes:
    """Return a PE file's headers; ``subsystem`` 3 is the console, ``start`` where PE begins."""
    wide = machine not in (0x014C, 0x01C4)
    directories = bytearray(16 * 8)
    if managed:
        directories[14 * 8 : 15 * 8] = struct.pack("<2I", 0x2008, 72)
    head = bytearray(112 if wide else 96)
    head[0:2] = struct.pack("<H", 0x20B if wide else 0x10B)
    head[68:70] = struct.pack("<H", subsystem)
    head[-4:] = struct.pack("<I", 16)
    optional = bytes(head) + bytes(directories)
    coff = struct.pack("<2H3I2H", machine, 0, 0, 0, 0, len(optional), 0x22 | (0x2000 if dll else 0))
    dos = b"MZ" + b"\0" * 58 + struct.pack("<I", start)
    return dos.ljust(start, b"\x0e") + b"PE\0\0" + coff + optional
