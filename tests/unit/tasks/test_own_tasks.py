"""Where the file is looked for, defaults of flags, what a shell completes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import buildx_tasks
from buildx_tasks import Project as LoadedProject
from buildx_tasks import build, verify

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

TOML = """
[variable.VERSION]
default = "v0"
[variable.PARTS]
default = ["a", "b"]
[variable.NONE]
[group.both]
targets = ["api", "web"]
[target.api]
dockerfile-inline = "FROM scratch"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["localhost:5000/api:v1"]
[target.web]
inherits = ["api"]
tags = ["localhost:5000/web:v1"]
"""


@pytest.fixture
def declared(project: Project) -> Project:
    return project.write(TOML)


def cells(printed: str) -> set[str]:
    return {line.partition("@")[0] for line in printed.splitlines() if "@" in line}


def test_the_file_beside_the_loaded_tasks_file_is_meant(
    declared: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "buildx.toml").write_text("[target.stranger]\n")
    shutil.copy(declared.folder / "tasks.py", declared.folder / "images.py")
    for flags in (["-r", str(declared.folder)], ["-r", str(declared.folder), "-c", "images"]):
        done = subprocess.run(
            declared.command(*flags, "plan"),
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=True,
        )
        assert cells(done.stdout) == {"api", "web"}
    below = declared.folder / "sub"
    below.mkdir()
    (below / "tasks.py").write_text("raise SystemExit('the wrong file')")
    (below / "buildx.toml").write_text("[target.stranger]\n")
    assert cells(declared.invoke("-r", "..", "plan", folder="sub").stdout) == {"api", "web"}


def test_without_a_file_beside_the_tasks_the_nearest_one_is(project: Project) -> None:
    for folder in ("one", "two"):
        (project.folder / folder / "deep").mkdir(parents=True)
        (project.folder / folder / "buildx.toml").write_text(f"[target.{folder}]\n")
    assert cells(project.invoke("plan", folder="two/deep").stdout) == {"two"}
    assert "buildx.toml: not found in" in project.invoke("plan").stderr


def test_defaults_come_from_invokes_configuration(declared: Project) -> None:
    (declared.folder / "invoke.yaml").write_text(
        "buildx_tasks:\n  targets: api\n  progress: plain\n  platforms: [linux/arm64]\n"
    )
    printed = declared.ok("plan")
    assert cells(printed) == {"api"}
    assert "amd64" not in printed
    assert cells(declared.ok("plan", "-t", "web")) == {"web"}
    assert cells(declared.ok("plan", "both")) == {"api", "web"}
    own = {"INVOKE_BUILDX_TASKS_TARGETS": "web,api", "INVOKE_BUILDX_TASKS_PROGRESS": "quiet"}
    assert cells(declared.ok("plan", env=own)) == {"api", "web"}
    assert declared.ok("--dry", "build").endswith("--progress plain\n")
    assert declared.ok("--dry", "build", env=own).endswith("--progress quiet\n")
    assert declared.ok("--dry", "build", "--progress", "auto", env=own).endswith("progress auto\n")
    chained = declared.invoke("plan", "web", "plan")
    assert cells(chained.stdout.rpartition("cell ")[2]) == {"web"}  # what was typed comes before


def test_a_task_alone_in_a_persons_file_has_the_defaults_too(declared: Project) -> None:
    (declared.folder / "tasks.py").write_text("from buildx_tasks import plan\n")
    own = {"INVOKE_BUILDX_TASKS_TARGET": "web"}
    assert cells(declared.ok("plan", env=own)) == {"web"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("buildx_tasks:\n  progres: plain\n", 'has no "progres"; did you mean "progress"?'),
        ("buildx_tasks: fast\n", "buildx_tasks in invoke's configuration is no table"),
        ("buildx_tasks:\n  jobs: many\n", 'buildx_tasks.jobs: "many" is no whole number'),
        ("buildx_tasks:\n  targets: 'api,'\n", '"api," has an empty entry'),
        ("buildx_tasks:\n  progress: fancy\n", 'unknown kind "fancy"'),
        ("buildx_tasks:\n  targets: 5\n", 'unknown target "5"'),
        ("buildx_tasks:\n  targets: {a: b}\n", "buildx_tasks.targets is a table; write a value"),
    ],
)
def test_a_wrong_default_is_one_line(declared: Project, text: str, message: str) -> None:
    (declared.folder / "invoke.yaml").write_text(text)
    done = declared.invoke("--dry", "verify" if "jobs" in text else "build")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "among", "never"),
    [
        ("build -t ", "api both web", "plan"),
        ("build -t a", "api", "plan"),
        ("build -t api ", "web verify", ""),
        ("build ", "api verify", ""),
        ("build --no-cache plan --target ", "api both web", "plan"),
        ("plan -p ", "native linux/amd64 linux/arm64", "plan api"),
        ("plan -p linux/a", "linux/amd64 linux/arm64", "plan api"),
        ("plan -o ", "prod", "local.toml plan"),
        ("build --progress ", "plain quiet", "api"),
        ("build --pro", "--progress", "api"),
        ("setup ", "build", "api"),
        ("verify --junit ", "", "api build"),
    ],
)
def test_completion_offers_what_can_follow(
    declared: Project, line: str, among: str, never: str
) -> None:
    (declared.folder / "buildx.prod.toml").write_text("")
    offered = declared.ok("--complete", "--", *f"invoke {line}".split()).split()
    assert set(among.split()) <= set(offered)
    assert not set(never.split()) & set(offered)


def test_a_broken_file_offers_nothing(declared: Project) -> None:
    declared.write("[target")
    assert declared.ok("--complete", "--", "invoke", "build", "-t").split() == []


def test_bash_completes_with_invokes_own_script(declared: Project) -> None:
    script = """
        eval "$(PYTHON -m invoke --print-completion-script bash)"
        invoke() { PYTHON -m invoke "$@"; }
        __main__.py() { invoke "$@"; }
        COMP_WORDS=(invoke build -p linux/ar); COMP_CWORD=3
        $(complete -p | sed -n 's/.*-F \\([^ ]*\\) .*/\\1/p' | head -1) invoke linux/ar -p
        echo "${COMPREPLY[@]}"
    """.replace("PYTHON", sys.executable)
    done = subprocess.run(
        ["bash", "-c", script], cwd=declared.folder, capture_output=True, text=True, check=False
    )
    assert done.stdout == "linux/arm64\n", done.stderr


def test_a_word_of_a_persons_own_is_no_question_of_completion(declared: Project) -> None:
    (declared.folder / "tasks.py").write_text(
        "from invoke import task\n"
        "from buildx_tasks import plan\n"
        "@task\n"
        "def own(c):\n"
        "    print('own')\n"
    )
    assert declared.ok("own", "--", "--complete") == "own\n"


def test_a_task_beside_the_namespace_is_told_from_an_unknown_one(declared: Project) -> None:
    (declared.folder / "tasks.py").write_text(
        "from invoke import task\n"
        "from buildx_tasks import namespace\n"
        "@task\n"
        "def unit(c):\n"
        "    print('unit tests pass')\n"
    )
    done = declared.invoke("unit")
    assert (done.returncode, done.stderr) == (
        2,
        "unit is a task of your file, and not in its namespace; write namespace.add_task(unit) "
        "below it\n",
    )
    assert "No idea what 'unti' is!" in declared.invoke("unti").stderr
    tasks = declared.folder / "tasks.py"
    tasks.write_text(tasks.read_text() + "namespace.add_task(unit)\n")
    assert declared.ok("unit") == "unit tests pass\n"


def test_a_folder_that_a_person_is_in_is_not_where_bake_runs(declared: Project) -> None:
    (declared.folder / "sub").mkdir()
    (declared.folder / "tasks.py").write_text(
        "from invoke import task\n"
        "from buildx_tasks import build\n"
        "@task\n"
        "def own(c):\n"
        "    with c.cd('sub'):\n"
        "        build(c, target='api')\n"
    )
    last = declared.ok("--dry", "own").splitlines()[-1]
    assert last.startswith(f"cd sub && cd {declared.folder} && docker buildx ")


def test_an_interrupted_task_is_named_as_in_a_persons_file(declared: Project) -> None:
    (declared.folder / "tasks.py").write_text(
        "import os, signal, time\n"
        "from invoke import Collection\n"
        "from buildx_tasks import build\n"
        "@build.before\n"
        "def step(c, selection):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(9)\n"
        "namespace = Collection(image=Collection(build))\n"
    )
    done = declared.invoke("image.build")
    assert (done.returncode, done.stderr) == (143, "image.build was interrupted (SIGTERM)\n")


def test_variables_are_worked_out_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text(
        TOML
        + '[variable.GIT]\ndefault = "${git.commit}"\n[variable.TWO]\ndefault = "${VERSION}-2"\n'
    )
    with LoadedProject.load(tmp_path, values={"VERSION": "v7"}) as project:
        assert project.variables["VERSION"] == "v7"
        assert project.variables["TWO"] == "v7-2"
        assert project.variables["PARTS"] == ["a", "b"]
        assert "NONE" not in project.variables
        assert "git.commit" not in project.variables


def test_steps_stand_before_the_build_alone() -> None:
    with pytest.raises(TypeError, match="verify calls no steps; put them into its pre"):
        verify.before(print)
    build.before(print)
    build.steps.clear()


def test_a_room_of_a_tasks_name_does_not_hide_the_task() -> None:
    script = (
        "import buildx_tasks.doctor.examine, buildx_tasks; from buildx_tasks import doctor; "
        "print(type(doctor).__name__, type(buildx_tasks.doctor).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "Command Command\n"
    for name in buildx_tasks.__all__:
        assert type(getattr(buildx_tasks, name)).__name__ != "module"
