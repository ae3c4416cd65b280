"""The docker-container driver: exact commands and files, and for real where BuildKit's image is.

Docker Hub cannot be reached from here, so BuildKit's image is a stand-in of the engine's own BuildKit
(see buildkit_image.py) unless the real one is on the engine: the summary of the tests says which.
"""

from __future__ import annotations

import base64
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.records import builds

from . import buildkit_image
from .conftest import SAID, builders, docker, in_use

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Project

REAL = "moby/buildkit:buildx-stable-1"
HELLO = 'echo "Hello, $PLATFORM!"'


@pytest.fixture(scope="module")
def image() -> str:
    if docker("image", "ls", "--quiet", REAL):
        SAID.append(f"docker-container: with the real {REAL}")
        return REAL
    stand_in = buildkit_image.ensure_image()
    SAID.append(
        f"docker-container: with a stand-in for {REAL}, the engine's own BuildKit: {stand_in}"
    )
    return stand_in


@pytest.fixture
def builder(name: str) -> Iterator[str]:
    yield name
    buildkit_image.remove_builder(name)


def declared(name: str, image: str, more: str = "") -> str:
    return (
        f'[builder]\nname = "{name}"\ndriver = "docker-container"\n'
        f'driver-opts = {{ image = "{image}", network = "host", "env.LIST" = "a,b" }}\n{more}\n'
    )


CONFIG = """
buildkitd-flags = ["--debug"]
platforms = ["linux/amd64", "linux/arm64"]
[builder.buildkitd]
debug = true
[builder.buildkitd.registry."docker.io"]
mirrors = ["mirror.example:5000"]
[builder.buildkitd.registry."mirror.example:5000"]
http = true
ca = ["tls/ca.pem"]
[builder.buildkitd.worker.oci]
max-parallelism = 4
gc = true
gcpolicy = [{ all = true, reservedSpace = "1GB" }]
[builder.buildkitd.dns]
nameservers = ["192.0.2.1"]
"""


COPIES = """
[target.a]
dockerfile-inline = "FROM scratch\\nCOPY f /"
output = ["type=cacheonly"]
"""


def only_node(name: str) -> dict[str, object]:
    (node,) = builders()[name]["Nodes"]
    return dict(node)


def test_the_exact_commands_and_files(project: Project, builder: str) -> None:
    project.write(declared(builder, "buildkit:x", CONFIG) + "[target.a]\n")
    lines = project.ok("--dry", "setup").splitlines()
    end = lines.index("EOF")
    assert lines[0] == (f"mkdir -p .buildx && cat > .buildx/buildkitd-{builder}0.toml <<'EOF'")
    assert lines[1:end] == [
        "debug = true",
        "",
        '[registry."docker.io"]',
        "mirrors = [",
        '    "mirror.example:5000",',
        "]",
        "",
        '[registry."mirror.example:5000"]',
        "http = true",
        "ca = [",
        '    "tls/ca.pem",',
        "]",
        "",
        "[worker.oci]",
        "max-parallelism = 4",
        "gc = true",
        "gcpolicy = [",
        '    { all = true, reservedSpace = "1GB" },',
        "]",
        "",
        "[dns]",
        "nameservers = [",
        '    "192.0.2.1",',
        "]",
    ]
    assert lines[end + 1 :] == [
        f"docker buildx create --name {builder} --driver docker-container "
        "--platform linux/amd64,linux/arm64 --driver-opt image=buildkit:x --driver-opt network=host "
        "--driver-opt '\"env.LIST=a,b\"' --buildkitd-flags --debug "
        f"--buildkitd-config .buildx/buildkitd-{builder}0.toml",
        f"docker buildx use {builder}",
        f"docker buildx inspect --bootstrap {builder}",
    ]


def test_it_builds_and_its_images_land_in_the_engine(
    project: Project, builder: str, image: str, registry: str
) -> None:
    (project.folder / "tls").mkdir()
    (project.folder / "tls" / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    text = declared(builder, image, CONFIG.replace("docker.io", "other.example"))
    binary = project.folder / "busybox"
    binary.write_text("")
    project.write(
        text + f'[target.a]\ndockerfile-inline = """\nFROM scratch\nCOPY busybox /\n"""\n'
        f'platforms = ["linux/amd64", "linux/arm64"]\ntags = ["{registry}/{builder}:v1"]\n'
    )
    assert project.ok("setup").splitlines() == [
        f'create builder "{builder}" (docker-container) with node "{builder}0"',
        f'use builder "{builder}"',
        f'bootstrap builder "{builder}"',
        "ready",
    ]
    assert in_use() == builder
    # What buildx adds by itself (a flag, its own form of the file) is no drift.
    assert project.ok("setup") == "ready: nothing to change\n"
    node = only_node(builder)
    assert node["Status"] == "running"
    assert node["Flags"] == ["--debug", "--allow-insecure-entitlement=network.host"]
    stored = base64.b64decode(node["Files"]["buildkitd.toml"]).decode()  # type: ignore[index]
    assert "max-parallelism = 4" in stored
    project.ok("build", "--progress", "plain")
    # What buildx shows itself is recorded, too, as this builder has it.
    (record,) = builds.recent(project.folder)
    steps = builds.read(project.folder, record).steps
    (copied,) = (one for one in steps if one.instruction == "COPY")
    assert (copied.name, copied.cells[0].partition("@")[0]) == ("COPY busybox /", "a")
    assert copied.ended is not None
    template = ["--platform", "linux/arm64", "--format", "{{.Os}}/{{.Architecture}}"]
    tag = f"{registry}/{builder}:v1"
    assert docker("image", "inspect", *template, tag) == "linux/arm64"
    project.ok("clean")
    assert builder not in builders()
    assert docker("ps", "--all", "--quiet", "--filter", f"name=buildkit_{builder}") == ""


def test_each_changed_field_makes_it_anew_and_keeps_the_cache(
    project: Project, builder: str, image: str
) -> None:
    project.write("once", "f")
    project.write(declared(builder, image) + COPIES).ok("setup")
    project.ok("build", "--progress", "plain")
    container, volume = f"buildx_buildkit_{builder}0", f"buildx_buildkit_{builder}0_state"
    made = docker("volume", "inspect", "--format", "{{.CreatedAt}}", volume)
    platforms = 'platforms = ["linux/arm64"]\n'
    flags = f'{platforms}buildkitd-flags = ["--debug"]\n'
    config = f"{flags}[builder.buildkitd.worker.oci]\nmax-parallelism = "
    for fields, words in (
        (platforms, "platforms are none, declared are linux/arm64"),
        (flags, "buildkitd-flags are none, declared are --debug"),
        (f"{config}4", "the configuration of buildkitd differs"),
        (f"{config}5", "the configuration of buildkitd differs"),
    ):
        before = docker("inspect", "--format", "{{.Id}}", container)
        project.write(declared(builder, image, fields) + COPIES)
        result = project.invoke("setup", "--check")
        assert result.returncode == 1
        assert f'node "{builder}0": {words}' in result.stdout
        assert docker("inspect", "--format", "{{.Id}}", container) == before
        project.ok("setup")
        assert docker("inspect", "--format", "{{.Id}}", container) != before
    assert project.ok("setup") == "ready: nothing to change\n"
    assert docker("volume", "inspect", "--format", "{{.CreatedAt}}", volume) == made
    result = project.invoke("build", "--progress", "plain")
    assert "CACHED" in result.stdout + result.stderr


def test_what_buildx_adds_from_its_default_file_is_no_drift(
    project: Project, builder: str, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "buildx"
    folder.mkdir()
    (folder / "buildkitd.default.toml").write_text("debug = true\n")
    monkeypatch.setenv("BUILDX_CONFIG", str(folder))
    project.write(declared(builder, image) + "[target.a]\n").ok("setup")
    assert "buildkitd.toml" in str(only_node(builder)["Files"])
    assert project.ok("setup") == "ready: nothing to change\n"
    buildkit_image.remove_builder(builder)


def test_a_failed_set_up_shows_no_values_of_options(project: Project, builder: str) -> None:
    text = declared(builder, "localhost:1/none:1").replace("a,b", "hunter2") + "[target.a]\n"
    result = project.write(text).invoke("setup")
    assert result.returncode == 1
    assert "BuildKit's image cannot be pulled: name one that can in driver-opts" in result.stderr
    assert "hunter2" not in result.stdout + result.stderr


def test_options_that_differ_are_named_without_their_values(
    project: Project, builder: str, image: str
) -> None:
    project.write(declared(builder, image) + "[target.a]\n").ok("setup")
    secret = declared(builder, image).replace("a,b", "hunter2") + "[target.a]\n"
    result = project.write(secret).invoke("setup", "--check")
    assert f'node "{builder}0": driver-opts differ in env.LIST' in result.stdout
    assert "hunter2" not in result.stdout + result.stderr


def test_what_was_half_done_or_broken_comes_back(
    project: Project, builder: str, image: str
) -> None:
    project.write(declared(builder, image) + "[target.a]\n")
    container = f"buildx_buildkit_{builder}0"
    options = ["--driver-opt", f"image={image}", "--driver-opt", "network=host"]
    options += ["--driver-opt", '"env.LIST=a,b"']
    create = ["buildx", "create", "--name", builder, "--driver", "docker-container", *options]
    docker(*create)  # killed before the bootstrap
    assert project.ok("setup").splitlines() == [
        f'use builder "{builder}"',
        f'bootstrap builder "{builder}"',
        "ready",
    ]
    for breaking in (["stop", container], ["rm", "--force", container]):
        docker(*breaking)
        assert project.invoke("setup", "--check").returncode == 1
        assert project.ok("setup").splitlines() == [f'bootstrap builder "{builder}"', "ready"]
        assert only_node(builder)["Status"] == "running"
    # A builder whose docker context is gone.
    project.ok("clean", "--builder")
    context = f"{builder}-gone"
    docker("context", "create", context, "--docker", "from=default")
    docker(*create, context)
    docker("context", "rm", "--force", context)
    text = declared(builder, image, 'endpoint = "default"') + "[target.a]\n"
    result = project.write(text).invoke("setup")
    assert result.returncode == 0, result.stderr
    assert project.ok("setup") == "ready: nothing to change\n"


def test_two_setups_at_once(project: Project, builder: str, image: str) -> None:
    project.write(declared(builder, image) + "[target.a]\n")
    processes = [
        subprocess.Popen(
            project.command("setup"),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended


def test_a_killed_build_and_a_stopped_builder_start_again(
    project: Project, builder: str, image: str
) -> None:
    project.write(declared(builder, image) + COPIES).write("x", "f")
    project.ok("setup")
    process = subprocess.Popen(project.command("build"), cwd=project.folder)
    time.sleep(0.8)
    process.kill()
    process.wait()
    docker("stop", f"buildx_buildkit_{builder}0")
    project.ok("build", "--progress", "plain")  # buildx starts it


def test_nodes_that_are_not_declared_go_with_their_containers(
    project: Project, builder: str, image: str
) -> None:
    context = f"{builder}-second"
    docker("context", "create", context, "--docker", "from=default")
    try:
        project.write(declared(builder, image) + "[target.a]\n").ok("setup")
        docker(
            *("buildx", "create", "--append", "--name", builder, "--node", f"{builder}-extra"),
            *("--driver-opt", f"image={image}", context),
        )
        docker("buildx", "inspect", "--bootstrap", builder)
        extra = f"buildx_buildkit_{builder}-extra"
        assert docker("ps", "--quiet", "--filter", f"name={extra}")
        assert f'remove node "{builder}-extra": it is not declared' in project.ok("setup")
        assert docker("ps", "--all", "--quiet", "--filter", f"name={extra}") == ""
        assert project.ok("setup") == "ready: nothing to change\n"
        assert len(builders()) == len({*builders()} - {f"{builder}-{builder}-extra"})
    finally:
        docker("context", "rm", "--force", context)
