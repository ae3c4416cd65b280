"""Real parts: the engine that docker reaches, a registry of the test's own, a second engine."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NoReturn
from uuid import uuid4

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def cannot_run(reason: str) -> NoReturn:
    """Skip loudly; in CI this is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"cannot run in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def docker(*args: str, check: bool = True, **env: str) -> str:
    result = subprocess.run(
        ["docker", *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0 or not check, result.stdout + result.stderr
    return result.stdout.strip()


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} after {seconds} s", pytrace=False)
        time.sleep(0.05)


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    if not shutil.which("docker"):
        cannot_run("no docker command: run ./bootstrap")
    if not docker("version", "--format", "{{.Server.Version}}", check=False):
        cannot_run("no Docker Engine answers: run ./bootstrap")
    if not docker("image", "ls", "--quiet", "alpine:3.22"):
        docker("pull", "alpine:3.22")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    listed = docker("ps", "--all", "--filter", "label=dev.buildx-tasks.session", "--quiet")
    assert listed == "", "a test left containers of ours behind"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry of this test session, plain http on loopback."""
    if not shutil.which("docker-registry"):
        cannot_run("no docker-registry command: run ./bootstrap")
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: { level: error }\n"
        f"storage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}\n"
        f"http: {{ addr: '127.0.0.1:{port}' }}\n"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(f"http://localhost:{port}/v2/", timeout=1))
        return False

    wait_for(answers, "no answer from the registry")
    yield f"localhost:{port}"
    process.terminate()
    process.wait()


@pytest.fixture
def name() -> Iterator[str]:
    """A name of the test's own, for builders and images; what carries it is removed."""
    name = f"bt-{uuid4().hex[:8]}"
    yield name
    docker("context", "rm", "--force", name, check=False)
    docker("buildx", "rm", "--force", name, check=False)
    references = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
    if ours := [reference for reference in references if name in reference]:
        docker("image", "rm", "--force", *ours)


@pytest.fixture
def classic_engine(tmp_path: Path) -> Iterator[str]:
    """The DOCKER_HOST of a second real engine, with the classic image store."""
    with second_engine(tmp_path / "dockerd.log", containerd=False) as host:
        yield host


@pytest.fixture
def fresh_engine(tmp_path: Path) -> Iterator[str]:
    """The DOCKER_HOST of a second real engine, as empty as another machine's."""
    with second_engine(tmp_path / "dockerd.log", containerd=True) as host:
        yield host


@contextlib.contextmanager
def second_engine(log: Path, *, containerd: bool) -> Iterator[str]:
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("ip"):
        cannot_run("a second engine needs root, dockerd and ip")
    # A socket's path may have 107 characters at most, a bridge's name 15.
    folder = Path(f"/tmp/bt{uuid4().hex[:8]}")  # noqa: S108
    folder.mkdir()
    settings = {"features": {"containerd-snapshotter": containerd}}
    (folder / "daemon.json").write_text(json.dumps(settings))
    host = f"unix://{folder}/sock"
    # A bridge of its own: with --bridge=none it would remove the first engine's.
    bridge = folder.name
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    flags = {
        "config-file": folder / "daemon.json",
        "data-root": folder / "data",
        "exec-root": folder / "exec",
        "pidfile": folder / "pid",
        "host": host,
        "bridge": bridge,
        "iptables": "false",
        "ip6tables": "false",
    }
    with log.open("w") as stream:
        process = subprocess.Popen(
            ["dockerd", *(f"--{key}={value}" for key, value in flags.items())],
            stdout=stream,
            stderr=stream,
        )
    argv = ["version", "--format", "{{.Server.Version}}"]
    try:
        wait_for(
            lambda: bool(docker(*argv, check=False, DOCKER_HOST=host)), "no second engine answers"
        )
        yield host
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        subprocess.run(["ip", "link", "delete", bridge], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def shell_image(name: str, registry: str, command: str, **verify: Any) -> str:
    """A target on amd64 and arm64 that runs a shell command in alpine; PLATFORM says which."""
    lines = [
        f"[target.{name}]",
        'dockerfile-inline = """',
        "FROM alpine:3.22",
        "ARG TARGETPLATFORM",
        "ENV PLATFORM=$TARGETPLATFORM",
        f"CMD {command}",
        '"""',
        'platforms = ["linux/amd64", "linux/arm64"]',
        f'tags = ["{registry}/{name}:v1"]',
        f"[target.{name}.verify]",
        *(f"{key.replace('_', '-')} = {value!r}" for key, value in verify.items()),
    ]
    return "\n".join(lines) + "\n"
