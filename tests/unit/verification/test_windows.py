"""Images for Windows: looked into layer by layer, and not run."""

from __future__ import annotations

import gzip
import io
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support import pes

from buildx_tasks import platforms
from buildx_tasks.doctor import emulation
from buildx_tasks.errors import EngineError
from buildx_tasks.images import pe, sources, statements
from buildx_tasks.images.merged import Files
from buildx_tasks.images.paths import Entry, Tree
from buildx_tasks.joining.records import Record
from buildx_tasks.language.expectations import Binaries, Config, File, Run, Service, Verify
from buildx_tasks.planning.cells import Cell
from buildx_tasks.registry.manifests import Descriptor, digest_of
from buildx_tasks.verification import check, layer_walk
from buildx_tasks.verification.checks.files import FilesVisitor
from buildx_tasks.verification.checks.windows_binaries import WindowsVisitor

if TYPE_CHECKING:
    from collections.abc import Iterator

WINDOWS = platforms.parse("windows/amd64")
AMD64, ARM64, I386 = 0x8664, 0xAA64, 0x014C


def layer(*members: tuple[str, bytes | None]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content or b""))
    return gzip.compress(out.getvalue(), mtime=0)


class Source:
    def __init__(self, layers: list[bytes]) -> None:
        self.blobs = {digest_of(data): data for data in layers}

    def blob(self, digest: str, size: int) -> Iterator[bytes]:  # noqa: ARG002
        return iter([self.blobs[digest]])


def walked(monkeypatch: pytest.MonkeyPatch, layers: list[bytes], *visitors: Any) -> list[Any]:
    source: Any = Source(layers)
    listed = [Descriptor(digest_of(data), len(data)) for data in layers]
    foreign = Descriptor(digest_of(b""), 0, urls=["https://example.com"])
    content = SimpleNamespace(layers=[foreign, *listed])
    source.manifest = lambda _digest: SimpleNamespace(content=content)
    monkeypatch.setattr(sources, "of_image", lambda *_: source)
    image = SimpleNamespace(parts={}, manifest=lambda _platform: "")
    session = SimpleNamespace(workspace=SimpleNamespace(registries=None))
    subject: Any = SimpleNamespace(session=session, image=image, engine=None, platform=WINDOWS)
    return layer_walk.walk(subject, visitors)


BASE = layer(
    ("Files", None),
    ("Hives", None),
    ("Files/Windows", None),
    ("Files/Windows/SysWOW64/old.dll", pes.pe(I386, dll=True)),
    ("Files/Windows/System32/kernel32.dll", pes.pe(AMD64, dll=True)),
    ("Files/app/replaced.exe", pes.pe(ARM64)),
    ("Files/app/removed.exe", pes.pe(ARM64)),
    ("Files/gone/below.exe", pes.pe(ARM64)),
    ("Files/emptied/below.exe", pes.pe(ARM64)),
    ("Hives/System_Base", b"\x7fELF no file of the image"),
    ("UtilityVM/Files/x.exe", pes.pe(ARM64)),
)
TOP = layer(
    ("Files/app/replaced.exe", pes.pe(AMD64) + b"x" * 2000),
    ("Files/app/.wh.removed.exe", b""),
    ("Files/.wh.gone", b""),
    ("Files/emptied/.wh..wh..opq", b""),
    ("Files/emptied/own.txt", b"hello"),
)


def test_layers_come_to_what_windows_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    files = FilesVisitor(
        {
            "/app/*": File(type="file"),
            "/app/removed.exe": File(exists=False),
            "/gone": File(exists=False),
            "/emptied/below.exe": File(exists=False),
            "/emptied/own.txt": File(contains=["hello"]),
            "/Hives/**": File(exists=False),
            "/Windows/System32/kernel32.dll": File(size="1kB"),
        }
    )
    programs = WindowsVisitor(WINDOWS, Binaries())
    found = walked(monkeypatch, [BASE, TOP], files, programs)
    assert [one.problems for one in found] == [(), ()]
    assert found[1].facts == (
        "3 programs and libraries for windows/amd64",
        "1 layer of Windows itself not looked into",
    )


def test_a_layer_of_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    programs = WindowsVisitor(WINDOWS, Binaries(paths=["/hello.exe"]))
    (found,) = walked(monkeypatch, [layer(("hello.exe", pes.pe(AMD64)))], programs)
    assert found.problems == ()


def test_a_damaged_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        walked(
            monkeypatch, [b"\x1f\x8b\x08 is no gzip, " * 40], WindowsVisitor(WINDOWS, Binaries())
        )


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("/app/a.exe", pes.pe(AMD64), ""),
        ("/app/a.dll", pes.pe(I386, dll=True, managed=True), ""),
        ("/Windows/SysWOW64/a.dll", pes.pe(I386, dll=True), ""),
        ("/boot.efi", pes.pe(I386, subsystem=10), ""),
        (
            "/app/a.exe",
            pes.pe(I386),
            "/app/a.exe is a program for windows/386, expected windows/amd64",
        ),
        ("/app/a.dll", pes.pe(ARM64, dll=True), "/app/a.dll is a library for windows/arm64"),
        ("/Windows/a.exe", pes.pe(ARM64), "/Windows/a.exe is a program for windows/arm64"),
        ("/app/a", b"\x7fELF" + b"\0" * 60, "/app/a is an ELF file, which Windows does not run"),
        ("/app/a.exe", pes.pe(AMD64)[:0x90], "/app/a.exe is damaged (it ends at byte 144"),
        ("/app/a.txt", b"text", "the image has no program of Windows"),
    ],
)
def test_programs_of_windows(path: str, content: bytes, problem: str) -> None:
    visitor, tree = WindowsVisitor(WINDOWS, Binaries()), Tree()
    entry = Entry(path, "file", first=path)
    tree.add(entry)
    reader = visitor.take(entry)
    assert reader
    if reader.feed(content):
        reader.end()
    found = visitor.found(tree).problems
    assert len(found) == bool(problem)
    assert not problem or found[0].startswith(problem)


def test_what_was_read_before_and_as_windows_sees_it() -> None:
    tree = Tree()
    read = {"/Files/app/a.exe": pe.Pe("arm64"), "/Files/b": None, "/Hives/x": pe.Pe("386")}
    for path in (*read, "/Files", "/Files/app", "/Hives"):
        tree.add(Entry(path, "file" if path in read else "directory", first=path))
    found = {path: one for path, one in read.items() if one}
    seen = layer_walk.as_windows_sees(Files(tree, {}, found))
    assert sorted(entry.path for entry in seen.tree) == ["/app", "/app/a.exe", "/b"]
    visitor = WindowsVisitor(WINDOWS, Binaries())
    visitor.know(seen.seen)
    (problem,) = visitor.found(seen.tree).problems
    assert problem.startswith("/app/a.exe is a program for windows/arm64")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (Binaries(paths=["/app/none.exe"]), "nothing is at /app/none.exe"),
        (Binaries(paths=["/app/*.dll"]), "no program of Windows matches /app/*.dll"),
        (Binaries(paths=["/app/a.txt"]), "/app/a.txt is no program of Windows"),
        (Binaries(static=True), "static is of ELF files, which windows/amd64 has none of"),
        (Binaries(allow=["/app/*.exe"]), "the image has no program of Windows"),
    ],
)
def test_what_is_expected_of_them(spec: Binaries, problem: str) -> None:
    visitor, tree = WindowsVisitor(WINDOWS, spec), Tree()
    tree.add(Entry("/app", "directory"))
    for path, content in (("/app/a.exe", pes.pe(AMD64)), ("/app/a.txt", b"")):
        entry = Entry(path, "file", first=path)
        tree.add(entry)
        if (reader := visitor.take(entry)) and reader.feed(content):
            reader.end()
    assert visitor.found(tree).problems[0].startswith(problem)


def test_what_runs_is_skipped_aloud() -> None:
    verify = Verify(
        run=Run(),
        service=Service(port=80),
        config=Config(user="x"),
        binaries=Binaries(),
        xfail={"windows/amd64": "known"},
    )
    found = check.of_cell(verify, Cell("app", WINDOWS), "tag")
    assert {one.kind: one.skip for one in found} == {
        "run": "windows/amd64 is not run here",
        "service": "windows/amd64 is not run here",
        "config": "",
        "binaries": "",
    }
    assert all(
        not one.skip
        for one in check.of_cell(verify, Cell("app", platforms.parse("linux/amd64")), "t")
    )


def test_a_version_of_windows_is_the_base_s() -> None:
    with pytest.raises(
        ValueError, match="the version of Windows is that of the base image; write windows/amd64"
    ):
        platforms.parse("windows(10.0.17763.1)/amd64")


def test_doctor_and_what_is_handed_in_say_that_it_is_not_run() -> None:
    engine: Any = SimpleNamespace(platform=platforms.parse("linux/amd64"))
    found = emulation._in_engine(engine, WINDOWS).finding
    assert (found.ok, found.found) == (True, "not run here: built, looked into and pushed")
    record = Record(
        "r", "c", "p", "app", "windows/amd64", "sha256:0", "passed", native=False, at=""
    )
    assert record.how == "not run"
    assert statements._how(record.verdict()) == "not run"
    linux = Record("r", "c", "p", "app", "linux/arm64", "sha256:0", "passed", native=False, at="")
    assert (linux.how, statements._how(linux.verdict())) == ("emulated", "emulated")
