from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import ChunkedEncodingError

from buildx_tasks.images.paths import Entry, Tree, matches
from buildx_tasks.language.expectations import Binaries, File
from buildx_tasks.machine.executables import binary
from buildx_tasks.platforms import parse
from buildx_tasks.text import printable
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks.binaries import BinariesVisitor
from buildx_tasks.verification.checks.files import FilesVisitor
from buildx_tasks.verification.walk import look

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ENGINE_MADE = {
    ".dockerenv": {"mode": 0o755},
    "dev": {"type": tarfile.DIRTYPE},
    "dev/console": {"mode": 0o755},
    "dev/pts": {"type": tarfile.DIRTYPE},
    "dev/shm": {"type": tarfile.DIRTYPE},
    "etc": {"type": tarfile.DIRTYPE},
    "etc/hostname": {"mode": 0o755},
    "etc/hosts": {"mode": 0o755},
    "etc/mtab": {"type": tarfile.SYMTYPE, "linkname": "/proc/mounts", "mode": 0o777},
    "etc/resolv.conf": {"mode": 0o755},
    "proc": {"type": tarfile.DIRTYPE},
    "sys": {"type": tarfile.DIRTYPE},
}


def folder(mode: int = 0o755) -> dict[str, Any]:
    return {"type": tarfile.DIRTYPE, "mode": mode}


def symlink(to: str) -> dict[str, Any]:
    return {"type": tarfile.SYMTYPE, "linkname": to, "mode": 0o777}


def hard_link(to: str) -> dict[str, Any]:
    return {"type": tarfile.LNKTYPE, "linkname": to}


def archive(members: dict[str, Any]) -> bytes:
    """A tar archive as the engine exports it; bytes are a file's content, a dict its header."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, said in members.items():
            content = said if isinstance(said, bytes) else said.get("content", b"")
            info = tarfile.TarInfo(name)
            info.size = len(content)
            default = 0o755 if not isinstance(said, bytes) and said.get("type") else 0o644
            info.mode = default
            for key, value in ({} if isinstance(said, bytes) else said).items():
                if key != "content":
                    setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


class Collector:
    """Reads the files that are wanted, late ones in the second walk; keeps what it is told."""

    def __init__(self, *wanted: str, late: Collection[str] = ()) -> None:
        self.wanted = wanted
        self.late = set(late)
        self.is_late = False
        self.content: dict[str, bytes] = {}
        self.ended: set[str] = set()
        self.tree = Tree()

    def take(self, entry: Entry) -> Any:
        if entry.path not in (self.late if self.is_late else self.wanted):
            return None
        collector = self

        class Keep:
            def feed(self, chunk: bytes) -> bool:
                held = collector.content.get(entry.path, b"")
                collector.content[entry.path] = held + chunk
                return True

            def end(self) -> None:
                collector.ended.add(entry.path)

        return Keep()

    def missing(self, _tree: Tree) -> set[str]:
        self.is_late = True
        return self.late

    def found(self, tree: Tree) -> Found:
        self.tree = tree
        return Found(facts=(f"{len(tree)} paths",))


def tree_of(members: dict[str, Any]) -> Tree:
    collector = Collector()
    look(lambda: chunks(archive(members)), [collector])
    return collector.tree


def test_each_visitor_reads_what_it_wants_in_one_walk() -> None:
    data = archive({"a": b"A" * 100_000, "b": b"B", "empty": b""})
    walks = []

    def export() -> Iterator[bytes]:
        walks.append(1)
        return chunks(data)

    first, second = Collector("/a", "/empty"), Collector("/a", "/b")
    found = look(export, [first, second])
    assert found == [Found(facts=("3 paths",))] * 2
    assert first.content == {"/a": b"A" * 100_000}
    assert first.ended == {"/a", "/empty"}
    assert second.content == {"/a": b"A" * 100_000, "/b": b"B"}
    assert walks == [1]


def test_a_second_walk_brings_what_only_the_whole_tree_tells() -> None:
    data = archive({"a": b"A", "b": b"B"})
    early, late = Collector("/a"), Collector("/a", late=["/b"])
    look(lambda: chunks(data), [early, late])
    assert early.content == {"/a": b"A"}
    assert late.content == {"/a": b"A", "/b": b"B"}


def test_a_hard_link_is_what_its_first_name_is() -> None:
    first = {"content": b"same", "mode": 0o751, "uid": 7}
    tree = tree_of({"a": first, "z": hard_link("a"), "s": symlink("a"), "t": hard_link("s")})
    assert tree.at("/z") == Entry("/z", "file", 0o751, 7, 0, 4, "", "/a")
    link = tree.at("/t")
    assert link is not None
    assert (link.kind, link.link) == ("symlink", "a")


def test_kinds_modes_and_owners() -> None:
    tree = tree_of(
        {
            "d": folder(0o1777),
            "null": {"type": tarfile.CHRTYPE, "mode": 0o666},
            "disk": {"type": tarfile.BLKTYPE, "mode": 0o660},
            "pipe": {"type": tarfile.FIFOTYPE, "mode": 0o600},
            "su": {"content": b"x", "mode": 0o4755, "uid": 1000, "gid": 100},
        }
    )
    assert {entry.path: (entry.kind, entry.mode) for entry in tree} == {
        "/d": ("directory", 0o1777),
        "/null": ("character device", 0o666),
        "/disk": ("block device", 0o660),
        "/pipe": ("pipe", 0o600),
        "/su": ("file", 0o4755),
    }
    su = tree.at("/su")
    assert su is not None
    assert (su.uid, su.gid, su.size) == (1000, 100, 1)


def test_what_the_engine_makes_is_not_in_the_tree() -> None:
    assert list(tree_of({**ENGINE_MADE, "x": b"x"})) == [
        Entry("/x", "file", 0o644, 0, 0, 1, "", "/x")
    ]


def test_what_is_not_as_the_engine_makes_it_is_the_images_own() -> None:
    own = {
        **ENGINE_MADE,
        "dev/shm": folder(0o1777),
        "etc/hosts": b"127.0.0.1 me\n",
        "proc": folder(0o555),
        "sys/note": b"x",
    }
    assert sorted(entry.path for entry in tree_of(own)) == [
        "/dev",
        "/dev/shm",  # noqa: S108
        "/etc",
        "/etc/hosts",
        "/proc",
        "/sys",
        "/sys/note",
    ]


@pytest.mark.parametrize("cut", [0, 100, 600, 1100, 1536])
def test_an_export_that_breaks_off_is_the_engines_fault(cut: int) -> None:
    data = archive({"a": b"A" * 700})
    with pytest.raises(ChunkedEncodingError, match="broke off"):
        look(lambda: chunks(data[:cut]), [Collector("/a")])


def test_names_that_are_no_text_and_very_long_ones() -> None:
    names = ["\udcff", "ü", "n" * 200 + "/" + "m" * 200]
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape"
    ) as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    collector = Collector()
    look(lambda: chunks(stream.getvalue()), [collector])
    assert [entry.path for entry in collector.tree] == [f"/{name}" for name in names]


LINKED = {
    "a": folder(),
    "a/file": b"x",
    "a/up": symlink("../b/./file"),
    "b": folder(),
    "b/file": b"y",
    "circle": symlink("circle"),
    "circles": symlink("circles/x"),
    "lib64": symlink("usr/lib64"),
    "nowhere": symlink("/none"),
    "out": symlink("../../a/file"),
    "rooted": symlink("/a"),
    "usr": folder(),
    "usr/lib64": folder(),
    "usr/lib64/ld.so": symlink("../../a/file"),
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/file", "/a/file"),
        ("/a//./file/", "/a/file"),
        ("/a/../b/file", "/b/file"),
        ("/../a", "/a"),
        ("/", "/"),
        ("/a/up", "/b/file"),
        ("/out", "/a/file"),
        ("/rooted/file", "/a/file"),
        ("/lib64/ld.so", "/a/file"),
        ("/lib64/../lib64", "/usr/lib64"),
        ("/nowhere", None),
        ("/circle", None),
        ("/circles", None),
        ("/a/file/x", None),
        ("/none/..", None),
    ],
)
def test_a_path_leads_where_it_leads_in_the_container(path: str, expected: str | None) -> None:
    found = tree_of(LINKED).find(path)
    assert (found.path if found else None) == expected


def test_the_last_link_can_be_left_as_it_is() -> None:
    found = tree_of(LINKED).find("/lib64/ld.so", follow=False)
    assert found is not None
    assert (found.path, found.link) == ("/usr/lib64/ld.so", "../../a/file")


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("/a/*", ["/a/file", "/a/up"]),
        ("a/fi?e", ["/a/file"]),
        ("/lib64/*.so", ["/usr/lib64/ld.so"]),
        ("/rooted/f*", ["/a/file"]),
        ("/lib64", ["/lib64"]),
        ("/none/*", []),
        ("/**/file", ["/a/file", "/b/file"]),
        ("/[ab]/file", ["/a/file", "/b/file"]),
    ],
)
def test_select(pattern: str, paths: list[str]) -> None:
    assert [entry.path for entry in tree_of(LINKED).select(pattern)] == paths


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("/app/hello", ["/app/hello"], ["/app/hello2", "/x/app/hello"]),
        ("app/hello/", ["/app/hello"], []),
        ("//app//hello", ["/app/hello"], []),
        ("/app/*", ["/app/x", "/app/.x"], ["/app", "/app/x/y"]),
        ("/app/**", ["/app/x", "/app/x/y"], ["/app", "/apps"]),
        ("/**/x", ["/x", "/a/x", "/a/b/x"], ["/ax", "/x/y"]),
        ("/a**x", ["/ax", "/a/b/x"], ["/b/ax"]),
        ("/a**/x", ["/ab/x", "/a/b/x"], ["/ax"]),
        ("/?", ["/a"], ["/", "/ab"]),
        ("/[a-c]", ["/b"], ["/d", "/-"]),
        ("/[!a-c]", ["/d"], ["/b", "//"]),
        ("/[^a]", ["/b"], ["/a"]),
        ("/[]a]", ["/]", "/a"], ["/b"]),
        ("/[a-]", ["/a", "/-"], ["/b"]),
        ("/[z-a]", [], ["/z", "/a"]),
        ("/[!z-a]", ["/z"], ["/zz"]),
        ("/[", ["/["], ["/"]),
        ("/[]", ["/[]"], ["/"]),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("/a*", ["/a\nb"], []),
        ("/a[[]1]", ["/a[1]"], ["/a1"]),
        ("/[&&~~||]", ["/&"], ["/x"]),
    ],
)
def test_globs(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not matches(pattern, path)] == []
    assert [path for path in no if matches(pattern, path)] == []


@given(st.text("/ab*?[]!^-\\.&|~", max_size=12), st.text("/ab", max_size=8))
def test_no_glob_is_refused(pattern: str, path: str) -> None:
    assert matches(pattern, path) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("/app/helo", "; did you mean /app/hello?"),
        ("/usr/bin/hello", "; did you mean /app/hello?"),
        ("/ap/*", "; did you mean /app?"),
        ("/app/zzz", "; /app is there and holds hello, x"),
        ("/app/*.so", "; /app is there and holds hello, x"),
        ("/app/x/deep", "; /app/x is there, and is a file"),
        ("/many/q", "; /many is there and holds 0, 1, 10, 11, 12, 13, 14, 15, …"),
        ("/none", "; / is there and holds app, many"),
    ],
)
def test_what_is_near(pattern: str, hint: str) -> None:
    many = {f"many/{number}": b"" for number in range(20)}
    tree = tree_of({"app": folder(), "app/hello": b"x", "app/x": b"", "many": folder(), **many})
    assert tree.near(pattern) == hint


def test_foreign_names_do_not_act_on_the_terminal() -> None:
    assert printable("a\x1b[31m\n\udcff ü") == "a\\x1b[31m\\n\\udcff ü"


def gigabyte() -> Iterator[bytes]:
    program = binary(parse("linux/arm64")) or b""
    block = bytes(65536)
    for name, size, start in (
        ("zeros", 600_000_000, b""),
        ("program", 100_000_000, program),
        ("skipped", 400_000_000, b""),
    ):
        info = tarfile.TarInfo(name)
        info.size = size
        yield info.tobuf() + start
        left = size - len(start)
        for _ in range(left // len(block)):
            yield block
        yield bytes(left % len(block) + -size % 512)
    for number in range(20_000):
        yield tarfile.TarInfo(f"small/{number}").tobuf()
    yield bytes(1024)


def look_at_a_gigabyte() -> None:
    """Print what was found, and the most memory that it took (in kB)."""
    files = {"/zeros": File(sha256="0" * 64, contains=["x" * 100]), "/program": File(mode="0644")}
    visitors = (BinariesVisitor(parse("linux/arm64"), Binaries()), FilesVisitor(files))
    before = highest_memory()
    binaries, wrong = look(gigabyte, visitors)
    print(highest_memory() - before, len(wrong.problems), *binaries.problems, *binaries.facts)


def highest_memory() -> int:
    # Not getrusage: its maximum begins with what the parent had.
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_an_image_of_1_gb_is_read_in_bounded_memory() -> None:
    code = "from unit.verification import test_filesystem; test_filesystem.look_at_a_gigabyte()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    memory, found = done.stdout.strip().split(" ", 1)
    assert found == "2 1 ELF file, for linux/arm64, static"
    assert int(memory) < 30_000
