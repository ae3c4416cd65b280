"""The engine's own BuildKit as a TCP endpoint, for the ``remote`` driver; with mutual TLS if wanted.

The engine speaks BuildKit's gRPC on its socket after ``POST /grpc`` with ``Upgrade: h2c``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, NamedTuple

import trustme

if TYPE_CHECKING:
    from pathlib import Path

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class Certificates(NamedTuple):
    """A certificate authority with a server's and a client's certificate, as files in one folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make all of them, for a server on loopback."""
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        for name, host in (("server", "127.0.0.1"), ("client", "client.example")):
            issued = authority.issue_cert(host)
            issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
            issued.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
        return cls(folder)

    def server_context(self) -> ssl.SSLContext:
        """Return TLS that only takes clients of the same authority."""
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=str(self.folder / "ca.pem")
        )
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        context.set_alpn_protocols(["h2"])
        return context


class GrpcBridge:
    """Listens on loopback; each connection is one to the BuildKit behind ``engine_socket``."""

    def __init__(
        self, engine_socket: str, certificates: Certificates | None = None, port: int = 0
    ) -> None:
        self._engine_socket = engine_socket
        self._tls = certificates.server_context() if certificates else None
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.endpoint = f"tcp://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, and cut the connections as a machine that goes away does."""
        for end in (self._listener, *self._open):
            # Wakes the thread that waits in accept or recv.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
            client = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
            self._open.append(client)
            with client:
                engine.connect(self._engine_socket)
                engine.sendall(_UPGRADE)
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += engine.recv(1)
                outward = threading.Thread(target=_pump, args=(client, engine), daemon=True)
                outward.start()
                _pump(engine, client)
                outward.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
