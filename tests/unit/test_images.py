from __future__ import annotations

import json

import pytest

from buildx_tasks.images.image import _BEHIND_REPOSITORY, Image, compressed, of_parts
from buildx_tasks.platforms import parse


def test_compressed_sizes_are_the_layers_of_each_manifest() -> None:
    manifests = {
        "sha256:a": {"config": {"size": 99}, "layers": [{"size": 10}, {"size": 5}]},
        "sha256:b": {"config": {"size": 99}, "layers": []},
    }
    image = Image("x", "sha256:i", {parse("amd64"): "sha256:a", parse("arm64"): "sha256:b"})
    sizes = compressed(image, lambda digest: json.dumps(manifests[digest]))
    assert sizes == {parse("amd64"): 15, parse("arm64"): 0}


@pytest.mark.parametrize("behind", ["", ":v1", "@sha256:0", ":v1@sha256:0"])
@pytest.mark.parametrize("repository", ["hello", "localhost:5000/a/hello", "[::1]:5000/hello"])
def test_the_repository_is_what_is_before_tag_and_digest(repository: str, behind: str) -> None:
    assert _BEHIND_REPOSITORY.sub("", repository + behind) == repository


def test_the_digest_of_parts_is_that_of_platforms_and_ids() -> None:
    amd64, arm64 = parse("amd64"), parse("arm64")
    image = of_parts("x", {amd64: "sha256:a", arm64: "sha256:b"}, {amd64: "x:a", arm64: "x:b"})
    assert image.runnable(arm64) == "sha256:b"
    assert image.digest.startswith("parts:")
    turned = of_parts("x", {arm64: "sha256:b", amd64: "sha256:a"}, {})
    assert turned.digest == image.digest
    assert of_parts("x", {arm64: "sha256:a", amd64: "sha256:b"}, {}).digest != image.digest
    assert of_parts("x", {amd64: "sha256:a"}, {}).digest != image.digest
