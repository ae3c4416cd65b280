from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks import references
from buildx_tasks.builders.choice import FALLBACK
from buildx_tasks.building import classic_store, staging
from buildx_tasks.errors import UsageError
from buildx_tasks.language import loading
from buildx_tasks.language.config import Builder, Node
from buildx_tasks.planning.bakefile import bake_definition, build_definition
from buildx_tasks.planning.selection import Plan, make_plan
from buildx_tasks.planning.views import rows, summary
from buildx_tasks.platforms import host_platform, parse

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.targets import Config

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
    assert summary(plan, {})["targets"][0]["image"] is False


def test_the_way_to_push_is_in_the_table_and_in_json(config: Config) -> None:
    plan = make_plan(config, ["web", "files"])
    ways = {"web": staging.BY_PLATFORM}
    assert [row[:4] for row in rows(plan, ways)] == [
        ("web@linux/amd64", "localhost:5000/web:v1", "image store", "platform by platform"),
        ("web@linux/arm64", "localhost:5000/web:v1", "image store", "platform by platform"),
        (f"files@{host_platform()}", "-", "type=local,dest=out", "-"),
    ]
    pushes = {one["name"]: one["push"] for one in summary(plan, ways)["targets"]}
    assert pushes == {"web": "platform by platform", "files": None}


def test_the_way_to_push_is_that_of_builder_and_store(config: Config) -> None:
    whole = make_plan(config, ["web"]).targets[0]
    part = make_plan(config, ["web"], ["linux/arm64"]).targets[0]
    own = Builder("own", "docker")
    fleet = Builder("fleet", "remote", node=[Node("a"), Node("b")])
    asked = [
        (own, whole, True, "image store"),
        (own, whole, False, "platform by platform"),
        (own, whole, None, "unknown: no engine answers"),
        (own, part, False, "platform by platform"),
        (None, whole, True, "image store"),
        (None, whole, False, "staged"),
        (fleet, whole, None, "staged"),
        (fleet, part, None, "image store"),
        (FALLBACK, whole, None, "staged"),
    ]
    for builder, target, containerd, way in asked:
        assert staging.way(builder, target, containerd) == way


DIVIDED = """
[target.app]
platforms = ["linux/amd64", "linux/arm/v7"]
tags = ["localhost:5000/team/app:v1", "app:v1"]
contexts = { base = "target:base", one = "target:one", other = "other" }
[target.app.files]
"linux/amd64" = { program = "target:base/program" }
"linux/arm/v7" = { program = "target:base/program" }
[target.app.platform."linux/arm/v7"]
args = { FLOAT = "hard" }
[target.base]
platforms = ["linux/amd64", "linux/arm/v7", "linux/arm64"]
[target.one]
platforms = ["linux/amd64"]
[target.base--linux-amd64]
[group.all]
targets = ["app", "one"]
"""


def test_a_divided_plan_has_a_target_for_each_platform(tmp_path: Path) -> None:
    path = tmp_path / "buildx.toml"
    path.write_text(DIVIDED)
    plan = make_plan(loading.load(path), ["all"])
    divided = classic_store.divided(plan)
    amd64, arm = parse("linux/amd64"), parse("linux/arm/v7")
    # The shorter name is a declared target's.
    assert divided.parts["base"] == {
        amd64: "base--linux-amd64-",
        arm: "base--linux-arm-v7",
        parse("linux/arm64"): "base--linux-arm64",
    }
    definition = build_definition(divided.plan)
    targets = definition["target"]
    assert definition["group"]["default"]["targets"] == sorted(
        [*divided.parts["app"].values(), "one"]
    )
    first, second = (targets[name] for name in divided.parts["app"].values())
    assert first["platforms"] == ["linux/amd64"]
    assert second["platforms"] == ["linux/arm/v7"]
    assert first["tags"] == ["localhost:5000/team/app:staging-app-linux-amd64"]
    assert second["tags"] == ["localhost:5000/team/app:staging-app-linux-arm-v7"]
    assert first["output"] == second["output"] == [{"type": "docker"}]
    assert first["contexts"] == {
        "base::linux/amd64": "target:base--linux-amd64-",
        "base::linux/arm/v7": "target:base--linux-arm-v7",
        "base::linux/arm64": "target:base--linux-arm64",
        "one": "target:one",
        "other": "other",
        "files": "target:app--linux-amd64--files",
    }
    assert targets["app--linux-amd64--files"]["contexts"] == {
        "folder0": "target:base--linux-amd64-"
    }
    assert targets["app--linux-arm-v7--linux-arm-v7"]["args"] == {"FLOAT": "hard"}
    assert targets["base--linux-arm-v7"]["output"] == [{"type": "cacheonly"}]
    assert {len(one.get("platforms", "1")) for one in targets.values()} == {1}


def test_what_is_divided_is_an_image_for_a_declared_builder_with_one_node(config: Config) -> None:
    own = Builder("own", "docker")
    assert classic_store.divisible(own, make_plan(config, ["web", "files"]))
    assert not classic_store.divisible(None, make_plan(config, ["web"]))
    assert not classic_store.divisible(FALLBACK, make_plan(config, ["web"]))
    assert not classic_store.divisible(own, make_plan(config, ["cli", "files"]))


@pytest.mark.parametrize("length", [128, 110])
def test_a_part_has_a_tag_of_its_own_however_long_the_whole_one_is(
    tmp_path: Path, length: int
) -> None:
    path = tmp_path / "buildx.toml"
    whole = f"localhost:5000/app:{'x' * length}"
    path.write_text(
        f'[target.app]\nplatforms = ["linux/amd64", "linux/arm64"]\ntags = ["{whole}"]\n'
    )
    config = loading.load(path)
    found = {whole}
    for platform in ("linux/amd64", "linux/arm64"):
        (target,) = make_plan(config, ["app"], [platform]).targets
        found.update(target.tags)
        assert references.parse(target.tags[0])
    assert len(found) == 3
