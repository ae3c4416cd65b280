"""Declared against actual, field by field, without buildx."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from buildx_tasks.builders.nodes import Node
from buildx_tasks.builders.reconcile import creation, differences, leaving
from buildx_tasks.builders.state import NodeState
from buildx_tasks.language.config import Builder
from buildx_tasks.platforms import parse

HERE = Path(__file__).parent
ARM, AMD = parse("arm64"), parse("amd64")
NODE = Node("n", "tcp://n:1", (ARM,), {"key": "/k"}, ("--debug",), {"debug": True})
SAME = NodeState(
    "n",
    "tcp://n:1",
    "running",
    (ARM, AMD),
    {"key": "/k"},
    ("--debug", "--allow-insecure-entitlement=network.host"),
    {"buildkitd.toml": base64.b64encode(b"debug = true\n\n[registry]\n").decode()},
)


def differing(
    node: Node = NODE, state: NodeState = SAME, pins: tuple[str, ...] = ("arm64",)
) -> str:
    found = differences(node, state, frozenset(map(parse, pins)), HERE, {"desk": "unix:///desk"})
    return "; ".join(found)


def test_what_buildx_adds_is_no_difference() -> None:
    state = SAME._replace(files={"buildkitd.toml": base64.b64encode(b"debug = true\n").decode()})
    assert differing(state=state) == ""


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SAME._replace(endpoint="tcp://m:1"), "endpoint is tcp://m:1, declared is tcp://n:1"),
        (SAME._replace(driver_opts={}), "driver-opts differ in key"),
        (SAME._replace(driver_opts={"key": "/k", "cert": "/c"}), "driver-opts differ in cert"),
        (SAME._replace(flags=()), "buildkitd-flags are none, declared are --debug"),
        (SAME._replace(files={}), "the configuration of buildkitd differs"),
    ],
)
def test_each_field_is_compared(state: NodeState, words: str) -> None:
    assert differing(state=state) == words


def test_platforms_and_undeclared_endpoints() -> None:
    assert differing(pins=()) == "platforms are none, declared are linux/arm64"
    assert differing(pins=("arm64", "amd64")) == (
        "platforms are linux/amd64, linux/arm64, declared are linux/arm64"
    )
    # buildx's own choice is as good as any; a docker context is the address behind it.
    assert differing(NODE._replace(endpoint="")) == ""
    assert differing(NODE._replace(endpoint="desk"), SAME._replace(endpoint="unix:///desk")) == ""


def test_a_flag_that_is_declared_and_added_too_is_the_same() -> None:
    flags = ("--allow-insecure-entitlement=network.host",)
    assert differing(NODE._replace(flags=flags), SAME._replace(flags=flags)) == ""


def test_the_exact_commands_of_a_kubernetes_fleet() -> None:
    builder = Builder("fleet", "kubernetes")
    arch = "kubernetes.io/arch"
    found = creation(
        builder,
        [
            Node("fleet0", "", (AMD,), {"replicas": "3", "nodeselector": f"{arch}=amd64"}, (), {}),
            Node("arm", "", (ARM,), {"nodeselector": f"{arch}=arm64,a=b"}, ("--oci-worker",), {}),
        ],
    )
    assert [change.commands for change in found] == [
        (
            (
                *("docker", "buildx", "create", "--name", "fleet", "--driver", "kubernetes"),
                *("--platform", "linux/amd64", "--driver-opt", "replicas=3"),
                *("--driver-opt", f"nodeselector={arch}=amd64"),
            ),
        ),
        (
            (
                *("docker", "buildx", "create", "--name", "fleet", "--driver", "kubernetes"),
                *("--append", "--node", "arm", "--platform", "linux/arm64"),
                *("--driver-opt", f'"nodeselector={arch}=arm64,a=b"'),
                *("--buildkitd-flags", "--oci-worker"),
            ),
        ),
    ]
    assert [change.event for change in found] == ["created", ""]


def test_a_node_that_buildx_started_stops_when_it_leaves() -> None:
    builder = Builder("fleet", "kubernetes")
    state = NodeState(
        "old", "kubernetes:///fleet?deployment=old", "running", (), {"namespace": "bk"}
    )
    commands = leaving(builder, state).commands
    assert [" ".join(argv) for argv in commands] == [
        "docker buildx create --name fleet-leaving-old --driver kubernetes --node old "
        "--driver-opt namespace=bk",
        "docker buildx rm --force fleet-leaving-old",
        "docker buildx create --name fleet --node old --leave",
    ]
    remote = leaving(Builder("fleet", "remote"), state).commands
    assert [" ".join(argv) for argv in remote] == [
        "docker buildx create --name fleet --node old --leave"
    ]
