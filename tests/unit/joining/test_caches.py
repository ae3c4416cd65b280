"""Caches that ``prune`` may take: those of our own that the file does not name, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from buildx_tasks.building import staging
from buildx_tasks.joining import caches
from buildx_tasks.language import loading
from buildx_tasks.planning.keeping import cache_tag
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.registry.manifests import Manifest, digest_of, manifest_of

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.targets import Config
    from buildx_tasks.registry.repository import Repository

TOML = """
{tables}
[target.app]
platforms = ["linux/amd64", "linux/arm/v7"]
tags = ["localhost:5000/app:v1"]
{cache}
[target._tests]
contexts.app = "target:app"
[target.twin]
tags = ["localhost:5000/app:v1"]
"""
CONFIG = "application/vnd.buildkit.cacheconfig.v0"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OLD, NEW = "2026-11-01T11:33:03.683746517Z", "2026-11-02T11:33:03.683746517Z"


def config_of(folder: Path, tables: str = "", cache: str = "") -> Config:
    path = folder / "buildx.toml"
    path.write_text(TOML.format(tables=tables, cache=cache))
    return loading.load(path, environment={})


@pytest.mark.parametrize(
    ("tables", "cache", "some", "places"),
    [
        ("", "", [], []),
        (
            '[ci.cache]\ntype = "registry"',
            "",
            ["app:cache-app-linux-amd64", "app:cache-app-linux-arm-v7"],
            [],
        ),
        (
            '[ci]\nstaging = "localhost:5000/s"\n[ci.cache]\ntype = "registry"',
            "",
            [
                "s:cache-app-linux-amd64",
                # without platforms: whichever machine asks, those of others stay
                *(f"s:cache-twin-linux-{one}" for one in ("amd64", "arm64", "arm-v7", "s390x")),
            ],
            [],
        ),
        (
            '[ci.cache]\ntype = "registry"\nrepository = "localhost:5000/c"',
            "",
            ["c:cache-app-linux-amd64", "c:cache-_tests-linux-amd64"],
            ["c"],
        ),
        (
            "",
            'cache-from = ["type=registry,ref=localhost:5000/x:cache-{target}-{platform}"]',
            ["x:cache-app-linux-amd64", "x:cache-app-linux-arm-v7"],
            [],
        ),
        (
            '[cache]\nmounts = ["go-{arch}", "/root/.npm"]\nto = "localhost:5000/m"',
            "",
            ["m:mount-go-amd64", "m:mount-go-arm", "m:mount-root-.npm-linux-arm-v7"],
            ["m"],
        ),
    ],
)
def test_what_the_file_names_is_known(
    tmp_path: Path, tables: str, cache: str, some: list[str], places: list[str]
) -> None:
    config = config_of(tmp_path, tables, cache)
    assert {f"localhost:5000/{one}" for one in some} <= caches.named(config)
    assert bool(caches.named(config)) == bool(some)
    found = {f"{one.registry}/{one.repository}" for one in caches.places(config)}
    assert found == {f"localhost:5000/{one}" for one in places}


class Held:
    """A repository as it is asked here, with one manifest under each of its tags."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.manifest = manifest_of(json.dumps({"schemaVersion": 2, **content}).encode())

    def find(self, tag: str) -> Manifest | None:
        return None if tag.endswith("-gone") else self.manifest

    def named(self, tag: str) -> str:
        return f"localhost:5000/app:{tag}"


def described(kind: str, at: str = "") -> dict[str, Any]:
    found = {"mediaType": kind, "digest": digest_of(kind.encode()), "size": 1}
    return {**found, "annotations": {"buildkit/createdat": at}} if at else found


CACHE = {"config": described(CONFIG), "layers": [described(LAYER, NEW), described(LAYER, OLD)]}


@pytest.mark.parametrize(
    ("tag", "content", "at"),
    [
        ("cache-old-linux-amd64", CACHE, NEW),
        ("cache-old-linux-arm-v7", {**CACHE, "layers": []}, ""),
        ("cache-a-b_c-linux-arm64", {"manifests": [described(LAYER, OLD), described(CONFIG)]}, OLD),
        # Named, somebody's own, no cache at all, and none that a mount was kept in.
        ("cache-app-linux-amd64", CACHE, None),
        ("cache-main", CACHE, None),
        ("v1", CACHE, None),
        ("cache-old-linux-gone", CACHE, None),
        ("cache-x-linux-amd64", {"config": described("x/y"), "layers": []}, None),
        ("mount-x", {"manifests": []}, None),
    ],
)
def test_only_a_cache_that_the_file_does_not_name_is_taken_for_one(
    tag: str, content: dict[str, Any], at: str | None
) -> None:
    held = cast("Repository", Held(content))
    known = frozenset({"localhost:5000/app:cache-app-linux-amd64"})
    found = caches.unnamed(held, tag, known)
    assert (found and found.at) == at


@pytest.mark.parametrize("name", ["app", "a" * 100, "b" * 112, "c" * 200])
def test_what_waits_is_its_own_target_s_however_long_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(
        f'[target.{name}]\nplatforms = ["linux/amd64", "linux/arm64"]\ntags = ["localhost:5000/app:v1"]'
    )
    for wanted in ([], ["linux/arm64"]):
        (target,) = make_plan(loading.load(path, environment={}), [name], wanted).targets
        tag = staging.tag_of(target).rpartition(":")[2]
        assert len(tag) <= 128
        assert staging.is_of(tag, name)
        assert not staging.is_of(tag, "ap")
    assert not staging.is_of("staging-app-api", "app")
    assert not staging.is_of("staging-app-part-x", "app")  # the whole of another target
    assert len(cache_tag(name, parse("linux/arm/v7"))) <= 128
