"""An architecture that is not the target's, however it was said; caches that mix platforms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks import platforms
from buildx_tasks.dockerfiles import rules
from buildx_tasks.dockerfiles.build import DockerfileBuild

if TYPE_CHECKING:
    from buildx_tasks.dockerfiles.findings import Finding

AMD64, ARM64, V6, V7 = map(
    platforms.parse, ("linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7")
)
PINNED = "FROM --platform=$BUILDPLATFORM golang:1.24 AS builder\nCOPY . .\n"
PLAIN = "FROM golang:1.24 AS builder\nCOPY . .\n"
SHIP = "\nFROM scratch\nCOPY --from=builder /app /app\n"


def check(
    text: str, *wanted: str, on: tuple[platforms.Platform, ...] = (AMD64, ARM64), **attributes: Any
) -> list[Finding]:
    case = DockerfileBuild("app", "app", "Dockerfile", attributes, on)
    found = rules.check(case, text, lambda p: platforms.runs_natively(p, AMD64))
    return [one for one in found if one.code in wanted]


@pytest.mark.parametrize(
    ("said", "args", "why", "fix"),
    [
        (
            "ARG TARGETARCH=amd64\nRUN GOARCH=$TARGETARCH go build",
            {},
            "as ARG TARGETARCH=amd64 overrides what BuildKit gives",
            "write ARG TARGETARCH in stage builder, without a value: BuildKit gives it",
        ),
        (
            "ARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build",
            {"TARGETARCH": "amd64"},
            "as args has TARGETARCH=amd64",
            "take TARGETARCH out of args in [target.app]: BuildKit gives it",
        ),
        (
            "ARG BUILDARCH TARGETARCH\nRUN GOARCH=$BUILDARCH go build",
            {},
            "for the build machine, by $BUILDARCH",
            "write $TARGETARCH instead, with ARG TARGETARCH in the stage",
        ),
        ("RUN GOARCH=amd64 go build", {}, "whatever the target, by GOARCH=amd64", "declare ARG"),
        ("ENV GOARCH amd64\nRUN go build", {}, "by GOARCH=amd64", "declare ARG"),
        ("ARG A=amd64\nENV GOARCH=$A\nRUN go build", {}, "by A=amd64", "declare ARG"),
        ("ARG A\nRUN GOARCH=$A go build", {"A": "amd64"}, "by A=amd64", "declare ARG"),
        ("RUN a=amd64 && GOARCH=$a go build", {}, "by GOARCH=amd64", "declare ARG"),
        ("RUN GOARCH=amd64 make", {}, "by amd64", "declare ARG"),
        (
            "RUN cargo build --target x86_64-unknown-linux-gnu",
            {},
            "by x86_64-unknown-linux-gnu",
            "declare ARG TARGETARCH in the stage and run cargo build --target",
        ),
        ("RUN x86_64-linux-gnu-gcc -o /app app.c", {}, "by x86_64-linux-gnu", "declare ARG"),
        ("RUN ./configure --host=x86_64-linux-gnu && make", {}, "by x86_64-linux", "declare"),
        ("ENV CC=x86_64-linux-gnu-gcc\nRUN make", {}, "by x86_64-linux-gnu-gcc", "declare ARG"),
        ("RUN dotnet publish -r linux-x64", {}, "by linux-x64", "declare ARG TARGETARCH in the"),
    ],
)
def test_one_architecture_is_found_however_it_is_said(
    said: str, args: dict[str, str], why: str, fix: str
) -> None:
    for start in (PINNED, PLAIN):
        (found,) = check(start + said + SHIP, "TargetPlatformUnused", args=args)
        assert why in found.message
        assert found.fix.startswith(fix)
    # It is what the only platform needs.
    assert check(PLAIN + said + SHIP, "TargetPlatformUnused", args=args, on=(AMD64,)) == []


@pytest.mark.parametrize("asked", ["uname -m", "dpkg --print-architecture", "go env GOARCH"])
def test_what_a_machine_says_of_itself_is_right_where_it_is_the_target(asked: str) -> None:
    build = f"RUN GOARCH=$({asked}) go build{SHIP}"
    (found,) = check(PINNED + build, "TargetPlatformUnused")
    assert f"by $({asked}), which is the build machine's" in found.message
    assert check(PLAIN + build, "TargetPlatformUnused") == []


def test_advice_never_tells_what_is_done_already() -> None:
    build = f"ARG TARGETOS TARGETARCH\nRUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build{SHIP}"
    (found,) = check(PLAIN + build, "EmulatedCompile")
    assert found.fix == "write FROM --platform=$BUILDPLATFORM golang:1.24 AS builder in line 1"
    (found,) = check(f"{PINNED}RUN xx-go build{SHIP}", "TargetPlatformUnused")
    assert found.fix == "declare ARG TARGETPLATFORM in stage builder, before line 3"


@pytest.mark.parametrize(
    "build",
    [
        "RUN GOOS=js GOARCH=wasm go build",
        "RUN GOOS=wasip1 GOARCH=wasm go build",
        "RUN GOOS=windows GOARCH=amd64 go build",
        "ENV GOOS=darwin GOARCH=arm64\nRUN go build",
        "RUN cargo build --target wasm32-wasip1",
        "RUN cargo build --target x86_64-pc-windows-gnu",
        "RUN dotnet publish",
        "RUN dotnet publish -r win-x64",
    ],
)
def test_what_no_machine_of_the_target_runs_is_no_finding(build: str) -> None:
    assert check(PINNED + build + SHIP, "TargetPlatformUnused") == []


def test_nothing_emulates_windows() -> None:
    windows = platforms.parse("windows/amd64")
    assert check("FROM x\nRUN dir\n", "EmulatedRun", on=(windows, AMD64)) == []


RUN = "RUN --mount=type=cache,target="
RUST = f"FROM rust AS builder\nARG TARGETARCH TARGETPLATFORM\nCOPY . .\n{RUN}target"
LACKS = f"FROM rust AS builder\nCOPY . .\n{RUN}target,id=a-$TARGETARCH cargo build{SHIP}"
ALPINE = f"FROM alpine AS builder\n{RUN}"
GO = "/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod go build"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"{RUST} cargo build{SHIP}", 1),
        (f"{RUST},sharing=locked cargo build{SHIP}", 1),
        (f"{RUST},id=a cargo build{SHIP}", 1),
        (f"{RUST},id=a-$TARGETPLATFORM cargo build{SHIP}", 0),
        (f"{RUST},id=a-${{TARGETARCH}} cargo build{SHIP}", 0),
        (LACKS, 1),
        (f"{RUST}-$TARGETARCH cargo build{SHIP}", 0),
        (f"FROM rust AS builder\n{RUN}/usr/local/cargo/registry cargo build{SHIP}", 0),
        (f"{ALPINE}/b cmake --build /b{SHIP}", 1),
        (f"{ALPINE}/b ./configure && make{SHIP}", 1),
        (f"{PINNED}ARG TARGETARCH\n{RUN}/b cmake --build /b{SHIP}", 1),
        (f"{ALPINE}/root/.ccache CC='ccache cc' make{SHIP}", 1),
        (f"{ALPINE}/var/cache/apk apk add x{SHIP}", 1),
        (f"FROM fedora AS builder\n{RUN}/var/cache/dnf dnf install x{SHIP}", 1),
        (f"{PLAIN}{RUN}{GO}{SHIP}", 0),
        (f"{PLAIN}{RUN}/root/.cache/go-build make{SHIP}", 0),
        (f"FROM node AS builder\n{RUN}/root/.npm npm ci{SHIP}", 0),
    ],
)
def test_a_cache_that_mixes_platforms(text: str, count: int) -> None:
    assert len(check(text, "SharedCacheMount")) == count
    assert check(text, "SharedCacheMount", on=(AMD64,)) == []


def test_an_id_by_architecture_is_one_for_variants() -> None:
    text = f"{RUST},id=a-$TARGETARCH cargo build{SHIP}"
    (found,) = check(text, "SharedCacheMount", on=(V6, V7))
    assert found.fix.startswith("write $TARGETPLATFORM in the id")


@pytest.mark.parametrize("command", ["cargo build", "CC='ccache cc' make", "pip wheel ."])
def test_our_own_advice_shares_nothing(command: str) -> None:
    stage = "FROM rust AS builder\nARG TARGETPLATFORM\nCOPY . .\n"
    (found,) = check(f"{stage}RUN {command}{SHIP}", "NoCacheMount")
    mounts = " ".join(word for word in found.fix.split() if word.startswith("--mount"))
    assert check(f"{stage}RUN {mounts} {command}{SHIP}", "SharedCacheMount") == []
    assert mounts


def test_what_only_passes_through_a_build_is_no_finding() -> None:
    text = "FROM amd64/golang AS builder\nCOPY . .\nRUN GOARCH=amd64 go build\n"
    codes = ["ArchitectureInFrom", "EmulatedCompile", "TargetPlatformUnused"]
    assert len(check(text, *codes)) == 3
    assert check(text, *codes, output=[{"type": "cacheonly"}]) == []


@pytest.mark.parametrize(
    "use",
    [
        "COPY app.$TARGETARCH /app",
        "ADD https://example.org/app-${TARGETARCH} /app",
        "RUN curl -fLo /app https://example.org/app-$TARGETARCH",
    ],
)
def test_what_buildkit_gives_is_overridden_for_files_too(use: str) -> None:
    # Without a compile it is as wrong: `ARG TARGETARCH=amd64` is amd64 on every platform.
    (one,) = check(f"FROM alpine:3.22\nARG TARGETARCH=amd64\n{use}\n", "ArchitectureInArg")
    assert one.line == 2
    assert "write ARG TARGETARCH without a value: BuildKit gives it" in str(one)
    text = f"FROM alpine:3.22\nARG TARGETARCH\n{use}\n"
    assert check(text, "ArchitectureInArg") == []
    (one,) = check(text, "ArchitectureInArg", args={"TARGETARCH": "amd64"})
    assert "take TARGETARCH out of args in [target.app]" in str(one)
