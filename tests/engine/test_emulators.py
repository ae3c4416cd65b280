"""Emulators removed behind its back: named at once, with the fix; repaired by setup."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.doctor import emulation
from buildx_tasks.engine.engine import Engine
from buildx_tasks.engine.trial import runs_in_container, said_of_version
from buildx_tasks.machine import emulator
from buildx_tasks.machine.commands import Commands
from buildx_tasks.platforms import parse

from .conftest import ROOT, cannot_run, docker, shell_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project
    from docker import DockerClient

# s390x: no other test runs under this emulator.
ENTRY = Path("/proc/sys/fs/binfmt_misc/qemu-s390x")
# alpine's stand-in has no s390x: the image brings the busybox of the machine, and never runs it.
IMAGE = '''
[target.{name}]
dockerfile-inline = """
FROM alpine:3.22 AS amd64
FROM scratch
COPY f /
RUN ["/f"]
"""
platforms = ["linux/s390x"]
tags = ["{registry}/{name}:v1"]
verify.run.exit-code = 0
'''
CANNOT_RUN = (
    "error: {cell} cannot run: there is no emulator for linux/s390x; run invoke setup, "
    "or select other platforms with -p"
)


@pytest.fixture
def disabled() -> Iterator[None]:
    if os.geteuid() != 0 or not ENTRY.exists():
        cannot_run("disabling an emulator needs root and qemu-user-static")
    ENTRY.write_text("0")
    try:
        yield
    finally:
        if ENTRY.read_text().startswith("disabled"):
            ENTRY.write_text("1")


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@pytest.mark.alone
@pytest.mark.usefixtures("disabled")
def test_build_and_run_name_the_platform_and_the_fix_at_once(
    project: Project, name: str, registry: str
) -> None:
    project.write(IMAGE.format(name=name, registry=registry)).write("", "f")
    cell = f"{name}@linux/s390x"
    with within(20):  # nothing is built before
        result = project.invoke("build")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"error: {cell} cannot be built: [target.{name}] dockerfile-inline:4 runs there, and there is "
        "no emulator for linux/s390x; run invoke setup, or pin the stage to $BUILDPLATFORM (invoke lint)"
    ]
    with within(20):  # nothing is built before
        result = project.invoke("run")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [CANNOT_RUN.format(cell=cell)]


@pytest.mark.alone
@pytest.mark.usefixtures("disabled")
def test_setup_repairs_it_and_proves_it_by_running_something(
    project: Project, engine: DockerClient
) -> None:
    project.write('[target.a]\nplatforms = ["linux/s390x", "linux/amd64"]\n')
    result = project.invoke("setup", "--check")
    assert result.returncode == 1
    assert "register emulators for linux/s390x" in result.stdout
    assert ENTRY.read_text().startswith("disabled")
    assert "register emulators for linux/s390x" in project.ok("setup")
    assert ENTRY.read_text().startswith("enabled")
    assert project.ok("setup").splitlines()[-1] == "ready: nothing to change"
    before = docker("image", "ls", "--quiet", "buildx-tasks-probe")
    assert runs_in_container(Engine(Commands(project.folder), engine), parse("linux/s390x")) == ""
    assert docker("image", "ls", "--quiet", "buildx-tasks-probe") == before


@pytest.mark.alone
@pytest.mark.usefixtures("disabled")
def test_a_cell_that_runs_nothing_foreign_is_built_without_an_emulator_and_not_verified(
    project: Project, name: str, registry: str
) -> None:
    text = IMAGE.format(name=name, registry=registry).replace('RUN ["/f"]\n', "")
    project.write(text).write("", "f")
    project.ok("build", "--progress", "plain")
    with within(20):  # nothing is built before
        result = project.invoke("verify")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [CANNOT_RUN.format(cell=f"{name}@linux/s390x")]


@pytest.mark.alone
@pytest.mark.usefixtures("disabled")
def test_doctor_finds_it_by_running_something(project: Project) -> None:
    project.write('[target.a]\nplatforms = ["linux/s390x", "linux/amd64", "linux/arm64"]\n')
    result = project.invoke("doctor")
    assert result.returncode == 1
    rows = [line for line in result.stdout.splitlines() if " platform linux/" in line]
    assert rows[0].startswith("ok    platform linux/amd64  native: a program ran")
    assert rows[1].startswith("ok    platform linux/arm64  emulated: a program ran; qemu-aarch64 ")
    assert rows[2].startswith("FAIL  platform linux/s390x  emulated: ")
    assert rows[2].endswith("run invoke setup")


def test_an_engine_elsewhere_says_its_emulator_in_a_container(
    project: Project, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = Engine(Commands(project.folder), engine)
    here = emulator.of(parse("linux/arm64"))
    assert here is not None
    assert emulator.of_words(said_of_version(reached, parse("linux/arm64"))) == here._replace(
        path="", origin=here.origin if here.package else ""
    )
    assert said_of_version(reached, reached.platform) == ""
    monkeypatch.setattr(Engine, "is_local", False)
    first, *known = emulation.in_engine(reached, [parse("linux/arm64")])
    assert first.ok
    assert f"; {here.title}, " in first.found
    assert all(finding.ok and finding.fix for finding in known)


def test_never_means_native_nodes_only(project: Project, name: str, registry: str) -> None:
    text = shell_image(name, registry, "true") + '[emulators]\nfrom = "never"\n'
    result = project.write(text).invoke("build")
    assert result.returncode == 0  # nothing of it runs on arm64
    text = text.replace("CMD true", "RUN true")
    result = project.write(text).invoke("build")
    assert result.returncode == 1
    cell = f"{name}@linux/arm64"
    assert f"{cell} cannot be built: [target.{name}] dockerfile-inline:4 runs there, no node" in (
        result.stderr
    )
    assert f"{name}@linux/amd64" not in result.stderr


@pytest.mark.alone
@pytest.mark.usefixtures("disabled")
def test_never_says_that_nothing_brings_the_emulator(project: Project) -> None:
    project.write('[target.a]\nplatforms = ["linux/s390x"]\n[emulators]\nfrom = "never"\n')
    lines = project.ok("setup").splitlines()
    assert lines[-1] == "ready: nothing to change"
    words = 'no emulator for linux/s390x, and [emulators] from = "never"'
    assert f"run and verify cannot run every platform here: {words}" in lines[-2]


@pytest.mark.alone
def test_the_sample_needs_its_emulators_only_where_something_runs(project: Project) -> None:
    """hello-cross and hello-files are built without any; the others are named."""
    if os.geteuid() != 0:
        cannot_run("disabling an emulator needs root")
    (project.folder / "go-sample").symlink_to(ROOT / "go-sample")
    text = (ROOT / "buildx.toml").read_text().replace('[builder]\nname = "hello-builder"\n', "")
    project.write(text)
    entry = ENTRY.with_name("qemu-riscv64")
    entry.write_text("0")
    try:
        with within(20):  # nothing is built before
            result = project.invoke("build")
        assert result.returncode == 1
        assert result.stderr.startswith(
            "error: hello-prebuilt@linux/riscv64 cannot be built: go-sample/Dockerfile.prebuilt:9 "
            "runs there, and there is no emulator for linux/riscv64"
        )
    finally:
        entry.write_text("1")
