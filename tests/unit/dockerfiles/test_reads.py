"""What a build reads from outside: images, frontends, repositories, each for its platforms."""

from __future__ import annotations

from typing import Any

import pytest

from buildx_tasks import platforms
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.dockerfiles.reads import Read, reads

AMD64, ARM64 = map(platforms.parse, ("linux/amd64", "linux/arm64"))
BOTH = (AMD64, ARM64)


def read(text: str | None, **attributes: Any) -> list[Read]:
    build = DockerfileBuild("app", "app", "Dockerfile", attributes, BOTH)
    return reads(build, text, lambda platform: platform == AMD64)


def short(text: str | None, **attributes: Any) -> list[tuple[str, str, int]]:
    return [(one.how, one.reference, one.line) for one in read(text, **attributes)]


@pytest.mark.parametrize(
    ("text", "attributes", "expected"),
    [
        ("FROM alpine:3.22\n", {}, [("FROM", "alpine:3.22", 1)]),
        ("FROM scratch\nCOPY a /\n", {}, []),
        ("FROM alpine AS a\nFROM A\n", {}, [("FROM", "alpine", 1)]),
        ("FROM unused AS a\nFROM used\n", {}, [("FROM", "used", 2)]),
        ("FROM a AS one\nFROM b AS two\n", {"target": "one"}, [("FROM", "a", 1)]),
        ("ARG V=3.22\nFROM alpine:$V\n", {}, [("FROM", "alpine:3.22", 2)]),
        ("ARG V=1\nFROM a:${V}\n", {"args": {"V": "2"}}, [("FROM", "a:2", 2)]),
        (
            "FROM a\nCOPY --from=b:1 /x /\nRUN --mount=from=c:1,target=/m true\n",
            {},
            [("FROM", "a", 1), ("COPY", "b:1", 2), ("RUN", "c:1", 3)],
        ),
        (
            "FROM a AS x\nFROM b\nCOPY --from=x / /\nCOPY --from=0 / /\nRUN --mount=from=X true\n",
            {},
            [("FROM", "a", 1), ("FROM", "b", 2)],
        ),
        (
            "# syntax=docker/dockerfile:1\nFROM a\n",
            {},
            [("# syntax", "docker/dockerfile:1", 1), ("FROM", "a", 2)],
        ),
        (
            "# syntax=docker/dockerfile:1\nFROM a\n",
            {"args": {"BUILDKIT_SYNTAX": "mine:2"}},
            [("# syntax", "mine:2", 0), ("FROM", "a", 2)],
        ),
        # What a named context stands for is read instead, and nothing where that is here.
        ("FROM alpine:3.22\n", {"contexts": {"alpine:3.22": "target:base"}}, []),
        ("FROM docker.io/library/alpine\n", {"contexts": {"alpine": "./rootfs"}}, []),
        (
            "FROM base\n",
            {"contexts": {"base": "docker-image://alpine:3.22", "unused": "docker-image://x"}},
            [("contexts.base", "alpine:3.22", 1)],
        ),
        ("FROM alpine AS a\nRUN x\nFROM a\n", {"contexts": {"a": "target:other"}}, []),
        (
            "FROM a\nCOPY --from=src / /\n",
            {"contexts": {"src": "https://example.com/x.git#main:sub"}},
            [("FROM", "a", 1), ("contexts.src", "https://example.com/x.git#main:sub", 2)],
        ),
        ("FROM a\nONBUILD COPY --from=b / /\n", {}, [("FROM", "a", 1)]),
        (
            "FROM a AS x\nONBUILD COPY --from=b / /\nFROM x\n",
            {},
            [("FROM", "a", 1), ("COPY", "b", 2)],
        ),
        (
            "FROM a\nADD https://example.com/x.tgz /\nADD --checksum=sha256:0 https://x/y /\n",
            {},
            [("FROM", "a", 1), ("ADD", "https://example.com/x.tgz", 2)],
        ),
    ],
)
def test_what_a_build_reads(
    text: str, attributes: dict[str, Any], expected: list[tuple[str, str, int]]
) -> None:
    assert short(text, **attributes) == expected


def test_each_is_read_for_its_platforms() -> None:
    text = (
        "ARG TARGETARCH\nFROM --platform=$BUILDPLATFORM golang AS b\nCOPY --from=tool / /\n"
        "FROM base-$TARGETARCH\nCOPY --from=b / /\n"
    )
    assert {one.reference: one.platforms for one in read(text)} == {
        "golang": (AMD64,),
        "tool": BOTH,  # as BuildKit has it: what is copied from is the target's
        "base-amd64": (AMD64,),
        "base-arm64": (ARM64,),
    }
    own = {"contexts": {"base::linux/arm64": "docker-image://mine", "base": "target:x"}}
    (found,) = read("FROM base\n", **own)
    assert (found.reference, found.key, found.platforms) == ("mine", "base::linux/arm64", (ARM64,))


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("alpine", "alpine"),
        ("alpine:latest", "alpine"),
        ("alpine:3.22", "alpine:3.22"),
        ("docker.io/library/alpine:3.22", "alpine:3.22"),
        ("index.docker.io/library/alpine:3.22", "alpine:3.22"),
        ("docker.io/me/x:latest", "me/x"),
        ("library/x/y:1", "library/x/y:1"),
        ("localhost:5000/x", "localhost:5000/x"),
        ("localhost:5000/library/x:1", "localhost:5000/library/x:1"),
        (f"alpine@sha256:{'0' * 64}", f"alpine@sha256:{'0' * 64}"),
    ],
)
def test_the_key_is_what_buildkit_looks_a_name_up_as(written: str, key: str) -> None:
    (found,) = read(f"FROM {written}\n")
    assert (found.reference, found.key) == (written, key)
    assert found.is_fixed is ("@" in written)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ARG BASE\nFROM $BASE\n", '"$BASE" comes to nothing: an ARG has no value'),
        ("ARG V\nFROM alpine:$V\n", '"alpine:" is no image reference'),
        ("FROM scratch\nCOPY --from=$X / /\n", "no variable is filled in there"),
        ("FROM scratch\nADD $URL /\n", '"$URL" may be an address'),
        (None, "its Dockerfile is not here, and may read others"),
    ],
)
def test_what_cannot_be_known_says_why(text: str | None, why: str) -> None:
    (found,) = read(text)
    assert found.reference == ""
    assert why in found.unknown


def test_repositories_and_files_of_others_are_told_apart() -> None:
    commit = "0" * 40
    for address, kind, fixed in (
        ("https://github.com/x/y.git#main", "git", False),
        (f"https://github.com/x/y.git#{commit}:sub", "git", True),
        ("git@github.com:x/y.git", "git", False),
        ("github.com/x/y", "git", False),
        ("https://example.com/x.tar.gz", "file", False),
    ):
        (found, _) = read(None, context=address)
        assert (found.kind, found.how, found.is_fixed) == (kind, "context", fixed)


def test_no_context_can_stand_for_an_image_that_a_stage_is_named_as() -> None:
    (found,) = read("FROM node AS node\n")
    assert (found.reference, found.key) == ("node", "")
    (found,) = read("FROM node:22 AS node\n")
    assert found.key == "node:22"
