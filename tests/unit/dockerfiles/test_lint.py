from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildx_tasks import platforms
from buildx_tasks.builders.capability import local_text
from buildx_tasks.building import lint
from buildx_tasks.dockerfiles import codes, compiling, rules, stages
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.dockerfiles.findings import Finding, lines, merged, summary
from buildx_tasks.dockerfiles.instructions import Instruction
from buildx_tasks.language import loading
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds
from buildx_tasks.planning.selection import Plan, make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.platforms import Platform

AMD64, ARM64, RISCV64 = map(platforms.parse, ("linux/amd64", "linux/arm64", "linux/riscv64"))
PINNED = "FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder\n"
SHIP = "FROM alpine:3.22\nCOPY --from=builder /app /app\n"
CACHED = "RUN --mount=type=cache,target=/root/.cache/go-build "


def native(platform: Platform) -> bool:
    return platforms.runs_natively(platform, AMD64)


def check(
    text: str, *wanted: str, on: tuple[Platform, ...] = (AMD64, ARM64), **attributes: Any
) -> list[Finding]:
    """Check a Dockerfile; return what our rules of these codes say."""
    case = DockerfileBuild("app", "app", "Dockerfile", attributes, on)
    found = rules.check(case, text, native)
    return [one for one in found if not wanted or one.code in wanted]


def said(found: list[Finding]) -> list[tuple[str, str, int, str]]:
    return [(f.code, str(f.platform or ""), f.line, f.stage) for f in found]


# EmulatedCompile and EmulatedRun


def test_a_compile_stage_for_the_target_is_said_for_each_foreign_platform() -> None:
    text = f"FROM golang:1.24-alpine AS builder\nWORKDIR /src\n{CACHED}go build -o /app .\n{SHIP}"
    found = check(text, on=(AMD64, ARM64, RISCV64))
    assert said(found) == [
        ("EmulatedCompile", "linux/arm64", 3, "builder"),
        ("EmulatedCompile", "linux/riscv64", 3, "builder"),
    ]
    assert found[0].message == "stage builder compiles Go under emulation"
    assert found[0].fix == (
        "write FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder in line 1; "
        "declare ARG TARGETOS TARGETARCH in the stage and run GOOS=$TARGETOS GOARCH=$TARGETARCH "
        "go build"
    )


def test_other_runs_have_a_code_of_their_own() -> None:
    text = "FROM golang AS builder\nRUN apk add git\nRUN go build\n" + SHIP
    assert said(check(text, "EmulatedRun")) == [("EmulatedRun", "linux/arm64", 2, "builder")]
    assert said(check(text, "EmulatedCompile")) == [
        ("EmulatedCompile", "linux/arm64", 3, "builder")
    ]
    # A stage that runs elsewhere than its image says where.
    elsewhere = "FROM --platform=linux/riscv64 a\nRUN x\n"
    (found,) = check(elsewhere, "EmulatedRun", on=(ARM64,))
    assert found.message == "stage stage-0 runs under emulation on linux/riscv64"


def test_the_same_stage_pinned_is_fine() -> None:
    build = (
        "ARG TARGETOS TARGETARCH\n"
        + CACHED
        + "GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /app .\n"
    )
    assert check(PINNED + build + SHIP) == []


def test_where_the_builder_runs_it_natively_nothing_is_emulated() -> None:
    text = f"FROM golang:1.24-alpine AS builder\n{CACHED}go build -o /app .\n{SHIP}"
    assert check(text, on=(AMD64,)) == []
    case = DockerfileBuild("app", "app", "Dockerfile", {}, (AMD64, ARM64))
    assert rules.check(case, text, lambda _: True) == []


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "FROM golang:1.24-alpine AS base\nFROM base AS builder\nRUN go build\n" + SHIP,
            "write FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS base in line 1; declare",
        ),
        (
            "FROM maven AS builder\nRUN mvn package\n" + SHIP,
            "write FROM --platform=$BUILDPLATFORM maven AS builder in line 1",
        ),
        (
            "FROM golang:1.24-alpine\nRUN go build",
            "compile in a stage of its own, FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS build; "
            "declare ARG TARGETOS TARGETARCH in the stage and run GOOS=$TARGETOS GOARCH=$TARGETARCH go "
            "build; then COPY --from=build the result",
        ),
        (
            "FROM python AS builder\nRUN pip wheel -r requirements.txt\n" + SHIP,
            "wheels of pure Python: write FROM --platform=$BUILDPLATFORM python AS builder in line 1; "
            "others need a node that runs the platform natively",
        ),
        (
            "FROM node AS builder\nRUN npm run build\n" + SHIP,
            "where its result is the same for every platform, write FROM --platform=$BUILDPLATFORM node",
        ),
        (
            "FROM alpine:3.22\nRUN apk add curl",
            "make files in a stage FROM --platform=$BUILDPLATFORM",
        ),
    ],
    ids=["base stage", "same everywhere", "in the image", "wheels", "no compiler", "packages"],
)
def test_the_fix_says_what_to_write_where(text: str, fix: str) -> None:
    (found,) = check(text, "EmulatedCompile", "EmulatedRun")
    assert found.fix.startswith(fix)


def test_a_stage_that_is_not_needed_or_replaced_is_not_emulated() -> None:
    text = "FROM a AS builder\nRUN go build\nFROM a AS tests\nRUN x\n" + SHIP
    assert said(check(text, "EmulatedCompile")) == [
        ("EmulatedCompile", "linux/arm64", 2, "builder")
    ]
    assert check(text, contexts={"builder": "target:other"}) == []
    assert [f.stage for f in check(text, "EmulatedRun", target="tests")] == ["tests"]


# TargetPlatformUnused


@pytest.mark.parametrize(
    "build",
    [
        "RUN go build -o /app .",
        "RUN cd /src && CGO_ENABLED=0 go build -o /app .",
        'RUN ["go", "build", "-o", "/app"]',
        "RUN <<EOF\ngo build -o /app .\nEOF",
        "RUN sh -c 'go build -o /app .'",
        "RUN cargo build --release",
        "RUN gcc -o /app app.c",
        "RUN make -j4 app",
        "RUN cmake --build build",
        "RUN GOARCH=amd64 go build -o /app .",
    ],
)
def test_a_pinned_stage_that_compiles_for_itself(build: str) -> None:
    (found,) = check(f"{PINNED}{build}\n{SHIP}", "TargetPlatformUnused")
    assert said([found]) == [("TargetPlatformUnused", "", 2, "builder")]
    assert found.message.endswith("lands in the images for linux/amd64, linux/arm64")
    assert found.fix.startswith("declare ARG TARGET")


@pytest.mark.parametrize(
    "build",
    [
        "ARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app .",
        "ARG TARGETPLATFORM\nRUN xx-go build -o /app .",
        "ARG TARGETARCH\nRUN <<EOF\nGOARCH=$TARGETARCH go build -o /app .\nEOF",
        "RUN for a in amd64 arm64; do GOARCH=$a go build -o /app.$a .; done",
        "RUN make x86_64 aarch64",
        "RUN mvn package",
        "RUN npm run build",
        "RUN echo go build",
        "RUN go mod download",
        "RUN gcc --version",
        "RUN make --version",
        "RUN make clean",
        "RUN apk add make gcc go",
    ],
)
def test_a_pinned_stage_that_asks_for_the_target_or_compiles_nothing(build: str) -> None:
    assert check(f"{PINNED}{build}\n{SHIP}", "TargetPlatformUnused") == []


def test_the_target_may_be_asked_for_in_the_base_stage_or_by_its_name() -> None:
    asks = "ARG TARGETARCH\nFROM builder AS second\nRUN go build -o /app .\n"
    ship = SHIP.replace("builder", "second")
    assert len(check(PINNED + asks + ship, "TargetPlatformUnused")) == 1
    asks = asks.replace("go build", "GOARCH=$TARGETARCH go build")
    assert check(PINNED + asks + ship, "TargetPlatformUnused") == []
    tools = "RUN go install example.org/tool@v1\n"
    assert check(PINNED + tools + asks + ship, "TargetPlatformUnused") == []
    by_name = "FROM --platform=$BUILDPLATFORM golang:1.24-$TARGETARCH AS builder\nRUN go build\n"
    assert check(by_name + SHIP, "TargetPlatformUnused") == []


UNDECLARED = (
    "with $TARGETARCH, which is empty there, as the stage has no ARG TARGETARCH: one binary"
)
UNREAD = "although it declares the target, as go reads GOARCH only: one binary"
UNREAD_CARGO = (
    "although it declares the target, as cargo reads --target and CARGO_BUILD_TARGET only"
)
NOTHING = "and never asks for the target: one binary"
DECLARE = "write ARG TARGETARCH in stage builder, before line"


@pytest.mark.parametrize(
    ("build", "why", "fix"),
    [
        ("RUN GOARCH=$TARGETARCH go build", UNDECLARED, DECLARE),
        ('RUN export GOARCH="${TARGETARCH}" && go build', UNDECLARED, DECLARE),
        ("RUN <<EOF\nGOARCH=$TARGETARCH go build\nEOF", UNDECLARED, DECLARE),
        ("ENV GOARCH=$TARGETARCH\nRUN go build", UNDECLARED, DECLARE),
        ("ENV A=$TARGETARCH\nRUN GOARCH=$A go build", UNDECLARED, DECLARE),
        ("RUN GOARCH=$TARGETARCH go build\nARG TARGETARCH", UNDECLARED, DECLARE),
        (
            "RUN case $TARGETARCH in arm64) export GOARCH=arm64;; esac; go build",
            UNDECLARED,
            DECLARE,
        ),
        ("RUN cargo build --target $TARGETARCH-unknown", UNDECLARED, DECLARE),
        ("RUN make ARCH=$TARGETARCH", UNDECLARED, DECLARE),
        ("ARG TARGETARCH\nRUN go build", UNREAD, "run GOARCH=$TARGETARCH go build"),
        ("ARG TARGETOS TARGETARCH\nRUN GOOS=$TARGETOS go build", UNREAD, "run GOARCH="),
        ("ARG TARGETARCH\nRUN go build -o app-$TARGETARCH", UNREAD, "run GOARCH="),
        ("ARG TARGETARCH\nRUN GOARCH=$TARGETARCH true\nRUN go build", UNREAD, "run GOARCH="),
        ("ENV ARCH=$TARGETARCH\nRUN go build", NOTHING, "declare ARG TARGETOS TARGETARCH"),
        ("ARG TARGETARCH\nRUN cargo build", UNREAD_CARGO, "run cargo build --target"),
        ("ARG TARGETARCH\nRUN rustc x.rs", UNREAD_CARGO, "run cargo build --target"),
        (
            "RUN cargo build --target x86_64-unknown-linux-musl",
            "for amd64 whatever the target, by x86_64-unknown-linux-musl: one binary",
            "declare ARG TARGETARCH",
        ),
        ("RUN xx-go build", NOTHING, "declare ARG TARGET"),
        (
            "RUN make",
            NOTHING,
            "declare ARG TARGETARCH in the stage and run GOARCH=$TARGETARCH make",
        ),
        ("RUN gcc -o /app app.c", NOTHING, "declare ARG TARGETARCH in the stage and cross-compile"),
    ],
)
def test_each_way_of_not_getting_the_target_is_named(build: str, why: str, fix: str) -> None:
    (found,) = check(f"{PINNED}{build}\n{SHIP}", "TargetPlatformUnused")
    assert why in found.message
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    "build",
    [
        "ARG TARGETARCH\nRUN export GOARCH=${TARGETARCH} && go build",
        "ARG TARGETARCH\nRUN go env -w GOARCH=$TARGETARCH\nRUN go build",
        "ARG TARGETARCH\nENV GOARCH=$TARGETARCH\nRUN go build",
        "ARG TARGETARCH\nENV GOARCH $TARGETARCH\nRUN go build",
        "ARG TARGETARCH\nARG GOARCH=$TARGETARCH\nRUN go build",
        "ARG TARGETARCH\nENV A=$TARGETARCH\nRUN GOARCH=$A go build",
        "ARG TARGETPLATFORM\nRUN GOARCH=$(basename $TARGETPLATFORM) go build",
        "ARG TARGETARCH\nRUN case $TARGETARCH in arm64) export GOARCH=arm64;; esac; go build",
        "ARG TARGETARCH\nRUN go install x@v1\nRUN GOARCH=$TARGETARCH go build",
        "ARG TARGETARCH\nRUN eval $(goenv $TARGETARCH) && go build",
        "ARG TARGETPLATFORM\nRUN xx-go build",
        "RUN for TARGETARCH in amd64 arm64; do GOARCH=$TARGETARCH go build; done",
        "ARG TARGETARCH\nRUN make",
        "ARG TARGETARCH\nRUN cmake --build build",
        "ARG TARGETARCH\nRUN gcc -o /app app.c",
        "ARG TARGETARCH\nRUN case $TARGETARCH in arm64) t=a;; esac; cargo build --target=$t",
        "ARG TARGETARCH\nENV CARGO_BUILD_TARGET=$TARGETARCH-x\nRUN cargo build",
        "ARG TARGETARCH\nRUN ./triple $TARGETARCH > /t\nRUN cargo build --target $(cat /t)",
        "ARG TARGETARCH\nRUN ./config $TARGETARCH > .cargo/config.toml\nRUN cargo build",
        "ARG TARGETPLATFORM\nRUN xx-cargo build",
    ],
)
def test_each_way_of_getting_the_target_is_known(build: str) -> None:
    assert check(f"{PINNED}{build}\n{SHIP}", "TargetPlatformUnused") == []


def test_an_argument_before_the_first_from_does_not_reach_a_stage() -> None:
    text = f"ARG TARGETARCH\n{PINNED}RUN GOARCH=$TARGETARCH go build\n{SHIP}"
    (found,) = check(text, "TargetPlatformUnused")
    assert "is empty there, as ARG TARGETARCH stands before the first FROM only" in found.message
    for build in ("go build", "make"):
        text = f"ARG TARGETARCH\n{PINNED}RUN {build}\n{SHIP}"
        (found,) = check(text, "TargetPlatformUnused")
        assert "ARG TARGETARCH stands before the first FROM only, where no stage" in found.message
    text = f"ARG TARGETARCH\n{PINNED}ARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build\n{SHIP}"
    assert check(text, "TargetPlatformUnused") == []


def test_tools_that_only_run_in_a_build_may_be_the_build_machine_s() -> None:
    tool = PINNED + "RUN go install example.org/tool@v1\n"
    used = (
        "FROM --platform=$BUILDPLATFORM alpine:3.22 AS made\nCOPY --from=builder /go/bin/tool /\n"
    )
    ship = "FROM alpine:3.22\nCOPY --from=made / /\n"
    assert check(tool + used + "RUN /tool\n" + ship, "TargetPlatformUnused") == []
    # Passed on without a RUN, it lands in the image.
    assert len(check(tool + used + ship, "TargetPlatformUnused")) == 1


def test_one_native_platform_may_be_compiled_without_asking() -> None:
    text = PINNED + "RUN go build -o /app .\n" + SHIP
    assert check(text, "TargetPlatformUnused", on=(AMD64,)) == []
    assert len(check(text, "TargetPlatformUnused", on=(ARM64,))) == 1


def test_arguments_can_name_the_architecture() -> None:
    text = PINNED + "ARG GOARCH\nRUN go build -o /app .\n" + SHIP
    assert len(check(text, "TargetPlatformUnused", on=(ARM64,))) == 1
    assert check(text, "TargetPlatformUnused", on=(ARM64,), args={"GOARCH": "arm64"}) == []


def test_an_image_on_a_pinned_base_is_the_same_for_all() -> None:
    text = "FROM --platform=linux/amd64 golang:1.24-alpine\nRUN go build -o /app .\n"
    assert said(check(text, "TargetPlatformUnused")) == [("TargetPlatformUnused", "", 2, "stage-0")]


# FinalStagePinned


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        (PINNED, 1, "leave --platform out: FROM golang:1.24-alpine in line 1; "),
        (PINNED + "FROM builder\nCMD x\n", 2, "start stage stage-1 from an image without"),
        (f"{SHIP.replace('=builder', '=0')}{PINNED}", 3, "leave --platform out"),
        ("FROM --platform=linux/amd64 a\n", 1, "leave --platform out: FROM a in line 1"),
    ],
)
def test_an_image_that_is_one_machine_s(text: str, line: int, fix: str) -> None:
    (found,) = check(text, "FinalStagePinned")
    assert (found.line, found.platform) == (line, None)
    assert "runs on linux/amd64 for every platform" in found.message
    assert found.message.endswith("the images for linux/amd64, linux/arm64 all have its programs")
    assert found.fix.startswith(fix)
    assert len(check(text, "FinalStagePinned", output=[{"type": "registry"}])) == 1


def test_an_image_that_is_each_platform_s() -> None:
    for text in (
        PINNED + SHIP,
        PINNED + "FROM --platform=$BUILDPLATFORM scratch\nCOPY --from=builder /app /\n",
        "FROM --platform=$TARGETPLATFORM a",
        "FROM a AS one\nFROM --platform=$BUILDPLATFORM one",
    ):
        assert check(text, "FinalStagePinned") == []
    for kind in ("local", "tar", "cacheonly"):
        assert check(PINNED, "FinalStagePinned", output=[{"type": kind}]) == []
    assert check(PINNED, "FinalStagePinned", on=(ARM64,)) == []
    assert check(PINNED, "FinalStagePinned", call="outline") == []
    assert check(PINNED, "FinalStagePinned", contexts={"builder": "target:x"}) == []
    assert len(check(PINNED + SHIP, "FinalStagePinned", target="builder")) == 1
    case = DockerfileBuild("app", "app", "Dockerfile", {}, (AMD64, ARM64))
    assert rules.check(case, PINNED, native, linked=True) == []


# ArchitectureInCopy


@pytest.mark.parametrize(
    ("copy", "fix"),
    [
        ("COPY hello.amd64 /hello", "write ARG TARGETARCH and COPY hello.$TARGETARCH"),
        ("COPY app-linux-arm64 /app", "write ARG TARGETARCH and COPY app-linux-$TARGETARCH"),
        ("COPY --from=files amd64/x /x", "write ARG TARGETARCH and COPY $TARGETARCH/x"),
        ("COPY dist/x86_64/app /app", "name each platform's file in [target.app.files]"),
        ("COPY lib.x86-64.so README /", "name each platform's file in [target.app.files]"),
        ('COPY ["a", "hello.arm", "/"]', "write ARG TARGETARCH and COPY hello.$TARGETARCH"),
        ("COPY charm/hello-arm /", "write ARG TARGETARCH and COPY charm/hello-$TARGETARCH"),
        ("COPY linux/386/hello /", "write ARG TARGETARCH and COPY linux/$TARGETARCH/hello"),
        (
            "ADD https://e.org/app-amd64.tgz /",
            "write ARG TARGETARCH and ADD https://e.org/app-$TARGETARCH.tgz",
        ),
        ("COPY app_amd64_v1 /", "write ARG TARGETARCH and COPY app_${TARGETARCH}_v1"),
        (
            "ADD https://e.org/app-x86_64.tgz /",
            "write ARG TARGETARCH and $TARGETARCH in the name, where there is such a file; else ARG "
            "ARCH and ADD https://e.org/app-$ARCH.tgz, with args",
        ),
        ("COPY --from=i /usr/lib/x86_64/x /", "write ARG TARGETARCH and $TARGETARCH in the name"),
        ("COPY hello.$ARCH.amd64 /", "write ARG TARGETARCH and COPY hello.$ARCH.$TARGETARCH"),
        ("COPY hello.amd64 /\nRUN chmod +x hello.amd64", "write ARG TARGETARCH"),
        ("COPY hello.amd64 /\nARG TARGETARCH", "write ARG TARGETARCH"),
    ],
)
def test_a_file_for_one_architecture_in_every_image(copy: str, fix: str) -> None:
    (found,) = check(f"FROM alpine:3.22\n{copy}", "ArchitectureInCopy")
    assert said([found]) == [("ArchitectureInCopy", "", 2, "stage-0")]
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    "copy",
    [
        "COPY hello.$TARGETARCH /hello",
        "COPY linux-${TARGETARCH}/amd64 /hello",
        "COPY hello.* /",
        "COPY dist/ /",
        "COPY robot/arm/left-arm.png charm alarm arm /",
        "COPY hello.amd64 hello.arm64 /",
        "COPY hello.amd64 /\nCOPY hello.arm64 /",
        "COPY hello.amd64 hello.riscv64 /\nARG TARGETARCH\nRUN mv hello.$TARGETARCH hello",
        "COPY x86_64 riscv64 /\nRUN mv $(uname -m) hello",
        "COPY hello /amd64",
        "COPY <<EOF /hello.amd64\nx\nEOF",
    ],
)
def test_a_copy_that_is_for_every_platform(copy: str) -> None:
    assert check(f"FROM alpine:3.22\nARG TARGETARCH\n{copy}", "ArchitectureInCopy") == []


def test_a_file_for_one_architecture_where_it_belongs() -> None:
    copy = "FROM alpine:3.22\nCOPY hello.amd64 /hello\n"
    assert check(copy, "ArchitectureInCopy", on=(AMD64,)) == []
    assert check(copy, "ArchitectureInCopy", on=(ARM64,)) == []  # one platform: it may be meant
    tool = PINNED + "COPY protoc-x86_64 /protoc\nRUN /protoc\n" + SHIP
    assert check(tool, "ArchitectureInCopy") == []
    stages = (
        "FROM scratch AS amd64\nCOPY hello.amd64 /\nFROM scratch AS arm64\nCOPY hello.arm64 /\n"
    )
    assert check(f"{stages}FROM $TARGETARCH", "ArchitectureInCopy") == []


# NoCacheMount


@pytest.mark.parametrize(
    ("build", "cache"),
    [
        ("go build", "target=/go/pkg/mod"),
        ("cargo +nightly install --path .", "target=$CARGO_HOME/registry"),
        ("make", "/root/.cache/go-build"),
        ('CC="ccache cc" cmake --build .', "/root/.cache/ccache"),
        ("./mvnw -B package", "/root/.m2"),
        ("gradle :app:bootJar", "/root/.gradle"),
        ("python3 -m pip wheel .", "/root/.cache/pip"),
        ("ccache aarch64-linux-gnu-gcc-12 -c x.c", "ccache"),
    ],
)
def test_a_compiler_without_a_cache(build: str, cache: str) -> None:
    ship = SHIP + "ARG TARGETARCH\n"
    for text in (
        f"{PINNED}COPY . .\nRUN {build}\n{ship}",
        f"{PINNED}\nRUN --mount=type=bind,target=. {build}\n{ship}",
    ):
        (found,) = check(text, "NoCacheMount")
        assert said([found]) == [("NoCacheMount", "", 3, "builder")]
        assert cache in found.fix
    with_cache = f"{PINNED}COPY . .\nRUN --mount=target=/x,type=cache {build}\n{ship}"
    assert check(with_cache, "NoCacheMount") == []


def test_c_has_no_cache_but_ccache() -> None:
    ship = SHIP + "ARG TARGETARCH\n"
    plain = "FROM --platform=$BUILDPLATFORM alpine:3.22 AS builder\nCOPY . .\n"
    assert check(f"{plain}RUN make\n{ship}", "NoCacheMount") == []
    (found,) = check(f'{plain}ENV CC="ccache cc"\nRUN make\n{ship}', "NoCacheMount")
    assert found.fix.startswith("write RUN --mount=type=cache,target=/root/.cache/ccache")


def test_make_in_an_image_with_go_is_go() -> None:
    run = Instruction("RUN", "make", 1)
    for image in ("golang", "golang:1.24", "docker.io/library/golang@sha256:0"):
        assert compiling.language(run, image) is compiling.GO_MAKE
    for image in ("alpine", "golangci/golangci-lint", "golang-tools"):
        assert compiling.language(run, image) is compiling.C


@pytest.mark.parametrize(
    "run",
    [
        "make html",
        "make docs",
        "make lint clean",
        "go vet ./...",
        "go mod download",
        "cargo fmt",
        "make -C docs html test=1 -j 4 --version",
        "make -C x test lint",
        "mvn dependency:go-offline",
        "gradle dependencies",
        "pip install -r requirements.txt",
        "cat makefile make",
        "apk add --no-cache gcc make",
        "cc -v",
        "cmake -B build",
        "rustc --version",
    ],
)
def test_what_compiles_nothing(run: str) -> None:
    assert compiling.language(Instruction("RUN", run, 1)) is None


@pytest.mark.parametrize(
    ("run", "heredocs", "compiles"),
    [
        ("<<EOF", "#!/bin/sh\ngo build", True),
        ("<<EOF", "#!/usr/bin/env bash\ngo build", True),
        ("<<EOF", "#!/usr/bin/env python3\nmake = 1", False),
        ("bash -e <<EOF", "make", True),
        ("cat <<EOF > /build.sh", "make", False),
        ("python <<EOF", "make", False),
    ],
)
def test_here_documents_are_scripts_where_a_shell_reads_them(
    run: str, heredocs: str, compiles: bool
) -> None:
    assert bool(compiling.language(Instruction("RUN", run, 1, (heredocs,)))) is compiles


# The whole


@given(st.text(), st.sampled_from(["", "RUN go build\n", "COPY x.amd64 /\n"]))
def test_any_text_is_checked_or_refused(text: str, before: str) -> None:
    with contextlib.suppress(ValueError):
        check(f"FROM a\n{before}{text}")


TEXT = """
[target.app]
context = "src"
platforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]
contexts = { base = "target:base", other = "docker-image://x" }
args = { A = "1" }
secret = ["id=token,env=TOKEN"]
output = ["type=local,dest=out"]
[target.app.platform."linux/arm64"]
dockerfile = "Dockerfile.arm64"
[target.app.files]
"linux/amd64" = "x.amd64"
"linux/arm64" = "x.arm64"
"linux/riscv64" = "x.riscv64"
[target.base]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]
[target.far]
context = "https://github.com/x/y.git#main"
ssh = ["default"]
platforms = ["linux/arm64"]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "buildx.toml"
    path.write_text(TEXT)
    return make_plan(loading.load(path), ["app", "far"])


def test_each_dockerfile_with_its_platforms(plan: Plan) -> None:
    found = [(c.target, c.name, c.file, c.platforms, c.apart) for c in dockerfile_builds(plan)]
    assert found == [
        ("app", "app--linux-amd64", "src/Dockerfile", (AMD64, RISCV64), False),
        ("app", "app--linux-arm64", "src/Dockerfile.arm64", (ARM64,), True),
        ("far", "far", "https://github.com/x/y.git#main Dockerfile", (ARM64,), False),
        (
            "base",
            "base",
            "[target.base] dockerfile-inline",
            (AMD64, ARM64, RISCV64),
            False,
        ),
    ]


def test_overrides_of_platforms_that_are_not_selected_make_no_case(plan: Plan) -> None:
    selected = make_plan(plan.config, ["app"], ["linux/amd64"])
    assert next((c.name, c.platforms) for c in dockerfile_builds(selected)) == ("app", (AMD64,))
    selected = make_plan(plan.config, ["app"], ["linux/arm64"])
    assert next((c.name, c.apart) for c in dockerfile_builds(selected)) == (
        "app--linux-arm64",
        True,
    )


def test_the_bake_file_asks_for_checks_and_needs_no_other_target(plan: Plan) -> None:
    definition = lint.definition(plan)
    assert definition["group"]["default"]["targets"] == sorted(definition["target"])
    assert definition["target"]["app--linux-amd64"] == {
        "args": {"A": "1"},
        "call": "check",
        "context": "src",
        "contexts": {
            "base": "docker-image://scratch",
            "files": "docker-image://scratch",
            "other": "docker-image://x",
        },
        "dockerfile": "Dockerfile",
        "platforms": ["linux/amd64"],
    }
    assert "ssh" in definition["target"]["far"]


def test_a_linked_target_without_the_selected_platform_is_checked_for_its_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(
        '[target.app]\ncontexts = { x = "target:x" }\nplatforms = ["linux/arm64"]\n'
        '[target.x]\nplatforms = ["linux/amd64"]\n'
    )
    found = {c.name: c.platforms for c in dockerfile_builds(make_plan(loading.load(path), ["app"]))}
    assert found == {"app": (ARM64,), "x": (AMD64,)}


def test_files_are_a_named_context(plan: Plan) -> None:
    for case in dockerfile_builds(plan):
        assert ("files" in case.contexts) is (case.target == "app")


def test_dockerfiles_are_read_where_they_are_here(plan: Plan, tmp_path: Path) -> None:
    found = {case.name: case for case in dockerfile_builds(plan)}
    assert local_text(found["base"], tmp_path) == "FROM scratch"
    assert local_text(found["far"], tmp_path) is None
    assert local_text(found["app--linux-amd64"], tmp_path) is None
    (tmp_path / "src").mkdir()
    (tmp_path / "src/dockerfile").write_text("FROM x")
    assert local_text(found["app--linux-amd64"], tmp_path) == "FROM x"


def answer(*warnings: tuple[str, int]) -> dict[str, Any]:
    return {
        "warnings": [
            {"ruleName": code, "detail": f"{code}!", "url": "u", "location": place(line)}
            for code, line in warnings
        ]
    }


def place(line: int) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}}]} if line else {}


def test_warnings_of_buildkit_get_their_stage() -> None:
    parsed = stages.parse("# x\nFROM a AS one\nFROM b")
    case = DockerfileBuild("app", "app", "F", {}, (ARM64,), apart=True)
    found = lint._buildkit(case, answer(("FromAsCasing", 2), ("UndefinedVar", 3), ("X", 0)), parsed)
    assert found == [
        Finding("FromAsCasing", "app", ARM64, "F", 2, "one", "FromAsCasing!", "u"),
        Finding("UndefinedVar", "app", ARM64, "F", 3, "stage-1", "UndefinedVar!", "u"),
        Finding("X", "app", ARM64, "F", 0, "", "X!", "u"),
    ]


def test_what_buildkit_cannot_know_of_a_linked_base_is_left_out() -> None:
    parsed = stages.parse("FROM base AS one\nFROM one\nFROM x\n")
    attributes = {"contexts": {"base": "target:base", "x": "docker-image://y"}}
    case = DockerfileBuild("app", "app", "F", attributes, (ARM64,))
    codes = [(code, line) for line in (1, 2, 3) for code in ("UndefinedVar", "StageNameCasing")]
    found = lint._buildkit(case, answer(*codes), parsed)
    assert [(f.code, f.line) for f in found] == [
        ("StageNameCasing", 1),
        ("StageNameCasing", 2),
        ("UndefinedVar", 3),
        ("StageNameCasing", 3),
    ]


def test_what_cannot_be_built_is_a_finding() -> None:
    case = DockerfileBuild("app", "app", "F", {}, (ARM64,))
    parsed = stages.parse("FROM a AS one\nRUNN x\n")
    error = {"buildError": {"message": "odd", "location": place(2)}}
    (found,) = lint._errors(case, error, parsed)
    assert found[:7] == ("Unbuildable", "app", None, "F", 2, "one", "odd")
    assert list(lint._errors(case, {"warnings": []}, parsed)) == []
    warned = {"buildError": {"message": "lint violation found for rules: X"}}
    assert list(lint._errors(case, warned, parsed)) == []
    assert "Unbuildable" not in codes.KNOWN_CODES


def test_dockerfiles_that_are_not_here_are_findings(tmp_path: Path) -> None:
    (tmp_path / "src/sub").mkdir(parents=True)
    (tmp_path / "src/Dockerfile").write_text("FROM a")
    path = tmp_path / "buildx.toml"
    path.write_text(
        '[target.fine]\ncontext = "src"\n'
        '[target.twice]\ncontext = "src"\ndockerfile = "src/Dockerfile"\n'
        '[target.above]\ncontext = "src/sub"\ndockerfile = "src/Dockerfile"\n'
        '[target.none]\ndockerfile = "nosuch"\n'
        '[target.no-context]\ncontext = "nosuch"\ndockerfile-inline = "FROM a"\n'
        '[target.far]\ncontext = "https://github.com/x/y.git"\n'
    )
    names = ["above", "far", "fine", "no-context", "none", "twice"]
    plan = make_plan(loading.load(path), names)
    found = lint._lacking(plan, tmp_path)
    assert {name: (f.code, f.file, f.message, f.fix) for name, f in found.items()} == {
        "twice": (
            "Unbuildable",
            "src/src/Dockerfile",
            "there is no such Dockerfile",
            'dockerfile is named from the context, src; write dockerfile = "Dockerfile" in '
            "[target.twice]",
        ),
        "above": (
            "Unbuildable",
            "src/sub/src/Dockerfile",
            "there is no such Dockerfile",
            'dockerfile is named from the context, src/sub; write dockerfile = "../Dockerfile" in '
            "[target.above]",
        ),
        "none": (
            "Unbuildable",
            "nosuch",
            "there is no such Dockerfile",
            "dockerfile is named from the context, .; correct dockerfile or context in [target.none]",
        ),
        "no-context": (
            "Unbuildable",
            "[target.no-context] dockerfile-inline",
            "there is no context nosuch",
            "context is named from the folder of buildx.toml",
        ),
    }
    assert lint.definition(plan, found)["target"].keys() == {"far", "fine"}


def test_lines_for_people() -> None:
    run = Finding("EmulatedRun", "app", ARM64, "src/Dockerfile", 5, "builder", "bad", "good")
    findings = [
        run,
        Finding("FromAsCasing", "app", None, "src/Dockerfile", 0, "", "odd", ""),
        run._replace(platform=RISCV64),
        run._replace(target="other"),
        run._replace(line=6),
    ]
    assert lines(findings) == [
        "src/Dockerfile:5: EmulatedRun bad [app@linux/arm64, app@linux/riscv64]",
        "  fix: good",
        "src/Dockerfile: FromAsCasing odd [app]",
        "src/Dockerfile:5: EmulatedRun bad [other@linux/arm64]",
        "  fix: good",
        "src/Dockerfile:6: EmulatedRun bad [app@linux/arm64]",
        "  fix: good",
    ]
    assert len(merged(findings)) == 4
    assert lines([]) == []


def test_findings_as_json() -> None:
    findings = [
        Finding("EmulatedRun", "app", ARM64, "src/Dockerfile", 5, "builder", "bad", "good"),
        Finding("FromAsCasing", "app", None, "src/Dockerfile", 0, "", "odd", "u"),
    ]
    first, second = summary(findings)["findings"]
    assert first == {
        "code": "EmulatedRun",
        "target": "app",
        "platform": "linux/arm64",
        "file": "src/Dockerfile",
        "line": 5,
        "stage": "builder",
        "message": "bad",
        "fix": "good",
        "level": "warning",
    }
    assert second["platform"] is None
