"""The kubernetes driver as far as it goes without a cluster: buildx's own checks of what we send."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.language.drivers import OPTIONS

from .conftest import SAID, docker

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

# No API server listens there: what buildx asks it fails, what buildx checks itself is checked.
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
users: [{name: u, user: {}}]
"""
FLEET = """
[target.a]
[builder]
name = "{name}"
driver = "kubernetes"
driver-opts = {{ namespace = "build", "requests.cpu" = "500m" }}
[builder.buildkitd.worker.oci]
max-parallelism = 4
[[builder.node]]
name = "{name}-amd64"
platforms = ["linux/amd64"]
driver-opts = {{ replicas = "3", nodeselector = "kubernetes.io/arch=amd64" }}
[[builder.node]]
name = "{name}-arm64"
platforms = ["linux/arm64"]
driver-opts = {{ nodeselector = "kubernetes.io/arch=arm64,pool=build" }}
"""
# A good value of each option.
VALUES = {
    "annotations": "a=b,c=d",
    "buildkit-root-volume-memory": "1Gi",
    "cacert": "/ca.pem",
    "cert": "/cert.pem",
    "cgroup-parent": "/build",
    "cpu-period": "1000",
    "cpu-quota": "1000",
    "cpu-shares": "2",
    "cpuset-cpus": "0-1",
    "cpuset-mems": "0",
    "default-load": "true",
    "env.": "x",
    "image": "moby/buildkit:v0.25.0",
    "key": "/key.pem",
    "labels": "a=b",
    "limits.cpu": "2",
    "limits.ephemeral-storage": "10Gi",
    "limits.memory": "4Gi",
    "loadbalance": "random",
    "memory": "512m",
    "memory-swap": "1g",
    "namespace": "build",
    "network": "host",
    "nodeselector": "kubernetes.io/arch=arm64",
    "qemu.image": "tonistiigi/binfmt",
    "qemu.install": "true",
    "replicas": "3",
    "requests.cpu": "500m",
    "requests.ephemeral-storage": "1Gi",
    "requests.memory": "1Gi",
    "restart-policy": "on-failure:3",
    "rootless": "true",
    "schedulername": "s",
    "servername": "build.example",
    "serviceaccount": "s",
    "timeout": "1m30s",
    "tolerations": "key=a,value=b;key=c,operator=Exists",
}
DRIVERS = ["docker-container", "kubernetes", "remote"]


@pytest.fixture
def kubernetes(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return {"KUBECONFIG": str(path)}


@pytest.fixture(autouse=True)
def said() -> None:
    line = "kubernetes: exact commands, taken by buildx; there is no cluster"
    if line not in SAID:
        SAID.append(line)


def test_the_exact_commands_of_a_fleet(
    project: Project, name: str, kubernetes: dict[str, str]
) -> None:
    project.write(FLEET.format(name=name))
    result = project.invoke("--dry", "setup", env=kubernetes)
    commands = [line for line in result.stdout.splitlines() if line.startswith("docker ")]
    assert commands == [
        f"docker buildx create --name {name} --driver kubernetes --node {name}-amd64 "
        "--platform linux/amd64 --driver-opt namespace=build --driver-opt requests.cpu=500m "
        "--driver-opt replicas=3 --driver-opt nodeselector=kubernetes.io/arch=amd64 "
        f"--buildkitd-config .buildx/buildkitd-{name}-amd64.toml",
        f"docker buildx create --name {name} --driver kubernetes --append --node {name}-arm64 "
        "--platform linux/arm64 --driver-opt namespace=build --driver-opt requests.cpu=500m "
        "--driver-opt '\"nodeselector=kubernetes.io/arch=arm64,pool=build\"' "
        f"--buildkitd-config .buildx/buildkitd-{name}-arm64.toml",
        f"docker buildx use {name}",
        f"docker buildx inspect --bootstrap {name}",
    ]


def test_buildx_takes_the_whole_fleet_and_keeps_it_as_declared(
    project: Project, name: str, kubernetes: dict[str, str]
) -> None:
    project.write(FLEET.format(name=name))
    result = project.invoke("setup", env=kubernetes)
    # All but the cluster: the bootstrap asks it, and says that it does not answer.
    assert result.returncode == 1
    assert f'error: bootstrap builder "{name}": ' in result.stderr
    assert "see kubectl cluster-info" in result.stderr
    assert "127.0.0.1:1" in result.stderr
    result = project.invoke("setup", "--check", env=kubernetes)
    assert result.stdout.splitlines() == [f'bootstrap builder "{name}"']
    gone = ["buildx", "rm", "--force", "--keep-daemon", name]
    docker(*gone, KUBECONFIG=kubernetes["KUBECONFIG"])


@pytest.mark.parametrize("driver", DRIVERS)
def test_all_options_that_we_take_are_those_of_buildx(
    driver: str, name: str, kubernetes: dict[str, str]
) -> None:
    taken = {option: VALUES[option] for option in OPTIONS[driver]}
    for option, value in taken.items():
        assert re.fullmatch(OPTIONS[driver][option], value), option
    said = create(driver, taken, name, kubernetes)
    assert said == f"{name}\n"
    # What another driver takes, both refuse.
    others = {o for options in OPTIONS.values() for o in options} - taken.keys() - {"env."}
    for option in [*sorted(others)[::6], "no-such-option"]:
        said = create(driver, {option: VALUES.get(option, "x")}, name, kubernetes)
        assert f"invalid driver option {option}" in said


def create(driver: str, options: dict[str, str], name: str, env: dict[str, str]) -> str:
    argv = ["docker", "buildx", "create", "--name", name, "--driver", driver]
    for key, value in options.items():
        argv += ["--driver-opt", f'"{"env.NAME" if key == "env." else key}={value}"']
    argv += ["tcp://127.0.0.1:1"] if driver == "remote" else []
    whole = {**os.environ, **env}
    said = subprocess.run(argv, env=whole, capture_output=True, text=True, check=False)
    gone = ["docker", "buildx", "rm", "--force", "--keep-daemon", name]
    subprocess.run(gone, env=whole, capture_output=True, check=False)
    return said.stdout + said.stderr


def test_the_cloud_driver_is_missing_from_an_ordinary_buildx(project: Project, name: str) -> None:
    text = f'[target.a]\n[builder]\nname = "{name}"\ndriver = "cloud"\nendpoint = "org/builder"\n'
    project.write(text)
    result = project.invoke("setup")
    if "cloud" in docker("buildx", "create", "--help"):
        assert result.returncode == 1  # nobody is logged in
        return
    assert result.returncode == 1
    assert 'this buildx has no driver "cloud"; it has: docker, docker-container' in result.stderr
    result = project.invoke("doctor")
    assert 'this buildx has no driver "cloud"' in result.stdout
