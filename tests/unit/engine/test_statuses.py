"""A message of BuildKit's gRPC says the same as a line of buildx's JSON."""

from __future__ import annotations

import struct

import pytest

from buildx_tasks.engine import statuses


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        out, rest = bytearray([number << 3]), value
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        return bytes([*out, rest])
    return bytes([number << 3 | 2, len(value)]) + value


def moment(seconds: int, nanos: int = 0) -> bytes:
    return field(1, seconds) + field(2, nanos)


VERTEX = b"".join(
    (
        field(1, b"sha256:1"),
        field(2, b"sha256:2"),
        field(2, b"sha256:3"),
        field(3, b"[2/2] RUN make"),
        field(4, 1),
        field(5, moment(1764144000, 500_000_000)),
        field(6, moment(1764144001)),
        field(7, b"exit code: 2"),
    )
)
MOVED = field(1, b"layer") + field(2, b"sha256:1") + field(3, b"downloading") + field(4, 70_000)
LOG = field(1, b"sha256:1") + field(3, 1) + field(4, b"hello\n")
WARNED = field(1, b"sha256:1") + field(2, 1) + field(3, b"Work: no") + field(4, b"no")
LINE = b"""{"vertexes":[{"digest":"sha256:1","inputs":["sha256:2","sha256:3"],"name":"[2/2] RUN make",
"cached":true,"started":"2025-11-26T08:00:00.5Z","completed":"2025-11-26T08:00:01.000000000Z",
"error":"exit code: 2"}],"statuses":[{"id":"layer","vertex":"sha256:1","name":"downloading",
"current":70000,"timestamp":"0001-01-01T00:00:00Z"}],"logs":[{"vertex":"sha256:1","stream":1,
"data":"aGVsbG8K","timestamp":"2025-11-26T08:00:01Z"}],"warnings":[{"vertex":"sha256:1",
"level":1,"short":"V29yazogbm8=","detail":["bm8="],"url":"x"}]}"""


def test_both_forms_say_the_same() -> None:
    message = field(1, VERTEX) + field(2, MOVED) + field(3, LOG) + field(4, WARNED)
    assert statuses.of_message(message) == statuses.of_line(LINE.replace(b"\n", b""))


@pytest.mark.parametrize("message", [b"\x0a\xff", struct.pack("<Q", 1 << 63), b"\x0a\x02\x0a\x09"])
def test_what_is_no_protobuf_is_a_connection_that_is_lost(message: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="not protobuf"):
        statuses.of_message(message)


def test_times_that_cannot_be_are_none() -> None:
    strange = field(1, b"sha256:1") + field(5, moment(1 << 62)) + field(6, 7)
    (vertex,) = statuses.of_message(field(1, strange)).vertexes
    assert (vertex.started, vertex.completed) == (None, None)
