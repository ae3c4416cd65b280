"""Layers that are compressed by zstd: read as they come, within bounds."""

from __future__ import annotations

import io
import struct
import tarfile
from typing import Any

import pytest
from backports import zstd
from support.published import tar

from buildx_tasks.images import tars

FILES = {"a": b"a" * 100_000, "b": b"b" * 7}
PLAIN = tar(FILES)
SKIPPED = struct.pack("<2I", 0x184D2A53, 5) + b"notes"


def unpacked(data: bytes, size: int = 1000) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    layer = tars.Unpacked(iter(pieces), len(data))
    found = b"".join(iter(lambda: layer.read(4096), b""))
    layer.finish()
    return found


def with_window(bits: int) -> bytes:
    options: Any = {zstd.CompressionParameter.window_log: bits}
    packing = zstd.ZstdCompressor(options=options)
    return bytes(packing.compress(PLAIN) + packing.flush())


@pytest.mark.parametrize("size", [1, 3, 1000, 10_000_000])
@pytest.mark.parametrize(
    "data",
    [
        zstd.compress(PLAIN),
        zstd.compress(PLAIN[:5000]) + zstd.compress(PLAIN[5000:]),
        zstd.compress(PLAIN) + SKIPPED,
        SKIPPED + zstd.compress(PLAIN),
        with_window(25),
    ],
    ids=["one", "two", "notes behind", "notes before", "large window"],
)
def test_it_is_what_was_packed(data: bytes, size: int) -> None:
    assert unpacked(data, size) == PLAIN
    with tarfile.open(fileobj=io.BytesIO(unpacked(data)), mode="r:") as archive:
        assert archive.getnames() == [*FILES]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (with_window(26), "takes 67108864 bytes of memory"),
        (zstd.compress(PLAIN)[:9] + b"\xff" * 60, "its compression is damaged"),
        (zstd.compress(PLAIN) + b"more", "its compression is damaged"),
    ],
)
def test_what_is_damaged_or_wants_too_much_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(tarfile.ReadError, match=says):
        unpacked(data)


@pytest.mark.parametrize("lost", [1, 4, 10])
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_cut_off_is_refused(lost: int, size: int) -> None:
    for whole in (zstd.compress(PLAIN), zstd.compress(PLAIN[:5000]) + zstd.compress(PLAIN[5000:])):
        with pytest.raises(tarfile.ReadError, match="ends within what is compressed"):
            unpacked(whole[:-lost], size)


def test_a_layer_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "_FREE", 1 << 20)
    with pytest.raises(tarfile.ReadError, match="it unpacks to more than 1048576 bytes"):
        unpacked(zstd.compress(bytes(100_000_000)))
