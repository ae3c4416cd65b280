"""The public API: its page's script, and the tasks called from a person's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from buildx_tasks import Project as LoadedProject
from buildx_tasks.errors import UsageError

if TYPE_CHECKING:
    from conftest import Project

ROOT = Path(__file__).parents[2]
TOML = """
[variable.VERSION]
default = "v0"
[target.app]
dockerfile-inline = "FROM alpine:3.22\\nCMD [\\"echo\\", \\"hello\\"]"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/api:$${{VERSION}}"]
[target.app.verify]
run = {{ stdout = "hello" }}
"""


def declared(registry: str) -> str:
    return TOML.format(registry=registry).replace("$${", "${")


def test_the_script_of_the_page_builds_verifies_and_pushes(project: Project, registry: str) -> None:
    project.write(declared(registry))
    page = (ROOT / "docs" / "api.md").read_text()
    script = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=project.folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, published, manifest = done.stdout.splitlines()
    assert first == f"app {published.partition(' ')[2]}"
    assert published.startswith(f"{registry}/api:v1.2 sha256:")
    assert re.fullmatch("sha256:[0-9a-f]{64}", manifest)
    assert done.stdout.count("\n") == 3  # nothing but what the script prints


def test_a_failed_cell_is_in_the_report_and_no_exception(project: Project, registry: str) -> None:
    project.write(declared(registry).replace('stdout = "hello"', 'stdout = "good bye"'))
    with LoadedProject.load(project.folder) as loaded:
        selection = loaded.select("app", platforms=["linux/amd64"])
        assert list(selection.plan.bake_file["target"]) == ["app"]
        (built,) = selection.build(progress="quiet")
        assert loaded.images["app"].digest == built.digest
        with pytest.raises(UsageError, match="lacks linux/arm64"):
            loaded.images["app"].manifest("linux/arm64")
        report = selection.verify()
        assert [cell.id for cell in report.failed] == ["app@linux/amd64"]
        assert list(loaded.images) == ["app"]


def test_tasks_are_called_from_a_persons_own_and_stand_in_pre(
    project: Project, registry: str
) -> None:
    project.write(declared(registry))
    (project.folder / "tasks.py").write_text(
        "from invoke import Collection, call, task\n"
        "from buildx_tasks import build, namespace, verify\n"
        "\n"
        "@task(pre=[call(build, target=['app'], progress='quiet')])\n"
        "def release(c):\n"
        "    verify(c, target='app')\n"
        "    print('released')\n"
        "\n"
        "ns = Collection(release)\n"
        "ns.add_collection(namespace, 'image')\n"
    )
    assert project.ok("release").splitlines()[-1] == "released"
    assert "app@linux/arm64  ok" in project.ok("image.verify")
