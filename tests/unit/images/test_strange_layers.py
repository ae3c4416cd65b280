"""Layers and exports that mean harm: bounded in memory and time, and nothing is ever written."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from requests.exceptions import ChunkedEncodingError

from buildx_tasks.errors import EngineError
from buildx_tasks.images import archives, elf, tars
from buildx_tasks.images.layers import Layer
from buildx_tasks.language.expectations import Binaries, File
from buildx_tasks.platforms import parse
from buildx_tasks.registry.manifests import MalformedError
from buildx_tasks.verification import walk
from buildx_tasks.verification.checks import alike
from buildx_tasks.verification.checks.binaries import BinariesVisitor
from buildx_tasks.verification.checks.files import FilesVisitor

if TYPE_CHECKING:
    from collections.abc import Iterator

SRC = Path(__file__).parents[2]
END = bytes(1024)


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **facts: Any) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in facts.items():
        setattr(info, key, value)
    head = info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
    return head + content + bytes(-len(content) % 512)


def pax(**records: str) -> bytes:
    data = b""
    for key, value in records.items():
        record = f" {key}={value}\n".encode()
        length = len(record) + 1
        while len(str(length)) + len(record) != length:
            length = len(str(length)) + len(record)
        data += f"{length}".encode() + record
    return member("x", tarfile.XHDTYPE, data)


class OneBlob(archives.Archive):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def _blob(self, digest: str) -> Any:  # noqa: ARG002
        return io.BytesIO(self._data)


def files(data: bytes) -> dict[str, Any]:
    layer = Layer(f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
    return dict(alike._files(OneBlob(data), [layer]))


def walked(data: bytes) -> list[str]:
    spec = {"/**": File(size="1 MB"), "/a": File(contains=["x"])}
    visitors: list[Any] = [FilesVisitor(spec), BinariesVisitor(parse("linux/amd64"), Binaries())]

    def export() -> Iterator[bytes]:
        return (data[at : at + 65536] for at in range(0, len(data), 65536))

    return [problem for found in walk.look(export, visitors) for problem in found.problems]


HARM = {
    "8 EiB": pax(size=str(2**63 - 1)) + member("a"),
    "a size of 300 digits": pax(size="9" * 300) + member("a"),
    "8 EiB in base 256": member("a", size=2**63 - 1),
    "negative": pax(size="-512") + member("a"),
    "sparse": member("a", tarfile.GNUTYPE_SPARSE),
    "pax sparse": pax(**{"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**62)}) + member("a"),
    "pax sparse of words": pax(**{"GNU.sparse.map": "a,b"}) + member("a"),
    "header of 2 MB": member("x", tarfile.XHDTYPE, bytes(2 << 20)) + member("a"),
    "name of 2 MB": member("x", tarfile.GNUTYPE_LONGNAME, b"n" * (2 << 20)) + member("a"),
    "many global headers": member("x", tarfile.XGLTYPE, b"20 comment=aaaaaaaa\n" * 20_000) * 4,
    "5,000 long names of nothing": member("x", tarfile.GNUTYPE_LONGNAME, b"n") * 5000,
}


@pytest.mark.parametrize("data", HARM.values(), ids=HARM)
def test_what_is_made_to_harm_is_refused_at_once(data: bytes) -> None:
    began = time.monotonic()
    for packed in (data + END, gzip.compress(data + END), data):
        with pytest.raises((tarfile.ReadError, EngineError)):
            files(packed)
    with pytest.raises(ChunkedEncodingError):
        walked(data + END)
    assert time.monotonic() - began < 30


STRANGE = (
    member("../../../../etc/passwd", content=b"x")
    + member("/etc/shadow", content=b"x")
    + member("out", tarfile.SYMTYPE, linkname="../../../..")
    + member("circle", tarfile.SYMTYPE, linkname="circle")
    + member("one", tarfile.SYMTYPE, linkname="two")
    + member("two", tarfile.SYMTYPE, linkname="one")
    + member("disc", tarfile.BLKTYPE, devmajor=8, devminor=0)
    + member("mem", tarfile.CHRTYPE, devmajor=1, devminor=1)
    + member("hard", tarfile.LNKTYPE, linkname="not/there")
    + member("a", tarfile.LNKTYPE, linkname="../../etc/passwd")
    + member("bad\udcff\x1b[31m", content=b"x")
    + pax(mtime="inf") + member("inf")
    + pax(mtime="nan") + member("nan")
    + pax(mtime="-1e300") + member("early")
    + END
)  # fmt: skip


def test_strange_members_are_words_and_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = files(STRANGE)
    assert found["/../../../../etc/passwd"].file.size == 1
    assert found["/hard"].file.content == "not/there"
    assert found["/disc"].file.content == "8:0"
    for line in alike._lines(alike.of_files({}, found)):
        assert line.isprintable()
    for line in alike._lines(
        alike.of_files(found, {p: m for p, m in found.items() if p != "/inf"})
    ):
        assert line.isprintable()
    changed = {
        path: made._replace(file=made.file._replace(mtime=5)) for path, made in found.items()
    }
    assert len(alike.of_files(found, changed)) == len(found)
    for problem in walked(STRANGE):
        assert problem.isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_whiteouts_of_everything_take_one_pass() -> None:
    below = b"".join(member(f"d{n % 500}/f{n}") for n in range(20_000)) + END
    above = b"".join(member(f".wh.d{n}") for n in range(500)) + END
    above = b"".join(member(f"x/.wh.y{n}") for n in range(20_000)) + above
    layers = {f"sha256:{hashlib.sha256(data).hexdigest()}": data for data in (below, above)}

    class Two(OneBlob):
        def _blob(self, digest: str) -> Any:
            return io.BytesIO(layers[digest])

    began = time.monotonic()
    listed = [Layer(digest, len(data)) for digest, data in layers.items()]
    found = alike._files(Two(b""), listed)
    assert not [path for path, made in found.items() if made.file.kind != archives.REMOVED]
    assert time.monotonic() - began < 60


def test_a_layer_that_unpacks_to_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tars, "_FREE", 1 << 20)
    bomb = gzip.compress(member("a", content=bytes(20 << 20)) + END)
    assert len(bomb) * 200 < 20 << 20
    with pytest.raises(tarfile.ReadError, match="it unpacks to more than"):
        files(bomb)


@pytest.mark.parametrize("data", [b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\3\4"])
def test_other_compressions_are_not_unpacked(data: bytes) -> None:
    with pytest.raises(tarfile.ReadError):
        files(data + bytes(range(256)) * 8)


def header(**fields: int) -> bytes:
    known = {"phoff": 0, "shoff": 0, "phentsize": 56, "phnum": 0, "shentsize": 64, "shnum": 0}
    k = {**known, **fields}
    ident = b"\x7fELF\2\1\1" + bytes(9)
    return ident + struct.pack(
        "<2HI3QI6H", 2, 62, 1, 0, k["phoff"], k["shoff"], 0, 64, k["phentsize"], k["phnum"],
        k["shentsize"], k["shnum"], 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        header(shoff=2**64 - 1, shnum=65535),
        header(phoff=2**64 - 1, phnum=65535),
        header(shoff=2**63, shnum=1),
        header(shoff=64, shnum=65535),
        header(phoff=64, phnum=1) + struct.pack("<2I6Q", 2, 0, 2**64 - 1, 0, 0, 2**64 - 1, 0, 0),
        header(phoff=64, phnum=1) + struct.pack("<2I6Q", 3, 0, 2**63, 0, 0, 2**63, 0, 0),
    ],
)
def test_tables_at_the_end_of_the_world(data: bytes) -> None:
    with pytest.raises(elf.DamagedError):
        elf.read(io.BytesIO(data))


def test_65535_segments_that_ask_for_4096_libraries_each() -> None:
    dynamic = struct.pack("<2Q", 5, 0) + struct.pack("<2Q", 1, 0) * 4000
    at = 64 + 56 * 65000
    load = struct.pack("<2I6Q", 1, 0, 0, 0, 0, at, 0, 0)
    segment = struct.pack("<2I6Q", 2, 0, at, 0, 0, len(dynamic), 0, 0)
    data = header(phoff=64, phnum=65000) + load + segment * 64999 + dynamic + b"n" * 100_000
    began = time.monotonic()
    found = elf.read(io.BytesIO(data))
    assert len(found.needed) == 4000
    assert time.monotonic() - began < 30


MANY = """
import resource, sys, tarfile
sys.path.insert(0, {tests!r})
from unit.images.test_strange_layers import member, END
from buildx_tasks.language.expectations import File
from buildx_tasks.verification import walk
from buildx_tasks.verification.checks import alike
from buildx_tasks.verification.checks.files import FilesVisitor

def export():
    plain = member("")
    rest = plain[100:148], plain[156:]
    base = sum(plain[:148]) + sum(plain[156:]) + 8 * 32
    for n in range(1_000_000):  # by hand: tarfile takes longer to write them than to read them
        name = b"d%d/file%d" % (n % 100, n)
        checksum = b"%06o\\0 " % (base + sum(name))
        yield name + bytes(100 - len(name)) + rest[0] + checksum + rest[1]
    yield END

def hundred():
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 100_000_000
    yield info.tobuf()
    for _ in range(1000):
        yield bytes(100_000)

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for give in (export, hundred):
    try:
        print(walk.look(give, [FilesVisitor({{"/a": File()}})])[0].problems)
    except Exception as error:
        print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000, "MB")
"""


@pytest.mark.slow
def test_a_million_entries_and_headers_of_100_mb_stay_within_200_mb() -> None:
    script = textwrap.dedent(MANY.format(tests=str(SRC)))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=SRC
    )
    million, header_of_100, memory = done.stdout.splitlines()
    assert "paths, more than are looked at" in million
    assert "a header of 100000000 bytes" in header_of_100
    assert int(memory.split()[0]) < 200, done.stdout


def test_an_outer_archive_whose_names_lead_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    for data in (
        member("index.json", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("index.json", tarfile.LNKTYPE, linkname="index.json"),
        member("index.json", content=b"[" * 5000),
        member("index.json", content=b'{"manifests":[{"digest":"../../etc/passwd","size":1}]}'),
        b"".join(member(f"x{n}") for n in range(20_002)),
    ):
        path.write_bytes(data + END)
        with (
            pytest.raises((EngineError, MalformedError)) as caught,
            archives.opened(path) as archive,
        ):
            archive.manifests()
        assert str(caught.value).isprintable()
