from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from conftest import Project

from buildx_tasks.images import elf
from buildx_tasks.language.expectations import Binaries
from buildx_tasks.machine import executables
from buildx_tasks.platforms import host_platform, parse

from .looked import looked, targets_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .looked import Look

HOST = str(host_platform())
# None of these images can be run: there is no program in them that would say anything.
FOREIGN = ("linux/arm64", "linux/s390x", "linux/ppc64le", "linux/mips64le")
STAGES = {
    "right": FOREIGN,
    "wrong": ("linux/amd64", "linux/arm64"),
    "dynamic": (HOST,),
    "complete": (HOST,),
    "armv6": ("linux/arm/v6",),
    "damaged": ("linux/s390x",),
    "text": ("linux/s390x",),
    "mixed": ("linux/arm64",),
}
DOCKERFILE = """
FROM scratch AS right
ARG TARGETARCH
COPY ${TARGETARCH} /app/hello
FROM scratch AS wrong
COPY amd64 /app/hello
FROM alpine:3.22 AS dynamic
COPY true /app/true
FROM dynamic AS complete
COPY loader LOADER
FROM --platform=linux/arm/v7 alpine:3.22 AS armv7
FROM scratch AS armv6
COPY --from=armv7 /bin/busybox /bin/busybox
FROM scratch AS damaged
COPY damaged /app/hello
FROM scratch AS text
COPY Dockerfile /app/hello
FROM scratch AS mixed
COPY arm64 /app/hello
COPY amd64 /opt/emulator/qemu
"""


@pytest.fixture(scope="module")
def dynamic() -> elf.Elf:
    with Path("/bin/true").open("rb") as stream:
        return elf.read(stream)


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory, dynamic: elf.Elf) -> Iterator[Look]:
    folder = tmp_path_factory.mktemp("binaries")
    project = Project(folder)
    for text in (*FOREIGN, "linux/amd64"):
        platform = parse(text)
        (folder / platform.architecture).write_bytes(executables.binary(platform) or b"")
    (folder / "damaged").write_bytes((folder / "s390x").read_bytes()[:60])
    (folder / "true").write_bytes(Path("/bin/true").read_bytes())
    (folder / "loader").write_bytes(Path(dynamic.interpreter).read_bytes())
    project.write(DOCKERFILE.replace("LOADER", dynamic.interpreter), "Dockerfile")
    project.write(targets_of(STAGES, f"bt-{uuid4().hex[:8]}"))
    with looked(project) as look:
        yield look


@pytest.mark.parametrize("platform", FOREIGN)
def test_a_foreign_platforms_files_are_its_own(look: Look, platform: str) -> None:
    (found,) = look("right", platform, Binaries(static=True))
    assert found.problems == ()
    assert found.facts == (f"1 ELF file, for {platform}, static",)


def test_the_wrong_architecture_is_named_though_nothing_runs(look: Look) -> None:
    (right,) = look("wrong", "linux/amd64", Binaries())
    assert right.problems == ()
    (wrong,) = look("wrong", "linux/arm64", Binaries())
    assert wrong.problems == (
        "/app/hello is for linux/amd64 (EM_X86_64), expected linux/arm64; "
        "it was compiled or copied for another platform: use TARGETARCH",
    )


def test_what_is_foreign_on_purpose_is_allowed(look: Look) -> None:
    every, allowed, listed, none = look(
        "mixed",
        "linux/arm64",
        Binaries(),
        Binaries(allow=["/opt/**"]),
        Binaries(paths=["/app/*"]),
        Binaries(paths=["/app/helo"]),
    )
    (problem,) = every.problems
    assert problem.startswith("/opt/emulator/qemu is for linux/amd64 (EM_X86_64), expected ")
    assert allowed.problems == listed.problems == ()
    assert none.problems == ("nothing is at /app/helo; did you mean /app/hello?",)


def test_a_missing_interpreter_is_named(look: Look, dynamic: elf.Elf) -> None:
    (found,) = look("dynamic", HOST, Binaries(paths=["/app/true"]))
    assert found.problems == (
        f"/app/true needs the interpreter {dynamic.interpreter}, which is not in the image; "
        "use a base image that has it, or link it statically (CGO_ENABLED=0, -static)",
    )


def test_static_means_no_shared_libraries(look: Look, dynamic: elf.Elf) -> None:
    complete, static = look(
        "complete", HOST, Binaries(), Binaries(paths=["/app/true"], static=True)
    )
    assert complete.problems == ()
    assert "libc.so.6, which /app/true needs, is not in the image" in complete.facts
    needs = ", ".join((dynamic.interpreter, *dynamic.needed))
    assert static.problems == (
        f"/app/true is not static, it needs {needs}; "
        "link it statically (CGO_ENABLED=0 for Go, -static for C)",
    )


def test_armv7_hard_float_is_not_armv6_nor_soft_float(look: Look) -> None:
    hard, soft = look("armv6", "linux/arm/v6", Binaries(), Binaries(float_abi="soft"))
    assert hard.problems == (
        "/bin/busybox needs ARMv7, expected ARMv6 at most for linux/arm/v6; "
        "compile it with GOARM=6 or -march=armv6",
    )
    assert soft.problems == (
        "/bin/busybox has the hard-float ABI, expected soft for linux/arm/v6; compile it with "
        '-mfloat-abi=soft, or expect it with float-abi = "hard"',
    )


def test_a_damaged_file_and_an_image_without_binaries(look: Look) -> None:
    (damaged,) = look("damaged", "linux/s390x", Binaries())
    assert damaged.problems == (
        "/app/hello is damaged (it ends at byte 60, and its headers speak of 64); "
        "build or copy it again",
    )
    (text,) = look("text", "linux/s390x", Binaries())
    assert text.problems == (
        "the image has no ELF file; leave binaries out where it is meant to have none",
    )


# In a process of its own, for its highest memory to be measured.
WALK = """
import json, re, sys
from contextlib import closing
from pathlib import Path
from buildx_tasks.building import location
from buildx_tasks.language import loading
from buildx_tasks.language.expectations import Binaries, File
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.verification.check import Subject
from buildx_tasks.verification.checks import binaries, files
from buildx_tasks.verification.containers import Session
from buildx_tasks.verification.walk import walk
from buildx_tasks.workspace import Workspace

path = Path.cwd() / "buildx.toml"
workspace = Workspace(path, loading.load(path))
(target,) = make_plan(workspace.config).targets
with closing(workspace), closing(Session(workspace)) as session:
    image = location.require(workspace.engine, target)
    subject = Subject(session, target, image, target.platforms[0])
    spec = {"/large": File(contains=["end"], size="250MB")}
    found = walk(subject, [binaries.visitor(subject, Binaries()), files.visitor(subject, spec)])
(line,) = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([int(line), *(item.problems for item in found)]))
"""


def test_a_large_image_takes_little_memory(project: Project, name: str) -> None:
    # 1 GB takes half a minute to build and unpack; how memory stays with 1 GB, the unit test shows.
    project.write(
        "FROM alpine:3.22 AS large\nRUN truncate -s 200M /large; echo end >>/large", "Dockerfile"
    )
    project.write(targets_of({"large": (HOST,)}, name))
    project.ok("build", "--progress", "quiet")
    done = subprocess.run(
        [sys.executable, "-c", WALK],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    memory, *problems = json.loads(done.stdout)
    assert problems == [[], []]
    assert memory < 100_000
