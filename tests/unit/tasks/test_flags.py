"""What may be typed behind a task: values, words, letters; and the one line where it may not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from buildx_tasks import namespace

if TYPE_CHECKING:
    from conftest import Project

TOML = """
[group.both]
targets = ["api", "web"]
[target.api]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/api:v1"]
[target.web]
inherits = ["api"]
tags = ["localhost:5000/web:v1"]
[target.lint]
inherits = ["api"]
tags = ["localhost:5000/lint:v1"]
"""


@pytest.fixture
def typed(project: Project) -> Project:
    project.write(TOML)
    return project


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["push", "-t"], "push: -t has no value; write -t NAME, or leave -t out"),
        (["build", "-t", "-p", "linux/amd64"], "build: -t has no value"),
        (["build", "-t", "--dry"], 'build: -t has no value, "--dry" comes behind it'),
        (["build", "-t", "api", "-t"], "build: -t has no value"),
        (["build", "-t", ""], 'build: -t "": the value is empty'),
        (["build", "--target="], 'build: -t "": the value is empty'),
        (["build", ""], 'build: "": a word is empty'),
        (["build", "-o", ""], 'build: -o "": the value is empty'),
        (["build", "-p", " "], 'build: -p " ": the value is empty'),
        (["plan", "--set"], "plan: -s has no value; write -s NAME=value"),
        (["plan", "-s", "", "lint"], 'plan: -s "": the value is empty'),
        (["plan", "-t", "api,,web"], '-t: "api,,web" has an empty entry'),
        (["plan", "-t", "api,"], '-t: "api," has an empty entry'),
        (["plan", "-p", ",linux/amd64"], '-p: ",linux/amd64" has an empty entry'),
        (["setup", "--overlay"], "setup: -o has no value"),
        (["build", "--progress", ""], 'build: --progress "": the value is empty'),
        (["verify", "--junit", "--json", "x"], "verify: --junit has no value"),
        (["verify", "--jobs", "many"], 'verify: --jobs: "many" is no whole number'),
        (["verify", "--jobs", ""], 'verify: --jobs "": the value is empty'),
        (["push", "--tag", ""], 'push: --tag "": the value is empty'),
        (["promote", "--from", "", "--to", "v1"], 'promote: --from "": the value is empty'),
        (["inspect", "--ref"], "inspect: --ref has no value"),
        (["run", "--args"], "run: --args has no value"),
        (["log", "--event"], "log: --event has no value"),
        (["plan", "--format"], "plan: --format has no value"),
        (["import", "--to", ""], 'import: --to "": the value is empty'),
        (["promote"], "--from is missing; write it as in --from "),
        (["promote", "build"], "--from is missing; "),
        (["promote", "a/b:v1"], "--to is missing; "),
        (["promote", "a/b:v1", "a/b:v2"], '"a/b:v2" is one too many: --from is a/b:v1 already'),
        (["import"], "--from is missing; write it as in --from docker-bake.hcl"),
        (["push", "-p", "linux/amd64"], "push has no -p (--platform); see invoke push --help"),
        (["setup", "-t", "api"], "setup has no -t (--target)"),
        (["build", "--plattform", "x"], 'build has no --plattform; did you mean "--platform"?'),
        (["build", "-x"], "build has no -x; see invoke build --help"),
        (["setup", "api"], 'setup takes no targets, and no task is called "api"'),
        (["setup", "biuld"], 'no task is called "biuld"; did you mean "build"?'),
        (["plan", "aip"], 'unknown target "aip"; did you mean "api"?'),
        (
            ["plan", "verfy"],
            'unknown target "verfy"; known: api, both, lint, web; or the task "ver',
        ),
        (["plan", "-t", "verify"], '"verify" is a task: what was -t to be?'),
        (["plan", "linux/arm64"], "for a platform write -p linux/arm64"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_exit_code_2(
    typed: Project, args: list[str], message: str
) -> None:
    done = typed.invoke(*args)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout


def test_an_empty_entry_in_the_environment_is_an_error(typed: Project) -> None:
    done = typed.invoke("plan", env={"BUILDX_TASKS_OVERLAY": "a,"})
    assert (done.returncode, done.stderr.partition(";")[0]) == (
        2,
        'BUILDX_TASKS_OVERLAY: "a," has an empty entry',
    )


@pytest.mark.parametrize(
    "args",
    [
        ["plan", "api", "web"],
        ["plan", "both"],
        ["plan", "-p", "linux/amd64,linux/arm64", "api", "web"],
        ["plan", "api", "--format", "table", "web"],
        ["plan", "-t", "api", "web"],
        ["plan", "[aw]*"],
        ["plan", "-t", "lint", "plan", "api", "web"],
    ],
)
def test_words_behind_a_task_are_targets(typed: Project, args: list[str]) -> None:
    last = typed.ok(*args).rpartition("cell ")[2]
    assert last.split("\n", 1)[1] == typed.ok("plan", "-t", "api", "-t", "web").split("\n", 1)[1]


def test_a_target_named_like_a_task_is_pointed_out(typed: Project) -> None:
    done = typed.invoke("--dry", "plan", "api", "lint")
    assert done.stderr.splitlines()[0] == (
        "note: lint is a task, and a target too: for the target write -t lint"
    )
    assert "lint@linux/amd64" in typed.ok("plan", "-t", "lint")


def test_the_last_of_two_values_counts(typed: Project) -> None:
    assert typed.ok("plan", "--format", "json", "--format", "github").startswith('{"include"')


def test_letters_mean_the_same_everywhere_and_h_is_help(typed: Project) -> None:
    letters = {"-t": "--target", "-p": "--platform", "-o": "--overlay", "-s": "--set"}
    for context in namespace.to_contexts():
        for short, long in context.flags.aliases.items():
            assert letters[short] == long, context.name
    for task in (*namespace.tasks, "import --help", "promote --help"):
        words = task.split() if " " in task else [task, "-h"]
        assert f"[--core-opts] {words[0]} [--options]" in typed.ok(*words)


def test_other_peoples_tasks_are_parsed_as_ever(typed: Project) -> None:
    (typed.folder / "tasks.py").write_text(
        "from invoke import Collection, task\n"
        "from buildx_tasks import namespace\n"
        "@task(iterable=['many'], optional=['maybe'])\n"
        "def own(c, word, many=None, target='', number=0, maybe=None):\n"
        "    print(word, many, repr(target), number, maybe)\n"
        "ns = Collection(own)\n"
        "ns.add_collection(namespace, 'image')\n"
    )
    said = typed.ok("own", "api", "-m", "a", "-m", "b", "-t", "", "-n", "3", "--maybe")
    assert said == "api ['a', 'b'] '' 3 True\n"
    assert typed.ok("image.plan", "api", "own", "x", "--many").endswith("x [] '' 0 None\n")
    done = typed.invoke("own", "x", "y")
    assert "No idea what 'y' is!" in done.stderr
    assert re.search("did not receive required positional", typed.invoke("own").stderr)
