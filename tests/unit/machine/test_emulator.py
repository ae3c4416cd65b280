"""Which emulator runs a platform's programs: what the kernel was told, what QEMU says, what breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.machine import emulator, emulator_faults, executables, probe
from buildx_tasks.machine.emulator import Emulator
from buildx_tasks.platforms import Platform, parse

if TYPE_CHECKING:
    from pathlib import Path

ARM64 = parse("linux/arm64")
# As Debian 12 registers it; the magic is that of QEMU's scripts/qemu-binfmt-conf.sh.
ENTRY = """enabled
interpreter {path}
flags: {flags}
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
DEBIANS = "qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c) 2003\n"


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of the kernel's form, and programs that say what QEMU would."""
    monkeypatch.setattr(emulator, "BINFMT", tmp_path)
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").touch(mode=0o200)
    (tmp_path / "python3.11").write_text("enabled\ninterpreter /usr/bin/python3\nmagic a70d0d0a\n")
    monkeypatch.setattr(probe, "said_of_version", lambda _: DEBIANS)
    return tmp_path


def register(folder: Path, path: str, flags: str = "POF", name: str = "qemu-aarch64") -> None:
    (folder / name).write_text(ENTRY.format(path=path, flags=flags))


def test_qemu_says_its_version_and_its_package(registered: Path) -> None:
    register(registered, "/usr/libexec/qemu-binfmt/aarch64-binfmt-P")
    found = emulator.of(ARM64)
    assert found is not None
    assert found.title == "qemu-aarch64 7.2.22"
    assert str(found) == (
        "qemu-aarch64 7.2.22, /usr/libexec/qemu-binfmt/aarch64-binfmt-P, "
        "Debian's package 1:7.2+dfsg-7+deb12u18+b3"
    )


def test_a_file_that_is_not_here_came_with_an_image(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "said_of_version", lambda _: "qemu-aarch64 version 10.2.3\n")
    gone = registered / "gone"
    register(registered, str(gone), "POCF")
    assert str(emulator.of(ARM64)) == f"qemu-aarch64 10.2.3, {gone}, registered by an image"
    gone.touch()
    assert str(emulator.of(ARM64)).endswith(", a file of this machine")


def test_rosetta_says_nothing(registered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "said_of_version", lambda _: "")
    register(registered, "/run/rosetta/rosetta", "OCF", name="rosetta")
    found = emulator.of(ARM64)
    assert found == Emulator("rosetta", path="/run/rosetta/rosetta", origin="Apple's")
    assert not list(emulator_faults.faults_of(found))


def test_what_is_not_registered_has_none(registered: Path) -> None:
    assert emulator.of(ARM64) is None
    register(registered, "/usr/bin/qemu")
    assert emulator.of(parse("linux/riscv64")) is None
    assert emulator.of(Platform("linux", "wasm")) is None
    disabled = (registered / "qemu-aarch64").read_text().replace("enabled", "disabled")
    (registered / "qemu-aarch64").write_text(disabled)
    assert emulator.of(ARM64) is None


@pytest.mark.parametrize("text", ["", "disabled\n", "enabled\nextension .py\n", "enabled\n"])
def test_entries_without_magic_are_of_no_platform(text: str) -> None:
    assert emulator.parsed("x", text) is None


def test_an_entry_matches_programs_of_its_platform_alone() -> None:
    found = emulator.parsed("qemu-aarch64", ENTRY.format(path="/q", flags="F"))
    assert found is not None
    _, begins_so = found
    for architecture in ("arm64", "amd64", "arm", "riscv64", "s390x"):
        program = executables.binary(Platform("linux", architecture))
        assert program is not None
        assert begins_so(program) == (architecture == "arm64")
    assert not begins_so(b"\x7fELF")


@pytest.mark.parametrize(
    ("said", "title", "origin"),
    [
        ("qemu-arm version 9.2.2\n", "qemu-arm 9.2.2", ""),
        (
            "#7 0.1 buildkit-qemu-aarch64 version 8.1.5\n",
            "buildkit-qemu-aarch64 8.1.5",
            "BuildKit's own",
        ),
        ("qemu-s390x version 10.0.3 (qemu-10.0.3-1.fc42)", "qemu-s390x 10.0.3", ""),
        (DEBIANS, "qemu-aarch64 7.2.22", "Debian's package 1:7.2+dfsg-7+deb12u18+b3"),
    ],
)
def test_what_it_says(said: str, title: str, origin: str) -> None:
    found = emulator.of_words(said)
    assert found is not None
    assert (found.title, found.origin) == (title, origin)


def test_alike_ones_are_said_once() -> None:
    debians = Emulator("qemu-aarch64", "7.2.22", "Debian 1", origin="Debian's package 1")
    arm = debians._replace(name="qemu-arm")
    newer = Emulator("qemu-riscv64", "10.2.3", origin="registered by an image")
    other = Emulator("rosetta", origin="Apple's")
    pairs = [
        (ARM64, debians),
        (parse("linux/arm/v7"), arm),
        (parse("linux/riscv64"), newer),
        (parse("linux/amd64"), other),
    ]
    assert emulator.summed_up(pairs) == {
        "QEMU": "7.2.22 (Debian's package 1) for linux/arm64, linux/arm/v7",
        "QEMU 10.2.3": "10.2.3 (registered by an image) for linux/riscv64",
        "rosetta": "(Apple's) for linux/amd64",
    }


@pytest.mark.parametrize(
    ("version", "package", "known"),
    [
        ("5.0.1", "", []),
        ("5.2.0", "", ["small programs crash"]),
        ("7.0.0", "", ["programs crash now and then", "tar of Ubuntu 26.04"]),
        ("7.2.22", "Debian 1:7.2", ["what Go 1.23.0 compiled", "tar of Ubuntu 26.04"]),
        ("8.2.2", "Debian 1:8.2", ["tar of Ubuntu 26.04"]),
        ("9.2.2", "", ["ldconfig of Ubuntu 22.04 and Debian 11", "GNU tar"]),
        ("10.1.3", "", ["ldconfig of Ubuntu 22.04, which"]),
        ("10.1.3", "Debian 1:10.1", []),
        ("10.2.3", "", []),
        ("", "", []),
    ],
)
def test_what_versions_are_known_to_break(version: str, package: str, known: list[str]) -> None:
    found = list(emulator_faults.faults_of(Emulator("qemu-aarch64", version, package)))
    assert [fault.what[: len(words)] for fault, words in zip(found, known)] == known
    assert len(found) == len(known)


def test_faults_of_one_emulator_are_not_those_of_another() -> None:
    assert not list(emulator_faults.faults_of(Emulator("qemu-riscv64", "9.2.2")))
    known = emulator_faults.known([Emulator("qemu-arm", "7.2.0"), Emulator("qemu-s390x", "7.2.0")])
    assert [len(members) for members in known.values()] == [2]


def test_the_default_image_has_none_of_them() -> None:
    version = emulator_faults.IMAGE.partition(":qemu-v")[2].partition("-")[0]
    assert not list(emulator_faults.faults_of(Emulator("qemu-aarch64", version)))
    for fault in emulator_faults.FAULTS:
        assert fault.since < fault.until
        assert fault.source.startswith("https://github.com/")
