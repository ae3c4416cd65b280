"""What the tasks of one command line hand on to each other; no engine is needed to see it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[variable.VERSION]
default = "v0"
[target.api]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/api:${VERSION}"]
[target.web]
inherits = ["api"]
tags = ["localhost:5000/web:${VERSION}"]
"""
PROD = '[target.web]\ntags = ["prod.example/web:${VERSION}"]\n'
AS_JSON = ("plan", "--format", "json")


@pytest.fixture
def chained(project: Project) -> Project:
    project.write(TOML)
    (project.folder / "buildx.prod.toml").write_text(PROD)
    return project


def plans(text: str) -> list[tuple[list[str], list[str]]]:
    """The cells and tags of each plan that was printed one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        one, end = decoder.raw_decode(text[at:])
        tags = [tag.partition("-part-")[0] for target in one["targets"] for tag in target["tags"]]
        found.append((one["cells"], tags))
        at += end + 1
    return found


def test_flags_hold_for_the_later_tasks_each_kind_on_its_own(chained: Project) -> None:
    first = ("-o", "prod", "-t", "web", "-s", "VERSION=v9", "-p", "linux/amd64")
    done = chained.invoke(*AS_JSON, *first, *AS_JSON, *AS_JSON, "-t", "api", *AS_JSON)
    assert done.returncode == 0, done.stderr
    web = (["web@linux/amd64"], ["prod.example/web:v9"])
    api = (["api@linux/amd64"], ["localhost:5000/api:v9"])
    assert plans(done.stdout) == [web, web, api, api]
    assert done.stderr.splitlines() == [
        "plan takes over -t web -p linux/amd64 -o prod -s VERSION=v9 from plan",
        "plan takes over -p linux/amd64 -o prod -s VERSION=v9 from plan",
        "plan takes over -t api -p linux/amd64 -o prod -s VERSION=v9 from plan",
    ]


def test_a_later_task_says_which_earlier_one_each_flag_is_from(chained: Project) -> None:
    done = chained.invoke("plan", "-o", "prod", "--dry", "push", "-t", "web", "run", "-p", "amd64")
    assert done.stderr.splitlines()[:2] == [
        "push takes over -o prod from plan",
        "run takes over -t web from push, -o prod from plan",
    ]


def test_nothing_is_said_where_nothing_is_taken_over(chained: Project) -> None:
    assert chained.invoke("plan", "plan", "-t", "web").stderr == ""


def test_invoke_leaves_out_no_task_to_which_other_flags_hold(chained: Project) -> None:
    printed = chained.ok("plan", "web", "lint", "--dry", "plan", "plan", "plan", "api", "plan")
    assert [cells.count("web@") for cells in printed.split("cell ")[1:]] == [2, 2, 0, 0]


def test_dry_takes_over_too(chained: Project) -> None:
    printed = chained.ok("--dry", "build", "-s", "VERSION=v9", "web", "build")
    assert printed.count("localhost:5000/web:v9") == 2
    assert "localhost:5000/api" not in printed


def test_a_reference_of_its_own_needs_no_target_of_an_earlier_task(chained: Project) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # knows nothing
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reference = f"localhost:{server.server_address[1]}/x:v1"
        done = chained.invoke("plan", "-t", "web", "inspect", "--ref", reference)
        server.shutdown()
    assert "leave out --target" not in done.stderr
    assert "takes over" not in done.stderr


OWN = """
from invoke import Collection, call, task
from buildx_tasks import namespace, plan

@task(pre=[plan])
def early(c): print("early")

@task(post=[plan])
def late(c): print("late")

@task(pre=[call(plan, target=["api"])])
def fixed(c): print("fixed")

@task
def bare(c): plan(c)

@task
def explicit(c): plan(c, target="api")

@task
def empty(c): plan(c, target="")

@task(pre=[call(plan, target=[])])
def computed(c): pass

@task
def nothing(c): plan(c, platform=())

@task
def unset(c): plan(c, target=[None])

ns = Collection(early, late, fixed, bare, explicit, empty, computed, nothing, unset)
ns.add_collection(namespace, "image")
"""


@pytest.mark.parametrize(
    ("then", "cells", "said"),
    [
        (["early"], {"web"}, "image.plan takes over -t web from image.plan"),
        (["late"], {"web"}, "image.plan takes over -t web from image.plan"),
        (["bare"], {"web"}, "image.plan takes over -t web from image.plan"),
        (["fixed"], {"api"}, ""),
        (["explicit"], {"api"}, ""),
    ],
)
def test_pre_post_and_calls(chained: Project, then: list[str], cells: set[str], said: str) -> None:
    (chained.folder / "tasks.py").write_text(OWN)
    done = chained.invoke("image.plan", "-t", "web", *then)
    assert done.returncode == 0, done.stderr
    table = done.stdout.partition("\n")[2].partition("cell ")[2]
    assert {line.partition("@")[0] for line in table.splitlines() if "@" in line} == cells
    assert done.stderr.strip() == said


def test_a_call_with_arguments_hands_nothing_on(chained: Project) -> None:
    (chained.folder / "tasks.py").write_text(OWN)
    done = chained.invoke("explicit", "fixed", "image.plan")
    assert done.stdout.rpartition("cell ")[2].count("web@") == 2
    assert done.stderr == ""


def test_a_call_with_an_empty_text_is_an_error_and_not_everything(chained: Project) -> None:
    (chained.folder / "tasks.py").write_text(OWN)
    done = chained.invoke("empty")
    assert done.returncode == 2
    assert done.stderr.startswith('-t: "" is empty; ')


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("computed", "target=[] is empty, and selects nothing; "),
        ("nothing", "platform=() is empty, and selects nothing; "),
        ("unset", "-t: None is no text; "),
    ],
)
def test_a_call_with_an_empty_list_is_an_error_too(chained: Project, name: str, said: str) -> None:
    (chained.folder / "tasks.py").write_text(OWN)
    done = chained.invoke(name)
    assert done.returncode == 2
    assert done.stderr.startswith(said)
