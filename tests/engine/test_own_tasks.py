"""A person's own tasks beside ours, with a real engine and registry: chains, calls, the docs' file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import in_registry

if TYPE_CHECKING:
    from conftest import Project

ROOT = Path(__file__).parents[2]
TOML = """
[variable.VERSION]
default = "v0"
[target.app]
context = "."
dockerfile-inline = "FROM alpine:3.22\\nCMD [\\"echo\\", \\"hello\\"]"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["REGISTRY/NAME-app:${VERSION}"]
[target.app.verify]
run = { stdout = "hello" }
[target.other]
inherits = ["app"]
tags = ["REGISTRY/NAME-other:${VERSION}"]
"""


@pytest.fixture
def declared(project: Project, registry: str, name: str) -> Project:
    return project.write(TOML.replace("REGISTRY", registry).replace("NAME", name))


def section() -> str:
    return (ROOT / "docs" / "own-tasks.md").read_text()


def test_a_chain_publishes_what_it_built_and_nothing_else(
    declared: Project, registry: str, name: str
) -> None:
    (declared.folder / "buildx.prod.toml").write_text(
        f'[target.app]\ntags = ["{registry}/{name}-prod:${{VERSION}}"]\n'
    )
    flags = ("-t", "app", "-s", "VERSION=v9", "-o", "prod")
    done = declared.invoke("build", *flags, "--progress", "quiet", "verify", "push")
    assert done.returncode == 0, done.stderr
    assert "push takes over -t app -o prod -s VERSION=v9 from build" in done.stderr
    assert in_registry(f"{registry}/{name}-prod:v9")
    for never in ("app:v9", "app:v0", "other:v9", "other:v0", "prod:v0"):
        assert in_registry(f"{registry}/{name}-{never}") is None


def test_the_file_of_the_docs_does_what_it_says(
    declared: Project, registry: str, name: str
) -> None:
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", section(), re.DOTALL)[:2])
    (declared.folder / "tasks.py").write_text(blocks["python"])
    (declared.folder / "invoke.yaml").write_text(blocks["yaml"])
    listed = declared.ok("--list")
    for task in ("check", "release", "image.build", "image.unit", "image.import"):
        assert f"  {task} " in listed
    checked = declared.invoke("check")
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("unit tests pass\n")
    assert "app@linux/arm64" in checked.stdout
    assert (declared.folder / "version.txt").read_text() == "v0\n"
    declared.ok("release", "--version", "v2")
    assert (declared.folder / "version.txt").read_text() == "v2\n"
    assert in_registry(f"{registry}/{name}-app:v2")
    assert in_registry(f"{registry}/{name}-other:v2") is None
    dry = declared.ok("--dry", "image.build", "-s", "VERSION=v3").splitlines()
    assert any("echo v3 > version.txt" in line for line in dry)
    assert dry[-1].endswith("--progress plain")  # of invoke.yaml, as is the target
    assert not any(f"{name}-other" in line for line in dry)


CALLS = """
from invoke import Collection, task
import buildx_tasks as bt

@task
def each(c):
    bt.doctor(c, format="json")
    bt.doctor(c, format="json")
    bt.setup(c)
    bt.plan(c)
    bt.lint(c, target="app")
    bt.build(c, target="app", platform=["linux/amd64", "linux/arm64"], progress="quiet")
    bt.run(c, ["app"], "linux/amd64")
    bt.verify(c, target=("app",))
    bt.push(c, target="app")
    bt.inspect(c, target="app", published=True)
    bt.promote(c, "{source}", to="v2")
    bt.log(c, target="app", number=1)
    bt.import_(c, "made.json", to="-")
    bt.clean(c)
    print("each was called")

@task(pre=[bt.plan, bt.log], post=[bt.log])
def around(c):
    print("around")

ns = Collection(each, around)
ns.add_collection(bt.namespace, "any-name")
"""


def test_each_task_is_called_from_python(declared: Project, registry: str, name: str) -> None:
    (declared.folder / "made.json").write_text(declared.ok("plan", "--format", "bake"))
    source = f"{registry}/{name}-app:v0"
    (declared.folder / "tasks.py").write_text(CALLS.replace("{source}", source))
    assert declared.ok("each").endswith("each was called\n")
    assert in_registry(f"{registry}/{name}-app:v2")
    assert "\naround\n" in declared.ok("around")


def test_messages_name_a_task_as_the_persons_file_does(declared: Project) -> None:
    (declared.folder / "tasks.py").write_text(CALLS)
    for task in ("run", "verify", "push", "inspect"):
        done = declared.invoke(f"any-name.{task}", "-t", "app")
        assert done.returncode == 1
        assert "run invoke any-name.build -t app" in done.stderr
    done = declared.invoke("any-name.push", "-p", "linux/amd64")
    assert "see invoke any-name.push --help" in done.stderr


def test_native_is_the_platform_of_the_engine(declared: Project) -> None:
    declared.ok("build", "app", "--progress", "quiet")
    printed = declared.ok("--dry", "run", "app", "-p", "native")
    assert printed.count("docker run") == 1
    assert "--platform linux/" in printed
