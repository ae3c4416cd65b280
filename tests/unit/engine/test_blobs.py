from __future__ import annotations

import hashlib
import itertools
import socket
import struct
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import docker
import pytest
from requests.exceptions import ConnectionError as Lost

from buildx_tasks.engine import api
from buildx_tasks.engine import content as blobs
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Served(NamedTuple):
    """Where an engine listens, and how it is asked."""

    socket: socket.socket
    opened: Callable[[], Any]


@pytest.fixture(params=["plain", "library"])
def listener(request: pytest.FixtureRequest) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()

        def plain() -> api.Sockets:
            return api.Sockets((host, port))

        @contextmanager
        def library() -> Iterator[api.Library]:
            with closing(docker.DockerClient(f"tcp://{host}:{port}", version="1.48")) as client:
                yield api.Library(client)

        way = library if request.param == "library" else lambda: closing(plain())
        yield Served(listening, way)


UPGRADED = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
DATA, HEADERS, RESET, PING, AWAY = 0, 1, 3, 6, 7
ABSENT = f"sha256:{0:064}"


def frame(kind: int, payload: bytes = b"", flags: int = 0) -> bytes:
    number = 0 if kind in {PING, AWAY} else 1
    return struct.pack(">IBBI", len(payload), kind, flags, number)[1:] + payload


def message(content: bytes) -> bytes:
    assert len(content) < 128
    return struct.pack(">BIBB", 0, len(content) + 2, 0x12, len(content)) + content


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


ENDED = frame(HEADERS, b"", flags=1)


def stream_from(
    listener: Served, serve: Callable[[socket.socket], None], digest: str, pieces: int = 99
) -> list[bytes]:
    def accept() -> None:
        connection, _ = listener.socket.accept()
        with connection:
            connection.settimeout(10)
            connection.recv(65536)
            serve(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        with listener.opened() as engine:
            return list(itertools.islice(blobs.stream(engine, digest), pieces))
    finally:
        thread.join()


def read_from(listener: Served, answer: bytes, digest: str = ABSENT) -> bytes:
    return b"".join(stream_from(listener, lambda it: it.sendall(answer), digest))


def test_a_proxy_that_refuses_is_named(listener: Served) -> None:
    with pytest.raises(EngineError, match=r"POST /grpc: HTTP 403\); allow it"):
        read_from(listener, b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (b"", "."),
        (b"\0\0", "."),
        (b"\0\0\x09\0\0\0\0\0\x01abc", "."),
        (frame(DATA, message(b"abc")), "."),
        (frame(RESET, b"\0\0\0\x08"), "HTTP/2 error 8"),
        (frame(AWAY, b"\0\0\0\x01\0\0\0\x0bwhy"), "HTTP/2 error 11"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not HTTP/2"),
        (frame(DATA, b"\0\xff\0\0\0"), "not gRPC"),
    ],
)
def test_an_engine_that_goes_away_is_its_own_fault(
    listener: Served, after: bytes, why: str
) -> None:
    with pytest.raises(Lost, match=why):
        read_from(listener, UPGRADED + after)


def test_an_engine_that_falls_silent_is_not_waited_for(
    listener: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_UPGRADE_SECONDS", 0.2)

    def serve(connection: socket.socket) -> None:
        # Each piece is held until the next one: the last one comes when all is right.
        connection.sendall(UPGRADED + frame(DATA, message(b"abc")) + frame(DATA, message(b"d")))
        while connection.recv(65536):
            pass

    with pytest.raises(Lost, match="timed out"):
        stream_from(listener, serve, ABSENT)


def test_an_engine_going_away_in_order_finishes_first(listener: Served) -> None:
    content = frame(DATA, message(b"abc"))
    answer = UPGRADED + frame(AWAY, b"\0\0\0\x01\0\0\0\0") + content + ENDED
    assert read_from(listener, answer, digest_of(b"abc")) == b"abc"


@pytest.mark.parametrize("content", [b"", b"abc"], ids=["none", "other"])
def test_a_blob_that_is_not_what_was_asked_for(listener: Served, content: bytes) -> None:
    with pytest.raises(EngineError, match="lacks sha256:000"):
        read_from(listener, UPGRADED + frame(DATA, message(content)) + ENDED)


def test_a_ping_is_answered(listener: Served) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(UPGRADED + frame(PING, b"12345678"))
        heard = b""
        while not heard.endswith(frame(PING, b"12345678", flags=1)):
            heard += connection.recv(65536)
        connection.sendall(frame(DATA, message(b"abc"), flags=1))

    assert stream_from(listener, serve, digest_of(b"abc")) == [b"abc"]


def test_a_stream_that_is_left_ends_the_connection(listener: Served) -> None:
    ended = []

    def serve(connection: socket.socket) -> None:
        # Each piece is held until the next one: the last one comes when all is right.
        connection.sendall(UPGRADED + frame(DATA, message(b"abc")) + frame(DATA, message(b"d")))
        while connection.recv(65536):
            pass
        ended.append(True)

    assert stream_from(listener, serve, ABSENT, pieces=1) == [b"abc"]
    assert ended
