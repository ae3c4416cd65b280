from __future__ import annotations

import os
import struct
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.machine import executables, probe
from buildx_tasks.platforms import ARCHITECTURES, Platform, host_platform, parse

if TYPE_CHECKING:
    from pathlib import Path

# EI_CLASS, EI_DATA, e_machine. Source: `readelf -h` of what Go 1.24 builds for each GOARCH.
HEADERS = {
    "386": (1, 1, 3),
    "amd64": (2, 1, 62),
    "arm": (1, 1, 40),
    "arm64": (2, 1, 183),
    "loong64": (2, 1, 258),
    "mips": (1, 2, 8),
    "mips64": (2, 2, 8),
    "mips64le": (2, 1, 8),
    "mipsle": (1, 1, 8),
    "ppc64": (2, 2, 21),
    "ppc64le": (2, 1, 21),
    "riscv64": (2, 1, 243),
    "s390x": (2, 2, 22),
}

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux runs Linux programs")


def test_every_architecture_but_wasm_has_a_program() -> None:
    assert HEADERS.keys() == ARCHITECTURES - {"wasm"}


@pytest.mark.parametrize("architecture", sorted(HEADERS))
def test_it_is_one_whole_elf_executable(architecture: str) -> None:
    program = executables.binary(Platform("linux", architecture))
    assert program is not None
    wide, order, machine = HEADERS[architecture]
    assert program[:16] == b"\x7fELF" + bytes((wide, order, 1)) + bytes(9)
    end = "<" if order == 1 else ">"
    if wide == 2:
        head_size, entry_size = 64, 56
        head = struct.unpack_from(f"{end}HHIQQQIHHHHHH", program, 16)
        kind, rights, *segment = struct.unpack_from(f"{end}IIQQQQQQ", program, head_size)
    else:
        head_size, entry_size = 52, 32
        head = struct.unpack_from(f"{end}HHIIIIIHHHHHH", program, 16)
        kind, *segment, rights, align = struct.unpack_from(f"{end}8I", program, head_size)
        segment.append(align)
    start = head_size + entry_size
    entry = head[3]
    assert (*head[:3], *head[4:6]) == (2, machine, 1, head_size, 0)
    assert head[7:] == (head_size, entry_size, 1, 0, 0, 0)
    # One segment, the whole file, readable and executable; the entry is the first byte of code.
    offset, address, physical, in_file, in_memory, align = segment
    assert (kind, rights, offset, physical) == (1, 5, 0, address)
    assert in_file == in_memory == len(program) <= 132
    assert entry == address + start
    assert address % align == 0
    # The largest page of any architecture, and the default of vm.mmap_min_addr.
    assert align == 65536 <= address


def test_code_is_in_the_byte_order_of_the_architecture() -> None:
    big, little = (executables.binary(parse(text)) for text in ("mips", "mipsle"))
    assert big is not None
    assert little is not None
    assert big[-4:] == bytes.fromhex("0000000c")
    assert little[-4:] == bytes.fromhex("0c000000")


@pytest.mark.parametrize("text", ["linux/wasm", "windows/amd64", "darwin/arm64", "wasip1/wasm"])
def test_other_systems_have_none(text: str) -> None:
    assert executables.binary(parse(text)) is None
    assert not probe.runs_here(parse(text))


@pytest.mark.parametrize("text", ["amd64/v3", "arm64/v9", "arm/v5", "arm/v8"])
def test_variants_share_a_program(text: str) -> None:
    platform = parse(f"linux/{text}")
    assert platform.variant
    assert executables.binary(platform) == executables.binary(
        Platform("linux", platform.architecture)
    )


@linux
def test_this_machine_runs_its_own() -> None:
    assert probe.runs_here(host_platform())


@linux
def test_many_threads_may_ask_at_once() -> None:
    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(probe.runs_here, [host_platform()] * 200))


@linux
def test_a_file_does_where_memory_may_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuses(_name: str) -> int:
        raise PermissionError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "memfd_create", refuses)
    assert probe.runs_here(host_platform())
    monkeypatch.delattr(os, "memfd_create")
    assert probe.runs_here(host_platform())
    assert list(tmp_path.iterdir()) == []


@linux
def test_nowhere_to_run_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_executable(path: str, _descriptors: object) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(probe, "_exits_well", not_executable)
    assert not probe.runs_here(host_platform())


@linux
def test_a_file_that_is_still_open_elsewhere_is_tried_again(tmp_path: Path) -> None:
    program = executables.binary(host_platform())
    assert program is not None
    path = tmp_path / "probe"
    path.write_bytes(program)
    path.chmod(0o700)
    writer = path.open("ab")
    closing = threading.Timer(0.2, writer.close)
    closing.start()
    assert probe._exits_well(str(path), ())
    closing.join()


@linux
@pytest.mark.parametrize("text", ["exit 1", "kill -SEGV $$", "sleep 60"])
def test_what_does_not_exit_0_in_time_does_not_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_SECONDS", 0.2)
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    assert not probe._exits_well(str(path), ())


@linux
@pytest.mark.parametrize("content", [b"\x7fELF" + bytes(60), b"no program"])
def test_what_the_kernel_refuses_does_not_run(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(content)
    path.chmod(0o700)
    assert not probe._exits_well(str(path), ())
