"""Two targets that write one place are refused; {target} and {platform} tell caches apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.building import classic_store
from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading
from buildx_tasks.planning import shared_places
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.selection import Plan, make_plan

if TYPE_CHECKING:
    from pathlib import Path

TWO = '[defaults]\nplatforms = ["linux/amd64"]\n{line}\n[target.a]\n[target.b]\n'


def plan(folder: Path, text: str, *targets: str, platforms: tuple[str, ...] = ()) -> Plan:
    path = folder / "buildx.toml"
    path.write_text(text)
    return make_plan(loading.load(path, environment={}), targets, platforms)


def targets(of: Plan) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = bake_definition(of)["target"]
    return found


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('cache-to = ["type=local,dest=./.c/"]', '.c"'),
        ('cache-to = ["type=registry,ref=r.io/x:c"]', 'r.io/x:c"'),
        ('cache-to = ["r.io/x"]', 'r.io/x:latest"'),
        ('cache-to = ["type=gha"]', 'buildkit"'),
        ('cache-to = ["type=gha,scope=s,mode=max"]', 's"'),
        ('cache-to = ["type=s3,bucket=b,region=r,name=n"]', 'n"'),
        ('output = ["type=tar,dest=out.tar"]', 'out.tar"'),
        ('output = ["type=oci,dest=./out/x.tar"]', 'out/x.tar"'),
        ('output = ["type=oci,tar=false,dest=layout"]', 'layout"'),
        ('output = ["type=image,name=r.io/x:1"]', 'r.io/x:1"'),
        ('tags = ["x"]', 'x"'),
    ],
)
def test_one_place_of_two_targets_is_refused(tmp_path: Path, line: str, place: str) -> None:
    with pytest.raises(ConfigError, match=r"^buildx.toml:3:\d+: ") as caught:
        plan(tmp_path, TWO.format(line=line))
    assert place in str(caught.value)
    assert 'target "a"' in str(caught.value)
    plan(tmp_path, TWO.format(line=line), "b")  # only what is selected counts


@pytest.mark.parametrize(
    "line",
    [
        'cache-to = ["type=local,dest=.c/{target}"]',
        'cache-to = ["type=registry,ref=r.io/x:{target}-{platform}"]',
        'cache-to = ["type=gha,scope={target}"]',
        'cache-to = ["type=inline"]',
        'output = ["type=local,dest=out"]',
        'cache-from = ["type=registry,ref=r.io/x:c"]',
    ],
)
def test_other_places_are_not(tmp_path: Path, line: str) -> None:
    plan(tmp_path, TWO.format(line=line))


def test_a_layout_keeps_images_apart_that_have_names(tmp_path: Path) -> None:
    text = TWO.format(line='output = ["type=oci,tar=false,dest=layout"]')
    plan(tmp_path, text.replace("[target.b]", 'tags = ["a"]\n[target.b]\ntags = ["b"]'))


@pytest.mark.parametrize(
    "line", ['tags = ["r.io/x:1"]', 'output = ["type=registry,name=r.io/x:1"]']
)
def test_a_cache_does_not_replace_the_image(tmp_path: Path, line: str) -> None:
    text = f'[target.a]\nplatforms = ["linux/amd64"]\n{line}\ncache-to = ["r.io/x:1"]\n'
    with pytest.raises(ConfigError, match=r"^buildx.toml:4:13: .* is where its image goes"):
        plan(tmp_path, text)


def test_a_linked_target_writes_its_cache_too(tmp_path: Path) -> None:
    text = TWO.format(line='cache-to = ["type=local,dest=.c"]')
    with pytest.raises(ConfigError, match=r'\.c" is already written'):
        plan(tmp_path, f'{text}contexts = {{ a = "target:a" }}\n', "b")


CACHES = """
[target.a]
platforms = ["linux/amd64", "linux/arm/v7"]
cache-from = ["type=registry,ref=r.io/c:{target}-{platform}"]
cache-to = ["type=registry,ref=r.io/c:{target}-{platform}"]
"""


def test_target_and_platform_are_filled_in(tmp_path: Path) -> None:
    its = targets(plan(tmp_path, CACHES, platforms=("linux/arm/v7",)))["a"]
    assert its["cache-to"] == [{"type": "registry", "ref": "r.io/c:a-linux-arm-v7"}]
    assert its["cache-from"] == its["cache-to"]


def test_of_several_platforms_all_caches_are_read_and_none_of_one_is_written(
    tmp_path: Path,
) -> None:
    whole = plan(tmp_path, CACHES)
    with pytest.raises(
        ConfigError, match=r"^buildx.toml:5:1: \[target.a\] cache-to: {platform} .* -p"
    ):
        targets(whole)
    text = "\n".join(line for line in CACHES.splitlines() if "cache-to" not in line)
    its = targets(plan(tmp_path, text))["a"]
    assert [one["ref"] for one in its["cache-from"]] == [
        "r.io/c:a-linux-amd64",
        "r.io/c:a-linux-arm-v7",
    ]


def test_parts_of_a_classic_store_are_of_one_platform(tmp_path: Path) -> None:
    parts = targets(classic_store.divided(plan(tmp_path, CACHES)).plan)
    refs = [one["cache-to"][0]["ref"] for one in parts.values()]
    assert len(set(refs)) == len(refs) == 2


def test_overrides_of_a_platform_read_their_own_cache(tmp_path: Path) -> None:
    text = "\n".join(line for line in CACHES.splitlines() if "cache-to" not in line)
    text += '\n[target.a.platform."linux/arm/v7"]\nargs = { A = "1" }\n'
    its = targets(plan(tmp_path, text))
    assert [one["ref"] for one in its["a--linux-arm-v7"]["cache-from"]] == ["r.io/c:a-linux-arm-v7"]


def test_targets_that_export_to_one_folder_are_told(tmp_path: Path) -> None:
    text = TWO.format(line='output = ["type=local,dest=./out/"]')
    assert shared_places.folders(plan(tmp_path, text).targets) == {"out": ["a", "b"]}
    assert shared_places.folders(plan(tmp_path, text, "b").targets) == {}
