"""``invoke init --ci``: files that the CI's own schema takes, without secrets, and kept up to date."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from buildx_tasks.errors import UsageError
from buildx_tasks.language import loading
from buildx_tasks.planning import jobs, pipelines, preparing, runs
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.starting import workflows
from buildx_tasks.starting.lines import scalar

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

    from buildx_tasks.planning.selection import Plan

PLAIN = """
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["ghcr.io/o/app:v1"]
"""
RICH = """
[ci]
runners = { "linux/arm/v7" = "board=in the drawer", "linux/riscv64" = "own-riscv" }
staging = "localhost:5000/staging"
install = 'pip install -r ci.txt # "pinned": yes'
[ci.cache]
type = "registry"
repository = "registry.gitlab.com/o/cache"
[defaults]
platforms = ["linux/amd64", "linux/arm/v7", "linux/riscv64"]
[target.base]
tags = ["ghcr.io/o/base:v1"]
secret = ["id=a,env=TOKEN_A", { id = "TOKEN_B" }, "id=c,src=file"]
push.sign = true
[target.app]
contexts.base = "target:base"
tags = ["10.0.0.1:5000/o/app:v1"]
push.mirrors = ["o/mirror"]
[target.api]
contexts.app = "target:app"
tags = ["ghcr.io/o/api:v1"]
[artifact.chart]
path = "chart"
type = "helm"
tags = ["charts.example/o/api"]
[artifact.notes]
path = "notes.md"
type = "text/markdown"
tags = ["ghcr.io/o/notes:v1"]
"""
FLAGS = ["-o", "release", "-s", "WORD=it's ${A}: b # c"]
SCHEMAS = {
    "github": ["vendor.github-workflows"],
    "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    "woodpecker": ["vendor.woodpecker-ci"],
}
ALL = pytest.mark.parametrize("system", SCHEMAS)


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "buildx.toml"
    path.write_text(text)
    return make_plan(loading.load(path, environment={}))


def require_good(system: str, folder: Path, texts: dict[str, str]) -> None:
    """Hold files to the CI's own schema."""
    paths = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[system], *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if system == "github" and shutil.which("actionlint"):
        subprocess.run(["actionlint", *paths], check=True)


@ALL
def test_the_files_are_good_by_the_ci_s_own_schema(tmp_path: Path, system: str) -> None:
    for number, (text, flags) in enumerate(((PLAIN, []), (RICH, FLAGS))):
        folder = tmp_path / str(number)
        folder.mkdir()
        plan = plan_of(folder, text)
        found = workflows.files(folder, plan, system, flags)
        assert (found.before, found.notes) == ({}, ())
        require_good(system, folder, found.after)
        # What plan hands out at run time is read by the CI, too.
        run = runs.run_of(plan, runs.Fixed("4711", "c" * 40, "1"))
        listed = jobs.jobs(run, plan, system, flags, "commit=c&tags=v1+v2")
        if system == "gitlab":
            require_good(system, folder, {"jobs.yml": json.dumps(pipelines.gitlab(listed))})
        if system == "woodpecker":
            configs = pipelines.woodpecker(listed)["configs"]
            require_good(system, folder, {f"{one['name']}.yml": one["data"] for one in configs})


def commands_in(data: Any) -> list[str]:
    """All that a shell would run."""
    if isinstance(data, dict):
        here = [data.get(key) or [] for key in ("run", "script", "before_script", "commands")]
        flat = [text for each in here for text in ([each] if isinstance(each, str) else each)]
        return flat + [text for value in data.values() for text in commands_in(value)]
    return [text for value in data for text in commands_in(value)] if isinstance(data, list) else []


@ALL
def test_secrets_come_from_the_environment_alone_and_actions_are_pinned(
    tmp_path: Path, system: str
) -> None:
    plan = plan_of(tmp_path, RICH)
    texts = list(workflows.files(tmp_path, plan, system, FLAGS).after.values())
    whole = "".join(texts)
    if system == "gitlab":
        run = runs.run_of(plan, runs.Fixed("4711", "c" * 40, "1"))
        texts.append(json.dumps(pipelines.gitlab(jobs.jobs(run, plan, system, FLAGS))))
    commands = [line for text in texts for line in commands_in(YAML(typ="safe").load(text))]
    assert not [line for line in commands if re.search(r"secrets\.|from_secret|github\.", line)]
    logins = [line for each in commands for line in each.splitlines() if "docker login" in line]
    registries = {re.search(r"docker login (\S+)", line)[1] for line in logins}  # type: ignore[index]
    assert registries == {
        "ghcr.io",
        "10.0.0.1:5000",
        "docker.io",
        "localhost:5000",
        "registry.gitlab.com",
        "charts.example",
    }
    assert all("--password-stdin" in line and line.startswith("printf %s") for line in logins)
    for name in ("TOKEN_A", "TOKEN_B"):
        if system != "gitlab":  # whose jobs have all variables in their environment
            assert name in whole
    used = re.findall(r"uses: (\S+)", whole)
    assert {one.partition("@")[0] for one in used} <= {"actions/checkout"}
    assert all(re.fullmatch(r"[0-9a-f]{40}", one.partition("@")[2]) for one in used)
    if system == "github":
        assert "packages: write" in whole
        assert "id-token: write" in whole
    assert "\n# base: push.sign needs cosign where join runs;" in whole
    if system == "gitlab":
        assert '"$CI_REGISTRY_PASSWORD" | docker login registry.gitlab.com' in "".join(commands)


def test_no_two_registries_share_a_log_in(tmp_path: Path) -> None:
    mirrors = '["a-b.io/o/app", "a.b.io/o/app", "ghcr.io/o/second"]'
    plan = plan_of(tmp_path, f"{PLAIN}[target.app.push]\nmirrors = {mirrors}\n")
    found = {one.registry: one for one in preparing.logins(plan, "github")}
    assert list(found) == ["ghcr.io", "a-b.io", "a.b.io"]
    assert len({one.password for one in found.values()}) == len(found)
    assert found["a-b.io"].user == "REGISTRY_A_B_IO_USER"
    assert found["a.b.io"].user == "REGISTRY_A_B_IO__USER"


@ALL
def test_artifacts_go_out_behind_the_images(tmp_path: Path, system: str) -> None:
    plan = plan_of(tmp_path, RICH)
    texts = list(workflows.files(tmp_path, plan, system, ["-s", "A=b"]).after.values())
    pushed = "invoke push --artifact chart --artifact notes -s A=b"
    run = runs.run_of(plan, runs.Fixed("4711", "c" * 40, "1"))
    found = jobs.jobs(run, plan, system, ["-s", "A=b"], artifacts=["chart", "notes"])
    if system == "gitlab":
        texts = [json.dumps(pipelines.gitlab(found))]
    commands = [line for text in texts for line in commands_in(YAML(typ="safe").load(text))]
    assert commands.count(pushed) == 1
    at = commands.index(pushed)
    assert "join" in commands[at - 1]
    assert "log --release-notes" in commands[at + 1]
    assert found.ending == [found.join, pushed]
    # Where nothing is joined, or a target is named, it is about images alone.
    assert jobs.jobs(run._replace(targets=()), plan, system, [], artifacts=["chart"]).ending == []
    assert jobs.jobs(run, plan, system, []).artifacts == ""


def test_a_cache_of_github_s_own_is_reached_there_and_nowhere_else(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, f'[ci.cache]\ntype = "gha"\n{PLAIN}')
    (text,) = workflows.files(tmp_path, plan, "github", []).after.values()
    assert "core.exportVariable" in text
    run = runs.run_of(plan, runs.Fixed("4711", "", "1"))
    commands = [jobs.jobs(run, plan, system, []).levels[0][0].command for system in SCHEMAS]
    assert ["scope=app-linux-amd64" in one for one in commands] == [True, False, False]


def test_overlays_reach_setup_too_and_braces_reach_the_shell(tmp_path: Path) -> None:
    found = workflows.files(tmp_path, plan_of(tmp_path, RICH), "woodpecker", FLAGS).after
    text = found[".woodpecker/images-level-0-platform.yaml"]
    (step,) = YAML(typ="safe").load(text)["steps"]
    assert step["commands"][-1] == (
        """invoke setup -o release -s 'WORD=it'"'"'s $${A}: b # c' ${CACHE} """
        'build -t ${TARGET} -p ${PLATFORM} verify part --id "$CI_PIPELINE_NUMBER"'
    )
    board = YAML(typ="safe").load(found[".woodpecker/images-level-1-board.yaml"])
    assert board["labels"] == {"board": "${RUNNER}"}
    assert board["matrix"]["include"][0]["RUNNER"] == "in the drawer"
    assert board["depends_on"] == ["images-level-0-platform", "images-level-0-board"]


def test_woodpecker_fills_in_nothing_that_is_the_shell_s(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, RICH.replace("pip install -r ci.txt", "pip install $${PIP_FLAGS}"))
    flags = ["-s", "WORD=${A}"]
    texts = list(workflows.files(tmp_path, plan, "woodpecker", flags).after.values())
    run = runs.run_of(plan, runs.Fixed("4711", "c" * 40, "1"))
    configs = pipelines.woodpecker(jobs.jobs(run, plan, "woodpecker", flags))["configs"]
    texts += [one["data"] for one in configs]
    commands = [line for text in texts for line in commands_in(YAML(typ="safe").load(text))]
    own = re.compile(r"(?<!\$)\$\{(?!TARGET|PLATFORM|RUNNER|CACHE)")
    assert [line for line in commands if own.search(line)] == []
    assert any("'WORD=$${A}'" in line for line in commands)
    assert any("join" in line and "$${A}" in line for line in commands)


def test_what_differs_is_shown_and_only_what_init_wrote_is_replaced(project: Project) -> None:
    project.write(PLAIN)
    for flags in ((), ("--check",)):
        done = project.invoke("init", "--ci", "github", *flags)
        assert done.returncode == len(flags)
        assert "+++ b/.github/workflows/images.yml" in done.stdout
        assert not (project.folder / ".github").exists()
    assert "images.yml differ: see above; --yes in place of --check writes" in done.stderr
    project.ok("init", "--ci", "github", "--yes")
    assert project.ok("init", "--ci", "github", "--check").startswith("as it would be written")
    project.write(RICH)
    done = project.invoke("init", "--ci", "github", "--check")
    assert done.returncode == 1
    assert "+  level-1:\n" in done.stdout
    assert "-      - run: pipx install --include-deps buildx-tasks\n" in done.stdout
    file = project.folder / ".github" / "workflows" / "images.yml"
    file.write_text("name: mine\n")
    done = project.invoke("init", "--ci", "github", "--yes")
    assert done.returncode == 2
    assert "is there already, and init did not write it" in done.stderr
    assert file.read_text() == "name: mine\n"
    for words, said in (
        (("--ci", "gitlub"), 'unknown kind "gitlub"; did you mean "gitlab"?'),
        (("--check",), "--check is that of --ci"),
    ):
        done = project.invoke("init", *words)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_what_is_left_to_be_done_by_hand_is_told(tmp_path: Path) -> None:
    root = tmp_path / ".gitlab-ci.yml"
    root.write_text("build: { script: [make] }\n")
    found = workflows.files(tmp_path, plan_of(tmp_path, PLAIN), "gitlab", [])
    assert list(found.after) == [".gitlab/images.yml"]
    assert found.notes == (
        ".gitlab-ci.yml does not include .gitlab/images.yml; add include: .gitlab/images.yml",
    )
    root.write_text("include: [.gitlab/images.yml]\n")
    assert workflows.files(tmp_path, plan_of(tmp_path, PLAIN), "gitlab", []).notes == ()
    for name, text in workflows.files(
        tmp_path, plan_of(tmp_path, RICH), "woodpecker", []
    ).after.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = workflows.files(tmp_path, plan_of(tmp_path, PLAIN), "woodpecker", [])
    assert ".woodpecker/images-level-2-board.yaml is not needed any more; remove it" in found.notes
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub").mkdir()
    with pytest.raises(UsageError, match="is not of one line"):
        workflows.files(tmp_path, plan_of(tmp_path, PLAIN), "github", ["-s", "A=a\nb"])
    with pytest.raises(UsageError, match="is not the top folder of its repository"):
        workflows.files(tmp_path / "sub", plan_of(tmp_path / "sub", PLAIN), "github", [])


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp", "Co"])))
def test_yaml_reads_every_text_as_it_was(text: str) -> None:
    assert YAML(typ="safe").load(f"a:\n  b: {scalar(text)}\n  c: [x]\n")["a"]["b"] == text
    assert YAML(typ="safe").load(f"- {scalar(text)}\n- x\n")[0] == text
