"""What is unchanged is not built again, and never anything that has changed is left as it was."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import Project

from buildx_tasks import Project as LoadedProject
from buildx_tasks.inputs import ignoring
from buildx_tasks.inputs.fingerprints import ANNOTATION
from buildx_tasks.inputs.known import KnownFiles
from buildx_tasks.inputs.trees import _below
from buildx_tasks.records.ledger import Ledger

from .conftest import docker, in_registry, rounds

if TYPE_CHECKING:
    from collections.abc import Callable

TOML = """\
[target.app]
context = "app"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1"]
secret = [{{ id = "token", env = "TOKEN" }}]
[target.app.verify.run]
stdout = "hello"
[target.top]
context = "top"
contexts = {{ app = "target:app" }}
tags = ["{registry}/{name}-top:v1"]
[target.out]
context = "app"
output = ["type=local,dest=out"]
dockerfile-inline = "FROM scratch\\nCOPY . /\\n"
"""
DOCKERFILE = """\
FROM {name}:base
COPY . /app
RUN --mount=type=secret,id=token cat /run/secrets/token > /dev/null
CMD ["cat", "/app/word"]
"""
TOKEN = {"TOKEN": "one"}


@pytest.fixture
def made(project: Project, registry: str, name: str) -> Project:
    project.write(TOML.format(registry=registry, name=name))
    for folder in ("app", "top"):
        (project.folder / folder).mkdir()
    (project.folder / "app" / "word").write_text("hello\n")
    project.write(DOCKERFILE.format(name=name), "app/Dockerfile")
    project.write("FROM app\nLABEL top=1\n", "top/Dockerfile")
    docker("tag", "alpine:3.22", f"{name}:base")
    return project


def built(project: Project, *args: str, **env: str) -> dict[str, str]:
    """Build quietly, and return the last column of each row: seconds, or since when it is unchanged."""
    done = project.invoke("build", "--progress", "quiet", *args, env={**TOKEN, **env})
    assert done.returncode == 0, done.stderr
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()[1:]]
    return {row[0]: row[1].split("  ")[-1].strip() for row in rows}


def changed(project: Project, *args: str, **env: str) -> set[str]:
    return {
        target for target, said in built(project, *args, **env).items() if "unchanged" not in said
    }


def entries(project: Project) -> list[dict[str, Any]]:
    return [entry for entry in Ledger(project.folder).read() if entry["event"] == "built"]


def digests(project: Project) -> dict[str, str]:
    return {entry["target"]: entry["digest"] for entry in entries(project)}


def cloned(project: Project, name: str, *without: str) -> Project:
    folder = project.folder.parent / f"{project.folder.name}-{name}"
    shutil.copytree(project.folder, folder, symlinks=True, ignore=lambda *_: without)
    return Project(folder)


def test_only_what_changed_is_built(made: Project, registry: str, name: str) -> None:
    everything = {"app", "top", "out"}
    assert changed(made) == everything
    first, bake_file = digests(made), made.folder / ".buildx" / "bake.json"
    bake_file.unlink()
    assert changed(made) == set()
    for path in made.folder.rglob("*"):
        if ".buildx" not in path.parts:
            path.touch()
    assert changed(made) == set()
    assert not bake_file.exists()
    assert digests(made) == first
    clone = cloned(made, "clone")
    assert changed(clone) == set()

    # Each alone; what is built on another target changes with it.
    steps: list[tuple[Callable[[], object], set[str], dict[str, str]]] = [
        (lambda: made.write("FROM app\nLABEL top=2\n", "top/Dockerfile"), {"top"}, {}),
        (lambda: (made.folder / "app/word").write_text("HELLO\n"), everything, {}),
        (lambda: (made.folder / "app/word").chmod(0o755), everything, {}),
        (lambda: (made.folder / "app/link").symlink_to("word"), everything, {}),
        (lambda: (made.folder / "app/.dockerignore").write_text("link\n"), everything, {}),
        (lambda: None, {"app", "top"}, {"TOKEN": "two"}),
        (lambda: docker("tag", f"{name}-other", f"{name}:base"), {"app", "top"}, {"TOKEN": "two"}),
        (lambda: docker("rmi", f"{digests_tag(made, 'top')}"), {"top"}, {"TOKEN": "two"}),
        ((made.folder / "out/word").unlink, {"out"}, {"TOKEN": "two"}),
    ]
    other = "FROM alpine:3.22\nLABEL other=1\n"
    argv = ["docker", "buildx", "build", "--quiet", "--tag", f"{name}-other", "-"]
    argv += ["--platform", "linux/amd64,linux/arm64"]
    subprocess.run(argv, input=other.encode(), check=True, capture_output=True)
    for number, (act, expected, env) in enumerate(steps):
        act()
        assert changed(made, **env) == expected, number
        if expected == {"top"}:  # none of the steps of app is looked at again
            definition = json.loads(bake_file.read_text())["target"]
            image = f"docker-image://{registry}/{name}:v1@{digests(made)['app']}"
            assert definition["top"]["contexts"] == {"app": image}
            assert made.ok("run", "-t", "top") == made.ok("run", "-t", "app", "-p", "native")
        assert changed(made, **env) == set(), number
    assert (made.folder / "out/word").read_text() == "HELLO\n"
    two = {"TOKEN": "two"}
    assert changed(made, "--always", **two) == everything
    assert changed(made, "--no-cache", "-t", "out", **two) == {"out"}
    # A part is another build; the whole is what counts again after it.
    assert changed(made, "-t", "app", "-p", "linux/arm64", **two) == {"app"}
    assert changed(made, "-t", "app", **two) == set()
    assert entries(made)[-1]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert "since" in entries(made)[-1]
    secrets = json.dumps(entries(made)) + (made.folder / ".buildx/files.json").read_text()
    assert "two" not in secrets


def digests_tag(project: Project, target: str) -> str:
    return str(next(e for e in reversed(entries(project)) if e["target"] == target)["tags"][0])


def test_a_hundred_builds_of_nothing_are_one_digest(made: Project) -> None:
    assert changed(made) == {"app", "top", "out"}
    first = digests(made)
    count = len(entries(made))
    os.environ.update(TOKEN)
    try:
        for _ in range(rounds(100)):
            with LoadedProject.load(made.folder) as loaded:
                again = loaded.select().build()
            assert all(one.since for one in again)
            assert {one.target: one.digest for one in again} == first
    finally:
        del os.environ["TOKEN"]
    assert len(entries(made)) == count


def test_a_fresh_clone_takes_what_its_registry_has(made: Project, registry: str) -> None:
    # What a machine's key is of is not told to others: no secret here.
    text = (made.folder / "buildx.toml").read_text().split("[target.top]")[0]
    made.write(text.replace('secret = [{ id = "token", env = "TOKEN" }]\n', ""))
    made.write("FROM alpine:3.22\nCOPY word /app/\nCMD cat /app/word\n", "app/Dockerfile")
    made.ok("build", "--progress", "quiet", "push")
    tag = entries(made)[-1]["tags"][0]
    index = in_registry(tag)
    assert index
    digest = index[0]
    for child in index[1]["manifests"]:
        manifest = in_registry(f"{tag.rpartition(':')[0]}@{child['digest']}")
        assert manifest
        is_image = child["platform"]["os"] != "unknown"
        assert (ANNOTATION in manifest[1].get("annotations", {})) is is_image
    docker("rmi", tag)
    clone = cloned(made, "clone", ".buildx")
    assert built(clone) == {"app": "unchanged, as published"}
    assert not (clone.folder / ".buildx/bake.json").exists()
    assert digests(clone) == {"app": digest}
    assert clone.ok("run", "-p", "linux/arm64") == "hello\n"
    said = clone.ok("verify", "push")
    assert "2 of 2 ok" in said
    assert "1 tag was there already" in said
    assert "unchanged since" in built(clone)["app"]

    other = cloned(clone, "other", ".buildx")
    (other.folder / "app/word").write_text("other\n")
    assert changed(other) == {"app"}
    shutil.rmtree(other.folder / ".buildx")
    (other.folder / "app/word").write_text("hello\n")
    with (other.folder / "buildx.toml").open("a") as file:
        file.write("[skip]\nregistry = false\n")
    assert changed(other) == {"app"}
    assert registry in tag


def test_what_changes_while_it_is_built_is_built_again(made: Project) -> None:
    word = made.folder / "app" / "word"
    with (made.folder / "app/Dockerfile").open("a") as file:
        file.write(f"RUN sleep 4 # {random.random()}\n")  # noqa: S311 - not in any cache
    argv = made.command("build", "-t", "app", "--progress", "plain")
    running = subprocess.Popen(
        argv, cwd=made.folder, env={**os.environ, **TOKEN}, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    said = ""
    while "sleep 4" not in said and running.poll() is None:
        said += running.stderr.readline()
    word.write_text("later\n")
    word.write_text("hello\n")  # as it was: only its times tell
    said += running.communicate()[1]
    assert running.returncode == 0, said
    assert "files changed while they were built" in said
    assert "fingerprints" not in entries(made)[-1]
    assert changed(made, "-t", "app") == {"app"}
    assert changed(made, "-t", "app") == set()


def test_whatever_happens_what_is_there_is_what_was_asked_for(made: Project) -> None:
    made.write(
        "[target.out]\ncontext = 'app'\noutput = ['type=local,dest=out']\n"
        'dockerfile-inline = "FROM scratch\\nCOPY word /\\n"\n'
    )
    word, out = made.folder / "app" / "word", made.folder / "out" / "word"
    chance = random.Random(14)  # noqa: S311 - moments
    argv = made.command("build", "--progress", "quiet")
    state = made.folder / ".buildx"
    for number in range(2 * rounds(20)):
        word.write_text(f"{number % 3}\n")
        killed = subprocess.Popen(argv, cwd=made.folder, start_new_session=True)
        time.sleep(chance.uniform(0.1, 1.2))
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        if number % 5 == 1:
            (state / "ledger.json").unlink(missing_ok=True)
        if number % 5 == 2 and (state / "files.json").exists():
            text = (state / "files.json").read_text()
            (state / "files.json").write_text(text[: len(text) // 2])
        word.write_text(f"{(number + chance.randint(0, 1)) % 3}\n")
        both = [subprocess.Popen(argv, cwd=made.folder) for _ in range(1 + number % 2)]
        assert [one.wait() for one in both] == [0] * len(both)
        assert out.read_text() == word.read_text(), number


IGNORES = [
    "",
    "a.txt",
    "/a.txt",
    "dir",
    "dir/",
    "*.txt",
    "**/*.txt",
    "*",
    "**",
    "*\n!a.txt",
    "*\n!dir/sub/b.txt",
    "**\n!dir/sub",
    "dir\n!dir/sub",
    "dir/**\n!dir/c.md",
    "dir/*\n!dir/sub\ndir/sub/b.txt",
    "**/sub",
    "**/sub/**",
    "dir/**/b.txt",
    "d?r/*.md",
    "[ab].txt",
    "[^a].txt",
    "#a.txt\nb.txt",
    " #a\n\n  b.txt  ",
    "! a.txt",
    "*.md\n!dir/c.md\n",
    "dir/../a.txt",
    "\ufeffa.txt\r\nb.txt\r\n",
    "a\\ b",
    "a b",
    "**/.hidden",
    ".*",
    "dir/sub/b.txt/x",
]
PATHS = [
    "a.txt",
    "b.txt",
    "a b",
    ".hidden",
    "dir/c.md",
    "dir/.hidden",
    "dir/sub/b.txt",
    "dir/sub/d/e.md",
]


def test_ignore_files_are_read_as_buildkit_does(project: Project) -> None:
    source = project.folder / "source"
    for path in PATHS:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    text = ""
    for number, ignore in enumerate(IGNORES):
        project.write("FROM scratch\nCOPY . /\n", f"source/D{number}")
        (source / f"D{number}.dockerignore").write_text(ignore, encoding="utf-8", newline="")
        text += (
            f"[target.t{number}]\ncontext = 'source'\ndockerfile = 'D{number}'\n"
            f"output = ['type=local,dest=out/{number}']\n"
        )
    project.write(text)
    project.ok("build", "--progress", "quiet")
    for number, ignore in enumerate(IGNORES):
        out = project.folder / "out" / str(number)
        sent = {str(path.relative_to(out)) for path in out.rglob("*")}
        ours = {
            os.fsdecode(one.path)
            for one in _below(str(source), "", ignoring.parse(ignore), (), is_out=False)
        }
        # Folders without anything in them may be a matter of taste; files are not.
        assert {p for p in sent if (out / p).is_file()} == {
            p for p in ours if (source / p).is_file()
        }, ignore
        assert sent <= ours, ignore
    assert KnownFiles(Path("none")) is not None
