from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.stores import Blobs, digest

from buildx_tasks.errors import UsageError
from buildx_tasks.images.image import Image, of_parts
from buildx_tasks.images.published import compressed
from buildx_tasks.platforms import parse
from buildx_tasks.registry.registries import Registries

if TYPE_CHECKING:
    from pathlib import Path


def test_compressed_sizes_are_the_layers_of_each_manifest() -> None:
    blobs = Blobs()
    config = {"digest": digest("config"), "size": 99}
    layers = [{"digest": digest("a"), "size": 10}, {"digest": digest("b"), "size": 5}]
    first = blobs.add({"config": config, "layers": layers})
    second = blobs.add({"config": config, "layers": []})
    image = Image("x", "sha256:i", {parse("amd64"): first, parse("arm64"): second})
    assert compressed(blobs, image) == {parse("amd64"): 15, parse("arm64"): 0}


@pytest.mark.parametrize("behind", ["", ":v1", "@sha256:0", ":v1@sha256:0"])
@pytest.mark.parametrize("repository", ["hello", "localhost:5000/a/hello", "[::1]:5000/hello"])
def test_the_repository_is_what_is_before_tag_and_digest(
    repository: str, behind: str, tmp_path: Path
) -> None:
    registries = Registries(None, dict, tmp_path)
    found = registries.of(repository + behind)
    assert str(found).endswith(repository)
    assert (found.registry, found.name) == (
        registries.of(repository).registry,
        registries.of(repository).name,
    )


def test_the_digest_of_parts_is_that_of_platforms_and_ids() -> None:
    amd64, arm64 = parse("amd64"), parse("arm64")
    image = of_parts("x", {amd64: "sha256:a", arm64: "sha256:b"}, {amd64: "x:a", arm64: "x:b"})
    assert image.runnable(arm64) == "sha256:b"
    assert image.digest.startswith("parts:")
    turned = of_parts("x", {arm64: "sha256:b", amd64: "sha256:a"}, {})
    assert turned.digest == image.digest
    assert of_parts("x", {arm64: "sha256:a", amd64: "sha256:b"}, {}).digest != image.digest
    assert of_parts("x", {amd64: "sha256:a"}, {}).digest != image.digest


def test_a_platform_that_the_image_is_not_for() -> None:
    image = Image("x", "sha256:i", {parse("amd64"): "sha256:a", parse("arm64"): "sha256:b"})
    assert image.manifest("linux/aarch64") == image.manifest(parse("arm64")) == "sha256:b"
    with pytest.raises(UsageError, match=r"x lacks linux/s390x; it has linux/amd64, linux/arm64: "):
        image.manifest("s390x")
