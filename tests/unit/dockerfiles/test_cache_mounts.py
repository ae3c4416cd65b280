"""The cache mounts of a Dockerfile: their ids as BuildKit has them, and what copies them."""

from __future__ import annotations

from typing import Any

import pytest

from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.dockerfiles.cache_mounts import CacheMount, cache_mounts
from buildx_tasks.dockerfiles.view import view_of
from buildx_tasks.platforms import parse

AMD64, ARM = parse("linux/amd64"), parse("linux/arm/v7")


def found(text: str, **attributes: Any) -> dict[str, list[CacheMount]]:
    build = DockerfileBuild("app", "app", "Dockerfile", attributes, (AMD64, ARM))
    view = view_of(build, text, lambda platform: platform == AMD64)
    return {str(one): list(cache_mounts(view, one)) for one in (AMD64, ARM)}


def ids(text: str, **attributes: Any) -> list[str]:
    return [one.id for one in found(text, **attributes)["linux/arm/v7"]]


CACHE = "--mount=type=cache,target=/c"


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (f"RUN {CACHE} make", "/c"),
        (f"RUN {CACHE},id=x make", "x"),
        ("RUN --mount=type=cache,dst=/d make", "/d"),
        (f"ARG TARGETARCH\nRUN {CACHE},id=x-$TARGETARCH make", "x-arm"),
        (f"ARG TARGETOS TARGETARCH\nRUN {CACHE},id=$TARGETOS-$TARGETARCH make", "linux-arm"),
        (f"ARG TARGETPLATFORM\nRUN {CACHE},id=x-${{TARGETPLATFORM}} make", "x-linux/arm/v7"),
        (f"RUN {CACHE},id=x-$TARGETARCH make", "x-"),  # not declared in the stage
        (f"ARG V=1\nENV W=$V-2\nRUN {CACHE},id=x-$W make", "x-1-2"),
        (f"ARG GO\nRUN {CACHE},id=x-$GO make", "x-1.24"),
        (f"ENV A one two\nRUN {CACHE},id=$A make", "one two"),
        (f"FROM b AS c\nRUN {CACHE},id=x-$V make", "x-"),  # of another stage
    ],
)
def test_an_id_is_what_buildkit_makes_of_it(lines: str, name: str) -> None:
    text = f"ARG GO=1.23\nFROM alpine:3.22 AS b\n{lines}\n"
    assert ids(text, args={"GO": "1.24"}) == [name]


def test_variables_of_the_stage_before_count_and_its_arguments_do_not() -> None:
    text = f"FROM a AS b\nENV E=e\nARG G=g\nFROM b\nRUN {CACHE},id=x-$E-$G make\n"
    assert ids(text) == ["x-e-"]


def test_only_what_is_built_and_begins_empty_counts() -> None:
    text = (
        f"FROM a AS unused\nRUN {CACHE},id=unused make\n"
        f"FROM a\nRUN --mount=type=cache,target=/c,from=b make\nRUN --mount=target=/s make\n"
    )
    assert ids(text) == []


@pytest.mark.parametrize(
    ("text", "attributes", "base"),
    [
        ("FROM golang:1.24", {}, "golang:1.24"),
        ("ARG V=2\nFROM golang:$V", {}, "golang:2"),
        ("FROM --platform=$BUILDPLATFORM go AS a\nFROM a", {}, "go"),
        ("FROM scratch", {}, ""),
        ("FROM go", {"contexts": {"go": "docker-image://go@sha256:1"}}, ""),
        ("FROM $X", {}, ""),
    ],
)
def test_the_helper_is_what_the_stage_starts_from(
    text: str, attributes: dict[str, Any], base: str
) -> None:
    found_ = found(f"{text}\nRUN {CACHE},uid=7,sharing=locked,mode=0700 make\n", **attributes)
    for listed in found_.values():
        if base or not attributes:
            assert listed == [CacheMount("/c", ("uid=7", "mode=0700"), base)]
