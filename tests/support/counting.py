"""A proxy that notes what is asked of an engine or a registry, and passes every byte on as it is."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import tempfile
import threading
from http.client import parse_headers
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Union

if TYPE_CHECKING:
    from collections.abc import Iterator

Upstream = Union[str, tuple[str, int]]  # a unix socket's path, or host and port

_PIECE = 65536  # bytes
_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r\n")
_TLS = b"\x16"  # RFC 8446, 5.1: the type of a record that holds a handshake
_AGENTS = ("docker-sdk-python/", "buildx-tasks")
_REPLACED = (
    (re.compile(r"^/v\d\.\d+(?=/)|\?.*"), ""),
    (re.compile(r"(?<=^/images/).+(?=/(?:get|history|json|push|tag)$)"), "{image}"),
    (re.compile(r"(?<=^/v2/).+(?=/(?:blobs|manifests|referrers|tags)/)"), "{repository}"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "{digest}"),
    (re.compile(r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "{id}"),
)


class Request(NamedTuple):
    """One request. ``target`` is what was asked for in full, ``path`` is the same in every run.

    ``ours`` is False for what the docker command and its plug-ins ask. The attempt to speak TLS has
    the method ``TLS`` and no path.
    """

    method: str
    path: str
    target: str
    ours: bool


class Counter:
    """Notes what arrives at ``address``, which is ``unix://PATH`` or ``localhost:PORT``."""

    def __init__(self, upstream: Upstream, address: str) -> None:
        self.upstream = upstream
        self.address = address
        self._requests: list[Request] = []
        self._guard = threading.Lock()  # guards the requests

    def taken(self) -> list[Request]:
        """Return what was asked since this was called last, in order."""
        with self._guard:
            requests, self._requests = self._requests, []
        return requests

    def serve(self, listener: socket.socket) -> None:
        """Pass on what connects until the listener is shut down, and end what is still open then."""
        known: list[tuple[socket.socket, threading.Thread]] = []
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                known.append((client, threading.Thread(target=self._pass_on, args=(client,))))
                known[-1][1].start()
        for client, thread in known:
            _hang_up(client)
            thread.join()

    def _pass_on(self, client: socket.socket) -> None:
        with client, _socket(self.upstream) as server, contextlib.suppress(OSError):
            server.connect(self.upstream)
            answers = threading.Thread(target=_pump, args=(server, client))
            answers.start()
            _pump(client, server, self.follow)
            answers.join()

    def follow(self, stream: io.BufferedReader) -> None:
        """Note the requests of a connection, as far as they are HTTP/1."""
        if stream.peek(1)[:1] == _TLS:
            self._note("TLS")
            return
        while line := _LINE.match(stream.readline()):
            fields = parse_headers(stream)
            self._note(line[1].decode(), line[2].decode(), fields.get("User-Agent", ""))
            if "Upgrade" in fields:
                return  # what follows are HTTP/2 frames, or a container's streams
            if fields.get("Transfer-Encoding", "").lower() == "chunked":
                while size := int(stream.readline().partition(b";")[0].strip() or b"0", 16):
                    _skip(stream, size + len(b"\r\n"))
                while stream.readline().strip():
                    pass  # trailers
            else:
                _skip(stream, int(fields.get("Content-Length", "0")))

    def _note(self, method: str, target: str = "", agent: str = "") -> None:
        path = target
        for pattern, placeholder in _REPLACED:
            path = pattern.sub(placeholder, path)
        with self._guard:
            self._requests.append(Request(method, path, target, agent.startswith(_AGENTS)))


@contextlib.contextmanager
def counting(upstream: Upstream) -> Iterator[Counter]:
    """Listen in front of an engine or a registry, on the same kind of socket."""
    # A unix socket's path may have 107 characters at most; pytest's folders can be longer.
    with tempfile.TemporaryDirectory(prefix="bt") as folder, _socket(upstream) as listener:
        listener.bind(f"{folder}/sock" if isinstance(upstream, str) else ("127.0.0.1", 0))
        listener.listen()
        name = listener.getsockname()
        address = f"unix://{name}" if isinstance(name, str) else f"localhost:{name[1]}"
        counter = Counter(upstream, address)
        thread = threading.Thread(target=counter.serve, args=(listener,))
        thread.start()
        try:
            yield counter
        finally:
            _hang_up(listener)
            thread.join()


class _Passing(io.RawIOBase):
    """What one socket sends; each piece goes on to the other when the next one is wanted.

    So a request has been noted before it can be answered.
    """

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source, self._sink = source, sink
        self._piece = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._sink.sendall(self._piece)
        size = self._source.recv_into(buffer)
        self._piece = bytes(buffer[:size])
        return size


def _pump(
    source: socket.socket,
    sink: socket.socket,
    follow: Callable[[io.BufferedReader], None] | None = None,
) -> None:
    passing: Any = _Passing(source, sink)  # not quite what the type stubs want of a stream
    stream = io.BufferedReader(passing, _PIECE)
    try:
        if follow:
            follow(stream)
        while stream.read1(_PIECE):
            pass
    except OSError:
        _hang_up(source, sink)
    else:
        _hang_up(sink, how=socket.SHUT_WR)  # the other direction may go on


def _skip(stream: io.BufferedReader, size: int) -> None:
    while size and (piece := stream.read1(min(size, _PIECE))):
        size -= len(piece)


def _hang_up(*ends: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(how)


def _socket(upstream: Upstream) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(upstream, str) else socket.AF_INET)
