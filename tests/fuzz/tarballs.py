"""Layers and exports: tar archives of anything, read as the checks read them."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from typing import TYPE_CHECKING, Any

from requests.exceptions import RequestException

from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.images import archives, elf, tars
from buildx_tasks.images.layers import Layer
from buildx_tasks.language.expectations import Binaries, File
from buildx_tasks.platforms import parse
from buildx_tasks.registry.manifests import digest_of
from buildx_tasks.verification import walk
from buildx_tasks.verification.checks import alike
from buildx_tasks.verification.checks.binaries import BinariesVisitor
from buildx_tasks.verification.checks.files import FilesVisitor

from .manifests import changed

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

NAMES = (
    "a",
    "etc/passwd",
    "/etc/shadow",
    "../../../../tmp/x",
    "a/../../b",
    ".wh.etc",
    ".wh..wh..opq",
    "etc/.wh.passwd",
    ".wh.",
    "bad\udcff",
    "esc\x1b[31m",
    "n" * 300,
    "",
    ".",
    "/",
    "a//b",
    "\u202e",
)
TYPES = (*b"0123456789xgLKSVMNDAZ", 0)
PAX = (
    "path",
    "linkpath",
    "size",
    "mtime",
    "uid",
    "GNU.sparse.map",
    "GNU.sparse.major",
    "hdrcharset",
)
VALUES = ("-1", "1e400", "nan", "inf", "9" * 300, "x", "0,1,2", "1", "../x", "", "BINARY", "\0")


def elf_file(rng: random.Random) -> bytes:
    """An ELF file whose tables are anywhere."""
    wide = rng.random() < 0.7
    order = rng.choice("<>")
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    far = (2**64 - 1, 2**63, 0) if wide else (2**32 - 1, 0)
    places = [rng.choice((64, 52, 0, 100, *far)) for _ in range(2)]
    form = "HHI3QI6H" if wide else "HHI3II6H"
    sizes = (64, 56, 64) if wide else (52, 32, 40)
    counts = rng.choice((0, 1, 3, 65535)), rng.choice((0, 1, 65535))
    fields = (2, rng.choice((62, 183, 40, 8, 21, 9999)), 1, 0, *places, rng.randrange(2**32))
    head = struct.pack(order + form, *fields, *sizes[:2], counts[0], sizes[2], counts[1], 0)
    segments = b""
    for _ in range(min(counts[0], 3)):
        values = [rng.choice((1, 2, 3, 64, 200, *far)) for _ in range(8)]
        segments += struct.pack(order + ("2I6Q" if wide else "8I"), *[v % 2**32 for v in values])
    return ident + head + segments + bytes(rng.randrange(200)) + b"libc.so\0"


def tarball(rng: random.Random) -> bytes:
    """An archive of one to six members, wrong in any way."""
    out = io.BytesIO()
    form: Any = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    for _ in range(rng.randint(1, 6)):
        info = tarfile.TarInfo(rng.choice(NAMES))
        info.type = bytes((rng.choice(TYPES),))
        content = elf_file(rng) if rng.random() < 0.3 else b"root:x:0:0\n" * rng.randrange(80)
        info.size = len(content) if rng.random() < 0.8 else rng.choice((0, 10**6, 8**11 - 1))
        info.linkname = rng.choice(("", "a", "../..", "/nowhere", "etc/passwd", "a\x1b"))
        info.mtime = rng.choice((0, 1, 2**33 - 1))
        info.devmajor, info.devminor = rng.randrange(8**6), 3
        if form == tarfile.PAX_FORMAT:
            info.pax_headers = {
                rng.choice(PAX): rng.choice(VALUES) for _ in range(rng.randrange(3))
            }
        try:
            head = info.tobuf(form, "utf-8", "surrogateescape")
        except (ValueError, KeyError):
            continue
        out.write(head + content + bytes(-len(content) % 512))
    data = out.getvalue() + bytes(1024) * (rng.random() < 0.9)
    return changed(rng, data) if rng.random() < 0.4 and data else data


class _Memory(archives.Archive):
    """An archive of one blob."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def _blob(self, digest: str) -> Any:  # noqa: ARG002
        return io.BytesIO(self._data)


def run(rng: random.Random) -> bytes:
    """Read one layer and one export; return the archive."""
    data = tarball(rng)
    packed = gzip.compress(data) if rng.random() < 0.5 else data
    packed = changed(rng, packed) if rng.random() < 0.2 and packed else packed
    layer = Layer(digest_of(packed), len(packed), "RUN x")
    try:
        found = alike._files(_Memory(packed), [layer, layer])
        for path, words, _ in alike.of_files(found, {}):
            assert path.startswith("/") or not path, path
            assert words
        for line in alike._lines(alike.of_files({}, found)):
            assert line.isprintable(), line
    except (tarfile.ReadError, BuildxTasksError):
        pass
    _walked(rng, data)
    try:
        elf.read(io.BytesIO(elf_file(rng)))
    except elf.DamagedError as error:
        assert str(error).isprintable()
    return data


def _walked(rng: random.Random, data: bytes) -> None:
    def export() -> Iterator[bytes]:
        size = rng.choice((512, 7, 65536))
        return (data[at : at + size] for at in range(0, len(data), size))

    spec = {
        "/etc/*": File(contains=["root"], matches="^root", owner="root:root", mode="0644"),
        "/a": File(sha256="0" * 64, type="file"),
        "/**": File(size="1 MB"),
    }
    visitors: list[Any] = [FilesVisitor(spec), BinariesVisitor(parse("linux/amd64"), Binaries())]
    try:
        for found in walk.look(export, visitors):
            for problem in found.problems:
                assert problem.isprintable(), problem
    except (RequestException, BuildxTasksError) as error:
        assert str(error).isprintable(), str(error)


assert tars.MOST_HELD < 200_000_000
