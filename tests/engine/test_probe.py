"""The programs of the probe really run: natively, under QEMU, and as containers."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buildx_tasks import platforms
from buildx_tasks.machine import executables, probe
from buildx_tasks.platforms import Platform

from .conftest import cannot_run, docker

if TYPE_CHECKING:
    from collections.abc import Iterator

BINFMT = Path("/proc/sys/fs/binfmt_misc")
# Source of the names: QEMU's scripts/qemu-binfmt-conf.sh
EMULATORS = {
    "386": "i386",
    "amd64": "x86_64",
    "arm64": "aarch64",
    "loong64": "loongarch64",
    "mips64le": "mips64el",
    "mipsle": "mipsel",
}
ALL = [
    *(Platform("linux", name) for name in sorted(platforms.ARCHITECTURES - {"arm", "wasm"})),
    *(Platform("linux", "arm", variant) for variant in ("v5", "v6", "v7")),
]


@pytest.fixture
def platform(request: pytest.FixtureRequest) -> Platform:
    """A platform that this machine is able to run, so far as its kernel has been told."""
    wanted: Platform = request.param
    entry = BINFMT / f"qemu-{EMULATORS.get(wanted.architecture, wanted.architecture)}"
    native = platforms.runs_natively(wanted, platforms.host_platform())
    if not native and not (entry.exists() and entry.read_text().startswith("enabled")):
        cannot_run(f"no emulator for {wanted}")
    return wanted


@pytest.fixture
def without_s390x() -> Iterator[Platform]:
    entry = BINFMT / "qemu-s390x"
    if platforms.host_platform().architecture == "s390x" or not entry.exists():
        cannot_run("linux/s390x is not emulated here")
    try:
        entry.write_text("0")
    except PermissionError:
        cannot_run("disabling an emulator needs root")
    try:
        yield Platform("linux", "s390x")
    finally:
        entry.write_text("1")


@pytest.mark.parametrize("platform", ALL, ids=str, indirect=True)
def test_it_runs_on_this_machine(platform: Platform) -> None:
    assert probe.runs_here(platform)


@pytest.mark.parametrize("platform", ALL, ids=str, indirect=True)
def test_it_runs_as_a_container(platform: Platform, name: str) -> None:
    program = executables.binary(platform)
    assert program is not None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("probe")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    subprocess.run(
        ["docker", "import", "--platform", str(platform), "-", f"{name}:v1"],
        input=packed.getvalue(),
        capture_output=True,
        check=True,
    )
    docker(*"run --rm --network none --platform".split(), str(platform), f"{name}:v1", "/probe")


@pytest.mark.alone
def test_without_the_emulator_it_does_not_run(without_s390x: Platform) -> None:
    assert not probe.runs_here(without_s390x)


def test_asking_for_one_platform_is_quick() -> None:
    took = []
    for _ in range(5):
        start = time.perf_counter()
        assert probe.runs_here(platforms.host_platform())
        took.append(time.perf_counter() - start)
    assert min(took) < 0.5
