"""The engine's own BuildKit as a TCP endpoint, for the ``remote`` driver.

The engine speaks BuildKit's gRPC on its socket after ``POST /grpc`` with ``Upgrade: h2c``.
"""

from __future__ import annotations

import contextlib
import socket
import threading

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


class GrpcBridge:
    """Listens on loopback; each connection is one to the BuildKit behind ``engine_socket``."""

    def __init__(self, engine_socket: str) -> None:
        self._engine_socket = engine_socket
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Wakes the thread that waits in accept.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as engine:
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
