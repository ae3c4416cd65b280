"""What plan fixes for all machines of a run: no two can disagree about what one of them had alone."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from buildx_tasks import Project

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TOML = """
[env]
file = ".env"
[variable.VERSION]
default = "v0"
[variable.OF_FILE]
default = "none"
[variable.LIST]
default = ["a"]
[variable.NPM_TOKEN]
default = ""
[variable.GIVEN]
default = ""
[variable.PASS]
default = ""
[variable.LEFT]
default = "as it is"
[target.app]
platforms = ["linux/amd64"]
tags = ["localhost:5000/app:${VERSION}"]
args = { A = "${OF_FILE}", C = "${NPM_TOKEN}", D = "${GIVEN}" }
no-cache-filter = ["${LIST}"]
secret = ["id=x,env=PASS"]
"""


def test_what_this_machine_alone_has_is_in_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buildx.toml").write_text(TOML)
    (tmp_path / ".env").write_text("OF_FILE=it's $here\nVERSION=v1\n")
    given = {"VERSION": "v7", "LIST": "b,c", "NPM_TOKEN": "hush", "PASS": "hush", "GIVEN": "env"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with Project.load(tmp_path, values={"GIVEN": "set"}) as project:
        found = project.select().jobs("1")
    flags = ["-s", "GIVEN=set", "-s", "VERSION=v7", "-s", "OF_FILE=it's $here", "-s", "LIST=b,c"]
    assert shlex.split(found.join) == ["invoke", "join", "--id", "1", "-t", "app", *flags]
    (job,) = found.levels[0]
    assert shlex.split(job.command)[:10] == ["invoke", "setup", *flags]
    # Another machine, without any of it, works out the same plan.
    for name in given:
        monkeypatch.delenv(name)
    (tmp_path / ".env").unlink()
    values = dict(each.split("=", 1) for each in flags if "=" in each)
    with Project.load(tmp_path, values=values) as project:
        (there,) = project.select().jobs("1").run.targets
    (here,) = found.run.targets
    assert there.target.spec.tags == here.target.spec.tags == ["localhost:5000/app:v7"]


MAY_BE_SECRET = {
    **dict.fromkeys(
        ("APIKEY", "DB_PASS", "GITHUB_PAT", "PASSPHRASE", "PGPASSWORD", "npmToken"), "x"
    ),
    **dict.fromkeys(("TOKENS", "SIGNING_KEY", "registryAuth"), "x"),
    "HTTP_PROXY": "http://u:hush@proxy:3128",
    "DATABASE_URL": "postgres://u:hush@db/app",
}
NONE = {
    "KEYCLOAK_VERSION": "26",
    "PATH_PREFIX": "/srv",
    "PASSENGER": "6",
    "URL": "https://a.org/@b",
}


def test_what_may_be_secret_is_in_no_plan_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {**MAY_BE_SECRET, **NONE}
    args = "".join(f"{name} = '${{{name}}}'\n" for name in names)
    variables = "".join(f'[variable.{name}]\ndefault = ""\n' for name in names)
    app = '[target.app]\nplatforms = ["linux/amd64"]\ntags = ["localhost:5000/app:v1"]\n'
    (tmp_path / "buildx.toml").write_text(f"{variables}{app}[target.app.args]\n{args}")
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    with Project.load(tmp_path) as project:
        words = shlex.split(project.select().jobs("1").join)
    assert words[6:] == [word for name in NONE for word in ("-s", f"{name}={NONE[name]}")]
    told = capsys.readouterr().err
    assert told.startswith(f"note: {', '.join(MAY_BE_SECRET)} may be secret")
    assert "hush" not in told


def test_a_table_says_the_environment_too(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from buildx_tasks import *\n")
    (tmp_path / "buildx.toml").write_text(TOML)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"], ["tag", "a'b"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    argv = [sys.executable, "-m", "invoke", "plan", "--id", "1"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    line = done.stdout.splitlines()[-1]
    start, _, export = line.partition(": ")
    assert start == "first, on each machine"
    word, epoch, said = shlex.split(export)
    assert word == "export"
    assert epoch.startswith("SOURCE_DATE_EPOCH=")
    assert said.startswith("BUILDX_TASKS_GIT=commit=")
    assert "tag=a%27b" in said
