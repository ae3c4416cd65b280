"""A platform in; what its executables' ELF header says, and the smallest of them, out."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from buildx_tasks.platforms import Platform


class _Machine(NamedTuple):
    """One architecture: bits of an address, byte order, ``e_machine``, ``e_flags``, and the code.

    ``code`` is machine code in hexadecimal, one word for each instruction. Where an architecture's
    instructions are numbers of 32 bits, the words are these numbers, and the byte order is applied
    to them.
    """

    bits: int
    order: str
    machine: int
    flags: int
    code: str
    whole_words: bool = True


# Sources. e_machine: the list at the ELF specification (gABI), names EM_* in the kernel's
# include/uapi/linux/elf-em.h. e_flags: each processor's ELF supplement, names EF_* in glibc's elf.h.
# Number of exit: the kernel's arch/*/entry/syscalls/*.tbl; arm64, riscv64 and loong64 have the
# generic include/uapi/asm-generic/unistd.h. Which register takes it: man 2 syscall.
# Instructions: each architecture's manual; binutils' disassembler names them as the comments do.
_MACHINES = {
    # EM_X86_64; xor edi,edi; mov eax,60; syscall
    "amd64": _Machine(64, "<", 62, 0, "31ff b83c000000 0f05", whole_words=False),
    # EM_386; xor ebx,ebx; mov eax,1; int 0x80
    "386": _Machine(32, "<", 3, 0, "31db b801000000 cd80", whole_words=False),
    # EM_ARM, EF_ARM_EABI_VER5; mov r0,#0; mov r7,#1; svc 0 (ARM state, which v5 has too)
    "arm": _Machine(32, "<", 40, 0x05000000, "e3a00000 e3a07001 ef000000"),
    # EM_AARCH64; mov x0,#0; mov x8,#93; svc #0
    "arm64": _Machine(64, "<", 183, 0, "d2800000 d2800ba8 d4000001"),
    # EM_RISCV; li a0,0; li a7,93; ecall
    "riscv64": _Machine(64, "<", 243, 0, "00000513 05d00893 00000073"),
    # EM_PPC64, ABI 2 (the entry is code, no descriptor); li r3,0; li r0,1; sc
    "ppc64": _Machine(64, ">", 21, 2, "38600000 38000001 44000002"),
    "ppc64le": _Machine(64, "<", 21, 2, "38600000 38000001 44000002"),
    # EM_S390; lghi %r2,0; svc 1
    "s390x": _Machine(64, ">", 22, 0, "a7290000 0a01", whole_words=False),
    # EM_LOONGARCH, EF_LOONGARCH_OBJABI_V1 and ABI_DOUBLE_FLOAT; li.w a0,0; li.w a7,93; syscall 0
    "loong64": _Machine(64, "<", 258, 0x43, "03800004 0381740b 002b0000"),
    # EM_MIPS, E_MIPS_ARCH_64, ABI n64; li a0,0; li v0,5058; syscall
    "mips64": _Machine(64, ">", 8, 0x60000000, "24040000 240213c2 0000000c"),
    "mips64le": _Machine(64, "<", 8, 0x60000000, "24040000 240213c2 0000000c"),
    # EM_MIPS, E_MIPS_ARCH_32, EF_MIPS_ABI_O32; li a0,0; li v0,4001; syscall
    "mips": _Machine(32, ">", 8, 0x50001000, "24040000 24020fa1 0000000c"),
    "mipsle": _Machine(32, "<", 8, 0x50001000, "24040000 24020fa1 0000000c"),
}


class Header(NamedTuple):
    """What the ELF header of a platform's programs says: bits of an address, order, ``e_machine``.

    ``order`` is ``<`` for little-endian, ``>`` for big-endian.
    """

    bits: int
    order: str
    machine: int


def header(architecture: str) -> Header | None:
    """Return what the ELF header says for an architecture; None where it has none, as for wasm."""
    row = _MACHINES.get(architecture)
    return None if row is None else Header(row.bits, row.order, row.machine)


def architecture_of(found: Header) -> str:
    """Return the architecture whose ELF header says this, ``""`` where there is none."""
    return next((name for name in _MACHINES if header(name) == found), "")


# A multiple of every architecture's page (64 KiB at most), above what vm.mmap_min_addr forbids.
_ADDRESS = 0x400000


_PAGE = 0x10000


def binary(platform: Platform) -> bytes | None:
    """Return a whole static ELF executable for ``platform`` that does ``exit(0)``.

    It is 93 to 132 bytes long. All variants of an architecture have the same one, which any of them
    runs: that it runs does not prove ``amd64/v3``.

    Returns:
        The file's bytes; None where there is no program: another system than Linux, or ``wasm``.

    """
    row = _MACHINES.get(platform.architecture) if platform.os == "linux" else None
    return None if row is None else _elf(row)


def _elf(row: _Machine) -> bytes:
    code = b"".join(map(bytes.fromhex, row.code.split()))
    if row.whole_words and row.order == "<":
        code = b"".join(word[::-1] for word in map(bytes.fromhex, row.code.split()))
    wide = row.bits == 64
    head_size, entry_size = (64, 56) if wide else (52, 32)
    start = head_size + entry_size
    address = "Q" if wide else "I"
    # Class, byte order, version; the rest of e_ident is 0.
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if row.order == "<" else 2, 1))
    head = struct.pack(
        f"{row.order}16sHHI3{address}I6H",
        ident,
        2,  # ET_EXEC
        row.machine,
        1,  # EV_CURRENT
        _ADDRESS + start,
        head_size,  # the program header follows
        0,  # no section headers
        row.flags,
        head_size,
        entry_size,
        1,
        0,
        0,
        0,
    )
    size = start + len(code)
    load, readable_and_executable = 1, 5
    # The same fields for both, but p_flags stands elsewhere.
    if wide:
        entry = (load, readable_and_executable, 0, _ADDRESS, _ADDRESS, size, size, _PAGE)
    else:
        entry = (load, 0, _ADDRESS, _ADDRESS, size, size, readable_and_executable, _PAGE)
    return head + struct.pack(row.order + ("2I6Q" if wide else "8I"), *entry) + code
