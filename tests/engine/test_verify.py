from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from .conftest import docker, shell_image, wait_for

if TYPE_CHECKING:
    from conftest import Project

HELLO = 'echo "Hello, $PLATFORM!"'


def test_the_wrong_cells_are_named_with_expected_and_actual(
    project: Project, name: str, registry: str
) -> None:
    targets = {
        "good": shell_image(f"{name}-good", registry, HELLO, stdout="Hello, {platform}!"),
        "other": shell_image(f"{name}-other", registry, "echo Bye", stdout="Hello, {platform}!"),
        "hangs": shell_image(f"{name}-hangs", registry, "sleep 60", stdout="", timeout=2),
        "flood": shell_image(f"{name}-flood", registry, "yes", stdout="y"),
        "code": shell_image(f"{name}-code", registry, "echo no >&2; exit 3", exit_code=0),
    }
    project.write("".join(targets.values()))
    project.ok("build", "--progress", "quiet")
    result = project.invoke("verify", "--junit", "out/junit.xml")
    assert result.returncode == 1
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    for platform in ("linux/amd64", "linux/arm64"):
        assert " ok " in rows[f"{name}-good@{platform}"]
        expected = f'stdout: expected "Hello, {platform}!", got "Bye"'
        assert expected in rows[f"{name}-other@{platform}"]
        assert "still running after 2 s" in rows[f"{name}-hangs@{platform}"]
        assert "printed more than 1,000,000 bytes" in rows[f"{name}-flood@{platform}"]
        assert "exit code: expected 0, got 3 (no)" in rows[f"{name}-code@{platform}"]
    assert "error: 8 of 10 cells failed: " in result.stderr
    assert f"{name}-hangs@linux/arm64" in result.stderr
    suite = ET.parse(project.folder / "out" / "junit.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("10", "8")


def test_a_binary_of_the_wrong_architecture_is_caught(
    project: Project, name: str, registry: str
) -> None:
    project.write(
        'package main\nimport ("fmt"; "runtime")\n'
        'func main() { fmt.Printf("Hello, %s/%s!\\n", runtime.GOOS, runtime.GOARCH) }\n',
        "main.go",
    )
    project.write(
        f'''
[target.{name}]
dockerfile-inline = """
FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder
COPY main.go /src/
# The mistake: GOARCH is not TARGETARCH.
RUN cd /src && CGO_ENABLED=0 GOARCH=amd64 go build -o /hello main.go
FROM alpine:3.22
COPY --from=builder /hello /hello
CMD ["/hello"]
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
verify.run.stdout = "Hello, {{platform}}!"
'''
    )
    project.ok("build", "--progress", "quiet")
    result = project.invoke("verify")
    assert result.returncode == 1
    wrong = 'stdout: expected "Hello, linux/arm64!", got "Hello, linux/amd64!"'
    assert wrong in result.stdout
    assert f"error: 1 of 2 cells failed: {name}@linux/arm64" in result.stderr


def test_without_expectations_a_cell_is_unchecked_not_ok(
    project: Project, name: str, registry: str
) -> None:
    project.write(shell_image(name, registry, HELLO).replace(f"[target.{name}.verify.run]\n", ""))
    project.ok("build", "--progress", "quiet")
    assert project.ok("verify").count("unchecked") == 2


def test_what_is_not_built_is_said(project: Project, name: str, registry: str) -> None:
    project.write(shell_image(name, registry, HELLO, stdout="x"))
    for task in ("verify", "push", "run"):
        result = project.invoke(task)
        assert result.returncode == 1
        assert f"{name}:v1 is not built; run invoke build -t {name}" in result.stderr
    project.ok("build", "-p", "linux/amd64", "--progress", "quiet")
    result = project.invoke("verify", "-p", "linux/arm64")
    assert "has no linux/arm64; run invoke build" in result.stdout


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated; the containers are removed"),
    ],
)
def test_interrupted_it_leaves_no_container(
    project: Project, name: str, registry: str, number: signal.Signals, code: int, message: str
) -> None:
    project.write(shell_image(name, registry, "sleep 60", stdout=""))
    project.ok("build", "--progress", "quiet")
    running = ["ps", "--quiet", "--filter", "label=dev.buildx-tasks.session"]
    with subprocess.Popen(
        project.command("verify"), cwd=project.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: len(docker(*running).split()) == 2, "the cells do not run")
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.strip() == message
    assert docker("ps", "--all", *running[1:]) == ""
