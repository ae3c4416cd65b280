"""What ``lint --fix`` changes, and what it leaves alone; built for real in benchmarks/fix.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from support import judged

from buildx_tasks.dockerfiles import fixing, rules
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.platforms import Platform, parse

ROOT = Path(__file__).parents[3]
PLATFORMS = tuple(map(parse, ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64")))


def benchmark() -> Any:
    spec = importlib.util.spec_from_file_location("fix", ROOT / "benchmarks" / "fix.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["fix"] = module  # a NamedTuple looks for its module
    spec.loader.exec_module(module)
    return module


CASES = benchmark().CASES


def native(platform: Platform) -> bool:
    return platform.architecture in ("amd64", "386")


def build(*platforms: Platform, **attributes: Any) -> DockerfileBuild:
    return DockerfileBuild("app", "app", "Dockerfile", attributes, platforms or PLATFORMS)


def fixed(text: str, **attributes: Any) -> fixing.Fixed:
    return fixing.fix(build(**attributes), text, native)


@pytest.mark.parametrize("name", CASES)
def test_what_is_fixed_compiles_natively_and_is_told_its_platform(name: str) -> None:
    text = CASES[name].dockerfile
    found = fixed(text)
    assert found.left == ()
    assert found.text != text
    assert [
        one for one in rules.check(build(), found.text, native) if one.code in fixing.CODES
    ] == []
    assert fixed(found.text) == (found.text, ())
    untouched = [line for line in text.splitlines() if line.startswith(("COPY", "WORKDIR", "CMD"))]
    kept = [line for line in found.text.splitlines() if line.startswith(("COPY", "WORKDIR", "CMD"))]
    assert kept == untouched


def test_of_a_dockerfile_only_what_has_to_change_does() -> None:
    text = (
        "# a comment\r\n"
        "from golang:1.24-alpine as build\r\n"
        "WORKDIR /src\r\n"
        "\r\n"
        "COPY . .\r\n"
        "RUN go vet ./... && \\\r\n"
        "    # inside\r\n"
        "    go build -o /app .\r\n"
        "FROM alpine:3.22\r\n"
        "COPY --from=build /app /app"
    )
    assert fixed(text).text.split("\r\n") == [
        "# a comment",
        "from --platform=$BUILDPLATFORM golang:1.24-alpine as build",
        "WORKDIR /src",
        "",
        "COPY . .",
        "ARG TARGETOS TARGETARCH TARGETVARIANT",
        "RUN --mount=type=cache,target=/root/.cache/go-build \\",
        "    go vet ./... && \\",
        "    # inside",
        "    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} go build -o /app .",
        "FROM alpine:3.22",
        "COPY --from=build /app /app",
    ]


@pytest.mark.parametrize(
    "base", ["docker.io/golang", "docker.io/library/golang", "mirror.example:5000/library/golang"]
)
def test_the_official_image_has_several_names(base: str) -> None:
    text = GO.replace("FROM golang", f"FROM {base}") + BUILD + END
    assert "BUILDPLATFORM" in fixed(text).text


def test_what_is_native_already_needs_nothing() -> None:
    text = CASES["go"].dockerfile
    assert fixing.fix(build(parse("linux/amd64")), text, native).text.count("--platform") == 0
    cross = (ROOT / "go-sample" / "Dockerfile.cross").read_text()
    assert fixed(cross) == (cross, ())


GO = "FROM golang:1.24-alpine AS build\nWORKDIR /src\nCOPY . .\n"
C = "FROM debian:trixie-slim AS build\nRUN apt-get update && apt-get install -y gcc libc6-dev\nCOPY . .\n"
RUST = "FROM rust:1-slim-trixie AS build\nWORKDIR /src\nCOPY . .\n"
BUILD = "RUN go build -o /app .\n"
END = "FROM alpine:3.22\nCOPY --from=build /app /app\n"
LEFT = {
    "in the image itself": (GO + BUILD, "it compiles in the image itself"),
    "a base of the image": (
        f"{GO}{BUILD}FROM build\nCMD /app\n",
        "it compiles in the image itself",
    ),
    "a stage beside it": (
        f"{GO}{BUILD}FROM build AS dev\nRUN go version\n{END}",
        "stage dev starts from it too, and may be an image of its own",
    ),
    "a user": (f"{GO}USER nobody\n{BUILD}{END}", "USER is not looked into"),
    "another shell": (f'{GO}SHELL ["/bin/bash", "-c"]\n{BUILD}{END}', "SHELL is not looked into"),
    "something added": (
        f"{GO}ADD https://example.com/x /x\n{BUILD}{END}",
        "ADD is not looked into",
    ),
    "a here-document": (f"{GO}RUN <<X\ngo build -o /app .\nX\n{END}", "it is no plain line"),
    "a list": (f'{GO}RUN ["go", "build", "-o", "/app", "."]\n{END}', "it is no plain line"),
    "a condition": (
        f"{GO}RUN if true; then go build -o /app .; fi\n{END}",
        "more than one after the",
    ),
    "either or": (f"{GO}RUN go build -o /app . || true\n{END}", "more than one after the other"),
    "a pipe": (f"{GO}RUN go build -o /app . | tee log\n{END}", "more than one after the other"),
    "a download": (f"{GO}RUN wget https://example.com/x\n{BUILD}{END}", "what wget does"),
    "what it made is run": (f"{GO}RUN go build -o /gen . && /gen\n{BUILD}{END}", "what /gen does"),
    "a packer": (f"{GO}RUN apk add upx\n{BUILD}{END}", "it installs upx"),
    "go install": (f"{GO}RUN go install .\n{END}", "what go install makes"),
    "go run": (f"{GO}RUN go run ./gen\n{BUILD}{END}", "what go run makes"),
    "make, of Go": (f"{GO}RUN make\n{END}", "how that is told its platform is not known"),
    "for browsers": (
        f"{GO}RUN GOOS=js GOARCH=wasm go build -o /app .\n{END}",
        "it compiles for GOOS=js on each platform",
    ),
    "for Windows": (
        f"{GO}ENV GOOS='windows'\n{BUILD}{END}",
        "it compiles for GOOS='windows on each platform",
    ),
    "other escapes": (
        f"# syntax=docker/dockerfile:1\n# escape=`\n{GO}RUN go build `\n  -o /app .\n{END}",
        "its lines go on with `",
    ),
    "C for Go, on Alpine": (
        f"{GO}RUN apk add gcc musl-dev\n{BUILD}{END}",
        "Alpine has no cross compilers",
    ),
    "C for Go, said": (f"{GO}ENV CGO_ENABLED=1\n{BUILD}{END}", "Alpine has no cross compilers"),
    "Go in an unknown image": (
        f"ARG V=1\nFROM golang:$V AS build\n{BUILD}{END}",
        "it may compile Go with C",
    ),
    "Go in another image": (
        f"FROM debian:trixie AS build\n{BUILD}{END}",
        "another image than golang",
    ),
    "the compiler is taken": (
        f"{GO}{BUILD}FROM alpine:3.22\nCOPY --from=build /usr/local/go /go\n",
        "it takes /usr/local/go",
    ),
    "all is taken": (f"{GO}{BUILD}FROM scratch\nCOPY --from=build / /\n", "it takes /,"),
    "a program of the base is taken": (
        f"{GO}{BUILD}FROM alpine:3.22\nCOPY --from=build /bin/busybox /app /\n",
        "it takes /bin/busybox",
    ),
    "another stage mounts it": (
        f"{GO}{BUILD}FROM alpine:3.22\nRUN --mount=from=build,target=/x cp /x/app /app\n",
        "it mounts the stage that compiles",
    ),
    "two languages": (
        f"{C}RUN gcc -o /app x.c && go build -o /b .\n{END}",
        "another image|not known",
    ),
    "a library": (
        f"{C}RUN apt-get install -y libssl-dev\nRUN gcc -o /app x.c\n{END}",
        "it installs libssl-dev",
    ),
    "C on Alpine": (f"FROM alpine:3.22 AS build\nRUN gcc -o /app x.c\n{END}", "no cross compilers"),
    "C, told already": (f"{C}RUN make CC=clang\n{END}", "its compiler is told a machine already"),
    "C, named already": (f"{C}ENV CC=clang\nRUN make\n{END}", "its compiler is named already"),
    "C, tested": (f"{C}RUN make && make test\n{END}", "it runs what it made"),
    "Rust on Alpine": (
        f"FROM rust:1-alpine AS build\nRUN cargo build --release\n{END}",
        "another image than Debian's rust",
    ),
    "Rust, told already": (
        f"{RUST}RUN cargo build --release --target x86_64-unknown-linux-gnu\n{END}",
        "its compiler is told a machine already",
    ),
    "Rust, tested": (f"{RUST}RUN cargo test && cargo build\n{END}", "what cargo test makes"),
    "Rust, installed": (f"{RUST}RUN cargo install --path .\n{END}", "what cargo install makes"),
    "an image's program": (
        f"{GO}COPY --from=busybox /bin/busybox /out/\n{BUILD}{END}",
        "it copies from the image busybox",
    ),
    "a library of the base": (
        f"{C}RUN gcc -o /app x.c && cp /usr/lib/libm.so /out/\n{END}",
        "cp takes what may be the build machine's own",
    ),
    "C, for one machine": (
        f"{C}RUN gcc -march=native -o /app x.c\n{END}",
        "told a machine already",
    ),
    "Go in somebody's image": (
        f"FROM example.com/golang:1-alpine AS build\n{BUILD}{END}",
        "another image than golang",
    ),
    "Rust, elsewhere": (
        f"{RUST}RUN cargo build --profile dist\n{END}",
        "cargo is told where to put what it makes",
    ),
    "Rust, the whole folder": (
        f"{RUST}RUN cargo build --release\nFROM debian\nCOPY --from=build /src/target /app\n",
        "it takes /src/target, which may be more than the program",
    ),
    "wheels": (
        f"FROM python:3.13 AS build\nCOPY . .\nRUN pip wheel -w /app .\n{END}",
        "how that is told its platform is not known",
    ),
    ".NET": (
        f"FROM dotnet/sdk:8.0 AS build\nCOPY . .\nRUN dotnet publish -o /app\n{END}",
        "how that is told its platform is not known",
    ),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_is_not_understood_is_left_alone_with_the_reason(name: str) -> None:
    text, reason = LEFT[name]
    found = fixed(text)
    assert found.text == text
    assert found.left
    assert any(part in one.reason for one in found.left for part in reason.split("|")), found.left


def test_debian_has_no_compiler_for_some() -> None:
    text = CASES["c"].dockerfile
    found = fixing.fix(build(*map(parse, ("linux/arm64", "linux/arm/v6"))), text, native)
    assert found.text == text
    assert "no cross compiler for linux/arm/v6" in found.left[0].reason


def test_java_is_the_same_everywhere_and_its_jars_alone_are_taken() -> None:
    text = (
        "FROM maven:3 AS build\nCOPY . .\nRUN mvn package\n"
        "FROM eclipse-temurin:21\nCOPY --from=build {} /app/\n"
    )
    found = fixed(text.format("/target/app.jar"))
    assert found.left == ()
    assert "FROM --platform=$BUILDPLATFORM maven:3" in found.text
    assert "RUN --mount=type=cache,target=/root/.m2 \\\n    mvn package" in found.text
    assert "more than Java's own files" in fixed(text.format("/target")).left[0].reason


@pytest.mark.parametrize("one", judged.corpus(), ids=lambda one: one.name)
def test_any_dockerfile_is_fixed_for_good_or_left_alone(one: judged.Judged) -> None:
    """Those of others too: what changes is without those findings afterwards, and finds nothing new."""
    known = rules.check(one.build, one.text, native)
    found = fixing.fix(one.build, one.text, native)
    again = rules.check(one.build, found.text, native)
    assert {(f.code, f.stage) for f in again} <= {(f.code, f.stage) for f in known}
    assert fixing.fix(one.build, found.text, native).text == found.text
    left = [f for f in again if f.code in fixing.CODES]
    assert not left or found.left
