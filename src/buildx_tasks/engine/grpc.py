"""A method of the engine's gRPC and a message for it in; the messages that answer it, out.

BuildKit's gRPC is served on the engine's own socket; buildx asks it the same way. Of HTTP/2 and protobuf,
what is written here is the little that a single call needs: a small answer takes milliseconds, a large
one comes at some 200 MB/s, with a third of the processor time that the h2 package takes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Union

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from buildx_tasks.engine.api import Api

Value = Union[int, bytes]  # of a protobuf field

# Frame types and flags. Source: https://www.rfc-editor.org/rfc/rfc9113#section-6
_DATA, _HEAD, _RESET, _SETTINGS, _PING, _AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_CODE_AT = {_RESET: 0, _AWAY: 4}  # where in the payload the error's code is
_FRAME = 1 << 20  # the engine's messages are as large
# What the engine may send before it hears from us; it waits in the sockets, not here.
_AHEAD = 16 << 20
_MESSAGE = 16 << 20  # BuildKit's own limit
_FIXED = {1: 8, 5: 4}  # bytes of the wire types that have no length


def call(api: Api, method: str, message: bytes, what: str) -> Iterator[bytes]:
    """Yield the messages that answer a call, as they arrive; some 6 MiB are held, whatever comes.

    ``method`` is its path, ``message`` its request in protobuf; ``what`` is what the engine is asked
    for. An engine that refuses the call ends it without any message. The connection is this call's
    own, and ends with it.

    Raises:
        EngineError: the engine gives no access to its gRPC.
        OSError, faults.lost_connections: the connection failed.

    """
    # Not of this API's version: every engine with BuildKit has it.
    with api.upgraded("/grpc") as connection:
        if connection.status != 101:
            raise EngineError(
                f"the engine gives no access to {what} (POST /grpc: HTTP {connection.status}); "
                "allow it in the proxy before its socket"
            )
        yield from _messages(_answered(connection.source, connection.sink, method, message))


def text(number: int, value: str) -> bytes:
    """Return a protobuf field that holds a text."""
    data = value.encode()
    return bytes([number << 3 | 2]) + _written(len(data)) + data


def flag(number: int) -> bytes:
    """Return a protobuf field that is set to true."""
    return bytes([number << 3, 1])


def fields(message: bytes | bytearray | memoryview) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field of a protobuf message.

    Source: https://protobuf.dev/programming-guides/encoding/

    Raises:
        ConnectionResetError: it is no protobuf.

    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == 0:
            value: Value
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == 2:
            length, position = _varint(message, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ConnectionResetError(f"not protobuf: a field of kind {kind}")
        if position + length > len(message):
            raise ConnectionResetError("not protobuf: a field is cut short")
        yield key >> 3, bytes(memoryview(message)[position : position + length])
        position += length


def data(value: Value | None) -> bytes:
    """Return the bytes of a field; none where it is not there."""
    return value if isinstance(value, bytes) else b""


def seconds(stamp: Value | None) -> float:
    """Return a protobuf Timestamp, in seconds since 1970."""
    held = dict(fields(data(stamp)))
    return int(held.get(1, 0)) + int(held.get(2, 0)) / 1e9


def _written(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _answered(source: Any, sink: Any, method: str, message: bytes) -> Iterator[bytes]:
    """Send the request; yield the body that answers it, in the pieces that come."""
    # gRPC's prefix of a message: not compressed, its length.
    settings = struct.pack(">HIHI", 4, _AHEAD, 5, _FRAME)  # a stream's window, a frame's length
    sink.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, settings)
        + _frame(_WINDOW, struct.pack(">I", _AHEAD))
        + _frame(_HEAD, _headers(method), flags=_END_HEADERS, number=1)
        + _frame(
            _DATA, b"\0" + struct.pack(">I", len(message)) + message, flags=_END_STREAM, number=1
        )
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


def _headers(method: str) -> bytes:
    # Each with a new name and not to be indexed. Source: https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2
    named = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "engine",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    texts = ((name.encode(), value.encode()) for name, value in named.items())
    return b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in texts)


def _messages(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the messages of a gRPC body that comes in pieces."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= 5:
            (length,) = struct.unpack_from(">I", waiting, 1)
            if length > _MESSAGE:
                raise ConnectionResetError(f"not gRPC: a message of {length} bytes")
            if len(waiting) < 5 + length:
                break
            yield bytes(waiting[5 : 5 + length])
            del waiting[: 5 + length]


def _varint(data: bytes | bytearray | memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ConnectionResetError("not protobuf: a number is cut short")
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
