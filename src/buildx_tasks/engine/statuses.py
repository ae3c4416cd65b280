"""A line of buildx's JSON, or a message of BuildKit's gRPC, in; what it says of a build, frozen, out.

Source of both forms: client/graph.go and api/services/control/control.proto
of https://github.com/moby/buildkit.
"""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from typing import Optional

import msgspec

from buildx_tasks.engine import grpc

_Time = Optional[dt.datetime]


class Vertex(msgspec.Struct, frozen=True):
    """A step: what it is, and how far. It is said again whenever that changes."""

    digest: str
    name: str = ""
    inputs: tuple[str, ...] = ()
    cached: bool = False
    started: _Time = None
    completed: _Time = None
    error: str = ""


class Moved(msgspec.Struct, frozen=True):
    """Bytes that a step moves: ``id`` tells what, ``name`` how (as in ``downloading``)."""

    vertex: str
    id: str = ""
    name: str = ""
    current: int = 0


class Log(msgspec.Struct, frozen=True):
    """What a step printed; ``stream`` is 1 for standard output, 2 for standard error."""

    vertex: str
    data: bytes = b""
    stream: int = 1


class Warned(msgspec.Struct, frozen=True):
    """What BuildKit's checks found: ``short`` is one line, ``vertex`` what read the Dockerfile."""

    vertex: str = ""
    short: bytes = b""


class Status(msgspec.Struct, frozen=True):
    """One message."""

    vertexes: tuple[Vertex, ...] = ()
    statuses: tuple[Moved, ...] = ()
    logs: tuple[Log, ...] = ()
    warnings: tuple[Warned, ...] = ()


_DECODER = msgspec.json.Decoder(Status)


def of_line(line: bytes) -> Status | None:
    """Return what a line of ``--progress rawjson`` says; None where it is plain text."""
    if not line.startswith(b"{"):
        return None
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _DECODER.decode(line)
    return None


def of_message(message: bytes) -> Status:
    """Return what a ``StatusResponse`` says.

    Raises:
        ConnectionResetError: it is no protobuf.

    """
    parts: dict[int, list[bytes]] = {}
    for number, value in grpc.fields(message):
        parts.setdefault(number, []).append(grpc.data(value))
    return Status(
        tuple(map(_vertex, parts.get(1, ()))),
        tuple(map(_moved, parts.get(2, ()))),
        tuple(map(_log, parts.get(3, ()))),
        tuple(map(_warned, parts.get(4, ()))),
    )


def _vertex(message: bytes) -> Vertex:
    held = list(grpc.fields(message))
    last = dict(held)
    return Vertex(
        _text(last.get(1)),
        _text(last.get(3)),
        tuple(_text(value) for number, value in held if number == 2),
        bool(last.get(4)),
        _time(last.get(5)),
        _time(last.get(6)),
        _text(last.get(7)),
    )


def _moved(message: bytes) -> Moved:
    held = dict(grpc.fields(message))
    return Moved(_text(held.get(2)), _text(held.get(1)), _text(held.get(3)), _number(held.get(4)))


def _log(message: bytes) -> Log:
    held = dict(grpc.fields(message))
    return Log(_text(held.get(1)), grpc.data(held.get(4)), _number(held.get(3)))


def _warned(message: bytes) -> Warned:
    held = dict(grpc.fields(message))
    return Warned(_text(held.get(1)), grpc.data(held.get(3)))


def _number(value: grpc.Value | None) -> int:
    return value if isinstance(value, int) else 0


def _text(value: grpc.Value | None) -> str:
    return grpc.data(value).decode("utf-8", "replace")


def _time(stamp: grpc.Value | None) -> dt.datetime | None:
    if not isinstance(stamp, bytes):
        return None
    with suppress(OverflowError, OSError, ValueError):
        return dt.datetime.fromtimestamp(grpc.seconds(stamp), dt.timezone.utc)
    return None
