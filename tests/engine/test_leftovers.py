"""What a failed build left in the engine's store, clean removes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[target.{name}]
dockerfile-inline = "FROM alpine:3.22\\nRUN echo {name} > /x"
tags = ["{name}:dev"]
[target.{name}-before]
dockerfile-inline = "FROM alpine:3.22\\nRUN sleep 4 && exit 3"
tags = ["{name}:before"]
"""


def test_clean_knows_what_a_failed_build_exported(project: Project, name: str) -> None:
    project.write(TOML.format(name=name).replace("> /x", "> /y"))
    project.ok("build", "--target", name)
    docker("tag", f"{name}:dev", f"{name}:kept")  # a person's own
    docker("tag", "alpine:3.22", f"{name}:before")  # as is this one
    project.write(TOML.format(name=name))
    failed = project.invoke("build", "--progress", "quiet")
    assert failed.returncode == 1
    assert docker("image", "ls", "--quiet", f"{name}:dev")
    assert "  left  " in project.ok("log")
    assert f"{name}:dev" in project.ok("clean")
    assert not docker("image", "ls", "--quiet", f"{name}:dev")
    assert docker("image", "ls", "--quiet", f"{name}:before")
    assert docker("image", "ls", "--quiet", f"{name}:kept")
