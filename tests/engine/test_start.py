"""What a short task loads: imports are most of its time."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
CMD ["echo", "hi"]
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
verify.index = {{}}
'''
HEAVY = {
    "docker",
    "requests",
    "urllib3",
    "rich.progress",
    "elftools",
    "paramiko",
    "dockerfile_parse",
}
SCRIPT = """
import sys
from invoke import program
program.Program().run(["invoke", *sys.argv[2:]], exit=False)
open(sys.argv[1], "w").write(" ".join(sys.modules))
"""
NEEDED: dict[str, set[str]] = {
    "plan": {"dockerfile_parse"},  # what is built each time is in Dockerfiles
    "verify": set(),
    "log": set(),
    "inspect": set(),
    "push": {"requests", "urllib3"},  # a registry is spoken to
    "build": {"dockerfile_parse"},
}


def loaded(project: Project, *args: str) -> set[str]:
    seen = project.folder / "modules"
    argv = [sys.executable, "-c", SCRIPT, str(seen), *args]
    done = subprocess.run(argv, cwd=project.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(seen.read_text().split()) & HEAVY


def test_short_tasks_load_neither_docker_s_library_nor_requests(
    project: Project, registry: str, name: str
) -> None:
    project.write(TOML.format(registry=registry, name=name))
    for task in ("build", "verify", "push"):
        project.ok(task)
    assert {task: loaded(project, task) for task in NEEDED} == NEEDED
