"""What [builder] may declare: worked out into nodes, or refused with the place and the fix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from buildx_tasks.builders import buildkitd, nodes
from buildx_tasks.builders.nodes import Node
from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading
from buildx_tasks.platforms import parse

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.config import Builder

ONE = '[target.a]\n[builder]\nname = "fleet"\n'
TWO = """
[[builder.node]]
name = "amd"
endpoint = "tcp://amd:1234"
platforms = ["linux/amd64"]
[[builder.node]]
endpoint = "tcp://arm:1234"
platforms = ["arm64", "linux/arm/v7"]
driver-opts = { servername = "arm.example" }
"""


def load(folder: Path, text: str) -> Builder:
    path = folder / "buildx.toml"
    path.write_text(text)
    builder = loading.load(path, environment={}).builder
    assert builder
    return builder


def test_one_node_is_declared_by_the_builder_itself(tmp_path: Path) -> None:
    text = ONE + 'driver = "docker-container"\nendpoint = "desktop"\nplatforms = ["arm64"]\n'
    (node,) = nodes.declared(load(tmp_path, text), tmp_path)
    assert node == Node("fleet0", "desktop", (parse("linux/arm64"),), {}, (), {})


def test_nodes_take_what_they_leave_out_from_the_builder(tmp_path: Path) -> None:
    text = ONE + 'driver = "remote"\ndriver-opts = { cacert = "tls/ca.pem" }\n' + TWO
    builder = load(tmp_path, text)
    amd, arm = nodes.declared(builder, tmp_path)
    assert (amd.name, arm.name) == ("amd", "fleet1")
    # A file of TLS is found from the project's folder.
    assert amd.driver_opts == {"cacert": f"{tmp_path}/tls/ca.pem"}
    assert arm.driver_opts == {"cacert": f"{tmp_path}/tls/ca.pem", "servername": "arm.example"}
    assert nodes.pinned(builder) == {parse(p) for p in ("amd64", "arm64", "linux/arm/v7")}


def test_each_node_can_have_a_configuration_of_its_own(tmp_path: Path) -> None:
    text = (
        ONE
        + 'driver = "docker-container"\nbuildkitd-flags = ["--debug"]\n'
        + "[builder.buildkitd.worker.oci]\nmax-parallelism = 2\n[[builder.node]]\n"
        + '[[builder.node]]\nendpoint = "ssh://arm"\nbuildkitd-flags = ["--trace"]\n'
        + "[builder.node.buildkitd]\ndebug = true\n"
    )
    first, second = nodes.declared(load(tmp_path, text), tmp_path)
    assert first.config == {"worker": {"oci": {"max-parallelism": 2}}}
    assert first.flags == ("--debug",)
    assert second.config == {"debug": True}
    assert second.flags == ("--trace",)


PLAIN = TWO.replace('driver-opts = { servername = "arm.example" }\n', "")
REMOTE = 'driver = "remote"\n'
CONTAINER = 'driver = "docker-container"\n'
KUBERNETES = 'driver = "kubernetes"\n'

BAD = [
    (
        'platforms = ["arm64"]',
        '4:1: driver "docker" is the engine\'s own BuildKit, which the engine',
    ),
    ("[builder.buildkitd]\ndebug = true", '4:10: driver "docker" is the engine\'s own BuildKit'),
    ("[[builder.node]]", '4:11: driver "docker" is the engine\'s own BuildKit'),
    (REMOTE, '2:2: driver "remote" needs an endpoint; add endpoint = "tcp://build-arm64:1234"'),
    (
        REMOTE + 'endpoint = "arm:1"',
        '5:12: "arm:1" is no endpoint for driver "remote"; write tcp://',
    ),
    (
        REMOTE + 'endpoint = "tcp://a:1"\nbuildkitd-flags = ["--debug"]',
        '6:1: driver "remote" is configured on its own side; remove buildkitd-flags, or use',
    ),
    (
        REMOTE + '[[builder.node]]\nendpoint = "tcp://a:1"\n[builder.node.buildkitd]\ndebug = true',
        '7:15: driver "remote" is configured on its own side; remove buildkitd, or use',
    ),
    (
        REMOTE + 'endpoint = "tcp://a:1"\ndriver-opts = { cert = "x" }',
        "6:1: TLS needs cacert and key too; add the file to driver-opts",
    ),
    (
        REMOTE + 'endpoint = "tcp://a:1"\ndriver-opts = { cacrt = "x" }',
        '6:17: driver "remote" has no option "cacrt"; did you mean "cacert"?',
    ),
    (REMOTE + 'endpoint = "tcp://a:1"\n[[builder.node]]', "5:1: [builder] has nodes, and endpoint"),
    (
        REMOTE
        + '[[builder.node]]\nendpoint = "tcp://a:1"\n[[builder.node]]\nendpoint = "tcp://a:1"',
        '8:1: endpoint "tcp://a:1" is already that of node 1; give each node one of its own',
    ),
    (
        CONTAINER + "[[builder.node]]\n[[builder.node]]",
        "6:11: the engine's own endpoint is already that of node 1",
    ),
    (
        REMOTE + PLAIN.replace('name = "amd"', 'name = "fleet1"'),
        '10:11: name "fleet1" is already that of node 1',
    ),
    (
        REMOTE + PLAIN.replace('"arm64"', '"x86_64"'),
        '12:14: platform "linux/amd64" is already that of node 1',
    ),
    (REMOTE + PLAIN.replace('"arm64"', '"arm46"'), '12:14: "arm46" is no platform'),
    (CONTAINER + 'endpoint = "http://x"', '5:12: "http://x" is no endpoint for driver "docker-con'),
    (
        CONTAINER + 'driver-opts = { memory = "much" }',
        '5:26: "much" is no value for memory; write a',
    ),
    (CONTAINER + 'driver-opts = { "env." = "x" }', '5:17: driver "docker-container" has no option'),
    (
        CONTAINER + 'driver-opts = { restart-policy = "never" }',
        '5:34: "never" is no value for restart-policy; see https://docs.docker.com/build/builders',
    ),
    (
        KUBERNETES + 'driver-opts = { replicas = "x" }',
        '5:28: "x" is no value for replicas; write a',
    ),
    (
        KUBERNETES + 'driver-opts = { loadbalance = "round" }',
        '5:31: "round" is no value for loadbalance; known: sticky, random',
    ),
    (
        KUBERNETES + 'driver-opts = { nodeselector = "arm64" }',
        '5:32: "arm64" is no value for nodeselector; write KEY=VALUE,KEY=VALUE, as in kubernetes.io',
    ),
    (
        KUBERNETES + 'endpoint = "kubernetes:///x"',
        '5:1: driver "kubernetes" has no endpoint: the current context of the kubeconfig',
    ),
    (REMOTE + 'endpoint = "tcp://[::1:1"', '5:12: "tcp://[::1:1" is no endpoint: Invalid IPv6 URL'),
    (
        CONTAINER + '[builder.buildkitd.registry."r:1"]\nca = ["a/ca.pem", "b/ca.pem"]',
        "5:29: a/ca.pem and b/ca.pem have one name, and buildx keeps them in one folder; rename one",
    ),
    ('driver = "cloud"', '2:2: driver "cloud" needs an endpoint; add endpoint = "ORG/BUILDER"'),
    ('driver = "cloud"\nendpoint = "org"', '5:12: "org" is no cloud builder; write ORG/BUILDER'),
    (
        'driver = "cloud"\n[[builder.node]]',
        '5:11: driver "cloud" brings its own nodes; remove node',
    ),
    (
        CONTAINER + '[builder.buildkitd.registry."r:1"]\nmirors = []',
        '6:1: unknown key "mirors" in [builder.buildkitd.registry.r:1]; did you mean "mirrors"?',
    ),
    (
        CONTAINER + "[builder.buildkitd.worker.oci]\nmax-parallelism = 0",
        '6:19: "max-parallelism" must be a whole number of at least 1',
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_builders_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ONE + text)
    assert str(caught.value).startswith(f"buildx.toml:{message}")


@pytest.mark.parametrize("name", ["default", "1st"])
def test_names_that_buildx_refuses(tmp_path: Path, name: str) -> None:
    text = f'[target.a]\n[builder]\nname = "{name}"\n' + CONTAINER
    with pytest.raises(ConfigError, match=r'3:8: a builder with driver "docker-container" cannot'):
        load(tmp_path, text)


def test_a_file_of_certificates_counts_by_its_content(tmp_path: Path) -> None:
    config = {"registry": {"r:1": {"ca": ["tls/ca.pem"], "http": True}}}
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("one")
    one = buildkitd.declared_form(config, tmp_path)
    (tmp_path / "tls" / "ca.pem").write_text("two")
    two = buildkitd.declared_form(config, tmp_path)
    assert one != two
    assert buildkitd.declared_form(config, tmp_path) == two
    assert config["registry"]["r:1"]["ca"] == ["tls/ca.pem"]
