"""A file that passes by says the same as one that stays, as far as its headers lead to what is kept."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from support.elves import EXECUTABLE, arm_attributes, elf

from buildx_tasks.images import elf as elves
from buildx_tasks.images import passing
from buildx_tasks.images.passing import Passing

LIBRARIES = ("libc.so.6", "libm.so.6")
SAMPLES: list[dict[str, Any]] = [
    {"architecture": one, "kind": EXECUTABLE, "interpreter": "/lib/ld.so", "needed": LIBRARIES}
    for one in ("amd64", "arm64", "s390x", "386", "mips")
]
SAMPLES += [
    {"architecture": "arm", "flags": 0x05000400, "sections": (arm_attributes((6, 10), (28, 1)),)},
    {"architecture": "ppc64le", "flags": 2},
]


def passed(data: bytes, size: int) -> Any:
    file = Passing(len(data))
    for start in range(0, len(data), size):
        file.feed(data[start : start + size])
    return file.read_as_elf()


@pytest.mark.parametrize("limit", [10_000_000, 1])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one["architecture"])
def test_it_says_the_same(
    sample: dict[str, Any], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing, "_WHOLE", limit)
    data = elf(**sample)
    expected = elves.read(io.BytesIO(data))
    assert [passed(data, size) for size in (1024, 4096, len(data))] == [expected] * 3
    assert isinstance(passed(data[: len(data) // 2], 1024), elves.DamagedError)


def test_of_a_large_file_what_the_headers_lead_to_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_WHOLE", 9000), ("_HEAD", 16384), ("_TAIL", 512)):
        monkeypatch.setattr(passing, name, size)
    plain = elf("amd64", kind=EXECUTABLE, interpreter="/lib/ld.so", needed=LIBRARIES)
    far = _moved(plain, 50_000)
    expected = elves.read(io.BytesIO(plain))
    assert passed(far + bytes(50_000), 1024) == expected
    # The names of libraries alone lie where nothing led to them in time.
    lost = _moved(plain, 50_000, names_too=True)
    found = passed(lost + bytes(50_000), 1024)
    assert found == expected._replace(needed=(elves.UNREAD,) * 2)
    # The sections say that they are where a file of that size has nothing any more.
    beyond = bytearray(far + bytes(50_000))
    struct.pack_into("<QIHHHHH", beyond, 40, len(beyond) + 1, 0, 64, 56, 4, 64, 3)
    assert isinstance(passed(bytes(beyond), 1024), elves.DamagedError)


def _moved(data: bytes, by: int, *, names_too: bool = False) -> bytes:
    """The same file with interpreter and dynamic segment so much further behind."""
    found = bytearray(data)
    count = struct.unpack_from("<H", data, 56)[0]
    rest = bytearray()
    for number in range(count):
        at = 64 + 56 * number
        kind, _, offset, _, _, size, _, _ = struct.unpack_from("<2I6Q", data, at)
        if kind == 1:
            struct.pack_into("<Q", found, at + 32, by + 10_000)
            struct.pack_into("<Q", found, at + 40, by + 10_000)
            continue
        held = bytearray(data[offset : offset + size])
        place = by + len(rest)
        if kind == 2 and names_too:
            names = struct.unpack_from("<Q", held, 16 * len(LIBRARIES) + 8)[0]
            struct.pack_into("<Q", held, 16 * len(LIBRARIES) + 8, by + 5000)
            rest = rest.ljust(5000, b"\0") + data[names : names + 64] if len(rest) < 5000 else rest
            place = by + len(rest)
        struct.pack_into("<3Q", found, at + 8, place, place, place)
        rest += held
    return bytes(found).ljust(by, b"\0") + bytes(rest)
