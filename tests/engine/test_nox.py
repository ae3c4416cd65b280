"""nox in a foreign project: the noxfiles of docs/nox.md, and all ways of selecting."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import in_registry

if TYPE_CHECKING:
    from conftest import Project

PAGE = (Path(__file__).parents[2] / "docs" / "nox.md").read_text()
SHORT, _, LONG = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TOML = """
[target.my-app]
dockerfile-inline = "FROM alpine:3.22\\nCMD [\\"echo\\", \\"hello\\"]"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["REGISTRY/NAME:v1"]
verify.run = { stdout = "hello" }
[[target.my-app.verify.check]]
name = "fails"
only = ["linux/arm64"]
run = { args = ["false"] }
"""


def nox(project: Project, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nox", "--verbose", *args],
        cwd=project.folder,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def foreign(project: Project, registry: str, name: str) -> Project:
    (project.folder / "noxfile.py").write_text(SHORT)
    return project.write(TOML.replace("REGISTRY", registry).replace("NAME", name))


def test_nox_builds_verifies_and_pushes_and_tells_what_fails(
    foreign: Project, registry: str, name: str
) -> None:
    listed = nox(foreign, "--list").stdout
    assert re.findall(r"(?m)^([*-]) (\S+) \[", listed) == [
        ("*", "build"),
        ("*", "verify"),
        ("-", "push"),
        ("-", "verify(my-app@linux/amd64)"),
        ("-", "verify(my-app@linux/arm64)"),
    ]
    done = nox(foreign)
    assert done.returncode == 1
    assert re.findall(r"(?m)^nox > \* (\S+): (\w+)", done.stdout) == [
        ("build", "success"),
        ("verify", "failed"),
    ]
    assert "my-app@linux/arm64: FAIL" in done.stdout
    assert not (foreign.folder / ".nox").exists()  # no virtualenv

    one = nox(foreign, "-s", "verify(my-app@linux/amd64)")
    assert one.returncode == 0, one.stdout
    assert "invoke verify -t my-app -p linux/amd64\n" in one.stdout
    assert "1 of 1 ok" in one.stdout
    for flags in (["-k", "my_app and arm64"], ["-t", "linux/arm64"], ["-t", "linux_arm64"]):
        ran = re.findall(r"Running session (\S+)", nox(foreign, *flags).stdout)
        assert ran == ["verify(my-app@linux/arm64)"]

    pushed = nox(foreign, "-s", "push", "--", "--no-verify", "--tag", "v7")
    assert pushed.returncode == 0, pushed.stdout
    assert in_registry(f"{registry}/{name}:v7")
    assert in_registry(f"{registry}/{name}:v1") is None


def test_a_session_of_ones_own_makes_ready_and_calls_the_others(foreign: Project) -> None:
    (foreign.folder / "noxfile.py").write_text(LONG.replace('"setup"', '"plan"'))
    bin_folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", "images", "--", "-t", "nothing"],
        cwd=foreign.folder,
        env={
            **os.environ,
            "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert re.findall(r"(?m)^nox > \* (\S+): (\w+)", done.stderr) == [
        ("images", "success"),
        ("build", "failed"),
        ("verify", "failed"),
        ("push", "failed"),
    ]
    assert done.stderr.count("failed with exit code 2") == 3


def test_what_cannot_be_used_is_said_and_spares_the_other_sessions(project: Project) -> None:
    (project.folder / "noxfile.py").write_text(
        "import nox\n" + SHORT + "@nox.session(venv_backend='none')\ndef other(session): pass\n"
    )
    project.write("[target.app]\nplatform = []\n")
    assert nox(project, "-s", "other").returncode == 0
    done = nox(project, "-s", "build")
    assert done.returncode == 1
    assert 'buildx.toml:2:12: "platform" must be a table, not a list' in done.stdout
    assert "no sessions verify(target@platform): " in done.stdout
    (project.folder / "tasks.py").unlink()
    done = nox(project, "-s", "build")
    assert "write one with the line: from buildx_tasks import namespace" in done.stdout


def test_the_files_are_in_a_subfolder_and_the_tasks_in_a_collection(project: Project) -> None:
    images = project.folder / "images"
    images.mkdir()
    (project.folder / "noxfile.py").write_text(
        SHORT.replace("sessions()", 'sessions("images", collection="image")')
    )
    (project.folder / "tasks.py").unlink()
    (images / "tasks.py").write_text(
        "from invoke import Collection\nfrom buildx_tasks import namespace\n"
        "ns = Collection()\nns.add_collection(namespace, 'image')\n"
    )
    (images / "buildx.toml").write_text(TOML.replace("REGISTRY/NAME", "never-built"))
    done = nox(project, "-s", "verify(my-app@linux/amd64)")
    assert done.returncode == 1
    assert "never-built:v1 is not built; run invoke image.build -t my-app" in done.stdout
