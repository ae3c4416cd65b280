"""A digest in; that blob of the engine's content store, out: a manifest, config, statement or layer.

The Engine API gives an image's blobs only in one archive, at some 30 to 100 MB/s. BuildKit's gRPC, which
the engine serves on its own socket, reads a single one; buildx reads build records the same way. Of
HTTP/2 and protobuf, what is written here is the little that this one call needs: a small blob takes
milliseconds, a layer comes at some 200 MB/s, with a third of the processor time the h2 package takes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine import bodies, faults
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.engine.api import Api

# Source: https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto
_HEADERS = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/containerd.services.content.v1.Content/Read",
    ":authority": "engine",
    "content-type": "application/grpc",
    "te": "trailers",
}
# Frame types and flags. Source: https://www.rfc-editor.org/rfc/rfc9113#section-6
_DATA, _HEAD, _RESET, _SETTINGS, _PING, _AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_CODE_AT = {_RESET: 0, _AWAY: 4}  # where in the payload the error's code is
_FRAME = 1 << 20  # the engine's messages are as large
# What the engine may send before it hears from us; it waits in the sockets, not here.
_AHEAD = 16 << 20
_MESSAGE = 16 << 20  # BuildKit's own limit


def read(api: Api, digest: str, most: int | None = None) -> bytes:
    """Return a blob of the containerd image store, checked against its digest; meant for small ones.

    Raises:
        EngineError: the store lacks it, it has more than ``most`` bytes, or the engine gives no access.
        faults.lost_connections: the connection failed.

    """
    pieces, total = [], 0
    for piece in stream(api, digest):
        total += len(piece)
        if most is not None and total > most:
            raise EngineError(
                f"{digest} has more than the {most} bytes that are read of such a one"
            )
        pieces.append(piece)
    return b"".join(pieces)


def stream(api: Api, digest: str, size: int | None = None) -> Iterator[bytes]:
    """Yield a blob of the containerd image store as it arrives, in pieces of some 1 MiB.

    It is cut at its size, and its last piece comes only once size and digest are right. Some
    6 MiB are held, however large the blob. The connection is this call's own, and ends with it.

    Raises:
        EngineError: the store lacks it, or the engine gives no access to it.
        faults.lost_connections: the connection failed.

    """
    try:
        # Not of this API's version: every engine with BuildKit has it.
        with api.upgraded("/grpc") as connection:
            if connection.status != 101:
                raise EngineError(
                    f"the engine gives no access to its content store (POST /grpc: HTTP "
                    f"{connection.status}); allow it in the proxy before its socket"
                )
            answer = _answered(connection.source, connection.sink, digest)
            yield from bodies.checked(_messages(answer), digest, size)
    except bodies.OtherBytesError as error:
        if error.is_lie:
            raise EngineError(f"{digest}: {error}; it is no image to go on with") from None
        raise EngineError(
            f"the engine's image store lacks {digest}; build or pull the image again"
        ) from None
    except OSError as error:
        raise faults.lost(f"the engine broke off reading {digest}: {error}") from error


def _answered(source: Any, sink: Any, digest: str) -> Iterator[bytes]:
    """Send the request; yield the body that answers it, in the pieces that come."""
    settings = struct.pack(">HIHI", 4, _AHEAD, 5, _FRAME)  # a stream's window, a frame's length
    sink.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, settings)
        + _frame(_WINDOW, struct.pack(">I", _AHEAD))
        + _frame(_HEAD, _headers(), flags=_END_HEADERS, number=1)
        + _frame(_DATA, _request(digest), flags=_END_STREAM, number=1)
    )
    taken = 0
    while True:
        kind, flags, payload = _received(source)
        if kind == _DATA:
            yield payload
            taken += len(payload)
            if taken > _AHEAD // 4:
                more = struct.pack(">I", taken)
                sink.sendall(_frame(_WINDOW, more) + _frame(_WINDOW, more, number=1))
                taken = 0
        elif kind in {_SETTINGS, _PING} and not flags & _ACK:
            sink.sendall(_frame(kind, payload if kind == _PING else b"", flags=_ACK))
        elif kind in _CODE_AT:
            code = int.from_bytes(payload[_CODE_AT[kind] :][:4], "big")
            # Going away without an error, the engine still finishes what it has begun.
            if kind == _RESET or code:
                raise ConnectionResetError(f"HTTP/2 error {code}")
        if kind in {_DATA, _HEAD} and flags & _END_STREAM:
            return


def _received(source: Any) -> tuple[int, int, bytes]:
    """Read a frame: its type, flags and payload."""
    head = source.read(9)
    length = int.from_bytes(head[:3], "big")
    if length > _FRAME:
        raise ConnectionResetError(f"not HTTP/2: a frame of {length} bytes")
    payload = source.read(length) if len(head) == 9 else b""
    if len(head) < 9 or len(payload) < length:
        raise ConnectionResetError("the answer is cut short")
    return head[3], head[4], payload


def _frame(kind: int, payload: bytes, *, flags: int = 0, number: int = 0) -> bytes:
    return struct.pack(">IBBI", len(payload), kind, flags, number)[1:] + payload


def _headers() -> bytes:
    # Each with a new name and not to be indexed. Source: https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2
    texts = ((name.encode(), value.encode()) for name, value in _HEADERS.items())
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in texts)


def _request(digest: str) -> bytes:
    # A ReadContentRequest whose first field is the digest, after gRPC's prefix: not compressed, length.
    long = len(digest) > 0x7F  # of sha512
    length = bytes([len(digest) & 0x7F | 0x80, len(digest) >> 7] if long else [len(digest)])
    message = b"\x0a" + length + digest.encode()
    return b"\0" + struct.pack(">I", len(message)) + message


def _messages(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the ``data`` field of each ReadContentResponse in a gRPC body that comes in pieces."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= 5:
            (length,) = struct.unpack_from(">I", waiting, 1)
            if length > _MESSAGE:
                raise ConnectionResetError(f"not gRPC: a message of {length} bytes")
            if len(waiting) < 5 + length:
                break
            yield _field(waiting[5 : 5 + length], number=2)
            del waiting[: 5 + length]


def _field(message: bytes | bytearray, number: int) -> bytes:
    """Return a bytes field of a protobuf message; empty where it is not set.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        value, position = _varint(message, position)
        if key & 7 == 2:
            if key >> 3 == number:
                return bytes(memoryview(message)[position : position + value])
            position += value
    return b""


def _varint(data: bytes | bytearray, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
