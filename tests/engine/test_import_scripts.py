"""Makefiles, scripts, bake and compose files become what is expected of them, word for word."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.convert import bake, flags, scripts
from buildx_tasks.convert.asking import STAND_IN
from buildx_tasks.convert.exporting import KEPT
from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading
from buildx_tasks.machine.commands import Commands
from buildx_tasks.planning.selection import make_plan

from .conftest import buildx, docker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Project
    from invoke import Result

CORPUS = Path(__file__).parent / "import_corpus"
BAKES = ("docker-bake.hcl", "docker-bake.json", "compose.yaml")
TASKFILE = "version: '3'\ntasks:\n  image:\n    cmds: [docker build .]\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
CASES = sorted(path.parent for path in CORPUS.glob("*/*/expected.toml"))


class Direct(Commands):
    """Starts the plug-in itself: docker would start it twice for each question.

    ``printed`` are the targets that bake printed, each with the values of variables that it was given.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.printed: list[tuple[dict[str, str], Any]] = []

    def query(self, argv: Sequence[str]) -> Result:
        words = list(argv)
        at = words.index("docker") if "docker" in words else 0
        if at:
            words[at : at + 2] = [buildx()]
        result = super().query(words)
        given = [one for one in words[:at] if re.fullmatch(r"(?!SSH_AUTH_SOCK)\w+=.*", one)]
        if result.ok and "--print" in words:
            values = dict(one.split("=", 1) for one in given)
            self.printed.append((values, json.loads(result.stdout)["target"]))
        return result


def told(table: dict[str, Any]) -> Any:
    """Return a target as bake prints it without what says nothing, escaped nowhere."""
    plain = json.loads(json.dumps(table).replace("$${", "${").replace("%%{", "%{"))
    for one in plain.get("output", ()):
        if KEPT in one:  # exported elsewhere while bake is only asked
            one["dest"] = one.pop(KEPT)
    plain = {key: value for key, value in plain.items() if value not in ("", [], {}, ["local"])}
    plain["ulimits"] = sorted(plain.get("ulimits", ()))  # compose's are in any order
    if "args" in plain:
        plain["args"] = {key: value for key, value in plain["args"].items() if value is not None}
    return {"context": ".", "dockerfile": "Dockerfile", **plain}


def imported(folder: Path, *goals: str, commands: Commands | None = None) -> str:
    commands = commands or Direct(Path.cwd())
    ours = [Path(path.name) for path in sorted(folder.iterdir()) if scripts.is_script(path)]
    if ours:
        found = scripts.convert(commands, ours[0], goals)
    else:
        names = [name for name in BAKES if (folder / name).exists()][:1]
        if (folder / "files").exists():
            names = (folder / "files").read_text().split()
        found = bake.convert(commands, [Path(name) for name in names])
    text = "".join(f"# note: {note}\n" for note in found.notes) + found.text
    return TIME.sub("TIME", text)  # of this run


@pytest.fixture(autouse=True)
def with_just_and_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the programs of this Python's environment, also where nobody activated it."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_file_becomes_what_is_expected(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(case, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "VERSION", "TAG"):  # of this machine, and perhaps a secret
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.delenv("CI", raising=False)  # one of the files asks for it
    goals = (tmp_path / "goals").read_text().split() if (tmp_path / "goals").exists() else []
    commands = Direct(Path.cwd())
    text = imported(tmp_path, *goals, commands=commands)
    assert text == (case / "expected.toml").read_text()
    assert "hunter2" not in text
    Path("buildx.toml").write_text(text)
    (tmp_path / ".env").unlink(missing_ok=True)  # bake did not see it either
    config = loading.load(Path("buildx.toml"), environment={})
    for name in config.target:
        assert make_plan(config, [name]).bake_file["target"]
    if case.parent.name in {"bake", "compose"}:
        compare(text, commands.printed)


def compare(text: str, printed: list[tuple[dict[str, str], Any]]) -> None:
    """Both print the same, for the defaults and for each variable that stays, changed."""
    emptied = printed[0][0]  # of .env, in each question
    # Without which a tag is none: what is printed before they have a value is no image.
    named = {k for given, _ in printed for k, v in given.items() if v == STAND_IN}
    needed = {k for k in named if f'[variable.{k}]\ndefault = "{STAND_IN}"' in text}
    asked = [
        ({k: v for k, v in given.items() if v != STAND_IN and (k not in emptied or v)}, targets)
        for given, targets in printed
        if needed <= set(given)
    ]
    most = max(len(targets) for values, targets in asked if not values)
    seen = 0
    for values, targets in asked:
        kept = all(f"[variable.{name}]" in text for name in values)
        if not kept or len(targets) < most:
            continue
        seen += 1
        try:
            config = loading.load(Path("buildx.toml"), environment=values)
        except ConfigError:  # a value that was tried and is no platform, or no tag
            assert values
            continue
        assert set(config.target) == set(targets)
        for name, theirs in targets.items():
            ours = make_plan(config, [name]).bake_file["target"][name]
            assert told(ours) == told(theirs), values
    assert seen


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Makefile", "image: other\n\ttouch ran\n\tdocker build .\nother:\n\ttouch ran\n"),
        (
            "justfile",
            "x := `touch ran`\ny := shell('touch ran')\nimage: other\n    touch ran\n"
            "    docker build -t a --build-arg Y={{y}} {{x}} .\nother:\n    touch ran\n",
        ),
        ("Taskfile.yml", TASKFILE.replace("[docker", "[touch ran, docker")),
        ("build.sh", "touch ran\ndocker build $(touch ran) .\n"),
        ("package.json", '{"scripts": {"image": "touch ran && docker build ."}}'),
    ],
)
def test_no_recipe_is_run(
    tmp_path: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    imported(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("justfile", "pip install rust-just"),
        ("Taskfile.yml", "pip install go-task-bin"),
        ("Makefile", "brew install make"),
    ],
)
def test_a_program_that_is_not_here_is_named(
    tmp_path: Path, name: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # what is there is too old
    (tmp_path / "make").write_text("#!/bin/sh\necho GNU Make 3.81\n")
    (tmp_path / "make").chmod(0o755)
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match=install):
        imported(tmp_path)


def test_there_are_many() -> None:
    kinds = Counter(case.parent.name for case in CASES)
    assert min(kinds["make"], kinds["bake"], kinds["compose"]) >= 25
    assert kinds["shell"] + kinds["package"] + kinds["just"] + kinds["task"] >= 25


@pytest.mark.parametrize(
    ("name", "text", "goals", "message"),
    [
        ("Makefile", "a:\n\tdocker build .\n", ["b"], 'has no goal "b"'),
        ("Makefile", "image:\n\tdocker build .\n", ["imag"], 'did you mean "image"?'),
        ("Makefile", "a:\n\techo\n", [], "no goal of Makefile has a docker command"),
        ("Makefile", "a:\n\tdocker push x\n", [], "builds nothing with docker; Makefile:2: docker"),
        (
            "Makefile",
            "a: none\n\tdocker build .\n",
            [],
            "make cannot work out Makefile: make: No rule to make target",
        ),
        ("package.json", "{", [], "package.json has no table of scripts"),
        ("package.json", '{"scripts": [1]}', [], "package.json has no table of scripts"),
        ("package.json", '{"scripts": {"ab": "x"}}', ["abc"], 'did you mean "ab"?'),
        ("justfile", "a:\n    docker build .\n", ["b"], 'has no recipe "b"; there are: a'),
        ("justfile", "a:\n  echo\n", [], "no recipe of justfile has a docker command"),
        ("justfile", "a: b\n  docker build .\n", [], "just cannot read justfile: error: recipe"),
        ("Taskfile.yml", TASKFILE, ["imag"], 'has no task "imag"; did you mean "image"?'),
        ("Taskfile.yml", TASKFILE.replace("docker", "echo"), [], "no task of Taskfile.yml has"),
        ("Taskfile.yml", "version: 1\n", [], "task cannot read Taskfile.yml; see task"),
        ("build.sh", "echo\n", [], "build.sh builds nothing with docker"),
    ],
)
def test_what_cannot_be_imported_is_one_error(
    tmp_path: Path,
    name: str,
    text: str,
    goals: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError) as caught:
        imported(tmp_path, *goals)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def options_of(command: str) -> list[tuple[str, str]]:
    """Return the long flags that docker's own help lists, and the kind of value they take."""
    said = docker("buildx", command, "--help")
    found = re.findall(r"(?m)^\s+(?:-\w, )?(--[a-z-]+)( [\w]+)?  ", said)
    return [one for one in found if one[0] != "--help"]


@pytest.mark.parametrize("command", ["build", "create", "bake"])
def test_every_flag_of_docker_is_mapped_or_named(command: str) -> None:
    options = options_of(command)
    assert len(options) > 10
    for flag, kind in options:
        assert (flag in flags.SWITCHES) == (kind == ""), flag
        words = [flag] if flag in flags.SWITCHES else [flag, "type=x"]
        if command == "build":
            table, comments, *_ = flags.target([*words, "."])
            said = {**table, "context": ""}
        elif command == "create":
            made = flags.builder(words)
            comments = made.comments
            said = {**made.table, **made.node, "appended": made.appended}
            said = {} if said == {**flags.builder([]).table, "appended": False} else said
        else:
            told = flags.baked(words)
            comments, said = told.comments, {"x": [*told.files, *told.options]}
        mapped = bool(said and any(value for value in said.values()))
        assert mapped or flags.ELSEWHERE[flag] in comments[0], flag


def test_the_task_reads_a_makefile_and_its_goals(project: Project) -> None:
    project.write("T ?= 1\na:\n\tdocker build -t a:$(T) .\nb:\n\tdocker build -t b .\n", "Makefile")
    result = project.invoke("import", "--from", "Makefile", "a", env={"T": "hunter2"})
    assert (result.returncode, result.stdout) == (0, "wrote buildx.toml\n"), result.stderr
    assert "note: Makefile:3: docker build … of a is [target.a], equal" in result.stderr
    written = (project.folder / "buildx.toml").read_text()
    assert 'tags = [\n    "a:${T}",\n]' in written
    assert "target.b" not in written
    assert "hunter2" not in written + result.stderr
    assert "a:2" in project.ok("plan", "--set", "T=2")


DOCKERFILE = """\
FROM alpine:3.22 AS base
ARG V
ENV V=$V
FROM base AS final
COPY --from=lib file /lib-file
RUN --mount=type=secret,id=s cp /run/secrets/s /told && cat /etc/hosts > /hosts
FROM base
RUN false
"""


def test_what_make_built_and_what_the_import_builds_are_the_same(project: Project) -> None:
    """The images themselves, from a folder of its own, with files of all kinds from elsewhere."""
    for name in ("app", "lib", "docker"):
        (project.folder / name).mkdir()
    project.write("lib\n", "lib/file").write("told\n", "app/secret")
    project.write(DOCKERFILE, "docker/app.Dockerfile")
    name = f"import-{project.folder.name}".lower().replace("_", "-")
    project.write(
        "TAG ?= made\nV ?= 1.2\nimage:\n\tcd app && docker build --target final --build-arg V=$(V) \\\n"
        "\t  --label a=b --secret id=s,src=secret --build-context lib=../lib --provenance=false \\\n"
        f"\t  --add-host x:10.0.0.1 -f ../docker/app.Dockerfile -t {name}:$(TAG) .\n",
        "Makefile",
    )
    subprocess.run(["make", "image"], cwd=project.folder, check=True, capture_output=True)
    assert project.invoke("import", "--from", "Makefile").stderr.endswith("equal\n")
    project.ok("build", "--set", "TAG=imported")
    seen = {}
    for tag in ("made", "imported"):
        [image] = json.loads(docker("image", "inspect", f"{name}:{tag}"))
        seen[tag] = (image["Config"], image["RootFS"])
    docker("image", "rm", f"{name}:made", f"{name}:imported")
    assert seen["made"] == seen["imported"]
    assert "V=1.2" in seen["made"][0]["Env"]


def test_an_archive_that_a_bake_file_exports_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.tar").write_text("precious")
    said = 'target "default" {\n  output = ["type=tar,dest=a.tar"]\n}\n'
    Path("docker-bake.hcl").write_text(said)
    Path("build.sh").write_text("docker build -o type=tar,dest=a.tar .\n")
    commands = Direct(Path.cwd())
    of_bake = bake.convert(commands, [Path("docker-bake.hcl")]).text
    of_script = scripts.convert(commands, Path("build.sh"), []).text
    assert "dest=a.tar" in of_bake
    assert "dest=a.tar" in of_script
    assert Path("a.tar").read_text() == "precious"
