"""The jobs of a run: levels, runners, commands; and which targets changed files change."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading
from buildx_tasks.planning import changes, jobs, pipelines, runs
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.planning.selection import Plan

TOML = """
[ci]
runners = { "linux/riscv64" = "own-riscv" }
staging = "localhost:5000/staging"
[defaults]
platforms = ["linux/amd64", "linux/arm/v7", "linux/riscv64"]
[target._base]
context = "base"
[target.app]
context = "app"
contexts.base = "target:_base"
tags = ["localhost:5000/app:v1"]
verify.run = { mounts = [{ source = "data", target = "/data" }] }
[target.api]
context = "api"
contexts.app = "target:app"
tags = ["localhost:5000/api:v1"]
[target.other]
context = "other"
dockerfile = "../docker/other"
tags = ["localhost:5000/other:v1"]
files = { "linux/amd64" = "dist/amd64/x", "linux/arm/v7" = "dist/arm/x", "linux/riscv64" = "dist/r/x" }
"""
FIXED = runs.Fixed("4711", "c" * 40, "1700000000")


def plan_of(folder: Path, text: str = TOML, *targets: str) -> Plan:
    path = folder / "buildx.toml"
    path.write_text(text)
    return make_plan(loading.load(path, environment={}), targets)


def test_targets_are_above_those_that_they_build_on(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    found = jobs.jobs(runs.run_of(plan, FIXED), plan, "github", ["-s", "V=a b"])
    levels = [list(dict.fromkeys(job.target for job in level)) for level in found.levels]
    assert levels == [["app", "other"], ["api"]]
    assert [job.runner for job in found.levels[1]] == [
        "ubuntu-24.04",
        "ubuntu-24.04-arm",
        "own-riscv",
    ]
    assert found.levels[1][1].command == (
        "invoke setup -s 'V=a b' build -t api -p linux/arm/v7 verify part --id 4711"
    )
    assert found.join == "invoke join --id 4711 -t app -t api -t other -s 'V=a b'"
    assert jobs.summary(found)["targets"][1]["parts"][1] == (
        "localhost:5000/staging:part-4711-api-linux-arm-v7"
    )
    assert [row[0] for row in jobs.rows(found)] == ["0"] * 6 + ["1"] * 3 + ["-"]


def test_each_ci_gets_its_own_form(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    run = runs.run_of(plan, FIXED)
    github = pipelines.github(jobs.jobs(run, plan, "github", []))
    assert [len(level["include"]) for level in github["levels"]] == [6, 3]
    assert github["environment"] == {"SOURCE_DATE_EPOCH": "1700000000"}
    gitlab = pipelines.gitlab(jobs.jobs(run, plan, "gitlab", []))
    assert gitlab["stages"] == ["level-0", "level-1", "join"]
    assert gitlab["api-linux-arm-v7"]["tags"] == ["saas-linux-small-arm64"]
    assert gitlab["variables"]["SOURCE_DATE_EPOCH"] == "1700000000"
    woodpecker = pipelines.woodpecker(jobs.jobs(run, plan, "woodpecker", []))
    by_name = {one["name"]: json.loads(one["data"]) for one in woodpecker["configs"]}
    assert by_name["api-linux-riscv64"]["labels"] == {"platform": "own-riscv"}
    assert len(by_name["api-linux-riscv64"]["depends_on"]) == 6
    assert len(by_name["join"]["depends_on"]) == 3
    nothing = jobs.jobs(run._replace(targets=()), plan, "github", [])
    assert (nothing.levels, nothing.join, jobs.rows(nothing)) == ((), "", [])
    assert pipelines.woodpecker(nothing) == {"configs": []}
    assert list(pipelines.gitlab(nothing)) == ["nothing-changed"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ('context = "app"', 'context = "app"\nargs.A = "1"'),
        ('context = "base"', 'context = "base"\nargs.A = "1"'),
        ("localhost:5000/app:v1", "localhost:5000/app:v2"),
        ("verify.run = {", "verify.run = { timeout = 3,"),
        ('"linux/riscv64"]', '"linux/riscv64", "linux/arm64"]'),
        ('context = "api"', 'context = "api"\nargs.A = "1"'),
    ],
)
def test_the_hash_stands_for_all_that_a_part_is_made_and_judged_by(
    tmp_path: Path, old: str, new: str
) -> None:
    toml = TOML.partition("[target.other]")[0]
    before = runs.run_of(plan_of(tmp_path, toml, "app"), FIXED).targets[0].hash
    after = runs.run_of(plan_of(tmp_path, toml.replace(old, new), "app"), FIXED).targets[0].hash
    assert (before == after) == (old == "" or "api" in old)
    for other in (FIXED._replace(id="1"), FIXED._replace(commit=""), FIXED._replace(epoch="1")):
        assert runs.run_of(plan_of(tmp_path, toml, "app"), other).targets[0].hash != before


def test_a_runner_without_an_optional_secret_has_the_same_plan(tmp_path: Path) -> None:
    given = 'secret = [{ id = "token", env = "TOKEN", optional = true }]\n'
    text = TOML.replace('context = "app"\n', f'context = "app"\n{given}')
    path = tmp_path / "buildx.toml"
    path.write_text(text)
    hashes = {
        runs.run_of(make_plan(loading.load(path, environment=known), ["app"]), FIXED)
        .targets[0]
        .hash
        for known in ({}, {"TOKEN": "x"})
    }
    assert len(hashes) == 1


@pytest.mark.parametrize("text", ["", "-x", "a b", "a/b", "x" * 41, "ä"])
def test_an_id_is_a_part_of_a_tag(text: str) -> None:
    with pytest.raises(UsageError, match="--id"):
        runs.require_id(text)


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("base/x", ["app", "api"]),
        ("app/Dockerfile", ["app", "api"]),
        ("api/deep/x", ["api"]),
        ("data", ["app", "api"]),
        ("dist/arm/x", ["other"]),
        ("docker/other", ["other"]),
        ("docker/else", []),
        ("README.md", []),
        ("application", []),
        ("buildx.release.toml", ["app", "api", "other"]),
        ("buildx.lock", ["app", "api", "other"]),
        ("../elsewhere", []),
    ],
)
def test_changed_files_change_what_is_made_of_them(
    tmp_path: Path, file: str, found: list[str]
) -> None:
    plan = plan_of(tmp_path)
    names = [target.name for target in plan.targets]
    assert changes.changed(plan.config, tmp_path, [tmp_path / file], names) == found


ELSEWHERE = """
[target.remote]
context = "https://example.com/x.git"
dockerfile = "cwd://docker/remote"
[target.local]
context = "sub"
dockerfile = "cwd://docker/local"
contexts.base = "oci-layout://layouts/base:v1"
[[target.local.verify.check]]
name = "structure"
structure-test = "tests/{arch}/structure.yaml"
[[target.local.verify.check]]
name = "goss"
goss = { file = "goss/app.yaml", wait = "ready.yaml", mounts = [{ source = "seed", target = "/s" }] }
[[target.local.verify.check]]
name = "scan"
command = ["./scan.sh", "{oci}", ".", "--ignore", "scan/ignored", "--rules=scan/rules.yaml"]
"""


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ("docker/remote", ["remote"]),
        ("docker/local", ["local"]),
        ("docker/local.dockerignore", ["local"]),
        ("docker/other", []),
        ("layouts/base/index.json", ["local"]),
        ("tests/arm64/structure.yaml", ["local"]),
        ("goss/app.yaml", ["local"]),
        ("goss/included.yaml", ["local"]),
        ("ready.yaml", ["local"]),
        ("seed", ["local"]),
        ("scan.sh", ["local"]),
        ("scan/ignored", ["local"]),
        ("scan/rules.yaml", ["local"]),
        ("README.md", []),
    ],
)
def test_files_outside_of_contexts_and_those_of_checks_change_what_they_make(
    tmp_path: Path, file: str, found: list[str]
) -> None:
    plan = plan_of(tmp_path, ELSEWHERE, "remote", "local")
    assert changes.changed(plan.config, tmp_path, [tmp_path / file], ["remote", "local"]) == found


def caches_of(folder: Path, table: str, *, declared: str = "") -> dict[str, list[str]]:
    """The flags that keep caches, by job."""
    text = TOML.replace("[defaults]", f"{table}\n[defaults]").replace(
        'context = "app"\n', f'context = "app"\n{declared}\n'
    )
    plan = plan_of(folder, text)
    found = jobs.jobs(runs.run_of(plan, FIXED), plan, "github", [])
    listed = [job for level in found.levels for job in level]
    assert "cache" not in found.join
    return {job.name: [w for w in shlex.split(job.command) if ".cache-" in w] for job in listed}


def test_each_job_has_a_cache_of_its_own_and_reads_those_it_builds_on(tmp_path: Path) -> None:
    found = caches_of(tmp_path, '[ci.cache]\ntype = "registry"')
    place = "type=registry,ref=localhost:5000/staging:cache"
    assert found["api-linux-arm-v7"] == [
        f"api.cache-to={place}-api-linux-arm-v7,mode=max,ignore-error=true",
        f"api.cache-from={place}-api-linux-arm-v7",
        f"app.cache-from={place}-app-linux-arm-v7",
        f"_base.cache-from={place}-api-linux-arm-v7",  # no job makes it
    ]
    written = [flag for flags in found.values() for flag in flags if ".cache-to=" in flag]
    assert len(set(written)) == len(found) == 9
    found = caches_of(
        tmp_path, '[ci.cache]\ntype = "registry"\nrepository = "ghcr.io/o/c"\nmode = "min"'
    )
    assert found["other-linux-amd64"] == [
        "other.cache-to=type=registry,ref=ghcr.io/o/c:cache-other-linux-amd64,mode=min,ignore-error=true",
        "other.cache-from=type=registry,ref=ghcr.io/o/c:cache-other-linux-amd64",
    ]
    found = caches_of(tmp_path, '[ci.cache]\ntype = "gha"', declared='cache-from = ["type=gha"]')
    assert found["app-linux-amd64"] == [
        "app.cache-to=type=gha,scope=app-linux-amd64,mode=max,ignore-error=true",
        "_base.cache-from=type=gha,scope=app-linux-amd64",
    ]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('repository = "localhost:5000/x:v1"', "as in localhost:5000/cache"),
        ('type = "gha"\nrepository = "localhost:5000/x"', 'or write type = "registry"'),
        ('type = "s3"', "gha"),
    ],
)
def test_a_cache_that_cannot_be_is_refused(tmp_path: Path, table: str, said: str) -> None:
    head = "" if "type" in table else 'type = "registry"\n'
    with pytest.raises(ConfigError, match=said):
        plan_of(tmp_path, f"[ci.cache]\n{head}{table}\n[target.app]\n")


@pytest.mark.parametrize(
    ("command", "written"),
    [
        ("echo $A ${B}", "echo $A $${B}"),
        ("A='a$$b'", "A='a$$$b'"),
        ("$${C}", "$$$${C}"),
        ("a$", "a$"),
    ],
)
def test_woodpecker_gets_what_it_then_hands_on(command: str, written: str) -> None:
    assert pipelines.literal(command) == written
    assert re.sub(r"\$\$", "$", written) == command  # as its envsubst reads it
