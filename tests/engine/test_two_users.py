"""Two users and two projects on one machine, one hostile: nothing is read, removed or moved across."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from conftest import Project
from support import workspaces

from buildx_tasks.errors import EngineError
from buildx_tasks.machine.files import open_own, own_folder
from buildx_tasks.machine.locks import locked
from buildx_tasks.verification import containers

from .conftest import cannot_run, docker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

pytestmark = pytest.mark.alone

OTHER = 42_113  # a user id that nobody has
TOML = """
[target.app]
dockerfile-inline = "FROM alpine:3.22"
platforms = ["linux/amd64"]
tags = ["{tag}:v1"]
args = {{ VALUE = "private" }}
verify.run = {{ args = ["{command}"] }}
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which everybody may write, as /tmp is."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        cannot_run("who is not root cannot be another user: run the tests as root, with setpriv")
    folder = Path(tempfile.mkdtemp(prefix="bt-shared-"))
    folder.chmod(0o1777)
    yield folder
    shutil.rmtree(folder)


def other(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script as the other user."""
    user = ("--reuid", str(OTHER), "--regid", str(OTHER), "--clear-groups")
    argv = ["setpriv", *user, "sh", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")


def owned(folder: Path) -> Project:
    folder.mkdir(mode=0o755)
    return Project(folder)


def test_what_we_leave_is_for_its_owner_alone(
    shared: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(shared / "state"))
    (shared / "state").mkdir()
    project = owned(shared / "mine").write(TOML.format(tag=name, command="false"))
    old = project.folder / ".buildx"
    old.mkdir(mode=0o755)  # as it was made before
    project.ok("build", "--progress", "quiet")
    assert project.invoke("verify", "--keep").returncode == 1
    assert other(f"cat {project.folder}/buildx.toml").returncode == 0
    for place in (old, shared / "state" / "buildx-tasks"):
        assert place.stat().st_mode & 0o777 == 0o700
        files = [path for path in place.rglob("*") if path.is_file()]
        assert files
        for path in (place, *files):
            assert other(f"ls -l {path}/ || cat {path}").returncode != 0
            assert other(f"echo x >> {path}").returncode != 0
    assert "private" in (old / "bake.json").read_text()
    for path in (old / "bake.json", old / "ledger.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    project.ok("clean")


@pytest.mark.parametrize("command", ["build", "verify", "push", "clean", "log", "lint"])
def test_a_ledger_that_another_user_left_is_not_believed(
    shared: Path, name: str, command: str
) -> None:
    docker("tag", "alpine:3.22", f"{name}:precious")
    digest = docker("image", "inspect", "--format", "{{.Id}}", f"{name}:precious")
    project = owned(shared / "mine").write(TOML.format(tag=name, command="true"))
    folder = project.folder / ".buildx"
    project.folder.chmod(0o1777)
    entry = {"event": "built", "at": "2026-01-01", "target": "app", "digest": digest}
    ledger = json.dumps([{**entry, "tags": [f"{name}:precious"]}])
    made = other(f"mkdir {folder} && cat > {folder}/ledger.json <<'E'\n{ledger}\nE\n")
    assert made.returncode == 0, made.stderr
    result = project.invoke(command)
    assert result.returncode == 1, result.stdout
    assert f"{folder} belongs to another user (uid {OTHER}), and is not believed" in result.stderr
    assert docker("image", "ls", "--quiet", f"{name}:precious")
    docker("image", "rm", f"{name}:precious")


@pytest.mark.parametrize(
    "place", ["", "ledger.json", "ledger.lock", "build.lock", "bake.json", "again"]
)
def test_a_link_in_the_place_of_ours_is_not_followed(shared: Path, name: str, place: str) -> None:
    """As a repository can bring it along: git keeps links."""
    precious = shared / "precious"
    precious.mkdir()
    (precious / "ledger.json").write_text("[]")
    (precious / "file").write_text("precious")
    project = owned(shared / "mine").write(TOML.format(tag=name, command="true"))
    link = project.folder / ".buildx" / place
    if place:
        link.parent.mkdir()
    link.symlink_to(precious if place in ("", "again") else precious / "file")
    for command in ("build", "clean"):
        result = project.invoke(command)
        if command == "build" or place in ("", "ledger.json"):
            assert result.returncode == 1, result.stdout
            assert "is a symbolic link, which is not followed; remove it" in result.stderr
        assert "Traceback" not in result.stderr
        assert sorted(path.name for path in precious.iterdir()) == ["file", "ledger.json"]
        assert (precious / "file").read_text() == "precious"


def test_a_record_that_another_user_left_is_not_believed(
    shared: Path, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(shared))
    swept = workspaces.bare(shared, engine).engine
    session, label = uuid4().hex, "dev.buildx-tasks.session"
    id_ = docker("run", "--detach", "--label", f"{label}={session}", "alpine:3.22", "sleep", "99")
    try:
        lines = (
            {"origin": {"project": "/", "host": socket.gethostname()}},
            {"engine": (swept.origin.engine, 0.0)},
            {"made": {"kind": "container", "name": "any", "id": id_}},
        )
        text = "\n".join(map(json.dumps, lines))
        place = shared / "buildx-tasks" / "sessions"
        made = other(f"mkdir -p {place} && cat > {place}/{session} <<'E'\n{text}\nE\n")
        assert made.returncode == 0, made.stderr
        with pytest.raises(
            EngineError, match=r"buildx-tasks belongs to another user \(uid 42113\)"
        ):
            containers.sweep(swept)
        assert docker("ps", "--quiet", "--no-trunc", "--filter", f"id={id_}") == id_
    finally:
        docker("rm", "--force", id_)


def test_a_lock_that_another_user_left_is_not_waited_for(shared: Path) -> None:
    assert other(f"touch {shared}/a.lock; mkdir {shared}/folder").returncode == 0
    with pytest.raises(EngineError, match="belongs to another user"), locked(shared / "a.lock"):
        pass
    with pytest.raises(EngineError, match="belongs to another user"):
        own_folder(shared / "folder")
    # In a folder that is theirs, what they say counts: that is their project.
    assert other(f"touch {shared}/folder/b.lock").returncode == 0
    os.close(open_own(shared / "folder" / "b.lock", os.O_RDONLY))
    with locked(shared / "c.lock"):
        assert other(f"flock --nonblock {shared}/c.lock true").returncode != 0


def test_one_project_removes_nothing_of_another(shared: Path, name: str) -> None:
    mine = owned(shared / "mine").write(TOML.format(tag=f"{name}-mine", command="false"))
    theirs = owned(shared / "theirs").write(TOML.format(tag=f"{name}-theirs", command="false"))
    for project in (mine, theirs):
        project.ok("build", "--progress", "quiet")
        assert project.invoke("verify", "--keep").returncode == 1
    # A ledger that claims the other project's tag; its image is another one.
    ledger = json.loads((theirs.folder / ".buildx" / "ledger.json").read_text())
    for entry in ledger:
        if entry["event"] == "built":
            entry["tags"].append(f"{name}-mine:v1")
            entry["digest"] = "sha256:" + "0" * 64
    (theirs.folder / ".buildx" / "ledger.json").write_text(json.dumps(ledger))
    theirs.ok("clean")
    kept = ("ps", "--all", "--quiet", "--filter")
    assert docker(*kept, f"label=dev.buildx-tasks.project={mine.folder}") != ""
    assert docker(*kept, f"label=dev.buildx-tasks.project={theirs.folder}") == ""
    assert docker("image", "ls", "--quiet", f"{name}-mine:v1")
    assert (mine.folder / ".buildx" / "ledger.json").exists()
    mine.ok("clean")
    docker("image", "rm", "--force", f"{name}-theirs:v1")
