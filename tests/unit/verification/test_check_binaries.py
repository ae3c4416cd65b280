from __future__ import annotations

import contextlib
import io
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from support.elves import NOBITS, PROGBITS, RELOCATABLE, Section, arm_attributes, elf

from buildx_tasks.errors import EngineError
from buildx_tasks.images import elf as elf_module
from buildx_tasks.language.expectations import Binaries
from buildx_tasks.machine.executables import Header, binary
from buildx_tasks.platforms import ARCHITECTURES, parse
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.binaries import BinariesVisitor
from buildx_tasks.verification.walk import look

from .test_filesystem import archive, chunks, folder, hard_link, symlink

LOADER = "/lib64/ld-linux-x86-64.so.2"
DYNAMIC = elf(interpreter=LOADER, needed=("libz.so.1", "libc.so.6"))
STATIC = elf()


def found_in(members: dict[str, Any], platform: str = "linux/amd64", **said: Any) -> Any:
    (found,) = look(
        lambda: chunks(archive(members), 5000), [BinariesVisitor(parse(platform), Binaries(**said))]
    )
    return found


def problems(members: dict[str, Any], platform: str = "linux/amd64", **said: Any) -> list[str]:
    return list(found_in(members, platform, **said).problems)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES - {"wasm"}))
def test_a_program_is_its_own_platforms_and_no_others(architecture: str) -> None:
    program = binary(parse(f"linux/{architecture}"))
    found = found_in({"hello": program}, f"linux/{architecture}", static=True)
    platform = parse(f"linux/{architecture}")
    assert found == Found(facts=(f"1 ELF file, for {platform}, static",))
    other = "linux/amd64" if architecture != "amd64" else "linux/arm64"
    (problem,) = problems({"hello": program}, other)
    assert problem.startswith(f"/hello is for linux/{architecture} (EM_")
    assert problem.endswith(
        f"), expected {other}; it was compiled or copied for another platform: use TARGETARCH"
    )


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (Header(32, "<", 62), "EM_X86_64, 32 bits, little-endian"),
        (Header(32, ">", 20), "EM_PPC, 32 bits, big-endian"),
        (Header(64, "<", 247), "EM_BPF, 64 bits, little-endian"),
        (Header(64, "<", 60000), "machine 60000, 64 bits, little-endian"),
    ],
)
def test_what_is_no_platforms_is_named_by_its_header(header: Header, named: str) -> None:
    (problem,) = problems({"x": elf(header=header)})
    assert problem.startswith(f"/x is for {named}, expected linux/amd64; ")


def test_relocatable_objects_are_looked_at_too() -> None:
    (problem,) = problems({"x.ko": elf("arm64", kind=RELOCATABLE)})
    assert problem.startswith("/x.ko is for linux/arm64 (EM_AARCH64), expected linux/amd64; ")


def test_files_that_are_no_elf_files_do_not_matter() -> None:
    members = {"hello": STATIC, "run.sh": b"#!/bin/sh\n", "empty": b"", "short": b"\x7fEL"}
    assert found_in(members).facts == ("1 ELF file, for linux/amd64, static",)


def test_an_image_without_elf_files_is_a_problem() -> None:
    assert problems({"run.sh": b"#!/bin/sh\n"}) == [
        "the image has no ELF file; leave binaries out where it is meant to have none"
    ]


def test_what_is_foreign_on_purpose_is_allowed() -> None:
    members = {
        "hello": STATIC,
        "opt": folder(),
        "opt/qemu": elf("arm64"),
        "opt/again": hard_link("opt/qemu"),
        "link": symlink("opt"),
    }
    assert problems(members) != []
    assert problems(members, allow=["/opt/qemu"]) == []
    assert problems(members, allow=["opt/**"]) == []
    assert problems(members, allow=["/link/*"]) == []
    # A pattern that only allowed files match is no mistake of theirs.
    assert problems(members, paths=["/hello"], allow=["/none/*"]) == []


@pytest.mark.parametrize("text", ["linux/wasm", "wasip1/wasm"])
def test_wasm_has_no_elf_files(text: str) -> None:
    if text == "linux/wasm":
        assert problems({"x": STATIC}, text) == [
            "/x is an ELF file, and linux/wasm has none; list it in allow if it is meant to be there"
        ]


HARD, SOFT = 0x05000400, 0x05000200
NEITHER = 0x05000000


@pytest.mark.parametrize(
    ("flags", "attributes", "platform", "said", "problem"),
    [
        (HARD, (), "linux/arm/v7", None, ""),
        (HARD, (), "linux/arm/v6", None, ""),
        (SOFT, (), "linux/arm/v5", None, ""),
        (SOFT, (), "linux/arm/v7", "soft", ""),
        (NEITHER, (), "linux/arm/v7", None, ""),
        (NEITHER, (), "linux/arm/v5", None, ""),
        (NEITHER, ((28, 1),), "linux/arm/v7", None, ""),
        (NEITHER, ((28, 3),), "linux/arm/v7", "soft", ""),
        (
            SOFT,
            (),
            "linux/arm/v7",
            None,
            "has the soft-float ABI, expected hard for linux/arm/v7; compile it with "
            '-mfloat-abi=hard, or expect it with float-abi = "soft"',
        ),
        (
            HARD,
            (),
            "linux/arm/v5",
            None,
            "has the hard-float ABI, expected soft for linux/arm/v5; ",
        ),
        (NEITHER, ((28, 0),), "linux/arm/v7", None, "has the soft-float ABI, expected hard for "),
        (NEITHER, ((28, 1),), "linux/arm/v7", "soft", "has the hard-float ABI, expected soft for "),
        (HARD, ((6, 6),), "linux/arm/v6", None, ""),
        (HARD, ((5, b"7-A"), (6, 10), (65, b"\x06\x03")), "linux/arm/v7", None, ""),
        (
            HARD,
            ((5, b"7-A"), (6, 10)),
            "linux/arm/v6",
            None,
            "needs ARMv7, expected ARMv6 at most for linux/arm/v6; compile it with GOARM=6 or "
            "-march=armv6",
        ),
        (SOFT, ((6, 6),), "linux/arm/v5", None, "needs ARMv6, expected ARMv5 at most for "),
        (HARD, ((6, 14),), "linux/arm/v7", None, "needs ARMv8, expected ARMv7 at most for "),
        (HARD, ((6, 14),), "linux/arm/v8", None, ""),
        (HARD, ((6, 99),), "linux/arm/v8", None, "needs ARMv9, expected ARMv8 at most for "),
    ],
)
def test_arm(flags: int, attributes: Any, platform: str, said: str | None, problem: str) -> None:
    sections = (arm_attributes(*attributes),) if attributes else ()
    program = elf("arm", flags=flags, sections=sections)
    got = problems({"x": program}, platform, float_abi=said)
    assert got == [] if not problem else got[0].startswith(f"/x {problem}")


@pytest.mark.parametrize(
    "section",
    [
        arm_attributes((6, 10), vendor="gnu"),
        arm_attributes((6, 10))._replace(content=b"A"),
        arm_attributes((6, 10))._replace(content=b"B" * 40),
        arm_attributes((6, 10))._replace(content=arm_attributes((5, b"x")).content[:-2]),
        arm_attributes((6, 10))._replace(content=b""),
    ],
)
def test_arm_attributes_that_cannot_be_read_say_nothing(section: Section) -> None:
    program = elf("arm", flags=HARD, sections=(section,))
    assert problems({"x": program}, "linux/arm/v6") == []


@pytest.mark.parametrize(
    ("architecture", "flags", "problem"),
    [
        ("ppc64le", 2, ""),
        ("ppc64le", 0, ""),
        ("ppc64le", 1, "has the ABI ELFv1, expected ELFv2 for linux/ppc64le; compile it for that"),
        ("ppc64", 1, ""),
        ("ppc64", 2, ""),
        ("mipsle", 0x50001000, ""),
        ("mipsle", 0x20, "has the ABI n32, expected o32 for linux/mipsle; compile it for that"),
        ("mips64", 0x60000000, ""),
    ],
)
def test_abis(architecture: str, flags: int, problem: str) -> None:
    got = problems({"x": elf(architecture, flags=flags)}, f"linux/{architecture}")
    assert got == ([f"/x {problem}"] if problem else [])


def test_the_interpreter_must_be_in_the_image() -> None:
    members = {"app": folder(), "app/hello": DYNAMIC}
    assert problems(members) == [
        f"/app/hello needs the interpreter {LOADER}, which is not in the image; "
        "use a base image that has it, or link it statically (CGO_ENABLED=0, -static)"
    ]
    there = {
        **members,
        "lib64": symlink("usr/lib64"),
        "usr": folder(),
        "usr/lib64": folder(),
        "usr/lib64/ld-linux-x86-64.so.2": symlink("../lib/ld.so"),
        "usr/lib": folder(),
    }
    assert len(problems(there)) == 1
    assert found_in({**there, "usr/lib/ld.so": STATIC}) == Found(
        facts=(
            "2 ELF files, all for linux/amd64, 1 static",
            "libc.so.6, which /app/hello needs, is not in the image",
            "libz.so.1, which /app/hello needs, is not in the image",
        )
    )


def test_libraries_that_are_there_are_no_news() -> None:
    members = {
        "hello": elf(needed=("libz.so.1", "libc.so.6")),
        "lib": folder(),
        "lib/libc.so.6": STATIC,
        "lib/libz.so.1": symlink("libz.so.1.3"),
    }
    assert found_in(members).facts == ("2 ELF files, all for linux/amd64, 1 static",)


def test_static() -> None:
    assert problems({"x": DYNAMIC}, static=True) == [
        f"/x is not static, it needs {LOADER}, libz.so.1, libc.so.6; "
        "link it statically (CGO_ENABLED=0 for Go, -static for C)"
    ]
    (problem,) = problems({"x": elf(needed=("libc.so",))}, static=True)
    assert problem.startswith("/x is not static, it needs libc.so; ")
    assert found_in({"x": elf("arm64")}, "linux/arm64", static=True).problems == ()


def test_what_the_globs_mean() -> None:
    members = {
        "app": folder(),
        "app/hello": STATIC,
        "app/run.sh": b"#!/bin/sh\n",
        "app/wrong": elf("arm64"),
        "link": symlink("app"),
        "z": hard_link("app/wrong"),
        "run": symlink("app/wrong"),
    }
    assert problems(members, paths=["/app/h*"]) == []
    assert problems(members, paths=["/app/hello", "app/h*"]) == []
    assert problems(members, paths=["/app/run.sh"]) == ["/app/run.sh is no ELF file"]
    assert problems(members, paths=["/app/*.sh"]) == [
        "none of the 1 files that /app/*.sh means is an ELF file"
    ]
    assert problems(members, paths=["/app/helo"]) == [
        "nothing is at /app/helo; did you mean /app/hello?"
    ]
    assert problems(members, paths=["/apps/*"]) == ["no file matches /apps/*; did you mean /app?"]
    assert problems(members, paths=["/app/"]) == [
        "/app is a directory; write /app/** for all files in it"
    ]
    for path in ("/app/*", "/link/wrong", "/link/w*", "/z", "/run"):
        (problem,) = problems(members, paths=[path])
        assert " is for linux/arm64 (EM_AARCH64), expected linux/amd64; " in problem


def test_each_file_is_named_once_however_many_names_it_has() -> None:
    wrong = elf("arm64")
    members = {"a": wrong, "b": hard_link("a"), "c": symlink("a")}
    assert len(problems(members, paths=["/a", "/*", "/c"])) == 1


def test_of_very_many_wrong_files_ten_are_named() -> None:
    wrong = elf("arm64")
    got = problems({"right": STATIC, **{f"x{number:02}": wrong for number in range(42)}})
    assert len(got) == 11
    assert got[9].startswith("/x09 is for ")
    assert got[10] == (
        "32 more are wrong, of 43 ELF files; for those that are foreign on purpose there is allow"
    )


def test_foreign_texts_stay_in_their_line() -> None:
    (problem,) = problems({"a\nb": elf(interpreter="/x\x1b[1m")})
    assert problem.startswith(
        "/a\\nb needs the interpreter /x\\x1b[1m, which is not in the image; "
    )


def test_debug_information_needs_no_interpreter() -> None:
    text = Section(".text", NOBITS, b"", flags=4)
    assert problems({"x.debug": elf(interpreter=LOADER, sections=(text,))}) == []
    assert (
        len(problems({"x": elf(interpreter=LOADER, sections=(text._replace(kind=PROGBITS),))})) == 1
    )


def test_a_file_that_is_cut_off_is_one_problem() -> None:
    whole = elf(interpreter="/x", needed=("y",), sections=(arm_attributes((6, 10)),))
    for length in range(4, len(whole), 9):
        (problem,) = problems({"x": whole[:length]})
        assert problem.startswith("/x is damaged (")
        assert problem.endswith("); build or copy it again")
    assert problems({"x": whole[:-1]}) == [
        f"/x is damaged (it ends at byte {len(whole) - 1}, and its headers speak of {len(whole)}); "
        "build or copy it again"
    ]


@pytest.mark.parametrize("architecture", ["amd64", "arm", "mips"])
def test_damaged_bytes_never_raise_anything_else(architecture: str) -> None:
    attributes = arm_attributes((5, b"7-A"), (6, 10), (28, 1))
    whole = elf(architecture, interpreter="/x", needed=("y", "z"), sections=(attributes,))
    chance = random.Random(1)  # noqa: S311
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(4, len(whole))] = chance.choice((0, 1, 127, 255))
        with contextlib.suppress(elf_module.DamagedError):
            elf_module.read(io.BytesIO(bytes(damaged)))


def by_pyelftools(content: bytes) -> tuple[Any, ...]:
    file: Any = ELFFile(io.BytesIO(content))
    segments = {segment["p_type"]: segment for segment in file.iter_segments()}
    tags = segments["PT_DYNAMIC"].iter_tags() if "PT_DYNAMIC" in segments else ()
    return (
        (file.elfclass, "<" if file.little_endian else ">", ENUM_E_MACHINE[file["e_machine"]]),
        file["e_machine"],
        segments["PT_INTERP"].get_interp_name() if "PT_INTERP" in segments else "",
        tuple(tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"),
    )


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES - {"wasm"}))
def test_pyelftools_reads_the_same(architecture: str) -> None:
    content = elf(architecture, interpreter="/lib/ld.so", needed=("a.so", "b.so.1"))
    assert elf_module.read(io.BytesIO(content))[:4] == by_pyelftools(content)


@pytest.mark.skipif(sys.platform != "linux", reason="the programs of a Linux machine")
def test_pyelftools_reads_the_same_in_real_files() -> None:
    real = [*sorted(Path("/usr/bin").iterdir())[:80], Path(sys.executable).resolve()]
    contents = [path.read_bytes() for path in real if path.is_file()]
    read = [content for content in contents if content.startswith(elf_module.MAGIC)]
    assert read
    for content in read:
        assert elf_module.read(io.BytesIO(content))[:4] == by_pyelftools(content)


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    full = lambda _: Path("/dev/full").open("wb")  # noqa: E731, SIM115
    monkeypatch.setattr("tempfile.SpooledTemporaryFile", full)
    with pytest.raises(EngineError) as caught:
        problems({"hello": STATIC + bytes(100_000)})
    assert str(caught.value) == (
        "the folder for temporary files (TMPDIR) cannot be written: No space left on device; "
        "make room, and run this again"
    )
