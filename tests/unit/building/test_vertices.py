"""What the names of BuildKit's steps tell: as they were seen of buildx 0.29."""

from __future__ import annotations

import pytest

from buildx_tasks.building.standing import Reading
from buildx_tasks.building.vertices import Vertices, named
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.platforms import Platform, parse

AMD, ARM, ARMV7 = parse("linux/amd64"), parse("linux/arm64"), parse("linux/arm/v7")
CROSS = """\
# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM golang:1.20-alpine AS build
ARG TARGETARCH
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache \\
    GOARCH=$TARGETARCH go build \\
      -o /out/app "./cmd/${NAME}"
RUN true
RUN true
FROM alpine:3.22
COPY --from=build /out/app /app
RUN <<EOF
echo hello
EOF
"""
BASE = "FROM alpine:3.22 AS root\nRUN apk add $PACKAGES\n"
MORE = "FROM root\nRUN echo more\n"


def is_native(platform: Platform) -> bool:
    return platform.architecture == "amd64"


def vertices(*names: str, single: bool = False) -> Vertices:
    texts = {"app": CROSS, "base": BASE, "more": MORE}
    where = (ARM,) if single else (AMD, ARM)
    targets = {
        name: {"contexts": {"root": "target:base"} if name == "more" and "base" in names else {}}
        for name in names
    }
    readings = [
        Reading(DockerfileBuild(name, name, f"{name}/Dockerfile", {}, where), (), texts[name])
        for name in names
    ]
    own = {name: {p: f"{name}@{p}" for p in where} for name in names if name != "base"}
    return Vertices(targets, own, readings, is_native)


@pytest.mark.parametrize(
    ("name", "target", "runs", "meant", "place", "text"),
    [
        ("[app linux/arm64 build 4/6] RUN a", "app", ARM, ARM, "build 4/6", "RUN a"),
        ("[app linux/amd64->arm64 build 4/6] RUN a", "app", AMD, ARM, "build 4/6", "RUN a"),
        ("[linux/amd64->arm/v7 build  4/16] RUN a", "", AMD, ARMV7, "build 4/16", "RUN a"),
        ("[linux/arm/v6->v7 2/2] RUN a", "", parse("linux/arm/v6"), ARMV7, "2/2", "RUN a"),
        ("[linux/amd64->windows/amd64 2/2] R", "", AMD, parse("windows/amd64"), "2/2", "R"),
        ("[build 4/6] RUN [ -e x ] || y", "", None, None, "build 4/6", "RUN [ -e x ] || y"),
        ("[app 2/3] RUN a", "app", None, None, "2/3", "RUN a"),
        ("[2/4] COPY a b", "", None, None, "2/4", "COPY a b"),
        ("[internal] load build context", "", None, None, "internal", "load build context"),
        ("[app linux/arm64 internal] load", "app", ARM, ARM, "internal", "load"),
        ("[app] exporting to image", "app", None, None, "", "exporting to image"),
        ("exporting to image", "", None, None, "", "exporting to image"),
        ("[] x", "", None, None, "", "[] x"),
        ("[other linux/arm64 1/2] x", "", None, None, "other linux/arm64 1/2", "x"),
        ("[context alpine:3.22] alpine", "", None, None, "context alpine:3.22", "alpine"),
    ],
)
def test_names(
    name: str,
    target: str,
    runs: Platform | None,
    meant: Platform | None,
    place: str,
    text: str,
) -> None:
    assert named(name, {"app": 1, "tool": 1}) == (target, runs, meant, place, text)


def test_a_stage_is_no_target_where_a_bake_has_one() -> None:
    assert named("[app 2/3] RUN a", {"app": 1}).place == "app 2/3"


def test_the_cells_of_a_step() -> None:
    seen = vertices("app", "more", "base")
    arm = seen.of("[app linux/amd64->arm64 build 4/6] RUN true")
    assert (arm.cells, arm.vague, arm.platform) == (("app@linux/arm64",), (), "linux/amd64")
    assert not arm.is_emulated
    assert arm.counts
    context = seen.of("[app internal] load build context")
    assert (context.cells, context.vague) == ((), ("app@linux/amd64", "app@linux/arm64"))
    assert not context.counts
    # What is built for another target is of the cells of that one.
    base = seen.of("[base linux/arm64 2/2] RUN apk add git")
    assert base.cells == ("more@linux/arm64",)
    assert (base.file, base.line, base.is_emulated) == ("base/Dockerfile", 2, True)
    again = seen.of("[more linux/arm64 2/2] RUN apk add git")
    assert (again.file, again.line) == ("base/Dockerfile", 2)
    export = seen.of("[more] exporting to image")
    assert export.exports
    assert export.vague == ("more@linux/amd64", "more@linux/arm64")
    assert not seen.of("[base] exporting to image").exports
    assert seen.of("[internal] load local bake definitions").vague == ()
    # Named by another target, which has one platform.
    assert seen.of("[app 1/3] FROM alpine:3.22").vague == ("app@linux/amd64", "app@linux/arm64")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("[app linux/amd64 build 1/6] FROM docker.io/library/golang:1.20-alpine@sha256:ab", 2),
        ("[app linux/amd64 build 2/6] WORKDIR /src", 4),
        ("[app linux/amd64 build 3/6] COPY . .", 5),
        (
            "[app linux/amd64->arm64 build 4/6] RUN --mount=type=cache,target=/root/.cache     "
            "GOARCH=arm64 go build       -o /out/app ./cmd/x",
            6,
        ),
        ("[app linux/amd64->arm64 build 5/6] RUN true", 9),
        ("[app linux/amd64->arm64 build 6/6] RUN true", 10),
        ("[app linux/arm64 stage-1 2/3] COPY --from=build /out/app /app", 12),
        ("[app linux/arm64 stage-1 3/3] RUN <<EOF (echo hello)", 13),
        ("[app linux/arm64 internal] load metadata for docker.io/library/alpine:3.22", 11),
        ("[app linux/arm64 stage-2 3/3] RUN true", None),
        ("[app linux/arm64 build 4/6] RUN false", None),
        ("[app linux/arm64 2/2] RUN true", None),
        ("[app internal] load build context", None),
    ],
)
def test_lines(name: str, line: int | None) -> None:
    assert vertices("app", "more", "base").of(name).line == line


def test_a_single_platform_is_read_from_the_dockerfile() -> None:
    seen = vertices("app", single=True)
    cross = seen.of("[build 5/6] RUN true")
    assert (cross.cells, cross.platform) == (("app@linux/arm64",), "linux/amd64")
    assert not cross.is_emulated
    last = seen.of("[stage-1 3/3] RUN <<EOF (echo hello)")
    assert (last.platform, last.is_emulated) == ("linux/arm64", True)
    assert seen.of("exporting to image").exports
    assert seen.of("[internal] load build context").cells == ("app@linux/arm64",)


def test_a_dockerfile_that_cannot_be_read_is_no_failure_of_ours() -> None:
    broken = Reading(DockerfileBuild("app", "app", "Dockerfile", {}, (AMD,)), (), "RUN x\n")
    gone = broken._replace(text=None)
    for reading in (broken, gone):
        seen = Vertices({"app": {}}, {"app": {AMD: "app@linux/amd64"}}, [reading], is_native)
        step = seen.of("[2/2] RUN x")
        assert (step.cells, step.line) == (("app@linux/amd64",), None)


def test_circles_of_links_end() -> None:
    targets = {"a": {"contexts": {"x": "target:b"}}, "b": {"contexts": {"x": "target:a"}}}
    seen = Vertices(targets, {"a": {AMD: "a@linux/amd64"}}, [], is_native)
    assert seen.of("[b linux/amd64 1/2] RUN x").cells == ("a@linux/amd64",)
