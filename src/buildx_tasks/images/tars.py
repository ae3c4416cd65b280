"""A tar archive that others wrote in; its members, one by one and within bounds, out.

Nothing is ever unpacked to a disc. What is made to harm (headers of 100 MB, members that say 8 EiB,
layers that unpack to a million times their size) ends in one tarfile.ReadError.
"""

from __future__ import annotations

import importlib
import math
import sys
import tarfile
import zlib
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

# What tarfile lets through of damaged archives, besides its own.
FAULTS = (tarfile.TarError, ArithmeticError, EOFError, LookupError, RecursionError, ValueError)

MOST_HELD = 120_000_000  # bytes that all paths of an image may take here; about 500,000 paths
_MOST_HEADER = 1 << 20  # bytes of names and attributes of one member
_MOST_SHARED = 1 << 20  # bytes of what pax headers say of all members
_EARLIEST, _LATEST = -62135596800, 253402300799  # seconds of what a date can be
_CHUNK = 1 << 16  # bytes
_LONGEST_LINK = 4096  # characters: PATH_MAX of Linux
_FREE = 1 << 30  # bytes that any layer may unpack to
_RATIO = 200  # times its size that a larger one may unpack to
_MOST_HEAD = 18  # bytes of a frame's header: RFC 8878, 3.1.1.1
_MOST_ENDS = 16  # times that an end is read
_CUT = "it ends within what is compressed"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # of zstd, behind a first byte of its own
LIGHT_WINDOW = 8 << 20  # bytes of memory that unpacking zstd may take; RFC 8878 asks all to have it
_MOST_WINDOW = 32 << 20
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class Member(tarfile.TarInfo):
    """A member whose headers have bounds: tarfile reads them into memory, whatever they say."""

    def _proc_member(self, archive: Any) -> Any:
        if self.type in (*_EXTENDED, *_LONG) and not 0 <= self.size <= _MOST_HEADER:
            raise tarfile.ReadError(
                f"a header of {self.size} bytes, at most {_MOST_HEADER} are read"
            )
        if self.type == tarfile.XGLTYPE:
            archive.shared = getattr(archive, "shared", 0) + self.size
            if archive.shared > _MOST_SHARED:
                raise tarfile.ReadError(f"headers for all of more than {_MOST_SHARED} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]

    def _block(self, count: int) -> int:
        if count < 0:  # it would be read for ever: CVE-2025-8194
            raise tarfile.ReadError("a size below 0")
        return int(super()._block(count))  # type: ignore[misc]


def streamed(stream: Any) -> tarfile.TarFile:
    """Open what a stream gives; its names are UTF-8, or what they are."""
    try:
        return tarfile.open(
            fileobj=cast("Any", _Ending(stream)),
            mode="r|",
            bufsize=_CHUNK,
            tarinfo=Member,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except tarfile.TarError:
        raise
    except FAULTS as error:
        raise tarfile.ReadError(f"it is no archive: {error}") from None


class _Ending:
    """A stream that tells tarfile when it is over: a member of 8 EiB would be sought to for ever."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._ends = 0

    def read(self, size: int) -> bytes:
        found: bytes = self._stream.read(size)
        self._ends += not found
        if self._ends > _MOST_ENDS:
            raise tarfile.ReadError("it ends within a member")
        return found


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Give the members of a tar that is a stream, one by one; none is kept.

    Raises:
        tarfile.ReadError: they are damaged, or made to harm.

    """
    waiting = iter(archive)
    while True:
        # Its own loop, not next(): that one seeks back in an empty stream on Python 3.9.
        try:
            info = next(waiting, None)
        except tarfile.TarError:
            raise
        except FAULTS as error:
            raise tarfile.ReadError(f"a member that cannot be read: {error}") from None
        if info is None:
            return
        cast("Any", archive).members = []
        if info.size < 0 or info.issparse():
            raise tarfile.ReadError(
                "a sparse file, or one of a size below 0, which no builder makes"
            )
        if info.issym() and len(info.linkname) > _LONGEST_LINK:
            raise tarfile.ReadError(f"a link of {len(info.linkname)} characters")
        yield info


def feed(file: Any, readers: list[Any]) -> list[Any]:
    """Give a member's content to its readers; return those that wanted all of it.

    Each has ``feed``, as of :class:`buildx_tasks.verification.visiting.Reader`.
    """
    while readers and (chunk := file.read(_CHUNK)):
        readers = [one for one in readers if one.feed(chunk)]
    return readers


def seconds(mtime: float) -> int:
    """Return the time of a member as a date can be: pax headers may say ``inf`` or ``nan``."""
    return int(min(max(mtime, _EARLIEST), _LATEST)) if math.isfinite(mtime) else 0


def held(*texts: str) -> int:
    """Return about how many bytes one path takes, with these texts of its own."""
    return 200 + sum(map(len, texts))


class Unpacked:
    """A layer as the file that tarfile reads: as it is, out of gzip or of zstd; bounded by its ``size``.

    ``packing`` is gzip, zstd or ``""``, as the first bytes say; ``window`` is how many bytes of memory
    zstd wants, 0 for all else.

    Raises:
        tarfile.ReadError: (reading) its compression is damaged, or it is made to harm.

    """

    def __init__(self, chunks: Iterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._most = max(_FREE, size * _RATIO)
        self._given = 0
        self._buffer = b""
        self._raw = self._next()
        while 0 < len(self._raw) < _MOST_HEAD and (more := self._next()):
            self._raw += more
        self._gzip = zlib.decompressobj(31) if self._raw[:2] == _GZIP else None
        is_zstd = self._raw[:4] == _ZSTD or self._raw[1:4] == _SKIPPABLE
        self.packing = "gzip" if self._gzip else "zstd" if is_zstd else ""
        self.window = _window(self._raw) if is_zstd else 0
        self._zstd: Any = self._of_zstd() if is_zstd else None

    def read(self, size: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        pieces, wanted = [], size
        while wanted:
            if not self._buffer:
                self._buffer = self._piece()
                if not self._buffer:
                    break
            pieces.append(self._buffer[:wanted])
            self._buffer = self._buffer[wanted:]
            wanted -= len(pieces[-1])
        self._given += size - wanted
        if self._given > self._most:
            raise tarfile.ReadError(f"it unpacks to more than {self._most} bytes")
        return b"".join(pieces)

    def finish(self) -> None:
        """Read what is left, so that its digest is checked."""
        while self.read(_CHUNK):
            pass
        for _ in self._chunks:
            pass

    def _next(self) -> bytes:
        return next(self._chunks, b"")

    def _of_zstd(self) -> Any:
        if self.window > _MOST_WINDOW:
            raise tarfile.ReadError(
                f"unpacking it takes {self.window} bytes of memory, at most {_MOST_WINDOW} are given"
            )
        zstd = _zstd()
        bits = (max(self.window, LIGHT_WINDOW) - 1).bit_length()
        return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: bits})

    def _piece(self) -> bytes:
        if self._zstd:
            return self._piece_of_zstd()
        if self._gzip is None:
            piece, self._raw = self._raw, self._next() if self._raw else b""
            return piece
        while True:
            if not self._raw:
                self._raw = self._next()
                if not self._raw and not self._gzip.eof:
                    raise tarfile.ReadError(_CUT)
                if not self._raw:
                    return b""
            if self._gzip.eof:
                while len(self._raw) < len(_GZIP) and (more := self._next()):
                    self._raw += more
                if self._raw[:2] != _GZIP:
                    return b""  # what is behind it is nobody's
                self._gzip = zlib.decompressobj(31)
            try:
                piece = self._gzip.decompress(self._raw, _CHUNK)
            except zlib.error as error:
                raise tarfile.ReadError(f"its compression is damaged: {error}") from None
            self._raw = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
            if piece:
                return piece

    def _piece_of_zstd(self) -> bytes:
        while True:
            is_between = self._zstd.eof
            if is_between:
                self._raw = self._zstd.unused_data or self._raw
            given = b""
            if is_between or self._zstd.needs_input:
                given, self._raw = self._raw or self._next(), b""
                if not given and not is_between:
                    raise tarfile.ReadError(_CUT)
                if not given:
                    return b""
            if is_between:
                self._zstd = self._of_zstd()
            try:
                piece: bytes = self._zstd.decompress(given, _CHUNK)
            except _zstd().ZstdError as error:
                raise tarfile.ReadError(f"its compression is damaged: {error}") from None
            if piece:
                return piece


def _zstd() -> Any:
    """Return what unpacks zstd: a part of Python from 3.14 on."""
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    return importlib.import_module(name)


def _window(head: bytes) -> int:
    """Return the bytes of memory that the first frame wants; 0 where it does not say.

    Source: RFC 8878, 3.1.1.1
    """
    if head[:4] != _ZSTD or len(head) < 6 or head[4] & 0x20:
        return 0  # a frame of one piece has no window; what it holds is bounded by what is read
    exponent, mantissa = head[5] >> 3, head[5] & 7
    return (1 << (10 + exponent)) // 8 * (8 + mantissa)
