"""A registry on loopback that answers whatever a test tells it to, byte for byte."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks.registry.registries import Registries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.registry.repository import Repository

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Asked(NamedTuple):
    """One request; ``fields`` have their names in lower case."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes


Answer = Callable[[Asked], "bytes | Iterable[bytes]"]


def said(status: int, body: bytes = b"", *, length: int | None = None, **fields: str) -> bytes:
    """An answer in HTTP/1.1; ``length`` is what it says of its body, -1: nothing."""
    lines = [f"HTTP/1.1 {status} X"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if length != -1:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Hostile:
    """Listens until it is closed; notes what it is asked, and by which connection."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def repository(self) -> Repository:
        """Its repository ``app``, reached by plain http."""
        registries = Registries(None, dict, Path())
        registry = registries.registry(self.address)
        registry._scheme = "http"
        return registries.of(f"{self.address}/app")

    def paths(self, method: str) -> list[str]:
        return [one.path for one in self.asked if one.method == method]

    def close(self) -> None:
        for one in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            stream = connection.makefile("rb")
            while line := stream.readline(65536):
                method, path, _ = line.decode("latin-1").split(" ", 2)
                fields = {}
                while (field := stream.readline(65536).decode("latin-1").strip()) != "":
                    name, _, value = field.partition(":")
                    fields[name.lower()] = value.strip()
                length = int(fields.get("content-length", 0))
                body = stream.read(length)
                if len(body) < length:
                    break  # a request that has no end is none
                self.asked.append(Asked(method, path, fields, body))
                answer = self.answer(self.asked[-1])
                for piece in [answer] if isinstance(answer, bytes) else answer:
                    connection.sendall(piece)
                if not isinstance(answer, bytes):
                    break  # what comes in pieces ends with the connection
        self._open.discard(connection)


@contextlib.contextmanager
def hostile(answer: Answer) -> Iterator[Hostile]:
    """A registry that answers so."""
    server = Hostile(answer)
    try:
        yield server
    finally:
        server.close()


def image(*layers: bytes, sizes: dict[str, int] | None = None) -> tuple[bytes, dict[str, bytes]]:
    """A manifest of these layers, whose ``sizes`` may be lies, and its blobs by digest."""
    config = b"{}"
    blobs = {sha256(data): data for data in (config, *layers)}

    def described(data: bytes, kind: str) -> dict[str, Any]:
        digest = sha256(data)
        return {
            "mediaType": kind,
            "digest": digest,
            "size": (sizes or {}).get(digest, len(data)),
        }

    content = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config, CONFIG),
        "layers": [described(layer, LAYER) for layer in layers],
    }
    return json.dumps(content).encode(), blobs


def serving(manifest: bytes, blobs: dict[str, bytes]) -> Answer:
    """Answers as a registry does that has one image, under every tag."""

    def answer(asked: Asked) -> bytes:
        if asked.path == "/v2/":
            return said(200, b"{}")
        name = asked.path.rpartition("/")[2]
        data = manifest if "/manifests/" in asked.path else blobs.get(name)
        if data is None or asked.method not in ("GET", "HEAD"):
            return said(404, b"{}")
        kind = MANIFEST if data is manifest else "application/octet-stream"
        body = data if asked.method == "GET" else b""
        return said(200, body, length=len(data), Content_Type=kind)

    return answer


class Taking:
    """A registry that takes uploads, and knows what it holds; ``log`` has the requests on the wire."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, bytes] = {}

    def __call__(self, asked: Asked) -> bytes:
        path, _, query = asked.path.partition("?")
        if asked.method == "POST":
            return said(202, Location=f"{path}1?state=x")
        if asked.method == "PUT" and "/manifests/" in path:
            self.tags[path] = asked.body
            return said(201)
        if asked.method == "PUT":
            self.blobs[query.rpartition("digest=")[2]] = asked.body
            return said(201)
        return said(200 if path == "/v2/" else 404, b"")
