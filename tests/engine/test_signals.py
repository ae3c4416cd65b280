"""Each task ends at SIGINT, SIGTERM and SIGHUP, whenever they come, with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from .conftest import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

pytestmark = pytest.mark.alone

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MOMENTS = (0.0, 0.4, 1.5)  # seconds after the task began
_SECONDS = 5.0

SLOW = """\
[target.app]
platforms = ["linux/amd64"]
tags = ["{registry}/{name}:v1"]
dockerfile-inline = "FROM alpine:3.22\\nRUN sleep 60\\nCMD sleep 60\\n"
[target.app.verify]
run = {{ timeout = 60 }}
"""


class Ended(NamedTuple):
    """A process after the signal: its code, the seconds it took, what it said, what it left."""

    number: signal.Signals
    code: int
    seconds: float
    said: str
    left: list[str]


def heeds_signals(process: subprocess.Popen[str]) -> bool:
    """Whether the task has begun: from then on it catches what would have killed it."""
    if process.poll() is not None:
        return True
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    caught = next(line for line in lines if line.startswith("SigCgt:")).split()[1]
    return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)


def in_session(number: int) -> list[str]:
    """What still runs of a session: of all that a task started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == number and fields[0] != "Z":
                found.append((path / "cmdline").read_text().replace("\0", " "))
    return found


def ended(folder: Path, args: list[str], env: dict[str, str]) -> list[Ended]:
    """Start a task nine times at once; each gets one of the signals at one of the moments."""
    wanted = [(number, moment) for moment in MOMENTS for number in SIGNALS]
    argv = [sys.executable, "-m", "invoke", *args]
    started = []
    for _ in wanted:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **env},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
    results = []
    begun: dict[int, float] = {}
    sent: dict[int, float] = {}
    seconds: dict[int, float] = {}
    deadline = time.monotonic() + 60
    while len(seconds) < len(wanted) and time.monotonic() < deadline:
        now = time.monotonic()
        for at, process in enumerate(started):
            number, moment = wanted[at]
            if at not in begun and heeds_signals(process):
                begun[at] = now
            if at in begun and at not in sent and now >= begun[at] + moment:
                process.send_signal(number)
                sent[at] = now
            if at in sent and at not in seconds and process.poll() is not None:
                seconds[at] = now - sent[at]
        time.sleep(0.02)
    for at, process in enumerate(started):
        left = in_session(process.pid)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        took = seconds.get(at, 999.0)
        results.append(Ended(wanted[at][0], process.returncode, took, said, left))
    return results


def check(results: list[Ended], task: str) -> None:
    for one in results:
        assert one.code == 128 + one.number, one
        assert one.left == [], one
        assert one.seconds < _SECONDS, one
        assert f"{task} was interrupted ({one.number.name})" in one.said, one
        assert "Traceback" not in one.said, one
        assert "the build failed" not in one.said, one


@contextmanager
def silent_server() -> Iterator[str]:
    """An address at which all connect, and nobody gets an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("task", ["setup", "plan", "lint", "doctor", "verify", "import", "push"])
def test_a_task_that_waits_for_the_engine_ends(project: Project, task: str) -> None:
    project.write(SLOW.format(registry="localhost:5000", name="never"))
    (project.folder / ".buildx").mkdir()
    built = '[{"event": "built", "at": "x", "target": "app", "tags": ["localhost:5000/never:v1"]}]'
    project.write(built, ".buildx/ledger.json")
    if task == "setup":
        text = (project.folder / "buildx.toml").read_text()
        project.write(f'[builder]\nname = "bt-never"\ndriver = "docker-container"\n{text}')
    if task == "plan":  # asks how the engine keeps several platforms
        text = (project.folder / "buildx.toml").read_text()
        project.write(text.replace('amd64"]', 'amd64", "linux/arm64"]'))
    with silent_server() as address:
        args = [task]
        if task == "import":
            project.write('target "app" { args = { A = "1" } }', "docker-bake.hcl")
            args += ["--from", "docker-bake.hcl", "--to", "-"]
        results = ended(project.folder, args, {"DOCKER_HOST": f"tcp://{address}"})
    if task in ("import", "log", "clean"):  # ask no engine, and are done before the later signals
        results = [one for one in results if one.seconds]
    assert results
    check(results, task)


def test_a_task_that_waits_for_a_registry_ends(project: Project) -> None:
    project.write(SLOW.format(registry="localhost:5000", name="never"))
    with silent_server() as address:
        args = ["inspect", "--ref", f"{address}/app:v1"]
        check(ended(project.folder, args, {}), "inspect")
        args = ["promote", "--from", f"{address}/app:v1", "--to", "v2"]
        check(ended(project.folder, args, {}), "promote")


def test_a_build_ends_and_nothing_after_it_runs(project: Project, registry: str, name: str) -> None:
    project.write(SLOW.format(registry=registry, name=name))
    args = ["build", "--no-cache", "--progress", "plain", "plan", "--format", "json"]
    results = ended(project.folder, args, {})
    check(results, "build")
    assert not any('"targets"' in one.said for one in results)


@pytest.mark.parametrize("task", ["run", "verify", "push"])
def test_containers_are_gone(project: Project, registry: str, name: str, task: str) -> None:
    project.write(SLOW.format(registry=registry, name=name).replace("RUN sleep 60\\n", ""))
    project.ok("build", "--progress", "quiet")
    check(ended(project.folder, [task], {}), task)
    ours = f"label=dev.buildx-tasks.project={project.folder}"
    assert docker("ps", "--all", "--quiet", "--filter", ours) == ""


def test_an_upload_ends(project: Project, name: str) -> None:
    with silent_server() as address:
        text = SLOW.format(registry=address.replace("127.0.0.1", "localhost"), name=name)
        project.write(text.replace("RUN sleep 60\\n", ""))
        project.ok("build", "--progress", "quiet")
        check(ended(project.folder, ["push", "--no-verify"], {}), "push")
