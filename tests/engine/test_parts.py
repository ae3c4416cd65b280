"""A build of some of a target's platforms: it is a part, and no task takes it for the whole."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import docker, in_registry, shell_image

if TYPE_CHECKING:
    from conftest import Project

EXPORT = """
[target.{name}]
dockerfile-inline = "FROM alpine:3.22 AS a\\nRUN uname -m > /m\\nFROM scratch\\nCOPY --from=a /m /m"
platforms = ["linux/amd64", "linux/arm64"]
output = ["type=local,dest=out", "type=tar,dest=out.tar"]
"""


@pytest.fixture
def image(project: Project, name: str, registry: str) -> Project:
    text = shell_image(name, registry, 'echo "Hello, $PLATFORM!"', stdout="Hello, {platform}!")
    return project.write(f"{text}[target.{name}.verify]\nindex = {{}}\n")


def built(project: Project, *flags: str) -> str:
    result = project.invoke("build", "--progress", "quiet", *flags)
    assert result.returncode == 0, result.stderr
    return result.stderr


def status(project: Project, *flags: str) -> dict[str, str]:
    result = project.invoke("verify", "--json", "report.json", *flags)
    assert "Traceback" not in result.stderr
    report: dict[str, Any] = json.loads((project.folder / "report.json").read_text())
    (project.folder / "report.json").unlink()
    return {cell["id"].partition("@")[2]: cell["outcome"] for cell in report["results"]}


def test_a_part_is_under_a_tag_of_its_own_and_verified_without_the_index(
    image: Project, name: str, registry: str
) -> None:
    tag = f"{registry}/{name}:v1"
    assert f"a part only, under {tag}-part-linux-arm64" in built(image, "-p", "linux/arm64")
    assert not docker("image", "ls", "--quiet", tag)
    verified = image.invoke("verify", "-p", "linux/arm64")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "only linux/arm64 was built" in verified.stdout
    whole = image.invoke("verify")
    assert whole.returncode == 1
    assert f"of {name} there is linux/arm64 only" in whole.stderr
    assert image.ok("run", "-p", "linux/arm64") == "Hello, linux/arm64!\n"
    assert image.invoke("run", "-p", "linux/amd64").returncode == 1
    command = image.ok("--dry", "run", "-p", "linux/arm64")
    assert docker("image", "inspect", "--format", "{{.Id}}", f"{tag}-part-linux-arm64") in command
    assert f"{tag}-part-linux-arm64" in image.ok("inspect")
    assert f"{tag}-part-linux-arm64" in image.ok("plan", "-p", "linux/arm64")


def test_a_part_leaves_the_whole_alone(image: Project, name: str, registry: str) -> None:
    tag = f"{registry}/{name}:v1"
    built(image)
    whole = docker("image", "inspect", "--format", "{{.Id}}", tag)
    built(image, "-p", "linux/arm64")
    assert docker("image", "inspect", "--format", "{{.Id}}", tag) == whole
    assert status(image, "-p", "linux/arm64") == {"linux/arm64": "ok", "": "skip"}
    assert status(image, "-p", "linux/amd64") == {"linux/amd64": "ok", "": "ok"}
    assert image.ok("run", "-p", "linux/amd64") == "Hello, linux/amd64!\n"
    pushed = image.invoke("push")
    assert pushed.returncode == 1
    assert "was of linux/arm64 only" in pushed.stderr
    assert f"run invoke build -t {name}" in pushed.stderr
    assert in_registry(tag) is None
    built(image)
    image.ok("push")
    built(image, "-p", "linux/arm64")
    image.ok("clean")
    assert not docker("image", "ls", "--quiet", f"{registry}/{name}")


def test_exported_files_keep_their_layout(project: Project, name: str) -> None:
    project.write(EXPORT.format(name=name))
    built(project, "-p", "linux/arm64")
    assert (project.folder / "out" / "linux_arm64" / "m").read_text() == "aarch64\n"
    with tarfile.open(project.folder / "out.tar") as archive:
        assert "linux_arm64/m" in archive.getnames()
    built(project)
    assert (project.folder / "out" / "linux_amd64" / "m").exists()
