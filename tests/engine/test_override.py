"""BUILDX_BUILDER beside a declared builder is what builds, and is said."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[builder]
name = "{name}"
driver = "docker-container"
[target.{name}]
dockerfile-inline = "FROM alpine:3.22"
tags = ["{name}:dev"]
"""


def test_the_named_builder_builds_and_not_the_declared_one(project: Project, name: str) -> None:
    project.write(TOML.format(name=name))
    env = {"BUILDX_BUILDER": "default"}
    result = project.invoke("build", "--progress", "quiet", env=env)
    assert result.returncode == 0, result.stderr
    said = f'built on "default", which BUILDX_BUILDER names, not on the declared builder "{name}"'
    assert said in result.stderr
    assert "--builder" not in project.invoke("--dry", "build", env=env).stdout
    assert said in project.invoke("--dry", "build", env=env).stderr
    assert "BUILDX_BUILDER " in project.invoke("doctor", env=env).stdout
    gone = project.invoke("build", env={"BUILDX_BUILDER": f"{name}-gone"})
    assert gone.returncode == 1
    assert f'builder "{name}-gone" is not there' in gone.stderr
    assert f"--builder {name} " in project.ok("--dry", "build", env={"BUILDX_BUILDER": name})
