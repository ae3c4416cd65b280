from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import pytest
from requests.exceptions import RequestException

from buildx_tasks import blobs
from buildx_tasks.blobs import _field, _messages
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def read_from(listener: socket.socket, answer: bytes) -> bytes:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with closing(docker.DockerClient(address, version="1.48")) as client:
            return blobs.read(client, f"sha256:{0:064}")
    finally:
        thread.join()


def test_a_proxy_that_refuses_is_named(listener: socket.socket) -> None:
    with pytest.raises(EngineError, match=r"POST /grpc: HTTP 403\); allow it"):
        read_from(listener, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("after", [b"", b"\0\0", b"\0\0\x09\0\0\0\0\0\x01abc"])
def test_an_engine_that_goes_away_is_its_own_fault(listener: socket.socket, after: bytes) -> None:
    upgraded = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with pytest.raises(RequestException):
        read_from(listener, upgraded + after)


def test_the_answer_comes_in_several_messages() -> None:
    first = b"\x0a" + b"\x01x" + b"\x12\x03abc"  # another field before it
    second = b"\x08\x96\x01" + b"\x12\xac\x02" + b"y" * 300  # offset 150, a length of two bytes
    body = b"".join(b"\0" + len(m).to_bytes(4, "big") + m for m in (first, second, b""))
    assert list(_messages(body)) == [b"abc", b"y" * 300, b""]
    assert _field(first, number=1) == b"x"
