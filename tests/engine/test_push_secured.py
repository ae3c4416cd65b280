"""Push to registries that are not open to everybody: with a log-in, with TLS of a private authority."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from buildx_tasks.engine.accounts import account_for
from buildx_tasks.engine.engine import Engine
from buildx_tasks.errors import RegistryError
from buildx_tasks.images.store import stored
from buildx_tasks.machine.commands import Commands
from buildx_tasks.records.ledger import Ledger
from buildx_tasks.registry import endpoints

from .conftest import docker
from .secured import htpasswd_registry, tls_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

TOML = '''
[target.app]
dockerfile-inline = """
FROM alpine:3.22
ARG TARGETPLATFORM
ENV PLATFORM=$TARGETPLATFORM
CMD echo "Hello, $PLATFORM!"
"""
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{address}/{name}:v1"]
verify.run.stdout = "Hello, {{platform}}!"
'''
USER = "somebody"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Place(NamedTuple):
    """A registry, and how this test itself gets in."""

    address: str
    password: str
    authority: Path | None = None

    def served(self, repository: str, reference: str) -> bytes | None:
        """The bytes of a manifest, asked without buildx-tasks; None where there is none."""
        scheme = "https" if self.authority else "http"
        url = f"{scheme}://{self.address}/v2/{repository}/manifests/{reference}"
        known = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {known}", "Accept": f"{INDEX}, {MANIFEST}"}
        trust = ssl.create_default_context(cafile=self.authority) if self.authority else None
        try:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            raise


@pytest.fixture
def log_ins(docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """docker's file of this test, in which nobody is logged in."""
    folder = tmp_path / "docker"
    shutil.copytree(docker_config, folder, symlinks=True)
    config = folder / "config.json"
    known = json.loads(config.read_text())
    kept = {key: value for key, value in known.items() if key == "currentContext"}
    config.write_text(json.dumps(kept))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return config


def log_in(address: str, password: str) -> None:
    subprocess.run(
        ["docker", "login", "--username", USER, "--password-stdin", address],
        input=password,
        capture_output=True,
        text=True,
        check=True,
    )


def give_helper(folder: Path, config: Path, address: str, password: str) -> None:
    """Write a credential helper. Source: https://github.com/docker/docker-credential-helpers."""
    folder.mkdir()
    script = folder / "docker-credential-buildxtest"
    answer = json.dumps({"ServerURL": address, "Username": USER, "Secret": password})
    script.write_text(
        "#!/bin/sh\n"
        f'test "$1 $(cat)" = "get {address}" && exec echo \'{answer}\'\n'
        'echo "credentials not found in native keychain"; exit 1\n'
    )
    script.chmod(0o755)
    known = json.loads(config.read_text())
    config.write_text(json.dumps({**known, "credHelpers": {address: "buildxtest"}}))


def built(project: Project, place: Place, name: str) -> tuple[str, dict[str, str]]:
    """Build the image; return its digest and its manifests' digests, as the engine has them."""
    project.write(TOML.format(address=place.address, name=name))
    project.ok("build", "--progress", "quiet")
    with contextlib.closing(Engine(Commands(project.folder))) as engine:
        found = stored(engine, f"{place.address}/{name}:v1")
    assert found
    return found.digest, {str(platform): one for platform, one in found.manifests.items()}


def compare(place: Place, name: str, tag: str, digest: str, manifests: dict[str, str]) -> None:
    """Compare the index and each platform's manifest with what the registry serves."""
    data = place.served(name, tag)
    assert data
    assert digest_of(data) == digest
    listed = {
        f"{one['platform']['os']}/{one['platform']['architecture']}": one["digest"]
        for one in json.loads(data)["manifests"]
        if one["platform"]["os"] != "unknown"
    }
    assert listed == manifests
    for one in manifests.values():
        data = place.served(name, one)
        assert data
        assert digest_of(data) == one


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def compare_pulled(host: str, reference: str, digest: str, manifest: str) -> None:
    """Pull one platform into another engine, and compare."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", host)
        docker("pull", "--quiet", "--platform", "linux/arm64", reference)
        with contextlib.closing(Engine(Commands(Path()))) as engine:
            pulled = stored(engine, reference)
    assert pulled
    assert pulled.digest == digest
    assert {str(p): one for p, one in pulled.manifests.items()} == {"linux/arm64": manifest}


def refused(project: Project, *command: str) -> str:
    """Invoke what must fail at once, without a trace of a log-in; return what it says."""
    result = project.invoke(*command)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert "attempts" not in result.stderr
    return result.stderr


def test_a_log_in_comes_from_docker(
    project: Project, tmp_path: Path, name: str, log_ins: Path, fresh_engine: str
) -> None:
    password = secrets.token_hex(16)
    with htpasswd_registry(folder_of(tmp_path), USER, password) as address:
        place = Place(address, password)
        digest, manifests = built(project, place, name)
        project.ok("verify")
        said = refused(project, "push")
        assert f"docker login {address}" in said
        wrong = secrets.token_hex(16)
        known = json.loads(log_ins.read_text())
        auth = base64.b64encode(f"{USER}:{wrong}".encode()).decode()
        log_ins.write_text(json.dumps({**known, "auths": {address: {"auth": auth}}}))
        said = refused(project, "push")
        assert f"docker login {address}" in said
        assert wrong not in said
        assert auth not in said
        assert place.served(name, "v1") is None

        log_in(address, password)
        result = project.invoke("push")
        assert result.returncode == 0, result.stderr
        assert password not in result.stdout + result.stderr
        compare(place, name, "v1", digest, manifests)
        assert Ledger(project.folder).read()[-1]["digest"] == digest
        compare_pulled(fresh_engine, f"{address}/{name}:v1", digest, manifests["linux/arm64"])


def test_a_log_in_comes_from_a_credential_helper(
    project: Project, tmp_path: Path, name: str, log_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = secrets.token_hex(16)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    with htpasswd_registry(folder_of(tmp_path), USER, password) as address:
        place = Place(address, password)
        give_helper(tmp_path / "bin", log_ins, address, password)
        digest, manifests = built(project, place, name)
        result = project.invoke("push", "--no-verify")
        assert result.returncode == 0, result.stderr
        assert password not in result.stdout + result.stderr
        compare(place, name, "v1", digest, manifests)

        # A helper that has nothing for this registry is as good as none; a broken one is said.
        give_nothing = (tmp_path / "bin" / "docker-credential-buildxtest").write_text
        give_nothing("#!/bin/sh\necho credentials not found in native keychain; exit 1\n")
        assert f"docker login {address}" in refused(project, "push", "--tag", "v2", "--no-verify")
        give_nothing("#!/bin/sh\necho the keychain is locked; exit 1\n")
        said = refused(project, "push", "--tag", "v2", "--no-verify")
        assert "docker-credential-buildxtest failed; run it to see why" in said
        assert "the keychain is locked" not in said  # its words could be a log-in
        assert f"docker login {address}" in said
        give_nothing(f"#!/bin/sh\necho '\"Secret\": {password}'\n")
        said = refused(project, "push", "--tag", "v2", "--no-verify")
        assert f"docker login {address}" in said
        assert password not in said
        assert place.served(name, "v2") is None


@pytest.mark.parametrize("broken", ['{"auths": {"HOST": {"auth": "KEY"}}}', '["KEY"]'])
def test_a_broken_file_of_docker_is_said_without_its_content(log_ins: Path, broken: str) -> None:
    key = secrets.token_hex(16)[:-1]  # as base64 it is too short
    log_ins.write_text(broken.replace("KEY", key))
    with pytest.raises(RegistryError, match=r"config\.json.* run docker login HOST$") as caught:
        account_for("HOST")
    assert key not in str(caught.value)


def test_a_private_authority_comes_from_docker_or_the_declaration(
    project: Project,
    tmp_path: Path,
    name: str,
    log_ins: Path,
    fresh_engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    password = secrets.token_hex(16)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with tls_registry(folder_of(tmp_path), USER, password, own_address()) as (address, authority):
        place = Place(address, password, authority)
        digest, manifests = built(project, place, name)
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        known = json.loads(log_ins.read_text())
        log_ins.write_text(json.dumps({**known, "auths": {address: {"auth": auth}}}))
        said = refused(project, "push", "--no-verify")
        assert "certificate" in said
        assert f"certs.d/{address}" in said
        assert place.served(name, "v1") is None

        with trusted(Path(home / ".config" / "docker"), address, authority):
            project.ok("push")
        compare(place, name, "v1", digest, manifests)

        shutil.copy(authority, tmp_path / "authority.pem")
        declared = '[builder]\nname = "bt"\ndriver = "docker-container"\n'
        declared += f'buildkitd.registry."{address}".ca = ["authority.pem"]\n'
        project.write(TOML.format(address=address, name=name) + declared)
        project.ok("promote", "--from", f"{address}/{name}:v1", "--to", "v2")
        compare(place, name, "v2", digest, manifests)
        # The declared authority counts, not any certificate.
        shutil.copy(other_authority(tmp_path), tmp_path / "authority.pem")
        said = refused(project, "promote", "--from", f"{address}/{name}:v1", "--to", "v3")
        assert "certificate" in said
        assert place.served(name, "v3") is None

        with trusted(Path("/etc/docker"), address, authority):
            compare_pulled(fresh_engine, f"{address}/{name}:v2", digest, manifests["linux/arm64"])


def test_a_private_authority_on_this_machine(project: Project, tmp_path: Path, name: str) -> None:
    """docker takes any certificate there: a registry on loopback is insecure by its rules."""
    with tls_registry(folder_of(tmp_path)) as (address, authority):
        place = Place(address, "", authority)
        digest, manifests = built(project, place, name)
        result = project.invoke("push", "--no-verify")
        assert result.returncode == 0, result.stderr
        assert "Warning" not in result.stderr
        compare(place, name, "v1", digest, manifests)


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "registry"
    folder.mkdir()
    return folder


def other_authority(tmp_path: Path) -> Path:
    import trustme

    path = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def own_address() -> str:
    """An address of this machine that is not loopback: the one it would send from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect(("192.0.2.1", 9))  # a datagram's socket sends nothing by that
        except OSError:  # no way out: the engine's bridge has one
            gateway = "{{(index .IPAM.Config 0).Gateway}}"
            return docker("network", "inspect", "bridge", "--format", gateway)
        return str(sender.getsockname()[0])


@contextlib.contextmanager
def trusted(place: Path, address: str, authority: Path) -> Iterator[None]:
    """Give docker a private authority for one registry."""
    folder = place / "certs.d" / address
    try:
        folder.mkdir(parents=True)
        shutil.copy(authority, folder / "ca.crt")
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("registry", "schemes", "mode"),
    [
        ("10.1.2.3:5000", ("https", "http"), ssl.CERT_NONE),
        ("[fd00::1]:5000", ("https", "http"), ssl.CERT_NONE),
        ("192.168.1.1", ("https",), ssl.CERT_REQUIRED),
        ("registry.example", ("https",), ssl.CERT_REQUIRED),
        ("plain.example:5000", ("https", "http"), ssl.CERT_NONE),
    ],
)
def test_insecure_registries_are_those_of_the_engine(
    registry: str, schemes: tuple[str, ...], mode: ssl.VerifyMode
) -> None:
    info = {
        "RegistryConfig": {
            "IndexConfigs": {"plain.example:5000": {"Secure": False}},
            "InsecureRegistryCIDRs": ["10.0.0.0/8", "fd00::/8"],
        }
    }
    found = endpoints.of(registry, None, info)
    assert (found.schemes, found.context.verify_mode) == (schemes, mode)
