"""The docker-container driver with the stand-in for its image: boot, build, keep state, push."""

from __future__ import annotations

import base64
import json
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .buildkit_image import ensure_image, remove_builder
from .conftest import docker

if TYPE_CHECKING:
    from collections.abc import Iterator

PLATFORMS = "linux/amd64,linux/arm64"
DOCKERFILE = """\
FROM scratch
ARG TARGETARCH
COPY $TARGETARCH/busybox /bin/
RUN ["/bin/busybox", "true"]
CMD ["/bin/busybox", "uname", "-m"]
"""


@pytest.fixture
def builder(name: str) -> Iterator[str]:
    """A name for a builder of the test's own; what the driver makes for it is removed."""
    yield name
    remove_builder(name)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for architecture in ("amd64", "arm64"):
        (folder / architecture).mkdir()
        argv = ["create", "--platform", f"linux/{architecture}", "alpine:3.22"]
        container = docker(*argv)
        docker("cp", f"{container}:/bin/busybox", str(folder / architecture))
        docker("rm", container)
    return folder


def create(builder: str, *options: str) -> None:
    image = f"image={ensure_image()}"
    driver = ["--driver", "docker-container", "--driver-opt", image]
    docker("buildx", "create", "--name", builder, *driver, *options)


def build(builder: str, context: Path, *options: str) -> str:
    """Build for both platforms; return what buildx said."""
    fixed = ["--builder", builder, "--platform", PLATFORMS, "--progress", "plain"]
    done = subprocess.run(
        ["docker", "buildx", "build", *fixed, *options, str(context)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def node(builder: str) -> dict[str, Any]:
    lines = map(json.loads, docker("buildx", "ls", "--format", "json").splitlines())
    only: dict[str, Any]
    (only,) = next(entry["Nodes"] for entry in lines if entry["Name"] == builder)
    return only


def test_it_boots_stops_and_keeps_its_state(builder: str, context: Path, tmp_path: Path) -> None:
    container = f"buildx_buildkit_{builder}0"
    create(builder)
    assert node(builder)["Status"] == "inactive"
    docker("buildx", "inspect", "--bootstrap", builder)
    shown = node(builder)
    assert shown["Status"] == "running"
    assert {"linux/amd64", "linux/arm64"} <= set(shown["Platforms"])
    assert shown["Flags"] == ["--allow-insecure-entitlement=network.host"]

    packed = tmp_path / "image.tar"
    assert "CACHED" not in build(builder, context, "--output", f"type=oci,dest={packed}")
    with tarfile.open(packed) as archive:
        assert "index.json" in archive.getnames()

    docker("stop", container)
    assert node(builder)["Status"] == "stopped"
    assert build(builder, context).count("CACHED") == 4

    docker("kill", container)
    assert build(builder, context).count("CACHED") == 4

    docker("buildx", "rm", "--keep-state", builder)
    assert docker("volume", "ls", "--quiet", "--filter", f"name={container}") != ""
    create(builder)
    assert build(builder, context).count("CACHED") == 4
    docker("buildx", "rm", builder)
    assert docker("volume", "ls", "--quiet", "--filter", f"name={container}") == ""


def test_flags_and_configuration_reach_it(builder: str, tmp_path: Path) -> None:
    config = tmp_path / "any-name.toml"
    config.write_text('[registry."localhost:5000"]\nhttp = true\n')
    create(
        builder,
        "--buildkitd-config",
        str(config),
        "--buildkitd-flags",
        "--debug --oci-max-parallelism 2",
    )
    docker("buildx", "inspect", "--bootstrap", builder)
    container = f"buildx_buildkit_{builder}0"
    passed = docker("exec", container, "cat", "/run/buildkit/flags").splitlines()
    kept = node(builder)["Flags"]
    assert kept == ["--debug", "--oci-max-parallelism", "2", passed[-1]]
    assert passed == ["--config", "/etc/buildkit/buildkitd.toml", *kept]
    # buildx writes the file anew: the same meaning in other bytes.
    written = docker("exec", container, "cat", "/etc/buildkit/buildkitd.toml")
    assert base64.b64decode(node(builder)["Files"]["buildkitd.toml"]).decode().strip() == written
    assert "http = true" in written


def test_it_loads_into_the_engine_and_pushes(builder: str, context: Path, registry: str) -> None:
    create(builder, "--driver-opt", "network=host")
    tag = f"{registry}/{builder}:v1"
    build(builder, context, "--tag", tag, "--load")
    container = f"buildx_buildkit_{builder}0"
    bridge = Path("/sys/class/net", docker("exec", container, "cat", "/run/buildkit/bridge"))
    assert bridge.exists()
    run = ["run", "--rm", "--network", "none", "--platform"]
    assert docker(*run, "linux/arm64", tag) == "aarch64"
    build(builder, context, "--tag", tag, "--push")
    index = json.loads(docker("buildx", "imagetools", "inspect", "--raw", tag))
    pushed = [entry["platform"]["architecture"] for entry in index["manifests"]]
    assert pushed[:2] == ["amd64", "arm64"]
    docker("buildx", "rm", builder)
    assert not bridge.exists()
