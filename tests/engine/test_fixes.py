"""What is wrong around a build: the message names the cause, and the fix fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.engine.connection import no_answer

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

TEXT = """\
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/never:v1"]
"""


@pytest.mark.parametrize("task", ["build", "verify", "push", "run", "lint", "setup", "doctor"])
def test_a_context_that_is_not_there(project: Project, task: str) -> None:
    project.write(TEXT).write("FROM alpine:3.22\n", "Dockerfile")
    result = project.invoke(task, env={"DOCKER_CONTEXT": "gone"})
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert 'docker context "gone" does not exist' in said
    assert "unset DOCKER_CONTEXT" in said
    assert "bootstrap" not in said


def test_no_rights_on_the_socket() -> None:
    refused = PermissionError(13, "Permission denied")
    said = no_answer(ConnectionError("Connection aborted.", refused))
    assert "this user may not use the Docker Engine's socket" in said
    assert "usermod -aG docker" in said
    assert "start it" not in said
    said = no_answer(ConnectionError("x", FileNotFoundError(2, "No such file or directory")))
    assert "start it" in said
    assert "bootstrap" not in said


def test_a_base_image_that_lacks_a_platform(project: Project, registry: str, name: str) -> None:
    base = f"{registry}/{name}:base"
    project.write("FROM alpine:3.22\n", "base.Dockerfile")
    argv = ["--platform", "linux/amd64", "--provenance=true", "--push", "--tag", base]
    docker(
        "buildx", "build", *argv, "--file", f"{project.folder}/base.Dockerfile", str(project.folder)
    )
    project.write(f"ARG X=1\nFROM {base} AS one\nRUN true\n", "Dockerfile").write(TEXT)
    result = project.invoke("build", "--progress", "plain")
    assert result.returncode == 1
    assert (
        f"Dockerfile:2: the base image {base} has no linux/arm64; it has linux/amd64; name an image "
        "that has it" in result.stderr
    )
