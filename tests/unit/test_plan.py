from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks import loading
from buildx_tasks.errors import UsageError
from buildx_tasks.plan import Plan, bake_definition, make_plan, summary
from buildx_tasks.platforms import host_platform

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.expansion import Config

TEXT = """
[group.default]
targets = ["web", "tools"]
[group.tools]
targets = ["cli", "web"]
[target.web]
platforms = ["linux/amd64", "linux/arm64/v8"]
tags = ["localhost:5000/web:v1"]
args = { NAME = "$${HOME} %{x}" }
[target.cli]
platforms = ["linux/arm64"]
contexts = { files = "target:files" }
[target.files]
output = ["type=local,dest=out"]
[target.lone]
dockerfile-inline = "FROM scratch"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "buildx.toml"
    path.write_text(TEXT)
    return loading.load(path)


def cells(plan: Plan) -> list[str]:
    return [str(cell) for target in plan.targets for cell in target.cells]


def test_default_is_the_group_default_each_target_once(config: Config) -> None:
    assert cells(make_plan(config)) == [
        "web@linux/amd64",
        "web@linux/arm64",
        "cli@linux/arm64",
    ]


def test_without_a_default_group_all_targets_are_meant(tmp_path: Path) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text("[target.a]\ntags = ['a']\n[target.b]\ntags = ['b']\n")
    assert [t.name for t in make_plan(loading.load(path)).targets] == ["a", "b"]


@pytest.mark.parametrize(
    ("targets", "platforms", "expected"),
    [
        (["cli"], [], ["cli@linux/arm64"]),
        (["tools"], ["arm64"], ["cli@linux/arm64", "web@linux/arm64"]),
        (["w*", "c?i"], ["linux/amd64"], ["web@linux/amd64"]),
        (["web"], ["linux/aarch64", "linux/amd64"], ["web@linux/amd64", "web@linux/arm64"]),
        ([], ["linux/amd64"], ["web@linux/amd64"]),
        (["lone"], [], [f"lone@{host_platform()}"]),
    ],
)
def test_selection(
    config: Config, targets: list[str], platforms: list[str], expected: list[str]
) -> None:
    assert cells(make_plan(config, targets, platforms)) == expected


@pytest.mark.parametrize(
    ("targets", "platforms", "message"),
    [
        (["wbe"], [], 'unknown target "wbe"; did you mean "web"?'),
        (["zzz"], [], 'unknown target "zzz"; known: cli, default, files, lone, tools, web'),
        (["z*"], [], 'no target matches "z*"; known: cli, default, files, lone, tools, web'),
        (
            ["cli"],
            ["linux/amd64"],
            'target "cli" does not declare linux/amd64; it declares: linux/arm64',
        ),
        (
            [],
            ["linux/s390x"],
            "no selected target declares linux/s390x; declared: linux/amd64, linux/arm64",
        ),
        (
            [],
            ["linux/"],
            '--platform: "linux/" is no platform; write os/architecture[/variant], '
            "as in linux/arm64",
        ),
    ],
)
def test_a_wrong_selection_says_what_there_is(
    config: Config, targets: list[str], platforms: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        make_plan(config, targets, platforms)
    assert str(caught.value) == message
    assert caught.value.code == 2


def test_the_bake_file_has_all_that_is_selected_and_linked(config: Config) -> None:
    definition = bake_definition(make_plan(config, ["cli", "web"], ["linux/arm64"]))
    assert definition["group"] == {"default": {"targets": ["cli", "web"]}}
    assert definition["target"]["cli"] == {
        "context": ".",
        "dockerfile": "Dockerfile",
        "contexts": {"files": "target:files"},
        "platforms": ["linux/arm64"],
    }
    # Built on, not selected: bake does not export it either.
    assert definition["target"]["files"]["output"] == [{"type": "cacheonly"}]
    assert definition["target"]["web"]["platforms"] == ["linux/arm64/v8"]


def test_bake_does_not_read_our_strings_as_templates(config: Config) -> None:
    web = bake_definition(make_plan(config, ["web"]))["target"]["web"]
    assert web["args"] == {"NAME": "$${HOME} %%{x}"}


def test_what_exports_files_is_no_image(config: Config) -> None:
    plan = make_plan(config, ["files", "web"])
    assert [target.name for target in plan.images] == ["web"]
    assert summary(plan)["targets"][0]["image"] is False
