"""Real registries that are not open to everybody: with a password, with TLS of a private authority."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import trustme

from .conftest import cannot_run, free_port, serving_registry, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def htpasswd_registry(folder: Path, user: str, password: str) -> Iterator[str]:
    """Serve a registry over plain http that asks for a user and password; yield its address."""
    with serving_registry(folder, _auth(folder, user, password)) as address:
        yield address


@contextlib.contextmanager
def tls_registry(
    folder: Path, user: str | None = None, password: str | None = None, host: str = "localhost"
) -> Iterator[tuple[str, Path]]:
    """Serve a registry over https; yield its address and the certificate of its private authority.

    ``host`` is a name or address of this machine. Engines take every registry on loopback for
    insecure, without a look at its certificate; one of the machine's other addresses they check.
    """
    if not shutil.which("docker-registry"):
        cannot_run("no docker-registry command: run ./bootstrap")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert(host)
    issued.private_key_pem.write_to_path(str(folder / "registry.key"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "registry.pem"))
    port = free_port()
    lines = [
        "version: 0.1",
        "log: { level: error }",
        f"storage: {{ filesystem: {{ rootdirectory: {folder}/data }} }}",
        "http:",
        f"  addr: '{host}:{port}'",
        f"  tls: {{ certificate: {folder}/registry.pem, key: {folder}/registry.key }}",
    ]
    if user is not None and password is not None:
        lines.append(_auth(folder, user, password))
    (folder / "registry.yml").write_text("\n".join(lines))
    with (folder / "registry.log").open("w") as log:
        argv = ["docker-registry", "serve", str(folder / "registry.yml")]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    trust = ssl.create_default_context(cafile=str(folder / "ca.pem"))

    def ready() -> bool:
        assert process.poll() is None, (folder / "registry.log").read_text()
        with contextlib.suppress(OSError):
            try:
                url = f"https://{host}:{port}/v2/"
                with urllib.request.urlopen(url, timeout=1, context=trust):
                    return True
            except urllib.error.HTTPError as error:
                error.close()
                return error.code == 401
        return False

    try:
        wait_for(ready, "no answer from the registry")
        yield f"{host}:{port}", folder / "ca.pem"
    finally:
        process.terminate()
        process.wait()


def _auth(folder: Path, user: str, password: str) -> str:
    """Write the password file; return the line of the registry's configuration that names it."""
    (folder / "htpasswd").write_text(f"{user}:{bcrypt(password)}\n")
    return f"auth: {{ htpasswd: {{ realm: test, path: {folder}/htpasswd }} }}"


def bcrypt(password: str) -> str:
    """Return the only kind of hash that docker-registry takes, by the C library's crypt(3)."""
    try:
        library = ctypes.CDLL("libcrypt.so.1")  # libxcrypt's; Python's own module ends with 3.12
    except OSError:
        cannot_run("no libcrypt.so.1, for the registry's password file")
    library.crypt.restype = ctypes.c_char_p
    # The cheapest cost: the registry checks the password in every request.
    salt = f"$2b$04${secrets.token_hex(11)}"
    made: bytes | None = library.crypt(os.fsencode(password), salt.encode())
    if not made or not made.startswith(b"$2b$"):
        cannot_run("libcrypt.so.1 makes no bcrypt hashes")
    return made.decode()
