"""Layers that are compressed by gzip: in one piece or in many, whole or cut off."""

from __future__ import annotations

import gzip
import tarfile

import pytest
from support.published import tar

from buildx_tasks.images import tars

PLAIN = tar({"a": bytes(range(256)) * 4, "b": b"b" * 7})


def unpacked(data: bytes, size: int) -> bytes:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    layer = tars.Unpacked(iter(pieces), len(data))
    found = b"".join(iter(lambda: layer.read(4096), b""))
    layer.finish()
    return found


def in_members(number: int) -> bytes:
    """As estargz has it: a member of gzip for each piece, so that each can be fetched by itself."""
    step = -(-len(PLAIN) // number)
    return b"".join(
        gzip.compress(PLAIN[start : start + step]) for start in range(0, len(PLAIN), step)
    )


@pytest.mark.parametrize("behind", [b"", bytes(512), b"\x1f", b"notes"])
@pytest.mark.parametrize("number", [1, 2, 20])
def test_members_are_found_wherever_pieces_of_it_end(number: int, behind: bytes) -> None:
    data = in_members(number) + behind
    for size in (1, 2, 3, 7, 29, 64, 1000, len(data)):
        assert unpacked(data, size) == PLAIN


@pytest.mark.parametrize("lost", [1, 8, 12, 60])
def test_what_is_cut_off_is_refused(lost: int) -> None:
    for whole in (in_members(1), in_members(3)):
        for size in (1, 64, len(whole)):
            with pytest.raises(tarfile.ReadError, match="ends within what is compressed"):
                unpacked(whole[:-lost], size)
