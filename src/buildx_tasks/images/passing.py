"""A file that passes by, once, in; as much of it as its ELF headers lead to, to be asked later, out.

So a layer is looked at as it comes, and no file of it is on a disc or whole in memory.
"""

from __future__ import annotations

from typing import IO, Any, cast

from buildx_tasks.images import elf

_WHOLE = 6 << 20  # bytes of a file that is kept as it is
_HEAD = 4 << 20  # of a larger one: where linkers put the names of libraries
_TAIL = 1 << 20  # where they put the sections of arm's attributes
_MOST_SPANS = 8 << 20  # bytes of what the headers lead to


class Passing:
    """An ELF file of ``size`` bytes; once it is :meth:`feed` to its end, :func:`elf.read` takes it.

    Raises:
        elf.UnheldError: (reading) what is asked for was not kept.

    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._is_whole = size <= _WHOLE
        self._head = bytearray()
        self._tail = bytearray()
        self._spans: list[tuple[int, bytearray, int]] | None = None
        self._fed = self._at = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._is_whole or len(self._head) < _HEAD:
            self._head += chunk
        if not self._is_whole:
            if self._spans is None:
                self._spans = self._wanted()
            for start, kept, size in self._spans:
                first = max(start + len(kept) - self._fed, 0)
                if self._fed + len(chunk) > start and len(kept) < size:
                    kept.extend(chunk[first : start + size - self._fed])
            self._tail += chunk
            if len(self._tail) > 2 * _TAIL:
                del self._tail[:-_TAIL]
        self._fed += len(chunk)

    def read_as_elf(self) -> elf.Elf | elf.DamagedError | None:
        """Return what it says; None where too little of it was kept."""
        try:
            return elf.read(cast("IO[bytes]", self))
        except elf.DamagedError as error:
            return error
        except elf.UnheldError:
            return None

    def seek(self, offset: int, whence: int = 0) -> int:
        """As a file."""
        self._at = offset + (self._size if whence == 2 else 0)
        return self._at

    def tell(self) -> int:
        """As a file."""
        return self._at

    def read(self, size: int) -> bytes:
        """As a file, of what was kept."""
        places: list[tuple[int, Any]] = [(0, self._head), (self._fed - len(self._tail), self._tail)]
        places += [(start, kept) for start, kept, _ in self._spans or ()]
        for start, kept in places:
            if start <= self._at and self._at + size <= start + len(kept):
                return bytes(kept[self._at - start : self._at - start + size])
        if not size:
            return b""
        raise elf.UnheldError(f"{size} bytes at {self._at}")

    def _wanted(self) -> list[tuple[int, bytearray, int]]:
        spans, left = [], _MOST_SPANS
        for start, size in elf.spans(cast("IO[bytes]", self)):
            if start + size > len(self._head) and size <= left:
                left -= size
                spans.append((start, bytearray(), size))
        return spans
