"""TLS keys, what helpers say, environments of checks and others' complaints: none shows a secret."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from buildx_tasks.engine.accounts import UnreadableError, account_for
from buildx_tasks.errors import as_called

from .conftest import docker

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

TOML = """
[builder]
name = "{name}"
driver = "docker-container"
buildkitd.registry."registry.invalid".keypair = [{{ key = "tls.key", cert = "tls.pem" }}]
buildkitd.registry."registry.invalid".ca = ["tls.pem"]

[variable.TOKEN]
[target.app]
dockerfile-inline = "FROM alpine:3.22"
platforms = ["linux/amd64"]
tags = ["localhost:5000/{name}:v1"]
[target.app.verify.run]
args = ["sh", "-c", "test -n \\"$TOKEN\\" && exit 3"]
env = {{ TOKEN = "${{TOKEN}}", HEADER = "Bearer ${{TOKEN}}", PLAIN = "as it is" }}
"""


def written(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\0".join(path.read_bytes() for path in files)


def test_keys_of_tls_are_neither_shown_nor_copied(project: Project, name: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    body = pem.splitlines()[1]
    (project.folder / "tls.key").write_text(pem)
    (project.folder / "tls.key").chmod(0o600)
    (project.folder / "tls.pem").write_text(pem.replace("PRIVATE KEY", "CERTIFICATE"))
    project.write(TOML.format(name=name))
    env = {"TOKEN": secrets.token_hex(16)}
    commands = (
        "plan",
        "plan --format bake",
        "--dry setup",
        "setup --check",
        "--dry build",
        "doctor",
    )
    for command in commands:
        result = project.invoke(*command.split(), env=env)
        assert "Traceback" not in result.stderr
        for said in (result.stdout, result.stderr):
            assert body not in said, command
            assert env["TOKEN"] not in said, command
    assert body.encode() not in written(project.folder / ".buildx")
    for path in (project.folder / ".buildx").rglob("*"):
        assert not path.is_file() or path.stat().st_mode & 0o77 == 0


def test_the_environment_of_a_check_is_named_and_not_shown(project: Project, name: str) -> None:
    builder, _, rest = TOML.format(name=name).partition("[variable.TOKEN]")
    assert "keypair" in builder
    project.write("[variable.TOKEN]" + rest)
    env = {"TOKEN": secrets.token_hex(16)}
    project.ok("build", "--progress", "quiet", env=env)
    seen = []
    for command in (
        "--dry verify",
        "--echo verify --junit a.xml --json a.json --html a.html",
        "log",
    ):
        result = project.invoke(*command.split(), env=env)
        seen.append(result.stdout + result.stderr)
    for said in (*seen, *(path.read_text() for path in project.folder.glob("a.*"))):
        assert env["TOKEN"] not in said
    assert env["TOKEN"].encode() not in written(project.folder / ".buildx")
    typed = next(line for line in seen[0].splitlines() if line.startswith("docker run"))
    assert "--env TOKEN --env HEADER='Bearer '\"${TOKEN}\" --env 'PLAIN=as it is'" in typed
    # Pasted into a shell that has it, it does the same.
    shell = {**os.environ, **env}
    assert subprocess.run(["sh", "-c", typed], env=shell, check=False).returncode == 3
    docker("image", "rm", "--force", f"localhost:5000/{name}:v1")


@pytest.mark.parametrize("says", ['{"Username": "u", "Secret": "%s"', "the key %s is locked", "%s"])
@pytest.mark.parametrize("code", [0, 1])
def test_what_a_credential_helper_says_is_not_shown(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, code: int
) -> None:
    secret, folder = secrets.token_hex(16), tmp_path / "docker"
    folder.mkdir()
    helper = folder / "docker-credential-leaky"
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{says % secret}'\nexit {code}\n")
    helper.chmod(0o755)
    (folder / "config.json").write_text(json.dumps({"credHelpers": {"registry.invalid": "leaky"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    with pytest.raises(UnreadableError) as caught:
        account_for("registry.invalid")
    assert secret not in str(caught.value)
    if code:
        assert "docker-credential-leaky failed; run it to see why: echo registry" in str(
            caught.value
        )
    project.write('[target.app]\nplatforms = ["linux/amd64"]\ntags = ["registry.invalid/app:v1"]\n')
    result = project.invoke("doctor")
    assert secret not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_an_address_in_other_peoples_words_loses_its_password() -> None:
    said = "error: proxyconnect tcp: http://user:hunter2@proxy:3128 and https://:tok@en@h/x"
    assert as_called(said) == (
        "error: proxyconnect tcp: http://user:…@proxy:3128 and https://:…@h/x"
    )
    assert as_called("localhost:5000/app@sha256:1") == "localhost:5000/app@sha256:1"


def test_what_a_kubeconfig_holds_is_not_shown(project: Project, name: str) -> None:
    token = secrets.token_hex(16)
    project.write(
        f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:1"}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
users: [{{name: u, user: {{token: {token}}}}}]
""",
        "kubeconfig",
    )
    project.write(f'[target.a]\n[builder]\nname = "{name}"\ndriver = "kubernetes"\n')
    env = {"KUBECONFIG": str(project.folder / "kubeconfig")}
    for command in ("plan", "--dry setup", "setup --check", "--dry build"):
        result = project.invoke(*command.split(), env=env)
        assert "Traceback" not in result.stderr
        assert token not in result.stdout + result.stderr, command
    assert token.encode() not in written(project.folder / ".buildx")
