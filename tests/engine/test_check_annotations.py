"""Annotations of an index can be expected; where one is missing, it is said where it is instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project


def problems(project: Project) -> str:
    """What a verify says that fails."""
    assert project.invoke("verify", "--json", "report.json").returncode == 1
    return (project.folder / "report.json").read_text().replace('\\"', '"')


TOML = """
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{name}:v1"]
annotations = ["index:on.index=a", "manifest:on.manifest=b", "manifest[linux/arm64]:on.one=c"]
[target.app.verify]
"""


def test_annotations_of_the_index_are_expected_there(project: Project, name: str) -> None:
    project.write("FROM scratch\nCOPY Dockerfile /\n", "Dockerfile")
    toml = TOML.replace("{name}", name)
    project.write(toml + 'index = { annotations = { "on.index" = "a" } }\n')
    project.ok("build", "--progress", "quiet")
    project.ok("verify")
    project.write(toml + 'index = { annotations = { "on.index" = "z", "on.manifest" = "b" } }\n')
    text = problems(project)
    assert 'annotation on.index: expected "z", got "a"; set annotations' in text
    assert (
        'annotation on.manifest: expected "b", got nothing, but it is on the manifest of linux/amd64, '
        "linux/arm64: expect it there with config = { annotations = … }, or set annotations in "
        'buildx.toml, as in "index:on.manifest=b"'
    ) in text
    project.write(toml + 'config = { annotations = { "on.index" = "a" } }\n')
    assert "but the index has it: expect it with index = { annotations = … }" in problems(project)
    project.write(toml + 'config = { annotations = { "on.one" = "c" } }\n')
    text = problems(project)
    assert "but it is on linux/arm64 only: write manifest:, without a platform" in text
