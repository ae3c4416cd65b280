"""Output that cannot be written: no traceback, the work is done, and the exit code is right."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from .conftest import cannot_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

TEXT = """\
[target.app]
platforms = ["linux/amd64"]
tags = ["{registry}/{name}:v1"]
dockerfile-inline = \"""
FROM alpine:3.22
LABEL word="Grüße"
RUN echo Grüße > /x
CMD ["echo", "Grüße"]
\"""
[target.app.verify]
run = {{ stdout = "{out}" }}
"""


@pytest.fixture
def built(project: Project, registry: str, name: str) -> Project:
    project.write(TEXT.format(registry=registry, name=name, out="Grüße"))
    project.ok("build", "--progress", "quiet")
    return project


def into(
    project: Project, stdout: int | IO[Any], *args: str, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        project.command(*args),
        cwd=project.folder,
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
        timeout=120,
    )


@contextlib.contextmanager
def closed_pipe() -> Iterator[int]:
    """A pipe that nobody reads any more: ``| head`` that has seen enough."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        yield writing
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    "args",
    [
        ["inspect"],
        ["run"],
        ["verify", "--force", "--json", "v.json"],
        ["plan", "--format", "bake"],
        ["log"],
        ["push"],
    ],
)
def test_characters_that_the_output_does_not_have(built: Project, args: list[str]) -> None:
    result = built.invoke(*args, env={"PYTHONIOENCODING": "ascii"})
    assert (result.returncode, "Traceback" in result.stderr) == (0, False), result.stderr
    if args[0] == "run":
        assert result.stdout == "Grüße\n"  # the program's own bytes
    if args[0] == "plan":
        assert "Grüße" in json.loads(result.stdout)["target"]["app"]["dockerfile-inline"]
    if args[0] == "verify":
        assert json.loads((built.folder / "v.json").read_text())["results"]


@pytest.mark.parametrize("task", ["plan", "inspect", "log", "run", "build", "push", "lint"])
def test_nobody_reads_on(built: Project, task: str) -> None:
    with closed_pipe() as pipe:
        result = into(built, pipe, task)
        assert (result.returncode, "rror:" in result.stderr) == (0, False), result.stderr
        assert into(built, pipe, task, stderr=subprocess.STDOUT).returncode == 0


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 1", 1),
        ("echo; exit 1", 1),
        ("echo; exit 3", 3),
        ("echo; sleep 0.5; echo; exit 0", 0),
        ("while :; do echo; sleep 0.1; done", 0),  # ended, as who has seen enough wants it
    ],
)
def test_a_program_that_nobody_reads_ends_with_its_own_code(
    built: Project, script: str, code: int
) -> None:
    with closed_pipe() as pipe:
        assert into(built, pipe, "run", "--", "sh", "-c", script).returncode == code
    argv = ["docker", "ps", "-q", "--filter", f"label=dev.buildx-tasks.project={built.folder}"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == ""


def test_nobody_reads_a_failed_verification(project: Project, registry: str, name: str) -> None:
    project.write(TEXT.format(registry=registry, name=name, out="no"))
    project.ok("build", "--progress", "quiet")
    for both in (subprocess.PIPE, subprocess.STDOUT):
        with closed_pipe() as pipe:
            result = into(project, pipe, "verify", "--json", "v.json", stderr=both)
        assert result.returncode == 1
        assert "Traceback" not in (result.stderr or "")
        assert json.loads((project.folder / "v.json").read_text())["results"]
        (project.folder / "v.json").unlink()
    events = [entry["event"] for entry in ledger(project)]
    assert "failed" in events


def ledger(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((project.folder / ".buildx/ledger.json").read_text())
    return found


def test_standard_output_on_a_full_disk(built: Project) -> None:
    with Path("/dev/full").open("w") as full:
        for args in (["plan"], ["push"], ["verify", "--junit", "x.xml"]):
            result = into(built, full, *args)
            assert result.returncode == 1, args
            said = "error: standard output cannot be written: No space left on device; make room"
            assert result.stderr.splitlines()[-1] == said
            assert "Traceback" not in result.stderr
    assert (built.folder / "x.xml").exists()
    assert ledger(built)[-1]["event"] in ("pushed", "verified")


def test_standard_output_is_closed(built: Project) -> None:
    argv = " ".join([*built.command("plan"), ">&-"])
    result = subprocess.run(
        argv, shell=True, cwd=built.folder, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A small disk of its own in place of the folder, with what is in it."""
    if os.geteuid() != 0:
        cannot_run("a disk of its own needs root")
    held = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        cannot_run("nothing can be mounted here")
    try:
        for name, data in held.items():
            (folder / name).write_bytes(data)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


TASKS = ["build", "verify", "push", "run", "lint", "plan", "log", "inspect", "clean", "setup"]


def test_a_full_disk_and_a_folder_that_is_only_read(built: Project) -> None:
    with mounted(built.folder, "256k"):
        with (
            (built.folder / "filler").open("wb", buffering=0) as filler,
            contextlib.suppress(OSError),
        ):
            while True:
                filler.write(b"0" * 4096)
        everything(built)
        (built.folder / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(built.folder)], check=True)
        everything(built)


def everything(project: Project) -> None:
    for task in TASKS:
        result = project.invoke(task)
        assert "Traceback" not in result.stderr, (task, result.stderr)
        if result.returncode:
            last = result.stderr.splitlines()[-1]
            assert result.returncode == 1, (task, result.stderr)
            assert "make room" in result.stderr or "allow it" in result.stderr, (task, last)
