"""setup, clean and doctor with real builders: the engine's own, and a named remote one."""

from __future__ import annotations

import json
import shutil
import socket
import time
from typing import TYPE_CHECKING

import pytest

from .conftest import ROOT, builders, docker, engine_socket, in_use, shell_image
from .grpc_bridge import GrpcBridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

HELLO = 'echo "Hello, $PLATFORM!"'


@pytest.fixture
def endpoint() -> Iterator[str]:
    bridge = GrpcBridge(engine_socket())
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

    assert project.invoke("setup", "--check").returncode == 1
    assert name not in builders()
    assert project.ok("setup").splitlines() == [
        f'create builder "{name}" (docker, the engine of default)',
        f'bootstrap builder "{name}"',
        "ready",
    ]
    assert builders()[name]["Driver"] == "docker"
    assert project.ok("setup", "--check") == "as declared: nothing to change\n"
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
        f'create builder "{name}" (remote) with node "{name}0" at {endpoint}',
        f'use builder "{name}"',
        f'bootstrap builder "{name}"',
        "ready",
    ]
    assert (builders()[name]["Driver"], in_use()) == ("remote", name)
    assert project.ok("setup") == "ready: nothing to change\n"

    # Somebody used another builder since: only that is put right.
    docker("buildx", "use", "default")
    assert project.ok("setup").splitlines()[0] == f'use builder "{name}"'

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


def test_clean_builder_removes_the_builder_and_nothing_else(
    project: Project, name: str, registry: str, endpoint: str
) -> None:
    project.write(
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{endpoint}"\n'
        + shell_image(name, registry, HELLO)
    )
    project.ok("setup")
    project.ok("build", "--progress", "quiet")
    assert project.ok("clean", "--builder") == f'removed builder "{name}"\n'
    assert name not in builders()
    assert docker("image", "ls", "--quiet", f"{registry}/{name}:v1")
    assert project.ok("clean", "--builder") == "nothing to remove\n"

    # One of that name that is not the declared one stays.
    docker("context", "create", name, "--docker", "from=default")
    result = project.invoke("clean", "--builder")
    assert result.returncode == 1
    assert f'builder "{name}" has driver docker, declared is remote; it is left alone' in (
        result.stderr
    )
    assert name in builders()


def test_another_driver_of_that_name_becomes_the_declared_one(
    project: Project, name: str, endpoint: str
) -> None:
    docker("buildx", "create", "--name", name, "--driver", "remote", endpoint)
    project.write(f'[builder]\nname = "{name}"\n[target.a]\nplatforms = ["linux/amd64"]\n')
    result = project.invoke("setup", "--check")
    assert result.returncode == 1
    assert result.stdout.splitlines()[:2] == [
        f'remove builder "{name}" to make it anew: driver is remote, declared is docker',
        f'create builder "{name}" (docker, the engine of default)',
    ]
    assert "3 of these differ from what is declared; run invoke setup" in result.stderr
    assert builders()[name]["Driver"] == "remote"
    project.ok("setup")
    assert builders()[name]["Driver"] == "docker"

    # And back: the context is ours.
    project.write(
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{endpoint}"\n[target.a]\n'
    )
    assert f'remove builder "{name}": driver is docker, declared is remote' in project.ok("setup")
    assert builders()[name]["Driver"] == "remote"
    assert project.ok("setup") == "ready: nothing to change\n"


def test_a_docker_context_of_somebody_else_is_not_removed(
    project: Project, name: str, endpoint: str
) -> None:
    docker("context", "create", name, "--docker", "from=default")
    project.write(
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{endpoint}"\n[target.a]\n'
    )
    result = project.invoke("setup")
    assert result.returncode == 1
    assert f'"{name}" is a docker context that buildx-tasks did not make' in result.stderr
    assert builders()[name]["Driver"] == "docker"


def test_a_docker_context_of_somebody_else_is_not_changed(project: Project, name: str) -> None:
    address = f"unix://{project.folder}/theirs.sock"
    docker("context", "create", name, "--docker", f"host={address}")
    result = project.write(f'[builder]\nname = "{name}"\n[target.a]\n').invoke("setup")
    assert result.returncode == 1
    assert f'"{name}" is a docker context that buildx-tasks did not make' in result.stderr
    template = "{{.Endpoints.docker.Host}}"
    assert docker("context", "inspect", name, "--format", template) == address


def test_a_context_of_ours_whose_engine_is_gone_makes_way(
    project: Project, name: str, endpoint: str
) -> None:
    project.write(f'[builder]\nname = "{name}"\n[target.a]\n').ok("setup")
    docker("context", "update", name, "--docker", f"host=unix://{project.folder}/none.sock")
    remote = f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{endpoint}"\n[target.a]\n'
    project.write(remote).ok("setup")
    assert builders()[name]["Driver"] == "remote"
    docker("buildx", "rm", "--force", name)
    project.write(f'[builder]\nname = "{name}"\n[target.a]\n').ok("setup")
    docker("context", "update", name, "--docker", f"host=unix://{project.folder}/none.sock")
    assert f'removed builder "{name}"' in project.ok("clean")
    assert name not in builders()


def test_a_builder_that_buildx_builder_names_must_be_there(project: Project, name: str) -> None:
    project.write('[target.a]\ndockerfile-inline = "FROM scratch"\n')
    env = {"BUILDX_BUILDER": name}
    for task in (["setup"], ["setup", "--check"], ["build"]):
        result = project.invoke(*task, env=env)
        assert result.returncode == 1
        assert "unset" in result.stderr
    assert f'BUILDX_BUILDER names "{name}"' in project.invoke("doctor", env=env).stdout
    found = project.invoke("setup", env={"BUILDX_BUILDER": "default"})
    assert found.stdout.splitlines()[0] == 'builder "default": named by BUILDX_BUILDER'


def test_a_builder_that_hangs_holds_up_no_build(project: Project, name: str) -> None:
    """Somebody's other builder takes connections and never answers: buildx ls waits 20 s for it."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        port = deaf.getsockname()[1]
        docker("buildx", "create", "--name", name, "--driver", "remote", f"tcp://127.0.0.1:{port}")
        deaf.listen()  # only now: buildx create waits for it too
        bridge = GrpcBridge(engine_socket())
        other = f"{name}-other"
        try:
            docker("buildx", "create", "--name", other, "--driver", "remote", bridge.endpoint)
            project.write(
                f'[builder]\nname = "{other}"\ndriver = "remote"\nendpoint = "{bridge.endpoint}"\n'
                '[target.a]\ndockerfile-inline = "FROM scratch\\nCOPY f /"\n'
                'output = ["type=cacheonly"]\n'
            ).write("", "f")
            started = time.monotonic()
            project.ok("build", "--progress", "plain")
            assert time.monotonic() - started < 60
        finally:
            docker("buildx", "rm", "--force", other)
            bridge.close()


def test_the_context_behind_a_docker_builder_is_drift(project: Project, name: str) -> None:
    other = f"{name}-other"
    docker("context", "create", other, "--docker", f"host=unix://{project.folder}/none.sock")
    try:
        project.write(f'[builder]\nname = "{name}"\n[target.a]\n').ok("setup")
        project.write(f'[builder]\nname = "{name}"\nendpoint = "{other}"\n[target.a]\n')
        printed = project.invoke("setup", "--check").stdout
        assert f'change builder "{name}": it uses the engine of {other}' in printed
        project.write(f'[builder]\nname = "{name}"\nendpoint = "{name}-no"\n[target.a]\n')
        result = project.invoke("setup")
        assert result.returncode == 1
        assert f'[builder] endpoint "{name}-no" is no docker context' in result.stderr
    finally:
        docker("context", "rm", "--force", other)


def test_without_a_declared_builder_setup_says_which_is_used_and_why(
    project: Project, registry: str, name: str
) -> None:
    project.write(shell_image(name, registry, HELLO))
    assert project.ok("setup").splitlines() == [
        'builder "default": the engine\'s own, which can do all that is declared',
        "ready: nothing to change",
    ]


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
        f'tags = ["{tag}"]\nverify.run.stdout = "Hello, {{platform}}!"\n'
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
