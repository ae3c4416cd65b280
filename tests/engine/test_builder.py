"""setup, clean and doctor with real builders: the engine's own, and a named remote one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import ROOT, cannot_run, docker, shell_image
from .grpc_bridge import GrpcBridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

HELLO = 'echo "Hello, $PLATFORM!"'
BINFMT = Path("/proc/sys/fs/binfmt_misc")


def builders() -> dict[str, str]:
    lines = docker("buildx", "ls", "--format", "json").splitlines()
    return {entry["Name"]: entry["Driver"] for entry in map(json.loads, lines)}


def in_use() -> str:
    lines = docker("buildx", "ls", "--format", "json").splitlines()
    return next(str(entry["Name"]) for entry in map(json.loads, lines) if entry["Current"])


@pytest.fixture
def endpoint() -> Iterator[str]:
    host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    if not host.startswith("unix://"):
        cannot_run(f"the engine is at {host}, not on this machine")
    bridge = GrpcBridge(host[len("unix://") :])
    yield bridge.endpoint
    bridge.close()


def test_a_named_docker_builder_is_made_used_and_removed(
    project: Project, name: str, registry: str
) -> None:
    project.write(f'[builder]\nname = "{name}"\n' + shell_image(name, registry, HELLO))
    result = project.invoke("build", "--progress", "quiet")
    assert result.returncode == 1
    assert f'builder "{name}" is not there or does not answer; run invoke setup' in result.stderr
    dry = project.ok("--dry", "setup")
    assert f"docker context create {name} " in dry
    assert f"docker buildx inspect --bootstrap {name}" in dry
    assert name not in builders()

    assert f'created builder "{name}" (docker' in project.ok("setup")
    assert builders()[name] == "docker"
    assert project.ok("setup") == "ready: nothing to change\n"
    project.ok("build", "--progress", "quiet")

    removed = project.ok("clean")
    assert removed.splitlines() == [
        f"removed image {registry}/{name}:v1",
        f'removed builder "{name}"',
        "removed .buildx/",
    ]
    assert name not in builders()
    assert project.ok("clean") == "nothing to remove\n"


def test_a_remote_builder_is_created_used_and_bootstrapped(
    project: Project, name: str, registry: str, endpoint: str
) -> None:
    before = in_use()
    project.write(
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{endpoint}"\n'
        + shell_image(name, registry, HELLO, stdout="Hello, {platform}!")
    )
    dry = project.ok("--dry", "setup").splitlines()
    assert dry == [
        f"docker buildx create --name {name} --driver remote {endpoint}",
        f"docker buildx use {name}",
        f"docker buildx inspect --bootstrap {name}",
    ]
    assert project.ok("setup").splitlines() == [
        f'created builder "{name}" (remote)',
        f'builder "{name}" is now the one in use',
        f'bootstrapped builder "{name}"',
        "ready",
    ]
    assert (builders()[name], in_use()) == ("remote", name)
    assert project.ok("setup") == "ready: nothing to change\n"

    # Somebody used another builder since: only that is put right.
    docker("buildx", "use", "default")
    assert project.ok("setup").splitlines()[0] == f'builder "{name}" is now the one in use'

    # Built by the remote builder, loaded into the engine's store, with the digest that bake tells.
    built = project.ok("build", "--progress", "quiet")
    assert docker("image", "inspect", "--format", "{{.Id}}", f"{registry}/{name}:v1") in built
    project.ok("verify")

    project.ok("clean")
    assert name not in builders()
    assert in_use() == before


def test_clean_leaves_what_it_did_not_make(project: Project, name: str, registry: str) -> None:
    docker("context", "create", name, "--docker", "from=default")
    project.write(f'[builder]\nname = "{name}"\n' + shell_image(name, registry, HELLO))
    project.ok("setup")
    project.ok("build", "--progress", "quiet")
    tag = f"{registry}/{name}:v1"
    docker("tag", "alpine:3.22", tag)
    project.ok("clean")
    assert docker("image", "inspect", "--format", "{{.Id}}", tag) == docker(
        "image", "inspect", "--format", "{{.Id}}", "alpine:3.22"
    )
    assert name in builders()


def test_another_driver_of_that_name_is_named(project: Project, name: str, endpoint: str) -> None:
    docker("buildx", "create", "--name", name, "--driver", "remote", endpoint)
    project.write(f'[builder]\nname = "{name}"\n[target.a]\nplatforms = ["linux/amd64"]\n')
    result = project.invoke("setup")
    assert result.returncode == 1
    assert f'builder "{name}" exists with driver remote, declared is docker' in result.stderr
    result = project.invoke("doctor")
    assert result.returncode == 1
    assert "driver remote, declared is docker" in result.stdout


def test_a_disabled_emulator_is_found_and_repaired(project: Project) -> None:
    entry = BINFMT / "qemu-s390x"
    if os.geteuid() != 0 or not entry.exists():
        cannot_run("registering emulators needs root and qemu-user-static")
    # s390x: no other test runs under this emulator.
    project.write('[target.a]\nplatforms = ["linux/s390x"]\n')
    entry.write_text("0")
    try:
        result = project.invoke("doctor")
        assert result.returncode == 1
        assert "platform linux/s390x  no emulator" in result.stdout
        assert "run invoke setup" in result.stdout
        assert "registered emulators for linux/s390x" in project.ok("setup")
        assert entry.read_text().startswith("enabled")
        assert project.ok("setup") == "ready: nothing to change\n"
    finally:
        if entry.read_text().startswith("disabled"):
            entry.write_text("1")


def test_doctor_names_each_thing_that_is_not_ok(project: Project, name: str) -> None:
    project.write(
        f'[builder]\nname = "{name}"\n[target.a]\nplatforms = ["linux/amd64"]\n'
        'tags = ["localhost:1/a:v1"]\n'
    )
    result = project.invoke("doctor")
    assert result.returncode == 1
    rows = {line.split("  ")[1].strip(): line for line in result.stdout.splitlines()[1:]}
    assert "run invoke setup" in next(line for line in rows.values() if "builder" in line)
    assert "does not answer" in next(
        line for line in rows.values() if "registry localhost:1" in line
    )
    assert f"error: not ok: builder {name}, registry localhost:1" in result.stderr


def test_the_commands_of_the_article_have_the_same_outcome(
    project: Project, name: str, registry: str, endpoint: str
) -> None:
    """create, use, inspect --bootstrap, build, as typed there; then what our tasks run."""
    tag = f"{registry}/{name}/hello-go:v0.0.1"
    # The article's default driver needs BuildKit's image from Docker Hub; remote needs none.
    docker("buildx", "create", "--name", name, "--driver", "remote", endpoint)
    docker("buildx", "use", name)
    assert "linux/arm64" in docker("buildx", "inspect", "--bootstrap")
    platforms = "linux/arm64,linux/amd64"
    folder = str(ROOT / "go-sample")
    docker("buildx", "build", "--platform", platforms, "-t", tag, "--load", folder)
    docker("buildx", "use", "default")
    theirs = contents(tag)
    docker("image", "rm", "--force", tag)

    shutil.copytree(ROOT / "go-sample", project.folder / "go-sample")
    project.write(
        '[target.hello-go]\ncontext = "go-sample"\nplatforms = ["linux/arm64", "linux/amd64"]\n'
        f'tags = ["{tag}"]\nverify.stdout = "Hello, {{platform}}!"\n'
    )
    project.ok("build", "--progress", "quiet")
    assert contents(tag) == theirs
    project.ok("verify")
    project.ok("push")


def contents(tag: str) -> dict[str, object]:
    """Layers and configuration of each platform: what an image is, whenever it was made."""
    found: dict[str, object] = {}
    for platform in ("linux/arm64", "linux/amd64"):
        image = json.loads(docker("image", "inspect", "--platform", platform, tag))[0]
        found[platform] = (image["RootFS"], image["Config"]["Cmd"], image["Config"]["WorkingDir"])
        assert docker("run", "--rm", "--platform", platform, tag) == f"Hello, {platform}!"
    return found
