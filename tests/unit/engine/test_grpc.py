from __future__ import annotations

import pytest

from buildx_tasks.engine import grpc

FIRST = b"\x0a" + b"\x01x" + b"\x12\x03abc"
SECOND = b"\x08\x96\x01" + b"\x12\xac\x02" + b"y" * 300  # 150, a length of two bytes


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_answer_comes_in_several_messages(size: int) -> None:
    sent = [FIRST, SECOND, b""]
    body = b"".join(b"\0" + len(m).to_bytes(4, "big") + m for m in sent)
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    assert list(grpc._messages(pieces)) == sent


def test_the_fields_of_a_message() -> None:
    assert list(grpc.fields(FIRST)) == [(1, b"x"), (2, b"abc")]
    assert list(grpc.fields(SECOND)) == [(1, 150), (2, b"y" * 300)]
    assert list(grpc.fields(b"\x09" + b"8" * 8 + b"\x15" + b"4" * 4)) == [
        (1, b"8" * 8),
        (2, b"4" * 4),
    ]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 20_000])
def test_what_is_written_is_read(length: int) -> None:
    assert list(grpc.fields(grpc.text(2, "x" * length) + grpc.flag(3))) == [
        (2, b"x" * length),
        (3, 1),
    ]


@pytest.mark.parametrize(
    "message", [b"\x0b", b"\x0a\x02x", b"\x0a", b"\x80", b"\xff" * 12, b"\x09123"]
)
def test_what_is_no_protobuf_is_a_connection_that_is_lost(message: bytes) -> None:
    with pytest.raises(ConnectionResetError, match="not protobuf"):
        list(grpc.fields(message))
