"""Files of Windows: for which machine they are."""

from __future__ import annotations

import random

import pytest
from support import pes

from buildx_tasks.images import pe


@pytest.mark.parametrize(
    ("number", "architecture"),
    [
        (0x8664, "amd64"),
        (0x014C, "386"),
        (0xAA64, "arm64"),
        (0xA641, "arm64"),
        (0x01C4, "arm"),
        (0x5064, "riscv64"),
        (0x1234, "machine 0x1234"),
    ],
)
def test_machine(number: int, architecture: str) -> None:
    assert pe.machine(pes.pe(number)) == architecture
    assert pe.read(pes.pe(number)) == pe.Pe(architecture)


def test_what_dotnet_compiled_for_linux() -> None:
    found = pe.read(pes.pe(0x8664 ^ 0x7B79, dll=True, managed=True))
    assert found == pe.Pe("amd64", "linux", "library", managed=True)


@pytest.mark.parametrize("number", [0x014C, 0x8664])
def test_byte_code_of_dotnet(number: int) -> None:
    found = pe.read(pes.pe(number, dll=True, managed=True))
    assert found is not None
    assert (found.system, found.kind, found.managed) == ("windows", "library", True)


def test_what_starts_a_machine_is_for_no_system() -> None:
    found = pe.read(pes.pe(0xAA64, subsystem=10))
    assert found is not None
    assert (found.architecture, found.kind) == ("arm64", "efi")


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"MZ",
        b"\x7fELF" + b"\0" * 100,
        b"MZ" + b"\0" * 200,  # a program of DOS
        b"MZ" + b"\xff" * 200,  # whose header leads past the end
        b"MZ is how this text begins, and it goes on and on, " + b"on " * 50,
    ],
)
def test_what_is_none(other: bytes) -> None:
    assert pe.read(other) is None
    assert pe.machine(other) == ""


def test_one_that_is_cut_in_its_headers_is_damaged() -> None:
    whole = pes.pe()
    for size in range(0x84, len(whole)):
        with pytest.raises(pe.DamagedError, match=f"it ends at byte {size}, within its headers"):
            pe.read(whole[:size])
    assert pe.machine(whole[:0x90]) == ""


def test_headers_that_go_on_after_what_was_read_are_read_as_far_as_they_are_there() -> None:
    whole = pes.pe(managed=True, start=pe.HEAD - 40).ljust(4096, b"\0")
    assert pe.machine(whole[: pe.HEAD]) == "amd64"


@pytest.mark.parametrize("seed", range(5))
def test_any_bytes_have_an_answer(seed: int) -> None:
    whole, chance = bytearray(pes.pe(managed=True)), random.Random(seed)  # noqa: S311 no secret
    for _ in range(400):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(2, len(changed))] = chance.randrange(256)
        assert isinstance(pe.machine(bytes(changed)), str)
