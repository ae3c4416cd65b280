"""Each finding of doctor: the thing is broken for real, and the finding read."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import (
    SecondEngine,
    cannot_run,
    docker,
    engine_socket,
    second_engine,
    serving_registry,
)
from .grpc_bridge import GrpcBridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

HASHED = "$2y$05$abcdefghijklmnopqrstuuHIrMEWpUCQe2YqFR3sXwQ75u4od..9q"  # bcrypt of pw
PLAIN = '[target.a]\nplatforms = ["linux/amd64"]\n'


def findings(project: Project, **env: str) -> dict[str, dict[str, Any]]:
    """What doctor finds, by subject; its exit code says whether all is well."""
    result = project.invoke("doctor", "--format", "json", env=env)
    assert "Traceback" not in result.stderr
    told = json.loads(result.stdout)
    assert told["ok"] == (result.returncode == 0)
    wrong = [f for f in told["findings"] if not f["ok"]]
    assert all(f["fix"] for f in wrong), wrong
    assert not wrong or "error: not ok: " in result.stderr
    return {finding["subject"]: finding for finding in told["findings"]}


def broken(project: Project, subject: str, **env: str) -> dict[str, Any]:
    found = findings(project, **env)
    assert subject in found, found
    assert not found[subject]["ok"]
    return found[subject]


def test_all_is_well(project: Project, registry: str) -> None:
    project.write(PLAIN + f'tags = ["{registry}/a:v1"]\n')
    found = findings(project)
    assert all(finding["ok"] for finding in found.values()), found
    assert list(found) == [
        *("client", "buildx", "engine", "image store", "disk"),
        *("builder default", "platform linux/amd64", f"registry {registry}"),
    ]
    assert found["platform linux/amd64"]["found"] == "native: a program ran"
    assert "GiB free in" in found["disk"]["found"]
    table = project.ok("doctor")
    assert table.splitlines()[1].startswith("ok  client ")


def test_client(project: Project, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = broken(project.write(PLAIN), "client", PATH=str(empty))
    assert found["found"] == "no docker command on PATH"
    assert "docker-cli" in found["fix"]


def test_engine(project: Project) -> None:
    gone = f"unix://{project.folder}/none"
    found = broken(project.write(PLAIN), "engine", DOCKER_HOST=gone)
    assert found["found"] == "no Docker Engine answers (No such file or directory)"
    assert "point DOCKER_HOST" in found["fix"]


def test_buildx_older_than_a_declared_feature_needs(project: Project) -> None:
    version = re.search(r"v?(\d+)\.(\d+)", docker("buildx", "version"))
    assert version
    if (int(version[1]), int(version[2])) >= (0, 35):
        pytest.skip("this buildx has every feature that can be declared")
    project.write(PLAIN + '[target.b]\nresources = { memory = "1g" }\n')
    found = broken(project, "buildx")
    assert found["fix"] == 'upgrade it to 0.35 or newer, which "resources" in [target.b] needs'


def test_image_store(project: Project, classic_engine: str) -> None:
    assert findings(project.write(PLAIN), DOCKER_HOST=classic_engine)["image store"]["ok"]
    project.write('[target.a]\nplatforms = ["linux/amd64", "linux/arm64"]\n')
    found = broken(project, "image store", DOCKER_HOST=classic_engine)
    assert "classic" in found["found"]
    assert "containerd-snapshotter" in found["fix"]


def test_disk(project: Project, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        cannot_run("a small disk needs root")
    engine = SecondEngine(tmp_path / "log", containerd=True)
    data = engine.folder / "data"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(data)], check=True)
    try:
        engine.start()
        found = broken(project.write(PLAIN), "disk", DOCKER_HOST=engine.host)
        assert found["found"] == f"0.2 GiB free in {data}"
        assert "prune" in found["fix"]
    finally:
        engine.stop()
        engine.remove()


def test_builder_missing_drifted_silent(project: Project, name: str) -> None:
    bridge = GrpcBridge(engine_socket())
    text = (
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{bridge.endpoint}"\n' + PLAIN
    )
    subject = f"builder {name}"
    found = broken(project.write(text), subject)
    assert found["fix"] == "run invoke setup"
    project.ok("setup")
    assert findings(project)[subject]["found"] == "remote, running, as declared"

    drifted = text.replace("[target", 'platforms = ["linux/arm64"]\n[target', 1)
    printed = project.write(drifted).invoke("doctor").stdout
    assert "platforms are none, declared are linux/arm64" in printed

    bridge.close()
    found = broken(project.write(text), f'node "{name}0" at {bridge.endpoint}')
    assert found["found"] == "does not answer (Connection refused)"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The address of a registry that wants a log-in: user ann, password pw."""
    (tmp_path / "htpasswd").write_text(f"ann:{HASHED}\n")
    login = f"auth: {{ htpasswd: {{ realm: test, path: {tmp_path}/htpasswd }} }}"
    with serving_registry(tmp_path, login) as address:
        yield address


def test_registry_silent_and_without_or_with_a_wrong_log_in(
    project: Project, guarded: str, tmp_path: Path
) -> None:
    subject = f"registry {guarded}"
    project.write(PLAIN + f'tags = ["{guarded}/a:v1", "localhost:1/a:v1"]\n')
    folder = tmp_path / "docker"
    folder.mkdir()
    env = {"DOCKER_CONFIG": str(folder)}
    found = broken(project, subject, **env)
    assert found["found"] == "wants a log-in, and there is none"
    assert found["fix"] == f"docker login {guarded}"
    silent = broken(project, "registry localhost:1", **env)
    assert silent["found"] == "does not answer: [Errno 111] Connection refused"

    docker("login", "--username", "ann", "--password", "pw", guarded, DOCKER_CONFIG=str(folder))
    assert findings(project, **env)[subject]["found"] == "answers, logged in as ann"
    config = json.loads((folder / "config.json").read_text())
    config["auths"][guarded]["auth"] = "YW5uOndyb25n"  # ann:wrong
    (folder / "config.json").write_text(json.dumps(config))
    found = broken(project, subject, **env)
    assert found["found"] == "refuses the log-in of ann"
    assert "wrong" not in json.dumps(found)


def test_credentials_come_from_a_credential_helper_too(
    project: Project, guarded: str, tmp_path: Path
) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    helper = folder / "docker-credential-test"
    helper.write_text('#!/bin/sh\necho \'{"ServerURL": "x", "Username": "ann", "Secret": "pw"}\'\n')
    helper.chmod(0o755)
    (folder / "config.json").write_text(json.dumps({"credHelpers": {guarded: "test"}}))
    project.write(PLAIN + f'tags = ["{guarded}/a:v1"]\n')
    env = {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"}
    assert findings(project, **env)[f"registry {guarded}"]["found"] == "answers, logged in as ann"


def test_credentials_that_cannot_be_read(project: Project, guarded: str, tmp_path: Path) -> None:
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"credHelpers": {guarded: "none"}}))
    project.write(PLAIN + f'tags = ["{guarded}/a:v1"]\n')
    found = broken(project, f"registry {guarded}", DOCKER_CONFIG=str(folder))
    assert found["found"].startswith("docker's credentials cannot be read: ")
    assert "config.json" in found["fix"]


def test_a_platform_that_nothing_here_runs(project: Project) -> None:
    project.write('[target.a]\nplatforms = ["windows/amd64", "freebsd/amd64"]\n')
    assert broken(project, "platform freebsd/amd64")["found"] == "cannot run on linux/amd64"
    windows = findings(project)["platform windows/amd64"]
    assert (windows["ok"], windows["found"]) == (
        True,
        "not run here: built, looked into and pushed",
    )


@pytest.mark.alone
def test_platforms_of_a_builder_with_nodes_are_tried_in_a_build(
    project: Project, name: str
) -> None:
    entry = Path("/proc/sys/fs/binfmt_misc/qemu-s390x")
    if os.geteuid() != 0 or not entry.exists():
        cannot_run("disabling an emulator needs root and qemu-user-static")
    bridge = GrpcBridge(engine_socket())
    project.write(
        f'[builder]\nname = "{name}"\ndriver = "remote"\nendpoint = "{bridge.endpoint}"\n'
        '[target.a]\nplatforms = ["linux/arm64", "linux/s390x"]\n'
    ).ok("setup")
    found = findings(project)
    for platform, emulator in (("linux/arm64", "qemu-aarch64"), ("linux/s390x", "qemu-s390x")):
        said = found[f"platform {platform} in {name}"]["found"]
        assert said.startswith(f"a program ran in a build; {emulator} ")
    entry.write_text("0")
    try:
        lacking = broken(project, f"platform linux/s390x in {name}")
        assert lacking["fix"] == "run invoke setup, or declare a node that runs it"
    finally:
        entry.write_text("1")
        bridge.close()


def test_proxies_of_the_environment_of_docker_and_of_the_engine(
    project: Project, tmp_path: Path
) -> None:
    project.write(PLAIN)
    dead = "http://ann:hunter2@127.0.0.1:1"
    subject = "proxy http://127.0.0.1:1"
    found = broken(project, subject, HTTPS_PROXY=dead)
    assert found["found"] == "the environment: does not answer: Connection refused"
    assert found["fix"] == "correct it in the environment, or start it"
    assert "hunter2" not in json.dumps(found)
    assert "no address of a proxy" in broken(project, "proxy ftp:x", HTTP_PROXY="ftp:x")["found"]

    folder = tmp_path / "docker"
    folder.mkdir()
    settings = {"proxies": {"default": {"httpProxy": dead}}}
    (folder / "config.json").write_text(json.dumps(settings))
    found = broken(project, subject, DOCKER_CONFIG=str(folder))
    assert found["found"].startswith("proxies in docker's config.json: does not answer")

    with second_engine(tmp_path / "log", containerd=True, env={"HTTPS_PROXY": dead}) as engine:
        found = broken(project, subject, DOCKER_HOST=engine.host)
        assert found["found"].startswith("the engine's settings: does not answer")

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        alive = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        assert findings(project, HTTPS_PROXY=alive)[f"proxy {alive}"]["ok"]


def test_a_local_registry_is_never_asked_through_a_proxy(project: Project, registry: str) -> None:
    project.write(PLAIN + f'tags = ["{registry}/a:v1"]\n')
    dead = "http://127.0.0.1:1"
    found = findings(project, HTTP_PROXY=dead, http_proxy=dead)
    assert found[f"registry {registry}"]["ok"]


def test_bad_format_is_a_usage_error(project: Project) -> None:
    result = project.write(PLAIN).invoke("doctor", "--format", "jsn")
    assert result.returncode == 2
    assert '--format: unknown kind "jsn"; did you mean "json"?' in result.stderr
