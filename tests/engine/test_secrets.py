"""Nothing that is secret is shown or written: all of it is planted at once, and searched for."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import secrets
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from buildx_tasks.registry import endpoints
from buildx_tasks.registry.connection import Registry, Request
from buildx_tasks.registry.faults import PassingError

from .secured import htpasswd_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
RUN --mount=type=secret,id=token --mount=type=secret,id=key,target=/key --mount=type=ssh \\
    test "$(wc -c </run/secrets/token) $(wc -c </key)" = "32 32" && test -S "$SSH_AUTH_SOCK"
RUN --mount=type=secret,id=token,env=TOKEN test -n "$TOKEN"
CMD ["echo", "Hello!"]
"""
platforms = ["linux/amd64", "linux/arm64"]
secret = ["id=token,env=TOKEN_OF_BUILD", "id=key,src=key.txt"]
ssh = ["default=ssh-key"]
attest = ["type=provenance,mode=max"]
metadata.images = ["{address}/{name}"]
metadata.tags = ["branch"]
verify.run.stdout = "Hello!"
'''
PROVENANCE = b'{"_type":"https://in-toto.io/'
SAMPLING = 0.01  # seconds between two looks at the process list


class Planted(NamedTuple):
    """A project full of secrets: how each is told from others, and the environment with some of them."""

    values: dict[str, str]
    env: dict[str, str]

    def found(self, data: bytes | str) -> list[str]:
        """Return the names of the secrets that are in the data."""
        data = data if isinstance(data, bytes) else data.encode()
        return [name for name, value in self.values.items() if value.encode() in data]


class ProcessList:
    """Looks again and again at the command lines of all processes that began after itself."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._before = set(Path("/proc").iterdir())

    @contextlib.contextmanager
    def watched(self) -> Iterator[ProcessList]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLING):
            for process in set(Path("/proc").iterdir()) - self._before:
                with contextlib.suppress(OSError):  # it has ended
                    self.seen.add((process / "cmdline").read_bytes())


def plant(project: Project, address: str, name: str, password: str, docker_folder: Path) -> Planted:
    values = {
        one: secrets.token_hex(16)
        for one in "env-secret file-secret http-proxy https-proxy docker-proxy remote".split()
    }
    folder = project.folder
    (folder / "key.txt").write_text(values["file-secret"])
    key = Ed25519PrivateKey.generate()
    form = (Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (folder / "ssh-key").write_bytes(key.private_bytes(*form))
    (folder / "ssh-key").chmod(0o600)
    values["ssh-key"] = (folder / "ssh-key").read_text().splitlines()[4]  # the private part's line
    values["password"] = password
    values["log-in"] = base64.b64encode(f"user:{password}".encode()).decode()
    docker_folder.mkdir()
    proxy = f"http://user:{values['docker-proxy']}@127.0.0.1:9"
    own = {
        "auths": {address: {"auth": values["log-in"]}},
        "proxies": {"default": {"httpProxy": proxy, "noProxy": "localhost"}},
    }
    (docker_folder / "config.json").write_text(json.dumps(own))
    project.write(TOML.format(address=address, name=name))
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.com"]
    remote = f"https://user:{values['remote']}@git.example/app.git"
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["remote", "add", "origin", remote],
        ["add", "buildx.toml"],
        ["commit", "--quiet", "--message=first"],
    ):
        subprocess.run([*git, *command], cwd=folder, check=True)
    env = {
        "DOCKER_CONFIG": str(docker_folder),
        "TOKEN_OF_BUILD": values["env-secret"],
        "HTTP_PROXY": f"http://user:{values['http-proxy']}@127.0.0.1:9",
        "HTTPS_PROXY": f"http://user:{values['https-proxy']}@127.0.0.1:9",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    return Planted(values, env)


def whole(path: Path) -> bytes:
    """Return what a file holds, unpacked if it is a layer."""
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


COMMANDS = (
    "plan",
    "plan --format json",
    "plan --format bake",
    "--dry build",
    "--dry push",
    "--echo build --progress plain",
    "--echo verify --junit report/junit.xml --json report/all.json --html report/page.html",
    "--dry verify",
    "--dry run",
    "push",
    "log",
    "log --format json",
    "log --release-notes",
    "inspect",
    "doctor",
)


def test_nothing_secret_is_shown_or_written(
    project: Project, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    data, password = tmp_path_factory.mktemp("registry"), secrets.token_hex(16)
    (project.folder / "report").mkdir()
    with htpasswd_registry(data, "user", password) as address:
        folder = tmp_path_factory.mktemp("log-in") / "docker"
        planted = plant(project, address, name, password, folder)
        with ProcessList().watched() as processes:
            for command in COMMANDS:
                result = project.invoke(*command.split(), env=planted.env)
                said = result.stdout + result.stderr
                assert (command, planted.found(said)) == (command, [])
                assert "Traceback" not in said
                # Proxies do not answer, and what was pushed (main-dirty) is no release.
                assert result.returncode == (command in ("doctor", "log --release-notes")), said
    assert "proxy http://127.0.0.1:9" in said
    assert any(b"\0bake\0" in line for line in processes.seen)
    assert [line for line in processes.seen if planted.found(line)] == []
    for place in (project.folder / ".buildx", project.folder / "report", data / "data"):
        files = {path: whole(path) for path in place.rglob("*") if path.is_file()}
        assert files
        for path, content in files.items():
            # buildx's own doing: full provenance tells the proxies of docker's config.json.
            known = ["docker-proxy"] if content.startswith(PROVENANCE) else []
            assert (path, planted.found(content)) == (path, known)
    # The label of the source is there, without the token.
    assert any(
        b'"org.opencontainers.image.source":"https://git.example/app"' in one
        for one in files.values()
    )


@pytest.mark.parametrize("port", ["9", "none", "99999"])
def test_a_proxy_that_is_no_good_is_said_without_its_password(
    port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = secrets.token_hex(16)
    for key in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(key, f"http://user:{password}@127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(PassingError) as caught:
        Registry(endpoints.of("registry.invalid")).ask(Request("GET", "/v2/", what="", scope=""))
    assert password not in str(caught.value)
