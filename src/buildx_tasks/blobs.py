"""Single blobs of the engine's content store, by digest: manifests, configs, statements.

The Engine API gives an image's blobs only in one archive, at some 30 to 100 MB/s. BuildKit's gRPC, which
the engine serves on its own socket, reads a single one in milliseconds; buildx reads build records
the same way. Of protobuf, what is written here is the little that this one call needs.
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
_HEADERS = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/containerd.services.content.v1.Content/Read"),
    (":authority", "engine"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)
_SECONDS = 30


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
        answer = _answered(response.raw._fp.fp, sink, digest)  # noqa: SLF001
        content = b"".join(_messages(answer))
    except OSError as error:
        raise Lost(f"the engine broke off reading {digest}: {error}") from error
    finally:
        response.close()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
        raise EngineError(f"the engine's image store lacks {digest}; build or pull the image again")
    return content


def _answered(source: Any, sink: Any, digest: str) -> bytes:
    """Send the request; return the body that answers it."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import ConnectionTerminated, DataReceived, StreamEnded, StreamReset
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(client_side=True))
    connection.initiate_connection()
    connection.send_headers(1, _HEADERS)
    connection.send_data(1, _request(digest), end_stream=True)
    body = bytearray()
    while True:
        sink.sendall(connection.data_to_send())
        data = source.read1(65536)
        try:
            events = connection.receive_data(data)
        except ProtocolError as error:
            raise ConnectionResetError(f"HTTP/2: {error}") from None
        for event in events:
            if isinstance(event, DataReceived):
                body += event.data
                size = event.flow_controlled_length
                connection.acknowledge_received_data(size, event.stream_id)
            elif isinstance(event, StreamEnded):
                return bytes(body)
            elif isinstance(event, (StreamReset, ConnectionTerminated)):
                raise ConnectionResetError(f"HTTP/2 error {event.error_code}")
        if not data:
            raise ConnectionResetError("the answer is cut short")


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
