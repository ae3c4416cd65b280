"""A digest in; that blob of the engine's content store, out: a manifest, config, statement or layer.

The Engine API gives an image's blobs only in one archive, at some 30 to 100 MB/s. BuildKit's gRPC reads
a single one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.engine import bodies, faults, grpc
from buildx_tasks.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.engine.api import Api

# Source: https://github.com/containerd/containerd/blob/main/api/services/content/v1/content.proto
_READ = "/containerd.services.content.v1.Content/Read"
_DIGEST, _DATA = 1, 2  # the fields of a ReadContentRequest, of a ReadContentResponse


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
        answers = grpc.call(api, _READ, grpc.text(_DIGEST, digest), "its content store")
        yield from bodies.checked(map(_data, answers), digest, size)
    except bodies.OtherBytesError as error:
        if error.is_lie:
            raise EngineError(f"{digest}: {error}; it is no image to go on with") from None
        raise EngineError(
            f"the engine's image store lacks {digest}; build or pull the image again"
        ) from None
    except OSError as error:
        raise faults.lost(f"the engine broke off reading {digest}: {error}") from error


def _data(message: bytes) -> bytes:
    for number, value in grpc.fields(message):
        if number == _DATA and isinstance(value, bytes):
            return value
    return b""
