"""A stranger's buildx.toml is looked at: nothing of it runs, nothing is read but what it declares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from conftest import Project

# Python tells of each file that is opened and each program that is started.
HOOK = """
import json, os, sys
log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def hook(event, args):
    if event == "open" and isinstance(args[0], str):
        os.write(log, (json.dumps(["open", os.path.abspath(args[0])]) + "\\n").encode())
    elif event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
        what = repr(args[1] if len(args) > 1 else args[0])
        os.write(log, (json.dumps(["start", what]) + "\\n").encode())
sys.addaudithook(hook)
"""
TOML = """
[variable.VERSION]
default = "$(touch taken)`touch taken`;touch taken"
[target.app]
context = "app"
dockerfile = "Dockerfile"
platforms = ["linux/amd64"]
tags = ["localhost:5000/app:v1"]
args = { X = "${VERSION}", "Y;touch taken" = "$(touch taken)" }
labels = { a = "$(touch taken)" }
secret = ["id=a,src=../declared/secret.txt", "id=b,env=TOKEN"]
ssh = ["default=../declared/key"]
cache-from = ["type=local,src=../declared/cache"]
output = ["type=image"]
verify.run = { args = ["sh", "-c", "touch taken"], env = { A = "$(touch taken)" } }
"""
BAKE = """
target "app" {
  context = "app"
  args = { X = "$(touch taken)" }
  tags = ["localhost:5000/app:v1"]
}
"""
COMMANDS = (
    "plan",
    "plan --format json",
    "plan --format bake",
    "plan --format github",
    "lint",
    "--dry build",
    "--dry run",
    "--dry verify",
    "--dry push",
    "--dry setup",
    "import --from docker-bake.hcl --to -",
    "log",
)


class Seen(NamedTuple):
    opened: list[Path]
    started: list[str]


@pytest.fixture
def stranger(project: Project) -> Project:
    folder = project.folder
    for name in ("tasks.py",):
        (folder / name).rename(folder / f"{name}.kept")
    inner = folder / "project"
    inner.mkdir()
    (folder / "tasks.py.kept").rename(inner / "tasks.py")
    (inner / "app").mkdir()
    (inner / "app" / "Dockerfile").write_text('FROM alpine:3.22\nRUN touch /taken\nCMD ["true"]\n')
    (inner / "buildx.toml").write_text(TOML)
    (inner / "docker-bake.hcl").write_text(BAKE)
    for name in ("docker", "git", "bake", "sh", "conftest.py", "sitecustomize.py", "docker.py"):
        program = inner / "app" / name
        program.write_text("#!/bin/sh\ntouch taken\n")
        program.chmod(0o755)
    for name in ("declared/secret.txt", "declared/key", "other/secret.txt", "home/.ssh/id_ed25519"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("never to be read: 5d1f")
    return project


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_runs_and_nothing_else_is_read(
    stranger: Project, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, command: str
) -> None:
    hook = tmp_path_factory.mktemp("hook")
    (hook / "sitecustomize.py").write_text(HOOK)
    log = hook / "log"
    env = {
        "PYTHONPATH": str(hook),
        "AUDIT_LOG": str(log),
        "HOME": str(tmp_path / "home"),
        "TOKEN": "never to be read: 5d1f",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result = stranger.invoke(*command.split(), env=env, folder="project")
    said = result.stdout + result.stderr
    assert "Traceback" not in said
    assert "5d1f" not in said
    assert list(tmp_path.rglob("taken")) == []
    events = [json.loads(line) for line in log.read_text().splitlines()]
    opened = {Path(what) for kind, what in events if kind == "open"}
    started = [what for kind, what in events if kind == "start"]
    assert opened
    project = tmp_path / "project"
    strange = [
        path
        for path in opened
        if path.is_relative_to(tmp_path)
        and not path.is_relative_to(project)
        # Our own records, docker's folder, and what invoke looks for.
        and not any(path.is_relative_to(tmp_path / "home" / own) for own in (".local", ".docker"))
        and not path.name.startswith((".invoke", "invoke", "tasks"))
    ]
    assert strange == []
    for what in started:
        assert str(project) not in what.split(",")[0], what
