"""Single blobs of the engine's content store, by digest: manifests, configs, statements.

The Engine API gives an image's blobs only in one archive, at some 30 to 100 MB/s. BuildKit's gRPC, which
the engine serves on its own socket, reads a single one in milliseconds; buildx reads build records
the same way. What is spoken here is the little of HTTP/2 and protobuf that this one call needs.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

# Source: https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto
_METHOD = b"/containerd.services.content.v1.Content/Read"
_SECONDS = 30

# Source: https://www.rfc-editor.org/rfc/rfc9113#section-6
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WIDEST = 2**31 - 1


def read(client: docker.DockerClient, digest: str) -> bytes:
    """Return a blob of the containerd image store, checked against its digest; meant for small ones.

    Raises:
        EngineError: the store lacks it, or the engine gives no access to it.
        requests.exceptions.RequestException: the connection failed.

    """
    from requests.exceptions import ConnectionError as Lost

    api = client.api
    # Not of this API's version: every engine with BuildKit has it.
    response = api.post(
        f"{api.base_url}/grpc",
        headers={"Connection": "Upgrade", "Upgrade": "h2c"},
        stream=True,
        timeout=_SECONDS,
    )
    try:
        if response.status_code != 101:
            raise EngineError(
                f"the engine gives no access to its content store (POST /grpc: HTTP "
                f"{response.status_code}); allow it in the proxy before its socket"
            )
        sink = api._get_raw_response_socket(response)  # noqa: SLF001 - as docker's own attach
        sink = getattr(sink, "_sock", sink)
        # The engine speaks at once: what it said may be in this reader's buffer already.
        frames = _exchanged(response.raw._fp.fp, sink, digest)  # noqa: SLF001
        content = b"".join(_messages(b"".join(frames)))
    except OSError as error:
        raise Lost(f"the engine broke off reading {digest}: {error}") from error
    finally:
        response.close()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise EngineError(f"the engine's image store lacks {digest}; build or pull the image again")
    return content


def _exchanged(source: Any, sink: Any, digest: str) -> Iterator[bytes]:
    """Send the request; yield the data that answers it."""
    sink.sendall(
        _OPENING
        # The widest windows, so that nothing need be granted later.
        + _frame(_SETTINGS, 0, struct.pack(">HI", 0x4, _WIDEST), stream=0)
        + _frame(_WINDOW, 0, struct.pack(">I", _WIDEST - 65535), stream=0)
        + _frame(_HEADERS, _END_HEADERS, _headers())
        + _frame(_DATA, _END_STREAM, _request(digest))
    )
    while True:
        length, kind, flags, _ = struct.unpack(">IBBI", b"\0" + _exactly(source, 9))
        payload = _exactly(source, length)
        if kind == _DATA:
            yield payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            echo = payload if kind == _PING else b""
            sink.sendall(_frame(kind, _ACK, echo, stream=0))
        elif kind in (_RESET, _GO_AWAY):
            raise ConnectionResetError(f"HTTP/2 error {payload[-4:].hex()}")
        if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
            return


def _exactly(source: Any, size: int) -> bytes:
    data = bytes(source.read(size))
    if len(data) < size:
        raise ConnectionResetError("the answer is cut short")
    return data


def _frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _headers() -> bytes:
    """Return the request's headers in HPACK: literals, and names of the static table.

    Source: https://www.rfc-editor.org/rfc/rfc7541#appendix-A
    """

    def text(value: bytes) -> bytes:
        return bytes([len(value)]) + value

    return (
        b"\x83\x86"  # :method POST, :scheme http
        + (b"\x04" + text(_METHOD))  # :path
        + (b"\x01" + text(b"engine"))  # :authority
        + (b"\x0f\x10" + text(b"application/grpc"))  # content-type
        + (b"\x00" + text(b"te") + text(b"trailers"))
    )


def _request(digest: str) -> bytes:
    # A ReadContentRequest whose first field is the digest, after gRPC's prefix: not compressed, length.
    message = b"\x0a" + bytes([len(digest)]) + digest.encode()
    return b"\0" + struct.pack(">I", len(message)) + message


def _messages(data: bytes) -> Iterator[bytes]:
    """Yield the ``data`` field of each ReadContentResponse in the body of a gRPC answer."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position + 1)
        yield _field(data[position + 5 : position + 5 + length], number=2)
        position += 5 + length


def _field(message: bytes, number: int) -> bytes:
    """Return a bytes field of a protobuf message; empty where it is not set.

    Source: https://protobuf.dev/programming-guides/encoding/
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        value, position = _varint(message, position)
        if key & 7 == 2:
            if key >> 3 == number:
                return message[position : position + value]
            position += value
    return b""


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
