"""Real parts: the engine that docker reaches, a registry of the test's own, a second engine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NoReturn
from uuid import uuid4

import pytest
from docker.errors import NotFound

from buildx_tasks.engine.connection import connect
from buildx_tasks.engine.settings import buildx_folder, config_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker import DockerClient

ROOT = Path(__file__).parents[2]
SAID: list[str] = []  # what tests tell of how they ran, for the summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in dict.fromkeys(SAID):
        terminalreporter.write_line(line)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Only the workers of pytest-xdist have it: what they put there reaches the one who prints.
    getattr(session.config, "workeroutput", {})["said"] = SAID


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    SAID.extend(getattr(node, "workeroutput", {}).get("said", []))


def cannot_run(reason: str) -> NoReturn:
    """Skip loudly; in CI this is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"cannot run in CI: {reason}", pytrace=False)
    pytest.skip(reason)


def docker(*args: str, check: bool = True, **env: str) -> str:
    argv = [buildx(), *args[1:]] if args[0] == "buildx" else ["docker", *args]
    result = subprocess.run(
        argv,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0 or not check, result.stdout + result.stderr
    return result.stdout.strip()


@functools.cache
def buildx() -> str:
    """The plug-in's program: docker starts it twice, once to ask what it is."""
    path = '{{range .ClientInfo.Plugins}}{{if eq .Name "buildx"}}{{.Path}}{{end}}{{end}}'
    return docker("info", "--format", path)


def rounds(full: int) -> int:
    """Return how often to try what has to hold each time: a quarter, unless ``FULL_ROUNDS`` is set."""
    return full if os.environ.get("FULL_ROUNDS") else full // 4


def wait_for(ready: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} after {seconds} s", pytrace=False)
        time.sleep(0.05)


@pytest.fixture(scope="session", autouse=True)
def docker_config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """docker's folder of this process: its builders, contexts, and which is in use, are its own."""
    known = config_folder()
    folder = tmp_path_factory.mktemp("docker")
    # Always there: docker's Python library looks into the home folder otherwise.
    config = known / "config.json"
    (folder / "config.json").write_text(config.read_text() if config.exists() else "{}")
    if (known / "contexts").exists():
        shutil.copytree(known / "contexts", folder / "contexts")
    if (known / "cli-plugins").exists():
        (folder / "cli-plugins").symlink_to(known / "cli-plugins")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(folder))
        patch.delenv("BUILDX_CONFIG", raising=False)
        patch.delenv("BUILDX_BUILDER", raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def engine(docker_config: Path) -> Iterator[DockerClient]:
    """The machine's engine, to be asked without a process for each question."""
    if not shutil.which("docker"):
        cannot_run("no docker command: run ./bootstrap")
    if not docker("version", "--format", "{{.Server.Version}}", check=False):
        cannot_run("no Docker Engine answers: run ./bootstrap")
    if not docker("image", "ls", "--quiet", "alpine:3.22"):
        docker("pull", "alpine:3.22")
    assert docker_config.exists()
    with contextlib.closing(connect()) as client:
        yield client


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("alone") and "PYTEST_XDIST_WORKER" in os.environ:
        cannot_run("no test may run beside it; run pytest -m alone, in one process")


@pytest.fixture(autouse=True)
def nothing_left_behind(engine: DockerClient, tmp_path: Path) -> Iterator[None]:
    yield
    ours = {"label": f"dev.buildx-tasks.project={tmp_path}"}
    listed = [*engine.api.containers(all=True, filters=ours), *engine.api.networks(filters=ours)]
    assert listed == [], "a test left containers or networks of ours behind"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real registry of this process, plain http on loopback."""
    with serving_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@contextlib.contextmanager
def serving_registry(folder: Path, *settings: str) -> Iterator[str]:
    """Serve a registry whose data are in the folder; ``settings`` are lines of its configuration."""
    if not shutil.which("docker-registry"):
        cannot_run("no docker-registry command: run ./bootstrap")
    for _ in range(3):
        process, port = _serve(folder, settings)
        if process.poll() is None:
            break  # otherwise somebody else took the port in between
    else:
        pytest.fail((folder / "registry.log").read_text(), pytrace=False)
    try:
        yield f"localhost:{port}"
    finally:
        process.terminate()
        process.wait()


def _serve(folder: Path, settings: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    lines = [
        "version: 0.1",
        "log: { level: error }",
        f"storage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}",
        f"http: {{ addr: '127.0.0.1:{port}' }}",
        *settings,
    ]
    (folder / "registry.yml").write_text("\n".join(lines))
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=log, stderr=log
        )

    def settled() -> bool:
        with contextlib.suppress(OSError):
            try:
                return bool(urllib.request.urlopen(f"http://localhost:{port}/v2/", timeout=1))
            except urllib.error.HTTPError as error:
                return error.code == 401
        return process.poll() is not None

    wait_for(settled, "no answer from the registry")
    return process, port


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def in_registry(reference: str) -> tuple[str, dict[str, Any]] | None:
    """What a registry serves, asked over plain HTTP: the digest of its bytes, and what they say."""
    host, _, rest = reference.partition("/")
    repository, mark, which = rest.partition("@") if "@" in rest else rest.rpartition(":")
    assert mark
    request = urllib.request.Request(f"http://{host}/v2/{repository}/manifests/{which}")
    kinds = [f"oci.image.{kind}.v1" for kind in ("index", "manifest")]
    kinds += [f"docker.distribution.manifest.{kind}v2" for kind in ("", "list.")]
    request.add_header("Accept", ", ".join(f"application/vnd.{kind}+json" for kind in kinds))
    try:
        with urllib.request.urlopen(request) as answer:
            data = answer.read()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise
    return f"sha256:{hashlib.sha256(data).hexdigest()}", json.loads(data)


@pytest.fixture
def name(engine: DockerClient) -> Iterator[str]:
    """A name of the test's own, for builders and images; what carries it is removed."""
    name = f"bt-{uuid4().hex[:8]}"
    yield name
    # Looked for first: most tests leave none of it, and each command takes its time.
    known = hashlib.sha256(name.encode()).hexdigest()
    if (config_folder() / "contexts" / "meta" / known).exists():
        docker("context", "rm", "--force", name, check=False)
    if (buildx_folder() / "instances" / name).exists():
        docker("buildx", "rm", "--force", name, check=False)
    patterns = [f"{name}*", f"*/{name}*", f"*/*/{name}*", f"*/{name}*/*"]
    for image in engine.api.images(filters={"reference": patterns}):
        # What was pulled by its digest has no tag; the engine names its repository in place of one.
        for reference in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
            if name in reference:
                with contextlib.suppress(NotFound):
                    engine.api.remove_image(reference, force=True)


@pytest.fixture
def classic_engine(tmp_path: Path) -> Iterator[str]:
    """The DOCKER_HOST of a second real engine, with the classic image store."""
    with second_engine(tmp_path / "dockerd.log", containerd=False) as engine:
        yield engine.host


@pytest.fixture
def fresh_engine(tmp_path: Path) -> Iterator[str]:
    """The DOCKER_HOST of a second real engine, as empty as another machine's."""
    with second_engine(tmp_path / "dockerd.log", containerd=True) as engine:
        yield engine.host


class SecondEngine:
    """A dockerd of its own beside the machine's: folder, socket, bridge; it can die and come back."""

    def __init__(
        self, log: Path, *, containerd: bool, env: Mapping[str, str] | None = None
    ) -> None:
        # A socket's path may have 107 characters at most, a bridge's name 15.
        self.folder = Path(f"/tmp/bt{uuid4().hex[:8]}")  # noqa: S108
        self.folder.mkdir()
        self.socket = f"{self.folder}/sock"
        self.host = f"unix://{self.socket}"
        self.bridge = self.folder.name
        self._log = log
        self._env = {**os.environ, **(env or {})}
        settings = {"features": {"containerd-snapshotter": containerd}}
        (self.folder / "daemon.json").write_text(json.dumps(settings))
        # A bridge of its own: with --bridge=none it would remove the first engine's.
        subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True)

    def start(self) -> None:
        flags = {
            "config-file": self.folder / "daemon.json",
            "data-root": self.folder / "data",
            "exec-root": self.folder / "exec",
            "pidfile": self.folder / "pid",
            "host": self.host,
            "bridge": self.bridge,
            "iptables": "false",
            "ip6tables": "false",
        }
        with self._log.open("a") as stream:
            self._process = subprocess.Popen(
                ["dockerd", *(f"--{key}={value}" for key, value in flags.items())],
                stdout=stream,
                stderr=stream,
                env=self._env,
            )
        argv = ["version", "--format", "{{.Server.Version}}"]
        wait_for(
            lambda: bool(docker(*argv, check=False, DOCKER_HOST=self.host)),
            "no second engine answers",
        )

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait()
        (self.folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def remove(self) -> None:
        # What a killed engine left running holds files of the folder.
        subprocess.run(["pkill", "-9", "-f", f"{self.folder}/"], check=False)
        subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        mounts = Path("/proc/mounts").read_text().splitlines()
        for line in reversed(mounts):
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def second_engine(
    log: Path, *, containerd: bool, env: Mapping[str, str] | None = None
) -> Iterator[SecondEngine]:
    if os.geteuid() != 0 or not shutil.which("dockerd") or not shutil.which("ip"):
        cannot_run("a second engine needs root, dockerd and ip")
    engine = SecondEngine(log, containerd=containerd, env=env)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
        engine.remove()


def give_image(engine: SecondEngine, reference: str) -> None:
    """Copy an image from the machine's engine to another one."""
    with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as saved:
        subprocess.run(
            ["docker", "load", "--quiet"],
            stdin=saved.stdout,
            env={**os.environ, "DOCKER_HOST": engine.host},
            check=True,
            capture_output=True,
        )
    assert saved.returncode == 0


@contextlib.contextmanager
def running(*args: Any, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a process, and kill it where the test fails: waiting for it could have no end."""
    with subprocess.Popen(*args, **options) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def engine_socket() -> str:
    """The socket of the machine's engine."""
    host = docker("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    if not host.startswith("unix://"):
        cannot_run(f"the engine is at {host}, not on this machine")
    return host[len("unix://") :]


def builders() -> dict[str, dict[str, Any]]:
    """What buildx lists, by name."""
    lines = docker("buildx", "ls", "--format", "json").splitlines()
    return {entry["Name"]: entry for entry in map(json.loads, lines)}


def in_use() -> str:
    return next(name for name, entry in builders().items() if entry["Current"])


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
        f"[target.{name}.verify.run]",
        *(f"{key.replace('_', '-')} = {value!r}" for key, value in verify.items()),
    ]
    return "\n".join(lines) + "\n"
