"""What a file says is what happens: keys, placeholders, lists, platforms, marks before the text."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks import platforms, references
from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.registry import faults

if TYPE_CHECKING:
    from pathlib import Path

TARGET = '[target.a]\nplatforms = ["linux/amd64"]\n'


def attributes(folder: Path, text: str, **environment: str) -> dict[str, Any]:
    path = folder / "buildx.toml"
    path.write_text(text)
    config = loading.load(path, environment=environment)
    return make_plan(config, ["a"]).targets[0].spec.attributes


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        attributes(folder, text)
    return str(caught.value)


def test_variables_in_keys_are_filled_in(tmp_path: Path) -> None:
    text = '[variable.ORG]\ndefault = "org.example"\n' + TARGET
    text += 'labels = { "${ORG}.title" = "x", "$${ORG}" = "y" }\n'
    text += 'args = { "A_${ORG}" = "z" }\nverify.config.labels = { "${ORG}.title" = "x" }\n'
    text += 'verify.files."/etc/${ORG}" = { exists = true }\n'
    found = attributes(tmp_path, text)
    assert found["labels"] == {"org.example.title": "x", "${ORG}": "y"}
    assert found["args"] == {"A_org.example": "z"}
    config = loading.load(tmp_path / "buildx.toml")
    assert "org.example.title" in str(config.target["a"].verify)
    assert "/etc/org.example" in str(config.target["a"].verify)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('labels = { "${OGR}" = "x" }', '${OGR} is no variable; did you mean "ORG"?'),
        ('labels = { "${ORG}" = "x", "o" = "y" }', '3:28: "o" is there already; keep one'),
        ('labels = { "${NO}" = "x" }', "[variable.NO] has no value"),
    ],
)
def test_keys_that_cannot_be_filled_in_are_refused(tmp_path: Path, line: str, message: str) -> None:
    text = f'{TARGET}{line}\n[variable.ORG]\ndefault = "o"\n[variable.NO]\n'
    assert message in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'verify.run.stdout = "{platfrom}"',
            '{platfrom} is no placeholder; did you mean "{platform}"?',
        ),
        ('verify.run.stdout = "{Platform}"', 'did you mean "{platform}"?'),
        ('verify.run.env = { X = "{tagret}" }', 'did you mean "{target}"?'),
        ('verify.files."/bin/{acrh}" = {}', 'did you mean "{arch}"?'),
        ('verify.run.args = ["{architecture}"]', 'did you mean "{arch}"?'),
        ('cache-to = ["type=registry,ref=x:{traget}"]', 'did you mean "target"?'),
        ('cache-from = ["type=registry,ref=x:{arch}"]', "a cache knows {target} and {platform}"),
    ],
)
def test_a_misspelt_placeholder_is_an_error(tmp_path: Path, line: str, message: str) -> None:
    assert message in refused(tmp_path, f"{TARGET}{line}\n")


@pytest.mark.parametrize(
    "words", ["{platform}", '{"start": 1}', "{{tags}}", "{start}", "a{2}", "{path}", "{id}"]
)
def test_other_braces_stay(tmp_path: Path, words: str) -> None:
    attributes(tmp_path, f"{TARGET}verify.run.stdout = '{words}'\n")


def test_platforms_in_one_text_are_split_as_bake_does(tmp_path: Path) -> None:
    text = '[variable.P]\ndefault = "linux/amd64"\n[target.a]\nplatforms = ["${P}"]\n'
    found = attributes(tmp_path, text, P="linux/amd64, linux/arm64")
    assert found["platforms"] == ["linux/amd64", "linux/arm64"]


def test_a_list_in_an_element_gives_one_for_each_of_its_values(tmp_path: Path) -> None:
    text = '[variable.T]\ntype = "list"\ndefault = ["dev", "v1"]\n'
    text += '[variable.R]\ndefault = ["r.io", "s.io"]\n'
    text += TARGET + 'tags = ["${R}/app:${T}", "z:1"]\n'
    assert attributes(tmp_path, text)["tags"] == [
        *("r.io/app:dev", "r.io/app:v1", "s.io/app:dev", "s.io/app:v1"),
        "z:1",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("linux/armv7", "linux/arm/v7"), ("arm/v7", "linux/arm/v7"), ("armv7l", "linux/arm/v7")),
        *(("linux/armv6", "linux/arm/v6"), ("linux/arm64v8", "linux/arm64")),
        *(("arm64/linux", "linux/arm64"), ("linux-arm64", "linux/arm64")),
        *(("linux/x64", "linux/amd64"), ("x86_64/linux", "linux/amd64")),
        *(("windows-amd64", "windows/amd64"), ("linux/arm32v7", "linux/arm/v7")),
    ],
)
def test_a_platform_by_another_name_is_answered_with_its_own(written: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f'did you mean "{meant}"'):
        platforms.parse(written)


def test_names_that_containerd_knows_are_taken() -> None:
    for text in ("aarch64", "linux/aarch64", "linux/arm64/v8"):
        assert str(platforms.parse(text)) == "linux/arm64"


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("/app:v1", 'the host name before "/" is missing'),
        (":5000/app:v1", 'the host name before ":5000/" is missing'),
        ("app:", 'there is no tag after ":"'),
        ("localhost:5000/:v1", "there is no name between two marks"),
        ("localhost:5000//app", "there is no name between two marks"),
    ],
)
def test_what_a_tag_lacks_is_said(tag: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        references.parse(tag)


@pytest.mark.parametrize("name", ["buildx.toml", "pyproject.toml"])
def test_a_byte_order_mark_is_accepted(tmp_path: Path, name: str) -> None:
    text = (
        TARGET
        if name == "buildx.toml"
        else "[tool.buildx-tasks]\n" + TARGET.replace("[target", "[tool.buildx-tasks.target")
    )
    (tmp_path / name).write_bytes(codecs.BOM_UTF8 + text.encode())
    (tmp_path / "buildx.ci.toml").write_bytes(codecs.BOM_UTF8 + b'[target.a]\ntags = ["X"]\n')
    path = loading.find(tmp_path)
    assert loading.load(path).target["a"].platforms == ["linux/amd64"]
    with pytest.raises(ConfigError, match=r"buildx.ci.toml:2:9: "):
        loading.load(path, overlays=["ci"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('[registry."docker.io"]\nmirrors = ["m"]\n', '[builder.buildkitd.registry."docker.io"]'),
        ('insecure-entitlements = ["network.host"]\n', "[builder.buildkitd] insecure-entitlements"),
        ("[worker.oci]\nmax-parallelism = 4\n", "[builder.buildkitd.worker.oci]"),
        ("debug = true\n[grpc]\n", "[builder.buildkitd] debug"),
    ],
)
def test_the_daemon_s_configuration_is_recognised(tmp_path: Path, text: str, shown: str) -> None:
    said = refused(tmp_path, text)
    assert said.startswith("buildx.toml:1:")
    assert "the configuration of BuildKit's daemon" in said
    assert shown in said
    assert f"write {shown}" in refused(tmp_path, text + TARGET)


def test_the_daemon_s_configuration_beside_a_pyproject_is_no_second_one(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text('[registry."docker.io"]\nmirrors = ["m"]\n')
    (tmp_path / "pyproject.toml").write_text('[tool.buildx-tasks.target.a]\ntags = ["x"]\n')
    assert loading.find(tmp_path).name == "pyproject.toml"


@pytest.mark.parametrize("status", [401, 403])
def test_what_docker_hub_refuses_may_lack_its_host(status: int) -> None:
    assert "a tag without one is docker.io's" in faults._meaning(status, "docker.io")
    assert "a tag without one is docker.io's" in faults.unreachable("no answer", "docker.io").fix
    assert "docker.io" not in faults.unreachable("no answer", "localhost:5000").fix
    assert "without one" not in faults._meaning(status, "ghcr.io")
