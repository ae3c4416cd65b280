"""What an image says of itself in labels makes nothing ours: not its containers, files or images."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from support import workspaces

from buildx_tasks.engine.trial import runs_in_container
from buildx_tasks.verification import containers

from .conftest import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project
    from docker import DockerClient

# A session that makes a container of its own, and is killed.
KILLED = """
import os, signal, sys
from pathlib import Path
from engine.check_image import subject

with subject(sys.argv[1], Path(sys.argv[2])) as made, made.created(["sleep", "99"]):
    print(made.session.id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "buildx-tasks" / "sessions"


class Stranger:
    """An image with all labels that we ever set, and containers that its maker started."""

    def __init__(self, root: Path) -> None:
        self.tag = f"bt-stranger-{uuid4().hex[:8]}"
        self.precious = root / "precious.txt"
        self.precious.write_text("precious")
        self.root = root
        self._made: list[str] = []

    def build(self, session: str = "attacker") -> None:
        labels = {
            "session": session,
            "project": self.root,
            "cell": "app@linux/amd64",
            "lock": self.precious,
            "host": socket.gethostname(),
            "process": 1,
        }
        lines = [f'LABEL dev.buildx-tasks.{key}="{value}"' for key, value in labels.items()]
        text = "\n".join(["FROM alpine:3.22", *lines, 'LABEL buildx-tasks-probe=""'])
        argv = ["docker", "build", "--quiet", "--tag", self.tag, "-"]
        subprocess.run(argv, input=text.encode(), check=True, capture_output=True)

    def start(self, name: str) -> str:
        argv = ("--name", name, self.tag, "sleep", "99")
        self._made.append(docker("run", "--detach", *argv))
        return self._made[-1]

    def is_whole(self) -> bool:
        """Whether all of it is still there."""
        running = docker("ps", "--quiet", "--no-trunc").split()
        image = docker("image", "ls", "--quiet", self.tag)
        return set(self._made) <= set(running) and bool(image) and self.precious.exists()

    def remove(self) -> None:
        if self._made:
            docker("rm", "--force", "--volumes", *self._made)
        docker("image", "rm", "--force", self.tag)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    made = Stranger(tmp_path)
    made.build()
    yield made
    made.remove()


def test_nothing_of_a_stranger_is_removed(
    stranger: Stranger, tmp_path: Path, engine: DockerClient
) -> None:
    swept = workspaces.bare(tmp_path, engine).engine
    stranger.start(f"bt-stranger-{uuid4().hex[:8]}")
    stranger.start(f"{containers.KEPT}app-linux-amd64-{uuid4().hex[:8]}")
    containers.sweep(swept)
    assert containers.kept(swept, tmp_path) == []
    assert containers.remove_kept(swept, tmp_path) == []
    assert runs_in_container(swept, swept.platform) == ""
    assert stranger.is_whole()


def test_the_id_of_a_killed_session_makes_nothing_ours(
    stranger: Stranger, tmp_path: Path, engine: DockerClient, state: Path
) -> None:
    """Even one who got to know it can only name it: the record has the ids."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, stranger.tag, str(tmp_path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (record,) = state.iterdir()
    assert killed.stdout.strip() == record.name
    assert record.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    left = docker(
        "ps", "--all", "--quiet", "--filter", f"label=dev.buildx-tasks.session={record.name}"
    )
    assert len(left.split()) == 1
    stranger.build(record.name)
    stranger.start(f"bt-stranger-{uuid4().hex[:8]}")
    containers.sweep(workspaces.bare(tmp_path, engine).engine)
    assert stranger.is_whole()
    assert left not in docker("ps", "--all", "--quiet").split()
    assert list(state.iterdir()) == []


def test_a_record_of_another_engine_or_time_is_no_reason_to_remove(
    stranger: Stranger, tmp_path: Path, engine: DockerClient, state: Path
) -> None:
    """An id counts on the engine that gave it, and for what was made after the session began."""
    swept = workspaces.bare(tmp_path, engine).engine
    session = uuid4().hex
    stranger.build(session)
    id_ = stranger.start(f"bt-stranger-{uuid4().hex[:8]}")
    state.mkdir(parents=True)
    for path in (state, state.parent):
        path.chmod(0o700)
    record = state / session
    for origin in (("another", 0.0), (swept.origin.engine, swept.origin.began + 3600)):
        lines = (
            {"origin": {"project": str(tmp_path), "host": socket.gethostname()}},
            {"engine": origin},
            {"made": {"kind": "container", "name": "any", "id": id_}},
        )
        record.write_text("".join(json.dumps(line) + "\n" for line in lines))
        containers.sweep(swept)
        assert stranger.is_whole()


def test_our_labels_count_over_those_of_the_image(
    stranger: Stranger, project: Project, engine: DockerClient
) -> None:
    text = f"""
[target.app]
dockerfile-inline = "FROM {stranger.tag}"
platforms = ["linux/amd64"]
tags = ["{stranger.tag}-app:v1"]
attest = ["type=provenance,disabled=true"]
verify.run = {{ args = ["false"] }}
"""
    project.write(text)
    project.ok("build", "--progress", "quiet")
    assert project.invoke("verify", "--keep").returncode == 1
    (name,) = docker(
        *("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={containers.KEPT}app"),
        *("--filter", f"label=dev.buildx-tasks.project={project.folder}"),
    ).split()
    labels = engine.api.inspect_container(name)["Config"]["Labels"]
    assert labels["dev.buildx-tasks.session"] != "attacker"
    assert labels["dev.buildx-tasks.project"] == str(project.folder)
    docker("commit", name, name)
    project.ok("clean")
    assert docker("ps", "--all", "--quiet", "--filter", f"name={name}") == ""
    assert docker("image", "ls", "--quiet", name) == ""
    assert stranger.is_whole()


def test_run_gives_its_container_labels_of_its_own(
    stranger: Stranger, project: Project, engine: DockerClient
) -> None:
    project.write(f"""
[target.app]
dockerfile-inline = "FROM {stranger.tag}"
platforms = ["linux/amd64"]
tags = ["{stranger.tag}-app:v1"]
""")
    project.ok("build", "--progress", "quiet")
    since = time.time()
    project.ok("run", "--", "true")
    wanted = {
        "event": ["create"],
        "label": [f"dev.buildx-tasks.project={project.folder}"],
        "type": ["container"],
    }
    events = engine.events(since=since, until=time.time() + 1, decode=True, filters=wanted)
    (attributes,) = [event["Actor"]["Attributes"] for event in events]
    assert attributes["dev.buildx-tasks.session"] == attributes["name"]
    assert attributes["dev.buildx-tasks.cell"] == "app@linux/amd64"
    project.ok("clean")
