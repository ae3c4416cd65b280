"""The tasks around the language: import and back, CI matrices, overlays, versions, checks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

HCL = """
variable "TAG" { default = "v1" }
group "default" { targets = ["app"] }
target "app" {
  platforms = ["linux/amd64", "linux/arm64"]
  tags = ["localhost:5000/app:${TAG}"]
  args = { TEXT = "$${literal}" }
}
"""


def test_import_writes_a_file_once_and_plan_gives_it_back(project: Project) -> None:
    project.write(HCL, "docker-bake.hcl")
    assert project.ok("import", "--from", "docker-bake.hcl") == "wrote buildx.toml\n"
    text = (project.folder / "buildx.toml").read_text()
    assert 'TEXT = "$${literal}"' in text
    printed = docker("buildx", "bake", "--file", str(project.folder / "docker-bake.hcl"), "--print")
    assert json.loads(project.ok("plan", "--format", "bake")) == json.loads(printed)
    result = project.invoke("import", "--from", "docker-bake.hcl")
    assert (result.returncode, "is there already" in result.stderr) == (2, True)
    assert (project.folder / "buildx.toml").read_text() == text
    assert project.ok("import", "--from", "docker-bake.hcl", "--to", "-") == text


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("none.hcl", None, "--from: none.hcl is no file"),
        ("bad.hcl", 'target "a" {', "--from: bake cannot read bad.hcl: ERROR:"),
        ("empty.json", "{}", "--from: empty.json declares no target"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    project: Project, file: str, text: str | None, message: str
) -> None:
    if text is not None:
        project.write(text, file)
    result = project.invoke("import", "--from", file)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (project.folder / "buildx.toml").exists()


def test_a_ci_matrix_names_each_cell_with_its_native_runner(project: Project) -> None:
    project.write('[target.a]\nplatforms = ["linux/amd64", "linux/arm64"]\n')
    assert json.loads(project.ok("plan", "--format", "github")) == {
        "include": [
            {"target": "a", "platform": "linux/amd64", "runner": "ubuntu-24.04"},
            {"target": "a", "platform": "linux/arm64", "runner": "ubuntu-24.04-arm"},
        ]
    }


def test_overlays_and_sets_reach_the_tasks(project: Project) -> None:
    project.write('[variable.V]\ndefault = "1"\n[target.a]\ntags = ["a:${V}"]\n')
    project.write('[target.a]\ntags = ["b:${V}"]\n', "buildx.release.toml")

    def tags(*flags: str, **environment: str) -> list[str]:
        shown = project.ok("plan", "--format", "json", *flags, env=environment)
        found: list[str] = json.loads(shown)["targets"][0]["tags"]
        return found

    assert tags() == ["a:1"]
    assert tags("--overlay", "release", "--set", "V=2") == ["b:2"]
    assert tags(BUILDX_TASKS_OVERLAY="release", V="3") == ["b:3"]


def test_newer_attributes_are_refused_where_buildx_is_older(project: Project) -> None:
    version = re.search(r"v?(\d+)\.(\d+)", docker("buildx", "version"))
    assert version
    if (int(version[1]), int(version[2])) >= (0, 31):
        pytest.skip("this buildx knows policy")
    project.write('[target.a]\ncontext = "."\npolicy = [{ filename = "p.rego" }]\n')
    assert project.invoke("plan").returncode == 0
    result = project.invoke("build")
    assert result.returncode == 1
    assert '[target.a] has "policy", which needs buildx 0.31; this is 0.' in result.stderr


def test_a_target_can_be_a_check(project: Project) -> None:
    project.write('[target.a]\ncall = "check"\ndockerfile-inline = "FROM scratch\\nCOPY a /"\n')
    project.ok("build", "--progress", "quiet")


def test_a_secret_s_value_stays_out_of_every_file(project: Project, name: str) -> None:
    project.write(
        f'[target.{name}]\noutput = ["type=cacheonly"]\nsecret = ["id=t,env=TOKEN"]\n'
        'dockerfile-inline = """\nFROM alpine:3.22\n'
        'RUN --mount=type=secret,id=t test "$(wc -c < /run/secrets/t)" = 12\n"""\n'
    )
    given = {"TOKEN": "s3cret-value"}
    result = project.invoke("--echo", "build", "--progress", "plain", env=given)
    assert result.returncode == 0, result.stderr
    assert "s3cret-value" not in result.stdout + result.stderr
    for path in filter(Path.is_file, (project.folder / ".buildx").rglob("*")):
        assert "s3cret-value" not in path.read_text()
