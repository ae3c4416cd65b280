"""Import never writes what the tool refuses, nor what only this machine's environment holds."""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import docker

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

HCL = "docker-bake.hcl"


def imported(project: Project, text: str, *flags: str, file: str = HCL, **env: str) -> str:
    """Import a file and let plan read what came of it; return the notes."""
    project.write(text, file)
    (project.folder / "buildx.toml").unlink(missing_ok=True)
    result = project.invoke("import", "--from", file, *flags, env=env)
    assert result.returncode == 0, result.stderr
    return result.stderr


def said(project: Project, text: str, file: str = HCL) -> str:
    project.write(text, file)
    result = project.invoke("import", "--from", file)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not (project.folder / "buildx.toml").exists()
    return result.stderr


def test_a_file_without_any_build(project: Project) -> None:
    text = "services:\n  db:\n    image: postgres:17\n"
    assert "declares no target" in said(project, text, "compose.yaml")


def test_a_group_and_a_target_of_one_name(project: Project) -> None:
    text = 'group "app" { targets = ["app", "tool"] }\ntarget "app" {}\ntarget "tool" {}\n'
    text += 'group "all" { targets = ["app"] }\n'
    assert 'the group is called "app-group" now' in imported(project, text)
    assert "tool@" in project.ok("plan", "-t", "app-group")
    assert "tool@" not in project.ok("plan", "-t", "app")
    assert "tool@" in project.ok("plan", "-t", "all")


def test_a_group_default_and_a_target_default(project: Project) -> None:
    text = 'group "default" { targets = ["default", "b"] }\n'
    text += 'target "default" { target = "a" }\n'
    text += 'target "b" { contexts = { x = "target:default" } }\n'
    assert 'the target is called "default-target" now' in imported(project, text)
    planned = project.ok("plan")
    assert "b@" in planned
    assert "default-target@" in planned


def test_what_is_local_or_empty_is_left_out(project: Project) -> None:
    text = 'target "default" {\n platforms = ["local"]\n target = ""\n tags = ["", "x"]\n'
    text += ' dockerfile = ""\n args = { A = "" }\n}\n'
    imported(project, text)
    written = (project.folder / "buildx.toml").read_text()
    assert "platforms" not in written
    assert 'A = ""' in written
    project.ok("plan")
    imported(project, 'target "default" { platforms = ["local", "linux/arm64", "arm64"] }')
    assert project.ok("plan").count("linux/arm64") <= 2


def test_a_broken_target_leaves_the_others(project: Project) -> None:
    text = 'target "a" { target = "a" }\ntarget "b" { secret = ["id=x,src=/nowhere/x"] }\n'
    message = said(project, text)
    assert 'target "b"' in message
    assert "-t a" in message
    imported(project, text, "-t", "a")
    assert "a@" in project.ok("plan")
    result = project.invoke("import", "--from", HCL, "-t", "aa", "--to", "-")
    assert (result.returncode, 'did you mean "a"' in result.stderr) == (2, True)


def test_what_a_buildx_toml_cannot_say_is_not_written(project: Project) -> None:
    text = 'target "a" { contexts = { x = "https://user:pass@h/x.git" } }\ntarget "b" {}\n'
    assert "holds a log-in" in said(project, text)
    imported(project, text, "-t", "b")


@pytest.mark.parametrize("file", [HCL, "compose.yaml"])
def test_values_of_the_environment_are_not_written(project: Project, file: str) -> None:
    text = 'variable "TOKEN" { default = "" }\ntarget "default" { args = { T = TOKEN } }\n'
    if file != HCL:
        text = "services:\n  a:\n    build:\n      context: .\n      args:\n"
        text += "        T: ${TOKEN}\n        U: ${OTHER}\n        TOKEN:\n"
        project.write("OTHER=from-dot-env\n", ".env")
    notes = imported(project, text, file=file, TOKEN="npm_hunter2")  # noqa: S106
    written = (project.folder / "buildx.toml").read_text()
    assert "hunter2" not in written + notes
    assert "from-dot-env" not in written
    assert "TOKEN" in notes or 'T = "${TOKEN}"' in written


def test_names_that_only_look_like_ours_are_a_persons_own(project: Project) -> None:
    names = ("HTTP_PROXY", "https_proxy", "DOCKER_PASSWORD", "BUILDX_TOKEN", "SSH_KEY", "USER")
    text = "".join(f'variable "{one}" {{ default = "" }}\n' for one in names)
    args = ", ".join(f"{one} = {one}" for one in names)
    text += f'target "default" {{ args = {{ {args} }} }}\n'
    imported(project, text, **dict.fromkeys(names, "http://me:hunter2@proxy.invalid"))
    written = (project.folder / "buildx.toml").read_text()
    assert "hunter2" not in written
    assert [one for one in names if f'{one} = "${{{one}}}"' not in written] == []
    text = 'variable "HOME" {}\ntarget "default" { args = { H = HOME } }\n'
    assert "HOME is written as what it is on this machine" in imported(project, text)


def test_what_bake_drops_is_named(project: Project) -> None:
    text = 'target "default" { # platfroms = 1\n  platfroms = ["linux/arm64"]\n'
    text += '  args = { contxt = "{ dockerfil = 1" }\n  /* tgas = 1 */\n  tags = ["x"]\n}\n'
    notes = imported(project, text).splitlines()
    assert [line for line in notes if "bake knows no" in line] == [
        'note: docker-bake.hcl:2: target "default": bake knows no "platfroms", left out; '
        'did you mean "platforms"?'
    ]
    json = '{"target": {"default": {"tag": ["x"], "tags": ["y"]}}}'
    assert 'bake knows no "tag"' in imported(project, json, file="docker-bake.json")


def test_the_override_beside_it_is_read_too(project: Project) -> None:
    project.write('TAG = "v2"\n', "docker-bake.override.hcl")
    text = 'variable "TAG" { default = "dev" }\ntarget "default" { tags = ["r/app:${TAG}"] }\n'
    assert "docker-bake.override.hcl was read too" in imported(project, text)
    assert "r/app:v2" in project.ok("plan")


def test_a_byte_order_mark_is_accepted(project: Project) -> None:
    text = '{"target": {"default": {"tags": ["y"]}}}'
    mark = codecs.BOM_UTF8.decode()
    imported(project, mark + text, file="docker-bake.json")
    imported(project, mark + 'target "default" { tags = ["y"] }')


def test_a_panic_is_shown_by_its_own_line(project: Project) -> None:
    text = (
        'variable "F" { type = string }\ntarget "default" { args = { f = F == null ? "h" : F } }\n'
    )
    message = said(project, text)
    assert "main.go" not in message


BAKE = """
variable "REG" { default = "ghcr.io/me" }
variable "TAG" { default = "dev" }
variable "FULL" { default = "${REG}/app" }
variable "DEBUG" { default = false }
variable "PLATFORMS" { default = "linux/amd64,linux/arm64" }
variable "EXTRA" { default = "" }
variable "NUL" { default = null }
variable "TOKEN" { default = "" }
group "default" { targets = ["app", "tool"] }
target "app" {
  tags = concat(["${FULL}:${TAG}"], notequal(EXTRA, "") ? ["${FULL}:${EXTRA}"] : [])
  platforms = split(",", PLATFORMS)
  args = { D = "x${DEBUG}", N = NUL, T = TOKEN }
  no-cache = DEBUG
}
target "tool" { tags = ["${REG}/tool:${TAG}"] }
"""


def test_variables_stay_where_both_then_print_the_same(project: Project) -> None:
    notes = imported(project, BAKE, TOKEN="hunter2")  # noqa: S106
    assert "EXTRA is worked out" in notes
    written = (project.folder / "buildx.toml").read_text()
    assert "hunter2" not in written
    for values in (
        {},
        {"REG": "x.io", "TAG": "v1", "NUL": "n"},
        {"FULL": "a/b", "DEBUG": "true", "PLATFORMS": "linux/s390x", "TOKEN": "t"},
    ):
        theirs = bake_prints(project.folder / HCL, **values)
        assert json.loads(project.ok("plan", "--format", "bake", env=values)) == theirs


def bake_prints(file: Path, **values: str) -> Any:
    return json.loads(
        docker("buildx", "bake", "--file", str(file), "--print", check=True, **values)
    )


def test_compose_keeps_its_variables_and_is_read_with_its_override(project: Project) -> None:
    project.write("SEC=hunter2\n", ".env")
    override = "services:\n  web:\n    build:\n      labels: {x: y}\n"
    project.write(override, "compose.override.yaml")
    text = (
        "services:\n  web:\n    image: ${REG:-me}/web:${V:-1}\n    platform: linux/arm64\n"
        "    build:\n      context: .\n      args:\n        - TOKEN\n        - S=$SEC\n"
        '      dockerfile_inline: "FROM scratch\\r\\nLABEL a=b\\r\\n"\n'
    )
    notes = imported(project, text, file="compose.yaml", TOKEN="hunter3")  # noqa: S106
    assert 'compose.yaml:4: bake leaves out "platform: linux/arm64" of "web"' in notes
    assert "compose.override.yaml was read too" in notes
    written = (project.folder / "buildx.toml").read_text()
    assert "hunter" not in written + notes
    assert 'file = ".env"' in written
    env = {"V": "2", "TOKEN": "t"}
    target = json.loads(project.ok("plan", "--format", "bake", env=env))["target"]["web"]
    assert target["tags"] == ["me/web:2"]
    assert target["args"] == {"S": "hunter2", "TOKEN": "t"}
    assert target["dockerfile-inline"] == "FROM scratch\r\nLABEL a=b\r\n"
    assert target["labels"] == {"x": "y"}


def test_several_files_what_is_beside_them_and_what_changes_are_named(project: Project) -> None:
    project.write('target "b" { tags = ["b"] }', "more.hcl")
    project.write("services:\n  c:\n    build: .\n", "compose.yaml")
    text = 'target "a" { labels = { t = timestamp(), u = uuidv4() } }  # timestamp()\n'
    notes = imported(project, text, "--from", "more.hcl")
    assert "[target.b]" in (project.folder / "buildx.toml").read_text()
    assert "compose.yaml was not read, and docker buildx bake alone reads it" in notes
    assert notes.count("timestamp() is written") == 1
    assert "docker-bake.hcl:1: uuidv4() is written" in notes
    result = project.invoke("import", "--from", "https://github.com/a/b.git")
    assert (result.returncode, "is a remote address" in result.stderr) == (2, True)


def test_archives_that_are_exported_stay(project: Project) -> None:
    text = """
    variable "V" { default = "v1" }
    variable "DIR" { default = "dist/oci" }
    target "default" { output = [
      "type=oci,dest=./dist/oci/${V}.tar", "type=tar,dest=${DIR}/app.tar",
      format("type=oci,dest=%s/b.tar", DIR), { type = "docker", dest = "dist/${V}" },
      "type=tar,dest=link.tar", "type=local,dest=dist/files"
    ] }
    """
    dist = project.folder / "dist/oci"
    dist.mkdir(parents=True)
    names = ["dist/oci/v1.tar", "dist/oci/app.tar", "dist/oci/b.tar", "dist/v1", "real.tar"]
    for name in names:
        (project.folder / name).write_text(name)
    (project.folder / "link.tar").symlink_to("real.tar")
    imported(project, text)
    there = [path for path in project.folder.rglob("*.tar") if path.is_file()]
    assert len(there) == len(names)
    for name in names:
        assert (project.folder / name).read_text() == name
    told = (project.folder / "buildx.toml").read_text()
    assert "dest=./dist/oci/${V}.tar" in told
    assert "dest=${DIR}/app.tar" in told
    assert "buildx-tasks-dest" not in told


def test_what_is_wrong_with_a_file_that_exports_is_of_its_own_lines(project: Project) -> None:
    text = 'target "a" {\n  output = [{ type = "tar", dest = "a.tar" }] x\n}\n'
    assert f"{HCL}:2,47-" in said(project, text)
    text = 'target "a" {\n  output = ["type=tar,dest=${{ dest = "a" }.dest}.tar"]\n}\n'
    project.write("kept", "a.tar")
    assert "their dest is not told plainly" in said(project, text)
    assert (project.folder / "a.tar").read_text() == "kept"


def test_what_a_shell_says_of_a_secret_is_not_written(project: Project) -> None:
    args = "--build-arg A=$(TOKEN) --build-arg B=$(shell cat my-token) --build-arg C=$(KEPT)"
    makefile = f"""
TOKEN := $(shell echo $$GITHUB_TOKEN)
KEPT != cat my-token
image:
\tdocker build -t x.io/a {args} .
"""
    taskfile = """
version: '3'
vars:
  TOKEN: {sh: cat my-token}
  OTHER: {sh: echo $GITHUB_TOKEN}
tasks:
  image: docker build -t x.io/a --build-arg A={{.TOKEN}} --build-arg B={{.OTHER}} .
"""
    project.write("hunter2hunter2", "my-token")
    env = {"GITHUB_TOKEN": "hunter2-too"}
    for file, text in (("Makefile", makefile), ("Taskfile.yml", taskfile)):
        notes = imported(project, text, file=file, **env)
        told = (project.folder / "buildx.toml").read_text()
        assert "hunter2" not in notes + told
        assert 'A = "${TOKEN}"' in told
        assert "may be a secret: nothing of it is written" in notes
