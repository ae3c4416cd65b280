from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from .conftest import docker, running, shell_image, wait_for

if TYPE_CHECKING:
    from conftest import Project


@pytest.fixture
def built(project: Project, name: str, registry: str) -> Project:
    project.write(shell_image(name, registry, 'echo "Hello, $PLATFORM!"'))
    project.ok("build", "--progress", "quiet")
    return project


def test_output_exit_code_and_arguments(built: Project) -> None:
    result = built.invoke("run", "-p", "linux/arm64")
    assert (result.returncode, result.stdout) == (0, "Hello, linux/arm64!\n")
    result = built.invoke("run", "-p", "linux/arm64", "--args", "sh -c 'uname -m; exit 7'")
    assert (result.returncode, result.stdout) == (7, "aarch64\n")
    assert "@linux/arm64 ended with exit code 7" in result.stderr


def test_several_cells_run_one_after_another(built: Project) -> None:
    result = built.invoke("run")
    assert result.stdout == "Hello, linux/amd64!\nHello, linux/arm64!\n"
    assert result.stderr.count("--- ") == 2


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_removes_even_a_container_that_ignores_it(
    built: Project, number: signal.Signals, code: int
) -> None:
    arguments = "sh -c \"trap '' INT TERM; while :; do sleep 1; done\""
    ours = f"label=dev.buildx-tasks.project={built.folder}"
    listed = ["ps", "--quiet", "--filter", ours]
    with running(
        built.command("run", "-p", "linux/arm64", "--args", arguments),
        cwd=built.folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: docker(*listed) != "", "the container does not run")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"run was interrupted ({number.name})" in said
    assert "Traceback" not in said
    assert docker("ps", "--all", *listed[1:]) == ""


def test_dry_prints_a_command_that_does_the_same(built: Project) -> None:
    command = built.ok("--dry", "run", "-p", "linux/arm64").strip()
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert ran.stdout == "Hello, linux/arm64!\n"
