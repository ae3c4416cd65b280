"""An ELF file in; which machine it is for, and what it needs to run, out."""

from __future__ import annotations

import functools
import struct
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from buildx_tasks.machine.executables import Header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAGIC = b"\x7fELF"

# e_flags. Source: each processor's ELF supplement; names EF_* in glibc's elf.h.
_ARM_HARD, _ARM_SOFT = 0x400, 0x200  # EF_ARM_ABI_FLOAT_HARD, _SOFT
_PPC64_ABI = 0x3
_MIPS_N32 = 0x20  # EF_MIPS_ABI2
# Tag_CPU_arch → version of the architecture; the numbers between are versions 7 (M) and 8.
# Source: https://github.com/ARM-software/abi-aa/blob/main/addenda32/addenda32.rst
_TAG_CPU_ARCH, _TAG_VFP_ARGS = 6, 28
_ARM_VERSIONS = (4, 4, 4, 5, 5, 5, 6, 6, 6, 6, 7, 6, 6, 7, 8, 8, 8, 8, 8, 8, 8, 8, 9)
_NTBS_TAGS = frozenset({4, 5, 65, 67})  # attributes that are texts, besides the odd ones above 32
_ARM_ATTRIBUTES, _NOBITS = 0x70000003, 8  # SHT_*
_EXECUTABLE = 0x4  # SHF_EXECINSTR
_ET_REL = 1
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_MOST_BYTES = 65536  # of a text or table: more than any real file has
_MOST_NAME = 4096  # of a library: the kernel's PATH_MAX


UNREAD = "a library whose name was not read"


class DamagedError(ValueError):
    """The file begins as an ELF file, and cannot be read as one."""


class UnheldError(ValueError):
    """What its headers lead to was not kept of a large file that passed by."""


class Elf(NamedTuple):
    """What one ELF file says.

    ``machine_name`` is as in ``EM_X86_64``. ``interpreter`` is ``""`` where it asks for none, and
    ``needed`` are the shared libraries that it asks for. ``float_abi`` and ``arm_version`` are of
    32-bit arm, ``abi`` is ``ELFv1`` or ``ELFv2`` for ppc64, ``n32`` for mips: ``""`` and 0 where
    the file does not say. ``is_object`` says that it is to be linked, and never run.
    """

    header: Header
    machine_name: str
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    float_abi: Literal["", "hard", "soft"] = ""
    arm_version: int = 0
    abi: str = ""
    is_object: bool = False


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


class _Section(NamedTuple):
    kind: int
    flags: int
    offset: int
    size: int


class _File:
    """The tables of an ELF file, read as they are: a damaged one ends in DamagedError, and soon.

    Not read by pyelftools, which takes 5 ms for each file (an image has thousands), reads sections
    that say nothing here, and goes round in circles in damaged ones; the tests compare with it.
    Source of the layouts: https://gabi.xinuos.com/elf/02-eheader.html and what follows it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        stream.seek(0, 2)
        self._length = stream.tell()
        ident = self.at(0, 16)
        bits, order = {1: 32, 2: 64}.get(ident[4]), {1: "<", 2: ">"}.get(ident[5])
        if ident[:4] != MAGIC or bits is None or order is None:
            raise DamagedError(f"it begins {ident[:7].hex(' ')}")
        self.wide = bits == 64
        self._order = order
        layout = self._struct("2HI3QI6H", "2HI3II6H")
        fields = layout.unpack(self.at(16, layout.size))
        self.header = Header(bits, order, fields[1])
        self.flags = fields[6]
        self.is_object = fields[0] == _ET_REL
        # e_phoff, e_phentsize, e_phnum; e_shoff, e_shentsize, e_shnum
        self.programs = fields[4], fields[8], fields[9]
        self.listed = fields[5], fields[10], fields[11]

    def at(self, offset: int, size: int) -> bytes:
        """Return exactly these bytes."""
        if offset + size > self._length:
            raise DamagedError(
                f"it ends at byte {self._length}, and its headers speak of {offset + size}"
            )
        self._stream.seek(offset)
        return self._stream.read(size)

    def insist_on(self, segment: _Segment) -> None:
        """Raise where the segment is not wholly there."""
        self.at(segment.offset + segment.size, 0)

    def segments(self) -> Iterator[_Segment]:
        layout = self._struct("2I6Q", "8I")
        for fields in self._table(*self.programs, layout):
            offset, address, _, size = fields[2:6] if self.wide else fields[1:5]
            yield _Segment(fields[0], offset, address, size)

    def sections(self) -> Iterator[_Section]:
        layout = self._struct("2I4Q2I2Q", "10I")
        for fields in self._table(*self.listed, layout):
            yield _Section(fields[1], fields[2], fields[4], fields[5])

    def tags(self, segment: _Segment) -> Iterator[tuple[int, int]]:
        """Give what the dynamic segment says, until its end mark."""
        layout = self._struct("2Q", "2I")
        size = min(segment.size, _MOST_BYTES)
        for tag, value in layout.iter_unpack(self.at(segment.offset, size - size % layout.size)):
            if tag == _DT_NULL:
                return
            yield tag, value

    def text(self, offset: int, most: int = _MOST_BYTES) -> str:
        size = max(min(most, self._length - offset), 0)
        return self.at(offset, size).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _struct(self, wide: str, narrow: str) -> struct.Struct:
        return struct.Struct(self._order + (wide if self.wide else narrow))

    def _table(
        self, offset: int, size: int, count: int, layout: struct.Struct
    ) -> Iterator[tuple[int, ...]]:
        if not offset or not count:
            return iter(())
        if size != layout.size:
            raise DamagedError(f"an entry of its tables has {size} bytes, not {layout.size}")
        return layout.iter_unpack(self.at(offset, size * count))


def read(stream: IO[bytes]) -> Elf:
    """Return what the ELF file in ``stream`` (seekable) says.

    Raises:
        DamagedError: it cannot be read.

    """
    file = _File(stream)
    sections = list(file.sections())
    found = Elf(file.header, name_of(file.header.machine), is_object=file.is_object)
    if found.machine_name == "EM_ARM":
        found = _of_arm(file, found, sections)
    elif found.machine_name == "EM_PPC64" and file.flags & _PPC64_ABI:
        found = found._replace(abi=f"ELFv{file.flags & _PPC64_ABI}")
    elif found.machine_name == "EM_MIPS" and not file.wide and file.flags & _MIPS_N32:
        found = found._replace(abi="n32")
    # Made by objcopy --only-keep-debug or eu-strip: its segments are those of another file.
    is_debug_file = any(s.kind == _NOBITS and s.flags & _EXECUTABLE for s in sections)
    return found if is_debug_file else _with_needs(file, found)


def glance(stream: IO[bytes]) -> tuple[Header, str]:
    """Return what the first pages of an ELF file say: its machine, and the interpreter it asks for.

    Raises:
        DamagedError: it cannot be read.

    """
    file = _File(stream)
    asked = next((segment for segment in file.segments() if segment.kind == _PT_INTERP), None)
    if asked is None:
        return file.header, ""
    text = file.at(asked.offset, min(asked.size, _MOST_BYTES))
    return file.header, text.rstrip(b"\0").decode("utf-8", "replace")


def spans(stream: IO[bytes]) -> list[tuple[int, int]]:
    """Return where the rest is that :func:`read` wants of a file, of which the first pages are here.

    Each is an offset and a number of bytes.
    """
    try:
        file = _File(stream)
        tables = [(at, size * count) for at, size, count in (file.programs, file.listed)]
        found = [one for one in tables if one[0] and one[1]]
        with suppress(DamagedError, UnheldError):
            found += [
                (one.offset, min(one.size, _MOST_BYTES))
                for one in file.segments()
                if one.kind in (_PT_DYNAMIC, _PT_INTERP)
            ]
    except (DamagedError, UnheldError):
        return []
    return found


@functools.cache
def name_of(machine: int) -> str:
    """Return what a machine's number stands for, as in ``EM_X86_64``."""
    from elftools.elf.enums import ENUM_E_MACHINE

    names = (name for name, number in ENUM_E_MACHINE.items() if number == machine)
    return next(names, f"machine {machine}")


def _with_needs(file: _File, found: Elf) -> Elf:
    segments = list(file.segments())
    loaded = [segment for segment in segments if segment.kind == _PT_LOAD]
    dynamic: _Segment | None = None
    for segment in segments:
        if segment.kind in (_PT_LOAD, _PT_DYNAMIC, _PT_INTERP):
            file.insist_on(segment)
        if segment.kind == _PT_INTERP and not found.interpreter:
            found = found._replace(interpreter=file.text(segment.offset, segment.size))
        elif segment.kind == _PT_DYNAMIC:
            dynamic = dynamic or segment  # one is all that a loader reads; there may be 65,535
    return found._replace(needed=tuple(_needed(file, dynamic, loaded))) if dynamic else found


def _needed(file: _File, dynamic: _Segment, loaded: Sequence[_Segment]) -> Iterator[str]:
    tags = list(file.tags(dynamic))
    names = [value for tag, value in tags if tag == _DT_NEEDED]
    address = dict(tags).get(_DT_STRTAB, 0)
    starts = [s.offset - s.address for s in loaded if s.address <= address < s.address + s.size]
    if names and not starts:
        raise DamagedError("the names of the libraries that it needs are not in it")
    for name in names:
        try:
            yield file.text(address + starts[0] + name, _MOST_NAME)
        except UnheldError:
            yield UNREAD


def _of_arm(file: _File, found: Elf, sections: Sequence[_Section]) -> Elf:
    attributes = _arm_attributes(file, sections)
    cpu = attributes.get(_TAG_CPU_ARCH, 0)
    version = _ARM_VERSIONS[min(cpu, len(_ARM_VERSIONS) - 1)] if cpu else 0
    vfp = attributes.get(_TAG_VFP_ARGS)
    abi: Literal["", "hard", "soft"] = ""
    if file.flags & _ARM_HARD or (vfp == 1 and not file.flags & _ARM_SOFT):
        abi = "hard"
    elif file.flags & _ARM_SOFT or vfp == 0:
        abi = "soft"
    return found._replace(float_abi=abi, arm_version=version)


def _arm_attributes(file: _File, sections: Sequence[_Section]) -> dict[int, int]:
    """Return the numbers among the whole file's build attributes; none where they are unreadable."""
    for section in sections:
        if section.kind == _ARM_ATTRIBUTES:
            try:
                data = file.at(section.offset, min(section.size, _MOST_BYTES))
                return dict(_numbers(data, "little" if file.header.order == "<" else "big"))
            except (IndexError, ValueError):
                return {}
    return {}


def _numbers(data: bytes, order: Literal["little", "big"]) -> Iterator[tuple[int, int]]:
    # "A", then for each vendor: length, name; for each scope: tag, length, attributes.
    # Of interest is the first: vendor aeabi, Tag_File.
    length = int.from_bytes(data[1:5], order)
    start = data.index(b"\0", 5) + 1
    if data[:1] != b"A" or data[5:start] != b"aeabi\0" or data[start] != 1:
        return
    end = min(start + int.from_bytes(data[start + 1 : start + 5], order), 1 + length)
    at = start + 5
    while at < end:
        tag, at = _uleb128(data, at)
        if tag == 32:  # Tag_compatibility: a number and a text
            _, at = _uleb128(data, at)
        if tag in _NTBS_TAGS or (tag >= 32 and (tag % 2 or tag == 32)):
            at = data.index(b"\0", at) + 1
        else:
            value, at = _uleb128(data, at)
            yield tag, value


def _uleb128(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at
