"""One hash of a folder: another one for each change that a build can see, the same for all others."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildx_tasks.inputs import ignoring, known
from buildx_tasks.inputs.known import KnownFiles, stamp_of
from buildx_tasks.inputs.trees import stamp_now, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

MUCH = 20_000_000_000


def digest(folder: Path, ignore: str | None = None, file: Path | None = None) -> str:
    rules = None if ignore is None else ignoring.parse(ignore)
    return tree_of(str(folder), rules, KnownFiles(file or folder / "none")).digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "context"
    (made / "src").mkdir(parents=True)
    (made / "empty").mkdir()
    (made / "src" / "main.c").write_text("int main;")
    (made / "a").write_text("a")
    (made / "link").symlink_to("a")
    return made


def instead(path: Path, make: Callable[[Path], Any]) -> None:
    path.unlink()
    make(path)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a byte": lambda at: (at / "a").write_text("b"),
    "a byte more": lambda at: (at / "a").write_text("aa"),
    "a mode": lambda at: (at / "a").chmod(0o755),
    "a folder's mode": lambda at: (at / "src").chmod(0o700),
    "a new file": lambda at: (at / "new").write_text(""),
    "a new folder": lambda at: (at / "new").mkdir(),
    "a file less": lambda at: (at / "a").unlink(),
    "an empty folder less": lambda at: (at / "empty").rmdir(),
    "another name": lambda at: (at / "a").rename(at / "b"),
    "another folder": lambda at: (at / "a").rename(at / "src" / "a"),
    "a link elsewhere": lambda at: instead(at / "link", lambda path: path.symlink_to("src")),
    "a file for a link": lambda at: instead(at / "link", lambda path: path.write_text("a")),
    "a link for a file": lambda at: instead(at / "a", lambda path: path.symlink_to("link")),
    "a folder for a file": lambda at: instead(at / "a", Path.mkdir),
    "a pipe for a file": lambda at: instead(at / "a", os.mkfifo),
    "a name that is no UTF-8": lambda at: Path(os.fsdecode(os.fsencode(at) + b"/\xff")).touch(),
    "names and contents that run together": lambda at: (
        (at / "a").write_text(""),
        (at / "aa").write_text(""),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_each_change_is_seen(folder: Path, change: Callable[[Path], Any]) -> None:
    before, stamp = digest(folder), stamp_now(str(folder), None)
    change(folder)
    assert digest(folder) != before
    assert stamp_now(str(folder), None) != stamp


def test_times_owners_place_and_state_are_not_seen(folder: Path) -> None:
    before = digest(folder)
    os.utime(folder / "a", ns=(5, 5))
    os.utime(folder / "src", ns=(5, 5))
    (folder / ".buildx").mkdir()
    (folder / ".buildx" / "ledger.json").write_text("[]")
    (folder / "src" / ".buildx").mkdir()
    assert digest(folder) == before
    elsewhere = folder.parent / "elsewhere"
    shutil.copytree(folder, elsewhere, symlinks=True)
    assert digest(elsewhere) == before


def test_what_is_ignored_is_not_seen(folder: Path) -> None:
    before = digest(folder, "src\n*.log\n!keep.log")
    (folder / "src" / "main.c").write_text("changed")
    (folder / "x.log").touch()
    assert digest(folder, "src\n*.log\n!keep.log") == before
    (folder / "keep.log").touch()
    assert digest(folder, "src\n*.log\n!keep.log") != before


def test_a_folder_left_out_is_sent_for_what_stays_in_it(folder: Path) -> None:
    before = digest(folder, "src\n!src/main.c")
    assert before != digest(folder, "src")
    (folder / "src" / "other.c").touch()
    assert digest(folder, "src\n!src/main.c") == before
    (folder / "src").chmod(0o700)
    assert digest(folder, "src\n!src/main.c") != before


def test_a_capability_is_seen(folder: Path) -> None:
    before = digest(folder)
    try:
        os.setxattr(folder / "a", "security.capability", b"\1\0\0\2" + b"\0\4" + b"\0" * 14)
    except (OSError, AttributeError) as error:
        pytest.skip(f"no capability can be set here: {error}")
    assert digest(folder) != before


def test_a_file_is_a_tree(folder: Path) -> None:
    before = digest(folder / "a")
    (folder / "a").write_text("b")
    assert digest(folder / "a") != before


def test_a_socket_is_something(tmp_path: Path) -> None:
    before = digest(tmp_path)
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{short}/s")
        Path(short, "s").rename(tmp_path / "s")
        assert digest(tmp_path) != before


def test_what_cannot_be_read_is_an_error(folder: Path) -> None:
    if os.geteuid() == 0:
        (folder / "loop").symlink_to("loop")
        digest(folder)  # a link is not followed
        with pytest.raises(OSError, match="No such file"):
            digest(folder / "none")
        return
    (folder / "a").chmod(0)
    with pytest.raises(OSError, match="denied"):
        digest(folder)


@pytest.fixture
def old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are old enough to be known by their times."""
    monkeypatch.setattr(known, "_SETTLED_NS", -MUCH)
    return folder


def test_what_is_known_is_not_read_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = old.parent / "files.json"
    first = KnownFiles(file)
    before = tree_of(str(old), None, first).digest
    first.keep()
    monkeypatch.setattr(known, "_hash", lambda path: pytest.fail(f"{path} is read"))
    assert digest(old, None, file) == before
    monkeypatch.undo()
    (old / "a").write_text("c")
    assert digest(old, None, file) != before


def test_what_has_just_changed_is_read_again(folder: Path) -> None:
    file = folder.parent / "files.json"
    first = KnownFiles(file)
    tree_of(str(folder), None, first)
    first.keep()
    assert not file.exists()


def test_times_that_are_set_back_hide_nothing(old: Path) -> None:
    file = old.parent / "files.json"
    first = KnownFiles(file)
    before = tree_of(str(old), None, first).digest
    first.keep()
    was = (old / "a").stat()
    (old / "a").write_text("b")
    os.utime(old / "a", ns=(was.st_atime_ns, was.st_mtime_ns))
    assert (old / "a").stat().st_mtime_ns == was.st_mtime_ns
    assert digest(old, None, file) != before


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version":2,"files":{}}', '{"version":1,"files":{"x":[1]}}', "\xff"],
)
def test_damaged_memory_is_none(old: Path, text: str) -> None:
    file = old.parent / "files.json"
    right = digest(old)
    file.write_text(text, encoding="latin-1")
    first = KnownFiles(file)
    assert tree_of(str(old), None, first).digest == right
    first.keep()
    assert digest(old, None, file) == right


def test_a_link_in_place_of_the_memory_is_not_followed(old: Path) -> None:
    elsewhere = old.parent / "elsewhere.json"
    first = KnownFiles(elsewhere)
    right = tree_of(str(old), None, first).digest
    first.keep()
    text = elsewhere.read_text()
    file = old.parent / "files.json"
    file.symlink_to(elsewhere)
    second = KnownFiles(file)
    assert tree_of(str(old), None, second).digest == right
    second.keep()
    assert elsewhere.read_text() == text


NAMES = st.sampled_from(["a", "b", "c.txt", "d e", ".hidden"])
CONTENTS = st.binary(max_size=3)
TREES = st.recursive(
    CONTENTS, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)


def written(tree: Any, at: Path) -> None:
    if isinstance(tree, bytes):
        at.write_bytes(tree)
        return
    at.mkdir()
    for name, inner in tree.items():
        written(inner, at / name)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(first=TREES, second=TREES)
def test_two_trees_have_one_hash_only_where_they_are_the_same(first: Any, second: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        found = []
        for number, tree in enumerate((first, second)):
            at = Path(place, str(number))
            written(tree, at)
            found.append(digest(at))
    assert (found[0] == found[1]) is (first == second)


def test_a_stamp_has_what_tells_a_change(folder: Path) -> None:
    facts = (folder / "a").stat()
    assert stamp_of(facts)[:2] == (1, facts.st_mtime_ns)
