from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from buildx_tasks.machine import made

from .conftest import docker, give_image, running, second_engine, shell_image, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

HELLO = 'echo "Hello, $PLATFORM!"'


def rows_of(stdout: str) -> dict[str, str]:
    """Each cell's row, with the problems below it."""
    rows: dict[str, str] = {}
    for line in stdout.splitlines()[1:]:
        cell = (
            line.split()[0] if line.strip() and not line.startswith(" ") else next(reversed(rows))
        )
        if line.startswith("---"):
            break
        rows[cell] = f"{rows.get(cell, '')}{line}\n"
    return rows


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
    rows = rows_of(result.stdout)
    for platform in ("linux/amd64", "linux/arm64"):
        assert " ok " in rows[f"{name}-good@{platform}"]
        expected = f'stdout: expected "Hello, {platform}!", got "Bye"'
        assert expected in rows[f"{name}-other@{platform}"]
        assert "still running after 2 s" in rows[f"{name}-hangs@{platform}"]
        assert "printed more than 1,000,000 bytes" in rows[f"{name}-flood@{platform}"]
        assert "exit code: expected 0, got 3 (no)" in rows[f"{name}-code@{platform}"]
    assert "error: 8 of 10 cells failed: " in result.stderr
    assert f"{name}-hangs@linux/arm64" in result.stderr
    suites = ET.parse(project.folder / "out" / "junit.xml").getroot()
    assert [suite.attrib["failures"] for suite in suites] == ["0", "2", "2", "2", "2"]


def test_a_binary_of_the_wrong_architecture_is_caught_by_looking_and_by_running(
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
verify.binaries = {{}}
'''
    )
    project.ok("build", "--progress", "quiet")
    result = project.invoke("verify")
    assert result.returncode == 1
    wrong = 'stdout: expected "Hello, linux/arm64!", got "Hello, linux/amd64!"'
    assert wrong in result.stdout
    assert "binaries: /hello is for linux/amd64" in result.stdout
    assert f"error: 1 of 2 cells failed: {name}@linux/arm64" in result.stderr


def test_without_expectations_a_cell_is_unchecked_not_ok(
    project: Project, name: str, registry: str
) -> None:
    project.write(shell_image(name, registry, HELLO).replace(f"[target.{name}.verify.run]\n", ""))
    project.ok("build", "--progress", "quiet")
    printed = project.ok("verify").splitlines()
    assert sum(" unchecked " in line for line in printed[1:-1]) == 2
    assert printed[-1] == "0 of 2 ok, 2 unchecked"


def test_what_is_not_built_is_said(project: Project, name: str, registry: str) -> None:
    project.write(shell_image(name, registry, HELLO, stdout="x"))
    for task in ("verify", "push", "run"):
        result = project.invoke(task)
        assert result.returncode == 1
        assert f"{name}:v1 is not built; run invoke build -t {name}" in result.stderr
    project.ok("build", "-p", "linux/amd64", "--progress", "quiet")
    result = project.invoke("verify", "-p", "linux/arm64")
    assert f"of {name} there is linux/amd64 only; run invoke build" in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_leaves_no_container(
    project: Project, name: str, registry: str, number: signal.Signals, code: int
) -> None:
    project.write(shell_image(name, registry, "sleep 60", stdout=""))
    project.ok("build", "--progress", "quiet")
    with running(
        project.command("verify"), cwd=project.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for(lambda: len(ours(project)) == 2, "the cells do not run")
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert said.splitlines()[-1] == f"verify was interrupted ({number.name})"
    assert ours(project) == []


def counted(project: Project, *flags: str) -> tuple[int, int]:
    """Verify; say how many cells were looked at now, and how many were known."""
    shown = project.invoke("verify", *flags).stdout.splitlines()[1:]
    rows = [line.split() for line in shown if "@linux/" in line and not line.startswith("---")]
    known = sum("known" in row for row in rows)
    return len(rows) - known, known


def test_what_did_not_change_is_not_run_again(project: Project, name: str, registry: str) -> None:
    text = shell_image(name, registry, "cat /data/it", stdout="1")
    text += 'mounts = [{ source = "data", target = "/data" }]\n'
    project.write(text)
    (project.folder / "data").mkdir()
    project.write("1", "data/it")
    project.ok("build", "--progress", "quiet")
    assert counted(project) == (2, 0)
    assert counted(project) == (0, 2)
    project.write(text + "timeout = 30\n")
    assert counted(project, "-p", "linux/amd64") == (1, 0)
    assert counted(project) == (1, 1)
    assert counted(project, "--force") == (2, 0)
    # A mounted file is part of what is expected.
    project.write("2", "data/it")
    result = project.invoke("verify")
    assert 'stdout: expected "1", got "2"' in result.stdout
    assert counted(project) == (2, 0), "a failed cell is never known"
    project.write("1", "data/it")
    project.write(text.replace("CMD", "LABEL new=1\nCMD"))
    project.ok("build", "--progress", "quiet")
    assert counted(project) == (2, 0), "a new image has new digests"


def test_last_failed_fail_fast_and_named_checks(project: Project, name: str, registry: str) -> None:
    project.write(
        shell_image(name, registry, "echo $PLATFORM; exit $${CODE:-0}", stdout="{platform}")
        + f"""
[[target.{name}.verify.check]]
name = "ends with 3"
only = ["linux/arm64"]
run = {{ env = {{ CODE = "3" }}, exit-code = 4 }}
[[target.{name}.verify.check]]
name = "known"
xfail = {{ "linux/amd64" = "issue 12" }}
skip = {{ "linux/arm64" = "no time" }}
run = {{ stdout = "else" }}
"""
    )
    project.ok("build", "--progress", "quiet")
    assert project.ok("verify", "--last-failed").startswith("no selected cell failed")
    result = project.invoke("verify")
    rows = rows_of(result.stdout)
    assert "known: fails, as is known (issue 12)" in rows[f"{name}@linux/amd64"]
    assert "ends with 3: exit code: expected 4, got 3" in rows[f"{name}@linux/arm64"]
    assert f"{name}@linux/arm64 ends with 3, stdout\n| linux/arm64\n" in result.stdout
    assert f"{name}@linux/amd64: ok (" in result.stderr
    assert counted(project, "--last-failed") == (1, 0)
    hurried = project.invoke("verify", "--force", "--fail-fast", "--jobs", "1")
    assert "another failed first (--fail-fast)" in hurried.stdout
    assert "error: 1 of 2 cells failed" in hurried.stderr


def sleeping(project: Project, name: str, registry: str, **env: str) -> subprocess.Popen[str]:
    """Start to verify an image that sleeps; its containers run, and one is a service."""
    project.write(
        shell_image(name, registry, "sleep 4; echo awake", stdout="awake")
        + f"[[target.{name}.verify.check]]\nname = 'serves'\n"
        "service = { port = 80, ready-within = 6 }\n"
    )
    project.invoke("build", "--progress", "quiet", env=env)
    process = subprocess.Popen(
        project.command("verify"),
        cwd=project.folder,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: len(ours(project, env.get("DOCKER_HOST", ""))) >= 2, "the cells do not run")
    return process


def ours(project: Project, host: str = "") -> list[str]:
    of = ["--filter", f"label=dev.buildx-tasks.project={project.folder}", "--quiet"]
    listed = (
        docker("ps", "--all", *of, DOCKER_HOST=host),
        docker("network", "ls", *of, DOCKER_HOST=host),
    )
    return "\n".join(listed).split()


@pytest.mark.alone
def test_killed_it_leaves_what_the_next_run_removes(
    project: Project, name: str, registry: str
) -> None:
    with sleeping(project, name, registry) as process:
        process.kill()
    assert len(ours(project)) >= 2
    project.write(shell_image(name, registry, "sleep 4; echo awake", stdout="awake"))
    project.ok("verify", "-p", "linux/amd64")
    assert ours(project) == []
    assert made.of_project(project.folder) == []


def test_an_engine_that_restarts_costs_time_and_no_result(
    project: Project, name: str, registry: str, tmp_path: Path
) -> None:
    with second_engine(tmp_path / "dockerd.log", containerd=True) as engine:
        give_image(engine, "alpine:3.22")
        env = {"DOCKER_HOST": engine.host}
        with sleeping(project, name, registry, **env) as process:
            engine.kill()
            engine.start()
            stdout, stderr = process.communicate(timeout=120)
        rows = rows_of(stdout)
        # The runs are made again; the services serve nothing, which is their own fault.
        assert "stdout" not in rows[f"{name}@linux/amd64"], stdout + stderr
        assert "serves: " in rows[f"{name}@linux/amd64"], stdout + stderr
        assert ours(project, engine.host) == []


def test_a_full_disk_costs_the_report_and_nothing_else(
    project: Project, name: str, registry: str
) -> None:
    project.write(shell_image(name, registry, HELLO, stdout="Hello, {platform}!"))
    project.ok("build", "--progress", "quiet")
    folder = project.folder / "reports"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], check=True)
    try:
        paths = [f"--{kind}=reports/{kind}" for kind in ("html", "json", "junit")]
        project.write("x" * 4096, "reports/filler")
        result = project.invoke("verify", *paths)
        assert result.returncode == 1
        assert "reports/html cannot be written: No space left on device" in result.stderr
        assert [path.name for path in folder.iterdir()] == ["filler"]
        (folder / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
        assert counted(project, *paths) == (0, 2), "the result itself is not lost"
        assert {path.name for path in folder.iterdir()} == {"html", "json", "junit"}
    finally:
        subprocess.run(["umount", str(folder)], check=True)
