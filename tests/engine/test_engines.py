"""Engines that cannot do the job: each is a named error that says how to go on."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import cannot_run, docker

if TYPE_CHECKING:
    from conftest import Project

# Needs no base image: the second engine has none.
TOML = '''
[target.app]
dockerfile-inline = """
FROM scratch
COPY app.sh /
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/app:v1"]
'''


@pytest.mark.parametrize("task", ["setup", "build", "run", "verify", "push"])
def test_no_engine(project: Project, task: str) -> None:
    project.write(TOML.format(registry="localhost:1")).write("", "app.sh")
    gone = {"DOCKER_HOST": f"unix://{project.folder}/nothing.sock"}
    result = project.invoke(task, env=gone)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("error: no Docker Engine answers (No such file or directory)")
    assert "point DOCKER_HOST at one that runs" in last
    assert "Traceback" not in result.stderr


def test_doctor_without_engine(project: Project) -> None:
    project.write(TOML.format(registry="localhost:1"))
    result = project.invoke("doctor", env={"DOCKER_HOST": f"unix://{project.folder}/nothing.sock"})
    assert result.returncode == 1
    assert "no Docker Engine answers" in result.stdout
    assert "error: not ok: engine, registry localhost:1" in result.stderr


def test_no_buildx(project: Project) -> None:
    if os.geteuid() != 0:
        cannot_run("hiding the real plug-in needs root")
    project.write(TOML.format(registry="localhost:1")).write("", "app.sh")
    plugin = docker("info", "--format", '{{range .ClientInfo.Plugins}}{{.Path}}{{"\\n"}}{{end}}')
    folder = str(Path(next(line for line in plugin.splitlines() if "buildx" in line)).parent)
    # A mount namespace of its own, in which the folder of the plug-ins is empty.
    hide = f"mount -t tmpfs none {shlex.quote(folder)} && exec "
    for task, code in (("build", 1), ("setup", 1), ("doctor", 1)):
        command = hide + shlex.join(project.command(task))
        result = subprocess.run(
            ["unshare", "--mount", "sh", "-c", command],
            cwd=project.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == code
        assert "install the docker-buildx package" in result.stdout + result.stderr
        assert "Traceback" not in result.stderr


def test_the_classic_store_never_gives_a_wrong_result(
    project: Project, registry: str, classic_engine: str
) -> None:
    project.write(TOML.format(registry=registry)).write("", "app.sh")
    env = {"DOCKER_HOST": classic_engine}
    result = project.invoke("build", "--progress", "plain", env=env)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert "image store is the classic one" in last
    assert "containerd-snapshotter" in last
    assert "select one platform with -p" in last
    assert "classic" in project.invoke("doctor", env=env).stdout

    # One platform works, and is never pushed in place of two.
    project.ok("build", "-p", "linux/arm64", "--progress", "quiet", env=env)
    result = project.invoke("verify", "-p", "linux/amd64", env=env)
    assert "of app there is linux/arm64 only; run invoke build" in result.stderr
    result = project.invoke("push", env=env)
    assert result.returncode == 1
    assert "the last build of app was of linux/arm64 only" in result.stderr


def test_the_classic_store_pushes_an_image_of_one_platform(
    project: Project, registry: str, name: str, classic_engine: str
) -> None:
    text = (
        TOML.format(registry=registry).replace('"linux/amd64", ', "").replace("/app:", f"/{name}:")
    )
    project.write(text).write("", "app.sh")
    env = {"DOCKER_HOST": classic_engine}
    project.ok("build", "--progress", "quiet", env=env)
    printed = project.ok("push", "--verbose", env=env)
    digest = printed.split("@")[1].split()[0]
    assert f"  linux/arm64     {digest}" in printed
    raw = docker("buildx", "imagetools", "inspect", f"{registry}/{name}:v1")
    assert digest in raw


def test_a_builder_of_another_engine_is_named(
    project: Project, registry: str, name: str, classic_engine: str
) -> None:
    project.write(f'[builder]\nname = "{name}"\n' + TOML.format(registry=registry))
    project.write("", "app.sh").ok("setup")
    env = {"DOCKER_HOST": classic_engine}
    for task in ("build", "doctor"):
        result = project.invoke(task, env=env)
        assert result.returncode == 1
        assert f'builder "{name}" is the engine at unix://' in result.stdout + result.stderr
    assert f'change builder "{name}": it uses the engine of' in project.ok("setup", env=env)
