"""``invoke init`` in a Go repo without anything of Docker: built, verified, and expected as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .conftest import docker

if TYPE_CHECKING:
    from conftest import Project

MAIN = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'


def test_a_go_repo_is_built_and_verified_from_nothing(project: Project, name: str) -> None:
    (project.folder / "go.mod").write_text("module hello\n\ngo 1.24\n")
    (project.folder / "cmd" / name).mkdir(parents=True)
    (project.folder / "cmd" / name / "main.go").write_text(MAIN)
    (project.folder / "tasks.py").write_text("from buildx_tasks import namespace\n")
    said = project.ok("init", "--dockerfile", "go", "--yes")
    assert said.endswith("wrote Dockerfile, .dockerignore, buildx.toml\n")
    flags = ("-s", f"REGISTRY={name}")
    done = project.invoke("build", *flags, "--progress", "quiet", "verify")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 ok" in done.stdout

    target = project.ok("plan").splitlines()[1].partition("@")[0]
    env = {"REGISTRY": name}
    shown = project.ok("init", "--expect", target, env=env)
    assert f'+config = {{ entrypoint = ["{name}"], nonroot = true }}' in shown.replace(
        'cmd = ["/bin/sh"], ', ""
    ).replace('working-dir = "/", ', "").replace(', working-dir = "/"', "")
    assert "+size = { compressed = " in shown
    project.ok("init", "--expect", target, "--yes", env=env)
    done = project.invoke("verify", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    done = project.invoke("init", "--expect", target, env=env)
    assert done.returncode == 2
    assert "says something already, which stays" in done.stderr
    assert docker("run", "--rm", f"{name}/{target}:dev") == "hello"
