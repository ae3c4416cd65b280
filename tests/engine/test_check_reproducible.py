"""Built again, images are the same, or it is said which files are not, and why."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Callable

import pytest
from support import workspaces

from buildx_tasks.images import store

from .conftest import docker, running, wait_for
from .test_fleet import fleet, machines  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

    from .test_fleet import Fleet

EPOCH = "1700000000"  # 2023-11-14T22:13:20Z
TARGET = '''
[target.{target}]
dockerfile-inline = """
{dockerfile}
LABEL of={name}
"""
platforms = {platforms}
tags = ["{name}-{target}:v1"]
{more}
verify.reproducible = true
'''
RANDOM = "/proc/sys/kernel/random/uuid"
STORE = 'output = ["type=docker"]'
BOTH = ["linux/amd64", "linux/arm64"]
ONE = BOTH[:1]
TARGETS = {  # name → Dockerfile, more of the table, platforms
    "same": (
        "FROM base\nRUN echo hello > /hello\nWORKDIR /app\nCOPY --from=base /made .\nCOPY f .",
        'contexts.base = "target:base"',
        BOTH,
    ),
    "content": (f"FROM alpine:3.22\nRUN cp {RANDOM} /stamp && chmod 0640 /stamp", "", BOTH),
    "times": (
        "FROM alpine:3.22\nRUN touch -d @1$(tr -dc 0-9 < /dev/urandom | head -c 8) /late /later",
        STORE,
        ONE,
    ),
    "touched": (
        "FROM alpine:3.22\nARG SOURCE_DATE_EPOCH\nRUN touch -d @$SOURCE_DATE_EPOCH /early",
        STORE,
        ONE,
    ),
    "leftovers": (
        "FROM alpine:3.22\n"
        "RUN mkdir -p /var/log/apt /var/lib/apt/lists /a/__pycache__ \\\\\n"
        "  && date +%s%N > /var/log/dpkg.log \\\\\n"
        f"  && cp {RANDOM} /var/log/apt/history.log && cp {RANDOM} /var/lib/apt/lists/x_InRelease\n"
        f"RUN cp {RANDOM} /a/__pycache__/b.pyc && "
        "printf '!<arch>\\\\n%-16s%-12s%-6s%-6s%-8s%-10s`\\\\nabc\\\\n' "
        "a.o $(tr -dc 1-9 < /dev/urandom | head -c 9) 0 0 644 3 > /lib.a",
        "",
        ONE,
    ),
    "lost": ("FROM alpine:3.22\nCOPY gone /", "", ONE),
    "slow": ("FROM alpine:3.22\nRUN sleep 1", "", ONE),
}
BASE = '''
[target.base]
dockerfile-inline = """
FROM alpine:3.22
RUN echo made > /made
"""
platforms = ["linux/amd64", "linux/arm64"]
'''

# In a process of its own, so that it can be killed; as verify does it.
CHECK = """
import sys
from pathlib import Path
import msgspec
from buildx_tasks.building import location
from buildx_tasks.language import loading
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.verification.checks.reproducible import check_target
from buildx_tasks.verification.containers import Session
from buildx_tasks.workspace import Workspace

path, name = Path(sys.argv[1], "buildx.toml"), sys.argv[2]
workspace = Workspace(path, loading.load(path))
plan = make_plan(workspace.config, [name])
target = plan.targets[0]
session = Session(workspace)
image = location.locate(workspace, target, target.platforms)
found = check_target(session, plan, target, image, target.platforms)
session.close()
shown = {str(platform): one._asdict() for platform, one in found.items()}
print(msgspec.json.encode(shown).decode())
"""


def check(folder: Path, target: str) -> dict[str, dict[str, Any]]:
    """Check one target of a project that is built; return what is found for each platform."""
    argv = [sys.executable, "-c", CHECK, str(folder), target]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "progress belongs to nobody's eyes"
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def in_store(name: str) -> list[str]:
    """All images of a test: those that have no name too."""
    ours = ["--filter", f"label=of={name}"]
    return sorted(docker("image", "ls", "--all", "--no-trunc", "--quiet", *ours).split())


def declared(target: str, name: str) -> str:
    dockerfile, more, platforms = TARGETS[target]
    return TARGET.format(
        target=target, dockerfile=dockerfile, more=more, platforms=platforms, name=name
    )


@pytest.fixture
def built(project: Project, name: str) -> Callable[..., Project]:
    def build(*targets: str, builder: str = "", registry: str = "") -> Project:
        declarations = "".join(declared(target, f"{registry}{name}") for target in targets)
        project.write(builder + BASE + declarations)
        if builder:
            project.ok("setup")
        for file in ("f", "gone"):
            (project.folder / file).write_text(file)
        project.ok(
            "build", *(f"-t{target}" for target in targets), env={"SOURCE_DATE_EPOCH": EPOCH}
        )
        return project

    return build


def test_built_again(built: Callable[..., Project], name: str) -> None:
    targets = ("same", "content", "times", "touched", "lost", "leftovers")
    project = built(*targets)
    (project.folder / "gone").unlink()
    # Nobody sets it now: the image says what it was.
    assert "SOURCE_DATE_EPOCH" not in os.environ
    before = in_store(name)
    assert len(before) == len(targets)
    found = {target: check(project.folder, target) for target in targets}
    assert in_store(name) == before, "the second builds left something in the store"
    assert not list(project.folder.glob(".buildx/**/*.tar"))

    for target in ("same", "touched"):
        for one in found[target].values():
            assert one["problems"] == [], target
            assert one["facts"][0].startswith("built again: the same sha256:")
    assert list(found["content"]) == BOTH
    for one in found["content"].values():
        line, advice = one["problems"]
        made_by = f"made by RUN cp {RANDOM} /stamp && chmod 0640 /stamp"
        place = "([target.content] dockerfile-inline:2)"
        assert line.startswith("/stamp: other content (SHA-256 ")
        assert line.endswith(f"; {made_by} {place}")
        assert advice.startswith(f"/stamp {made_by} {place}: an id or hash that is made anew; make")
        assert one["facts"][0].startswith("both by Docker Engine ")
        assert "modification" not in line, "invoke build sets the times"
    for one in found["times"].values():
        # The export that was declared does not set them.
        late, later, advice = one["problems"]
        assert late.startswith("/late: other modification time (19")
        assert later.startswith("/later: other modification time (19")
        assert "leave out output in [target.times]" in advice
        assert "touch -d @$SOURCE_DATE_EPOCH" in advice
    (one,) = found["leftovers"].values()
    place = r"made by RUN .* \(\[target.leftovers\] dockerfile-inline:{}\): "
    for line, line_number, path, what in (
        (-4, 5, "/a/__pycache__/b.pyc", "bytecode of Python, with the times"),
        (-3, 5, "/lib.a", "the times of its members; write ar with D"),
        (-2, 2, "/var/lib/apt/lists/x_InRelease", "lists and caches of apt; "),
        (-1, 2, "/var/log/apt/history.log and 1 more", "logs of apt and dpkg; end its RUN with"),
    ):
        said = re.escape(f"{path} ") + place.format(line_number) + re.escape(what)
        assert re.match(said, one["problems"][line]), one["problems"]
    (one,) = found["lost"].values()
    (line,) = one["problems"]
    assert line.startswith("cannot be built again: ")
    assert '"/gone": not found' in line
    assert "COPY gone /" in one["stderr"]

    # What is in the store is the very image that was built, with the files' times set.
    with closing(workspaces.declared(project.folder)) as workspace:
        image = store.stored(workspace.engine, f"{name}-same:v1")
    assert image is not None
    assert {entry["target"]: entry["digest"] for entry in ledger(project)}["same"] == image.digest
    listed = docker(
        "run", "--rm", "--network=none", f"{name}-same:v1", "stat", "-c%Y", "/made", "/app"
    )
    assert listed.split() == [EPOCH, EPOCH]


def ledger(project: Project) -> list[dict[str, str]]:
    entries = json.loads((project.folder / ".buildx/ledger.json").read_text())
    return [entry for entry in entries if entry["event"] == "built"]


def test_a_build_without_source_date_epoch(project: Project, name: str) -> None:
    text = declared("content", name)
    # Declared for one platform only when it was built: -p would leave the tag alone.
    one = re.sub("platforms = .*", 'platforms = ["linux/amd64"]', text)
    project.write(one.replace("verify.reproducible = true", ""))
    project.ok("build")
    project.write(text)
    dry = project.ok("--dry", "build")
    assert '"SOURCE_DATE_EPOCH": "0"' in dry, "there is no commit"
    assert dry.splitlines()[-1] == "docker load --quiet --input .buildx/content.image.tar"
    found = check(project.folder, "content")
    (line,) = found["linux/amd64"]["problems"]
    assert line.startswith(f"{name}-content:v1 was built without SOURCE_DATE_EPOCH (created 2")
    assert line.endswith("run invoke build -t content")
    (line,) = found["linux/arm64"]["problems"]
    assert line == f"{name}-content:v1 lacks it; run invoke build -t content"


def test_killed_it_leaves_nothing_that_stays(built: Callable[..., Project], name: str) -> None:
    project = built("slow")
    before = in_store(name)
    argv = [sys.executable, "-c", CHECK, str(project.folder), "slow"]
    process = subprocess.Popen(argv, cwd=project.folder)
    wait_for((project.folder / ".buildx/again/slow.tar").exists, "no second build")
    process.kill()
    process.wait()
    (project.folder / ".buildx/again/another.tar").touch()
    assert in_store(name) == before
    assert [one["problems"] for one in check(project.folder, "slow").values()] == [[]]
    assert not list(project.folder.glob(".buildx/**/*.tar"))
    assert in_store(name) == before


def test_closed_it_ends_at_once(built: Callable[..., Project], name: str) -> None:
    project = built("slow")
    text = (project.folder / "buildx.toml").read_text()
    project.write(text.replace("sleep 1", f"sleep 60 # {name}"))
    closing = CHECK.replace("found =", "threading.Timer(4, session.close).start(); found =")
    argv = [sys.executable, "-c", f"import threading{closing}", str(project.folder), "slow"]
    began = time.monotonic()
    with running(argv, cwd=project.folder, stderr=subprocess.PIPE, text=True) as first:
        wait_for((project.folder / ".buildx/again/slow.tar").exists, "no second build")
        # Another one waits for it.
        second = subprocess.run(
            argv, cwd=project.folder, capture_output=True, text=True, check=False
        )
        _, said = first.communicate()
    for stderr in (said, second.stderr):
        assert stderr.endswith("EngineError: verify was stopped; run it again\n"), stderr
    assert time.monotonic() - began < 30
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "again/slow.json" not in processes.stdout, "it goes on"
    assert not list(project.folder.glob(".buildx/**/*.tar"))


def test_several_nodes_build_again_into_the_registry(
    built: Callable[..., Project],
    fleet: Fleet,  # noqa: F811 - a fixture
    name: str,
    registry: str,
) -> None:
    project = built("content", builder=fleet.builder(name), registry=f"{registry}/")
    for one in check(project.folder, "content").values():
        # Of the same form as the first build: nothing but the file, and its cause.
        line, cause = one["problems"]
        assert line.startswith("/stamp: other content (SHA-256 ")
        assert "modification" not in line, "pushed with the times set"
        assert cause.startswith("/stamp made by ")
    listed = docker("image", "ls", "--all", "--format", "{{.Repository}}").splitlines()
    # Pulled to be run: one image for each platform. What was pulled to be compared is gone.
    assert listed.count(f"{registry}/{name}-content") == 2


def test_the_classic_store_cannot_tell(
    built: Callable[..., Project], classic_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", classic_engine)
    TARGETS["empty"] = ("FROM scratch\nCOPY f /", "", ONE)
    (one,) = check(built("empty").folder, "empty").values()
    (line,) = one["problems"]
    assert line.startswith("the engine's image store is the classic one")
    assert "containerd-snapshotter" in line
