"""Small ELF files that say what a test wants; none of them runs."""

from __future__ import annotations

import struct
from typing import NamedTuple

from buildx_tasks.machine import executables

EXECUTABLE, SHARED, RELOCATABLE = 2, 3, 1
ARM_ATTRIBUTES = 0x70000003
NOBITS, PROGBITS = 8, 1


class Section(NamedTuple):
    name: str
    kind: int
    content: bytes
    flags: int = 0


def elf(
    architecture: str = "amd64",
    *,
    header: executables.Header | None = None,
    kind: int = SHARED,
    flags: int = 0,
    interpreter: str = "",
    needed: tuple[str, ...] = (),
    sections: tuple[Section, ...] = (),
) -> bytes:
    bits, order, machine = header or executables.header(architecture) or (0, "", 0)
    wide = bits == 64
    head_size, segment_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    word = "Q" if wide else "I"
    count = 1 + bool(interpreter) + bool(needed)
    at = head_size + count * segment_size
    body = b""

    def put(content: bytes) -> tuple[int, int]:
        nonlocal body
        body += bytes(-len(body) % 8)
        start = at + len(body)
        body += content
        return start, len(content)

    segments = []
    if interpreter:
        segments.append((3, *put(interpreter.encode() + b"\0")))
    if needed:
        names = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
        start, size = put(names)
        offsets = [names.index(b"\0" + name.encode() + b"\0") + 1 for name in needed]
        tags = [*((1, offset) for offset in offsets), (5, start), (10, size), (0, 0)]
        packed = b"".join(struct.pack(f"{order}2{word}", *tag) for tag in tags)
        segments.append((2, *put(packed)))
    listed = [Section("", 0, b""), *sections, Section(".shstrtab", 3, b"")] if sections else []
    names = b"".join(section.name.encode() + b"\0" for section in listed)
    table = b""
    name_at = 0
    for section in listed:
        content = names if section.name == ".shstrtab" else section.content
        start, size = put(content)
        fields = (name_at, section.kind, section.flags, 0, start, size, 0, 0, 1, 0)
        table += struct.pack(f"{order}2I4{word}2I2{word}", *fields)
        name_at += len(section.name) + 1
    table_at, _ = put(table) if listed else (0, 0)
    segments.append((1, 0, at + len(body)))
    programs = b""
    for what, start, size in segments:
        common = (start, start, start, size, size)
        programs += (
            struct.pack(f"{order}2I6Q", what, 5, *common, 8)
            if wide
            else struct.pack(f"{order}8I", what, *common, 5, 4)
        )
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    numbers = (head_size, segment_size, count, section_size, len(listed), max(len(listed) - 1, 0))
    head = struct.pack(
        f"{order}16s2HI3{word}I6H",
        *(ident, kind, machine, 1, 0, head_size, table_at, flags, *numbers),
    )
    return head + programs + body


def arm_attributes(*pairs: tuple[int, int | bytes], vendor: str = "aeabi") -> Section:
    """Build attributes of a whole file: numbers below 128, or texts."""
    attributes = b"".join(
        bytes((tag,)) + (value + b"\0" if isinstance(value, bytes) else bytes((value,)))
        for tag, value in pairs
    )
    scope = b"\x01" + struct.pack("<I", 5 + len(attributes)) + attributes
    inner = vendor.encode() + b"\0" + scope
    content = b"A" + struct.pack("<I", 4 + len(inner)) + inner
    return Section(".ARM.attributes", ARM_ATTRIBUTES, content)
