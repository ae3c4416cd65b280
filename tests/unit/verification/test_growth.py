"""growth compares with the last push before this one, wherever that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.workspaces import declared

from buildx_tasks.images.image import Image
from buildx_tasks.images.published import version_before
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.verification.units import units

if TYPE_CHECKING:
    from pathlib import Path

TOML = """
[target.app]
tags = ["localhost:5000/app:v1"]
platforms = ["linux/amd64"]
verify.size = { growth = 5 }
"""
TAGS = ["latest", "v1.2.0", "v1.10.0", "v1.9.0", "v1.9.0-alpine", "1.99", "staging-app"]


@pytest.mark.parametrize(
    ("tag", "before"),
    [
        ("v1.11.0", "v1.10.0"),
        ("v1.11.0-2-gabcdef1-dirty", "v1.10.0"),
        ("v2.0.0-rc.1", "v1.10.0"),
        ("v1.10.0-alpine", "v1.9.0-alpine"),
        ("2.0", "1.99"),
        ("edge", ""),
        ("x1", ""),
    ],
)
def test_the_version_before_is_of_the_same_kind(tag: str, before: str) -> None:
    assert version_before(TAGS, tag) == before


def test_a_push_of_the_image_itself_is_nothing_to_verify_again_for(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text(TOML)
    plan = make_plan(declared(tmp_path).config)
    image = Image("app:v1", "sha256:new", {parse("linux/amd64"): "sha256:m"})

    def hash_after(*pushed: str) -> str:
        (unit,) = units(plan.targets, tmp_path, lambda _: image, {"app": pushed})
        return unit.hash

    assert hash_after("sha256:old") == hash_after("sha256:old", "sha256:new", "sha256:new")
    assert hash_after() == hash_after("sha256:new")
    assert hash_after("sha256:old") != hash_after("sha256:other")
