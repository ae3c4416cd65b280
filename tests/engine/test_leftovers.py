"""What a failed build left in the engine's store, clean removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

# BuildKit ends what still goes on when one fails: long enough for a busy machine to export the other.
TOML = """
[target.{name}]
dockerfile-inline = "FROM alpine:3.22\\nRUN echo {name} > {file}"
tags = ["{name}:dev"]
[target.{name}-before]
dockerfile-inline = "FROM alpine:3.22\\nRUN sleep 15 && exit 3"
tags = ["{name}:before"]
"""


def test_clean_knows_what_a_failed_build_exported(project: Project, name: str) -> None:
    project.write(TOML.format(name=name, file="/y"))
    project.ok("build", "--target", name)
    docker("tag", f"{name}:dev", f"{name}:kept")  # a person's own
    docker("tag", "alpine:3.22", f"{name}:before")  # as is this one
    project.write(TOML.format(name=name, file="/x"))
    failed = project.invoke("build", "--progress", "quiet")
    assert failed.returncode == 1
    assert "  left  " in project.ok("log")
    assert f"{name}:dev" in project.ok("clean")
    for tag, is_there in (("dev", False), ("before", True), ("kept", True)):
        assert bool(docker("image", "ls", "--quiet", f"{name}:{tag}")) == is_there
