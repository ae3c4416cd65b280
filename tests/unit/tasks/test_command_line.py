"""invoke as a process, on a PATH without docker: none of this may need an engine."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

GOOD = """
[target.app]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/app:v1"]
[target.files]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64"]
output = ["type=local,dest=out"]
"""


@pytest.fixture
def no_docker(tmp_path: Path) -> dict[str, str]:
    empty = tmp_path / "empty-path"
    empty.mkdir()
    return {"PATH": str(empty), "DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"}


@pytest.mark.parametrize(
    ("text", "args", "message"),
    [
        (None, ["build"], "buildx.toml: not found in"),
        ("[target.a\n", ["build"], "buildx.toml:1:10: not valid TOML:"),
        ("[target.a]\ntgas = []", ["verify"], 'unknown key "tgas" in [target.a]; did you mean'),
        ("[target.a]\n", ["push"], 'target "a" has no tags, so its image cannot be found'),
        (GOOD + "[group.g]\ntargets = ['g']", ["plan"], "groups contain each other: g → g"),
        ('[target.a]\nplatforms = ["linux"]', ["setup"], '"linux" is no platform'),
        (GOOD, ["build", "-t", "ap"], 'unknown target "ap"; did you mean "app"?'),
        (GOOD, ["run", "-t", "app", "-p", "linux/s390x"], '"app" does not declare linux/s390x'),
        (GOOD, ["run", "-t", "app", "--args", "'x"], "--args: No closing quotation"),
        (GOOD, ["run", "-t", "files"], "nothing selected leaves an image to run"),
        (GOOD, ["push", "-t", "files"], '"files" exports files and leaves no image'),
        (GOOD, ["build", "--progress", "fancy"], '--progress: unknown kind "fancy"'),
        (GOOD, ["plan", "--format", "jsn"], 'unknown kind "jsn"; did you mean "json"?'),
        ("[target.a]\ncontext = '.'", ["verify"], 'target "a" has no tags'),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    project: Project, no_docker: dict[str, str], text: str | None, args: list[str], message: str
) -> None:
    if text is not None:
        project.write(text)
    result = project.invoke(*args, env=no_docker)
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (project.folder / ".buildx").exists()


def test_plan_touches_no_engine(project: Project, no_docker: dict[str, str]) -> None:
    project.write(GOOD)
    table = project.ok("plan", env=no_docker)
    assert "app@linux/arm64" in table
    summary = json.loads(project.ok("plan", "--format", "json", env=no_docker))
    assert summary["cells"] == ["app@linux/amd64", "app@linux/arm64", "files@linux/amd64"]
    bake = json.loads(project.ok("plan", "-t", "app", "--format", "bake", env=no_docker))
    assert list(bake["target"]) == ["app"]


def test_dry_build_prints_what_can_be_pasted_and_writes_nothing(
    project: Project, no_docker: dict[str, str]
) -> None:
    project.write(GOOD)
    printed = project.ok("--dry", "build", "-t", "app", env=no_docker)
    assert "cat > .buildx/bake.json <<'EOF'\n{" in printed
    assert printed.splitlines()[-1].startswith(
        "docker buildx --builder default bake --file .buildx/bake.json"
    )
    assert not (project.folder / ".buildx").exists()


def test_values_reach_no_shell_unquoted(project: Project, no_docker: dict[str, str]) -> None:
    project.write(GOOD)
    printed = project.ok(
        "--dry", "run", "-t", "app", "-p", "amd64", "--args", "a '$(x); y'", env=no_docker
    )
    assert printed.strip().endswith("localhost:5000/app:v1 a '$(x); y'")


def test_no_docker_command_is_a_named_error(project: Project, no_docker: dict[str, str]) -> None:
    project.write(GOOD)
    result = project.invoke("build", "-t", "app", env={**no_docker, "PATH": no_docker["PATH"]})
    assert result.returncode == 1
    assert "error: the docker command is not on PATH" in result.stderr
    assert "Traceback" not in result.stderr


def test_listing_tasks_imports_nothing_heavy(project: Project) -> None:
    project.write(GOOD)
    code = (
        "import sys, buildx_tasks; buildx_tasks.namespace; "
        "print([m for m in ('docker', 'rich', 'msgspec', 'tomli', 'requests') if m in sys.modules])"
    )
    import subprocess

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
